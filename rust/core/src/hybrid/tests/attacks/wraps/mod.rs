//! Identities that hold modulo p and not over the integers: their digits and ranges refuse them.
//!
//! Each test writes one row anew from forged integers, as a liar would, and shows what refuses it when
//! everything else is as it should be.

mod accumulators;
mod divisions;
mod gates;
mod picks;
mod scans;
mod values;
mod words;

use p3_field::{Field, PrimeCharacteristicRing, PrimeField32};

use super::judge::{Edited, Failure, Table};
use super::subjects::{Subject, subject};
use crate::hash::{Elem, P};
use crate::hybrid::tables::columns::Carry;
use crate::hybrid::tables::{TABLES, bus, div, gate, index, limbs, pick, scan, wide};
use crate::stark::air::Node;

const MODULUS: i128 = P as i128;

/// A table with a row that lies.
type Lie = (&'static Subject, Edited<'static>);

fn signed(x: Elem) -> i128 {
    let x = i128::from(x.as_canonical_u32());
    if x > MODULUS / 2 { x - MODULUS } else { x }
}

fn elem(x: i128) -> Elem {
    Elem::from_u32(x.rem_euclid(MODULUS) as u32)
}

fn put<const N: usize>(edited: &mut Edited, row: usize, columns: [usize; N], values: [i128; N]) {
    for (column, value) in columns.into_iter().zip(values) {
        edited.set(row, column, elem(value));
    }
}

fn put_one(edited: &mut Edited, row: usize, column: usize, value: i128) {
    edited.set(row, column, elem(value));
}

/// Limbs of 12 bits; the last one takes what is left, and the sign.
fn limbs<const N: usize>(x: i128) -> [i128; N] {
    std::array::from_fn(|i| if i + 1 < N { x >> (12 * i) & 0xfff } else { x >> (12 * i) })
}

fn joined<const N: usize>(row: &[Elem], limbs: [usize; N]) -> i128 {
    (0..N).map(|i| i128::from(row[limbs[i]].as_canonical_u32()) << (12 * i)).sum()
}

/// The range lookups of a table that look at a column.
fn lookups_of(index: usize, column: usize) -> Vec<usize> {
    let air = &TABLES.airs[index];
    let is_column = |node: u32| air.nodes[node as usize] == Node::Main(column as u32);
    let of_column = |node: u32| match air.nodes[node as usize] {
        Node::Mul(a, b) => is_column(a) || is_column(b),
        _ => is_column(node),
    };
    let found = air.lookups().enumerate().filter(|(_, l)| l.bus == bus::RANGE);
    found.filter(|(_, l)| of_column(l.tuple[1])).map(|(i, _)| i).collect()
}

/// Asserts that range lookups of these columns refuse a row, and nothing else does.
fn only_ranges(failures: &[Failure], index: usize, columns: &[usize]) {
    let allowed: Vec<usize> = columns.iter().flat_map(|&c| lookups_of(index, c)).collect();
    assert!(!failures.is_empty(), "accepted");
    for failure in failures {
        let expected = matches!(failure, Failure::Range(lookup) if allowed.contains(lookup));
        assert!(expected, "{failures:?}, of which only lookups {allowed:?} were expected");
    }
}

/// How carries of digits are found: over the integers, or modulo p, so that all constraints hold.
#[derive(Clone, Copy, PartialEq)]
enum Carrying {
    Integers,
    Field,
}

/// The carries between digits, base 4096.
fn carries(digits: &[i128], how: Carrying) -> Vec<i128> {
    let inverse = Elem::from_u32(4096).inverse();
    let mut carry = 0;
    digits[..digits.len() - 1]
        .iter()
        .map(|digit| {
            carry = match how {
                Carrying::Integers => (digit + carry) >> 12,
                Carrying::Field => signed(elem(digit + carry) * inverse),
            };
            carry
        })
        .collect()
}

/// Writes limbs times their public scales.
fn put_scaled<const N: usize>(
    edited: &mut Edited,
    row: usize,
    columns: [usize; N],
    scales: [usize; N],
    limbs: [i128; N],
) {
    let publics = edited.table.publics(row);
    for i in 0..N {
        edited.set(row, columns[i], elem(limbs[i]) * publics[scales[i]]);
    }
}

fn put_carries(edited: &mut Edited, row: usize, columns: &[Carry<usize>], carries: &[i128]) {
    for (at, carry) in columns.iter().zip(carries) {
        put(edited, row, [at.low, at.high], limbs(carry + (1 << 17)));
    }
}

/// Columns that are declared from `first` to `last`.
fn from_to(first: usize, last: usize) -> Vec<usize> {
    (first..=last).collect()
}

fn failures(edited: &Edited, subject: &Subject) -> Vec<Failure> {
    edited.own_failures(&subject.known())
}

