//! The verifier of hybrid receipts, section by section as in docs/hybrid.md section 7.

use super::head::Head;
use super::schedule::Schedule;
use super::segments::{Limits, Segments, total_blocks};
use super::support::check_supported;
use super::tables::TABLES;
use crate::bytes::{Codes, Reader};
use crate::commit::{Course, Prepared, first_outside};
use crate::error::{Error, Result};
use crate::recursion::child::{Child, Points};
use crate::recursion::layers;
use crate::sampling::{Plan, course};
use crate::stark::parameters::{Parameters, SUCCINCT};
use crate::stark::statement::Statement;
use crate::stark::verify as stark_verify;
use crate::statement::inputs::{CallerInputs, InputRoots, check_inputs};
use crate::statement::{Accepted, Expectations, StarkFacts, Verified, check_origin, port_values};

const CODES: Codes = Codes {
    short: "receipt.truncated",
    trailing: "receipt.trailing-bytes",
    bad: "receipt.non-canonical",
};
/// No proof of a segment is shorter.
const LEAST_BYTES: u64 = 1 << 16;
const MAX_SEGMENTS: u64 = 1 << 10;
/// Of a succinct receipt, whose length does not pay for the work that its segments are.
pub(super) const MAX_INSIDE: u64 = 64;

/// Sections 7 to 12 of a hybrid receipt.
///
/// # Errors
/// Every code of docs/hybrid.md section 7.
pub(crate) fn verify_hybrid(
    accepted: Accepted,
    expect: &Expectations,
    inputs: Option<&CallerInputs>,
) -> Result<Verified> {
    let Accepted { sections, journal, prepared, .. } = &accepted;
    // 7. Plan, head of the proof, coverage.
    let plan = Plan::new(&prepared.checked, journal, sections.journal)?;
    let (head, rest) = Head::split(sections.journal, sections.proof)?;
    check_supported(&prepared.checked)?;
    // 8. What needs no proof: a derived seed, a declared start.
    check_origin(prepared, journal)?;
    // 9. Inputs; outputs in their ranges.
    check_inputs(prepared, journal, InputRoots::Digest, inputs)?;
    check_outputs(&accepted)?;
    // 10. Number of segments, and what the parameters warrant.
    let course = course(prepared, journal);
    let room = Room::new(head.profile, rest.len());
    let segments = segments(prepared, &plan, &course, &room)?;
    let count = segments.count() as usize;
    let parameters = Parameters::new(head.of_segments(), count, journal.bits)?;
    let facts = |bits| StarkFacts { profile: head.profile, segments: count as u32, bits };
    let warranted = facts(parameters.target).headline(journal.bits);
    if warranted < expect.policy.min_bits {
        return Err(Error::new("policy.bits", "fewer bits than demanded")
            .expected(format!("at least {}", expect.policy.min_bits))
            .received(warranted));
    }
    // 11. Segments.
    let mut reader = Reader::new(rest, CODES);
    let succinct = head.profile == SUCCINCT;
    let points = if succinct { points(&mut reader, count)? } else { vec![] };
    let mut children = Vec::new();
    let mut bits = f64::INFINITY;
    for segment in 0..count {
        let items = segments.items(segment as u64);
        let hiding = parameters.hiding_rows;
        let schedule = Schedule::new(prepared, journal, &items, hiding)?;
        let statement = Statement {
            tables: &TABLES,
            publics: &schedule.tables,
            terms: &schedule.terms,
            parameters: &parameters,
            context: head.context(segment, count),
        };
        bits = bits.min(if succinct {
            let of_segment = stark_verify::judge(&statement)?;
            children.push(Child::new(&statement, &TABLES, points[segment])?);
            of_segment
        } else {
            stark_verify::verify(&statement, &mut reader)?
        });
    }
    if succinct {
        layers::verify(children, &mut reader)?;
    }
    // 12. Nothing follows.
    if reader.remaining() > 0 {
        return Err(Error::new("receipt.trailing-bytes", "bytes after the last segment")
            .received(reader.remaining()));
    }
    Ok(accepted.verified(&plan, Some(facts(bits))))
}

/// Where segments are verified inside, the challenges that each was verified with.
fn points(reader: &mut Reader, count: usize) -> Result<Vec<Points>> {
    (0..count).map(|_| Points::read(reader)).collect()
}

/// What the proof section has room for: claims are free, so they are held against its length.
struct Room {
    bytes: usize,
    /// Segments at most, and the least bytes of one and of what stands behind all of them.
    segments: u64,
    each: u64,
    rest: u64,
}

impl Room {
    fn new(profile: u8, bytes: usize) -> Self {
        let (segments, each, rest) = match profile {
            SUCCINCT => (MAX_INSIDE, Points::BYTES as u64, LEAST_BYTES),
            _ => (MAX_SEGMENTS, LEAST_BYTES, 0),
        };
        Self { bytes, segments, each, rest }
    }

    /// Segments at most that fit.
    fn most(&self) -> u64 {
        self.segments.min((self.bytes as u64).saturating_sub(self.rest) / self.each)
    }
}

/// The segments of a receipt whose proofs have so much room.
fn segments<'a>(
    prepared: &'a Prepared,
    plan: &'a Plan,
    course: &Course,
    room: &Room,
) -> Result<Segments<'a>> {
    let limits = Limits::default();
    let of_blocks = |blocks| Segments::new(prepared, plan, course.steps, blocks, limits);
    // By cost alone there are at least so many.
    judge_count(of_blocks(0).count(), room)?;
    // A leaf of n bytes with its salt has at least n/56 blocks, so more bytes are too many segments.
    let most = room.most();
    let marks = prepared.marks(course, plan, (most + 1) * limits.blocks * 56);
    let marks = marks.or_else(|_| judge_count(most + 1, room).map(|()| vec![]))?;
    let segments = of_blocks(total_blocks(prepared, &marks));
    judge_count(segments.count(), room)?;
    Ok(segments)
}

fn judge_count(count: u64, room: &Room) -> Result<()> {
    let least = count.min(room.segments + 1) * room.each + room.rest;
    if least > room.bytes as u64 {
        return Err(Error::new("receipt.truncated", "the proof is shorter than its segments")
            .expected(format!("at least {least} bytes"))
            .received(room.bytes));
    }
    if count > room.segments {
        return Err(Error::new("verify.too-large", "too many segments")
            .expected(format!("at most {}", room.segments))
            .received(count));
    }
    Ok(())
}

/// 9. Outputs lie in the declared ranges of their tensors.
fn check_outputs(accepted: &Accepted) -> Result<()> {
    let Accepted { journal, prepared, .. } = accepted;
    let tensors = &prepared.checked.program.tensors;
    let outside = port_values(&prepared.checked, &journal.outputs)
        .find_map(|(port, values)| Some((port, first_outside(values, &tensors[port.tensor])?)));
    outside.map_or(Ok(()), |(port, value)| {
        let tensor = &tensors[port.tensor];
        Err(Error::new("verify.range", format!("output {:?} leaves its range", port.name))
            .expected(format!("{} to {}", tensor.lo, tensor.hi))
            .received(value))
    })
}
