//! Dot gates: their accumulators, quotients, clamps.

use super::*;
use crate::hybrid::tables::{DIGITS, LIMB_OFFSET, WIDE_OFFSET, act};
use crate::hybrid::tests::MANY;
use crate::hybrid::tests::attacks::subjects::{SUBJECTS, second_quotient};
use crate::hybrid::tests::fixture::Case;
use gate::{MAIN, PUBLIC};

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
        Self { acc: joined(row, MAIN.u), t: joined(row, MAIN.t), r: joined(row, MAIN.r) }
    }

    /// Writes accumulator, quotient, remainder, carries, clamp and output; returns the output.
    fn write(&self, edited: &mut Edited, row: usize, how: Carrying) -> i128 {
        let publics = edited.table.publics(row);
        let m = signed(edited.get(row, MAIN.m));
        let p = MAIN.p.map(|c| signed(edited.get(row, c)));
        let (u, t, r) = (limbs::<4>(self.acc), limbs::<2>(self.t), limbs::<4>(self.r));
        put(edited, row, MAIN.u, u);
        edited.set(row, MAIN.u3_scaled, elem(u[3]) * publics[PUBLIC.sigma_u3]);
        put(edited, row, MAIN.t, t);
        put_scaled(edited, row, MAIN.t_scaled, PUBLIC.sigma_t, t);
        put(edited, row, MAIN.r, r);
        put_scaled(edited, row, MAIN.r_scaled, PUBLIC.sigma_r, r);
        let get = |x: &[i128], i: usize| x.get(i).copied().unwrap_or(0);
        let digit = |i: usize| {
            let [o, constant, alpha, beta, gamma, delta] =
                [PUBLIC.o, PUBLIC.cst, PUBLIC.alpha, PUBLIC.beta, PUBLIC.gamma, PUBLIC.delta]
                    .map(|columns| i128::from(publics[columns[i]].as_canonical_u32()));
            constant - o * m + get(&u, i) * m - get(&r, i) + gamma * p[0] + delta * p[1]
                - alpha * t[0]
                - beta * t[1]
        };
        let digits: Vec<i128> = (0..DIGITS).map(digit).collect();
        put_carries(edited, row, &MAIN.carries, &carries(&digits, how));
        let [qoff, lo, hi] = [PUBLIC.qoff, PUBLIC.clo, PUBLIC.chi].map(|c| signed(publics[c]));
        let q = self.t + qoff;
        let c = q.clamp(lo, hi);
        put(edited, row, MAIN.e_lo, limbs((c - q).max(0)));
        put(edited, row, MAIN.e_hi, limbs((q - c).max(0)));
        put_one(edited, row, MAIN.c, c);
        if publics[PUBLIC.has_act].as_canonical_u32() == 0 {
            put_one(edited, row, MAIN.y, c);
        }
        c
    }
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
    assert_eq!(honest.acc, 100_000 + i128::from(LIMB_OFFSET));
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
    let carries = from_to(MAIN.carries[0].low, MAIN.carries[4].high);
    only_ranges(&failures(&edited, &subject), index::GATE, &carries);
}

/// acc + p is the same sum: only the class of the top limb tells them apart.
#[test]
fn an_accumulator_that_is_p_larger_is_refused() {
    let forged = larger_accumulators();
    assert!(!forged.is_empty(), "no gate of which the forged quotient is in range");
    for (subject, edited) in forged {
        only_ranges(&failures(&edited, subject), index::GATE, &[MAIN.u[2]]);
    }
}

/// Gates with an accumulator that is p larger, and a quotient that is 127 larger.
pub fn larger_accumulators() -> Vec<Lie> {
    let subject = subject("full");
    let table = subject.table(index::GATE);
    let mut forged = Vec::new();
    for row in 0..table.used() {
        let honest = Gate::of(table, row);
        let acc = honest.acc + MODULUS;
        let scaled = acc - i128::from(LIMB_OFFSET) + (1 << 23);
        let (q, old) = (scaled >> 24, (honest.acc - i128::from(LIMB_OFFSET) + (1 << 23)) >> 24);
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
            let remainder = [MAIN.r, MAIN.r_scaled].concat();
            only_ranges(&failures(&edited, subject), index::GATE, &remainder);
        }
    }
    // A quotient of more bits than the program allows.
    let limit = signed(table.publics(0)[PUBLIC.sigma_t[1]]);
    let bits = 24 - limit.ilog2();
    let honest = Gate::of(table, 0);
    let gate = Gate { t: 1 << bits, r: honest.r + ((honest.t - (1 << bits)) << 5), ..honest };
    let mut edited = Edited::new(table);
    gate.write(&mut edited, 0, Carrying::Integers);
    assert!(failures(&edited, subject).iter().any(|f| {
        matches!(f, Failure::Range(l) if lookups_of(index::GATE, MAIN.t_scaled[1]).contains(l))
    }));
}

