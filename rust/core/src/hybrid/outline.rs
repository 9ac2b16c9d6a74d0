//! What program and statement alone say of the segments of a receipt.

use std::sync::Arc;
use std::time::Instant;

use super::head::{self, Head};
use super::leaves::Leaves;
use super::schedule::{Draft, Heights, Schedule};
use super::segments::{Limits, Segments, total_blocks};
use super::support::check_supported;
use super::tables::TABLES;
use super::trace::Opened;
use super::verify::{CODES, judge_end};
use crate::bytes::{Codes, Reader};
use crate::commit::{Course, Prepared};
use crate::error::{Error, Result};
use crate::fast::Proof;
use crate::receipt::Journal;
use crate::receipt::journal::FAST;
use crate::recursion::inner::Made;
use crate::sampling::{Mark, Plan, SEED_BYTES, course, seed};
use crate::stark::memory::Keeper;
use crate::stark::parameters::{FOLDABLE, Parameters};
use crate::stark::prove::{self as stark_prove, TableTimings};
use crate::stark::statement::Statement;
use crate::stark::verify as stark_verify;
use crate::statement::{PROFILES, check_shape};

/// Seconds of the parts of a segment's proof, and the size of its tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timings {
    pub schedule: f64,
    pub witness: f64,
    pub commit: f64,
    pub lookups: f64,
    pub quotient: f64,
    pub opening: f64,
    /// Name, used rows, height.
    pub rows: Vec<(String, usize, usize)>,
    pub tables: Vec<TableTimings>,
}

/// The segments of a receipt, without anything secret.
pub struct Outline {
    pub(super) prepared: Arc<Prepared>,
    pub(super) journal: Journal,
    /// Its bytes.
    pub(super) statement: Vec<u8>,
    plan: Plan,
    pub(super) course: Course,
    profile: u8,
    /// Of all opened leaves: what segments are cut by.
    blocks: u64,
    segments: usize,
    parameters: Parameters,
    /// Segments are much alike: the memory of one serves the next.
    _memory: Keeper,
}

/// The number of segments of a receipt with this journal.
///
/// # Errors
/// Those of [`Outline::new`] but `security.insufficient` and `hybrid.unsupported`.
pub fn segment_count(prepared: &Prepared, journal_bytes: &[u8]) -> Result<usize> {
    let journal = Journal::decode(journal_bytes)?;
    check_shape(&prepared.checked, &journal)?;
    let steps = journal.steps as usize;
    let plan = Plan::new(&prepared.checked, &journal, journal_bytes)?;
    let marks = prepared.marks(&course(prepared, &journal), &plan, u64::MAX)?;
    let blocks = total_blocks(prepared, &marks);
    Ok(segments(prepared, &plan, steps, blocks).count() as usize)
}

fn segments<'a>(prepared: &'a Prepared, plan: &'a Plan, steps: usize, blocks: u64) -> Segments<'a> {
    Segments::new(prepared, plan, steps, blocks, Limits::default())
}

/// What is proven with, of a receipt or of one of its segments.
#[derive(Clone, Copy)]
pub(super) struct Held<'a> {
    /// Roots, seed and opened leaves, as in a fast receipt behind the sampling seed.
    pub openings: &'a [u8],
    /// The leaves that are opened there.
    pub marks: &'a [Mark],
}

impl Outline {
    /// Takes a journal of mode 1 or 2.
    ///
    /// # Errors
    /// Those of a journal that does not fit; `hybrid.unsupported`; `security.insufficient`.
    pub fn new(prepared: Arc<Prepared>, statement: Vec<u8>, profile: u8) -> Result<Self> {
        Self::with_marks(prepared, statement, profile, || Ok(u64::MAX)).map(|(outline, _)| outline)
    }

    /// The same, and the leaves that all segments together open; at most `room()` bytes of them.
    pub(super) fn with_marks(
        prepared: Arc<Prepared>,
        statement: Vec<u8>,
        profile: u8,
        room: impl FnOnce() -> Result<u64>,
    ) -> Result<(Self, Vec<Mark>)> {
        let memory = Keeper::new();
        let journal = Journal::decode(&statement)?;
        if journal.mode == FAST {
            return Err(Error::new("usage", "a fast statement has no proofs of segments"));
        }
        check_shape(&prepared.checked, &journal)?;
        check_supported(&prepared.checked)?;
        let course = course(&prepared, &journal);
        let plan = Plan::new(&prepared.checked, &journal, &statement)?;
        let marks = prepared.marks(&course, &plan, room()?)?;
        let blocks = total_blocks(&prepared, &marks);
        let segments = segments(&prepared, &plan, course.steps, blocks).count() as usize;
        let parameters = Parameters::new(profile, segments, journal.bits)?;
        let outline = Self {
            prepared,
            journal,
            statement,
            plan,
            course,
            profile,
            blocks,
            segments,
            parameters,
            _memory: memory,
        };
        Ok((outline, marks))
    }

    pub fn segments(&self) -> usize {
        self.segments
    }

    /// Proven bits that each segment reaches at least.
    pub fn stark_bits(&self) -> f64 {
        self.parameters.target
    }

