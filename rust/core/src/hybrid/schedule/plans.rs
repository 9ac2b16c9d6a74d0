//! Ops, prepared: their operands, and the numbers that all of their gates share.

use super::operands::Source;
use super::requant::Requant;
use crate::commit::Prepared;
use crate::hybrid::support::is_direct;
use crate::program::{OpKind, Operand, OperandRef, PickMode};

pub struct OpPlan {
    pub out: usize,
    pub kind: Kind,
}

pub enum Kind {
    Dot(Box<DotPlan>),
    Pick { mode: PickMode, size: usize, operands: Vec<Source> },
    Gather { source: Source, index: Source, stride: usize, dim: usize },
    Div { num: Source, den: Option<Source> },
}

pub struct DotPlan {
    pub direct: bool,
    pub terms: Vec<TermPlan>,
    pub bias: Source,
    pub mult: Source,
    pub rounding: Source,
    pub requant: Requant,
}

pub struct TermPlan {
    pub size: usize,
    pub a: Source,
    pub b: Source,
    /// Both are reads of committed tensors.
    pub committed: bool,
}

impl OpPlan {
    pub fn new(prepared: &Prepared, number: usize) -> Self {
        let checked = &prepared.checked;
        let op = &checked.program.ops[number];
        let source = |operand: &Operand, window: &[usize]| {
            Source::new(prepared, &op.space, window, OperandRef::of(operand))
        };
        let single = |operand: &Operand| source(operand, &[]);
        let optional =
            |operand: &Option<Operand>| operand.as_ref().map_or(Source::Const(0), single);
        let kind = match &op.kind {
            OpKind::Dot(dot) => {
                let term = |term: &crate::program::Term| {
                    let (a, b) = (source(&term.a, &term.window), source(&term.b, &term.window));
                    TermPlan { size: term.size(), committed: a.committed() && b.committed(), a, b }
                };
                Kind::Dot(Box::new(DotPlan {
                    direct: is_direct(checked, number),
                    terms: dot.terms.iter().map(term).collect(),
                    bias: optional(&dot.bias),
                    mult: single(&dot.mult),
                    rounding: optional(&dot.rounding),
                    requant: Requant::new(checked, number, dot),
                }))
            }
            OpKind::Pick(pick) => Kind::Pick {
                mode: pick.mode,
                size: pick.window.iter().product(),
                operands: pick.operands.iter().map(|o| source(o, &pick.window)).collect(),
            },
            OpKind::Gather(gather) => Kind::Gather {
                source: Source::new(prepared, &op.space, &[], OperandRef::Read(&gather.source)),
                index: single(&gather.index),
                stride: gather.source.view[gather.axis + 1..].iter().product(),
                dim: gather.source.view[gather.axis],
            },
            OpKind::Div(div) => {
                Kind::Div { num: single(&div.num), den: div.den.as_ref().map(single) }
            }
        };
        Self { out: op.out, kind }
    }
}

impl OpPlan {
    /// The requantisation of a dot.
    pub fn requant(&self) -> Option<&Requant> {
        if let Kind::Dot(dot) = &self.kind { Some(&dot.requant) } else { None }
    }
}
