//! Every main column in every kind of row: a changed cell is refused, unless nothing reads it.

use std::collections::{BTreeMap, BTreeSet};

use p3_field::{Field, PrimeCharacteristicRing, PrimeField32};
use rayon::prelude::*;

use super::subjects::DENSE;
use crate::hash::{Elem, P};
use crate::hybrid::tables::columns::Row;
use crate::hybrid::tests::attacks::judge::{Edited, Table, refusal};
use crate::program::testing::Rng;
use crate::recursion::run::hash_row;
use crate::recursion::tables::{BLOCK, TABLES, bits, cells, field, hash, index};
use crate::stark::air::{BLIND, evaluate_row};
use crate::stark::field::DIM;

/// Rows of each kind that are attacked.
const EACH: usize = 2;

/// What rows of one kind have in common: which public columns are 0, 1, minus a few, something else.
fn kind(table: Table, row: usize) -> Vec<u8> {
    let class = |x: &Elem| match x.as_canonical_u32() {
        0 => 0,
        1..0x0100_0000 => 1,
        x if x > P - 0x0100_0000 => 2,
        _ => 3,
    };
    table.publics(row).iter().map(class).collect()
}

/// Some rows of each kind.
fn rows(table: Table) -> Vec<usize> {
    let mut kinds: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
    (0..table.used()).for_each(|row| kinds.entry(kind(table, row)).or_default().push(row));
    let some = |rows: &Vec<usize>| {
        let step = (rows.len() - 1).max(1).div_ceil(EACH - 1);
        rows.iter().step_by(step).copied().take(EACH).collect::<Vec<_>>()
    };
    kinds.values().flat_map(some).collect()
}

/// Whether nothing reads a cell, by what its row is for: operands that are not there, words of bits that
/// end no element, elements behind a block's last cell.
fn is_free(table: usize, publics: &[Elem], column: usize) -> bool {
    let zero = |column: usize| publics[column].is_zero();
    match table {
        index::FIELD => {
            let [a, b, c, _] = field::MAIN.x;
            let Some(operand) = [a, b, c].iter().position(|own| own.contains(&column)) else {
                return false;
            };
            let public = field::PUBLIC;
            let times = [public.a, public.b, public.c].map(|place| place.times);
            let factors: &[usize] = match operand {
                0 => &[public.product[0], public.product[1], public.sum[0]],
                1 => &[public.product[0], public.sum[1]],
                _ => &[public.product[1], public.sum[2]],
            };
            zero(times[operand]) && factors.iter().all(|&factor| zero(factor))
        }
        index::BITS => bits::MAIN.words.contains(&column) && zero(bits::PUBLIC.end),
        index::CELLS => {
            let element = column - cells::MAIN.elements[0];
            let public = cells::PUBLIC;
            zero(public.has_block[element / BLOCK])
                && zero(public.cell_times[element / DIM])
                && zero(public.coefficients_times)
        }
        _ => false,
    }
}

/// Attacks a cell with several values; how many were tried, and those that contradict what is said of it.
fn attack(table: Table, row: usize, column: usize, wrong: &mut Vec<String>) -> usize {
    let rng = &mut Rng((row * 1000 + column) as u64);
    let old = table.row(row)[column];
    let beside = table.row(if row > 0 { row - 1 } else { row + 1 })[column];
    let random = Elem::from_u32(rng.between(1, 2_000_000_000) as u32);
    let values = [old + Elem::ONE, beside, random].into_iter().filter(|&value| value != old);
    let values: Vec<Elem> = values.collect();
    let free = is_free(table.public.index, table.publics(row), column);
    for &value in &values {
        let mut edited = Edited::new(table);
        edited.set(row, column, value);
        if refusal(&[&edited]).is_none() != free {
            wrong.push(format!("{} row {row} column {column}: free? {free}", table.air.name));
        }
    }
    values.len()
}

#[test]
fn the_rows_of_a_true_proof_pass() {
    assert_eq!(DENSE.refusal(), None);
}

