//! Programs: their words, bytes, validation, bounds, weights and gate semantics (docs/protocol.md 1 to 3).

mod decode;
mod divisor;
mod encode;
mod gates;
mod items;
mod layout;
mod liveness;
mod operands;
mod ranges;
#[cfg(test)]
pub(crate) mod testing;
mod types;
mod validate;
mod walk;
mod weights;

use sha2::{Digest, Sha256};

pub use decode::decode;
pub use divisor::Divisor;
pub use encode::encode;
pub use gates::{GatePlan, Scratch, Values, evaluate, reads};
pub use layout::LayoutMap;
pub use operands::{OperandRef, OperandUse};
pub use ranges::{ACC_MAX, Bound, P_HALF, Range, operand_range, requantise, rounding_bits};
pub use types::*;
pub use walk::{Run, Segment, Walk};

use crate::error::{Error, Result};

/// A program that passed every rule of docs/protocol.md sections 1 and 2, with what follows from it.
#[derive(Clone, Debug)]
pub struct Checked {
    pub program: Program,
    /// Program id (section 4, Identities).
    pub id: [u8; 32],
    pub bounds: Vec<Bound>,
    /// Products of one gate, per op.
    pub own: Vec<u64>,
    /// Weight of one gate, per op.
    pub gate_weight: Vec<u64>,
    /// `W = Σ G_c·w_c`.
    pub step_weight: u64,
    /// MACs of one gate, per op: of dots alone where the program has one.
    pub gate_macs: Vec<u64>,
    /// MACs of one step.
    pub step_macs: u64,
    /// Gates that reach an output or a state, per op: at least 1.
    pub live: Vec<u64>,
    /// MACs of the live gates of one step.
    pub live_macs: u64,
}

/// Decodes and judges program bytes.
///
/// # Errors
/// `program.malformed` or `program.invalid`.
pub fn load(bytes: &[u8]) -> Result<Checked> {
    let program = decode(bytes)?;
    validate::validate(&program)?;
    let bounds = ranges::derive(&program)?;
    items::judge(&program)?;
    let weights = weights::derive(&program)?;
    let live = liveness::derive(&program)?;
    let live_macs = live.iter().zip(&weights.macs).map(|(count, macs)| count * macs).sum();
    let id =
        Sha256::new().chain_update(b"zktally program v1\0").chain_update(bytes).finalize().into();
    Ok(Checked {
        program,
        id,
        bounds,
        own: weights.own,
        gate_weight: weights.gate,
        step_weight: weights.step,
        gate_macs: weights.macs,
        step_macs: weights.step_macs,
        live,
        live_macs,
    })
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new("program.invalid", message)
}

#[cfg(test)]
mod tests;