fn constraints(failures: &[Failure]) -> usize {
    failures.iter().filter(|f| matches!(f, Failure::Constraint(_))).count()
}

/// Pairs of limbs at their ends: the last that is in range, and the next.
#[test]
fn pairs_of_limbs_end_where_they_should() {
    let check = |name: &str, index: usize, columns: [usize; 2], good: &[i128], bad: &[i128]| {
        let subject = subject(name);
        let table = subject.table(index);
        let lookups: Vec<usize> = columns.iter().flat_map(|&c| lookups_of(index, c)).collect();
        // The second of a carry is also looked up scaled.
        let of_pair = |lookup: &usize| lookups.contains(lookup);
        for (values, wanted) in [(good, true), (bad, false)] {
            for &value in values {
                let mut edited = Edited::new(table);
                put(&mut edited, 0, columns, limbs(value));
                let found = failures(&edited, subject);
                let outside = found.iter().any(|f| matches!(f, Failure::Range(l) if of_pair(l)));
                assert_eq!(!outside, wanted, "{name} {index} columns {columns:?}: {value}");
            }
        }
    };
    // Carries of 18 bits, that is −2^17 … 2^17 − 1.
    let carry = 1 << 18;
    for Carry { low, high } in gate::MAIN.carries {
        let bad = [-1, carry, carry + 4095, 1 << 24];
        check("dense", index::GATE, [low, high], &[0, carry - 1], &bad);
    }
    for Carry { low, high } in div::MAIN.carries {
        check("lookups", index::DIV, [low, high], &[0, carry - 1], &[-1, carry, 1 << 24]);
    }
    // What a clamp takes away: below 2^24.
    let end = 1 << 24;
    for (name, index, e) in [
        ("dense", index::GATE, [gate::MAIN.e_lo, gate::MAIN.e_hi]),
        ("lookups", index::DIV, [div::MAIN.e_lo, div::MAIN.e_hi]),
    ] {
        for columns in e {
            check(name, index, columns, &[0, end - 1], &[-1, end, end + 1]);
        }
    }
    // Distances to the ends of a range.
    for columns in [wide::MAIN.above, wide::MAIN.under] {
        check("dense", index::WIDE, columns, &[0, end - 1], &[-1, end]);
    }
    check("picks", index::PICK, pick::MAIN.d, &[0, end - 1], &[-1, end]);
    check("picks", index::SCAN, scan::MAIN.d, &[0, end - 1], &[-1, end]);
    // Accumulators of 48 bits.
    let [u0, u1, u2, u3] = limbs::MAIN.u;
    for columns in [[u0, u1], [u2, u3]] {
        check("wide", index::LIMBS, columns, &[0, end - 1], &[-1, end]);
    }
    // Their two carries: −32 … 31, one column each.
    for column in limbs::MAIN.carries {
        let (subject, table) = (subject("wide"), subject("wide").table(index::LIMBS));
        for (value, wanted) in [(0, true), (63, true), (64, false), (-1, false)] {
            let mut edited = Edited::new(table);
            put_one(&mut edited, 0, column, value);
            let lookups = lookups_of(index::LIMBS, column);
            let outside = failures(&edited, subject)
                .iter()
                .any(|f| matches!(f, Failure::Range(l) if lookups.contains(l)));
            assert_eq!(!outside, wanted, "{value}");
        }
    }
}

/// Lies of single rows or gates, each told so that little refuses it (forge says what).
pub fn lies() -> Vec<Lie> {
    let mut lies = words::words();
    lies.extend(scans::gathers());
    lies.extend(scans::maxima());
    lies.extend(divisions::divisions());
    lies.extend(gates::gates());
    lies.extend(gates::larger_accumulators());
    lies.extend(words::wide_words());
    lies.extend(divisions::large_divisions());
    lies
}

/// An output at an end of its range, though the quotient is not beyond it: what the clamp takes away is
/// below zero.
fn clamped(
    lies: &mut Vec<Lie>,
    (subject, table, row): (&'static Subject, Table<'static>, usize),
    (q, ends): (i128, [i128; 2]),
    (e, y): ([[usize; 2]; 2], &[usize]),
) {
    for (i, end) in ends.into_iter().enumerate() {
        let taken = if i == 0 { end - q } else { q - end };
        if taken >= 0 {
            continue;
        }
        for limbs in [[taken, 0], limbs(taken)] {
            let mut edited = Edited::new(table);
            for columns in e {
                put(&mut edited, row, columns, [0; 2]);
            }
            put(&mut edited, row, e[i], limbs);
            y.iter().for_each(|&y| put_one(&mut edited, row, y, end));
            lies.push((subject, edited));
        }
    }
}
