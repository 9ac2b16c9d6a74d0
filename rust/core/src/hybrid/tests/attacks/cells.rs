//! Every column of every table: changed cells are refused, but for those that nothing reads.

use std::collections::{BTreeMap, BTreeSet};

use p3_field::{Field, PrimeCharacteristicRing};
use rayon::prelude::*;

use super::judge::{Edited, Failure, Table, refusal};
use super::subjects::SUBJECTS;
use crate::hash::Elem;
use crate::hybrid::tables::columns::{Product, Reads};
use crate::hybrid::tables::{
    BLOCK, PRODUCTS, RATE, TABLES, act, bits, bus, digest, div, gate, index, limbs, noise, pick,
    range, read_dot, record, row_dot, scan, spread, wide,
};
use crate::program::testing::Rng;

/// Cells that a liar may write as he likes: table, first and last column, whether a row leaves a column
/// free (column, publics, mains), why.
type Free = (usize, usize, usize, fn(usize, &[Elem], &[Elem]) -> bool, &'static str);

macro_rules! zero {
    ($($column:expr),+) => { |_, publics, _| true $(&& publics[$column].is_zero())+ };
}

const NOT_READ: &str = "a factor with r = 0 is its constant, whatever is read";

/// Whether a factor of a read_dot row reads nothing.
fn reads_nothing(column: usize, publics: &[Elem]) -> bool {
    use read_dot::{MAIN, PUBLIC};
    let own = |reads: &Reads<usize>| reads.a == column || reads.b == column;
    let product = MAIN.reads.iter().position(own).expect("a read");
    let Product { a, b } = PUBLIC.products[product];
    let r = if MAIN.reads[product].a == column { a.r } else { b.r };
    publics[r].is_zero()
}

/// Whether the pair of limbs of a byte has no stream.
fn has_no_stream(column: usize, publics: &[Elem]) -> bool {
    let pair = limbs::MAIN.bytes.iter().position(|bytes| bytes.contains(&column)).expect("a byte");
    publics[limbs::PUBLIC.has[pair]].is_zero()
}

/// Cells of used rows.
const FREE: &[Free] = {
    const WIDE: wide::Main<usize> = wide::MAIN;
    const READS: [Reads<usize>; PRODUCTS] = read_dot::MAIN.reads;
    const LIMBS: limbs::Main<usize> = limbs::MAIN;
    const GATE: gate::Main<usize> = gate::MAIN;
    const PICK: pick::Main<usize> = pick::MAIN;
    const SCAN: scan::Main<usize> = scan::MAIN;
    const DIV: div::Main<usize> = div::MAIN;
    const NO_SUM: &str = "the sum of a stream that the gate has not";
    &[
        (
            index::WIDE,
            WIDE.bytes[2],
            WIDE.bytes[2],
            zero!(wide::PUBLIC.three),
            "the third byte of a value of two",
        ),
        (
            index::READ_DOT,
            READS[0].a,
            READS[0].a,
            |c, publics, _| reads_nothing(c, publics),
            NOT_READ,
        ),
        // The second factor of the first product is always read in these programs.
        (
            index::READ_DOT,
            READS[1].a,
            READS[15].b,
            |c, publics, _| reads_nothing(c, publics),
            NOT_READ,
        ),
        (
            index::LIMBS,
            LIMBS.bytes[6][0],
            LIMBS.bytes[8][3],
            |c, publics, _| has_no_stream(c, publics),
            "bytes of a pair of limbs without a stream",
        ),
        (index::LIMBS, LIMBS.v_bias, LIMBS.v_bias, zero!(limbs::PUBLIC.bias.r), NOT_READ),
        (index::GATE, GATE.sum_a, GATE.sum_a, zero!(gate::PUBLIC.has_a), NO_SUM),
        (index::GATE, GATE.sum_b, GATE.sum_b, zero!(gate::PUBLIC.has_b), NO_SUM),
        (index::GATE, GATE.v_bias, GATE.v_bias, zero!(gate::PUBLIC.bias.r), NOT_READ),
        (index::GATE, GATE.v_mult, GATE.v_mult, zero!(gate::PUBLIC.mult.r), NOT_READ),
        (index::GATE, GATE.v_rounding, GATE.v_rounding, zero!(gate::PUBLIC.rounding.r), NOT_READ),
        (index::PICK, PICK.reads[1], PICK.reads[1], zero!(pick::PUBLIC.b.r), NOT_READ),
        (index::PICK, PICK.reads[2], PICK.reads[2], zero!(pick::PUBLIC.c.r), NOT_READ),
        (
            index::PICK,
            PICK.inverse,
            PICK.inverse,
            |_, _, main| main[pick::MAIN.x].is_zero(),
            "0·inverse = 0 whatever the inverse",
        ),
        (
            index::PICK,
            PICK.larger,
            PICK.larger,
            zero!(pick::PUBLIC.greater),
            "which is larger, where the mode does not ask",
        ),
        (index::SCAN, SCAN.v_value, SCAN.v_value, zero!(scan::PUBLIC.value.r), NOT_READ),
        (index::SCAN, SCAN.v_index, SCAN.v_index, zero!(scan::PUBLIC.index.r), NOT_READ),
        (
            index::SCAN,
            SCAN.y,
            SCAN.y,
            zero!(scan::PUBLIC.last_value, scan::PUBLIC.last_index, scan::PUBLIC.last_gather),
            "the output before the gate's last row",
        ),
        (index::DIV, DIV.v_den, DIV.v_den, zero!(div::PUBLIC.den.r), NOT_READ),
    ]
};

/// Cells of rows beyond the used ones (table, first column, last column): their publics are zero, so
/// nothing of them stands on a bus (padding.rs). All other columns are bound even there.
const FREE_IN_UNUSED_ROWS: &[(usize, usize, usize)] = &[
    (index::SPREAD, spread::MAIN.bytes[0], spread::MAIN.bytes[BLOCK - 1]),
    (index::WIDE, wide::MAIN.bytes[0], wide::MAIN.v),
    (index::ROW_DOT, row_dot::MAIN.a[0], row_dot::MAIN.b[BLOCK - 1]),
    (index::READ_DOT, read_dot::MAIN.reads[0].a, read_dot::MAIN.reads[PRODUCTS - 1].b),
    (index::LIMBS, limbs::MAIN.bytes[0][0], limbs::MAIN.v_bias),
    (index::LIMBS, limbs::MAIN.carries[0], limbs::MAIN.carries[1]),
    (index::GATE, gate::MAIN.sum_a, gate::MAIN.v_rounding),
    (index::GATE, gate::MAIN.u[0], gate::MAIN.u[3]),
    (index::GATE, gate::MAIN.t[0], gate::MAIN.t[1]),
    (index::GATE, gate::MAIN.p[0], gate::MAIN.p[1]),
    (index::GATE, gate::MAIN.carries[0].low, gate::MAIN.y),
    (index::PICK, pick::MAIN.reads[0], pick::MAIN.reads[2]),
    (index::PICK, pick::MAIN.inverse, pick::MAIN.inverse),
    (index::PICK, pick::MAIN.larger, pick::MAIN.y),
    (index::SCAN, scan::MAIN.v_value, scan::MAIN.v_value),
    (index::SCAN, scan::MAIN.d[0], scan::MAIN.y),
    (index::DIV, div::MAIN.v_num, div::MAIN.n[2]),
    (index::DIV, div::MAIN.q[0], div::MAIN.q[1]),
    (index::DIV, div::MAIN.carries[0].low, div::MAIN.y),
    (index::NOISE, noise::MAIN.bytes[24], noise::MAIN.bytes[BLOCK - 1]),
    (index::BITS, bits::MAIN.h[0], bits::MAIN.h[1]),
    (index::DIGEST, digest::MAIN.digest[0], digest::MAIN.digest[7]),
    (index::RECORD, record::MAIN.elements[0], record::MAIN.elements[RATE - 1]),
    (index::ACT, act::MAIN.times, act::MAIN.times),
    (index::RANGE, range::MAIN.times, range::MAIN.times),
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
            let within = |of: usize, first: usize, last: usize| {
                of == index && (first..=last).contains(&column)
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
    for (n, index, first, last, hits) in free.chain(unused) {
        let columns = (first..=last).filter(|&column| !hits.contains(&(n, column)));
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
            for j in (0..BLOCK).filter(|&j| !spread.publics(row)[spread::PUBLIC.uses[j]].is_zero())
            {
                let block = spread.publics(row)[spread::PUBLIC.block];
                let old = spread.row(row)[spread::MAIN.bytes[j]];
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
    let address = block * Elem::from_usize(BLOCK) + Elem::from_usize(j);
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
