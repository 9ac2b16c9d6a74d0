//! Programs for tests: small builders, and random programs of every op with random index maps.

use super::gates::{GatePlan, Scratch, Values};
use super::types::*;
use super::{Checked, encode, load};
use crate::error::Result;

pub const FULL: Operand = Operand::Const(1);

pub fn map(i_axis: Option<usize>, a: i32, k_axis: Option<usize>, b: i32, c: i32) -> AxisMap {
    AxisMap { i_axis, a, k_axis, b, c, d: 1 }
}

/// The map `index = i[axis]`.
pub fn by_i(axis: usize) -> AxisMap {
    map(Some(axis), 1, None, 0, 0)
}

/// The map `index = k[axis]`.
pub fn by_k(axis: usize) -> AxisMap {
    map(None, 0, Some(axis), 1, 0)
}

pub fn read(tensor: usize, view: &[usize], maps: &[AxisMap]) -> Operand {
    Operand::Read(Read { tensor, view: view.to_vec(), maps: maps.to_vec(), zero: 0, pad: None })
}

pub fn dot(terms: Vec<Term>, shift: i32) -> Dot {
    let (mult, shift) = (Operand::Const(1), Operand::Const(shift));
    Dot { terms, bias: None, mult, shift, rounding: None, out_zero: 0, table: None }
}

/// Records of the data sets of built programs.
pub const RECORDS: usize = 11;

fn row_major(shape: &[usize]) -> Layout {
    Layout { order: (0..shape.len()).collect(), trailing: 1, piece: *shape.last().unwrap() }
}

/// A growing program; every value tensor becomes an output.
#[derive(Default)]
pub struct Builder(pub Option<Program>);

impl Builder {
    pub fn program(&mut self) -> &mut Program {
        self.0.get_or_insert_with(|| Program {
            name: "test".into(),
            tensors: vec![],
            tables: vec![],
            ops: vec![],
            inputs: vec![],
            outputs: vec![],
            states: vec![],
            exports: vec![],
        })
    }

    /// A tensor with the full range of its width but the least value; row-major layout.
    pub fn tensor(&mut self, role: Role, width: usize, shape: &[usize]) -> usize {
        let hi = (1 << (8 * width - 1)) - 1;
        self.ranged(role, width, -hi, hi, shape)
    }

    pub fn ranged(&mut self, role: Role, width: usize, lo: i32, hi: i32, shape: &[usize]) -> usize {
        let program = self.program();
        let number = program.tensors.len();
        let source = match role {
            Role::Prf => Source::Prf { domain: number as u32 },
            Role::Data => Source::Data { layout: row_major(shape), records: RECORDS },
            _ => Source::Committed(row_major(shape)),
        };
        let name = format!("t{number}");
        program.tensors.push(Tensor {
            name: name.clone(),
            role,
            width,
            lo,
            hi,
            shape: shape.to_vec(),
            source,
        });
        let port = Port {
            name,
            tensor: number,
            batch: None,
            kind: PortKind::Integer,
            scale: 1.0,
            zero: 0,
        };
        match role {
            Role::Input => program.inputs.push(port),
            Role::Value => program.outputs.push(port),
            _ => {}
        }
        number
    }

    pub fn op(&mut self, out: usize, space: &[usize], kind: OpKind) {
        let name = format!("op{}", self.program().ops.len());
        self.program().ops.push(Op { name, out, exact: false, space: space.to_vec(), kind });
    }

    pub fn finish(mut self) -> Program {
        std::mem::take(self.program())
    }

    pub fn load(self) -> Checked {
        load(&encode(&self.finish())).expect("a valid program")
    }
}

impl Default for Program {
    fn default() -> Self {
        Builder::default().program().clone()
    }
}

/// `y[2, 3] = x[2, 4] · w[3, 4]`, one step of a linear layer: tensors 0, 1 and 2.
pub fn linear() -> Program {
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, 1, &[2, 4]);
    let w = b.tensor(Role::Weight, 1, &[3, 4]);
    let y = b.tensor(Role::Value, 1, &[2, 3]);
    let term = Term {
        window: vec![4],
        a: read(x, &[2, 4], &[by_i(0), by_k(0)]),
        b: read(w, &[3, 4], &[by_i(1), by_k(0)]),
    };
    b.op(y, &[2, 3], OpKind::Dot(dot(vec![term], 8)));
    b.finish()
}

