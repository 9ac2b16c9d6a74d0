//! The exact semantics of one gate (docs/protocol.md section 1, Ops): the meaning that every other
//! way of computing an op must reproduce.

use super::operands::OperandRef;
use super::ranges::{operand_range, requantise, rounding_bits};
use super::types::*;
use super::walk::{Run, Segment, Walk};
use crate::error::{Error, Result};

/// Where a gate finds the values that it reads.
///
/// Every value must lie in the declared range of its tensor: the bounds of section 2 rest on that.
pub trait Values {
    /// The element of `tensor` at a row-major offset.
    fn value(&self, tensor: usize, offset: usize) -> Result<i64>;

    /// The elements of a run; override where runs can be copied faster.
    fn values(&self, tensor: usize, run: Run, out: &mut Vec<i64>) -> Result<()> {
        for j in 0..run.len {
            out.push(self.value(tensor, run.start.wrapping_add_signed(run.step * j as isize))?);
        }
        Ok(())
    }
}

/// Room for the values of one gate, kept between gates.
#[derive(Default)]
pub struct Scratch {
    a: Vec<i64>,
    b: Vec<i64>,
}

/// Evaluates gate `gate` of `op`; for many gates, make one [`GatePlan`].
pub fn evaluate(program: &Program, op: &Op, gate: usize, values: &impl Values) -> Result<i32> {
    GatePlan::new(program, op).evaluate(gate, values, &mut Scratch::default())
}

/// Visits every (tensor, row-major offset) that gate `gate` of `op` reads; see [`GatePlan::runs`].
pub fn reads(
    program: &Program,
    op: &Op,
    gate: usize,
    index: Option<i64>,
    visit: &mut impl FnMut(usize, usize),
) {
    GatePlan::new(program, op).runs(gate, index, &mut |tensor, run| {
        for j in 0..run.len {
            visit(tensor, run.start.wrapping_add_signed(run.step * j as isize));
        }
    });
}

/// An operand, prepared.
enum Source {
    Const(i64),
    Read { tensor: usize, walk: Box<Walk>, zero: i64, pad: i64 },
}

impl Source {
    fn new(op: &Op, window: &[usize], operand: OperandRef<'_>) -> Self {
        match operand {
            OperandRef::Const(value) => Self::Const(value.into()),
            OperandRef::Read(read) => Self::Read {
                tensor: read.tensor,
                walk: Box::new(Walk::new(read, &op.space, window)),
                zero: read.zero.into(),
                // Without a pad, nothing is ever padded.
                pad: read.pad.unwrap_or(read.zero).into(),
            },
        }
    }

    /// The operand's values over its window of `size` positions.
    fn fill(
        &self,
        gate: usize,
        size: usize,
        values: &impl Values,
        out: &mut Vec<i64>,
    ) -> Result<()> {
        out.clear();
        match self {
            Self::Const(value) => out.resize(size, *value),
            Self::Read { tensor, walk, zero, pad } => {
                let mut failure = Ok(());
                walk.segments(gate, |segment| match segment {
                    Segment::Pad(len) => out.resize(out.len() + len, *pad),
                    Segment::Run(run) => {
                        if failure.is_ok() {
                            failure = values.values(*tensor, run, out);
                        }
                    }
                });
                failure?;
                out.iter_mut().for_each(|value| *value -= zero);
            }
        }
        Ok(())
    }

    fn one(&self, gate: usize, values: &impl Values, scratch: &mut Vec<i64>) -> Result<i64> {
        self.fill(gate, 1, values, scratch)?;
        Ok(scratch[0])
    }

    /// The first gate for which this is the same operand.
    fn first(&self, gate: usize) -> usize {
        if let Self::Read { walk, .. } = self { walk.first(gate) } else { 0 }
    }

    fn runs(&self, gate: usize, visit: &mut impl FnMut(usize, Run)) {
        if let Self::Read { tensor, walk, .. } = self {
            walk.segments(gate, |segment| {
                if let Segment::Run(run) = segment {
                    visit(*tensor, run);
                }
            });
        }
    }
}

/// An op, prepared for evaluating many of its gates.
pub struct GatePlan<'a> {
    program: &'a Program,
    op: &'a Op,
    kind: Kind,
}

enum Kind {
    Dot {
        terms: Vec<(usize, Source, Source)>,
        bias: Source,
        mult: Source,
        shift: Source,
        rounding: Option<(Source, u32)>,
    },
    Pick {
        size: usize,
        operands: Vec<Source>,
    },
    Gather {
        source: Source,
        index: Source,
        stride: usize,
        dim: usize,
    },
    Div {
        num: Source,
        den: Option<Source>,
    },
}

