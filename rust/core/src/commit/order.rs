//! Which record of the data set stands in which slot of which step (docs/protocol.md section 4, Order).

use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest as _, Sha256};

use crate::hash::Key;

const TAG: &[u8] = b"zktally order v1\0";
const ROUNDS: u8 = 6;
/// Slots that the steps of a statement fill together at most.
pub const MAX_SLOTS: u64 = 1 << 24;

/// The permutations by which the epochs of a run go through `records` records, `batch` a step.
#[derive(Debug)]
pub struct Order {
    key: [u8; 32],
    batch: u64,
    records: u64,
    /// Bits of half a number, at least 1.
    half: u32,
}

impl Order {
    pub fn new(seed: Key, batch: usize, records: usize) -> Self {
        debug_assert!((1..=records).contains(&batch));
        let key = Sha256::new().chain_update(TAG).chain_update(seed.to_bytes()).finalize().into();
        let bits = u64::BITS - (records as u64 - 1).leading_zeros();
        let half = bits.div_ceil(2).max(1);
        Self { key, batch: batch as u64, records: records as u64, half }
    }

    /// The record in a slot of the step at a global position.
    pub fn record(&self, position: usize, slot: usize) -> usize {
        let of_epoch = self.records / self.batch * self.batch;
        let at = position as u64 * self.batch + slot as u64;
        self.permuted(at / of_epoch, at % of_epoch) as usize
    }

    /// `π_e(r)`: steps of the network until a number is one of a record.
    fn permuted(&self, epoch: u64, r: u64) -> u64 {
        if self.records == 1 {
            return 0;
        }
        let of_epoch = Sha256::new().chain_update(self.key).chain_update(epoch.to_le_bytes());
        let mut x = r;
        loop {
            x = self.network(&of_epoch, x);
            if x < self.records {
                return x;
            }
        }
    }

    /// Six rounds of a balanced Feistel network over `2·half` bits.
    fn network(&self, of_epoch: &Sha256, x: u64) -> u64 {
        let mask = (1u64 << self.half) - 1;
        let (mut left, mut right) = (x >> self.half, x & mask);
        for round in 0..ROUNDS {
            let hash = of_epoch.clone().chain_update([round]);
            let hash = hash.chain_update((right as u32).to_le_bytes()).finalize();
            let word = u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]);
            (left, right) = (right, left ^ (u64::from(word) & mask));
        }
        left << self.half | right
    }
}

/// Where the steps of a statement stand in their run, and what of them follows from a derived seed.
#[derive(Debug)]
pub struct Course {
    /// Number of steps.
    pub steps: usize,
    /// Global position of the first one.
    pub first: usize,
    /// `None` where it is the prover's own.
    pub seed: Option<Key>,
    order: Option<Order>,
    /// By step and slot: the record plus 1, once it is known.
    known: Vec<AtomicU32>,
}

impl Course {
    /// The course of steps which read batches of so many slots and records, if any.
    pub fn new(
        steps: usize,
        first: usize,
        seed: Option<Key>,
        data: Option<(usize, usize)>,
    ) -> Self {
        let order = data.zip(seed);
        let order = order.map(|((batch, records), seed)| Order::new(seed, batch, records));
        let slots = order.as_ref().map_or(0, |order| order.batch.saturating_mul(steps as u64));
        let kept = if slots <= MAX_SLOTS { slots as usize } else { 0 };
        let known = (0..kept).map(|_| AtomicU32::new(0)).collect();
        Self { steps, first, seed, order, known }
    }

    /// The global position of a step.
    pub fn position(&self, step: usize) -> usize {
        self.first + step
    }

    /// The record in a slot of a step; `None` in a course without an order.
    pub fn record(&self, step: usize, slot: usize) -> Option<usize> {
        let order = self.order.as_ref()?;
        let compute = || order.record(self.position(step), slot);
        let Some(known) = self.known.get(step * order.batch as usize + slot) else {
            return Some(compute());
        };
        Some(match known.load(Ordering::Relaxed) {
            0 => {
                let record = compute();
                known.store(record as u32 + 1, Ordering::Relaxed);
                record
            }
            record => record as usize - 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn key(word: u8) -> Key {
        Key::from_bytes(&std::array::from_fn(|i| if i % 4 == 3 { 0 } else { word })).unwrap()
    }

    const SIZES: [usize; 7] = [1, 2, 3, 10, 97, 1437, 60_000];

    #[test]
    fn every_epoch_is_a_permutation_of_its_own() {
        for records in SIZES {
            let order = Order::new(key(3), 1, records);
            let epoch = |e: usize| -> Vec<usize> {
                (0..records).map(|r| order.record(e * records + r, 0)).collect()
            };
            for e in [0, 1, 7] {
                let mut seen = epoch(e);
                seen.sort_unstable();
                assert!(seen.into_iter().eq(0..records));
            }
            assert!(records < 10 || epoch(0) != epoch(1));
            let other = Order::new(key(4), 1, records);
            assert!(
                records < 10
                    || epoch(0)[..9] != (0..9).map(|r| other.record(r, 0)).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn batches_of_an_epoch_repeat_no_record_and_leave_the_rest_out() {
        for records in SIZES {
            let batch = records.min(7);
            let steps = records / batch;
            let order = Order::new(key(9), batch, records);
            let plain = Order::new(key(9), 1, records);
            for e in [0, 2] {
                let slots = |step: usize| (0..batch).map(move |slot| (step, slot));
                let read: Vec<usize> = (e * steps..(e + 1) * steps)
                    .flat_map(slots)
                    .map(|(step, slot)| order.record(step, slot))
                    .collect();
                // The same permutation, whatever the size of a batch.
                let whole: Vec<usize> = (0..steps * batch)
                    .map(|r| plain.permuted(e as u64, r as u64) as usize)
                    .collect();
                assert_eq!(read, whole);
                assert_eq!(read.iter().collect::<BTreeSet<_>>().len(), steps * batch);
            }
        }
    }

    /// Each record is as likely in each place: fixed seeds, a bound that chance passes by far.
    #[test]
    fn places_are_spread_evenly() {
        const RECORDS: usize = 10;
        let mut seen = [[0f64; RECORDS]; RECORDS];
        let rounds = 40 * 50;
        for seed in 0..40 {
            let order = Order::new(key(seed), 1, RECORDS);
            for e in 0..50 {
                (0..RECORDS).for_each(|r| seen[r][order.record(e * RECORDS + r, 0)] += 1.0);
            }
        }
        let expected = f64::from(rounds) / RECORDS as f64;
        let chi: f64 = seen.iter().flatten().map(|n| (n - expected).powi(2) / expected).sum();
        // 81 degrees of freedom: mean 81, deviation 12.7.
        assert!(chi < 81.0 + 5.0 * 12.8, "{chi}");
    }

    #[test]
    fn a_course_gives_what_its_order_gives_at_its_positions() {
        let order = Order::new(key(1), 5, 97);
        let course = Course::new(30, 11, Some(key(1)), Some((5, 97)));
        for (step, slot) in [(0, 0), (3, 4), (29, 2), (3, 4)] {
            assert_eq!(course.record(step, slot), Some(order.record(11 + step, slot)));
        }
        let long = Course::new(1 << 23, 11, Some(key(1)), Some((5, 97)));
        assert!(long.known.is_empty());
        assert_eq!(long.record(3, 4), course.record(3, 4));
        assert_eq!(Course::new(1, 0, None, Some((5, 97))).record(0, 0), None);
    }
}
