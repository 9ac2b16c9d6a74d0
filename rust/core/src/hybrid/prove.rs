//! Proving: from the openings of a fast receipt to the segments of a hybrid one.

use std::sync::Arc;
use std::time::Instant;

use super::head::{self, Head};
use super::schedule::Schedule;
use super::segments::{Limits, Segments, total_blocks};
use super::support::check_supported;
use super::tables::TABLES;
use super::trace::Opened;
use crate::bytes::{Codes, Reader};
use crate::commit::{Course, Prepared};
use crate::error::{Error, Result};
use crate::fast::Proof;
use crate::receipt::Journal;
use crate::sampling::{Mark, Plan, SEED_BYTES, course, seed};
use crate::stark::memory::Keeper;
use crate::stark::parameters::Parameters;
use crate::stark::prove as stark_prove;
use crate::stark::statement::Statement;
use crate::stark::verify as stark_verify;
use crate::statement::check_shape;

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
}

/// Proves the segments of one receipt, in any order, as often as wanted.
pub struct Prover {
    prepared: Arc<Prepared>,
    journal: Vec<u8>,
    /// The openings behind their seed.
    openings: Vec<u8>,
    plan: Plan,
    marks: Vec<Mark>,
    profile: u8,
    course: Course,
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
/// Those of [`Prover::new`] that do not concern openings.
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

impl Prover {
    /// Takes a journal of mode 1 and the proof section of a fast receipt with the same claims.
    ///
    /// # Errors
    /// Those of a journal or a proof section that do not fit; `hybrid.unsupported`;
    /// `verify.journal-mismatch` for openings of other samples; `security.insufficient`.
    pub fn new(
        prepared: Arc<Prepared>,
        journal_bytes: Vec<u8>,
        openings: Vec<u8>,
        profile: u8,
    ) -> Result<Self> {
        let memory = Keeper::new();
        let journal = Journal::decode(&journal_bytes)?;
        check_shape(&prepared.checked, &journal)?;
        check_supported(&prepared.checked)?;
        let course = course(&prepared, &journal);
        let steps = course.steps;
        let plan = Plan::new(&prepared.checked, &journal, &journal_bytes)?;
        let seed = seed(&journal_bytes);
        if !openings.starts_with(&seed) {
            return Err(Error::new("verify.journal-mismatch", "openings of another statement"));
        }
        let openings = openings[SEED_BYTES..].to_vec();
        let marks = prepared.marks(&course, &plan, openings.len() as u64)?;
        Proof::parse(&openings, &prepared, &course, &marks)?;
        let blocks = total_blocks(&prepared, &marks);
        let segments = segments(&prepared, &plan, steps, blocks).count() as usize;
        let parameters = Parameters::new(profile, segments, journal.bits)?;
        Ok(Self {
            prepared,
            journal: journal_bytes,
            openings,
            plan,
            marks,
            profile,
            course,
            blocks,
            segments,
            parameters,
            _memory: memory,
        })
    }

    pub fn segments(&self) -> usize {
        self.segments
    }

    /// Proven bits that each segment reaches at least.
    pub fn stark_bits(&self) -> f64 {
        self.parameters.target
    }

    /// The proof section up to the first segment.
    pub fn head(&self) -> Vec<u8> {
        let roots = self.prepared.roots_bytes(self.course.steps) as usize;
        head::encode(&self.journal, self.profile, &self.openings[..roots])
    }

    /// Proves a segment with fresh masks and salts, and verifies the proof.
    ///
    /// # Errors
    /// `prove.witness` where the openings do not pass the checks; `prove.randomness`, `prove.retry`.
    pub fn prove_segment(&self, segment: usize) -> Result<(Vec<u8>, Timings)> {
        self.prove_and(segment, |statement, proof| {
            let mut reader = Reader::new(proof, Codes::all("prove.witness"));
            stark_verify::verify(statement, &mut reader).map(|_| ()).map_err(|error| {
                Error::new("prove.witness", "the openings do not satisfy the checks")
                    .received(error.message)
            })
        })
    }

    /// Proves a segment whatever the openings are: what a liar would send.
    ///
    /// # Errors
    /// `prove.witness` where a constraint fails, so that there is no proof at all.
    pub fn prove_unchecked(&self, segment: usize) -> Result<Vec<u8>> {
        self.prove_and(segment, |_, _| Ok(())).map(|(proof, _)| proof)
    }

    fn prove_and(
        &self,
        segment: usize,
        check: impl Fn(&Statement, &[u8]) -> Result<()>,
    ) -> Result<(Vec<u8>, Timings)> {
        let start = Instant::now();
        let prepared = &self.prepared;
        let journal = Journal::decode(&self.journal)?;
        let proof = Proof::parse(&self.openings, prepared, &self.course, &self.marks)?;
        let head = self.head();
        let (head, _) = Head::split(prepared, &self.journal, self.course.steps, &head)?;
        let segments = segments(prepared, &self.plan, self.course.steps, self.blocks);
        let items = segments.items(segment as u64);
        let root = |place, tensor| head.root(prepared, place, tensor);
        let hiding = self.parameters.hiding_rows;
        let schedule = Schedule::new(prepared, &journal, &items, root, hiding)?;
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
        let statement = Statement {
            tables: &TABLES,
            publics: &schedule.tables,
            terms: &schedule.terms,
            parameters: &self.parameters,
            context: head.context(segment, self.segments),
        };
        statement.judge()?;
        let (proof, parts) = stark_prove::prove(&statement, witness)?;
        let stark_prove::Timings { commit, lookups, quotient, opening } = parts;
        timings = Timings { commit, lookups, quotient, opening, ..timings };
        check(&statement, &proof)?;
        Ok((proof, timings))
    }
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}
