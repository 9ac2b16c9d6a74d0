//! The verifier (docs/protocol.md section 6), in the order of that section.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::facts::{Facts, fast_headline};
use super::inputs::{CallerInputs, InputCheck, dequantise, mismatch};
use super::journal::{FAST, Journal, STRICT, mode_name};
use super::opened::{Proof, StepValues};
use super::openings::{Place, Prepared, expect_room};
use super::receipt::{MAX_BYTES, Receipt};
use super::roots::{model_id, weights_root};
use super::sampling::{self, Counts, Draw, Plan, SEED_BYTES};
use crate::error::{Error, Result};
use crate::hash::{Digest, Key, hex, unpack};
use crate::program::{self, Checked, GatePlan, Port, PortKind, Role, Scratch};

/// Gates that one task checks.
const GATES_PER_TASK: usize = 512;

/// What the caller demands; nothing of it is taken from the receipt.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectations {
    pub model_id: [u8; 32],
    pub modes: Vec<String>,
    pub min_bits: u16,
    pub max_delta_ppm: u32,
    /// `None`: no bound per step is demanded.
    pub max_delta_step_ppm: Option<u32>,
    /// `None`: no bound per op is demanded.
    pub max_delta_op_ppm: Option<u32>,
    /// Every op that defines an output must be enumerated.
    pub outputs_exact: bool,
    /// `None`: the receipt must name none. Likewise `nonce`.
    pub audience: Option<String>,
    pub nonce: Option<Vec<u8>>,
    /// `None`: any. Likewise `input_root`.
    pub initial_state: Option<[u8; 32]>,
    pub input_root: Option<[u8; 32]>,
}

/// An output of a verified receipt, without padding.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub name: String,
    /// `[items, …]` with a batch axis, else `[steps, …]`.
    pub shape: Vec<usize>,
    pub values: OutputValues,
}

#[derive(Clone, Debug, PartialEq)]
pub enum OutputValues {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
}

/// A receipt that passed every check.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    pub facts: Facts,
    pub outputs: Vec<Output>,
}

/// Judges a receipt of any mode against what the caller expects, on the current rayon pool.
///
/// The first failure in the order of docs/protocol.md section 6 (docs/hybrid.md section 7) is
/// reported.
///
/// # Errors
/// Every code of these sections; `usage.input` for caller inputs that the program does not take.
pub fn verify(
    receipt: &[u8],
    expect: &Expectations,
    inputs: Option<&CallerInputs>,
) -> Result<Verified> {
    let accepted = Accepted::judge(receipt, expect)?;
    match accepted.journal.mode {
        FAST => verify_openings(&accepted, inputs),
        _ => crate::hybrid::verify::verify_hybrid(&accepted, expect, inputs),
    }
}

/// A receipt that passed sections 1 to 6: its statement is about the program that the caller means,
/// and claims what the caller demands.
pub(crate) struct Accepted<'a> {
    pub receipt: &'a [u8],
    pub sections: Receipt<'a>,
    pub journal: Journal<'a>,
    pub prepared: Arc<Prepared>,
}

impl<'a> Accepted<'a> {
    fn judge(receipt: &'a [u8], expect: &Expectations) -> Result<Self> {
        // 1. Envelope.
        let sections = Receipt::split(receipt, MAX_BYTES)?;
        // 2. Journal.
        let journal = Journal::decode(sections.journal)?;
        // 3. Identities: only a program that the caller means is looked at any further.
        check_identities(&sections, &journal, expect)?;
        // 4. Program.
        let prepared = Arc::new(Prepared::new(Arc::new(program::load(sections.program)?)));
        // 5. Journal against program.
        check_shape(&prepared.checked, &journal)?;
        // 6. Policy.
        check_policy(&prepared.checked, &journal, expect)?;
        Ok(Self { receipt, sections, journal, prepared })
    }

    /// The outputs that the statement claims: the caller's once everything is checked.
    pub(crate) fn outputs(&self) -> Vec<Output> {
        outputs(&self.prepared.checked, &self.journal)
    }
}

