//! Merkle trees over matrices of several heights (docs/stark.md sections 4 and 7).

use std::collections::BTreeMap;

use p3_field::PrimeField32;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::field::elem_of;
use super::grid::Grid;
use super::lanes::{MOST, Messages, Unit, words_of};
use super::rng::Stream;
use crate::bytes::Reader;
use crate::error::Result;
use crate::hash::Elem;

pub type Hash = [u8; 32];
pub type Salt = [u8; SALT_BYTES];
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
const ROW: u8 = 0;
const NODE: u8 = 1;
const TASK: usize = 256;

/// A commitment: the matrices (rows in bit-reversed order), salts, all nodes.
pub struct Tree {
    /// Matrices by log of their rows.
    matrices: BTreeMap<usize, Vec<Grid>>,
    salts: BTreeMap<usize, Vec<Salt>>,
    /// `levels[l]` has `2^l` nodes.
    levels: Vec<Vec<Hash>>,
}

fn row_hash<'a>(
    rows: impl Iterator<Item = &'a [Elem]>,
    salt: Option<&Salt>,
    buffer: &mut Vec<u8>,
) -> Hash {
    buffer.clear();
    buffer.push(ROW);
    for row in rows {
        buffer.extend(row.iter().flat_map(|x| x.as_canonical_u32().to_le_bytes()));
    }
    buffer.extend(salt.into_iter().flatten());
    Sha256::digest(&buffer).into()
}

fn node_hash(left: &Hash, right: &Hash, row: Option<&Hash>) -> Hash {
    let hash = Sha256::new().chain_update([NODE]).chain_update(left).chain_update(right);
    match row {
        Some(row) => hash.chain_update(row).finalize().into(),
        None => hash.finalize().into(),
    }
}

impl Tree {
    /// Commits to matrices whose heights are powers of two, salted if there is a stream.
    pub fn new(matrices: Vec<Grid>, mut stream: Option<&mut Stream>) -> Self {
        let mut by_height: BTreeMap<usize, Vec<Grid>> = BTreeMap::new();
        for matrix in matrices {
            by_height.entry(matrix.rows().ilog2() as usize).or_default().push(matrix);
        }
        let (mut salts, mut hashes) = (BTreeMap::new(), BTreeMap::new());
        for (&log_rows, matrices) in &by_height {
            let of_level = stream.as_deref_mut().map(|stream| salts_of(stream, 1 << log_rows));
            hashes.insert(log_rows, hash_rows(matrices, of_level.as_deref(), 1 << log_rows));
            salts.extend(of_level.map(|of_level| (log_rows, of_level)));
        }
        let height = *by_height.keys().last().expect("at least one matrix");
        let mut levels = vec![vec![]; height + 1];
        levels[height] = hashes.remove(&height).expect("the tallest level has rows");
        for level in (0..height).rev() {
            let rows = hashes.get(&level).map(Vec::as_slice);
            levels[level] = hash_nodes(&levels[level + 1], rows);
        }
        Self { matrices: by_height, salts, levels }
    }

    pub fn root(&self) -> Hash {
        self.levels[0][0]
    }

    /// The matrices of a height, in the order in which they were given.
    pub fn matrices(&self, log_rows: usize) -> &[Grid] {
        self.matrices.get(&log_rows).map_or(&[], |matrices| matrices)
    }

    /// Appends the opening of these rows of the tallest matrices (ascending, each once), and of the
    /// rows above them in the others.
    pub fn open(&self, indices: &[usize], out: &mut Vec<u8>) {
        let height = self.levels.len() - 1;
        for (&level, matrices) in self.matrices.iter().rev() {
            for i in above(indices, height - level) {
                for matrix in matrices {
                    let row = matrix.row(i);
                    out.extend(row.iter().flat_map(|x| x.as_canonical_u32().to_le_bytes()));
                }
                out.extend(self.salts.get(&level).into_iter().flat_map(|salts| salts[i]));
            }
        }
        for (level, sibling) in siblings(indices, height) {
            out.extend(self.levels[level][sibling]);
        }
    }
}

fn salts_of(stream: &mut Stream, rows: usize) -> Vec<Salt> {
    (0..rows).map(|_| stream.salt()).collect()
}