/// A step of learning with all that a program of version 2 has: tensors 0 and 1 are data of 11 records,
/// 4 a step; state 2 begins drawn, state 3 at a constant; 4 is noise, 5 a weight; 2 and 5 are exported.
pub fn learner() -> Program {
    let mut b = Builder::default();
    let x = b.tensor(Role::Data, 1, &[4, 6]);
    let y = b.ranged(Role::Data, 1, -1, 1, &[4, 2]);
    let w = b.tensor(Role::State, 1, &[2, 6]);
    let m = b.tensor(Role::State, 2, &[2, 6]);
    let noise = b.ranged(Role::Prf, 2, 0, 255, &[2, 6]);
    let fixed = b.tensor(Role::Weight, 1, &[2, 6]);
    let h = b.tensor(Role::Value, 1, &[4, 2]);
    let m_next = b.tensor(Role::Value, 2, &[2, 6]);
    let w_next = b.tensor(Role::Value, 1, &[2, 6]);
    let by_row = |t| Term {
        window: vec![6],
        a: read(x, &[4, 6], &[by_i(0), by_k(0)]),
        b: read(t, &[2, 6], &[by_i(1), by_k(0)]),
    };
    b.op(h, &[4, 2], OpKind::Dot(dot(vec![by_row(w), by_row(fixed)], 8)));
    let by_slot = |t, shape: &[usize]| Term {
        window: vec![4],
        a: read(t, shape, &[by_k(0), by_i(0)]),
        b: read(x, &[4, 6], &[by_k(0), by_i(1)]),
    };
    let cell = |t| read(t, &[2, 6], &[by_i(0), by_i(1)]);
    let plus = |t, factor| Term { window: vec![], a: cell(t), b: Operand::Const(factor) };
    b.op(m_next, &[2, 6], OpKind::Dot(dot(vec![by_slot(y, &[4, 2]), plus(m, 7)], 3)));
    let terms = vec![by_slot(h, &[4, 2]), plus(m, 1), plus(w, 250)];
    let update = Dot { rounding: Some(cell(noise)), ..dot(terms, 8) };
    b.op(w_next, &[2, 6], OpKind::Dot(update));
    let mut program = b.finish();
    let Source::Data { layout, .. } = &mut program.tensors[x].source else { panic!("data") };
    layout.piece = 4;
    let start = Some(Start::Drawn { domain: 9, lo: -50, hi: 49 });
    program.states.push(StateLink { state: w, value: w_next, start });
    program.states.push(StateLink { state: m, value: m_next, start: Some(Start::Constant(3)) });
    program.outputs.retain(|port| port.tensor == h);
    program.exports = vec![fixed, w];
    program
}

/// xorshift64*: enough to draw programs and values.
pub struct Rng(pub u64);

impl Rng {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }

    pub fn between(&mut self, lo: i32, hi: i32) -> i32 {
        lo + self.below((i64::from(hi) - i64::from(lo) + 1) as usize) as i32
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn dims(&mut self, max_rank: usize) -> Vec<usize> {
        let rank = self.below(max_rank + 1);
        (0..rank).map(|_| 1 + self.below(5)).collect()
    }
}

/// Values of all tensors, row-major, by tensor number.
pub type All = Vec<Vec<i64>>;

impl Values for All {
    fn value(&self, tensor: usize, offset: usize) -> Result<i64> {
        Ok(self[tensor][offset])
    }
}

/// Random values for all tensors but the value tensors, whose values follow gate by gate.
pub fn evaluate_all(program: &Program, rng: &mut Rng) -> All {
    let mut all: All = program.tensors.iter().map(|tensor| draw(tensor, rng)).collect();
    for op in &program.ops {
        let plan = GatePlan::new(program, op);
        let mut scratch = Scratch::default();
        let gates = 0..op.gates();
        all[op.out] = gates.map(|g| plan.evaluate(g, &all, &mut scratch).unwrap().into()).collect();
    }
    all
}

/// Anywhere in the declared range, or at its ends, or all at one of them.
fn draw(tensor: &Tensor, rng: &mut Rng) -> Vec<i64> {
    let how = rng.below(8);
    (0..tensor.size())
        .map(|_| match how {
            0 => tensor.lo,
            1 => tensor.hi,
            2 | 3 => [tensor.lo, tensor.hi][rng.below(2)],
            _ => rng.between(tensor.lo, tensor.hi),
        })
        .map(i64::from)
        .collect()
}

