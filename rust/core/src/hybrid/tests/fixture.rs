//! Programs proven fast, their segments' schedules and witnesses judged by the direct checker.

use std::sync::Arc;

use crate::commit::{Course, Prepared};
use crate::error::Result;
use crate::fast::{Proof, testing};
use crate::hybrid::segments::{Item, Limits, Segments, total_blocks};
use crate::hybrid::tables::TABLES;
use crate::hybrid::trace::Opened;
use crate::hybrid::{Schedule, support};
use crate::program::{Program, encode, load};
use crate::receipt::{Journal, Receipt};
use crate::sampling::{Plan, SEED_BYTES, course};
use crate::stark::MainTable;
use crate::stark::check::first_failure;

pub const HIDING: usize = 180;

/// A statement and its openings.
pub struct Case {
    pub prepared: Prepared,
    pub journal: Vec<u8>,
    /// Openings behind the seed.
    pub openings: Vec<u8>,
}

impl Case {
    /// A program with random weights, run for some steps on random inputs.
    pub fn new(program: &Program, steps: usize, delta: u32) -> Self {
        Self::lying(program, program, steps, delta)
    }

    /// What `program` computes, committed as if it were `claimed`, of the same shapes.
    pub fn lying(claimed: &Program, program: &Program, steps: usize, delta: u32) -> Self {
        let claimed = Arc::new(load(&encode(claimed)).expect("valid"));
        let mut checked = load(&encode(program)).expect("valid");
        checked.id = claimed.id;
        let (model, mut run) = testing::run(Arc::new(checked), steps, 1 << 30);
        let journal = testing::journal(&model, run.statement().unwrap(), delta).encode();
        let openings = run.open(&journal).unwrap()[SEED_BYTES..].to_vec();
        Self { prepared: Prepared::new(claimed), journal, openings }
    }

    /// The same under a statement that hides its outputs.
    pub fn hiding(program: &Program, steps: usize, delta: u32) -> Self {
        let checked = Arc::new(load(&encode(program)).expect("valid"));
        let (model, mut run) = testing::run(checked.clone(), steps, 1 << 30);
        let mut journal = testing::journal(&model, run.statement().unwrap(), delta);
        journal.outputs.clear();
        let journal = journal.encode();
        let openings = run.open(&journal).unwrap()[SEED_BYTES..].to_vec();
        Self { prepared: Prepared::new(checked), journal, openings }
    }

    /// A receipt of mode fast.
    pub fn of_receipt(receipt: &[u8]) -> Self {
        let sections = Receipt::split(receipt, usize::MAX).unwrap();
        Self {
            prepared: Prepared::new(Arc::new(load(sections.program).unwrap())),
            journal: sections.journal.to_vec(),
            openings: sections.proof[SEED_BYTES..].to_vec(),
        }
    }

    pub fn journal(&self) -> Journal {
        Journal::decode(&self.journal).unwrap()
    }

    pub fn plan(&self) -> Plan {
        Plan::new(&self.prepared.checked, &self.journal(), &self.journal).unwrap()
    }

    pub fn course(&self) -> Course {
        course(&self.prepared, &self.journal())
    }

    /// The openings, if they can be read.
    pub fn parsed(&self) -> Option<Proof<'_>> {
        let course = self.course();
        let marks = self.prepared.marks(&course, &self.plan(), u64::MAX).unwrap();
        Proof::parse(&self.openings, &self.prepared, &course, &marks).ok()
    }

    pub fn proof(&self) -> Proof<'_> {
        self.parsed().unwrap()
    }

    /// The items of every segment.
    pub fn segments(&self, limits: Limits) -> Vec<Vec<Item>> {
        let (plan, steps) = (self.plan(), self.journal().steps as usize);
        let marks = self.prepared.marks(&self.course(), &plan, u64::MAX).unwrap();
        let blocks = total_blocks(&self.prepared, &marks);
        let segments = Segments::new(&self.prepared, &plan, steps, blocks, limits);
        (0..segments.count()).map(|segment| segments.items(segment)).collect()
    }

    pub fn schedule(&self, items: &[Item]) -> Result<Schedule> {
        self.schedule_for(&self.journal(), items)
    }

    pub fn schedule_for(&self, journal: &Journal, items: &[Item]) -> Result<Schedule> {
        Schedule::new(&self.prepared, journal, items, HIDING)
    }

    pub fn witness(&self, schedule: &Schedule) -> Vec<MainTable> {
        self.witness_of(schedule, &self.proof())
    }

    pub fn witness_of(&self, schedule: &Schedule, proof: &Proof) -> Vec<MainTable> {
        schedule.witness(&Opened::new(&self.prepared, proof), proof.prf_seed).unwrap()
    }

    /// The first failure of a witness.
    pub fn judge(&self, schedule: &Schedule, mains: &[MainTable]) -> Option<String> {
        first_failure(&TABLES, &schedule.tables, mains, &schedule.terms, HIDING)
    }

    /// Judges all segments; the used rows of each table, of all of them together.
    pub fn check(&self, limits: Limits) -> [usize; 17] {
        support::check_supported(&self.prepared.checked).unwrap();
        let mut rows = [0; 17];
        for items in self.segments(limits) {
            let schedule = self.schedule(&items).unwrap();
            assert_eq!(self.judge(&schedule, &self.witness(&schedule)), None);
            for table in schedule.tables {
                rows[table.index] += table.publics.rows();
            }
        }
        rows
    }
}
