//! Main columns of sums and gates of dots: tables 4 to 7.

use p3_field::{Field, PrimeCharacteristicRing, PrimeField32};

use super::hashes::block;
use super::memory::{Memory, carries, limbs, number, signed};
use super::{Filler, MainOf, fill};
use crate::hash::Elem;
use crate::hybrid::tables::columns::{Reads, span};
use crate::hybrid::tables::{
    DIGITS, LIMB, LIMB_OFFSET, PAIRS, gate, index, limbs, read_dot, row_dot,
};
use crate::stark::Grid;

/// Sums by slot.
pub struct Sums(Vec<Elem>);

impl Sums {
    pub fn new(slots: usize) -> Self {
        Self(vec![Elem::ZERO; slots])
    }

    fn get(&self, slot: usize) -> Elem {
        self.0.get(slot).copied().unwrap_or_default()
    }

    /// Turns `run`, which holds each row's own part, into running sums of linked rows, with what is
    /// before each in `base`; keeps those of the last rows. Columns: link, slot, last; base, run.
    fn run(
        &mut self,
        main: &mut Grid,
        publics: &Grid,
        [link, slot, last]: [usize; 3],
        [base, run]: [usize; 2],
    ) {
        let mut sum = Elem::ZERO;
        for row in 0..main.rows() {
            let (publics, cells) = (publics.row(row), main.row_mut(row));
            let end = sum + cells[run];
            (cells[base], cells[run]) = (sum, end);
            sum = if publics[link].is_zero() { Elem::ZERO } else { end };
            let slot = self.0.get_mut(number(publics[slot]));
            if let Some(slot) = slot.filter(|_| !publics[last].is_zero()) {
                *slot = end;
            }
        }
    }
}

impl Filler<'_> {
    pub(super) fn row_dot(&self, sponge: &Grid, sums: &mut Sums) -> Option<MainOf> {
        use row_dot::{MAIN, PUBLIC};
        let mut filled = fill(self.schedule, index::ROW_DOT, |_, publics| {
            let a = block(sponge, publics[PUBLIC.block_a]);
            let b = block(sponge, publics[PUBLIC.block_b]);
            let (ca, cb) = (publics[PUBLIC.ca], publics[PUBLIC.cb]);
            let times = &publics[span(&PUBLIC.m)];
            let products = times.iter().zip(a).zip(b).filter(|((m, _), _)| !m.is_zero());
            let run = products.map(|((&m, &a), &b)| m * (a - ca) * (b - cb)).sum();
            row_dot::Main { a: *a, b: *b, base: Elem::ZERO, run }
        })?;
        let publics = &self.schedule.table(index::ROW_DOT)?.publics;
        let columns = [PUBLIC.link, PUBLIC.slot, PUBLIC.last];
        sums.run(&mut filled.1.main, publics, columns, [MAIN.base, MAIN.run]);
        Some(filled)
    }

    pub(super) fn read_dot(&self, memory: &Memory, sums: &mut Sums) -> Option<MainOf> {
        use read_dot::{MAIN, PUBLIC};
        let mut filled = fill(self.schedule, index::READ_DOT, |_, publics| {
            let mut run = Elem::ZERO;
            let reads = PUBLIC.products.map(|product| {
                let (va, a) = memory.factor(publics, product.a);
                let (vb, b) = memory.factor(publics, product.b);
                run += a * b;
                Reads { a: va, b: vb }
            });
            read_dot::Main { reads, base: Elem::ZERO, run }
        })?;
        let publics = &self.schedule.table(index::READ_DOT)?.publics;
        let columns = [PUBLIC.link, PUBLIC.slot, PUBLIC.last];
        sums.run(&mut filled.1.main, publics, columns, [MAIN.base, MAIN.run]);
        Some(filled)
    }

    /// The limbs table, and the accumulators (made positive) by gate.
    pub(super) fn limbs(&self, memory: &Memory, sums: &Sums) -> (Option<MainOf>, Vec<u64>) {
        let mut accumulators = vec![0; self.schedule.gate_ops.len()];
        let filled =
            fill(self.schedule, index::LIMBS, |_, publics| limb_row(publics, memory, sums));
        if let (Some((_, main)), Some(table)) = (&filled, self.schedule.table(index::LIMBS)) {
            for row in 0..table.publics.rows() {
                let u = &main.main.row(row)[span(&limbs::MAIN.u)];
                let joined = u.iter().rev().fold(0, |sum, &u| sum << LIMB | number(u) as u64);
                let gate = number(table.publics.row(row)[limbs::PUBLIC.gate]);
                if let Some(slot) = accumulators.get_mut(gate) {
                    *slot = joined;
                }
            }
        }
        (filled, accumulators)
    }

    pub(super) fn gate(&self, memory: &Memory, sums: &Sums, wide: &[u64]) -> Option<MainOf> {
        use gate::PUBLIC;
        fill(self.schedule, index::GATE, |i, publics| {
            let op = self.schedule.gate_ops[i] as usize;
            let Some(requant) = &self.schedule.requants[op] else {
                return gate::MAIN.map(|_| Elem::ZERO);
            };
            let sum = |slot: usize, has: usize| {
                if publics[has].is_zero() { Elem::ZERO } else { sums.get(number(publics[slot])) }
            };
            let sum_a = sum(PUBLIC.slot_a, PUBLIC.has_a);
            let sum_b = sum(PUBLIC.slot_b, PUBLIC.has_b);
            let (v_bias, bias) = memory.factor(publics, PUBLIC.bias);
            let (v_mult, m) = memory.factor(publics, PUBLIC.mult);
            let (v_rounding, rounding) = memory.factor(publics, PUBLIC.rounding);
            // The accumulator, made positive.
            let acc: i128 = if requant.direct {
                number(sum_a + sum_b + bias + Elem::from_i64(requant.offset)) as i128
            } else {
                wide[i].into()
            };
            // The quotient and its remainder.
            let (factor, noise) = (number(m) as i128, number(rounding) as i128);
            let above = requant.shift - requant.rounding.min(requant.shift);
            let scaled = (acc - i128::from(requant.offset)) * factor
                + i128::from(requant.half)
                + (noise << above);
            let quotient = scaled >> requant.shift;
            let (u, p) = (limbs::<4>(acc), limbs::<2>(noise));
            let t = limbs::<2>(quotient + (1 << requant.reach));
            let r = limbs::<4>(scaled - (quotient << requant.shift));
            let digits = gate_digits(&requant.shared, factor, &u, &t, &r, &p);
            // The clamp.
            let q = (quotient + (1 << requant.reach)) as i64 + requant.quotient_offset;
            let c = q.clamp(requant.ends.0, requant.ends.1);
            gate::Main {
                sum_a,
                sum_b,
                v_bias,
                v_mult,
                v_rounding,
                m,
                u,
                u3_scaled: u[3] * publics[PUBLIC.sigma_u3],
                t,
                t_scaled: times(t, &requant.shared.sigma_t),
                r,
                r_scaled: times(r, &requant.shared.sigma_r),
                p,
                p_scaled: times(p, &requant.shared.sigma_p),
                carries: carries(&digits),
                e_lo: limbs((c - q).into()),
                e_hi: limbs((q - c).into()),
                c: Elem::from_i64(c),
                y: memory.read(number(publics[PUBLIC.y_at])),
            }
        })
    }
}

