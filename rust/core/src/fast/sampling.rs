//! Which gates are checked (docs/protocol.md section 5): sample counts, streams, the plan.

use sha2::{Digest, Sha256};

use super::journal::{FAST, Journal, MODE_AT, STRICT};
use crate::error::{Error, Result};
use crate::program::{Checked, Op, OpKind};

const SEED_TAG: &[u8] = b"zktally seed v1\0";
pub const SEED_BYTES: usize = 32;
const STREAM_TAG: &[u8] = b"zktally sample v1\0";
const FIRST_STEP_STREAM: u32 = 1 << 31;
/// One part of a share in parts per million.
const MILLION: u128 = 1_000_000;
/// The natural logarithm of 2 in parts per 10^9, rounded up.
const LN2: u128 = 693_147_181;

const MAX_SAMPLES: u64 = 1 << 24;
const MAX_READS: u128 = 1 << 40;
/// Draws of all streams together: a bound on the memory of a plan.
const MAX_DRAWS: u64 = 1 << 26;

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

/// The words of one stream.
struct Stream {
    prefix: Sha256,
    block: u64,
    words: [u64; 4],
    used: usize,
}

impl Stream {
    fn new(seed: &[u8; 32], number: u32) -> Self {
        let prefix = Sha256::new()
            .chain_update(STREAM_TAG)
            .chain_update(seed)
            .chain_update(number.to_le_bytes());
        Self { prefix, block: 0, words: [0; 4], used: 4 }
    }

    fn word(&mut self) -> u64 {
        if self.used == 4 {
            let hash = self.prefix.clone().chain_update(self.block.to_le_bytes()).finalize();
            for (word, bytes) in self.words.iter_mut().zip(hash.as_chunks::<8>().0) {
                *word = u64::from_le_bytes(*bytes);
            }
            (self.block, self.used) = (self.block + 1, 0);
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// A uniform number below `bound`, which is at least 1.
    fn below(&mut self, bound: u64) -> u64 {
        let bound_wide = u128::from(bound);
        let limit = (1u128 << 64) / bound_wide * bound_wide;
        loop {
            let word = self.word();
            if u128::from(word) < limit {
                return word % bound;
            }
        }
    }
}

/// A gate of a step; the order is op by op, then step by step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Draw(u64);

impl Draw {
    fn new(op: usize, step: u64, gate: u64) -> Self {
        Self((op as u64) << 50 | step << 30 | gate)
    }

    pub fn op(self) -> usize {
        (self.0 >> 50) as usize
    }

    pub fn step(self) -> usize {
        (self.0 >> 30 & 0xf_ffff) as usize
    }

    pub fn gate(self) -> usize {
        (self.0 & 0x3fff_ffff) as usize
    }
}

/// The seed of all streams: after the last commitment, over every claim. The mode counts as fast, so
/// that the openings of a fast receipt are those that a hybrid one proves.
pub fn seed(journal_bytes: &[u8]) -> [u8; SEED_BYTES] {
    let (before, rest) = journal_bytes.split_at(MODE_AT.min(journal_bytes.len()));
    let after = rest.get(1..).unwrap_or_default();
    let hash = Sha256::new().chain_update(SEED_TAG).chain_update(before);
    hash.chain_update([FAST]).chain_update(after).finalize().into()
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
                sample_count(delta, wrong, slots * weight, journal.lambda)
            }
        };
        let samples = count(journal.delta, items, steps * batch);
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
            per_step: count(journal.delta_step, batch, batch),
            last_step: count(journal.delta_step, items - (steps - 1) * batch, batch),
            enumerated,
        }
    }

    /// `d_c = floor(e_c + s·G·w / W)`: draws that an op can expect.
    pub fn draws(&self, checked: &Checked, op: usize) -> u64 {
        let by_weight = draws_by_weight(checked, self.samples.unwrap_or(u64::MAX), op);
        u64::try_from(by_weight + self.even[op]).unwrap_or(u64::MAX)
    }

    /// Draws of the ops that are not enumerated, spread equally over their gates.
    fn sampled(&self) -> impl Iterator<Item = (usize, u128)> {
        let ops = self.even.iter().copied().enumerate();
        ops.filter(|(c, _)| !self.enumerated[*c])
    }
}

/// Draws that an op needs for the claimed bound on single ops; 0 where none is claimed.
fn needed(checked: &Checked, journal: &Journal, op: usize) -> u128 {
    if journal.delta_op == 0 {
        return 0;
    }
    let slots = u128::from(journal.steps) * checked.program.batch() as u128;
    // Below 2^(9 + 30 + 51 + 30); the right side below 2^(10 + 19 + 32 + 30).
    let every = u128::from(journal.lambda) * LN2 * slots * checked.program.ops[op].gates() as u128;
    let right = 1000 * u128::from(journal.delta_op) * u128::from(journal.items);
    every.div_ceil(right * u128::from(checked.live[op]))
}

