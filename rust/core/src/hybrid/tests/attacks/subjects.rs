//! True statements with their witnesses, of which the attacks change something.

use std::sync::LazyLock;

use super::judge::Table;
use crate::hybrid::Schedule;
use crate::hybrid::segments::Limits;
use crate::hybrid::tables::TABLES;
use crate::hybrid::tests::fixture::{Case, HIDING};
use crate::hybrid::tests::programs::{convolution, dense, lookups, padded, picks, wide};
use crate::hybrid::tests::MANY;
use crate::program::testing::{Builder, by_i, by_k, dot, map, read};
use crate::program::*;
use crate::stark::MainTable;

pub struct Subject {
    pub name: &'static str,
    pub case: Case,
    pub schedule: Schedule,
    pub mains: Vec<MainTable>,
}

/// Programs that fill all tables, with the extremes of each.
pub static SUBJECTS: LazyLock<Vec<Subject>> = LazyLock::new(|| {
    let bias = padded(read(1, &[8], &[map(Some(1), 3, None, 0, 0)]), 17, -5);
    vec![
        Subject::new("dense", &dense(100, 40), 1),
        Subject::new("convolution", &convolution(), 1),
        Subject::new("wide", &wide(Operand::Const(-1_000_000_007)), 2),
        Subject::new("biased", &wide(bias), 1),
        Subject::new("picks", &picks(), 1),
        Subject::new("lookups", &lookups(), 1),
        Subject::new("precise", &precise(), 1),
        Subject::new("steep", &steep(), 1),
    ]
});

impl Subject {
    pub fn new(name: &'static str, program: &Program, steps: usize) -> Self {
        Self::of(name, Case::new(program, steps, MANY))
    }

    /// The first segment of a case.
    pub fn of(name: &'static str, case: Case) -> Self {
        let items = case.segments(Limits::default()).remove(0);
        let schedule = case.schedule(&items).unwrap();
        let mains = case.witness(&schedule);
        assert_eq!(case.judge(&schedule, &mains), None, "{name}");
        Self { name, case, schedule, mains }
    }

    pub fn tables(&self) -> impl Iterator<Item = Table<'_>> {
        self.schedule.tables.iter().zip(&self.mains).map(|(public, main)| Table {
            air: &TABLES.airs[public.index],
            public,
            main,
            active: (1 << public.log_rows) - HIDING,
        })
    }

    pub fn table(&self, index: usize) -> Table<'_> {
        self.tables().find(|table| table.public.index == index).expect("the table has rows")
    }
}

pub fn subject(name: &str) -> &'static Subject {
    SUBJECTS.iter().find(|subject| subject.name == name).expect("a subject")
}

/// A dot whose quotients nearly fill 24 bits, so that most are not clamped.
pub fn precise() -> Program {
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, 2, &[3, 8]);
    let w = b.tensor(Role::Weight, 1, &[4, 8]);
    let y = b.tensor(Role::Value, 3, &[3, 4]);
    let term = Term {
        window: vec![8],
        a: read(x, &[3, 8], &[by_i(0), by_k(0)]),
        b: read(w, &[4, 8], &[by_i(1), by_k(0)]),
    };
    b.op(y, &[3, 4], OpKind::Dot(Dot { mult: Operand::Const(5), ..dot(vec![term], 5) }));
    b.finish()
}

/// A wide accumulator with the largest multiplier and shift.
pub fn steep() -> Program {
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, 3, &[6]);
    let w = b.tensor(Role::Weight, 3, &[6]);
    let y = b.tensor(Role::Value, 3, &[6]);
    let cell = |t| read(t, &[6], &[by_i(0)]);
    let terms = vec![Term { window: vec![], a: cell(x), b: cell(w) }];
    b.op(y, &[6], OpKind::Dot(Dot { mult: Operand::Const(32_767), ..dot(terms, 44) }));
    b.finish()
}
