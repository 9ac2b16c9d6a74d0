//! Every column of every table: changed cells are refused, but for those that nothing reads.

use std::collections::{BTreeMap, BTreeSet};

use p3_field::{Field, PrimeCharacteristicRing};
use rayon::prelude::*;

use super::judge::{Edited, Failure, Table, refusal};
use super::subjects::SUBJECTS;
use crate::hash::Elem;
use crate::hybrid::tables::{TABLES, bus, index};
use crate::program::testing::Rng;

/// Cells that a liar may write as he likes: table, first column and number of columns, whether a row
/// leaves a column free (column, publics, mains), why.
type Free = (usize, usize, usize, fn(usize, &[Elem], &[Elem]) -> bool, &'static str);

macro_rules! zero {
    ($($column:literal)+) => { |_, publics, _| true $(&& publics[$column].is_zero())+ };
}

const NOT_READ: &str = "a factor with r = 0 is its constant, whatever is read";

/// Cells of used rows.
const FREE: &[Free] = &[
    (index::WIDE, 3, 1, zero!(4), "the third byte of a value of two"),
    (index::READ_DOT, 1, 1, |c, publics, _| publics[3 + 3 * c].is_zero(), NOT_READ),
    // The second factor of the first product is always read in these programs.
    (index::READ_DOT, 3, 30, |c, publics, _| publics[3 + 3 * c].is_zero(), NOT_READ),
    (
        index::LIMBS,
        25,
        12,
        |c, publics, _| publics[5 + (c - 1) / 4].is_zero(),
        "bytes of a pair of limbs without a stream",
    ),
    (index::LIMBS, 37, 1, zero!(15), NOT_READ),
    (index::GATE, 1, 1, zero!(5), "the sum of a stream that the gate has not"),
    (index::GATE, 2, 1, zero!(7), "the sum of a stream that the gate has not"),
    (index::GATE, 3, 1, zero!(10), NOT_READ),
    (index::GATE, 4, 1, zero!(13), NOT_READ),
    (index::GATE, 5, 1, zero!(16), NOT_READ),
    (index::PICK, 2, 1, zero!(11), NOT_READ),
    (index::PICK, 3, 1, zero!(14), NOT_READ),
    (index::PICK, 8, 1, |_, _, main| main[7].is_zero(), "0·inverse = 0 whatever the inverse"),
    (index::PICK, 10, 1, zero!(4), "which is larger, where the mode does not ask"),
    (index::SCAN, 1, 1, zero!(12), NOT_READ),
    (index::SCAN, 11, 1, zero!(15), NOT_READ),
    (index::SCAN, 12, 1, zero!(8 9 10), "the output before the gate's last row"),
    (index::DIV, 2, 1, zero!(14), NOT_READ),
];

/// Cells of rows beyond the used ones (table, first column, number of columns): their publics are zero,
/// so nothing of them stands on a bus (padding.rs). All other columns are bound even there.
const FREE_IN_UNUSED_ROWS: &[(usize, usize, usize)] = &[
    (index::SPREAD, 1, 48),
    (index::WIDE, 1, 4),
    (index::ROW_DOT, 1, 96),
    (index::READ_DOT, 1, 32),
    (index::LIMBS, 1, 37),
    (index::LIMBS, 42, 2),
    (index::GATE, 1, 5),
    (index::GATE, 7, 4),
    (index::GATE, 12, 2),
    (index::GATE, 24, 2),
    (index::GATE, 28, 16),
    (index::PICK, 1, 3),
    (index::PICK, 8, 1),
    (index::PICK, 10, 4),
    (index::SCAN, 1, 1),
    (index::SCAN, 9, 4),
    (index::DIV, 1, 5),
    (index::DIV, 9, 2),
    (index::DIV, 17, 13),
    (index::NOISE, 25, 24),
    (index::BITS, 4, 2),
    (index::ACT, 1, 1),
    (index::RANGE, 1, 1),
];

/// An entry of a list, and a column of it.
type Hit = (usize, usize);

#[derive(Default)]
struct Tally {
    mutants: usize,
    accepted: usize,
    /// Accepted mutants that no list explains: table, column, in a used row.
    bad: BTreeMap<(usize, usize, bool), usize>,
    columns: BTreeMap<(usize, usize), usize>,
    free: BTreeSet<Hit>,
    unused: BTreeSet<Hit>,
}

impl Tally {
    fn join(mut self, other: Self) -> Self {
        self.mutants += other.mutants;
        self.accepted += other.accepted;
        other.bad.into_iter().for_each(|(key, n)| *self.bad.entry(key).or_default() += n);
        other.columns.into_iter().for_each(|(key, n)| *self.columns.entry(key).or_default() += n);
        self.free.extend(other.free);
        self.unused.extend(other.unused);
        self
    }

    /// Files an accepted mutant of one column.
    fn accept(&mut self, edited: &Edited, column: usize) {
        self.accepted += 1;
        let table = edited.table;
        let index = table.public.index;
        for &row in edited.rows.keys() {
            let used = row < table.used();
            let within = |of: usize, first: usize, count: usize| {
                of == index && (first..first + count).contains(&column)
            };
            let entry = if used {
                let holds = |holds: fn(usize, &[Elem], &[Elem]) -> bool| {
                    holds(column, table.publics(row), table.row(row))
                };
                FREE.iter().position(|e| within(e.0, e.1, e.2) && holds(e.3))
            } else {
                FREE_IN_UNUSED_ROWS.iter().position(|e| within(e.0, e.1, e.2))
            };
            match entry {
                Some(n) if used => _ = self.free.insert((n, column)),
                Some(n) => _ = self.unused.insert((n, column)),
                None => *self.bad.entry((index, column, used)).or_default() += 1,
            }
        }
    }
}

fn attack(table: Table, column: usize, tally: &mut Tally) {
    let rng = &mut Rng((table.public.index * 1000 + column) as u64);
    let (used, active) = (table.used(), table.active);
    let mut rows = vec![0, used - 1, used.min(active - 1), active - 1];
    rows.extend((0..3).map(|_| rng.below(used)));
    rows.sort_unstable();
    rows.dedup();
    for row in rows {
        let old = table.row(row)[column];
        let neighbour = if row > 0 { row - 1 } else { row + 1 };
        let other = table.row(neighbour)[column];
        let random = Elem::from_u32(rng.between(2, i32::MAX) as u32);
        let values = [old + Elem::ONE, old - Elem::ONE, random, other];
        for (i, value) in values.into_iter().enumerate().filter(|(_, value)| *value != old) {
            let mut edited = Edited::new(table);
            edited.set(row, column, value);
            if i == 3 {
                edited.set(neighbour, column, old);
            }
            tally.mutants += 1;
            *tally.columns.entry((table.public.index, column)).or_default() += 1;
            if refusal(&[&edited]).is_none() {
                tally.accept(&edited, column);
            }
        }
    }
}

#[test]
fn no_cell_can_be_changed_but_those_that_nothing_reads() {
    let work: Vec<(Table, usize)> = SUBJECTS
        .iter()
        .flat_map(|subject| subject.tables())
        .flat_map(|table| (1..table.air.mains).map(move |column| (table, column)))
        .collect();
    let tally = work
        .into_par_iter()
        .fold(Tally::default, |mut tally, (table, column)| {
            attack(table, column, &mut tally);
            tally
        })
        .reduce(Tally::default, Tally::join);
    let Tally { mutants, accepted, .. } = tally;
    println!("{mutants} mutants, {} refused, {accepted} in free cells", mutants - accepted);
    assert!(mutants >= 10_000);
    let name = |index: usize| TABLES.airs[index].name.as_str();
    for (index, air) in TABLES.airs.iter().enumerate() {
        for column in 1..air.mains {
            let tried = tally.columns.get(&(index, column)).copied().unwrap_or(0);
            assert!(tried >= 3, "{} column {column}: {tried} mutants", air.name);
        }
    }
    let bad: Vec<_> = tally.bad.iter().map(|((t, c, used), n)| (name(*t), c, used, n)).collect();
    assert!(bad.is_empty(), "accepted (table, column, in a used row, mutants): {bad:?}");
    let free = FREE.iter().enumerate().map(|(n, e)| (n, e.0, e.1, e.2, &tally.free));
    let unused =
        FREE_IN_UNUSED_ROWS.iter().enumerate().map(|(n, e)| (n, e.0, e.1, e.2, &tally.unused));
    let mut bound = Vec::new();
    for (n, index, first, count, hits) in free.chain(unused) {
        let columns = (first..first + count).filter(|&column| !hits.contains(&(n, column)));
        bound.extend(columns.map(|column| (name(index), column)));
    }
    assert!(bound.is_empty(), "listed, but never free: {bound:?}");
}

/// A change that touches several tables at once: a value and everything that reads it.
#[test]
fn a_byte_cannot_be_changed_together_with_its_readers() {
    let mut refused = 0;
    for subject in SUBJECTS.iter() {
        let tables: Vec<Table> = subject.tables().collect();
        let spread = subject.table(index::SPREAD);
        for row in 0..spread.used().min(12) {
            for j in (0..48).filter(|j| !spread.publics(row)[4 + j].is_zero()) {
                let block = spread.publics(row)[3];
                let old = spread.row(row)[1 + j];
                let value = old + if old == Elem::from_u8(255) { -Elem::ONE } else { Elem::ONE };
                let mut edits: Vec<Edited> =
                    tables.iter().map(|&table| Edited::new(table)).collect();
                rewrite(&mut edits, block, j, value);
                let edits: Vec<&Edited> = edits.iter().filter(|e| !e.rows.is_empty()).collect();
                assert!(edits.len() > 1);
                let refusal = refusal(&edits);
                assert!(
                    matches!(refusal, Some(Failure::Constraint(_) | Failure::Bus(bus::DIGEST))),
                    "{}: {refusal:?}",
                    subject.name
                );
                refused += 1;
            }
        }
    }
    assert!(refused > 900, "{refused}");
}

/// Writes a byte of a block wherever it stands: in the block's rows and in all cells that read it.
fn rewrite(edits: &mut [Edited], block: Elem, j: usize, value: Elem) {
    let address = block * Elem::from_u32(48) + Elem::from_usize(j);
    let centred = value - Elem::from_u8(128);
    for edited in edits.iter_mut() {
        let table = edited.table;
        let mut values = Vec::new();
        for row in 0..table.used() {
            Edited::new(table).evaluate(row, &mut values);
            for lookup in table.air.lookups() {
                if values[lookup.multiplicity as usize].is_zero() {
                    continue;
                }
                let at = |e: usize| values[lookup.tuple[e] as usize];
                let column = |e: usize| match table.air.nodes[lookup.tuple[e] as usize] {
                    crate::stark::air::Node::Main(column) => Some(column as usize),
                    _ => None,
                };
                match lookup.bus {
                    bus::BLOCK if at(0) == block => {
                        edited.set(row, column(1 + j).expect("a column"), value);
                    }
                    bus::READ if at(0) == address => {
                        if let Some(column) = column(1) {
                            edited.set(row, column, centred);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}
