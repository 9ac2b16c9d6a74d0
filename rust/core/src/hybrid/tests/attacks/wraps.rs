//! Identities that hold modulo p and not over the integers: their digits and ranges refuse them.
//!
//! Each test writes one row anew from forged integers, as a liar would, and shows what refuses it when
//! everything else is as it should be.

use std::collections::HashSet;

use p3_field::{PrimeCharacteristicRing, PrimeField32};

use super::judge::{Edited, Failure, Table};
use super::subjects::{SUBJECTS, Subject, second_quotient, subject};
use crate::hash::{Elem, P};
use crate::hybrid::tables::{TABLES, bus, class, index};
use crate::hybrid::tests::MANY;
use crate::hybrid::tests::fixture::Case;

const MODULUS: i128 = P as i128;
const O_DIRECT: i128 = 127 << 23;
const O_WIDE: i128 = 1 << 47;

/// First columns of what stands in the rows of tables.
mod at {
    pub mod limbs {
        pub const U: usize = 38;
        pub const CARRY: usize = 42;
    }
    pub mod gate {
        pub const SUM_A: usize = 1;
        pub const SUM_B: usize = 2;
        pub const M: usize = 6;
        pub const U: usize = 7;
        pub const T: usize = 12;
        pub const R: usize = 16;
        pub const P: usize = 24;
        pub const CARRIES: usize = 28;
        pub const E: usize = 38;
        pub const C: usize = 42;
        pub const Y: usize = 43;
    }
    pub mod wide {
        pub const V: usize = 4;
        pub const ABOVE: usize = 5;
        pub const UNDER: usize = 7;
    }
    pub mod div {
        pub const NUM: usize = 1;
        pub const DEN: usize = 2;
        pub const N: usize = 3;
        pub const D: usize = 6;
        pub const Q: usize = 9;
        pub const R: usize = 11;
        pub const W: usize = 14;
        pub const CARRIES: usize = 17;
        pub const E: usize = 25;
        pub const Y: usize = 29;
    }
    pub mod bits {
        pub const WORD: usize = 1;
        pub const X: usize = 2;
        pub const TOP: usize = 10;
    }
    pub mod pick {
        pub const VALUES: usize = 4;
        pub const X: usize = 7;
        pub const LARGER: usize = 10;
        pub const D: usize = 11;
        pub const Y: usize = 13;
    }
}

/// The entries of a subject's range and act tables.
fn known(subject: &Subject) -> impl Fn(u32, &[u32]) -> bool + use<> {
    let mut entries: HashSet<(u32, Vec<u32>)> = HashSet::new();
    for (index, bus, width) in [(index::RANGE, bus::RANGE, 2), (index::ACT, bus::ACT, 3)] {
        let Some(table) = subject.schedule.table(index) else { continue };
        for row in 0..table.publics.rows() {
            // Behind the engine's two columns and `on`.
            let tuple = &table.publics.row(row)[3..3 + width];
            entries.insert((bus, tuple.iter().map(|e| e.as_canonical_u32()).collect()));
        }
    }
    move |bus, tuple| entries.contains(&(bus, tuple.to_vec()))
}

fn signed(x: Elem) -> i128 {
    let x = i128::from(x.as_canonical_u32());
    if x > MODULUS / 2 { x - MODULUS } else { x }
}

fn elem(x: i128) -> Elem {
    Elem::from_u32(x.rem_euclid(MODULUS) as u32)
}

fn put(edited: &mut Edited, row: usize, column: usize, values: &[i128]) {
    for (i, &value) in values.iter().enumerate() {
        edited.set(row, column + i, elem(value));
    }
}

/// Limbs of 12 bits; the last one takes what is left, and the sign.
fn limbs<const N: usize>(x: i128) -> [i128; N] {
    std::array::from_fn(|i| if i + 1 < N { x >> (12 * i) & 0xfff } else { x >> (12 * i) })
}

fn joined(row: &[Elem], first: usize, count: usize) -> i128 {
    (0..count).map(|i| i128::from(row[first + i].as_canonical_u32()) << (12 * i)).sum()
}

