//! The verifier of hybrid receipts, section by section as in docs/hybrid.md section 7.

use super::head::Head;
use super::schedule::{Draft, Heights};
use super::segments::{Limits, Segments, total_blocks};
use super::support::check_supported;
use super::tables::TABLES;
use crate::bytes::{Codes, Reader};
use crate::commit::{Course, Prepared, first_outside};
use crate::error::{Error, Result};
use crate::recursion::child::{Child, Points};
use crate::recursion::layers;
use crate::sampling::{Plan, course};
use crate::stark::memory::Keeper;
use crate::stark::parameters::{Parameters, SUCCINCT};
use crate::stark::statement::Statement;
use crate::stark::verify as stark_verify;
use crate::statement::inputs::{CallerInputs, InputRoots, check_inputs};
use crate::statement::{Accepted, Expectations, StarkFacts, Verified, check_origin, port_values};
use crate::table::unwritten::Unwritten;
use crate::watch::{Part, timed};

pub(crate) const CODES: Codes = Codes {
    short: "receipt.truncated",
    trailing: "receipt.trailing-bytes",
    bad: "receipt.non-canonical",
};
/// No proof of a segment is shorter.
const LEAST_BYTES: u64 = 1 << 16;
const MAX_SEGMENTS: u64 = 1 << 10;
/// Of a succinct receipt, whose length does not pay for the work that its segments are.
pub(crate) const MAX_INSIDE: u64 = 64;

/// Sections 7 to 12 of a hybrid receipt.
///
/// # Errors
/// Every code of docs/hybrid.md section 7.
pub(crate) fn verify_hybrid(
    accepted: Accepted,
    expect: &Expectations,
    inputs: Option<&CallerInputs>,
) -> Result<Verified> {
    let sections = &accepted.sections;
    let open = || {
        let (head, rest) = Head::split(sections.journal, sections.proof)?;
        let room = Room::new(head.profile, rest.len());
        Ok((head, room))
    };
    let session = timed(Part::Claims, || Session::new(&accepted, expect, inputs, open))?;
    let mut reader = Reader::new(&sections.proof[Head::BYTES..], CODES);
    let bits = if session.head.profile == SUCCINCT {
        let points = session.points(&mut reader)?;
        let (children, bits) = session.children(&points)?;
        layers::verify(children, accepted.journal.bits, &mut reader)?;
        bits
    } else {
        session.each(|_, statement| stark_verify::verify(statement, &mut reader))?
    };
    // 12. Nothing follows.
    judge_end(&reader)?;
    let (facts, plan) = (session.facts(bits), session.plan);
    Ok(accepted.verified(&plan, Some(facts)))
}

/// Nothing follows the last segment.
pub(crate) fn judge_end(reader: &Reader) -> Result<()> {
    if reader.remaining() == 0 {
        return Ok(());
    }
    Err(Error::new("receipt.trailing-bytes", "bytes after the last segment")
        .received(reader.remaining()))
}

/// A statement that was judged up to its segments.
pub(crate) struct Session<'a> {
    accepted: &'a Accepted<'a>,
    pub plan: Plan,
    head: Head,
    steps: usize,
    blocks: u64,
    count: usize,
    parameters: Parameters,
    /// Segments are much alike: the memory of one serves the next.
    _memory: Keeper,
}

impl<'a> Session<'a> {
    /// Sections 7 to 10; `open` gives the head of the proof and the room that its proofs have.
    ///
    /// # Errors
    /// The codes of these sections.
    pub fn new(
        accepted: &'a Accepted<'a>,
        expect: &Expectations,
        inputs: Option<&CallerInputs>,
        open: impl FnOnce() -> Result<(Head, Room)>,
    ) -> Result<Self> {
        let memory = Keeper::new();
        let Accepted { sections, journal, prepared, .. } = accepted;
        // 7. Plan, head of the proof, coverage.
        let plan = Plan::new(&prepared.checked, journal, sections.journal)?;
        let (head, room) = open()?;
        check_supported(&prepared.checked)?;
        // 8. What needs no proof: a derived seed, a declared start.
        check_origin(prepared, journal)?;
        // 9. Inputs; outputs in their ranges.
        check_inputs(prepared, journal, InputRoots::Digest, inputs)?;
        check_outputs(accepted)?;
        // 10. Number of segments, and what the parameters warrant.
        let course = course(prepared, journal);
        let blocks = blocks(prepared, &plan, &course, &room)?;
        let segments = of_blocks(prepared, &plan, course.steps, blocks);
        let count = segments.count() as usize;
        let parameters = Parameters::new(head.of_segments(), count, journal.bits)?;
        drop(segments);
        let steps = course.steps;
        let session =
            Self { accepted, plan, head, steps, blocks, count, parameters, _memory: memory };
        session.judge_bits(expect)?;
        Ok(session)
    }