fn draws_by_weight(checked: &Checked, samples: u64, op: usize) -> u128 {
    let share = checked.program.ops[op].gates() as u128 * u128::from(checked.gate_weight[op]);
    // Both factors can have 64 bits; neither the product of a share below 2^55 with 2^64 nor s do.
    u128::from(samples) * share / u128::from(checked.step_weight)
}

/// The gates to check: all of the enumerated ops, and the draws in the others.
#[derive(Clone, Debug)]
pub struct Plan {
    pub counts: Counts,
    /// Ascending, each once, none in an enumerated op.
    pub draws: Vec<Draw>,
}

impl Plan {
    /// The plan that a journal implies.
    ///
    /// # Errors
    /// `verify.too-large`.
    pub fn new(checked: &Checked, journal: &Journal, journal_bytes: &[u8]) -> Result<Self> {
        let counts = Counts::new(checked, journal);
        let limited = |count: Option<u64>| count.ok_or_else(|| too_large("draws", 1u64 << 24));
        let samples = limited(counts.samples)?;
        let (per_step, last_step) = (limited(counts.per_step)?, limited(counts.last_step)?);
        let steps = u64::from(journal.steps);
        let chain_weight = u128::from(checked.step_weight) * u128::from(steps);
        if chain_weight >= 1 << 63 {
            return Err(too_large("weight of the chain", "2^63"));
        }
        if counts.sampled().any(|(_, even)| even > MAX_SAMPLES.into()) {
            return Err(too_large("draws in an op", 1u64 << 24));
        }
        let even: u64 = counts.sampled().map(|(_, even)| even as u64).sum();
        let total = samples + even + per_step * (steps - 1) + last_step;
        if total > MAX_DRAWS || checked_reads(checked, &counts, steps, &[]) > MAX_READS {
            return Err(too_large("checks", "2^26 draws, 2^40 reads"));
        }

        let seed = seed(journal_bytes);
        let picker = Picker::new(checked);
        let mut draws = Vec::with_capacity(total as usize);
        let mut keep = |draw: Draw| {
            if !counts.enumerated[draw.op()] {
                draws.push(draw);
            }
        };
        // 1. By weight over the chain.
        let mut stream = Stream::new(&seed, 0);
        for _ in 0..samples {
            let r = stream.below(chain_weight as u64);
            keep(picker.pick(r / checked.step_weight, r % checked.step_weight));
        }
        // 2. In each op.
        for (c, even) in counts.sampled() {
            let gates = checked.program.ops[c].gates() as u64;
            let mut stream = Stream::new(&seed, 1 + c as u32);
            for _ in 0..even {
                let r = stream.below(steps * gates);
                keep(Draw::new(c, r / gates, r % gates));
            }
        }
        // 3. By weight in each step.
        for step in 0..steps {
            let mut stream = Stream::new(&seed, FIRST_STEP_STREAM + step as u32);
            for _ in 0..if step + 1 < steps { per_step } else { last_step } {
                keep(picker.pick(step, stream.below(checked.step_weight)));
            }
        }
        draws.sort_unstable();
        draws.dedup();
        if checked_reads(checked, &counts, steps, &draws) > MAX_READS {
            return Err(too_large("reads", "2^40"));
        }
        Ok(Self { counts, draws })
    }

    /// Number of gates to check.
    pub fn checked_gates(&self, checked: &Checked, steps: u32) -> u64 {
        let enumerated = checked.program.ops.iter().zip(&self.counts.enumerated);
        let whole: u64 = enumerated.filter(|(_, all)| **all).map(|(op, _)| op.gates() as u64).sum();
        u64::from(steps) * whole + self.draws.len() as u64
    }
}

fn checked_reads(checked: &Checked, counts: &Counts, steps: u64, draws: &[Draw]) -> u128 {
    let ops = &checked.program.ops;
    let reads: Vec<u128> = ops.iter().zip(&checked.own).map(|(op, &own)| reads(op, own)).collect();
    let whole = (0..ops.len()).filter(|&c| counts.enumerated[c]);
    let all: u128 = whole.map(|c| u128::from(steps) * ops[c].gates() as u128 * reads[c]).sum();
    all + draws.iter().map(|draw| reads[draw.op()]).sum::<u128>()
}

/// Operand reads of a gate, for the limit only: a gather opens all of its axis.
fn reads(op: &Op, own: u64) -> u128 {
    match &op.kind {
        OpKind::Gather(gather) => gather.source.view[gather.axis] as u128 + 1,
        _ => own.into(),
    }
}

