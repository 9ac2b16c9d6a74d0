//! The rest of the verification of a fast receipt (docs/protocol.md section 6, from 7 on).

use std::ops::Range;

use rayon::prelude::*;

use super::opened::{Proof, StepValues};
use crate::commit::{Course, Place, Prepared};
use crate::error::{Error, Result, demand};
use crate::hash::hex;
use crate::program::{GatePlan, Port, Scratch, Values};
use crate::receipt::{Journal, Receipt};
use crate::sampling::openings::expect_room;
use crate::sampling::{Draw, Plan, SEED_BYTES, course, seed};
use crate::statement::inputs::{CallerInputs, InputRoots, check_inputs};
use crate::statement::{Accepted, Roots, Verified, check_roots, port_values};

/// Gates that one task checks.
const GATES_PER_TASK: usize = 512;

/// Sections 7 to 12 of a fast receipt.
pub(crate) fn verify_openings(
    accepted: Accepted,
    inputs: Option<&CallerInputs>,
) -> Result<Verified> {
    let Accepted { sections, journal, prepared, .. } = &accepted;
    // 7. Plan, and a proof of exactly the size that follows from it.
    let plan = Plan::new(&prepared.checked, journal, sections.journal)?;
    let openings = openings_for(sections)?;
    let proof_bytes = openings.len() as u64;
    let course = course(prepared, journal);
    expect_room(prepared.least_bytes(&course, &plan), proof_bytes)?;
    let marks = prepared.marks(&course, &plan, proof_bytes)?;
    let proof = Proof::parse(openings, prepared, &course, &marks)?;
    drop(marks);
    // 8. Roots.
    let of_steps = proof.steps();
    let roots = Roots {
        weights: &proof.weights,
        data: &proof.data,
        initial: &proof.initial,
        steps: &of_steps,
    };
    check_roots(prepared, journal, &roots, proof.prf_seed)?;
    // 9. Inputs.
    check_inputs(prepared, journal, InputRoots::OfSteps(&of_steps), inputs)?;
    // 10. Openings.
    check_openings(prepared, &proof)?;
    // 11. Gates.
    check_gates(prepared, &proof, &plan, &course)?;
    // 12. Outputs.
    check_outputs(prepared, journal, &proof)?;

    Ok(accepted.verified(&plan, None))
}

/// The openings, which begin with the seed that they answer: a changed statement is named as such.
fn openings_for<'a>(sections: &Receipt<'a>) -> Result<&'a [u8]> {
    let Some((answered, openings)) = sections.proof.split_at_checked(SEED_BYTES) else {
        return Err(Error::new("receipt.truncated", "the proof ends before its openings"));
    };
    let seed = seed(sections.journal);
    demand(
        answered == seed,
        "verify.journal-mismatch",
        "the openings were made for another statement",
        || (hex(&seed), hex(answered)),
    )?;
    Ok(openings)
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

fn check_gates(prepared: &Prepared, proof: &Proof, plan: &Plan, course: &Course) -> Result<()> {
    let steps = course.steps;
    let program = &prepared.checked.program;
    for (c, op) in program.ops.iter().enumerate() {
        let gates = GatePlan::new(program, op);
        let task = |step: usize, of_task: Gates| -> Option<Error> {
            let values = StepValues::new(prepared, proof, course, step);
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
    let committed = values.value(op.out, gate)?;
    demand(i64::from(computed) == committed, "verify.gate", "", || {
        (computed.to_string(), committed.to_string())
    })
    .map_err(|error| Error {
        message: format!("gate {gate} of op {:?} in step {step} is wrong", op.name),
        ..error
    })
}

fn check_outputs(prepared: &Prepared, journal: &Journal, proof: &Proof) -> Result<()> {
    let program = &prepared.checked.program;
    let ports: Vec<(&Port, &[u8])> = port_values(&prepared.checked, &journal.outputs).collect();
    let count = program.outputs.len().max(1);
    let failure = ports.par_iter().enumerate().find_map_first(|(i, (port, claimed))| {
        let (step, tensor) = (i / count, &program.tensors[port.tensor]);
        let tree = proof.tree(Place::Step(step), port.tensor);
        let layout = prepared.layout(port.tensor);
        let found = tree.and_then(|tree| tree.row_major(layout, tensor.size(), tensor.width));
        (found.as_deref() != Some(*claimed)).then(|| {
            Error::new(
                "verify.outputs",
                format!("output {:?} of step {step} is not the committed one", port.name),
            )
        })
    });
    failure.map_or(Ok(()), Err)
}
