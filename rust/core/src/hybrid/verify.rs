//! The verifier of hybrid receipts, section by section as in docs/hybrid.md section 7.

use rayon::prelude::*;

use super::head::Head;
use super::schedule::Schedule;
use super::segments::{Limits, Segments, total_blocks};
use super::support::check_supported;
use super::tables::TABLES;
use crate::bytes::{Codes, Reader};
use crate::error::{Error, Result};
use crate::fast::facts::{Facts, StarkFacts};
use crate::fast::inputs::CallerInputs;
use crate::fast::opened::first_outside;
use crate::fast::sampling::Plan;
use crate::fast::verify::{
    Accepted, Expectations, Roots, Verified, check_inputs, check_roots, port_values,
};
use crate::stark::parameters::Parameters;
use crate::stark::statement::Statement;
use crate::stark::verify as stark_verify;

const CODES: Codes = Codes {
    short: "receipt.truncated",
    trailing: "receipt.trailing-bytes",
    bad: "receipt.non-canonical",
};
/// No proof of a segment is shorter.
const LEAST_BYTES: u64 = 1 << 13;

/// Sections 7 to 12 of a hybrid receipt.
///
/// # Errors
/// Every code of docs/hybrid.md section 7.
pub(crate) fn verify_hybrid(
    accepted: &Accepted,
    expect: &Expectations,
    inputs: Option<&CallerInputs>,
) -> Result<Verified> {
    let Accepted { receipt, sections, journal, prepared } = accepted;
    // 7. Plan, head of the proof, coverage.
    let plan = Plan::new(&prepared.checked, journal, sections.journal)?;
    let steps = journal.steps as usize;
    let (head, rest) = Head::split(prepared, sections.journal, steps, sections.proof)?;
    check_supported(&prepared.checked)?;
    // 8. Roots.
    let of_steps = head.of_steps();
    let roots = Roots { weights: &head.weights, initial: &head.initial, steps: &of_steps };
    check_roots(prepared, journal, &roots, None)?;
    // 9. Inputs; outputs in their ranges.
    check_inputs(prepared, journal, &of_steps, inputs)?;
    check_outputs(accepted)?;
    // 10. What the proofs show.
    let schedules = schedules(accepted, &plan, &head, rest.len())?;
    let parameters = Parameters::new(head.profile, schedules.len())?;
    let statement = |segment: usize| Statement {
        tables: &TABLES,
        publics: &schedules[segment].tables,
        terms: &schedules[segment].terms,
        parameters: &parameters,
        context: head.context(segment, schedules.len()),
    };
    let mut bits = f64::INFINITY;
    for segment in 0..schedules.len() {
        bits = bits.min(statement(segment).judge()?);
    }
    let stark = StarkFacts { profile: head.profile, segments: schedules.len() as u32, bits };
    let headline = stark.headline(journal.lambda);
    if headline < expect.min_bits {
        return Err(Error::new("policy.bits", "fewer bits than demanded")
            .expected(format!("at least {}", expect.min_bits))
            .received(headline));
    }
    // 11. Segments.
    let mut reader = Reader::new(rest, CODES);
    for segment in 0..schedules.len() {
        stark_verify::verify(&statement(segment), &mut reader)?;
    }
    // 12. Nothing follows.
    if reader.remaining() > 0 {
        return Err(Error::new("receipt.trailing-bytes", "bytes after the last segment")
            .received(reader.remaining()));
    }
    Ok(Verified {
        facts: Facts::new(prepared, journal, &plan, Some(stark), receipt.len()),
        outputs: accepted.outputs(),
    })
}

/// The schedules of all segments.
fn schedules(accepted: &Accepted, plan: &Plan, head: &Head, room: usize) -> Result<Vec<Schedule>> {
    let Accepted { journal, prepared, .. } = accepted;
    let steps = journal.steps as usize;
    // What is opened is not in the proof, so its length bounds nothing but the number of segments.
    let marks = prepared.marks(steps, plan, MARKED_BYTES)?;
    let blocks = total_blocks(prepared, &marks);
    drop(marks);
    let segments = Segments::new(prepared, plan, steps, blocks, Limits::default());
    if segments.count() * LEAST_BYTES > room as u64 {
        return Err(Error::new("receipt.truncated", "the proof is shorter than its segments")
            .expected(format!("{} segments", segments.count()))
            .received(format!("{room} bytes")));
    }
    let hiding = Parameters::new(head.profile, segments.count() as usize)?.hiding_rows;
    (0..segments.count())
        .into_par_iter()
        .map(|segment| {
            let root = |place, tensor| head.root(prepared, place, tensor);
            Schedule::new(prepared, plan, journal, &segments.items(segment), root, hiding)
        })
        .collect()
}

/// Bytes of leaves that a verifier is ready to mark.
const MARKED_BYTES: u64 = 1 << 32;

/// 9. Outputs lie in the declared ranges of their tensors.
fn check_outputs(accepted: &Accepted) -> Result<()> {
    let Accepted { journal, prepared, .. } = accepted;
    let tensors = &prepared.checked.program.tensors;
    let outside = port_values(&prepared.checked, journal.outputs)
        .find_map(|(port, values)| Some((port, first_outside(values, &tensors[port.tensor])?)));
    outside.map_or(Ok(()), |(port, value)| {
        let tensor = &tensors[port.tensor];
        Err(Error::new("verify.range", format!("output {} leaves its range", port.name))
            .expected(format!("{} to {}", tensor.lo, tensor.hi))
            .received(value))
    })
}