/// The range lookups of a table that look at a column.
fn lookups_of(index: usize, column: usize) -> Vec<usize> {
    let air = &TABLES.airs[index];
    let of_column = |node: u32| {
        match air.nodes[node as usize] {
        crate::stark::air::Node::Main(c) => c as usize == column,
        crate::stark::air::Node::Mul(a, b) => [a, b].iter().any(|&n| {
            matches!(air.nodes[n as usize], crate::stark::air::Node::Main(c) if c as usize == column)
        }),
        _ => false,
    }
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
    let inverse = Elem::from_u32(4096).try_inverse_or_zero();
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

trait Inverse {
    fn try_inverse_or_zero(self) -> Self;
}

impl Inverse for Elem {
    fn try_inverse_or_zero(self) -> Self {
        p3_field::Field::try_inverse(&self).unwrap_or_default()
    }
}

fn put_carries(edited: &mut Edited, row: usize, first: usize, carries: &[i128]) {
    for (i, carry) in carries.iter().enumerate() {
        put(edited, row, first + 2 * i, &limbs::<2>(carry + (1 << 17)));
    }
}

/// What a liar says of a gate: accumulator (made positive), quotient (made positive), remainder.
struct Gate {
    acc: i128,
    t: i128,
    r: i128,
}

impl Gate {
    /// What a row says.
    fn of(table: Table, row: usize) -> Self {
        let row = table.row(row);
        Self {
            acc: joined(row, at::gate::U, 4),
            t: joined(row, at::gate::T, 2),
            r: joined(row, at::gate::R, 4),
        }
    }

    /// Writes accumulator, quotient, remainder, carries, clamp and output; returns the output.
    fn write(&self, edited: &mut Edited, row: usize, how: Carrying) -> i128 {
        let table = edited.table;
        let publics = table.publics(row);
        let public =
            |group: usize, i: usize| i128::from(publics[22 + 6 * group + i].as_canonical_u32());
        let m = signed(edited.get(row, at::gate::M));
        let p: [i128; 2] = std::array::from_fn(|i| signed(edited.get(row, at::gate::P + i)));
        let (u, t, r) = (limbs::<4>(self.acc), limbs::<2>(self.t), limbs::<4>(self.r));
        put(edited, row, at::gate::U, &u);
        edited.set(row, at::gate::U + 4, elem(u[3]) * publics[21]);
        put(edited, row, at::gate::T, &t);
        (0..2).for_each(|i| edited.set(row, at::gate::T + 2 + i, elem(t[i]) * publics[58 + i]));
        put(edited, row, at::gate::R, &r);
        (0..4).for_each(|i| edited.set(row, at::gate::R + 4 + i, elem(r[i]) * publics[60 + i]));
        let get = |x: &[i128], i: usize| x.get(i).copied().unwrap_or(0);
        let digits: Vec<i128> = (0..6)
            .map(|i| {
                let [o, constant, alpha, beta, gamma, delta] =
                    [0, 1, 2, 3, 4, 5].map(|g| public(g, i));
                constant - o * m + get(&u, i) * m - get(&r, i) + gamma * p[0] + delta * p[1]
                    - alpha * t[0]
                    - beta * t[1]
            })
            .collect();
        put_carries(edited, row, at::gate::CARRIES, &carries(&digits, how));
        let [qoff, lo, hi] = [66, 67, 68].map(|c| signed(publics[c]));
        let q = self.t + qoff;
        let c = q.clamp(lo, hi);
        put(
            edited,
            row,
            at::gate::E,
            &[limbs::<2>((c - q).max(0)), limbs::<2>((q - c).max(0))].concat(),
        );
        put(edited, row, at::gate::C, &[c]);
        if publics[69].as_canonical_u32() == 0 {
            put(edited, row, at::gate::Y, &[c]);
        }
        c
    }
}

fn failures(edited: &Edited, subject: &Subject) -> Vec<Failure> {
    edited.own_failures(&known(subject))
}

fn constraints(failures: &[Failure]) -> usize {
    failures.iter().filter(|f| matches!(f, Failure::Constraint(_))).count()
}

/// The writer of gates writes what stands there, whichever way carries are found.
#[test]
fn true_gates_are_written_as_they_are() {
    let mut rows = 0;
    for subject in SUBJECTS.iter().filter(|s| s.schedule.table(index::GATE).is_some()) {
        let table = subject.table(index::GATE);
        for row in 0..table.used() {
            for how in [Carrying::Integers, Carrying::Field] {
                let mut edited = Edited::new(table);
                Gate::of(table, row).write(&mut edited, row, how);
                assert_eq!(edited.row(row), table.row(row), "{} row {row}", subject.name);
                assert_eq!(failures(&edited, subject), []);
            }
            rows += 1;
        }
    }
    assert!(rows > 100);
}

/// acc = 100,000, m = 24,000, shift 22: modulo p the identity has the quotient 64 besides 572.
#[test]
fn the_second_quotient_is_refused() {
    let subject = Subject::of("second quotient", Case::new(&second_quotient(), 1, MANY));
    let table = subject.table(index::GATE);
    let honest = Gate::of(table, 0);
    assert_eq!(honest.acc, 100_000 + O_DIRECT);
    let scaled: i128 = 100_000 * 24_000 + (1 << 21);
    let (q, wrapped) = (scaled >> 22, scaled - MODULUS);
    let forged = wrapped >> 22;
    assert_eq!((q, forged), (572, 64));
    let gate = Gate { t: honest.t - q + forged, r: wrapped - (forged << 22), ..honest };
    assert!((0..1 << 22).contains(&gate.r));
    // With carries over the integers what is left is p: the last digits do not vanish.
    let mut edited = Edited::new(table);
    assert_eq!(gate.write(&mut edited, 0, Carrying::Integers), 64);
    let found = failures(&edited, &subject);
    assert!(constraints(&found) == found.len() && !found.is_empty(), "{found:?}");
    // With carries modulo p all constraints hold, and some carry is out of range.
    let mut edited = Edited::new(table);
    assert_eq!(gate.write(&mut edited, 0, Carrying::Field), 64);
    let carries: Vec<usize> = (at::gate::CARRIES..at::gate::E).collect();
    only_ranges(&failures(&edited, &subject), index::GATE, &carries);
}

/// acc + p is the same sum: only the class of the top limb tells them apart.
#[test]
fn an_accumulator_that_is_p_larger_is_refused() {
    let forged = larger_accumulators();
    assert!(!forged.is_empty(), "no gate of which the forged quotient is in range");
    for (subject, edited) in forged {
        only_ranges(&failures(&edited, subject), index::GATE, &[at::gate::U + 2]);
    }
}

/// Gates with an accumulator that is p larger, and a quotient that is 127 larger.
fn larger_accumulators() -> Vec<(&'static Subject, Edited<'static>)> {
    let subject = subject("full");
    let table = subject.table(index::GATE);
    let mut forged = Vec::new();
    for row in 0..table.used() {
        let honest = Gate::of(table, row);
        let acc = honest.acc + MODULUS;
        let scaled = acc - O_DIRECT + (1 << 23);
        let (q, old) = (scaled >> 24, (honest.acc - O_DIRECT + (1 << 23)) >> 24);
        let gate = Gate { acc, t: honest.t - old + q, r: scaled - (q << 24) };
        if (0..256).contains(&gate.t) {
            let mut edited = Edited::new(table);
            assert_eq!(gate.write(&mut edited, row, Carrying::Integers), old + 127);
            forged.push((subject, edited));
        }
    }
    forged
}

/// Remainders below 0 and from 2^s on, quotients one off.
#[test]
fn neighbouring_quotients_are_refused() {
    let subject = subject("precise");
    let table = subject.table(index::GATE);
    for row in 0..table.used() {
        for step in [-1, 1] {
            let honest = Gate::of(table, row);
            let gate = Gate { t: honest.t + step, r: honest.r - (step << 5), ..honest };
            let mut edited = Edited::new(table);
            gate.write(&mut edited, row, Carrying::Integers);
            let remainder: Vec<usize> = (at::gate::R..at::gate::P).collect();
            only_ranges(&failures(&edited, subject), index::GATE, &remainder);
        }
    }
    // A quotient of more bits than the program allows.
    let limit = signed(table.publics(0)[59]);
    let bits = 24 - limit.ilog2();
    let honest = Gate::of(table, 0);
    let gate = Gate { t: 1 << bits, r: honest.r + ((honest.t - (1 << bits)) << 5), ..honest };
    let mut edited = Edited::new(table);
    gate.write(&mut edited, 0, Carrying::Integers);
    assert!(failures(&edited, subject).iter().any(|f| {
        matches!(f, Failure::Range(l) if lookups_of(index::GATE, at::gate::T + 3).contains(l))
    }));
}

/// Pairs of limbs at their ends: the last that is in range, and the next.
#[test]
fn pairs_of_limbs_end_where_they_should() {
    let check = |name: &str, index: usize, column: usize, good: &[i128], bad: &[i128]| {
        let subject = subject(name);
        let table = subject.table(index);
        let columns = [column, column + 1];
        let lookups: Vec<usize> = columns.iter().flat_map(|&c| lookups_of(index, c)).collect();
        // The second of a carry is also looked up scaled.
        let of_pair = |lookup: &usize| lookups.contains(lookup);
        for (values, wanted) in [(good, true), (bad, false)] {
            for &value in values {
                let mut edited = Edited::new(table);
                put(&mut edited, 0, column, &limbs::<2>(value));
                let found = failures(&edited, subject);
                let outside = found.iter().any(|f| matches!(f, Failure::Range(l) if of_pair(l)));
                assert_eq!(!outside, wanted, "{name} {index} column {column}: {value}");
            }
        }
    };
    // Carries of 18 bits, that is −2^17 … 2^17 − 1.
    let carry = 1 << 18;
    for i in 0..5 {
        let column = at::gate::CARRIES + 2 * i;
        check("dense", index::GATE, column, &[0, carry - 1], &[-1, carry, carry + 4095, 1 << 24]);
    }
    for i in 0..4 {
        let column = at::div::CARRIES + 2 * i;
        check("lookups", index::DIV, column, &[0, carry - 1], &[-1, carry, 1 << 24]);
    }
    // What a clamp takes away: below 2^24.
    let end = 1 << 24;
    for (name, index, first) in
        [("dense", index::GATE, at::gate::E), ("lookups", index::DIV, at::div::E)]
    {
        for column in [first, first + 2] {
            check(name, index, column, &[0, end - 1], &[-1, end, end + 1]);
        }
    }
    // Distances to the ends of a range.
    for column in [at::wide::ABOVE, at::wide::UNDER] {
        check("dense", index::WIDE, column, &[0, end - 1], &[-1, end]);
    }
    check("picks", index::PICK, at::pick::D, &[0, end - 1], &[-1, end]);
    check("picks", index::SCAN, 9, &[0, end - 1], &[-1, end]);
    // Accumulators of 48 bits.
    for column in [at::limbs::U, at::limbs::U + 2] {
        check("wide", index::LIMBS, column, &[0, end - 1], &[-1, end]);
    }
    // Their two carries: −32 … 31, one column each.
    for column in [at::limbs::CARRY, at::limbs::CARRY + 1] {
        let (subject, table) = (subject("wide"), subject("wide").table(index::LIMBS));
        for (value, wanted) in [(0, true), (63, true), (64, false), (-1, false)] {
            let mut edited = Edited::new(table);
            put(&mut edited, 0, column, &[value]);
            let lookups = lookups_of(index::LIMBS, column);
            let outside = failures(&edited, subject)
                .iter()
                .any(|f| matches!(f, Failure::Range(l) if lookups.contains(l)));
            assert_eq!(!outside, wanted, "{value}");
        }
    }
}

/// The sum of a pair of limbs that is p larger: only the class of its top byte tells.
#[test]
fn a_sum_of_limbs_that_is_p_larger_is_refused() {
    let subject = subject("wide");
    let (limbs_table, gates) = (subject.table(index::LIMBS), subject.table(index::GATE));
    let mut forged = 0;
    for row in 0..limbs_table.used() {
        for pair in (0..9).filter(|&pair| signed(limbs_table.publics(row)[5 + pair]) == 1) {
            let bytes = 1 + 4 * pair;
            let at = |i: usize| {
                i128::from(limbs_table.row(row)[bytes + i].as_canonical_u32()) << (8 * i)
            };
            let sum = (0..4).map(at).sum::<i128>() + MODULUS;
            if sum >= 1 << 32 {
                continue;
            }
            let place = 8 * (pair / 3 + pair % 3);
            let acc = joined(limbs_table.row(row), at::limbs::U, 4) + (MODULUS << place);
            if acc >= 1 << 48 {
                continue;
            }
            let mut edited = Edited::new(limbs_table);
            let parts: Vec<i128> = (0..4).map(|i| sum >> (8 * i) & 0xff).collect();
            put(&mut edited, row, bytes, &parts);
            put(&mut edited, row, at::limbs::U, &limbs::<4>(acc));
            // The carries of the three digits of 24 bits.
            let mut positions = [0i128; 9];
            for n in (0..9).filter(|&n| signed(limbs_table.publics(row)[5 + n]) == 1) {
                for m in 0..4 {
                    positions[n / 3 + n % 3 + m] += signed(edited.get(row, 1 + 4 * n + m));
                }
            }
            let constants = [17, 18].map(|c| signed(limbs_table.publics(row)[c]));
            let digit =
                |i: usize| positions[i] + (positions[i + 1] << 8) + (positions[i + 2] << 16);
            let bias = signed(limbs_table.publics(row)[16]);
            let low = (digit(0) + bias + constants[0]) >> 24;
            let middle = (digit(3) + constants[1] + low) >> 24;
            put(&mut edited, row, at::limbs::CARRY, &[low + 32, middle + 32]);
            only_ranges(&failures(&edited, subject), index::LIMBS, &[bytes + 3]);
            // The accumulator is another one, so that the gate's quotient would be another, too.
            assert!(acc - O_WIDE != joined(gates.row(row), at::gate::U, 4) - O_WIDE);
            forged += 1;
        }
    }
    assert!(forged > 10, "{forged}");
}

/// Writes the four limbs of a word, and their scaled forms.
fn put_limbs(edited: &mut Edited, row: usize, parts: &[i128]) {
    let publics = edited.table.publics(row);
    put(edited, row, at::bits::X, parts);
    for (i, &part) in parts.iter().enumerate() {
        edited.set(row, at::bits::X + 4 + i, elem(part) * publics[6 + i]);
    }
}

/// A carry that makes up for a changed limb is refused by the third digit, and by its own range.
#[test]
fn the_third_digit_is_bound_twice() {
    let subject = subject("wide");
    let table = subject.table(index::LIMBS);
    for row in 0..table.used() {
        let mut edited = Edited::new(table);
        let (u, carry) = (at::limbs::U + 2, at::limbs::CARRY + 1);
        let step = if signed(edited.get(row, u)) == 4095 { -1 } else { 1 };
        let changed = edited.get(row, u) + elem(step);
        edited.set(row, u, changed);
        let share = elem(-step) * elem(1 << 24).try_inverse_or_zero();
        let changed = edited.get(row, carry) + share;
        edited.set(row, carry, changed);
        let ranges = lookups_of(index::LIMBS, carry);
        assert_eq!(ranges.len(), 2);
        // Less a 2^24-th is 127 more: beyond 64.
        let expected = [Failure::Constraint(2), Failure::Range(ranges[1])];
        assert_eq!(failures(&edited, subject), expected);
    }
}

/// One below and one above the declared range of a value of several bytes.
#[test]
fn wide_values_outside_their_range_are_refused() {
    let mut refused = 0;
    for subject in SUBJECTS.iter().filter(|s| s.schedule.table(index::WIDE).is_some()) {
        let table = subject.table(index::WIDE);
        for row in 0..table.used() {
            let publics = table.publics(row);
            let [offset, lo, hi] = [5, 6, 7].map(|c| signed(publics[c]));
            let three = signed(publics[4]) == 1;
            for (value, bad) in [(lo - 1, at::wide::ABOVE), (hi + 1, at::wide::UNDER)] {
                let raw = value + offset;
                if !(0..if three { 1 << 24 } else { 1 << 16 }).contains(&raw) {
                    continue;
                }
                let mut edited = Edited::new(table);
                let byte = |i: usize| (raw >> (8 * i) & 0xff) - 128;
                put(
                    &mut edited,
                    row,
                    1,
                    &[byte(0), byte(1), if three { byte(2) } else { 0 }, value],
                );
                for distance in [[value - lo, hi - value].map(limbs::<2>).concat(), {
                    // Or −1 modulo p, in limbs.
                    let wrap = |x: i128| limbs::<2>(x.rem_euclid(MODULUS));
                    [wrap(value - lo), wrap(hi - value)].concat()
                }] {
                    put(&mut edited, row, at::wide::ABOVE, &distance);
                    only_ranges(&failures(&edited, subject), index::WIDE, &[bad, bad + 1]);
                    refused += 1;
                }
                assert_eq!(signed(edited.get(row, at::wide::V)), value);
            }
        }
    }
    assert!(refused > 50, "{refused}");
}

/// Everything that a liar says of a quotient or a root.
struct Division {
    n: i128,
    d: i128,
    q: i128,
    r: i128,
}

impl Division {
    fn of(table: Table, row: usize) -> Self {
        let (publics, row) = (table.publics(row), table.row(row));
        let get = |first: usize, count: usize| joined(row, first, count);
        Self {
            n: get(at::div::N, 3) - (1 << 24),
            d: get(at::div::D, 3),
            q: get(at::div::Q, 2) - signed(publics[6]),
            r: get(at::div::R, 3),
        }
    }

    fn write(&self, edited: &mut Edited, row: usize) {
        let table = edited.table;
        let publics = table.publics(row);
        let [quotient, two, scale, offset, zero, lo, hi] =
            [3, 4, 5, 6, 7, 8, 9].map(|c| signed(publics[c]));
        let n = limbs::<3>(self.n + (1 << 24));
        let (d, q, r) = (limbs::<3>(self.d), limbs::<2>(self.q + offset), limbs::<3>(self.r));
        put(edited, row, at::div::N, &n);
        put(edited, row, at::div::D, &d);
        put(edited, row, at::div::Q, &q);
        put(edited, row, at::div::R, &r);
        put(edited, row, at::div::W, &limbs::<3>(2 * self.d - quotient - self.r));
        let digits = [
            scale * n[0] + quotient * d[0] - two * q[0] * d[0] - r[0],
            scale * n[1] + quotient * d[1] - two * (q[0] * d[1] + q[1] * d[0]) - r[1],
            scale * n[2] + quotient * (d[2] + d[0])
                - scale
                - two * (q[1] * d[1] + q[0] * d[2])
                - r[2],
            quotient * d[1] - two * q[1] * d[2],
            quotient * d[2],
        ];
        put_carries(edited, row, at::div::CARRIES, &carries(&digits, Carrying::Integers));
        let out = self.q + zero;
        let y = out.clamp(lo, hi);
        put(
            edited,
            row,
            at::div::E,
            &[limbs::<2>((y - out).max(0)), limbs::<2>((out - y).max(0))].concat(),
        );
        put(edited, row, at::div::Y, &[y]);
    }
}

#[test]
fn neighbouring_roots_and_quotients_are_refused() {
    let subject = subject("lookups");
    let table = subject.table(index::DIV);
    let (mut quotients, mut roots) = (0, 0);
    for row in 0..table.used() {
        let mut edited = Edited::new(table);
        Division::of(table, row).write(&mut edited, row);
        assert_eq!(edited.row(row), table.row(row));
        let honest = Division::of(table, row);
        let is_quotient = signed(table.publics(row)[3]) == 1;
        for step in [-1, 1, 2, -7] {
            let mut forged = Division { q: honest.q + step, ..honest };
            if is_quotient {
                forged.r = honest.r - 2 * honest.d * step;
                quotients += 1;
            } else {
                forged.d = forged.q;
                forged.r = honest.r + honest.q * honest.q - forged.q * forged.q;
                roots += 1;
            }
            let mut edited = Edited::new(table);
            forged.write(&mut edited, row);
            // A remainder below 0, or one that is too large for its distance to the largest.
            let columns: Vec<usize> = (at::div::R..at::div::CARRIES).collect();
            only_ranges(&failures(&edited, subject), index::DIV, &columns);
        }
        // A remainder of 2d or more, without the distance that would show it.
        if is_quotient {
            let forged = Division { q: honest.q - 1, r: honest.r + 2 * honest.d, ..honest };
            let mut edited = Edited::new(table);
            forged.write(&mut edited, row);
            put(&mut edited, row, at::div::W, &[0, 0, 0]);
            let found = failures(&edited, subject);
            assert_eq!(constraints(&found), 1, "{found:?}");
            assert_eq!(found.len(), 1);
        }
        // A numerator or a denominator that is p larger than it is: 31 bits for 25.
        let mut edited = Edited::new(table);
        Division { n: honest.n + MODULUS, ..honest }.write(&mut edited, row);
        assert!(constraints(&failures(&edited, subject)) > 0);
        put(&mut edited, row, at::div::N, &limbs::<3>(honest.n + (1 << 24)));
        put(&mut edited, row, at::div::N + 2, &[2]);
        assert!(constraints(&failures(&edited, subject)) > 0, "n' of 26 bits");
        let mut edited = Edited::new(table);
        Division { d: honest.d + MODULUS, ..honest }.write(&mut edited, row);
        assert!(constraints(&failures(&edited, subject)) > 0);
    }
    assert!(quotients > 50 && roots > 10);
}

/// Denominators of 0 and below, numerators beyond 24 bits: whatever the quotient, there is no witness.
#[test]
fn divisions_outside_their_domain_have_no_witness() {
    let subject = subject("lookups");
    let table = subject.table(index::DIV);
    let row = (0..table.used()).find(|&row| signed(table.publics(row)[3]) == 1).unwrap();
    let publics = table.publics(row);
    let scale = signed(publics[5]);
    for den in [0, -1, -5] {
        for q in -3..4 {
            let honest = Division::of(table, row);
            // scale·n + d = 2·d·q + r for any r; limbs of d as they are, and modulo p.
            let r = scale * honest.n + den - 2 * den * q;
            for d in [den, den + MODULUS] {
                let mut edited = Edited::new(table);
                put(&mut edited, row, at::div::DEN, &[den - signed(publics[15])]);
                Division { d, q, r, ..honest }.write(&mut edited, row);
                assert!(!failures(&edited, subject).is_empty(), "{den} {q}");
            }
        }
    }
    for num in [1 << 24, -(1 << 24) - 1, 1 << 25] {
        let honest = Division::of(table, row);
        let q = (scale * num + honest.d).div_euclid(2 * honest.d);
        let r = scale * num + honest.d - 2 * honest.d * q;
        let mut edited = Edited::new(table);
        put(&mut edited, row, at::div::NUM, &[num - signed(publics[12])]);
        Division { n: num, q, r, ..honest }.write(&mut edited, row);
        assert!(!failures(&edited, subject).is_empty(), "{num}");
    }
    // At the ends there is one, but for the output's own bounds.
    for num in [(1 << 24) - 1, -(1 << 24)] {
        let honest = Division::of(table, row);
        let q = (scale * num + honest.d).div_euclid(2 * honest.d);
        let r = scale * num + honest.d - 2 * honest.d * q;
        if !(-(1 << 23)..1 << 23).contains(&q) {
            continue;
        }
        let mut edited = Edited::new(table);
        put(&mut edited, row, at::div::NUM, &[num - signed(publics[12])]);
        Division { n: num, q, r, ..honest }.write(&mut edited, row);
        assert_eq!(failures(&edited, subject), [], "{num}");
    }
}

/// Words of the prf at the ends of the field, and their other decompositions.
#[test]
fn words_have_one_decomposition() {
    let subject = subject("wide");
    let table = subject.table(index::BITS);
    let power = signed(table.publics(0)[5]);
    // A decomposition: low 24 bits, top, whether it is p − 1.
    let write = |word: i128, low: i128, top: i128, largest: i128| {
        let mut edited = Edited::new(table);
        put(&mut edited, 0, at::bits::WORD, &[word]);
        let (value, high) = (low.rem_euclid(power), low.div_euclid(power));
        let parts = [limbs::<2>(value), limbs::<2>(high)].concat();
        put_limbs(&mut edited, 0, &parts);
        put(&mut edited, 0, at::bits::TOP, &[top, largest]);
        failures(&edited, subject)
    };
    let low = 1 << 24;
    for word in [0, 1, low - 1, low, 126 * low + low - 1, MODULUS - 2] {
        let top = word / low;
        assert_eq!(write(word, word % low, top, 0), [], "{word}");
        // The same word plus p: non-canonical, 31 bits where there is room.
        let plus = word + MODULUS;
        let forged = [
            write(word, plus % low, plus / low, 0),
            write(word, plus % low, plus / low - 127, 1),
            write(word, (word + 1) % low, 0, 1),
            // A top digit less, the low part longer, and the other way round.
            write(word, word % low + low, top - 1, 0),
            write(word, word % low - low, top + 1, 0),
        ];
        for (i, found) in forged.into_iter().enumerate() {
            assert!(!found.is_empty(), "{word}: {i}");
        }
    }
    // p − 1 has the flag, and neither top 127 nor a low part.
    let largest = MODULUS - 1;
    assert_eq!(write(largest, 0, 0, 1), []);
    only_ranges(&write(largest, 0, 127, 0), index::BITS, &[at::bits::TOP]);
    assert!(!write(largest, low, 126, 0).is_empty());
    assert!(constraints(&write(largest, -low, 1, 1)) > 0);
    // With the flag there is no other word.
    assert!(constraints(&write(0, 1, 0, 1)) > 0);
    assert_eq!(write(5, 6, 0, 1), [Failure::Constraint(3)]);
    assert_eq!(write(3 * low - 1, 0, 3, 1), [Failure::Constraint(2)]);
    // A value of more bits than the tensor has: the rest one less.
    let honest = low / 3;
    assert_eq!(write(honest, honest, 0, 0), []);
    let mut edited = Edited::new(table);
    put(&mut edited, 0, at::bits::WORD, &[honest]);
    let (value, high) = (honest % power + power, honest / power - 1);
    let parts = [limbs::<2>(value), limbs::<2>(high)].concat();
    put_limbs(&mut edited, 0, &parts);
    put(&mut edited, 0, at::bits::TOP, &[0, 0]);
    let columns: Vec<usize> = (at::bits::X..at::bits::TOP).collect();
    only_ranges(&failures(&edited, subject), index::BITS, &columns);
}

/// Comparisons the wrong way round, and a test for zero that lies.
#[test]
fn comparisons_cannot_be_turned() {
    let subject = subject("picks");
    let table = subject.table(index::PICK);
    let mut seen = [0; 3];
    for row in 0..table.used() {
        let [greater, equal, select] = [4, 5, 6].map(|c| signed(table.publics(row)[c]) == 1);
        let values: [i128; 3] =
            std::array::from_fn(|i| signed(table.row(row)[at::pick::VALUES + i]));
        let mut edited = Edited::new(table);
        if greater {
            let larger = signed(table.row(row)[at::pick::LARGER]);
            let difference = values[0] - values[1];
            let distance = if larger == 0 { difference - 1 } else { -difference };
            put(&mut edited, row, at::pick::LARGER, &[1 - larger]);
            put(&mut edited, row, at::pick::D, &limbs::<2>(distance));
            put(&mut edited, row, at::pick::Y, &[1 - larger]);
            only_ranges(&failures(&edited, subject), index::PICK, &[at::pick::D, at::pick::D + 1]);
            seen[0] += 1;
        } else if equal || select {
            // x ≠ 0 said to be 0, or x = 0 said not to be, with the output that follows.
            let x = signed(table.row(row)[at::pick::X]);
            let nonzero = i128::from(x == 0);
            put(&mut edited, row, at::pick::X + 1, &[0, nonzero]);
            let y = if equal { 1 - nonzero } else { values[usize::from(nonzero == 0)] };
            put(&mut edited, row, at::pick::Y, &[y]);
            let found = failures(&edited, subject);
            assert_eq!(constraints(&found), 1, "{found:?}");
            assert_eq!(found.len(), 1);
            seen[if equal { 1 } else { 2 }] += 1;
        }
    }
    assert!(seen.iter().all(|&n| n > 10), "{seen:?}");
}

/// Every class has the values that it should have: one less and one more are not among them.
#[test]
fn classes_have_exactly_their_values() {
    for subject in SUBJECTS.iter() {
        let known = known(subject);
        let program = &subject.case.prepared.checked.program;
        let ranges = &subject.schedule.classes.ranges;
        assert_eq!(ranges[..4], [(0, 4095), (0, 255), (0, 126), (0, 0)]);
        assert_eq!([class::LIMB, class::BYTE, class::TOP, class::ZERO], [0, 1, 2, 3]);
        for (class, &(lo, hi)) in ranges.iter().enumerate() {
            let inside = |x: i128| known(bus::RANGE, &[class as u32, x.rem_euclid(MODULUS) as u32]);
            assert!((i128::from(lo)..=hi.into()).all(inside));
            for x in [i128::from(lo) - 1, i128::from(hi) + 1, i128::from(hi) + 4096, -4096] {
                assert!(!inside(x), "{}: class {class} has {x}", subject.name);
            }
        }
        let rows = ranges.iter().map(|(lo, hi)| (hi - lo + 1) as usize).sum::<usize>();
        assert_eq!(subject.table(index::RANGE).used(), rows);
        // A byte of a committed tensor has the class of its declared range.
        for (t, tensor) in program.tensors.iter().enumerate() {
            let (lo, hi) = ranges[subject.schedule.classes.of(t)];
            let committed = matches!(tensor.source, crate::program::Source::Committed(_));
            if tensor.width == 1 && committed {
                assert_eq!((lo as i32 - 128, hi as i32 - 128), (tensor.lo, tensor.hi));
            }
        }
    }
}

/// Sums of the gate's two streams: what one of them has more, the other has less, or the gate fails.
#[test]
fn sums_are_those_of_their_streams() {
    let subject = subject("dense");
    let table = subject.table(index::GATE);
    let mut edited = Edited::new(table);
    put(&mut edited, 0, at::gate::SUM_A, &[signed(table.row(0)[at::gate::SUM_A]) + 5]);
    put(&mut edited, 0, at::gate::SUM_B, &[signed(table.row(0)[at::gate::SUM_B]) - 5]);
    // The gate has no second stream, so that its sum counts for nothing.
    assert!(constraints(&failures(&edited, subject)) == 1);
}

/// Lies of single rows or gates, each told so that little refuses it (forge.rs says what).
pub fn lies() -> Vec<(&'static Subject, Edited<'static>)> {
    let mut lies = words();
    lies.extend(gathers());
    lies.extend(maxima());
    lies.extend(divisions());
    lies.extend(gates());
    lies.extend(larger_accumulators());
    lies.extend(wide_words());
    lies.extend(large_divisions());
    lies
}

/// Noise of 16 bits: the word plus p has a value that is 1 larger, if the rest may have more bits.
fn wide_words() -> Vec<(&'static Subject, Edited<'static>)> {
    let subject = subject("noisy");
    let table = subject.table(index::BITS);
    let mut lies = Vec::new();
    for row in 0..table.used() {
        let word = i128::from(table.row(row)[at::bits::WORD].as_canonical_u32());
        let value = word % (1 << 16);
        if word >= 15 << 24 || value + 1 == 1 << 16 {
            continue;
        }
        // word + p = value + 1 + 2^16·rest + 2^24·126.
        let rest = ((word - value) >> 16) + 256;
        let fraction = signed(elem(rest) * Elem::from_u32(4096).try_inverse_or_zero());
        for (h, scaled) in [([rest, 0], None), ([rest, 0], Some(0)), ([0, fraction], None)] {
            let mut edited = Edited::new(table);
            let parts = [limbs::<2>(value + 1), h].concat();
            put_limbs(&mut edited, row, &parts);
            scaled.iter().for_each(|&scaled| put(&mut edited, row, at::bits::X + 6, &[scaled]));
            put(&mut edited, row, at::bits::TOP, &[126, 0]);
            lies.push((subject, edited));
        }
    }
    lies
}

/// Quotients by large denominators, wrapped where one constraint or range would let them.
fn large_divisions() -> Vec<(&'static Subject, Edited<'static>)> {
    let subject = subject("quotients");
    let table = subject.table(index::DIV);
    let mut lies = Vec::new();
    for row in 0..table.used() {
        let scale = signed(table.publics(row)[5]);
        let honest = Division::of(table, row);
        let (d, r) = (honest.d, honest.r);
        let mut tell = |division: Division, last_carry: Option<i128>, w: Option<i128>| {
            let mut edited = Edited::new(table);
            division.write(&mut edited, row);
            let carry = |edited: &mut Edited, value: i128| {
                put(edited, row, at::div::CARRIES + 6, &limbs::<2>(value + (1 << 17)));
            };
            last_carry.iter().for_each(|&value| carry(&mut edited, value));
            w.iter().for_each(|&w| put(&mut edited, row, at::div::W, &limbs::<3>(w)));
            lies.push((subject, edited));
        };
        // 2^36 more than there is: the fourth digit does not vanish.
        let step = (r + (1 << 36)) / (2 * d);
        let more = Division { q: honest.q + step, r: r + (1 << 36) - 2 * d * step, ..honest };
        tell(more, Some(0), None);
        // A remainder that with its distance to 2d − 1 makes p more than that.
        let step = (MODULUS + 2 * d - 1 - r) / (2 * d);
        let long = r + 2 * d * step;
        let less = Division { q: honest.q - step, r: long, ..honest };
        tell(less, None, Some(MODULUS + 2 * d - 1 - long));
        let less = Division { q: honest.q - 1, r: r + 2 * d, ..honest };
        tell(less, None, Some(MODULUS - 1 - r));
        // A numerator that is p larger.
        let n = honest.n + MODULUS;
        let q = (scale * n + d).div_euclid(2 * d);
        tell(Division { n, d, q, r: scale * n + d - 2 * d * q }, None, None);
    }
    lies
}

/// Words whose flag lies.
fn words() -> Vec<(&'static Subject, Edited<'static>)> {
    let mut lies = Vec::new();
    for subject in ["wide", "picks"].map(subject) {
        let table = subject.table(index::BITS);
        for row in 0..table.used() {
            let word = signed(table.row(row)[at::bits::WORD]);
            let mut tell = |low: i128, top: i128, largest: i128| {
                let mut edited = Edited::new(table);
                let power = signed(table.publics(row)[5]);
                let parts = [limbs::<2>(low % power), limbs::<2>(low / power)].concat();
                put_limbs(&mut edited, row, &parts);
                put(&mut edited, row, at::bits::TOP, &[top, largest]);
                if (0..8)
                    .any(|i| edited.get(row, at::bits::X + i) != table.row(row)[at::bits::X + i])
                {
                    let value = |row: &[Elem]| joined(row, at::bits::X, 2);
                    if value(edited.row(row)) != value(table.row(row)) {
                        lies.push((subject, edited));
                    }
                }
            };
            let word = word.rem_euclid(MODULUS);
            // A flag that is neither 0 nor 1, with nothing else.
            tell(0, 0, -word);
            // The flag, and a low part besides.
            if word + 1 < 1 << 24 {
                tell(word + 1, 0, 1);
            }
            // The flag, and a top besides: of any word, with the low part that is left.
            let low = (word + 1) % (1 << 24);
            tell(low, (word + 1) >> 24, 1);
        }
    }
    lies
}

/// Gathers that take what they should not.
fn gathers() -> Vec<(&'static Subject, Edited<'static>)> {
    ["lookups", "plain"].into_iter().flat_map(|name| gathers_of(subject(name))).collect()
}

fn gathers_of(subject: &'static Subject) -> Vec<(&'static Subject, Edited<'static>)> {
    let table = subject.table(index::SCAN);
    let mut lies = Vec::new();
    // Gates of nine rows.
    for gate in 0..table.used() / 9 {
        let rows = 9 * gate..9 * gate + 9;
        let last = rows.end - 1;
        let index = rows.clone().position(|row| signed(table.row(row)[2]) == 1).unwrap();
        let mut tell = |takes: &[usize],
                        start: [i128; 3],
                        uncounted: Option<usize>,
                        read: Option<i128>| {
            let mut edited = Edited::new(table);
            let mut before = start;
            for (k, row) in rows.clone().enumerate() {
                let taken = i128::from(takes.contains(&k));
                let publics = table.publics(row);
                let now = signed(publics[12]) * signed(table.row(row)[1]) + signed(publics[13]);
                let count = if uncounted == Some(k) { 0 } else { taken };
                let after =
                    [before[0] + taken * now, before[1] + taken * k as i128, before[2] + count];
                put(&mut edited, row, 2, &[taken]);
                put(&mut edited, row, 3, &before);
                put(&mut edited, row, 6, &after);
                before = after;
            }
            put(&mut edited, last, 12, &[before[0]]);
            if let Some(read) = read {
                put(&mut edited, last, 11, &[signed(table.row(last)[11]) + read - index as i128]);
            }
            if before[0] != signed(table.row(last)[12]) {
                lies.push((subject, edited));
            }
        };
        let i = index as i128;
        for other in (0..9).filter(|&other| other != index) {
            // Another one; with a start that makes up for it; with another index read.
            tell(&[other], [0; 3], None, None);
            tell(&[other], [0, i - other as i128, 0], None, None);
            tell(&[other], [0; 3], None, Some(other as i128));
            // Two whose numbers add up.
            let pair = index.checked_sub(other).filter(|&rest| rest < 9 && rest != other);
            if let Some(rest) = pair {
                tell(&[other, rest], [0; 3], None, None);
                tell(&[other, rest], [0, 0, -1], None, None);
                tell(&[other, rest], [0; 3], Some(rest), None);
            }
        }
        tell(&[index], [5, 0, 0], None, None);
    }
    lies
}

/// Maxima of negative values that none is taken of.
fn maxima() -> Vec<(&'static Subject, Edited<'static>)> {
    let subject = subject("convolution");
    let table = subject.table(index::SCAN);
    let mut lies = Vec::new();
    let value = |row: usize| {
        let publics = table.publics(row);
        signed(publics[12]) * signed(table.row(row)[1]) + signed(publics[13])
    };
    for gate in 0..table.used() / 4 {
        let rows = 4 * gate..4 * gate + 4;
        if rows.clone().any(|row| value(row) >= 0) {
            continue;
        }
        let mut edited = Edited::new(table);
        for row in rows.clone() {
            put(&mut edited, row, 2, &[0; 7]);
            let distance = if row == rows.start { 0 } else { -value(row) };
            put(&mut edited, row, 9, &limbs::<2>(distance));
        }
        put(&mut edited, rows.end - 1, 12, &[0]);
        lies.push((subject, edited));
    }
    lies
}

/// An output at an end of its range, though the quotient is not beyond it: what the clamp takes away is
/// below zero.
fn clamped(
    lies: &mut Vec<(&'static Subject, Edited<'static>)>,
    subject: &'static Subject,
    table: Table<'static>,
    row: usize,
    (q, ends): (i128, [i128; 2]),
    (e, y): (usize, &[usize]),
) {
    for (i, end) in ends.into_iter().enumerate() {
        let taken = if i == 0 { end - q } else { q - end };
        if taken >= 0 {
            continue;
        }
        for limbs in [[taken, 0], limbs::<2>(taken)] {
            let mut edited = Edited::new(table);
            put(&mut edited, row, e, &[0; 4]);
            put(&mut edited, row, e + 2 * i, &limbs);
            y.iter().for_each(|&y| put(&mut edited, row, y, &[end]));
            lies.push((subject, edited));
        }
    }
}

fn divisions() -> Vec<(&'static Subject, Edited<'static>)> {
    let subject = subject("lookups");
    let table = subject.table(index::DIV);
    let mut lies = Vec::new();
    for row in 0..table.used() {
        let publics = table.publics(row);
        let [quotient, scale, zero, lo, hi] = [3, 5, 7, 8, 9].map(|c| signed(publics[c]));
        let honest = Division::of(table, row);
        clamped(
            &mut lies,
            subject,
            table,
            row,
            (honest.q + zero, [lo, hi]),
            (at::div::E, &[at::div::Y]),
        );
        let mut tell = |division: Division, den: Option<i128>| {
            let mut edited = Edited::new(table);
            division.write(&mut edited, row);
            den.iter().for_each(|den| put(&mut edited, row, at::div::DEN, &[*den]));
            if edited.get(row, at::div::Y) != table.row(row)[at::div::Y] {
                lies.push((subject, edited));
            }
        };
        if quotient == 1 {
            // Another denominator than the one that is read; another one read.
            let d = honest.d + 50;
            let scaled = scale * honest.n + d;
            let q = scaled.div_euclid(2 * d);
            let of = || Division { d, q, r: scaled - 2 * d * q, ..honest };
            tell(of(), None);
            tell(of(), Some(d - signed(publics[15])));
        } else {
            // A root of 0, and 2^24 where the root should stand a second time.
            tell(Division { d: 1 << 24, q: 0, r: scale * honest.n, ..honest }, None);
        }
    }
    lies
}

fn gates() -> Vec<(&'static Subject, Edited<'static>)> {
    let mut lies = Vec::new();
    for subject in SUBJECTS.iter() {
        let Some(public) = subject.schedule.table(index::GATE) else { continue };
        let table = subject.table(index::GATE);
        for row in 0..table.used().min(40) {
            let publics = public.publics.row(row);
            let honest = Gate::of(table, row);
            let [qoff, lo, hi] = [66, 67, 68].map(|c| signed(publics[c]));
            if publics[69].as_canonical_u32() == 0 {
                let columns = [at::gate::C, at::gate::Y];
                clamped(
                    &mut lies,
                    subject,
                    table,
                    row,
                    (honest.t + qoff, [lo, hi]),
                    (at::gate::E, &columns),
                );
            }
            // Other inputs than those that are read: the shift, and what there is to divide.
            let alphas = (0..6).find(|&i| signed(publics[34 + i]) != 0).unwrap();
            let shift = 12 * alphas as u32 + signed(publics[34 + alphas]).ilog2();
            let direct = signed(publics[3]) == 1;
            let offset = if direct { O_DIRECT } else { O_WIDE };
            let m = signed(table.row(row)[at::gate::M]);
            let shown = honest.t * (1 << shift) + honest.r;
            let mut tell = |change: &mut dyn FnMut(&mut Edited) -> i128| {
                let mut edited = Edited::new(table);
                let scaled = shown + change(&mut edited);
                let acc = joined(edited.row(row), at::gate::U, 4);
                let gate = Gate { acc, t: scaled >> shift, r: scaled & ((1 << shift) - 1) };
                let c = gate.write(&mut edited, row, Carrying::Integers);
                if publics[69].as_canonical_u32() == 1 {
                    let Some(y) = looked_up(subject, publics[70], c) else { return };
                    put(&mut edited, row, at::gate::Y, &[y]);
                }
                if edited.get(row, at::gate::Y) != table.row(row)[at::gate::Y] {
                    lies.push((subject, edited));
                }
            };
            // The sum of a stream, or a bias, that is larger or smaller.
            for (has, column) in
                [(5, at::gate::SUM_A), (7, at::gate::SUM_B), (10, at::gate::SUM_B + 1)]
            {
                for step in [1 << 10, -(1 << 10), 1 << 14, -(1 << 14), 1 << 18] {
                    let acc = honest.acc + step;
                    if signed(publics[has]) == 0 || !direct || !(0..127 << 24).contains(&acc) {
                        continue;
                    }
                    tell(&mut |edited| {
                        put(edited, row, column, &[signed(table.row(row)[column]) + step]);
                        put(edited, row, at::gate::U, &limbs::<4>(acc));
                        step * m
                    });
                }
            }
            // Another multiplier.
            if signed(publics[13]) == 1 {
                for step in [1, -1, 100, -100, 1000] {
                    tell(&mut |edited| {
                        put(edited, row, 4, &[signed(table.row(row)[4]) + step]);
                        put(edited, row, at::gate::M, &[m + step]);
                        (honest.acc - offset) * step
                    });
                }
            }
            // Another rounding: one that is read, and one that is not.
            if signed(publics[16]) == 1 {
                let below = (0..6).find(|&i| signed(publics[46 + i]) != 0).unwrap();
                let below = 12 * below as u32 + signed(publics[46 + below]).ilog2();
                let old = joined(table.row(row), at::gate::P, 2);
                for (new, read) in [(0, false), (4095, false), (0, true), (4095, true)] {
                    tell(&mut |edited| {
                        let parts = limbs::<2>(new);
                        put(edited, row, at::gate::P, &parts);
                        (0..2).for_each(|i| {
                            edited.set(row, at::gate::P + 2 + i, elem(parts[i]) * publics[64 + i]);
                        });
                        if read {
                            put(edited, row, 5, &[new - signed(publics[17])]);
                        }
                        (new - old) << below
                    });
                }
            }
        }
    }
    lies
}

/// What an activation table says.
fn looked_up(subject: &Subject, number: Elem, x: i128) -> Option<i128> {
    let publics = &subject.schedule.table(index::ACT)?.publics;
    let rows = (0..publics.rows()).map(|row| publics.row(row));
    rows.into_iter().find(|row| row[3] == number && signed(row[4]) == x).map(|row| signed(row[5]))
}