#[test]
fn no_cell_can_be_changed_but_those_that_nothing_reads() {
    let work: Vec<(Table, usize)> =
        DENSE.tables().flat_map(|table| rows(table).into_iter().map(move |r| (table, r))).collect();
    let tried = work.into_par_iter().map(|(table, row)| {
        let mut wrong = Vec::new();
        let columns = 1..table.air.mains;
        let mutants: usize = columns.map(|column| attack(table, row, column, &mut wrong)).sum();
        (mutants, wrong)
    });
    let (mutants, wrong) = tried.reduce(
        || (0, vec![]),
        |(n, mut all), (m, wrong)| {
            all.extend(wrong);
            (n + m, all)
        },
    );
    println!("{mutants} mutants");
    assert!(wrong.is_empty(), "{} wrong: {:?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    assert!(mutants > 10_000, "{mutants}");
}

/// Every table has rows of every kind that its rows can be told apart by.
#[test]
fn there_are_rows_of_every_kind() {
    for table in DENSE.tables() {
        let nonzero =
            |column: usize| (0..table.used()).any(|r| !table.publics(r)[column].is_zero());
        let never: BTreeSet<usize> = (2..table.air.publics).filter(|&c| !nonzero(c)).collect();
        // A block of a sponge is never empty, so its first element is never filling.
        let known = match table.public.index {
            index::HASH => BTreeSet::from([hash::PUBLIC.zero[0]]),
            _ => BTreeSet::new(),
        };
        assert_eq!(never, known, "{}", table.air.name);
    }
}

/// A liar who hashes on from a changed element is refused by what the row takes, or what takes it.
#[test]
fn a_hash_of_something_else_is_refused() {
    let table = DENSE.tables().next().expect("the first");
    assert_eq!(table.public.index, index::HASH);
    let mut refused = 0;
    for row in rows(table) {
        for element in 0..2 * BLOCK {
            let cells = table.row(row);
            let mut input = hash::MAIN.input.map(|column| cells[column]);
            input[element] += Elem::ONE;
            let feed = !table.publics(row)[hash::PUBLIC.feed].is_zero();
            let swap = !cells[hash::MAIN.swap].is_zero();
            let mut told = cells.to_vec();
            hash_row(&input, feed, swap).write(&mut told);
            let mut edited = Edited::new(table);
            (1..table.air.mains).for_each(|column| edited.set(row, column, told[column]));
            assert!(refusal(&[&edited]).is_some(), "row {row}, element {element}");
            refused += 1;
        }
    }
    assert!(refused > 200, "{refused}");
}

/// Multiplicities are public, so that unused rows put nothing on a bus and take nothing.
#[test]
fn unused_rows_carry_nothing() {
    let rng = &mut Rng(5);
    let mut values = Vec::new();
    for air in &TABLES.airs {
        for _ in 0..20 {
            let mut random = || -> Vec<Elem> {
                (0..air.mains)
                    .map(|_| Elem::from_u32(rng.between(1, 2_000_000_000) as u32))
                    .collect()
            };
            let (main, next) = (random(), random());
            evaluate_row(air, &[], &main, &next, (false, false), &mut values);
            for lookup in air.lookups().filter(|lookup| lookup.bus != BLIND) {
                assert!(values[lookup.multiplicity as usize].is_zero(), "{}", air.name);
            }
        }
    }
}

/// A number is given by one row, and taken as often as it says.
#[test]
fn every_number_has_one_giver() {
    let mut givers: BTreeSet<(u32, u32)> = BTreeSet::new();
    let mut takes: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    let mut given: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    let mut values = Vec::new();
    for table in DENSE.tables() {
        for row in 0..table.used() {
            Edited::new(table).evaluate(row, &mut values);
            for lookup in table.air.lookups().filter(|lookup| lookup.bus != BLIND) {
                let times = values[lookup.multiplicity as usize];
                let number = (lookup.bus, values[lookup.tuple[0] as usize].as_canonical_u32());
                if times == Elem::ONE {
                    *takes.entry(number).or_default() += 1;
                } else if !times.is_zero() {
                    assert!(givers.insert(number), "{number:?} is given twice");
                    given.insert(number, (-times).as_canonical_u32());
                }
            }
        }
    }
    for terms in &DENSE.terms {
        for row in 0..terms.tuples.rows() {
            let number = (terms.bus, terms.tuples.row(row)[0].as_canonical_u32());
            *takes.entry(number).or_default() += 1;
        }
    }
    assert_eq!(takes, given);
    assert!(given.values().all(|&uses| uses < P / 2));
}
