//! The rows that items take in the tables of gates, before addresses are known.

use super::operands::{At, Context, Factor, Place, Source, Stretch};
use super::plans::{DotPlan, Kind, OpPlan};
use super::streams::Streams;
use crate::error::Result;
use crate::hybrid::segments::Item;
use crate::program::PickMode;

#[derive(Clone, Copy)]
pub struct GateRow {
    pub op: u32,
    pub has_rows: bool,
    pub has_reads: bool,
    pub bias: Factor,
    pub mult: Factor,
    pub rounding: Factor,
    pub y: At,
}

#[derive(Clone, Copy)]
pub struct LimbRow {
    pub gate: u32,
    /// Bit `3i + j`: there is a stream of this pair of limbs.
    pub has: u16,
    pub bias: Factor,
    /// A constant bias.
    pub fixed: i64,
}

#[derive(Clone, Copy)]
pub struct PickRow {
    pub mode: PickMode,
    pub factors: [Factor; 3],
    pub y: At,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ScanKind {
    Max,
    Argmax,
    Gather,
}

#[derive(Clone, Copy)]
pub struct ScanRow {
    pub kind: ScanKind,
    pub k: u32,
    pub last: bool,
    pub value: Factor,
    pub index: Factor,
    pub y: At,
}

#[derive(Clone, Copy)]
pub struct DivRow {
    pub op: u32,
    pub num: Factor,
    pub den: Factor,
    pub y: At,
}

/// Rows of some items.
#[derive(Default)]
pub struct Rows {
    pub gates: Vec<GateRow>,
    pub streams: Streams,
    pub limbs: Vec<LimbRow>,
    pub picks: Vec<PickRow>,
    pub scans: Vec<ScanRow>,
    pub divs: Vec<DivRow>,
}

/// Room for the operands of one gate, kept between gates.
#[derive(Default)]
pub struct Scratch {
    values: Vec<Stretch>,
    /// Of each term of a dot.
    pub terms: Vec<[Side; 2]>,
}

/// A factor of a term, kept for the gates behind it: they often read the same.
#[derive(Default)]
pub struct Side {
    pub stretches: Vec<Stretch>,
    /// Op, step and the first gate that reads this.
    of: Option<(usize, usize, usize)>,
}

impl Side {
    /// The factor's values over its window of `size` positions.
    pub fn fill(
        &mut self,
        source: &Source,
        context: &Context,
        at: GateAt,
        size: usize,
    ) -> Result<()> {
        let of = Some((at.op, at.step, source.first(at.gate)));
        if self.of != of {
            self.of = None;
            source.fill(context, at.place(), size, &mut self.stretches)?;
            self.of = of;
        }
        Ok(())
    }
}

/// Op, step and gate of an item.
#[derive(Clone, Copy)]
pub struct GateAt {
    pub op: usize,
    pub step: usize,
    pub gate: usize,
}

impl GateAt {
    pub fn place(self) -> (usize, usize) {
        (self.step, self.gate)
    }
}

impl Rows {
    /// The rows of some items; `first` dot gates stand before them.
    pub fn of_items(
        context: &Context,
        plans: &[Option<OpPlan>],
        items: &[Item],
        first: usize,
    ) -> Result<Self> {
        let (mut rows, scratch) = (Self::default(), &mut Scratch::default());
        for item in items {
            let Item::Gate { op, step, gate } = *item else { continue };
            let Some(plan) = &plans[op] else { continue };
            let (at, number) = (GateAt { op, step, gate }, first + rows.gates.len());
            let y = context.output(plan.out, step, gate)?;
            match &plan.kind {
                Kind::Dot(dot) => rows.add_dot(context, dot, at, number, y, scratch)?,
                Kind::Pick { mode, size, operands } => {
                    rows.add_pick(context, (*mode, *size), operands, at, y, scratch)?;
                }
                Kind::Gather { source, index, stride, dim } => {
                    source.along(context, at.place(), (*stride, *dim), &mut scratch.values)?;
                    let index = index.one(context, at.place())?;
                    rows.add_scan(ScanKind::Gather, &scratch.values, index, y);
                }
                Kind::Div { num, den } => {
                    let num = num.one(context, at.place())?;
                    let den = den
                        .as_ref()
                        .map_or(Ok(Factor::default()), |den| den.one(context, at.place()))?;
                    rows.divs.push(DivRow { op: op as u32, num, den, y });
                }
            }
        }
        Ok(rows)
    }

