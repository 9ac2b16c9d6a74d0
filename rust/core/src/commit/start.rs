//! What a run takes from its seed and its program alone: the seed itself, and declared initial states
//! (docs/protocol.md section 4, Seed and Start).

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::trees::{Salting, leaf_digest, salted_tree};
use crate::hash::keys::PRF_PER_CALL;
use crate::hash::poseidon::{compress, elem};
use crate::hash::{Digest, Elem, Ints, Key, P};
use crate::program::{LayoutMap, Start, Tensor};

const SEED_TAG: &[u8] = b"zktally training seed v1\0";
/// Position of the calls that draw initial values; those of steps are below.
pub const START_POSITION: usize = 1 << 30;
const WORD_BITS: u32 = 24;
/// Calls that one task makes.
const CALLS_PER_TASK: usize = 1 << 10;

/// The seed that follows from program, data set and nonce: nobody chooses it.
pub fn derived_seed(program_id: &[u8; 32], dataset_root: Digest, nonce: Option<&[u8]>) -> Key {
    let mut prefix = Sha256::new()
        .chain_update(SEED_TAG)
        .chain_update(program_id)
        .chain_update(dataset_root.to_bytes())
        .chain_update([u8::from(nonce.is_some())]);
    if let Some(nonce) = nonce {
        prefix.update((nonce.len() as u16).to_le_bytes());
        prefix.update(nonce);
    }
    let mut words = (0u32..).flat_map(|counter| {
        let block = prefix.clone().chain_update(counter.to_le_bytes()).finalize();
        let words = block.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        words.map(|word| word & 0x7fff_ffff).filter(|&word| word < P).collect::<Vec<_>>()
    });
    let mut element = || words.next().map_or(Elem::default(), |word| elem(word as usize));
    Key::from_digest(Digest(std::array::from_fn(|_| element())))
}

/// The row-major values of a state of this many elements that begins as declared. `seed` is used
/// where they are drawn.
pub fn initial_values(start: Start, size: usize, seed: Key) -> Vec<i32> {
    let Start::Drawn { domain, lo, hi } = start else {
        let Start::Constant(value) = start else { unreachable!("the other kind of start") };
        return vec![value; size];
    };
    let span = (i64::from(hi) - i64::from(lo) + 1) as u64;
    let mut values = vec![0; size];
    let tasks = values.par_chunks_mut(CALLS_PER_TASK * PRF_PER_CALL).enumerate();
    tasks.for_each(|(task, values)| {
        seed.prf_words(START_POSITION, domain, task * CALLS_PER_TASK, values, |word| {
            let uniform = u64::from(word & ((1 << WORD_BITS) - 1));
            lo + ((uniform * span) >> WORD_BITS) as i32
        });
    });
    values
}

/// The root of the unsalted tree over the initial values of a state.
pub fn initial_root(tensor: &Tensor, layout: &LayoutMap, start: Start, seed: Key) -> Digest {
    if let Start::Constant(value) = start {
        return constant_root(tensor.width, layout, value);
    }
    let values = initial_values(start, tensor.size(), seed);
    let root = |ints: Ints| salted_tree(ints, layout, Salting::Zero).root();
    match tensor.width {
        1 => root(Ints::I8(&values.iter().map(|&v| v as i8).collect::<Vec<_>>())),
        2 => root(Ints::I16(&values.iter().map(|&v| v as i16).collect::<Vec<_>>())),
        _ => root(Ints::I32(&values)),
    }
}

/// The root of the unsalted tree over equal values: nodes of a level repeat, and each is hashed once.
fn constant_root(width: usize, layout: &LayoutMap, value: i32) -> Digest {
    let leaves = layout.leaves();
    let of_length = |len: usize| match width {
        1 => leaf_digest(Ints::I8(&vec![value as i8; len])),
        2 => leaf_digest(Ints::I16(&vec![value as i16; len])),
        _ => leaf_digest(Ints::I32(&vec![value; len])),
    };
    let lengths = (layout.leaf_len(0), layout.leaf_len(leaves - 1));
    let (whole, short) = (of_length(lengths.0), of_length(lengths.1));
    // Leaves repeat row by row; in a single row only the last one can differ.
    let pieces = layout.pieces();
    let mut level = if pieces == leaves || lengths.0 == lengths.1 {
        Level { period: vec![whole], last: short, count: leaves }
    } else {
        let mut period = vec![whole; pieces];
        period[pieces - 1] = short;
        Level { period, last: short, count: leaves }
    };
    while level.count > 1 {
        level = level.above();
    }
    level.last
}

/// Nodes that repeat, but for the last one.
struct Level {
    period: Vec<Digest>,
    last: Digest,
    count: usize,
}