    fn judge_bits(&self, expect: &Expectations) -> Result<()> {
        let warranted = self.facts(self.parameters.target).headline(self.accepted.journal.bits);
        if warranted >= expect.policy.min_bits {
            return Ok(());
        }
        Err(Error::new("policy.bits", "fewer bits than demanded")
            .expected(format!("at least {}", expect.policy.min_bits))
            .received(warranted))
    }

    /// What the STARK shows, of which a segment has so many bits.
    pub fn facts(&self, bits: f64) -> StarkFacts {
        StarkFacts { profile: self.head.profile, segments: self.count as u32, bits }
    }

    /// 11. Judges every segment in order; the least bits of one.
    ///
    /// # Errors
    /// Those of a segment's schedule, and whatever `judge` says of its statement.
    pub fn each(
        &self,
        mut judge: impl FnMut(usize, &Statement<Unwritten>) -> Result<f64>,
    ) -> Result<f64> {
        let Accepted { journal, prepared, .. } = self.accepted;
        let segments = of_blocks(prepared, &self.plan, self.steps, self.blocks);
        let mut bits = f64::INFINITY;
        for segment in 0..self.count {
            let items = segments.items(segment as u64);
            let heights = Heights::of(&self.parameters);
            let draft = Draft::new(prepared, journal, &items, heights)?;
            let tables = timed(Part::Tables, || draft.tables())?;
            let statement = Statement {
                tables: &TABLES,
                publics: &tables,
                terms: &draft.terms,
                parameters: &self.parameters,
                context: self.head.context(segment, self.count),
            };
            bits = bits.min(judge(segment, &statement)?);
        }
        Ok(bits)
    }

    /// The challenges that each segment was verified with inside.
    ///
    /// # Errors
    /// `receipt.truncated`, `receipt.non-canonical`.
    pub fn points(&self, reader: &mut Reader) -> Result<Vec<Points>> {
        (0..self.count).map(|_| Points::read(reader)).collect()
    }

    /// The segments as what a proof above them verifies, and the least bits of one.
    ///
    /// # Errors
    /// As of [`Session::each`]; `verify.stark`.
    pub fn children(&self, points: &[Points]) -> Result<(Vec<Child>, f64)> {
        let mut children = Vec::with_capacity(self.count);
        let bits = self.each(|segment, statement| {
            let bits = stark_verify::judge(statement)?;
            children.push(Child::new(statement, &TABLES, points[segment])?);
            Ok(bits)
        })?;
        Ok((children, bits))
    }
}

/// What the proof section has room for: claims are free, so they are held against its length.
pub(crate) struct Room {
    bytes: usize,
    /// Segments at most, and the least bytes of one and of what stands behind all of them.
    segments: u64,
    each: u64,
    rest: u64,
}

impl Room {
    fn new(profile: u8, bytes: usize) -> Self {
        if profile == SUCCINCT {
            return Self::inside(bytes, MAX_INSIDE);
        }
        Self { bytes, segments: MAX_SEGMENTS, each: LEAST_BYTES, rest: 0 }
    }

    /// Of segments that are verified inside, at most so many.
    pub fn inside(bytes: usize, segments: u64) -> Self {
        Self { bytes, segments, each: Points::BYTES as u64, rest: LEAST_BYTES }
    }

    /// Segments at most that fit.
    fn most(&self) -> u64 {
        self.segments.min((self.bytes as u64).saturating_sub(self.rest) / self.each)
    }
}

fn of_blocks<'a>(
    prepared: &'a Prepared,
    plan: &'a Plan,
    steps: usize,
    blocks: u64,
) -> Segments<'a> {
    Segments::new(prepared, plan, steps, blocks, Limits::default())
}

/// The blocks of all leaves of a receipt whose proofs have so much room.
fn blocks(prepared: &Prepared, plan: &Plan, course: &Course, room: &Room) -> Result<u64> {
    let count = |blocks| of_blocks(prepared, plan, course.steps, blocks).count();
    // By cost alone there are at least so many.
    judge_count(count(0), room)?;
    // A leaf of n bytes with its salt has at least n/56 blocks, so more bytes are too many segments.
    let most = room.most();
    let marks = prepared.marks(course, plan, (most + 1) * Limits::default().blocks * 56);
    let marks = marks.or_else(|_| judge_count(most + 1, room).map(|()| vec![]))?;
    let blocks = total_blocks(prepared, &marks);
    judge_count(count(blocks), room)?;
    Ok(blocks)
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
