//! Every column of every table: changed cells are refused, but for those that nothing reads.

use std::collections::BTreeMap;

use p3_field::{Field, PrimeCharacteristicRing};
use rayon::prelude::*;

use super::judge::{Edited, Failure, Table, refusal};
use super::subjects::SUBJECTS;
use crate::hash::Elem;
use crate::hybrid::tables::{TABLES, bus, index};
use crate::program::testing::Rng;

/// Cells that a liar may write as he likes: table, first column and number of columns, whether a row
/// leaves them free, why.
type Free = (usize, usize, usize, fn(&[Elem], &[Elem]) -> bool, &'static str);

macro_rules! zero {
    ($($column:literal)+) => { |publics, _| true $(&& publics[$column].is_zero())+ };
}

const NOT_READ: &str = "a factor with r = 0 is its constant, whatever is read";

/// Rows that are used. Of unused rows see [`FREE_IN_UNUSED_ROWS`].
const FREE: &[Free] = &[
    (index::WIDE, 3, 1, zero!(4), "the third byte of a value of two"),
    (index::LIMBS, 1, 4, zero!(5), "bytes of a pair of limbs without a stream"),
    (index::LIMBS, 5, 4, zero!(6), "bytes of a pair of limbs without a stream"),
    (index::LIMBS, 9, 4, zero!(7), "bytes of a pair of limbs without a stream"),
    (index::LIMBS, 37, 1, zero!(15), NOT_READ),
    (index::GATE, 1, 1, zero!(5), "the sum of a stream that the gate has not"),
    (index::GATE, 2, 1, zero!(7), "the sum of a stream that the gate has not"),
    (index::GATE, 3, 1, zero!(10), NOT_READ),
    (index::GATE, 4, 1, zero!(13), NOT_READ),
    (index::GATE, 5, 1, zero!(16), NOT_READ),
    (index::PICK, 1, 1, zero!(8), NOT_READ),
    (index::PICK, 2, 1, zero!(11), NOT_READ),
    (index::PICK, 3, 1, zero!(14), NOT_READ),
    (index::PICK, 8, 1, |_, main| main[7].is_zero(), "nothing times x = 0 is 1: any inverse does"),
    (index::PICK, 10, 1, zero!(4), "which is larger, where the mode does not ask"),
    (index::SCAN, 1, 1, zero!(12), NOT_READ),
    (index::SCAN, 11, 1, zero!(15), NOT_READ),
    (index::SCAN, 12, 1, zero!(8 9 10), "the output before the gate's last row"),
    (index::DIV, 1, 1, zero!(11), NOT_READ),
    (index::DIV, 2, 1, zero!(14), NOT_READ),
];

/// Columns that no constraint binds in rows where all publics are zero: nothing of those rows stands on
/// a bus. Table, first column, number of columns.
const FREE_IN_UNUSED_ROWS: &[(usize, usize, usize)] = &[];

/// One mutant's outcome.
struct Accepted {
    table: usize,
    column: usize,
    used: bool,
    free: Vec<usize>,
}

#[derive(Default)]
struct Tally {
    mutants: usize,
    accepted: Vec<Accepted>,
    columns: BTreeMap<(usize, usize), usize>,
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
                let free = |(_, of_table, first, count, holds): (usize, usize, usize, usize, fn(&[Elem], &[Elem]) -> bool)| {
                    of_table == table.public.index
                        && (first..first + count).contains(&column)
                        && edited.rows.keys().all(|&row| row >= used || holds(table.publics(row), table.row(row)))
                };
                let entries = FREE.iter().enumerate();
                let matching = entries.filter(|(n, e)| free((*n, e.0, e.1, e.2, e.3)));
                tally.accepted.push(Accepted {
                    table: table.public.index,
                    column,
                    used: edited.rows.keys().any(|&row| row < used),
                    free: matching.map(|(n, _)| n).collect(),
                });
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
        .reduce(Tally::default, |mut a, b| {
            a.mutants += b.mutants;
            a.accepted.extend(b.accepted);
            b.columns.into_iter().for_each(|(key, n)| *a.columns.entry(key).or_default() += n);
            a
        });
    assert!(tally.mutants >= 10_000, "{} mutants", tally.mutants);
    for (index, air) in TABLES.airs.iter().enumerate() {
        for column in 1..air.mains {
            let tried = tally.columns.get(&(index, column)).copied().unwrap_or(0);
            assert!(tried >= 3, "{} column {column}: {tried} mutants", air.name);
        }
    }
    let mut hit = vec![0; FREE.len()];
    let mut unused = vec![0; FREE_IN_UNUSED_ROWS.len()];
    let mut bad: BTreeMap<(&str, usize, bool), usize> = BTreeMap::new();
    for accepted in &tally.accepted {
        accepted.free.iter().for_each(|&n| hit[n] += 1);
        let listed = |&(table, first, count): &(usize, usize, usize)| {
            table == accepted.table && (first..first + count).contains(&accepted.column)
        };
        let in_unused = FREE_IN_UNUSED_ROWS.iter().position(listed).filter(|_| !accepted.used);
        in_unused.into_iter().for_each(|n| unused[n] += 1);
        if accepted.free.is_empty() && in_unused.is_none() {
            let name = TABLES.airs[accepted.table].name.as_str();
            *bad.entry((name, accepted.column, accepted.used)).or_default() += 1;
        }
    }
    println!(
        "{} mutants, {} refused, {} accepted in free cells",
        tally.mutants,
        tally.mutants - tally.accepted.len(),
        tally.accepted.len()
    );
    assert!(bad.is_empty(), "accepted (table, column, in a used row): {bad:?}");
    for (entry, hits) in FREE.iter().zip(hit) {
        assert!(hits > 0, "{} column {}: {} — never free", TABLES.airs[entry.0].name, entry.1, entry.4);
    }
    for (entry, hits) in FREE_IN_UNUSED_ROWS.iter().zip(unused) {
        assert!(hits > 0, "{} column {} in unused rows: never free", TABLES.airs[entry.0].name, entry.1);
    }
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
                let mut edits: Vec<Edited> = tables.iter().map(|&table| Edited::new(table)).collect();
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
    assert!(refused > 1000, "{refused}");
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
