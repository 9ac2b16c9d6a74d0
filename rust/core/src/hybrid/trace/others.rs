//! Main columns of picks, scans and divs: tables 8 to 10.

use p3_field::{Field, PrimeCharacteristicRing};

use super::memory::{Memory, Row, carries, limbs, number, signed};
use super::{Filler, MainOf, fill};
use crate::hash::Elem;
use crate::hybrid::tables::index;
use crate::stark::{Grid, MainTable};

/// Makes numerators positive.
const NUMERATOR_OFFSET: i128 = 1 << 24;

impl Filler<'_> {
    pub(super) fn pick(&self, memory: &Memory) -> Option<MainOf> {
        fill(self.schedule, index::PICK, |_, publics, out| {
            let [_, greater, equal, select] = [3, 4, 5, 6].map(|c| !publics[c].is_zero());
            let reads = [7, 10, 13].map(|c| memory.factor(&publics[c..c + 3]));
            out.all(&reads.map(|(read, _)| read));
            let [a, b, c] = reads.map(|(_, value)| value);
            out.all(&[a, b, c]);
            let x = match (equal, select) {
                (true, _) => a - b,
                (_, true) => c,
                _ => Elem::ZERO,
            };
            out.one(x);
            out.one(x.try_inverse().unwrap_or_default());
            out.flag(!x.is_zero());
            let difference = i128::from(signed(a)) - i128::from(signed(b));
            let larger = greater && difference > 0;
            out.flag(larger);
            let distance = if larger { difference - 1 } else { -difference };
            out.all(&limbs::<2>(if greater { distance } else { 0 }));
            out.one(memory.read(number(publics[16])));
        })
    }

    pub(super) fn scan(&self, memory: &Memory) -> Option<MainOf> {
        let publics = &self.schedule.table(index::SCAN)?.publics;
        let (index, mut filled) = fill(self.schedule, index::SCAN, |_, _, _| {})?;
        let mut first = 0;
        for row in 0..publics.rows() {
            if publics.row(row)[6].is_zero() {
                scan_gate(publics, &mut filled, first..row + 1, memory);
                first = row + 1;
            }
        }
        Some((index, filled))
    }

    pub(super) fn div(&self, memory: &Memory) -> Option<MainOf> {
        fill(self.schedule, index::DIV, |_, publics, out| {
            let quotient = !publics[3].is_zero();
            let [scale, zero, lo, hi] = [5, 7, 8, 9].map(|c| i128::from(signed(publics[c])));
            let (v_num, num) = memory.factor(&publics[10..13]);
            let (v_den, den) = memory.factor(&publics[13..16]);
            out.all(&[v_num, v_den]);
            let division = Division::new(quotient, scale, signed(num).into(), signed(den).into());
            division.fill(scale, out);
            let q = division.q + zero;
            let y = q.clamp(lo, hi);
            out.all(&limbs::<2>(y - q));
            out.all(&limbs::<2>(q - y));
            out.one(memory.read(number(publics[16])));
        })
    }
}

/// Best value, its index, and how many were taken.
type Taken = [Elem; 3];

fn scan_gate(publics: &Grid, main: &mut MainTable, rows: std::ops::Range<usize>, memory: &Memory) {
    let last = publics.row(rows.end - 1);
    let (v_index, index) = memory.factor(&last[14..17]);
    let y = memory.read(number(last[17]));
    let (mut before, mut best): (Taken, i64) = ([Elem::ZERO; 3], 0);
    for row in rows.clone() {
        let publics = publics.row(row);
        let [first, compare, larger] = [3, 4, 5].map(|c| !publics[c].is_zero());
        let k = publics[7];
        let (v, now) = memory.factor(&publics[11..14]);
        let value = signed(now);
        let taken = if larger { first || value > best } else { k == index };
        let mut after = before;
        let mut difference = 0;
        if compare {
            difference = if taken { value - best - 1 } else { best - value };
        }
        if taken {
            after = if larger {
                [now, k, before[2]]
            } else {
                [before[0] + now, before[1] + k, before[2]]
            };
            after[2] += Elem::ONE;
            best = value;
        }
        let out = &mut Row::new(main.main.row_mut(row));
        out.one(v);
        out.flag(taken);
        out.all(&before);
        out.all(&after);
        out.all(&limbs::<2>(difference.into()));
        let ends = if row + 1 == rows.end { [v_index, y] } else { [Elem::ZERO; 2] };
        out.all(&ends);
        before = after;
    }
}

/// `scale·n + d = 2d·q + r`, or `scale·n = q² + r`.
struct Division {
    quotient: bool,
    n: i128,
    d: i128,
    q: i128,
    r: i128,
    /// What `r` lacks to its largest value.
    w: i128,
}

impl Division {
    fn new(quotient: bool, scale: i128, n: i128, den: i128) -> Self {
        if !quotient {
            let scaled = (scale * n).max(0);
            let q = scaled.isqrt();
            let r = scaled - q * q;
            return Self { quotient, n, d: q, q, r, w: 2 * q - r };
        }
        // A denominator below 1 has no witness.
        let d = den.max(1);
        let scaled = scale * n + d;
        let q = scaled.div_euclid(2 * d);
        let r = scaled - 2 * d * q;
        Self { quotient, n, d, q, r, w: 2 * d - 1 - r }
    }

    /// n, d, q, r, w and the carries.
    fn fill(&self, scale: i128, out: &mut Row) {
        let offset = if self.quotient { 1 << 23 } else { 0 };
        let [n, d, r, w] = [self.n + NUMERATOR_OFFSET, self.d, self.r, self.w];
        let q = self.q + offset;
        out.all(&limbs::<3>(n));
        out.all(&limbs::<3>(d));
        out.all(&limbs::<2>(q));
        out.all(&limbs::<3>(r));
        out.all(&limbs::<3>(w));
        let at = |x: i128, i: usize| x.max(0) >> (12 * i) & 0xfff;
        let (left, two) = if self.quotient { (1, 2) } else { (0, 1) };
        let digits = [
            scale * at(n, 0) + left * at(d, 0) - two * at(q, 0) * at(d, 0) - at(r, 0),
            scale * at(n, 1) + left * at(d, 1)
                - two * (at(q, 0) * at(d, 1) + at(q, 1) * at(d, 0))
                - at(r, 1),
            scale * at(n, 2) + left * (at(d, 2) + at(d, 0))
                - scale
                - two * (at(q, 1) * at(d, 1) + at(q, 0) * at(d, 2))
                - at(r, 2),
            left * at(d, 1) - two * at(q, 1) * at(d, 2),
            left * at(d, 2),
        ];
        carries::<4>(&digits).into_iter().for_each(|carry| out.carry(carry));
    }
}