/// Sections 7 to 12 of a fast receipt.
fn verify_openings(accepted: &Accepted, inputs: Option<&CallerInputs>) -> Result<Verified> {
    let Accepted { receipt, sections, journal, prepared } = accepted;
    // 7. Plan, and a proof of exactly the size that follows from it.
    let plan = Plan::new(&prepared.checked, journal, sections.journal)?;
    let steps = journal.steps as usize;
    let openings = openings_for(sections)?;
    let proof_bytes = openings.len() as u64;
    expect_room(prepared.least_bytes(steps, &plan), proof_bytes)?;
    let marks = prepared.marks(steps, &plan, proof_bytes)?;
    let proof = Proof::parse(openings, prepared, steps, &marks)?;
    drop(marks);
    // 8. Roots.
    let of_steps = proof.steps();
    let roots = Roots { weights: &proof.weights, initial: &proof.initial, steps: &of_steps };
    check_roots(prepared, journal, &roots, proof.prf_seed)?;
    // 9. Inputs.
    check_inputs(prepared, journal, &of_steps, inputs)?;
    // 10. Openings.
    check_openings(prepared, &proof)?;
    // 11. Gates.
    check_gates(prepared, &proof, &plan, steps)?;
    // 12. Outputs.
    check_outputs(prepared, journal, &proof)?;

    Ok(Verified {
        facts: Facts::new(prepared, journal, &plan, None, receipt.len()),
        outputs: accepted.outputs(),
    })
}

/// The openings, which begin with the seed that they answer: a changed statement is named as such.
fn openings_for<'a>(sections: &Receipt<'a>) -> Result<&'a [u8]> {
    let Some((answered, openings)) = sections.proof.split_at_checked(SEED_BYTES) else {
        return Err(Error::new("receipt.truncated", "the proof ends before its openings"));
    };
    let seed = sampling::seed(sections.journal);
    demand(
        answered == seed,
        "verify.journal-mismatch",
        "the openings were made for another statement",
        || (hex(&seed), hex(answered)),
    )?;
    Ok(openings)
}

fn check_identities(sections: &Receipt, journal: &Journal, expect: &Expectations) -> Result<()> {
    let tagged = Sha256::new().chain_update(b"zktally program v1\0");
    let id: [u8; 32] = tagged.chain_update(sections.program).finalize().into();
    if id != journal.program_id {
        return Err(Error::new("verify.program-mismatch", "the journal is about another program")
            .expected(hex(&journal.program_id))
            .received(hex(&id)));
    }
    let model = model_id(&id, journal.weights_root);
    demand(
        model == expect.model_id,
        "verify.model-mismatch",
        "the receipt is about another model",
        || (hex(&expect.model_id), hex(&model)),
    )
}

/// Refuses with what was expected and received unless `holds`.
fn demand(
    holds: bool,
    code: &'static str,
    message: &str,
    values: impl FnOnce() -> (String, String),
) -> Result<()> {
    if holds {
        return Ok(());
    }
    let (expected, received) = values();
    Err(Error::new(code, message).expected(expected).received(received))
}

pub(crate) fn check_shape(checked: &Checked, journal: &Journal) -> Result<()> {
    let program = &checked.program;
    let bad = |message: &str| Err(Error::new("receipt.non-canonical", message));
    let (batch, steps) = (program.batch() as u64, u64::from(journal.steps));
    let items = u64::from(journal.items);
    if items <= (steps - 1) * batch || items > steps * batch {
        return bad("the number of items does not fit the number of steps");
    }
    let known = |op: &u16| program.ops.get(usize::from(*op)).is_some_and(|op| !op.exact);
    if !journal.exact.iter().all(known) {
        return bad("an op listed as exact does not exist or is flagged in the program");
    }
    let bytes = |ports: &[Port]| -> u64 {
        let of_port = |port: &Port| {
            let tensor = &program.tensors[port.tensor];
            (tensor.size() * tensor.width) as u64
        };
        steps * ports.iter().map(of_port).sum::<u64>()
    };
    if journal.inputs.is_some_and(|inputs| inputs.len() as u64 != bytes(&program.inputs)) {
        return bad("the inputs have another length than the program's");
    }
    if journal.outputs.len() as u64 != bytes(&program.outputs) {
        return bad("the outputs have another length than the program's");
    }
    let stateless = program.states.is_empty();
    if stateless && !(journal.initial_state.is_zero() && journal.final_state.is_zero()) {
        return bad("a program without states has zero digests as states");
    }
    let has_prf = program.tensors.iter().any(|tensor| tensor.role == Role::Prf);
    if !has_prf && !journal.prf_seed.is_zero() {
        return bad("a program without prf tensors has a zero seed commitment");
    }
    Ok(())
}

