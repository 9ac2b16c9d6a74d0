//! Main columns of picks, scans and divs: tables 8 to 10.

use p3_field::{Field, PrimeCharacteristicRing};

use super::memory::{Memory, carries, limbs, number, signed};
use super::{Filler, MainOf, fill};
use crate::hash::Elem;
use crate::hybrid::tables::columns::Carry;
use crate::hybrid::tables::scan::Taken;
use crate::hybrid::tables::{NUMERATOR_OFFSET, QUOTIENT_OFFSET, TABLES, div, index, pick, scan};
use crate::stark::{Grid, MainTable};
use crate::table::columns::Row;

impl Filler<'_> {
    pub(super) fn pick(&self, memory: &Memory) -> Option<MainOf> {
        use pick::PUBLIC;
        fill(self.schedule, index::PICK, |_, publics| {
            let [greater, equal, select] =
                [PUBLIC.greater, PUBLIC.equal, PUBLIC.select].map(|c| !publics[c].is_zero());
            let factors = [PUBLIC.a, PUBLIC.b, PUBLIC.c].map(|at| memory.factor(publics, at));
            let values @ [a, b, c] = factors.map(|(_, value)| value);
            let x = match (equal, select) {
                (true, _) => a - b,
                (_, true) => c,
                _ => Elem::ZERO,
            };
            let difference = i128::from(signed(a)) - i128::from(signed(b));
            let larger = greater && difference > 0;
            let distance = if larger { difference - 1 } else { -difference };
            pick::Main {
                reads: factors.map(|(read, _)| read),
                values,
                x,
                inverse: x.try_inverse().unwrap_or_default(),
                nonzero: Elem::from_bool(!x.is_zero()),
                larger: Elem::from_bool(larger),
                d: limbs(if greater { distance } else { 0 }),
                y: memory.read(number(publics[PUBLIC.y_at])),
            }
        })
    }

    pub(super) fn scan(&self, memory: &Memory) -> Option<MainOf> {
        let table = self.schedule.table(index::SCAN)?;
        let width = TABLES.airs[index::SCAN].mains;
        let mut main = Grid::zeros(width, table.publics.rows());
        let mut first = 0;
        for row in 0..main.rows() {
            if table.publics.row(row)[scan::PUBLIC.link].is_zero() {
                scan_gate(&table.publics, &mut main, first..row + 1, memory);
                first = row + 1;
            }
        }
        Some((index::SCAN, MainTable { main, padding: vec![Elem::ZERO; width] }))
    }

    pub(super) fn div(&self, memory: &Memory) -> Option<MainOf> {
        use div::PUBLIC;
        fill(self.schedule, index::DIV, |_, publics| {
            let quotient = !publics[PUBLIC.quotient].is_zero();
            let [scale, zero, lo, hi] = [PUBLIC.scale, PUBLIC.zero, PUBLIC.lo, PUBLIC.hi]
                .map(|c| i128::from(signed(publics[c])));
            let (v_num, num) = memory.factor(publics, PUBLIC.num);
            let (v_den, den) = memory.factor(publics, PUBLIC.den);
            let of = Division::new(quotient, scale, signed(num).into(), signed(den).into());
            let q = of.q + zero;
            let y = q.clamp(lo, hi);
            let offset = if quotient { QUOTIENT_OFFSET } else { 0 };
            div::Main {
                v_num,
                v_den,
                n: limbs(of.n + i128::from(NUMERATOR_OFFSET)),
                d: limbs(of.d),
                q: limbs(of.q + i128::from(offset)),
                r: limbs(of.r),
                w: limbs(of.w),
                carries: of.carries(scale),
                e_lo: limbs(y - q),
                e_hi: limbs(q - y),
                y: memory.read(number(publics[PUBLIC.y_at])),
            }
        })
    }
}

fn scan_gate(publics: &Grid, main: &mut Grid, rows: std::ops::Range<usize>, memory: &Memory) {
    use scan::PUBLIC;
    let last = publics.row(rows.end - 1);
    let (v_index, index) = memory.factor(last, PUBLIC.index);
    let y = memory.read(number(last[PUBLIC.y_at]));
    let none = Elem::ZERO;
    let (mut before, mut best) = (Taken { best: none, position: none, count: none }, 0);
    for row in rows.clone() {
        let publics = publics.row(row);
        let [first, compare, larger] =
            [PUBLIC.first_max, PUBLIC.compare, PUBLIC.larger].map(|c| !publics[c].is_zero());
        let k = publics[PUBLIC.k];
        let (v_value, now) = memory.factor(publics, PUBLIC.value);
        let value = signed(now);
        let taken = if larger { first || value > best } else { k == index };
        let mut after = before;
        let mut difference = 0;
        if compare {
            difference = if taken { value - best - 1 } else { best - value };
        }
        if taken {
            let (of_best, of_position) =
                if larger { (none, none) } else { (before.best, before.position) };
            let count = before.count + Elem::ONE;
            after = Taken { best: of_best + now, position: of_position + k, count };
            best = value;
        }
        let is_last = row + 1 == rows.end;
        let own = scan::Main {
            v_value,
            taken: Elem::from_bool(taken),
            before,
            after,
            d: limbs(difference.into()),
            v_index: if is_last { v_index } else { none },
            y: if is_last { y } else { none },
        };
        own.write(main.row_mut(row));
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

    /// The carries between the digits of the identity.
    fn carries(&self, scale: i128) -> [Carry<Elem>; 4] {
        let n = self.n + i128::from(NUMERATOR_OFFSET);
        let offset = if self.quotient { QUOTIENT_OFFSET } else { 0 };
        let (d, q, r) = (self.d, self.q + i128::from(offset), self.r);
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
        carries(&digits)
    }
}
