//! How much is checked (docs/protocol.md section 5): what follows from the claims alone, before the seed.

use crate::program::Checked;
use crate::receipt::journal::{Journal, STRICT};

/// One part of a share in parts per million.
const MILLION: u128 = 1_000_000;
/// The natural logarithm of 2 in parts per 10^9, rounded up.
const LN2: u128 = 693_147_181;
/// Largest number of draws of one stream.
pub(super) const MAX_SAMPLES: u64 = 1 << 24;

/// `L`: log2 of `y/(y − x)` in 48 fractional bits, never too large; `0 < x ≤ y/2`, `y < 2^127`.
fn floor_log2(x: u128, y: u128) -> u64 {
    let mut value = scaled_quotient(y, y - x);
    if value == 1 << 63 {
        return 1 << 48;
    }
    let mut log = 0;
    for _ in 0..48 {
        value = (value * value) >> 62;
        log *= 2;
        if value >= 1 << 63 {
            log += 1;
            value /= 2;
        }
    }
    log
}

/// `floor(y·2^62 / d)`, bit by bit, since the product can leave 128 bits.
fn scaled_quotient(y: u128, d: u128) -> u128 {
    let (mut quotient, mut rest) = (y / d, y % d);
    for _ in 0..62 {
        rest *= 2;
        quotient = 2 * quotient + u128::from(rest >= d);
        rest -= if rest >= d { d } else { 0 };
    }
    quotient
}

/// `s(u, r, n, λ)`: draws that find a share of `u` parts per million of `r` out of `n` slots with
/// probability `1 − 2^−λ`. `None` above 2^24.
pub fn sample_count(u: u32, r: u128, n: u128, lambda: u16) -> Option<u64> {
    let log = floor_log2(u128::from(u) * r, MILLION * n);
    let wanted = u128::from(lambda) << 48;
    let samples =
        wanted.checked_add(u128::from(log) - u128::from(log > 0))? / u128::from(log.max(1));
    u64::try_from(samples).ok().filter(|&samples| log > 0 && samples <= MAX_SAMPLES)
}

/// How much is checked: what follows from the claims alone, before the seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Draws by weight over the whole chain (`s`); 0 in a strict receipt.
    pub samples: Option<u64>,
    /// Draws that each op gets at least (`e`).
    pub per_op: u64,
    /// Draws that are spread equally over the gates of each op (`e_c`).
    pub even: Vec<u128>,
    /// Draws in a full step and in the last one; 0 where no bound per step is claimed.
    pub per_step: Option<u64>,
    pub last_step: Option<u64>,
    /// Ops of which every gate of every step is checked.
    pub enumerated: Vec<bool>,
}

impl Counts {
    pub fn new(checked: &Checked, journal: &Journal) -> Self {
        let (batch, steps) = (checked.program.batch() as u128, u128::from(journal.steps));
        let (items, weight) = (u128::from(journal.items), u128::from(checked.step_weight));
        let strict = journal.mode == STRICT;
        // For a share of the MACs of the live gates of so many items in so many slots.
        let count = |delta: u32, items: u128, slots: u128| match delta {
            0 => Some(0),
            _ => {
                let wrong = items * u128::from(checked.live_macs);
                sample_count(delta, wrong, slots * weight, journal.bits)
            }
        };
        let samples = count(journal.delta_ppm, items, steps * batch);
        // More draws than the limit are refused with the plan; until then they enumerate all.
        let s = samples.unwrap_or(u64::MAX);
        let ops = &checked.program.ops;
        let per_op = s.div_ceil(4).div_ceil(ops.len() as u64);
        let even: Vec<u128> = (0..ops.len())
            .map(|c| {
                let missing = needed(checked, journal, c);
                missing.saturating_sub(draws_by_weight(checked, s, c)).max(per_op.into())
            })
            .collect();
        let mut enumerated: Vec<bool> = (0..ops.len())
            .map(|c| {
                let gates = steps * ops[c].gates() as u128;
                let draws = draws_by_weight(checked, s, c) + even[c];
                strict || samples.is_none() || ops[c].exact || gates <= draws
            })
            .collect();
        journal.exact.iter().for_each(|&op| enumerated[usize::from(op)] = true);
        Self {
            samples,
            per_op,
            even,
            per_step: count(journal.delta_step_ppm, batch, batch),
            last_step: count(journal.delta_step_ppm, items - (steps - 1) * batch, batch),
            enumerated,
        }
    }

    /// `d_c = floor(e_c + s·G·w / W)`: draws that an op can expect.
    pub fn draws(&self, checked: &Checked, op: usize) -> u64 {
        let by_weight = draws_by_weight(checked, self.samples.unwrap_or(u64::MAX), op);
        u64::try_from(by_weight + self.even[op]).unwrap_or(u64::MAX)
    }

    /// Draws of the ops that are not enumerated, spread equally over their gates.
    pub(super) fn sampled(&self) -> impl Iterator<Item = (usize, u128)> {
        let ops = self.even.iter().copied().enumerate();
        ops.filter(|(c, _)| !self.enumerated[*c])
    }
}

/// Draws that an op needs for the claimed bound on single ops; 0 where none is claimed.
fn needed(checked: &Checked, journal: &Journal, op: usize) -> u128 {
    if journal.delta_op_ppm == 0 {
        return 0;
    }
    let slots = u128::from(journal.steps) * checked.program.batch() as u128;
    // Below 2^(9 + 30 + 51 + 30); the right side below 2^(10 + 19 + 32 + 30).
    let every = u128::from(journal.bits) * LN2 * slots * checked.program.ops[op].gates() as u128;
    let right = 1000 * u128::from(journal.delta_op_ppm) * u128::from(journal.items);
    every.div_ceil(right * u128::from(checked.live[op]))
}

fn draws_by_weight(checked: &Checked, samples: u64, op: usize) -> u128 {
    let share = checked.program.ops[op].gates() as u128 * u128::from(checked.gate_weight[op]);
    // Both factors can have 64 bits; neither the product of a share below 2^55 with 2^64 nor s do.
    u128::from(samples) * share / u128::from(checked.step_weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_sample_counts() {
        for (ppm, samples) in [(100_000, 843), (50_000, 1_730), (10_000, 8_828), (500_000, 128)] {
            assert_eq!(sample_count(ppm, 1, 1, 128), Some(samples));
        }
    }

    #[test]
    fn padding_raises_the_count_and_too_much_is_refused() {
        assert!(sample_count(50_000, 1, 8, 128) > sample_count(50_000, 8, 8, 128));
        assert_eq!(sample_count(1, 1, 1, 256), None);
        assert_eq!(sample_count(1, 1, 1 << 60, 1), None);
        assert_eq!(sample_count(11, 1, 1, 1), Some(63_014));
    }

    #[test]
    fn the_logarithm_is_never_too_large() {
        for (x, y) in [(1u128, 2u128), (1, 3), (1, 1000), (499, 1000), (1, 1_000_000)] {
            let exact = -(1.0 - x as f64 / y as f64).log2();
            let log = floor_log2(x, y) as f64 / 2f64.powi(48);
            assert!(log <= exact * (1.0 + 1e-12) && log > exact * (1.0 - 1e-6), "{x}/{y}");
        }
    }
}