/// Sums of the gate's two streams: what one of them has more, the other has less, or the gate fails.
#[test]
fn sums_are_those_of_their_streams() {
    let subject = subject("dense");
    let table = subject.table(index::GATE);
    let mut edited = Edited::new(table);
    put_one(&mut edited, 0, MAIN.sum_a, signed(table.row(0)[MAIN.sum_a]) + 5);
    put_one(&mut edited, 0, MAIN.sum_b, signed(table.row(0)[MAIN.sum_b]) - 5);
    // The gate has no second stream, so that its sum counts for nothing.
    assert!(constraints(&failures(&edited, subject)) == 1);
}

pub fn gates() -> Vec<Lie> {
    let mut lies = Vec::new();
    for subject in SUBJECTS.iter() {
        let Some(public) = subject.schedule.table(index::GATE) else { continue };
        let table = subject.table(index::GATE);
        for row in 0..table.used().min(40) {
            let publics = public.publics.row(row);
            let honest = Gate::of(table, row);
            let [qoff, lo, hi] = [PUBLIC.qoff, PUBLIC.clo, PUBLIC.chi].map(|c| signed(publics[c]));
            if publics[PUBLIC.has_act].as_canonical_u32() == 0 {
                let e = [MAIN.e_lo, MAIN.e_hi];
                let q = (honest.t + qoff, [lo, hi]);
                clamped(&mut lies, (subject, table, row), q, (e, &[MAIN.c, MAIN.y]));
            }
            // Other inputs than those that are read: the shift, and what there is to divide.
            let shift = exponent(publics, PUBLIC.alpha);
            let direct = signed(publics[PUBLIC.direct]) == 1;
            let offset = if direct { i128::from(LIMB_OFFSET) } else { i128::from(WIDE_OFFSET) };
            let m = signed(table.row(row)[MAIN.m]);
            let shown = honest.t * (1 << shift) + honest.r;
            let mut tell = |change: &mut dyn FnMut(&mut Edited) -> i128| {
                let mut edited = Edited::new(table);
                let scaled = shown + change(&mut edited);
                let acc = joined(edited.row(row), MAIN.u);
                let gate = Gate { acc, t: scaled >> shift, r: scaled & ((1 << shift) - 1) };
                let c = gate.write(&mut edited, row, Carrying::Integers);
                if publics[PUBLIC.has_act].as_canonical_u32() == 1 {
                    let Some(y) = looked_up(subject, publics[PUBLIC.act], c) else { return };
                    put_one(&mut edited, row, MAIN.y, y);
                }
                if edited.get(row, MAIN.y) != table.row(row)[MAIN.y] {
                    lies.push((subject, edited));
                }
            };
            // The sum of a stream, or a bias, that is larger or smaller.
            for (has, column) in [
                (PUBLIC.has_a, MAIN.sum_a),
                (PUBLIC.has_b, MAIN.sum_b),
                (PUBLIC.bias.r, MAIN.v_bias),
            ] {
                for step in [1 << 10, -(1 << 10), 1 << 14, -(1 << 14), 1 << 18] {
                    let acc = honest.acc + step;
                    if signed(publics[has]) == 0 || !direct || !(0..127 << 24).contains(&acc) {
                        continue;
                    }
                    tell(&mut |edited| {
                        put_one(edited, row, column, signed(table.row(row)[column]) + step);
                        put(edited, row, MAIN.u, limbs(acc));
                        step * m
                    });
                }
            }
            // Another multiplier.
            if signed(publics[PUBLIC.mult.r]) == 1 {
                for step in [1, -1, 100, -100, 1000] {
                    tell(&mut |edited| {
                        let read = signed(table.row(row)[MAIN.v_mult]);
                        put_one(edited, row, MAIN.v_mult, read + step);
                        put_one(edited, row, MAIN.m, m + step);
                        (honest.acc - offset) * step
                    });
                }
            }
            // Another rounding: one that is read, and one that is not.
            if signed(publics[PUBLIC.rounding.r]) == 1 {
                let below = exponent(publics, PUBLIC.gamma);
                let old = joined(table.row(row), MAIN.p);
                for (new, read) in [(0, false), (4095, false), (0, true), (4095, true)] {
                    tell(&mut |edited| {
                        put(edited, row, MAIN.p, limbs(new));
                        put_scaled(edited, row, MAIN.p_scaled, PUBLIC.sigma_p, limbs(new));
                        if read {
                            let read = new - signed(publics[PUBLIC.rounding.k]);
                            put_one(edited, row, MAIN.v_rounding, read);
                        }
                        (new - old) << below
                    });
                }
            }
        }
    }
    lies
}

/// `s`, of the columns of digits that add `2^s`.
fn exponent(publics: &[Elem], digits: [usize; DIGITS]) -> u32 {
    let digit = (0..DIGITS).find(|&i| signed(publics[digits[i]]) != 0).unwrap();
    12 * digit as u32 + signed(publics[digits[digit]]).ilog2()
}

/// What an activation table says.
fn looked_up(subject: &Subject, number: Elem, x: i128) -> Option<i128> {
    use act::PUBLIC;
    let publics = &subject.schedule.table(index::ACT)?.publics;
    let rows = (0..publics.rows()).map(|row| publics.row(row));
    let entry = |row: &&[Elem]| row[PUBLIC.table] == number && signed(row[PUBLIC.x]) == x;
    rows.into_iter().find(entry).map(|row| signed(row[PUBLIC.y]))
}