fn check_policy(checked: &Checked, journal: &Journal, expect: &Expectations) -> Result<()> {
    let mode = mode_name(journal.mode).unwrap_or_default();
    let mode_allowed = expect.modes.iter().any(|accepted| accepted == mode);
    demand(mode_allowed, "policy.mode", "the mode is not accepted", || {
        (expect.modes.join(", "), mode.to_string())
    })?;
    if journal.mode != STRICT {
        check_samples(journal, expect)?;
    }
    if expect.outputs_exact {
        check_outputs_exact(checked, journal)?;
    }
    let of =
        |name: Option<&str>| name.map_or_else(|| "none".to_string(), |name| format!("{name:?}"));
    demand(
        journal.audience == expect.audience.as_deref(),
        "verify.audience-mismatch",
        "the receipt is for another audience",
        || (of(expect.audience.as_deref()), of(journal.audience)),
    )?;
    let of = |nonce: Option<&[u8]>| nonce.map_or_else(|| "none".to_string(), hex);
    demand(
        journal.nonce == expect.nonce.as_deref(),
        "verify.nonce-mismatch",
        "the receipt answers another nonce",
        || (of(expect.nonce.as_deref()), of(journal.nonce)),
    )?;
    let digests = [
        (
            expect.initial_state,
            journal.initial_state,
            "verify.state-mismatch",
            "another initial state",
        ),
        (expect.input_root, journal.input_root, "verify.input-mismatch", "another input root"),
    ];
    for (expected, received, code, message) in digests {
        if let Some(expected) = expected {
            demand(received.to_bytes() == expected, code, message, || {
                (hex(&expected), received.hex())
            })?;
        }
    }
    Ok(())
}

/// What the sampling claims; a strict receipt samples nothing, and obeys every bound.
fn check_samples(journal: &Journal, expect: &Expectations) -> Result<()> {
    // Of a fast receipt nothing but samples and hashes can fail; a hybrid one is judged again with
    // its proofs.
    let bits = match journal.mode {
        FAST => fast_headline(journal.lambda),
        _ => journal.lambda,
    };
    demand(bits >= expect.min_bits, "policy.bits", "fewer bits than demanded", || {
        (format!("at least {}", expect.min_bits), bits.to_string())
    })?;
    let bounds = [
        ("policy.delta", "", Some(expect.max_delta_ppm), journal.delta),
        ("policy.delta-step", " per step", expect.max_delta_step_ppm, journal.delta_step),
        ("policy.delta-op", " per op", expect.max_delta_op_ppm, journal.delta_op),
    ];
    for (code, of, most, claimed) in bounds {
        let Some(most) = most else { continue };
        let message = format!("no error bound{of}, or a larger one than accepted");
        demand((1..=most).contains(&claimed), code, &message, || {
            (format!("at most {most} ppm"), format!("{claimed} ppm"))
        })?;
    }
    Ok(())
}

