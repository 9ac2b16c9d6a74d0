//! Weights of gates: the work of a gate, or its share of what it feeds if that is more
//! (docs/protocol.md section 3). What flows up is divided among the tensors that a gate reads.

use super::invalid;
use super::operands::{OperandRef, OperandUse};
use super::types::*;
use crate::error::{Error, Result};

const MAX_STEP_WEIGHT: u128 = 1 << 55;

pub(super) struct Weights {
    pub own: Vec<u64>,
    pub gate: Vec<u64>,
    /// What a gate counts of the compute that δ is about: its own products, of dots alone where
    /// there is one.
    pub macs: Vec<u64>,
    pub step: u64,
    pub step_macs: u64,
}

/// The weights of a validated program.
///
/// # Errors
/// `program.invalid` if the step weight is not below 2^55.
pub(super) fn derive(program: &Program) -> Result<Weights> {
    let none = vec![0; program.tensors.len()];
    let (_, feed) = pass(program, &none)?;
    let mut carried = none;
    for link in &program.states {
        carried[link.value] = feed[link.state];
    }
    let (gate, _) = pass(program, &carried)?;
    let gates = |op: &Op| op.gates() as u128;
    let step =
        program.ops.iter().zip(&gate).map(|(op, &weight)| gates(op) * u128::from(weight)).sum();
    let is_dot = |op: &Op| matches!(op.kind, OpKind::Dot(_));
    let has_dot = program.ops.iter().any(is_dot);
    let of_op = |op: &Op| if is_dot(op) || !has_dot { op.own() } else { 0 };
    let macs: Vec<u64> = program.ops.iter().map(of_op).collect();
    let step_macs =
        program.ops.iter().zip(&macs).map(|(op, &macs)| gates(op) * u128::from(macs)).sum();
    Ok(Weights {
        own: program.ops.iter().map(Op::own).collect(),
        gate,
        macs,
        step: below_limit(step)?,
        // A gate weighs at least its own products, so the MACs are at most the step weight.
        step_macs: below_limit(step_macs)?,
    })
}

/// One pass backwards: the weight of each op's gates and the feed of each tensor, to which `carried`
/// is added per tensor.
fn pass(program: &Program, carried: &[u128]) -> Result<(Vec<u64>, Vec<u128>)> {
    let mut total = vec![0u128; program.tensors.len()];
    let feed = |total: &[u128], t: usize| {
        total[t].div_ceil(program.tensors[t].size() as u128) + carried[t]
    };
    let mut weight = vec![0; program.ops.len()];
    for (c, op) in program.ops.iter().enumerate().rev() {
        // Refused here if it is already too heavy alone; so 2^55 · 2^30 gates · 2^20 reads fit u128.
        weight[c] = below_limit(feed(&total, op.out).max(op.own().into()))?;
        let read = |used: OperandUse| match used.operand {
            OperandRef::Read(read) => Some((read.tensor, u128::from(used.count))),
            OperandRef::Const(_) => None,
        };
        let reads: Vec<(usize, u128)> = op.operands().into_iter().filter_map(read).collect();
        let whole: u128 = reads.iter().map(|(_, count)| count).sum();
        for (tensor, count) in reads {
            let carries = op.gates() as u128 * u128::from(weight[c]) * count;
            total[tensor] += carries.div_ceil(whole);
        }
    }
    let feeds = (0..total.len()).map(|t| feed(&total, t)).collect();
    Ok((weight, feeds))
}

fn below_limit(weight: u128) -> Result<u64> {
    let refused = || -> Error {
        invalid("the weight of a step is too large")
            .expected(format!("below {MAX_STEP_WEIGHT}"))
            .received(weight)
    };
    u64::try_from(weight).ok().filter(|_| weight < MAX_STEP_WEIGHT).ok_or_else(refused)
}