fn hash_rows(matrices: &[Grid], salts: Option<&[Salt]>, rows: usize) -> Vec<Hash> {
    let width = matrices.iter().map(|matrix| matrix.width).sum::<usize>();
    let salted = salts.map_or(0, |_| SALT_BYTES / 4);
    hash_all(ROW, width + salted, rows, |i, mut words| {
        for matrix in matrices {
            let (own, rest) = words.split_at_mut(matrix.width);
            own.iter_mut().zip(matrix.row(i)).for_each(|(word, x)| *word = x.as_canonical_u32());
            words = rest;
        }
        if let Some(salts) = salts {
            words_of(&salts[i], words);
        }
    })
}

/// The nodes above these, which row hashes join.
fn hash_nodes(below: &[Hash], rows: Option<&[Hash]>) -> Vec<Hash> {
    const WORDS: usize = HASH_BYTES / 4;
    let length = if rows.is_some() { 3 * WORDS } else { 2 * WORDS };
    hash_all(NODE, length, below.len() / 2, |i, words| {
        let (pair, row) = words.split_at_mut(2 * WORDS);
        words_of(below[2 * i..2 * i + 2].as_flattened(), pair);
        if let Some(rows) = rows {
            words_of(&rows[i], row);
        }
    })
}

/// Hashes `count` messages of `length` words behind a byte; `fill` writes the words of one.
fn hash_all(
    prefix: u8,
    length: usize,
    count: usize,
    fill: impl Fn(usize, &mut [u32]) + Sync,
) -> Vec<Hash> {
    let unit = Unit::best();
    let mut hashes = vec![Hash::default(); count];
    let tasks = hashes.par_chunks_mut(TASK).enumerate();
    tasks.for_each_init(
        || Messages::new(length),
        |messages, (task, hashes)| {
            for (group, hashes) in hashes.chunks_mut(MOST).enumerate() {
                let first = task * TASK + group * MOST;
                (0..hashes.len()).for_each(|j| fill(first + j, messages.message(j)));
                messages.hash(unit, prefix, hashes);
            }
        },
    );
    hashes
}

/// The distinct `index >> by`, ascending.
pub fn above(indices: &[usize], by: usize) -> Vec<usize> {
    let mut above: Vec<usize> = indices.iter().map(|index| index >> by).collect();
    above.dedup();
    above
}

/// (level, index) of the nodes that are needed beside the opened ones.
fn siblings(indices: &[usize], height: usize) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for level in (1..=height).rev() {
        let known = above(indices, height - level);
        for pair in known.chunk_by(|a, b| a / 2 == b / 2) {
            if pair.len() == 1 {
                found.push((level, pair[0] ^ 1));
            }
        }
    }
    found
}

/// The widths of a tree's matrices by log of their rows.
pub type Widths = BTreeMap<usize, Vec<usize>>;

/// Rows of an opening that led to the root.
pub struct Opened {
    height: usize,
    /// Per level: its opened rows, all matrices joined.
    rows: BTreeMap<usize, BTreeMap<usize, Vec<Elem>>>,
}

impl Opened {
    /// Reads an opening and hashes it; `None` where it does not lead to the root.
    ///
    /// # Errors
    /// `receipt.truncated`, `receipt.non-canonical`.
    pub fn read(
        reader: &mut Reader,
        widths: &Widths,
        indices: &[usize],
        salted: bool,
        root: &Hash,
    ) -> Result<Option<Self>> {
        let height = *widths.keys().last().expect("at least one matrix");
        let (mut rows, mut hashes) = (BTreeMap::new(), BTreeMap::new());
        let mut buffer = Vec::new();
        for (&level, widths) in widths.iter().rev() {
            let width: usize = widths.iter().sum();
            let (mut of_level, mut hashes_of_level) = (BTreeMap::new(), BTreeMap::new());
            let opened = above(indices, height - level);
            let size = 4 * width + if salted { SALT_BYTES } else { 0 };
            let bytes = reader.take(size * opened.len())?;
            for (i, bytes) in opened.into_iter().zip(bytes.chunks_exact(size)) {
                let (words, salt) = bytes.split_at(4 * width);
                let row: Option<Vec<Elem>> = words.chunks_exact(4).map(elem_of).collect();
                let row = row.ok_or_else(|| reader.bad("an opened element is not below p"))?;
                let salt: Option<Salt> = salt.try_into().ok();
                let hash = row_hash(std::iter::once(&row[..]), salt.as_ref(), &mut buffer);
                hashes_of_level.insert(i, hash);
                of_level.insert(i, row);
            }
            rows.insert(level, of_level);
            hashes.insert(level, hashes_of_level);
        }
        let mut nodes = hashes.remove(&height).expect("the tallest level has rows");
        let mut level = height;
        let wanted = siblings(indices, height);
        let beside = reader.take(HASH_BYTES * wanted.len())?.as_chunks::<HASH_BYTES>().0;
        let mut wanted = wanted.into_iter().zip(beside).peekable();
        while level > 0 {
            while let Some(((_, sibling), hash)) = wanted.next_if(|((l, _), _)| *l == level) {
                nodes.insert(sibling, *hash);
            }
            level -= 1;
            let of_level = hashes.get(&level);
            nodes = above(indices, height - level)
                .into_iter()
                .map(|i| {
                    let row = of_level.map(|rows| &rows[&i]);
                    (i, node_hash(&nodes[&(2 * i)], &nodes[&(2 * i + 1)], row))
                })
                .collect();
        }
        Ok((nodes[&0] == *root).then_some(Self { height, rows }))
    }