fn check_outputs_exact(checked: &Checked, journal: &Journal) -> Result<()> {
    let counts = Counts::new(checked, journal);
    let program = &checked.program;
    let outputs: Vec<usize> = program.outputs.iter().map(|port| port.tensor).collect();
    let sampled = program
        .ops
        .iter()
        .zip(&counts.enumerated)
        .find(|(op, all)| !**all && outputs.contains(&op.out));
    sampled.map_or(Ok(()), |(op, _)| {
        Err(Error::new(
            "policy.exact",
            format!("op {} defines an output and is only sampled", op.name),
        )
        .expected("every gate of every op that defines an output checked")
        .received("a sample"))
    })
}

/// The roots with which a proof begins.
pub(crate) struct Roots<'a> {
    /// In tensor order.
    pub weights: &'a [Digest],
    pub initial: &'a [Digest],
    /// Of each step.
    pub steps: &'a [&'a [Digest]],
}

/// 8. The roots hash to the digests of the statement; so does the prf seed where it is shown.
pub(crate) fn check_roots(
    prepared: &Prepared,
    journal: &Journal,
    roots: &Roots,
    prf_seed: Option<Key>,
) -> Result<()> {
    let expect = |found: Digest, claimed: Digest, code, message| {
        demand(found == claimed, code, message, || (claimed.hex(), found.hex()))
    };
    let weights = weights_root(roots.weights);
    expect(weights, journal.weights_root, "verify.weights-root", "the weights have another root")?;
    if let Some(seed) = prf_seed {
        let message = "the prf seed has another commitment";
        expect(seed.commitment(), journal.prf_seed, "verify.prf-seed", message)?;
    }
    let chain = prepared.committed.chain(weights, roots.initial, roots.steps);
    let message = "the initial state has another digest";
    expect(chain.initial_state, journal.initial_state, "verify.initial-state", message)?;
    expect(
        chain.input_root,
        journal.input_root,
        "verify.input-root",
        "the inputs have another root",
    )?;
    let message = "the final state has another digest";
    expect(chain.final_state, journal.final_state, "verify.final-state", message)?;
    expect(chain.chain_root, journal.chain_root, "verify.chain-root", "the steps have another root")
}

/// 9. Published inputs, then the caller's, against the roots of the steps.
pub(crate) fn check_inputs(
    prepared: &Prepared,
    journal: &Journal,
    roots: &[&[Digest]],
    given: Option<&CallerInputs>,
) -> Result<()> {
    let Some(key) = journal.input_key else {
        return given.map_or(Ok(()), |_| {
            Err(mismatch(
                "the receipt keeps its input key private; compare its input root (--input-root)",
            ))
        });
    };
    let key = Key::from_digest(key);
    let check = InputCheck { prepared, key, roots };
    if let Some(published) = journal.inputs {
        check.published(published)?;
    }
    given.map_or(Ok(()), |inputs| check.given(inputs, journal.items as usize))
}

fn check_openings(prepared: &Prepared, proof: &Proof) -> Result<()> {
    let tensors = &prepared.checked.program.tensors;
    let failure = proof.trees.par_iter().find_map_first(|tree| {
        let root = proof.root(prepared, tree.place, tree.tensor);
        tree.check(&tensors[tree.tensor], prepared.layout(tree.tensor), root).err()
    });
    failure.map_or(Ok(()), Err)
}

/// Gates of one op in one step.
enum Gates<'a> {
    Range(Range<usize>),
    Draws(&'a [Draw]),
}