    fn add_dot(
        &mut self,
        context: &Context,
        dot: &DotPlan,
        at: GateAt,
        number: usize,
        y: At,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let bias = dot.bias.one(context, at.place())?;
        let mut row = GateRow {
            op: at.op as u32,
            has_rows: false,
            has_reads: false,
            bias,
            mult: dot.mult.one(context, at.place())?,
            rounding: dot.rounding.one(context, at.place())?,
            y,
        };
        if dot.direct {
            (row.has_rows, row.has_reads) =
                self.streams.add_direct(context, &dot.terms, at, number, scratch)?;
        } else {
            let has = self.streams.add_wide(context, &dot.terms, at, number)?;
            let (bias, fixed) = match dot.bias.constant() {
                Some(value) => (Factor::default(), value),
                None => (row.bias, 0),
            };
            self.limbs.push(LimbRow { gate: number as u32, has, bias, fixed });
            row.bias = Factor::default();
        }
        self.gates.push(row);
        Ok(())
    }

    fn add_pick(
        &mut self,
        context: &Context,
        (mode, size): (PickMode, usize),
        operands: &[Source],
        at: GateAt,
        y: At,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let kind = match mode {
            PickMode::Max => ScanKind::Max,
            PickMode::Argmax => ScanKind::Argmax,
            _ => {
                let mut factors = [Factor::default(); 3];
                // A condition comes first among the operands, and last in the table.
                let first = if mode == PickMode::Select { 2 } else { 0 };
                for (i, operand) in operands.iter().enumerate() {
                    factors[(first + i) % 3] = operand.one(context, at.place())?;
                }
                self.picks.push(PickRow { mode, factors, y });
                return Ok(());
            }
        };
        operands[0].fill(context, at.place(), size, &mut scratch.values)?;
        self.add_scan(kind, &scratch.values, Factor::default(), y);
        Ok(())
    }

    fn add_scan(&mut self, kind: ScanKind, values: &[Stretch], index: Factor, y: At) {
        let values = values.iter().flat_map(|stretch| (0..stretch.len).map(|j| stretch.factor(j)));
        let (none, nowhere) = (Factor::default(), At::default());
        self.scans.extend((0..).zip(values).map(|(k, value)| ScanRow {
            kind,
            k,
            last: false,
            value,
            index: none,
            y: nowhere,
        }));
        if let Some(row) = self.scans.last_mut() {
            (row.last, row.index, row.y) = (true, index, y);
        }
    }

    /// Appends the rows of the items that follow.
    pub fn append(&mut self, mut other: Self) {
        self.gates.append(&mut other.gates);
        self.streams.append(other.streams);
        self.limbs.append(&mut other.limbs);
        self.picks.append(&mut other.picks);
        self.scans.append(&mut other.scans);
        self.divs.append(&mut other.divs);
    }

    /// Visits every place that is read.
    pub fn each_read(&self, mut visit: impl FnMut(Place)) {
        let mut all = |places: &[At]| places.iter().for_each(|at| visit(at.place()));
        for row in &self.gates {
            all(&[row.bias.at, row.mult.at, row.rounding.at, row.y]);
        }
        self.streams.products.iter().for_each(|[a, b]| all(&[a.at, b.at]));
        self.limbs.iter().for_each(|row| all(&[row.bias.at]));
        for row in &self.picks {
            let [a, b, c] = row.factors;
            all(&[a.at, b.at, c.at, row.y]);
        }
        self.scans.iter().for_each(|row| all(&[row.value.at, row.index.at, row.y]));
        self.divs.iter().for_each(|row| all(&[row.num.at, row.den.at, row.y]));
    }
}
