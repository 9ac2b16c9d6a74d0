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

    /// The headline of a receipt with so many bits of sampling, 0 where nothing is sampled.
    pub fn headline(&self, lambda: u16) -> u16 {
        let tenths = (self.bits * 10.0).floor().max(0.0) as u32;
        headline(lambda, units_of_segments(tenths, self.segments))
    }
}

/// The headline of a receipt without a STARK, with so many bits of sampling, 0 where nothing is.
pub fn fast_headline(lambda: u16) -> u16 {
    headline(lambda, Some(0))
}

/// Errors are counted in whole units of 2^−127, each rounded up: no rounding can flatter a receipt, and
/// another verifier finds the same (docs/stark.md section 8).
const LOG_UNIT: u32 = 127;
/// `2^(j/10)` in units of 2^−16, rounded up.
const TENTHS: [u64; 10] =
    [65_536, 70_240, 75_282, 80_685, 86_476, 92_682, 99_335, 106_464, 114_105, 122_295];

/// `floor(−log2(2^−λ + STARK + 2^−124))`; `None` is an error of 2 or more.
fn headline(lambda: u16, stark: Option<u128>) -> u16 {
    let power = |bits: u16| 1u128 << LOG_UNIT.saturating_sub(u32::from(bits));
    let sampling = if lambda == 0 { 0 } else { power(lambda) };
    let sum = stark.and_then(|stark| stark.checked_add(sampling + power(HASH_BITS)));
    // The least power of two of units that is not below the sum.
    sum.map_or(0, |sum| LOG_UNIT.saturating_sub(u128::BITS - (sum - 1).leading_zeros()) as u16)
}

/// `segments·2^(−tenths/10)` in units.
fn units_of_segments(tenths: u32, segments: u32) -> Option<u128> {
    let whole = tenths.div_ceil(10);
    let mantissa = u128::from(segments) * u128::from(TENTHS[(10 * whole - tenths) as usize]);
    match (LOG_UNIT - 16).checked_sub(whole) {
        Some(left) => (left <= mantissa.leading_zeros()).then(|| mantissa << left),
        None => Some(mantissa.div_ceil(1 << (whole - (LOG_UNIT - 16)).min(LOG_UNIT))),
    }
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
    /// What all errors together leave: of sampling, the STARK, the hashes.
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
            headline_bits: stark.map_or_else(
                || fast_headline(journal.lambda),
                |stark| stark.headline(journal.lambda),
            ),
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
    use sha2::{Digest, Sha256};

    use super::*;

    fn stark(bits: f64, segments: u32) -> StarkFacts {
        StarkFacts { profile: 0, segments, bits }
    }

    #[test]
    fn the_headline_is_of_the_sum_and_never_rounded_up() {
        let headline = |bits, segments, lambda| {
            let stark = stark(bits, segments);
            (stark.shown_bits(), stark.headline(lambda))
        };
        // Nothing is sampled: the STARK and the hashes alone, of which 2^-124 costs the last bit.
        assert_eq!(headline(100.09, 1, 0), (100.0, 99));
        assert_eq!(headline(100.1, 1, 0), (100.1, 100));
        assert_eq!(headline(102.1, 4, 0), (102.1, 100));
        assert_eq!(headline(101.0, 1, 102), (101.0, 100));
        assert_eq!(headline(101.0, 1, 101), (101.0, 99));
        assert_eq!(headline(103.0, 3, 102), (103.0, 100));
        assert_eq!(headline(110.0, 1, 90), (110.0, 89));
        assert_eq!(headline(200.0, 1, 256), (200.0, 123));
        assert_eq!(headline(1.0, 4, 90), (1.0, 0));
        assert_eq!(headline(f64::NEG_INFINITY, 1024, 90).1, 0);
        let fast: Vec<u16> = [0, 1, 100, 123, 124, 125, 128, 256].map(fast_headline).into();
        assert_eq!(fast, [124, 0, 99, 122, 123, 123, 123, 123]);
    }

    /// As tests/unit/test_confidence.py: both verifiers find the same headlines.
    #[test]
    fn the_headlines_of_many_receipts() {
        let mut found = Sha256::new();
        for lambda in (0..=256).step_by(2) {
            found.update(fast_headline(lambda).to_le_bytes());
            for tenths in (0..1400).step_by(7) {
                for segments in [1, 2, 3, 7, 64, 1000, 1024] {
                    // In the middle of a tenth, where no rounding of a product matters.
                    let stark = stark((f64::from(tenths) + 0.5) / 10.0, segments);
                    found.update(stark.headline(lambda).to_le_bytes());
                }
            }
        }
        assert_eq!(hex(&found.finalize()), HEADLINES);
    }

    const HEADLINES: &str = "ce5e6c2b2a4f9551b10813948702a85648fbac797666377ff001eb3d5c94e682";
}
