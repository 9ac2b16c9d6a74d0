//! What a verified receipt says: numbers, digests, and the status of each output.

use super::journal::{Journal, mode_name};
use super::openings::Prepared;
use super::roots::model_id;
use super::sampling::{Counts, Plan};
use crate::hash::hex;
use crate::program::{OpKind, OperandRef, Program, Role};

/// How far an output is established (docs/protocol.md section 5, Guarantee).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Certified,
    Consistent,
    Sampled,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Certified => "certified",
            Self::Consistent => "consistent",
            Self::Sampled => "sampled",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OpFacts {
    pub name: String,
    pub kind: &'static str,
    pub gates: u64,
    /// Gates that reach an output or a state.
    pub live: u64,
    pub weight: u64,
    /// MACs of a gate; 0 unless it is a dot or there is none.
    pub macs: u64,
    /// `floor(e_c + s·G·w / W)`.
    pub draws: u64,
    pub enumerated: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OutputFacts {
    pub name: String,
    pub status: Status,
}

/// Collision resistance of a digest of 8 elements: no confidence goes beyond it.
pub const HASH_BITS: u16 = 124;

/// The STARK around a hybrid receipt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StarkFacts {
    /// 0 standard, 1 small.
    pub profile: u8,
    pub segments: u32,
    /// Proven bits of one segment.
    pub bits: f64,
}

impl StarkFacts {
    /// Proven bits, rounded down to tenths: as they are shown.
    pub fn shown_bits(&self) -> f64 {
        (self.bits * 10.0).floor() / 10.0
    }

    /// The headline of a receipt with so many bits of sampling (docs/hybrid.md section 7), rounded
    /// down.
    pub fn headline(&self, lambda: u16) -> u16 {
        let proven = (self.bits - f64::from(self.segments).log2()).floor();
        sampled(lambda).min(HASH_BITS).min(proven.clamp(0.0, 999.0) as u16)
    }
}

/// Bits of the sampling; where nothing is sampled, nothing is lost by it.
fn sampled(lambda: u16) -> u16 {
    if lambda == 0 { HASH_BITS } else { lambda }
}

/// The name of a profile (docs/stark.md section 8).
pub fn profile_name(profile: u8) -> &'static str {
    if profile == 0 { "standard" } else { "small" }
}

/// Everything that a verified receipt establishes; digests in hexadecimal digits.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    pub mode: &'static str,
    /// `None` for a fast receipt.
    pub stark: Option<StarkFacts>,
    /// The least of λ, the STARK's bits and the hashes'.
    pub headline_bits: u16,
    pub model_id: String,
    pub program_id: String,
    pub weights_root: String,
    pub program_name: String,
    pub steps: u32,
    pub items: u32,
    pub batch: u64,
    pub itemised: bool,
    pub delta_ppm: u32,
    pub delta_step_ppm: u32,
    pub delta_op_ppm: u32,
    pub lambda: u16,
    pub samples: u64,
    pub samples_per_op: u64,
    pub samples_per_step: u64,
    pub step_weight: u64,
    pub step_macs: u64,
    pub live_macs: u64,
    pub checked_gates: u64,
    pub ops: Vec<OpFacts>,
    pub outputs: Vec<OutputFacts>,
    pub input_root: String,
    pub initial_state: String,
    pub final_state: String,
    pub chain_root: String,
    pub prf_seed: String,
    pub input_key: Option<String>,
    pub inputs_public: bool,
    pub audience: Option<String>,
    pub nonce: Option<String>,
    pub receipt_bytes: u64,
}