/// Each limb times its scale.
pub(super) fn times<const N: usize>(x: [Elem; N], scales: &[Elem; N]) -> [Elem; N] {
    std::array::from_fn(|i| x[i] * scales[i])
}

/// The digits that sum up to zero, less their carries.
fn gate_digits(
    shared: &gate::Public<Elem>,
    m: i128,
    u: &[Elem; 4],
    t: &[Elem; 2],
    r: &[Elem; 4],
    p: &[Elem; 2],
) -> [i128; DIGITS] {
    let at = |x: &[Elem], i: usize| x.get(i).map_or(0, |&x| i128::from(x.as_canonical_u32()));
    let gate::Public { o, cst, alpha, beta, gamma, delta, .. } = shared;
    std::array::from_fn(|i| {
        at(cst, i) - at(o, i) * m + at(u, i) * m - at(r, i)
            + at(gamma, i) * at(p, 0)
            + at(delta, i) * at(p, 1)
            - at(alpha, i) * at(t, 0)
            - at(beta, i) * at(t, 1)
    })
}

fn limb_row(publics: &[Elem], memory: &Memory, sums: &Sums) -> limbs::Main<Elem> {
    use limbs::PUBLIC;
    let slot = number(publics[PUBLIC.slot]);
    let (v_bias, bias) = memory.factor(publics, PUBLIC.bias);
    let constants = PUBLIC.cst.map(|c| signed(publics[c]));
    let mut positions = [0i64; 9];
    let bytes: [[u8; 4]; PAIRS] = std::array::from_fn(|n| {
        if publics[PUBLIC.has[n]].is_zero() {
            return [0; 4];
        }
        let sum = sums.get(slot + n) + Elem::from_i64(LIMB_OFFSET);
        sum.as_canonical_u32().to_le_bytes()
    });
    for (n, bytes) in bytes.iter().enumerate() {
        for (m, &byte) in bytes.iter().enumerate() {
            positions[n / 3 + n % 3 + m] += i64::from(byte);
        }
    }
    let digit = |i: usize| positions[i] + (positions[i + 1] << 8) + (positions[i + 2] << 16);
    let low = digit(0) + signed(bias) + constants[0];
    let middle = digit(3) + constants[1] + (low >> 24);
    let mask = (1 << 24) - 1;
    let ([u0, u1], [u2, u3]) = (limbs((low & mask).into()), limbs((middle & mask).into()));
    limbs::Main {
        bytes: bytes.map(|bytes| bytes.map(Elem::from_u8)),
        v_bias,
        u: [u0, u1, u2, u3],
        carries: [low, middle].map(|digit| Elem::from_i64((digit >> 24) + 32)),
    }
}
