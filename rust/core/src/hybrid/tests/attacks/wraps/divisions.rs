//! Quotients and roots.

use super::*;
use crate::hybrid::tables::NUMERATOR_OFFSET;
use div::{MAIN, PUBLIC};

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
        Self {
            n: joined(row, MAIN.n) - i128::from(NUMERATOR_OFFSET),
            d: joined(row, MAIN.d),
            q: joined(row, MAIN.q) - signed(publics[PUBLIC.q_offset]),
            r: joined(row, MAIN.r),
        }
    }

    fn write(&self, edited: &mut Edited, row: usize) {
        let div::Public { quotient, two, scale, q_offset, zero, lo, hi, .. } =
            PUBLIC.map(|c| signed(edited.table.publics(row)[c]));
        let n = limbs::<3>(self.n + i128::from(NUMERATOR_OFFSET));
        let (d, q, r) = (limbs::<3>(self.d), limbs::<2>(self.q + q_offset), limbs::<3>(self.r));
        put(edited, row, MAIN.n, n);
        put(edited, row, MAIN.d, d);
        put(edited, row, MAIN.q, q);
        put(edited, row, MAIN.r, r);
        put(edited, row, MAIN.w, limbs(2 * self.d - quotient - self.r));
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
        put_carries(edited, row, &MAIN.carries, &carries(&digits, Carrying::Integers));
        let out = self.q + zero;
        let y = out.clamp(lo, hi);
        put(edited, row, MAIN.e_lo, limbs((y - out).max(0)));
        put(edited, row, MAIN.e_hi, limbs((out - y).max(0)));
        put_one(edited, row, MAIN.y, y);
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
        let is_quotient = signed(table.publics(row)[PUBLIC.quotient]) == 1;
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
            let columns = [MAIN.r, MAIN.w].concat();
            only_ranges(&failures(&edited, subject), index::DIV, &columns);
        }
        // A remainder of 2d or more, without the distance that would show it.
        if is_quotient {
            let forged = Division { q: honest.q - 1, r: honest.r + 2 * honest.d, ..honest };
            let mut edited = Edited::new(table);
            forged.write(&mut edited, row);
            put(&mut edited, row, MAIN.w, [0; 3]);
            let found = failures(&edited, subject);
            assert_eq!(constraints(&found), 1, "{found:?}");
            assert_eq!(found.len(), 1);
        }
        // A numerator or a denominator that is p larger than it is: 31 bits for 25.
        let mut edited = Edited::new(table);
        Division { n: honest.n + MODULUS, ..honest }.write(&mut edited, row);
        assert!(constraints(&failures(&edited, subject)) > 0);
        put(&mut edited, row, MAIN.n, limbs(honest.n + i128::from(NUMERATOR_OFFSET)));
        put_one(&mut edited, row, MAIN.n[2], 2);
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
    let row =
        (0..table.used()).find(|&row| signed(table.publics(row)[PUBLIC.quotient]) == 1).unwrap();
    let publics = table.publics(row);
    let scale = signed(publics[PUBLIC.scale]);
    for den in [0, -1, -5] {
        for q in -3..4 {
            let honest = Division::of(table, row);
            // scale·n + d = 2·d·q + r for any r; limbs of d as they are, and modulo p.
            let r = scale * honest.n + den - 2 * den * q;
            for d in [den, den + MODULUS] {
                let mut edited = Edited::new(table);
                put_one(&mut edited, row, MAIN.v_den, den - signed(publics[PUBLIC.den.k]));
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
        put_one(&mut edited, row, MAIN.v_num, num - signed(publics[PUBLIC.num.k]));
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
        put_one(&mut edited, row, MAIN.v_num, num - signed(publics[PUBLIC.num.k]));
        Division { n: num, q, r, ..honest }.write(&mut edited, row);
        assert_eq!(failures(&edited, subject), [], "{num}");
    }
}

/// Quotients by large denominators, wrapped where one constraint or range would let them.
pub fn large_divisions() -> Vec<Lie> {
    let subject = subject("quotients");
    let table = subject.table(index::DIV);
    let mut lies = Vec::new();
    for row in 0..table.used() {
        let scale = signed(table.publics(row)[PUBLIC.scale]);
        let honest = Division::of(table, row);
        let (d, r) = (honest.d, honest.r);
        let mut tell = |division: Division, last_carry: Option<i128>, w: Option<i128>| {
            let mut edited = Edited::new(table);
            division.write(&mut edited, row);
            if let Some(value) = last_carry {
                put_carries(&mut edited, row, &MAIN.carries[3..], &[value]);
            }
            w.iter().for_each(|&w| put(&mut edited, row, MAIN.w, limbs(w)));
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

pub fn divisions() -> Vec<Lie> {
    let subject = subject("lookups");
    let table = subject.table(index::DIV);
    let mut lies = Vec::new();
    for row in 0..table.used() {
        let publics = table.publics(row);
        let div::Public { quotient, scale, zero, lo, hi, .. } = PUBLIC.map(|c| signed(publics[c]));
        let honest = Division::of(table, row);
        let (q, e) = ((honest.q + zero, [lo, hi]), [MAIN.e_lo, MAIN.e_hi]);
        clamped(&mut lies, (subject, table, row), q, (e, &[MAIN.y]));
        let mut tell = |division: Division, den: Option<i128>| {
            let mut edited = Edited::new(table);
            division.write(&mut edited, row);
            den.iter().for_each(|&den| put_one(&mut edited, row, MAIN.v_den, den));
            if edited.get(row, MAIN.y) != table.row(row)[MAIN.y] {
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
            tell(of(), Some(d - signed(publics[PUBLIC.den.k])));
        } else {
            // A root of 0, and 2^24 where the root should stand a second time.
            tell(Division { d: 1 << 24, q: 0, r: scale * honest.n, ..honest }, None);
        }
    }
    lies
}
