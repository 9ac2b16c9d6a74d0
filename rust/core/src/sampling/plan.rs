//! The plan: the gates that a statement makes the prover show (docs/protocol.md section 5).

use sha2::{Digest, Sha256};

use super::counts::{Counts, MAX_SAMPLES};
use crate::commit::MAX_SLOTS;
use crate::error::{Error, Result};
use crate::program::{Checked, Op, OpKind, Port, Program};
use crate::receipt::Journal;
use crate::receipt::journal::{FAST, MODE_AT};

const SEED_TAG: &[u8] = b"zktally seed v1\0";
pub const SEED_BYTES: usize = 32;
const STREAM_TAG: &[u8] = b"zktally sample v1\0";
const FIRST_STEP_STREAM: u32 = 1 << 31;
const MAX_READS: u128 = 1 << 40;
/// Draws of all streams together: a bound on the memory of a plan.
const MAX_DRAWS: u64 = 1 << 26;

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

/// The gates to check: all of the enumerated ops, and the draws in the others.
#[derive(Clone, Debug)]
pub struct Plan {
    pub counts: Counts,
    /// Ascending, each once, none in an enumerated op.
    pub draws: Vec<Draw>,
    /// Whether the statement names the outputs, so that all of their leaves are opened.
    pub publishes: bool,
}

impl Plan {
    /// The plan that a journal implies.
    ///
    /// # Errors
    /// `verify.too-large`.
    pub fn new(checked: &Checked, journal: &Journal, journal_bytes: &[u8]) -> Result<Self> {
        let slots = checked.program.data().map_or(0, |(slots, _)| slots as u64);
        if slots.saturating_mul(journal.steps.into()) > MAX_SLOTS {
            return Err(too_large("slots of data", MAX_SLOTS));
        }
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
        Ok(Self { counts, draws, publishes: journal.publishes() })
    }

    /// The ports whose values the statement names: those of all outputs, or none.
    pub fn published<'a>(&self, program: &'a Program) -> &'a [Port] {
        if self.publishes { &program.outputs } else { &[] }
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