/// A random valid program with a few ops.
pub fn random(seed: u64) -> Program {
    let mut draw = Draw { rng: Rng(seed | 1), b: Builder::default(), readable: vec![] };
    for _ in 0..1 + draw.rng.below(4) {
        draw.op();
    }
    draw.b.finish()
}

struct Draw {
    rng: Rng,
    b: Builder,
    readable: Vec<usize>,
}

impl Draw {
    /// An old tensor, or a new one, of about this width and shape.
    fn tensor(&mut self, width: usize, shape: &[usize]) -> usize {
        let old =
            self.readable.iter().copied().find(|&t| self.b.program().tensors[t].shape == shape);
        match old {
            Some(t) if self.rng.chance(60) && self.b.program().tensors[t].width <= width => t,
            _ => {
                let role = [Role::Input, Role::Weight][self.rng.below(2)];
                let width = 1 + self.rng.below(width);
                let t = self.b.tensor(role, width, shape);
                self.readable.push(t);
                t
            }
        }
    }

    fn operand(&mut self, width: usize, zero: bool, space: &[usize], window: &[usize]) -> Operand {
        if self.rng.chance(10) {
            return Operand::Const(self.rng.between(-100, 100));
        }
        let old = self.earlier_value(width);
        let rank = old.as_ref().map_or(1 + self.rng.below(4), |(_, shape)| shape.len());
        let maps: Vec<AxisMap> = (0..rank).map(|_| self.map(space, window)).collect();
        let ends: Vec<(i64, i64)> = maps.iter().map(|map| map.extremes(space, window)).collect();
        // Usually as large as the indices need, sometimes smaller: then some fall outside.
        let reach = |&(_, hi): &(i64, i64)| (hi.max(0) as usize + 1).min(1 + self.rng.below(24));
        let view = match &old {
            Some((_, shape)) => shape.clone(),
            None => ends.iter().map(reach).collect(),
        };
        let inside = |((map, &(lo, hi)), &dim): ((&AxisMap, &(i64, i64)), &usize)| {
            map.d == 1 && lo >= 0 && hi < dim as i64
        };
        let whole = maps.iter().zip(&ends).zip(&view).all(inside);
        let tensor = match old {
            Some((tensor, _)) => tensor,
            None if self.rng.chance(50) => self.tensor(width, &view),
            None => self.tensor(width, &[view.iter().product()]),
        };
        let pad = (!whole || self.rng.chance(20)).then(|| self.rng.between(-127, 127));
        let zero = if zero && self.rng.chance(30) { self.rng.between(-128, 127) } else { 0 };
        Operand::Read(Read { tensor, view, maps, zero, pad })
    }

    /// Half of the time, the output of an earlier op, if any fits.
    fn earlier_value(&mut self, width: usize) -> Option<(usize, Vec<usize>)> {
        let program = self.b.program().clone();
        let of_width = |&t: &usize| program.tensors[t].width <= width;
        let values: Vec<usize> =
            program.of_role(&[Role::Value]).into_iter().filter(of_width).collect();
        let tensor = *values.get(self.rng.below(2 * values.len() + 1))?;
        Some((tensor, program.tensors[tensor].shape.clone()))
    }

    fn map(&mut self, space: &[usize], window: &[usize]) -> AxisMap {
        let mut axis = |dims: &[usize]| {
            (!dims.is_empty() && self.rng.chance(70)).then(|| self.rng.below(dims.len()))
        };
        let (i_axis, k_axis) = (axis(space), axis(window));
        let mut factor =
            |axis: Option<usize>| axis.map_or(0, |_| [1, 1, 1, 2, 3, -1, -2, 0][self.rng.below(8)]);
        let (a, b) = (factor(i_axis), factor(k_axis));
        let least = map(i_axis, a, k_axis, b, 0).extremes(space, window).0 as i32;
        let c = if self.rng.chance(60) { -least } else { self.rng.between(-2, 3) };
        let d = if self.rng.chance(15) { 2 + self.rng.below(2) as u32 } else { 1 };
        AxisMap { i_axis, a, k_axis, b, c, d }
    }

    /// An operand of one element a gate, in `[lo, hi]`, without pad.
    fn small(&mut self, role: Role, width: usize, lo: i32, hi: i32, space: &[usize]) -> Operand {
        let axes: Vec<usize> = (0..space.len()).filter(|_| self.rng.chance(50)).collect();
        let view: Vec<usize> = axes.iter().map(|&axis| space[axis]).chain([1]).collect();
        let maps: Vec<AxisMap> = axes
            .iter()
            .map(|&axis| by_i(axis))
            .chain([AxisMap { c: 0, ..map(None, 0, None, 0, 0) }])
            .collect();
        let tensor = self.b.ranged(role, width, lo, hi, &view);
        read(tensor, &view, &maps)
    }