    /// The row of a height above an opened index, all matrices joined.
    pub fn row(&self, log_rows: usize, index: usize) -> &[Elem] {
        &self.rows[&log_rows][&(index >> (self.height - log_rows))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Codes;

    const CODES: Codes = Codes::all("receipt.truncated");

    fn grid(rows: usize, width: usize, seed: u32) -> Grid {
        let values = (0..rows * width).map(|i| Elem::new(i as u32 * 77 + seed)).collect();
        Grid { width, values }
    }

    /// The verifier hashes rows and nodes one by one.
    #[test]
    fn nodes_are_those_of_one_hash_after_another() {
        for widths in [vec![1], vec![3, 2], vec![40, 1, 17]] {
            let matrices = widths.iter().map(|&width| grid(512, width, 5)).chain([grid(32, 9, 6)]);
            let matrices: Vec<Grid> = matrices.collect();
            for salted in [false, true] {
                let mut stream = Stream::fresh().unwrap();
                let tree = Tree::new(matrices.clone(), salted.then_some(&mut stream));
                let row = |height: usize, i: usize| {
                    let rows = tree.matrices(height).iter().map(|matrix| matrix.row(i));
                    let salt = tree.salts.get(&height).map(|salts| &salts[i]);
                    row_hash(rows, salt, &mut Vec::new())
                };
                let mut below: Vec<Hash> = (0..512).map(|i| row(9, i)).collect();
                assert_eq!(tree.levels[9], below);
                for level in (0..9).rev() {
                    let node = |i: usize| {
                        let of_row = (level == 5).then(|| row(5, i));
                        node_hash(&below[2 * i], &below[2 * i + 1], of_row.as_ref())
                    };
                    below = (0..1 << level).map(node).collect();
                    assert_eq!(tree.levels[level], below);
                }
            }
        }
    }

    #[test]
    fn openings_lead_to_the_root_and_nothing_else_does() {
        let matrices = vec![grid(32, 3, 1), grid(8, 2, 2), grid(32, 1, 3), grid(1, 2, 4)];
        let tree = Tree::new(matrices, Some(&mut Stream::fresh().unwrap()));
        let widths: Widths = [(5, vec![3, 1]), (3, vec![2]), (0, vec![2])].into_iter().collect();
        let indices = [3, 4, 5, 30];
        let mut bytes = Vec::new();
        tree.open(&indices, &mut bytes);
        let read = |bytes: &[u8], indices: &[usize]| {
            let mut reader = Reader::new(bytes, CODES);
            let opened = Opened::read(&mut reader, &widths, indices, true, &tree.root());
            opened.map(|o| o.filter(|_| reader.remaining() == 0))
        };
        let opened = read(&bytes, &indices).unwrap().unwrap();
        assert_eq!(opened.row(5, 4), [grid(32, 3, 1).row(4), grid(32, 1, 3).row(4)].concat());
        assert_eq!(opened.row(3, 30), grid(8, 2, 2).row(7));
        assert!(!matches!(read(&bytes, &[3, 4, 6, 30]), Ok(Some(_))));
        assert!(read(&bytes, &[3, 4, 5, 31]).unwrap().is_none());
        for at in (0..bytes.len()).step_by(3) {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(!matches!(read(&bad, &indices), Ok(Some(_))), "byte {at}");
        }
        assert!(read(&bytes[..bytes.len() - 1], &indices).is_err());
    }
}