impl Facts {
    pub fn new(
        prepared: &Prepared,
        journal: &Journal,
        plan: &Plan,
        stark: Option<StarkFacts>,
        receipt_bytes: usize,
    ) -> Self {
        let checked = &prepared.checked;
        let program = &checked.program;
        let counts = &plan.counts;
        let ops = program.ops.iter().enumerate().map(|(c, op)| OpFacts {
            name: op.name.clone(),
            kind: kind_name(&op.kind),
            gates: op.gates() as u64,
            weight: checked.gate_weight[c],
            live: checked.live[c],
            macs: checked.gate_macs[c],
            draws: counts.draws(checked, c),
            enumerated: counts.enumerated[c],
        });
        let outputs = program.outputs.iter().map(|port| OutputFacts {
            name: port.name.clone(),
            status: status(program, counts, port.tensor, journal.steps > 1),
        });
        Self {
            mode: mode_name(journal.mode).expect("decoded"),
            headline_bits: stark
                .map_or(journal.lambda.min(HASH_BITS), |stark| stark.headline(journal.lambda)),
            stark,
            model_id: hex(&model_id(&journal.program_id, journal.weights_root)),
            program_id: hex(&journal.program_id),
            weights_root: journal.weights_root.hex(),
            program_name: program.name.clone(),
            steps: journal.steps,
            items: journal.items,
            batch: program.batch() as u64,
            itemised: program.itemised(),
            delta_ppm: journal.delta,
            delta_step_ppm: journal.delta_step,
            delta_op_ppm: journal.delta_op,
            lambda: journal.lambda,
            samples: counts.samples.unwrap_or_default(),
            samples_per_op: counts.per_op,
            samples_per_step: counts.per_step.unwrap_or_default(),
            step_weight: checked.step_weight,
            step_macs: checked.step_macs,
            live_macs: checked.live_macs,
            checked_gates: plan.checked_gates(checked, journal.steps),
            ops: ops.collect(),
            outputs: outputs.collect(),
            input_root: journal.input_root.hex(),
            initial_state: journal.initial_state.hex(),
            final_state: journal.final_state.hex(),
            chain_root: journal.chain_root.hex(),
            prf_seed: journal.prf_seed.hex(),
            input_key: journal.input_key.map(|key| key.hex()),
            inputs_public: journal.inputs.is_some(),
            audience: journal.audience.map(str::to_string),
            nonce: journal.nonce.map(hex),
            receipt_bytes: receipt_bytes as u64,
        }
    }
}

/// The name of an op's kind, as in docs/receipt-format.md.
pub fn kind_name(kind: &OpKind) -> &'static str {
    match kind {
        OpKind::Dot(_) => "dot",
        OpKind::Pick(_) => "pick",
        OpKind::Gather(_) => "gather",
        OpKind::Div(_) => "div",
    }
}

/// The op that defines a value tensor.
fn defining(program: &Program, tensor: usize) -> Option<usize> {
    program.ops.iter().position(|op| op.out == tensor)
}

fn status(program: &Program, counts: &Counts, tensor: usize, across_steps: bool) -> Status {
    if ancestors(program, tensor, across_steps).iter().all(|&op| counts.enumerated[op]) {
        Status::Certified
    } else if defining(program, tensor).is_some_and(|op| counts.enumerated[op]) {
        Status::Consistent
    } else {
        Status::Sampled
    }
}

/// The ops from which a tensor can be reached, across the state links if there are several steps.
fn ancestors(program: &Program, tensor: usize, across_steps: bool) -> Vec<usize> {
    let mut seen = vec![false; program.tensors.len()];
    let mut pending = vec![tensor];
    let mut found = Vec::new();
    while let Some(tensor) = pending.pop() {
        if std::mem::replace(&mut seen[tensor], true) {
            continue;
        }
        if program.tensors[tensor].role == Role::State && across_steps {
            let links = program.states.iter().filter(|link| link.state == tensor);
            pending.extend(links.map(|link| link.value));
        }
        if let Some(op) = defining(program, tensor) {
            found.push(op);
            pending.extend(program.ops[op].operands().iter().filter_map(
                |used| match used.operand {
                    OperandRef::Read(read) => Some(read.tensor),
                    OperandRef::Const(_) => None,
                },
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headline_is_the_least_and_never_rounded_up() {
        let headline = |bits, segments, lambda| {
            let stark = StarkFacts { profile: 0, segments, bits };
            (stark.shown_bits(), stark.headline(lambda))
        };
        assert_eq!(headline(100.09, 1, 100), (100.0, 100));
        assert_eq!(headline(102.55, 4, 128), (102.5, 100));
        assert_eq!(headline(102.0, 3, 128), (102.0, 100));
        assert_eq!(headline(130.0, 1, 256), (130.0, HASH_BITS));
        assert_eq!(headline(110.0, 1, 90), (110.0, 90));
        assert_eq!(headline(1.0, 4, 90), (1.0, 0));
    }
}