impl<'a> GatePlan<'a> {
    /// Prepares an op of a validated program.
    pub fn new(program: &'a Program, op: &'a Op) -> Self {
        let source =
            |operand: &Operand, window: &[usize]| Source::new(op, window, OperandRef::of(operand));
        let single = |operand: &Operand| source(operand, &[]);
        let kind = match &op.kind {
            OpKind::Dot(dot) => Kind::Dot {
                terms: dot
                    .terms
                    .iter()
                    .map(|t| (t.size(), source(&t.a, &t.window), source(&t.b, &t.window)))
                    .collect(),
                bias: dot.bias.as_ref().map_or(Source::Const(0), single),
                mult: single(&dot.mult),
                shift: single(&dot.shift),
                rounding: dot.rounding.as_ref().map(|operand| {
                    let bits = rounding_bits(operand_range(program, OperandRef::of(operand)));
                    (
                        single(operand),
                        bits.expect("validated: a rounding has the range [0, 2^b - 1]"),
                    )
                }),
            },
            OpKind::Pick(pick) => Kind::Pick {
                size: pick.window.iter().product(),
                operands: pick
                    .operands
                    .iter()
                    .map(|operand| source(operand, &pick.window))
                    .collect(),
            },
            OpKind::Gather(gather) => Kind::Gather {
                source: Source::new(op, &[], OperandRef::Read(&gather.source)),
                index: single(&gather.index),
                stride: gather.source.view[gather.axis + 1..].iter().product(),
                dim: gather.source.view[gather.axis],
            },
            OpKind::Div(div) => {
                Kind::Div { num: single(&div.num), den: div.den.as_ref().map(single) }
            }
        };
        Self { program, op, kind }
    }

    /// The output of gate `gate`.
    ///
    /// # Errors
    /// Only those of `values`.
    pub fn evaluate(
        &self,
        gate: usize,
        values: &impl Values,
        scratch: &mut Scratch,
    ) -> Result<i32> {
        let y = match (&self.kind, &self.op.kind) {
            (Kind::Dot { .. }, OpKind::Dot(dot)) => self.dot(dot, gate, values, scratch)?,
            (Kind::Pick { size, operands }, OpKind::Pick(pick)) => {
                picked(pick.mode, *size, operands, gate, values, scratch)?
            }
            (Kind::Gather { source, index, stride, dim }, _) => {
                let index = index.one(gate, values, &mut scratch.a)?;
                gathered(source, selected(index, *dim)?, *stride, gate, values)?
            }
            (Kind::Div { num, den }, OpKind::Div(div)) => {
                let num = num.one(gate, values, &mut scratch.a)? * i64::from(div.scale);
                let q = match den {
                    Some(den) => {
                        let den = den.one(gate, values, &mut scratch.a)?;
                        (2 * num + den).div_euclid(2 * den)
                    }
                    None => num.isqrt(),
                };
                self.clamp(q + i64::from(div.out_zero))
            }
            _ => unreachable!("a plan has the kind of its op"),
        };
        Ok(y as i32)
    }

    /// Visits every run of elements that gate `gate` reads, operand by operand (pads read nothing).
    ///
    /// A gather reads the one element that `index`, the value of its index operand, selects; while
    /// that is not known (`None`) it visits every element that it could select. Other ops ignore `index`.
    pub fn runs(&self, gate: usize, index: Option<i64>, visit: &mut impl FnMut(usize, Run)) {
        for operand in 0..self.operand_count() {
            self.runs_of(operand, gate, index, visit);
        }
    }

    /// The same, of one operand.
    pub fn runs_of(
        &self,
        operand: usize,
        gate: usize,
        index: Option<i64>,
        visit: &mut impl FnMut(usize, Run),
    ) {
        let source = self.operand(operand);
        match &self.kind {
            Kind::Gather { stride, dim, .. } if operand == 0 => {
                let (first, len) = index.map_or((0, *dim), |index| (index as usize, 1));
                let (first, step) = (first * stride, *stride as isize);
                let along = |run: Run| Run { start: run.start + first, step, len };
                source.runs(gate, &mut |tensor, run| visit(tensor, along(run)));
            }
            _ => source.runs(gate, visit),
        }
    }

    /// What these gates (each of a step) read as an operand, whatever several of them read once: the
    /// steps and the first gates that read the same, ascending.
    pub fn distinct(
        &self,
        operand: usize,
        gates: impl Iterator<Item = (usize, usize)>,
    ) -> Vec<(usize, usize)> {
        let source = self.operand(operand);
        let mut firsts = Vec::new();
        for (step, gate) in gates {
            let first = (step, source.first(gate));
            if firsts.last() != Some(&first) {
                firsts.push(first);
            }
        }
        firsts.sort_unstable();
        firsts.dedup();
        firsts
    }

    /// The operands that no gate before this one reads the same, by number.
    pub fn new_operands(&self, gate: usize) -> Vec<usize> {
        (0..self.operand_count()).filter(|&i| self.operand(i).first(gate) == gate).collect()
    }

