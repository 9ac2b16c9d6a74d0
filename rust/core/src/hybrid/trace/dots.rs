//! Main columns of sums and gates of dots: tables 4 to 7.

use p3_field::{Field, PrimeCharacteristicRing, PrimeField32};

use super::hashes::block;
use super::memory::{Memory, Row, carries, limbs, number, signed};
use super::{Filler, MainOf, fill};
use crate::hash::Elem;
use crate::hybrid::schedule::requant::DIGITS;
use crate::hybrid::tables::{BLOCK, PRODUCTS, index};
use crate::stark::Grid;

const LIMB: u32 = 12;
/// Makes the sum of a pair of limbs positive.
const LIMB_OFFSET: u32 = 127 << 23;
const PAIRS: usize = 9;

/// Sums by slot.
pub struct Sums(Vec<Elem>);

impl Sums {
    pub fn new(slots: usize) -> Self {
        Self(vec![Elem::ZERO; slots])
    }

    fn get(&self, slot: usize) -> Elem {
        self.0.get(slot).copied().unwrap_or_default()
    }

    /// Turns the last two columns of linked rows, of which the second is the row's own part, into
    /// running sums, and keeps those of the last rows. `columns`: of link, slot and last.
    fn run(&mut self, main: &mut Grid, publics: &Grid, columns: [usize; 3]) {
        let mut base = Elem::ZERO;
        for row in 0..main.rows() {
            let [link, slot, last] = columns.map(|c| publics.row(row)[c]);
            let cells = main.row_mut(row);
            let end = cells.len();
            let run = base + cells[end - 1];
            (cells[end - 2], cells[end - 1]) = (base, run);
            base = if link.is_zero() { Elem::ZERO } else { run };
            if let Some(sum) = self.0.get_mut(number(slot)).filter(|_| !last.is_zero()) {
                *sum = run;
            }
        }
    }
}

impl Filler<'_> {
    pub(super) fn row_dot(&self, sponge: &Grid, sums: &mut Sums) -> Option<MainOf> {
        let mut filled = fill(self.schedule, index::ROW_DOT, |_, publics, out| {
            let (a, b) = (block(sponge, publics[3]), block(sponge, publics[4]));
            let (ca, cb) = (publics[5], publics[6]);
            out.all(a);
            out.all(b);
            let times = &publics[7..7 + BLOCK];
            let products = times.iter().zip(a).zip(b).filter(|((m, _), _)| !m.is_zero());
            let part: Elem = products.map(|((&m, &a), &b)| m * (a - ca) * (b - cb)).sum();
            out.all(&[Elem::ZERO, part]);
        })?;
        let publics = &self.schedule.table(index::ROW_DOT)?.publics;
        sums.run(&mut filled.1.main, publics, [55, 56, 57]);
        Some(filled)
    }

    pub(super) fn read_dot(&self, memory: &Memory, sums: &mut Sums) -> Option<MainOf> {
        let mut filled = fill(self.schedule, index::READ_DOT, |_, publics, out| {
            let mut part = Elem::ZERO;
            for product in publics[5..].chunks_exact(6).take(PRODUCTS) {
                let ((va, a), (vb, b)) =
                    (memory.factor(&product[..3]), memory.factor(&product[3..]));
                out.all(&[va, vb]);
                part += a * b;
            }
            out.all(&[Elem::ZERO, part]);
        })?;
        let publics = &self.schedule.table(index::READ_DOT)?.publics;
        sums.run(&mut filled.1.main, publics, [2, 3, 4]);
        Some(filled)
    }

    /// The limbs table, and the accumulators (made positive) by gate.
    pub(super) fn limbs(&self, memory: &Memory, sums: &Sums) -> (Option<MainOf>, Vec<u64>) {
        let mut accumulators = vec![0; self.schedule.gate_ops.len()];
        let filled = fill(self.schedule, index::LIMBS, |_, publics, out| {
            limb_row(publics, memory, sums, out);
        });
        if let (Some((_, main)), Some(table)) = (&filled, self.schedule.table(index::LIMBS)) {
            for row in 0..table.publics.rows() {
                let cells = main.main.row(row);
                let u = &cells[cells.len() - 6..cells.len() - 2];
                let joined = u.iter().rev().fold(0, |sum, &u| sum << LIMB | number(u) as u64);
                if let Some(slot) = accumulators.get_mut(number(table.publics.row(row)[3])) {
                    *slot = joined;
                }
            }
        }
        (filled, accumulators)
    }

    pub(super) fn gate(&self, memory: &Memory, sums: &Sums, wide: &[u64]) -> Option<MainOf> {
        fill(self.schedule, index::GATE, |i, publics, out| {
            let op = self.schedule.gate_ops[i] as usize;
            let Some(requant) = &self.schedule.requants[op] else { return };
            let sum = |slot: usize, has: usize| {
                if publics[has].is_zero() { Elem::ZERO } else { sums.get(number(publics[slot])) }
            };
            let (sum_a, sum_b) = (sum(4, 5), sum(6, 7));
            let (v_bias, bias) = memory.factor(&publics[9..12]);
            let (v_mult, m) = memory.factor(&publics[12..15]);
            let (v_rounding, rounding) = memory.factor(&publics[15..18]);
            out.all(&[sum_a, sum_b, v_bias, v_mult, v_rounding, m]);
            // The accumulator, made positive.
            let acc: i128 = if requant.direct {
                number(sum_a + sum_b + bias + Elem::from_i64(requant.offset)) as i128
            } else {
                wide[i].into()
            };
            let u = limbs::<4>(acc);
            out.all(&u);
            out.one(u[3] * publics[21]);
            // The quotient and its remainder.
            let (factor, noise) = (number(m) as i128, number(rounding) as i128);
            let above = requant.shift - requant.rounding.min(requant.shift);
            let scaled = (acc - i128::from(requant.offset)) * factor
                + i128::from(requant.half)
                + (noise << above);
            let quotient = scaled >> requant.shift;
            let t = limbs::<2>(quotient + (1 << requant.reach));
            let r = limbs::<4>(scaled - (quotient << requant.shift));
            let p = limbs::<2>(noise);
            let sigmas: &[Elem] = &publics[58..66];
            for (x, sigma) in [(&t[..], &sigmas[..2]), (&r, &sigmas[2..6]), (&p, &sigmas[6..])] {
                out.all(x);
                x.iter().zip(sigma).for_each(|(&x, &sigma)| out.one(x * sigma));
            }
            let digits = gate_digits(publics, factor, &u, &t, &r, &p);
            carries::<5>(&digits).into_iter().for_each(|carry| out.carry(carry));
            // The clamp.
            let q = (quotient + (1 << requant.reach)) as i64 + requant.quotient_offset;
            let c = q.clamp(requant.ends.0, requant.ends.1);
            out.all(&limbs::<2>((c - q).into()));
            out.all(&limbs::<2>((q - c).into()));
            out.signed(c);
            out.one(memory.read(number(publics[18])));
        })
    }
}

