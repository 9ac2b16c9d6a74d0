//! Programs: their words, bytes, validation, bounds, weights and gate semantics (docs/protocol.md 1 to 3).

mod decode;
mod encode;
mod gates;
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
pub use encode::encode;
pub use gates::{GatePlan, Scratch, Values, evaluate, reads};
pub use layout::LayoutMap;
pub use liveness::LIVE_SCALE;
pub use operands::{OperandRef, OperandUse};
pub use ranges::{Bound, Range, operand_range, requantise, rounding_bits};
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
    /// Products of the dot gates of one step.
    pub step_macs: u64,
    /// Share of the step weight that live gates carry, in 1/1024 ([`LIVE_SCALE`]): 1 to 1024.
    pub live: u64,
}

/// Decodes and judges program bytes.
///
/// # Errors
/// `program.malformed` or `program.invalid`.
pub fn load(bytes: &[u8]) -> Result<Checked> {
    let program = decode(bytes)?;
    validate::validate(&program)?;
    let bounds = ranges::derive(&program)?;
    let weights = weights::derive(&program)?;
    let live = liveness::live_share(&program, &weights)?;
    let id =
        Sha256::new().chain_update(b"zktally program v1\0").chain_update(bytes).finalize().into();
    Ok(Checked {
        program,
        id,
        bounds,
        own: weights.own,
        gate_weight: weights.gate,
        step_weight: weights.step,
        step_macs: weights.macs,
        live,
    })
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new("program.invalid", message)
}

#[cfg(test)]
mod tests;