    pub fn operand_count(&self) -> usize {
        match &self.kind {
            Kind::Dot { terms, rounding, .. } => {
                2 * terms.len() + 3 + usize::from(rounding.is_some())
            }
            Kind::Pick { operands, .. } => operands.len(),
            Kind::Gather { .. } => 2,
            Kind::Div { den, .. } => 1 + usize::from(den.is_some()),
        }
    }

    /// An operand by its number, in the order in which they are visited.
    fn operand(&self, number: usize) -> &Source {
        let found = match &self.kind {
            Kind::Dot { terms, bias, mult, shift, rounding } => match terms.get(number / 2) {
                Some((_, a, b)) => Some(if number.is_multiple_of(2) { a } else { b }),
                None => match number - 2 * terms.len() {
                    0 => Some(bias),
                    1 => Some(mult),
                    2 => Some(shift),
                    _ => rounding.as_ref().map(|(source, _)| source),
                },
            },
            Kind::Pick { operands, .. } => operands.get(number),
            Kind::Gather { source, index, .. } => Some(if number == 0 { source } else { index }),
            Kind::Div { num, den } => {
                if number == 0 {
                    Some(num)
                } else {
                    den.as_ref()
                }
            }
        };
        found.expect("numbers are below the count")
    }

    fn dot(
        &self,
        dot: &Dot,
        gate: usize,
        values: &impl Values,
        scratch: &mut Scratch,
    ) -> Result<i64> {
        let Kind::Dot { terms, bias, mult, shift, rounding } = &self.kind else {
            unreachable!("a plan has the kind of its op")
        };
        let mut acc = bias.one(gate, values, &mut scratch.a)?;
        for (size, a, b) in terms {
            a.fill(gate, *size, values, &mut scratch.a)?;
            b.fill(gate, *size, values, &mut scratch.b)?;
            acc += scratch.a.iter().zip(&scratch.b).map(|(a, b)| a * b).sum::<i64>();
        }
        let mult = mult.one(gate, values, &mut scratch.a)?;
        let shift = shift.one(gate, values, &mut scratch.a)? as u32;
        let half = match rounding {
            Some((rounding, bits)) => rounding.one(gate, values, &mut scratch.a)? << (shift - bits),
            None => (1 << shift) >> 1,
        };
        let q = requantise(acc, mult, shift, half, dot.out_zero.into());
        Ok(match dot.table {
            None => self.clamp(q),
            Some(table) => self.program.tables[table].at(q).into(),
        })
    }

    fn clamp(&self, q: i64) -> i64 {
        let out = &self.program.tensors[self.op.out];
        q.clamp(out.lo.into(), out.hi.into())
    }
}

impl Table {
    /// The entry of `q`, clamped to the table's domain.
    pub fn at(&self, q: i64) -> i32 {
        let last = self.entries.len() as i64 - 1;
        self.entries[(q - i64::from(self.lo)).clamp(0, last) as usize]
    }
}

fn picked(
    mode: PickMode,
    size: usize,
    operands: &[Source],
    gate: usize,
    values: &impl Values,
    scratch: &mut Scratch,
) -> Result<i64> {
    operands[0].fill(gate, size, values, &mut scratch.a)?;
    let window = &scratch.a;
    let first = window[0];
    if let PickMode::Max | PickMode::Argmax | PickMode::Copy = mode {
        // Strictly greater: the first position wins a tie.
        let (k, max) = (1..)
            .zip(&window[1..])
            .fold((0, first), |best, (k, &v)| if v > best.1 { (k, v) } else { best });
        return Ok(if mode == PickMode::Argmax { k } else { max });
    }
    let second = operands[1].one(gate, values, &mut scratch.b)?;
    Ok(match mode {
        PickMode::Greater => i64::from(first > second),
        PickMode::Equal => i64::from(first == second),
        _ if first != 0 => second,
        _ => operands[2].one(gate, values, &mut scratch.b)?,
    })
}

/// The index of a gather, which validation keeps inside the axis.
fn selected(index: i64, dim: usize) -> Result<usize> {
    let inside = usize::try_from(index).ok().filter(|&index| index < dim);
    inside.ok_or_else(|| {
        Error::new("verify.range", "the index of a gather leaves its axis").received(index)
    })
}

fn gathered(
    source: &Source,
    index: usize,
    stride: usize,
    gate: usize,
    values: &impl Values,
) -> Result<i64> {
    let Source::Read { tensor, walk, zero, pad } = source else {
        unreachable!("the source of a gather is a read")
    };
    let mut result = Ok(*pad);
    walk.segments(gate, |segment| {
        if let Segment::Run(run) = segment {
            result = values.value(*tensor, run.start + index * stride);
        }
    });
    Ok(result? - zero)
}