/// The digits that sum up to zero, less their carries.
fn gate_digits(
    publics: &[Elem],
    m: i128,
    u: &[Elem; 4],
    t: &[Elem; 2],
    r: &[Elem; 4],
    p: &[Elem; 2],
) -> [i128; DIGITS] {
    let at = |x: &[Elem], i: usize| x.get(i).map_or(0, |&x| i128::from(x.as_canonical_u32()));
    let public = |group: usize, i: usize| at(publics, 22 + DIGITS * group + i);
    std::array::from_fn(|i| {
        let [o, constant, alpha, beta, gamma, delta] = [0, 1, 2, 3, 4, 5].map(|g| public(g, i));
        constant - o * m + at(u, i) * m - at(r, i) + gamma * at(p, 0) + delta * at(p, 1)
            - alpha * at(t, 0)
            - beta * at(t, 1)
    })
}

fn limb_row(publics: &[Elem], memory: &Memory, sums: &Sums, out: &mut Row) {
    let (slot, has) = (number(publics[4]), &publics[5..5 + PAIRS]);
    let (read, bias) = memory.factor(&publics[14..17]);
    let constants = [17, 18, 19].map(|c| signed(publics[c]));
    let mut positions = [0i64; 9];
    for (n, has) in has.iter().enumerate() {
        let mut bytes = [0u8; 4];
        if !has.is_zero() {
            let sum = sums.get(slot + n) + Elem::from_u32(LIMB_OFFSET);
            bytes = sum.as_canonical_u32().to_le_bytes();
        }
        for (m, byte) in bytes.into_iter().enumerate() {
            out.one(Elem::from_u8(byte));
            positions[n / 3 + n % 3 + m] += i64::from(byte);
        }
    }
    let digit = |i: usize| positions[i] + (positions[i + 1] << 8) + (positions[i + 2] << 16);
    let low = digit(0) + signed(bias) + constants[0];
    let carry = [low >> 24, (digit(3) + constants[1] + (low >> 24)) >> 24];
    let middle = digit(3) + constants[1] + carry[0];
    out.one(read);
    let mask = (1 << 24) - 1;
    out.all(&limbs::<2>((low & mask).into()));
    out.all(&limbs::<2>((middle & mask).into()));
    carry.into_iter().for_each(|carry| out.signed(carry + 32));
}