fn too_large(what: &str, limit: impl std::fmt::Display) -> Error {
    Error::new("verify.too-large", format!("too many {what}")).expected(format!("at most {limit}"))
}

/// Finds the gate that a number below the step weight falls on.
struct Picker<'a> {
    weights: &'a [u64],
    /// First number of each op.
    starts: Vec<u64>,
}

impl<'a> Picker<'a> {
    fn new(checked: &'a Checked) -> Self {
        let mut next = 0;
        let ops = checked.program.ops.iter().zip(&checked.gate_weight);
        let starts = ops
            .map(|(op, weight)| {
                let start = next;
                next += op.gates() as u64 * weight;
                start
            })
            .collect();
        Self { weights: &checked.gate_weight, starts }
    }

    fn pick(&self, step: u64, r: u64) -> Draw {
        let op = self.starts.partition_point(|&start| start <= r) - 1;
        Draw::new(op, step, (r - self.starts[op]) / self.weights[op])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::testing::{Builder, by_i, map, read};
    use crate::program::{Gather, Operand, Role};

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

    #[test]
    fn numbers_are_below_their_bound_and_streams_differ() {
        let seed = [7; 32];
        let take = |number| {
            let mut stream = Stream::new(&seed, number);
            (0..9).map(|_| stream.below(1000)).collect::<Vec<_>>()
        };
        assert!(take(0).iter().all(|&r| r < 1000));
        assert_ne!(take(0), take(1));
        // A bound just above 2^63 skips nearly half of the words.
        let (mut plain, mut stream) = (Stream::new(&seed, 0), Stream::new(&seed, 0));
        let bound = (1 << 63) + 1;
        let first = std::iter::repeat_with(|| plain.word()).find(|&w| w < bound);
        assert_eq!(Some(stream.below(bound)), first);
    }

    #[test]
    fn stream_words_follow_the_definition() {
        let mut stream = Stream::new(&[9; 32], 3);
        let words: Vec<u64> = (0..5).map(|_| stream.word()).collect();
        let hash = |block: u64| {
            let mut bytes = b"zktally sample v1\0".to_vec();
            bytes.extend([9; 32]);
            bytes.extend(3u32.to_le_bytes());
            bytes.extend(block.to_le_bytes());
            Sha256::digest(&bytes)
        };
        assert_eq!(words[3].to_le_bytes(), hash(0)[24..]);
        assert_eq!(words[4].to_le_bytes(), hash(1)[..8]);
    }

    #[test]
    fn a_gather_counts_its_axis_as_reads() {
        let mut b = Builder::default();
        let table = b.tensor(Role::Weight, 1, &[200, 3]);
        let by = b.ranged(Role::Input, 1, 0, 99, &[5]);
        let out = b.tensor(Role::Value, 1, &[5, 3]);
        let absent = map(None, 0, None, 0, 0);
        let Operand::Read(source) = read(table, &[200, 3], &[absent, by_i(1)]) else { panic!() };
        let index = read(by, &[5], &[by_i(0)]);
        b.op(out, &[5, 3], OpKind::Gather(Gather { axis: 0, source, index }));
        let checked = b.load();
        let counts = |all| Counts {
            samples: None,
            per_op: 0,
            even: vec![0],
            per_step: None,
            last_step: None,
            enumerated: vec![all],
        };
        assert_eq!(checked_reads(&checked, &counts(true), 7, &[]), 7 * 15 * 201);
        let draws = [Draw::new(0, 0, 1), Draw::new(0, 6, 14)];
        assert_eq!(checked_reads(&checked, &counts(false), 7, &draws), 2 * 201);
        assert_eq!((checked.own[0], checked.step_weight), (1, 15));
    }

    #[test]
    fn the_seed_is_over_every_byte_but_the_mode() {
        let journal: Vec<u8> = (0..9).collect();
        for at in 0..journal.len() {
            let mut changed = journal.clone();
            changed[at] ^= 1;
            assert_eq!(seed(&changed) == seed(&journal), at == MODE_AT);
        }
        let fast: [u8; 32] = Sha256::digest(b"zktally seed v1\0\x01\x00\x00abc").into();
        assert_eq!(seed(b"\x01\x00\x01abc"), fast);
    }

    #[test]
    fn draws_keep_their_parts() {
        let draw = Draw::new(4095, (1 << 20) - 1, (1 << 30) - 1);
        assert_eq!((draw.op(), draw.step(), draw.gate()), (4095, (1 << 20) - 1, (1 << 30) - 1));
        assert!(Draw::new(0, 5, 9) < Draw::new(1, 0, 0));
    }
}
