//! What an op reads, for everything that treats all operands alike.

use super::types::*;

impl PickMode {
    /// Number of operands.
    pub fn operands(self) -> usize {
        match self {
            Self::Max | Self::Argmax | Self::Copy => 1,
            Self::Greater | Self::Equal => 2,
            Self::Select => 3,
        }
    }
}

impl Term {
    /// Number of products of one gate; call after the limits were checked.
    pub fn size(&self) -> usize {
        self.window.iter().product()
    }
}

impl Op {
    /// Every operand with the window that it is read over and how often a gate reads it
    /// (`n_o` of docs/protocol.md section 3), in the order of the encoding.
    pub fn operands(&self) -> Vec<OperandUse<'_>> {
        let own = self.own();
        let whole = |operand| OperandUse { operand, window: &[], count: own };
        match &self.kind {
            OpKind::Dot(Dot { terms, bias, mult, shift, rounding, .. }) => {
                let factors = terms.iter().flat_map(|term| {
                    [&term.a, &term.b].map(|operand| OperandUse {
                        operand: OperandRef::of(operand),
                        window: &term.window,
                        count: term.size() as u64,
                    })
                });
                let rest = [bias.as_ref(), Some(mult), Some(shift), rounding.as_ref()];
                factors
                    .chain(rest.into_iter().flatten().map(|o| whole(OperandRef::of(o))))
                    .collect()
            }
            OpKind::Pick(Pick { window, operands, .. }) => {
                let count = window.iter().product::<usize>() as u64;
                let used = |operand| OperandUse { operand: OperandRef::of(operand), window, count };
                operands.iter().map(used).collect()
            }
            OpKind::Gather(Gather { source, index, .. }) => {
                vec![whole(OperandRef::Read(source)), whole(OperandRef::of(index))]
            }
            OpKind::Div(Div { num, den, .. }) => {
                std::iter::once(num).chain(den).map(|o| whole(OperandRef::of(o))).collect()
            }
        }
    }

    /// Products of one gate (docs/protocol.md section 3); call after the limits were checked.
    pub fn own(&self) -> u64 {
        match &self.kind {
            OpKind::Dot(dot) => dot.terms.iter().map(|term| term.size() as u64).sum(),
            OpKind::Pick(pick) => {
                (pick.window.iter().product::<usize>() * pick.operands.len()) as u64
            }
            OpKind::Gather(_) | OpKind::Div(_) => 1,
        }
    }
}

/// A borrowed operand; a gather's source is a read without an [`Operand`] around it.
#[derive(Clone, Copy, Debug)]
pub enum OperandRef<'a> {
    Const(i32),
    Read(&'a Read),
}

impl<'a> OperandRef<'a> {
    pub fn of(operand: &'a Operand) -> Self {
        match operand {
            Operand::Const(value) => Self::Const(*value),
            Operand::Read(read) => Self::Read(read),
        }
    }
}

/// An operand of an op, its window, and how often a gate reads it.
#[derive(Clone, Copy, Debug)]
pub struct OperandUse<'a> {
    pub operand: OperandRef<'a>,
    pub window: &'a [usize],
    pub count: u64,
}

impl Op {
    /// Numbers of the tensors that the op reads, in the order of its operands.
    pub fn tensors(&self) -> impl Iterator<Item = usize> {
        self.operands().into_iter().filter_map(|used| match used.operand {
            OperandRef::Read(read) => Some(read.tensor),
            OperandRef::Const(_) => None,
        })
    }
}