impl Level {
    fn node(&self, index: usize) -> Digest {
        match self.count.cmp(&(index + 1)) {
            std::cmp::Ordering::Less => Digest::default(),
            std::cmp::Ordering::Equal => self.last,
            std::cmp::Ordering::Greater => self.period[index % self.period.len()],
        }
    }

    fn above(&self) -> Self {
        let (count, len) = (self.count.div_ceil(2), self.period.len());
        let period = if len.is_multiple_of(2) { len / 2 } else { len };
        let repeated =
            |i: usize| compress(self.period[2 * i % len], self.period[(2 * i + 1) % len]);
        // No more of them than there are nodes before the last one.
        let period = (0..period.min((count - 1).max(1))).map(repeated).collect();
        let last = compress(self.node(2 * count - 2), self.node(2 * count - 1));
        Self { period, last, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Layout, Role, Source};

    fn state(shape: &[usize], width: usize, trailing: usize, piece: usize) -> (Tensor, LayoutMap) {
        let layout = Layout { order: (0..shape.len()).collect(), trailing, piece };
        let map = LayoutMap::new(&layout, shape);
        let (name, source) = ("s".into(), Source::Committed(layout));
        let role = Role::State;
        (Tensor { name, role, width, lo: -100, hi: 100, shape: shape.to_vec(), source }, map)
    }

    #[test]
    fn trees_of_constants_by_doubling_are_the_plain_ones() {
        let mut cases = Vec::new();
        for rows in [1, 2, 3, 4, 5, 7, 8, 13, 64, 100] {
            for (row, piece) in [(1, 1), (6, 6), (6, 4), (9, 2), (8, 2), (7, 3), (30, 4), (31, 10)]
            {
                cases.push((rows, row, piece));
            }
        }
        for (rows, row, piece) in cases {
            for (width, value) in [(1, 0), (1, -3), (2, 77), (3, -5)] {
                let (tensor, map) = state(&[rows, row], width, 1, piece);
                let plain = vec![value; rows * row];
                let root = |ints: Ints| salted_tree(ints, &map, Salting::Zero).root();
                let plain = match width {
                    1 => root(Ints::I8(&plain.iter().map(|&v| v as i8).collect::<Vec<_>>())),
                    2 => root(Ints::I16(&plain.iter().map(|&v| v as i16).collect::<Vec<_>>())),
                    _ => root(Ints::I32(&plain)),
                };
                let found = initial_root(&tensor, &map, Start::Constant(value), Key::default());
                assert_eq!(found, plain, "{rows} x {row} by {piece}");
            }
        }
    }

    #[test]
    fn drawn_values_are_those_of_single_calls_and_fill_their_range() {
        let (lo, hi) = (-7, 12);
        let values = initial_values(Start::Drawn { domain: 5, lo, hi }, 40_000, key());
        for x in [0, 1, 15, 16, 17, 16_384, 39_999] {
            let word = key().prf_block(START_POSITION, 5, x / 16)[x % 16] & 0xff_ffff;
            assert_eq!(values[x], lo + ((u64::from(word) * 20) >> 24) as i32);
        }
        assert_eq!((values.iter().min(), values.iter().max()), (Some(&lo), Some(&hi)));
        let other = initial_values(Start::Drawn { domain: 6, lo, hi }, 40_000, key());
        assert_ne!(values, other);
    }

    fn key() -> Key {
        derived_seed(&[7; 32], Digest::default(), None)
    }

    #[test]
    fn the_seed_follows_from_everything_that_it_names() {
        let root = crate::hash::poseidon::sponge(1, 0, &[]);
        let seeds = [
            derived_seed(&[7; 32], Digest::default(), None),
            derived_seed(&[8; 32], Digest::default(), None),
            derived_seed(&[7; 32], root, None),
            derived_seed(&[7; 32], Digest::default(), Some(b"")),
            derived_seed(&[7; 32], Digest::default(), Some(b"a")),
            derived_seed(&[7; 32], Digest::default(), Some(b"ab")),
        ];
        for (i, seed) in seeds.iter().enumerate() {
            assert!(seeds[..i].iter().all(|other| other != seed));
        }
        // By hand: the words of the stream, those of the field.
        let mut words = Vec::new();
        for counter in 0u32..3 {
            let mut bytes = b"zktally training seed v1\0".to_vec();
            bytes.extend([7; 32]);
            bytes.extend([0; 32]);
            bytes.push(1);
            bytes.extend([2, 0, b'a', b'b']);
            bytes.extend(counter.to_le_bytes());
            let block = Sha256::digest(&bytes);
            words.extend(
                block.chunks(4).map(|w| u32::from_le_bytes(w.try_into().unwrap()) << 1 >> 1),
            );
        }
        words.retain(|&word| word < P);
        let bytes: Vec<u8> = words[..8].iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(seeds[5].to_bytes()[..], bytes);
    }
}
