//! What a verified receipt says: the statement, what follows from it, and the status of each output.

use serde::{Serialize, Serializer};

use super::confidence::{fast_headline, headline, units_of_segments};
use crate::commit::{Prepared, model_id};
use crate::json;
use crate::program::{OpKind, OperandRef, Program, Role};
use crate::receipt::Journal;
use crate::sampling::{Counts, Plan};
use crate::stark::parameters::{RECURSION_BITS, SUCCINCT, more_bits};

/// How far an output is established (docs/protocol.md section 5, Guarantee).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Certified,
    Consistent,
    Sampled,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
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

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutputFacts {
    pub name: String,
    pub status: Status,
}

/// Names of the profiles, of which a receipt may name all but the outer one.
pub const PROFILES: [&str; 5] = ["standard", "small", "foldable", "outer", "succinct"];

/// The STARK around a hybrid or strict receipt.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StarkFacts {
    /// Its number in docs/stark.md section 8; as JSON its name.
    #[serde(serialize_with = "profile_name")]
    pub profile: u8,
    pub segments: u32,
    /// Proven bits of one segment; as JSON rounded down to tenths, as they are shown.
    #[serde(serialize_with = "tenths")]
    pub bits: f64,
}

impl StarkFacts {
    /// The headline of a receipt with so many bits of sampling, 0 where nothing is sampled.
    pub fn headline(&self, sampling: u16) -> u16 {
        let tenths = (self.bits * 10.0).floor().max(0.0) as u32;
        let segments = units_of_segments(tenths, self.segments);
        let above = if self.profile == SUCCINCT {
            units_of_segments(10 * (RECURSION_BITS + u32::from(more_bits(sampling))), 1)
        } else {
            Some(0)
        };
        headline(sampling, segments.zip(above).and_then(|(a, b)| a.checked_add(b)))
    }
}

fn profile_name<S: Serializer>(profile: &u8, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(PROFILES[usize::from(*profile)])
}

fn tenths<S: Serializer>(bits: &f64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((bits * 10.0).floor() / 10.0)
}

/// Everything that a verified receipt establishes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Facts {
    /// The statement, without the values of inputs and outputs.
    pub journal: Journal,
    pub inputs_public: bool,
    /// Whether it names the outputs: all of them, or none of those that the program has.
    pub outputs_public: bool,
    #[serde(with = "json::hex")]
    pub model_id: [u8; 32],
    pub program_name: String,
    pub batch: u64,
    pub itemised: bool,
    /// Records of the data set, and those that a step reads; 0 without data tensors.
    pub records: u64,
    pub data_slots: u64,
    /// What all errors together leave: of sampling, the STARK, the hashes.
    pub headline_bits: u16,
    pub samples: u64,
    pub samples_per_op: u64,
    pub samples_per_step: u64,
    pub step_weight: u64,
    pub step_macs: u64,
    pub live_macs: u64,
    pub checked_gates: u64,
    pub ops: Vec<OpFacts>,
    pub outputs: Vec<OutputFacts>,
    /// `None` for a fast receipt.
    pub stark: Option<StarkFacts>,
    pub receipt_bytes: u64,
}

impl Facts {
    pub fn new(
        prepared: &Prepared,
        journal: Journal,
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
            inputs_public: journal.inputs.is_some(),
            outputs_public: journal.publishes() || program.outputs.is_empty(),
            model_id: model_id(&journal.program_id, journal.weights_root),
            program_name: program.name.clone(),
            batch: program.batch() as u64,
            itemised: program.itemised(),
            records: program.data().map_or(0, |(_, records)| records as u64),
            data_slots: program.data().map_or(0, |(slots, _)| slots as u64),
            headline_bits: stark
                .map_or_else(|| fast_headline(journal.bits), |stark| stark.headline(journal.bits)),
            samples: counts.samples.unwrap_or_default(),
            samples_per_op: counts.per_op,
            samples_per_step: counts.per_step.unwrap_or_default(),
            step_weight: checked.step_weight,
            step_macs: checked.step_macs,
            live_macs: checked.live_macs,
            checked_gates: plan.checked_gates(checked, journal.steps),
            ops: ops.collect(),
            outputs: outputs.collect(),
            stark,
            receipt_bytes: receipt_bytes as u64,
            journal: Journal { inputs: None, outputs: Vec::new(), ..journal },
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