    fn op(&mut self) {
        let space = self.rng.dims(4);
        let shape = if space.is_empty() { vec![1] } else { space.clone() };
        let width = if self.rng.chance(30) { 3 } else { 1 };
        let (out_width, kind) = match self.rng.below(10) {
            0 => (3, self.pick(&space)),
            1 => (3, self.gather(&space)),
            2 => (3, self.div(&space)),
            _ => (width, self.dot(&space)),
        };
        let out = self.b.tensor(Role::Value, out_width, &shape);
        self.b.op(out, &space, kind);
        self.readable.push(out);
    }

    fn dot(&mut self, space: &[usize]) -> OpKind {
        let wide = self.rng.chance(20);
        let width = if wide { 3 } else { 1 };
        let terms = (0..1 + self.rng.below(3)).map(|_| {
            let window = self.rng.dims(3);
            let a = self.operand(width, !wide, space, &window);
            // Width 2 against width 3 keeps a wide accumulator below its limit.
            let b = self.operand(width.min(2), !wide, space, &window);
            Term { window, a, b }
        });
        let mut dot = dot(terms.collect(), 0);
        let shift = if wide { 38 } else { 14 + self.rng.below(4) as i32 };
        dot.mult = Operand::Const(self.rng.between(1, 20));
        dot.shift = Operand::Const(shift);
        match self.rng.below(3) {
            0 => dot.mult = self.small(Role::Weight, 2, 0, 20, space),
            1 => dot.shift = self.small(Role::Weight, 1, shift, shift + 3, space),
            _ => dot.rounding = Some(self.small(Role::Prf, 2, 0, 255, space)),
        }
        if self.rng.chance(50) {
            dot.bias = Some(self.operand(width, true, space, &[]));
        }
        dot.out_zero = self.rng.between(-20, 20);
        if self.rng.chance(30) {
            let entries =
                (0..1 + self.rng.below(60)).map(|_| self.rng.between(-127, 127)).collect();
            let tables = &mut self.b.program().tables;
            dot.table = Some(tables.len());
            tables.push(Table { name: "table".into(), lo: -20, entries });
        }
        OpKind::Dot(dot)
    }

    fn pick(&mut self, space: &[usize]) -> OpKind {
        use PickMode::*;
        let mode = [Max, Argmax, Copy, Greater, Equal, Select][self.rng.below(6)];
        let window = if matches!(mode, Max | Argmax) { self.rng.dims(3) } else { vec![] };
        let operands =
            (0..mode.operands()).map(|_| self.operand(2, true, space, &window)).collect();
        OpKind::Pick(Pick { mode, window, operands })
    }

    fn gather(&mut self, space: &[usize]) -> OpKind {
        let Operand::Read(mut source) = self.operand(2, true, space, &[]) else {
            return self.gather(space);
        };
        let axis = self.rng.below(source.maps.len());
        source.maps[axis] = map(None, 0, None, 0, 0);
        let dim = source.view[axis];
        let index = self.small(Role::Input, 1, 0, dim as i32 - 1, space);
        OpKind::Gather(Gather { axis, source, index })
    }

    fn div(&mut self, space: &[usize]) -> OpKind {
        let scale = self.rng.between(1, 50);
        let out_zero = self.rng.between(-9, 9);
        if self.rng.chance(30) {
            let num = self.small(Role::Input, 2, 0, 30_000, space);
            return OpKind::Div(Div { scale, num, den: None, out_zero });
        }
        let num = self.operand(2, true, space, &[]);
        let den = Some(self.small(Role::Input, 2, 1, 3000, space));
        OpKind::Div(Div { scale, num, den, out_zero })
    }
}

/// Other leaves than whole rows in order.
pub fn shuffle_layouts(program: &mut Program, rng: &mut Rng) {
    for tensor in &mut program.tensors {
        let Source::Committed(layout) = &mut tensor.source else { continue };
        let rank = tensor.shape.len();
        layout.order = (0..rank).map(|i| (i + rng.0 as usize) % rank).collect();
        layout.trailing = 1 + rng.below(rank);
        let row: usize =
            layout.order[rank - layout.trailing..].iter().map(|&a| tensor.shape[a]).product();
        layout.piece = 1 + rng.below(row);
    }
}