    /// What openings of this statement begin with.
    pub(super) fn seed(&self) -> [u8; SEED_BYTES] {
        seed(&self.statement)
    }

    /// The proof section up to the first segment.
    pub fn head(&self) -> Vec<u8> {
        head::encode(&self.statement, self.profile)
    }

    /// The leaves that a segment opens.
    ///
    /// # Errors
    /// `usage` for a segment that is not there; `verify.too-large`.
    pub(super) fn leaves(&self, segment: usize) -> Result<Leaves> {
        self.check_number(segment)?;
        let segments = segments(&self.prepared, &self.plan, self.course.steps, self.blocks);
        Leaves::new(&self.prepared, &self.course, &segments.items(segment as u64))
    }

    fn check_number(&self, segment: usize) -> Result<()> {
        if segment < self.segments {
            return Ok(());
        }
        let message = format!("there is no segment {segment}, only {} of them", self.segments);
        Err(Error::new("usage", message))
    }

    fn schedule(&self, segment: usize) -> Result<Schedule> {
        self.check_number(segment)?;
        let prepared = &self.prepared;
        let segments = segments(prepared, &self.plan, self.course.steps, self.blocks);
        let items = segments.items(segment as u64);
        Draft::new(prepared, &self.journal, &items, Heights::of(&self.parameters))?.written()
    }

    fn statement<'a>(
        &'a self,
        segment: usize,
        head: &Head,
        schedule: &'a Schedule,
    ) -> Statement<'a> {
        Statement {
            tables: &TABLES,
            publics: &schedule.tables,
            terms: &schedule.terms,
            parameters: &self.parameters,
            context: head.context(segment, self.segments),
        }
    }

    /// Proves a segment, then has the proof checked.
    pub(super) fn prove(
        &self,
        segment: usize,
        held: Held,
        check: impl Fn(&Statement, &[u8]) -> Result<()>,
    ) -> Result<(Vec<u8>, Timings)> {
        let start = Instant::now();
        let prepared = &self.prepared;
        let proof = Proof::parse(held.openings, prepared, &self.course, held.marks)?;
        let head = self.head();
        let (head, _) = Head::split(&self.statement, &head)?;
        let schedule = self.schedule(segment)?;
        let mut timings = Timings { schedule: seconds(start), ..Timings::default() };
        let start = Instant::now();
        let witness = schedule.witness(&Opened::new(prepared, &proof), proof.prf_seed)?;
        timings.witness = seconds(start);
        timings.rows = schedule
            .tables
            .iter()
            .map(|table| {
                let name = TABLES.airs[table.index].name.clone();
                (name, table.publics.rows(), 1 << table.log_rows)
            })
            .collect();
        let statement = self.statement(segment, &head, &schedule);
        statement.judge()?;
        let (proof, parts) = stark_prove::prove(&statement, witness)?;
        let stark_prove::Timings { commit, lookups, quotient, opening, tables } = parts;
        timings = Timings { commit, lookups, quotient, opening, tables, ..timings };
        check(&statement, &proof)?;
        Ok((proof, timings))
    }

    /// The proofs of a foldable receipt's segments, to be verified inside.
    ///
    /// # Errors
    /// `usage` for another receipt; those of the verifier for a segment.
    pub(super) fn made(&self, section: &[u8]) -> Result<Vec<Made>> {
        let (head, rest) = Head::split(&self.statement, section)?;
        if head.profile != FOLDABLE || self.profile != FOLDABLE {
            return Err(Error::new("usage", "only a foldable receipt can be compressed")
                .expected("profile foldable")
                .received(PROFILES[usize::from(head.profile)]));
        }
        let mut reader = Reader::new(rest, CODES);
        let mut leaves = Vec::new();
        for segment in 0..self.segments {
            let schedule = self.schedule(segment)?;
            let statement = self.statement(segment, &head, &schedule);
            let start = rest.len() - reader.remaining();
            stark_verify::verify(&statement, &mut reader)?;
            let proof = &rest[start..rest.len() - reader.remaining()];
            leaves.push(Made::new(&statement, &TABLES, proof)?);
        }
        judge_end(&reader)?;
        Ok(leaves)
    }

    /// Checks the proof of a segment under a head of this statement, as the verifier would.
    ///
    /// # Errors
    /// Those of the verifier for a segment.
    pub fn check(&self, segment: usize, head: &[u8], proof: &[u8]) -> Result<()> {
        let (head, _) = Head::split(&self.statement, head)?;
        let schedule = self.schedule(segment)?;
        let mut reader = Reader::new(proof, CODES);
        stark_verify::verify(&self.statement(segment, &head, &schedule), &mut reader)?;
        judge_end(&reader)
    }
}

/// What an honest prover of a segment checks: the verifier accepts it.
pub(super) fn accepted(statement: &Statement, proof: &[u8]) -> Result<()> {
    let mut reader = Reader::new(proof, Codes::all("prove.witness"));
    stark_verify::verify(statement, &mut reader).map(|_| ()).map_err(|error| {
        Error::new("prove.witness", "the openings do not satisfy the checks")
            .received(error.message)
    })
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}
