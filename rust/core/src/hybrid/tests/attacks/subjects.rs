//! True statements with their witnesses, of which the attacks change something.

use std::collections::HashSet;
use std::sync::LazyLock;

use p3_field::PrimeField32;

use super::judge::Table;
use crate::hybrid::Schedule;
use crate::hybrid::segments::Limits;
use crate::hybrid::tables::{TABLES, act, bus, index, range};
use crate::hybrid::tests::MANY;
use crate::hybrid::tests::fixture::{Case, HIDING};
use crate::hybrid::tests::programs::{convolution, dense, lookups, padded, picks, wide};
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
        Subject::new("noisy", &noisy(), 1),
        Subject::new("far", &far(), 1),
        Subject::new("full", &full(), 1),
        Subject::new("quotients", &quotients(), 1),
        Subject::new("plain", &plain(), 1),
        // Leaves that fill a block, and one whose last block has one element.
        Subject::new("long", &dense(60, 60), 1),
        Subject::new("tight", &dense(36, 36), 1),
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

    /// The entries of its range and act tables, by bus.
    pub fn known(&self) -> HashSet<(u32, Vec<u32>)> {
        let of_range = [range::PUBLIC.class, range::PUBLIC.x];
        let of_act = [act::PUBLIC.table, act::PUBLIC.x, act::PUBLIC.y];
        let tables = [(index::RANGE, bus::RANGE, &of_range[..]), (index::ACT, bus::ACT, &of_act)];
        let mut entries = HashSet::new();
        for (index, bus, columns) in tables {
            let Some(table) = self.schedule.table(index) else { continue };
            for row in 0..table.publics.rows() {
                let cells = table.publics.row(row);
                entries
                    .insert((bus, columns.iter().map(|&c| cells[c].as_canonical_u32()).collect()));
            }
        }
        entries
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

/// A multiplier of 24,000, a shift of 22 and nothing but 100,000 to multiply: the identity has a second
/// quotient modulo p.
pub fn second_quotient() -> Program {
    let mut b = Builder::default();
    let x = b.ranged(Role::Input, 3, 100_000, 100_000, &[4]);
    let y = b.tensor(Role::Value, 2, &[4]);
    let terms = vec![Term { window: vec![], a: read(x, &[4], &[by_i(0)]), b: Operand::Const(1) }];
    b.op(y, &[4], OpKind::Dot(Dot { mult: Operand::Const(24_000), ..dot(terms, 22) }));
    b.finish()
}

/// An accumulator just below the largest that is direct, 63·2^24, and a shift of 24: of an accumulator
/// that is p larger the quotient is 127 larger and still has as many bits as it may have.
pub fn full() -> Program {
    let mut b = Builder::default();
    let x = b.ranged(Role::Input, 2, -32_768, 32_767, &[3, 252]);
    let w = b.ranged(Role::Weight, 1, -128, 127, &[2, 252]);
    let y = b.tensor(Role::Value, 1, &[3, 2]);
    let term = Term {
        window: vec![252],
        a: read(x, &[3, 252], &[by_i(0), by_k(0)]),
        b: read(w, &[2, 252], &[by_i(1), by_k(0)]),
    };
    b.op(y, &[3, 2], OpKind::Dot(dot(vec![term], 24)));
    b.finish()
}

/// Noise of 16 bits in a sum, rounding of as many bits as there may be.
pub fn noisy() -> Program {
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, 1, &[20]);
    let noise = b.ranged(Role::Prf, 2, -32_768, 32_767, &[20]);
    let y = b.tensor(Role::Value, 3, &[20]);
    let cell = |t| read(t, &[20], &[by_i(0)]);
    let terms = vec![Term { window: vec![], a: cell(noise), b: cell(x) }];
    b.op(y, &[20], OpKind::Dot(dot(terms, 2)));
    b.finish()
}

/// A direct accumulator and a shift of three limbs: all quotients are zero.
pub fn far() -> Program {
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, 1, &[4, 20]);
    let w = b.tensor(Role::Weight, 1, &[4, 20]);
    let y = b.tensor(Role::Value, 1, &[4]);
    let term = Term {
        window: vec![20],
        a: read(x, &[4, 20], &[by_i(0), by_k(0)]),
        b: read(w, &[4, 20], &[by_i(0), by_k(0)]),
    };
    b.op(y, &[4], OpKind::Dot(dot(vec![term], 36)));
    b.finish()
}

/// Quotients by nearly the largest denominators.
pub fn quotients() -> Program {
    let mut b = Builder::default();
    let n = b.tensor(Role::Input, 3, &[30]);
    let d = b.ranged(Role::Input, 3, 7_000_000, 8_388_607, &[30]);
    let y = b.tensor(Role::Value, 3, &[30]);
    let cell = |t| read(t, &[30], &[by_i(0)]);
    let kind = Div { scale: 15_000, num: cell(n), den: Some(cell(d)), out_zero: 0 };
    b.op(y, &[30], OpKind::Div(kind));
    b.finish()
}

/// Gathers without pads, of nine rows each.
pub fn plain() -> Program {
    let mut b = Builder::default();
    let table = b.tensor(Role::Weight, 1, &[9]);
    let by = b.ranged(Role::Input, 1, 0, 8, &[20]);
    let y = b.tensor(Role::Value, 1, &[20]);
    let Operand::Read(source) = read(table, &[9], &[map(None, 0, None, 0, 0)]) else { panic!() };
    let index = read(by, &[20], &[by_i(0)]);
    b.op(y, &[20], OpKind::Gather(Gather { axis: 0, source, index }));
    b.finish()
}