fn check_gates(prepared: &Prepared, proof: &Proof, plan: &Plan, steps: usize) -> Result<()> {
    let program = &prepared.checked.program;
    for (c, op) in program.ops.iter().enumerate() {
        let gates = GatePlan::new(program, op);
        let task = |step: usize, of_task: Gates| -> Option<Error> {
            let values = StepValues::new(prepared, proof, step);
            let scratch = &mut Scratch::default();
            let mut check =
                |gate| check_gate(prepared, c, &gates, gate, step, &values, scratch).err();
            match of_task {
                Gates::Range(mut range) => range.find_map(&mut check),
                Gates::Draws(draws) => draws.iter().find_map(|draw| check(draw.gate())),
            }
        };
        let failure = if plan.counts.enumerated[c] {
            let size = op.gates();
            let per_step = size.div_ceil(GATES_PER_TASK);
            (0..steps * per_step).into_par_iter().find_map_first(|i| {
                let first = i % per_step * GATES_PER_TASK;
                task(i / per_step, Gates::Range(first..size.min(first + GATES_PER_TASK)))
            })
        } else {
            let first = plan.draws.partition_point(|draw| draw.op() < c);
            let draws = &plan.draws[first..plan.draws.partition_point(|draw| draw.op() <= c)];
            let of_steps: Vec<&[Draw]> = draws
                .chunk_by(|a, b| a.step() == b.step())
                .flat_map(|draws| draws.chunks(GATES_PER_TASK))
                .collect();
            of_steps.par_iter().find_map_first(|draws| task(draws[0].step(), Gates::Draws(draws)))
        };
        failure.map_or(Ok(()), Err)?;
    }
    Ok(())
}

fn check_gate(
    prepared: &Prepared,
    op: usize,
    gates: &GatePlan,
    gate: usize,
    step: usize,
    values: &StepValues,
    scratch: &mut Scratch,
) -> Result<()> {
    let op = &prepared.checked.program.ops[op];
    let computed = gates.evaluate(gate, values, scratch)?;
    let committed = crate::program::Values::value(values, op.out, gate)?;
    demand(i64::from(computed) == committed, "verify.gate", "", || {
        (computed.to_string(), committed.to_string())
    })
    .map_err(|error| Error {
        message: format!("gate {gate} of op {} in step {step} is wrong", op.name),
        ..error
    })
}

fn check_outputs(prepared: &Prepared, journal: &Journal, proof: &Proof) -> Result<()> {
    let program = &prepared.checked.program;
    let ports: Vec<(&Port, &[u8])> = port_values(&prepared.checked, journal.outputs).collect();
    let count = program.outputs.len().max(1);
    let failure = ports.par_iter().enumerate().find_map_first(|(i, (port, claimed))| {
        let (step, tensor) = (i / count, &program.tensors[port.tensor]);
        let tree = proof.tree(Place::Step(step), port.tensor);
        let layout = prepared.layout(port.tensor);
        let found = tree.and_then(|tree| tree.row_major(layout, tensor.size(), tensor.width));
        (found.as_deref() != Some(*claimed)).then(|| {
            Error::new(
                "verify.outputs",
                format!("output {} of step {step} is not the committed one", port.name),
            )
        })
    });
    failure.map_or(Ok(()), Err)
}

/// The packed values of each step and output port, in the order of the journal.
pub(crate) fn port_values<'a>(
    checked: &'a Checked,
    outputs: &'a [u8],
) -> impl Iterator<Item = (&'a Port, &'a [u8])> {
    let program = &checked.program;
    let mut rest = outputs;
    program.outputs.iter().cycle().map_while(move |port| {
        let tensor = &program.tensors[port.tensor];
        let (values, after) = rest.split_at_checked(tensor.size() * tensor.width)?;
        rest = after;
        Some((port, values))
    })
}

fn outputs(checked: &Checked, journal: &Journal) -> Vec<Output> {
    let program = &checked.program;
    let of_port = |port: &Port| {
        let tensor = &program.tensors[port.tensor];
        let mut packed = port_values(checked, journal.outputs)
            .filter(|(other, _)| other.tensor == port.tensor)
            .flat_map(|(_, values)| values.chunks_exact(tensor.width));
        let mut shape = tensor.shape.clone();
        match port.batch {
            Some(axis) => shape[axis] = journal.items as usize,
            None => shape.insert(0, journal.steps as usize),
        }
        let packed = packed.by_ref().take(shape.iter().product()).map(unpack);
        let values = match port.kind {
            PortKind::Float => {
                OutputValues::Floats(packed.map(|q| dequantise(port, q) as f32).collect())
            }
            PortKind::Integer => OutputValues::Integers(packed.map(i64::from).collect()),
        };
        Output { name: port.name.clone(), shape, values }
    };
    program.outputs.iter().map(of_port).collect()
}
