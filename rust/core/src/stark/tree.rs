//! Merkle trees over matrices of several heights (docs/stark.md sections 4 and 7).

use std::collections::BTreeMap;

use p3_field::PrimeField32;

use super::field::elem_of;
use super::grid::Grid;
use super::hashes::{HASH_BYTES, SALT_BYTES};
pub use super::hashes::{Hash, Salt};
use super::parameters::Hashing;
use super::rng::Stream;
use crate::bytes::Reader;
use crate::error::Result;
use crate::hash::Elem;

/// A commitment: the matrices (rows in bit-reversed order), salts, all nodes.
pub struct Tree {
    /// Matrices by log of their rows.
    matrices: BTreeMap<usize, Vec<Grid>>,
    salts: BTreeMap<usize, Vec<Salt>>,
    /// `levels[l]` has `2^l` nodes.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// Commits to matrices whose heights are powers of two, salted if there is a stream.
    pub fn new(hashing: Hashing, matrices: Vec<Grid>, mut stream: Option<&mut Stream>) -> Self {
        let mut by_height: BTreeMap<usize, Vec<Grid>> = BTreeMap::new();
        for matrix in matrices {
            by_height.entry(matrix.rows().ilog2() as usize).or_default().push(matrix);
        }
        let (mut salts, mut hashes) = (BTreeMap::new(), BTreeMap::new());
        for (&log_rows, matrices) in &by_height {
            let rows = 1 << log_rows;
            let of_level: Option<Vec<Salt>> = stream
                .as_deref_mut()
                .map(|stream| (0..rows).map(|_| hashing.salt(stream)).collect());
            hashes.insert(log_rows, hashing.rows(matrices, of_level.as_deref(), rows));
            salts.extend(of_level.map(|of_level| (log_rows, of_level)));
        }
        let height = *by_height.keys().last().expect("at least one matrix");
        let mut levels = vec![vec![]; height + 1];
        levels[height] = hashes.remove(&height).expect("the tallest level has rows");
        for level in (0..height).rev() {
            let rows = hashes.get(&level).map(Vec::as_slice);
            levels[level] = hashing.nodes(&levels[level + 1], rows);
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

/// What a verifier knows of a tree.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    pub hashing: Hashing,
    pub widths: &'a Widths,
    /// Whether a salt follows each row.
    pub salted: bool,
}

impl Shape<'_> {
    /// Log of the tallest height.
    pub fn height(&self) -> usize {
        *self.widths.keys().last().expect("at least one matrix")
    }
}

/// A row of an opening, with what it was hashed with.
struct Row {
    elements: Vec<Elem>,
    salt: Option<Salt>,
    digest: Hash,
}

/// An opening that led to the root: rows, and all nodes on the way.
pub struct Opened {
    height: usize,
    /// By level, then index: the opened rows, all matrices joined.
    rows: BTreeMap<usize, BTreeMap<usize, Row>>,
    /// By level, then index: nodes that were computed, and those beside them.
    nodes: Vec<BTreeMap<usize, Hash>>,
}

impl Opened {
    /// Reads an opening and hashes it; `None` where it does not lead to the root.
    ///
    /// # Errors
    /// `receipt.truncated`, `receipt.non-canonical`.
    pub fn read(
        reader: &mut Reader,
        shape: Shape,
        indices: &[usize],
        root: &Hash,
    ) -> Result<Option<Self>> {
        let height = shape.height();
        let mut rows = BTreeMap::new();
        for (&level, widths) in shape.widths.iter().rev() {
            let indices = above(indices, height - level);
            rows.insert(level, read_rows(reader, shape, widths.iter().sum(), indices)?);
        }
        let beside = siblings(indices, height);
        let bytes = reader.take(HASH_BYTES * beside.len())?;
        shape.hashing.judge(reader, bytes)?;
        let mut nodes = vec![BTreeMap::new(); height + 1];
        for ((level, index), hash) in beside.into_iter().zip(bytes.as_chunks().0) {
            nodes[level].insert(index, *hash);
        }
        let opened = Self { height, rows, nodes }.hashed(shape.hashing, indices);
        Ok((opened.nodes[0][&0] == *root).then_some(opened))
    }

    /// Fills in the nodes above the opened rows.
    fn hashed(mut self, hashing: Hashing, indices: &[usize]) -> Self {
        for level in (0..=self.height).rev() {
            for i in above(indices, self.height - level) {
                let row = self.rows.get(&level).map(|rows| rows[&i].digest);
                let node = match self.nodes.get(level + 1) {
                    Some(below) => {
                        hashing.node(&below[&(2 * i)], &below[&(2 * i + 1)], row.as_ref())
                    }
                    None => row.expect("the tallest level has rows"),
                };
                self.nodes[level].insert(i, node);
            }
        }
        self
    }

    /// Log of the rows of the tallest matrices: indices are those of their rows.
    pub fn height(&self) -> usize {
        self.height
    }

    fn at(&self, log_rows: usize, index: usize) -> &Row {
        &self.rows[&log_rows][&(index >> (self.height - log_rows))]
    }

    /// The row of a height above an opened index, all matrices joined.
    pub fn row(&self, log_rows: usize, index: usize) -> &[Elem] {
        &self.at(log_rows, index).elements
    }

    /// The salt of that row, where rows have salts.
    pub fn salt(&self, log_rows: usize, index: usize) -> Option<&Salt> {
        self.at(log_rows, index).salt.as_ref()
    }

    /// The digest of that row.
    pub fn row_digest(&self, log_rows: usize, index: usize) -> &Hash {
        &self.at(log_rows, index).digest
    }

    /// The node of a level on the way from an opened index to the root.
    pub fn node(&self, level: usize, index: usize) -> &Hash {
        &self.nodes[level][&(index >> (self.height - level))]
    }

    /// The node beside it; there is none at level 0.
    pub fn sibling(&self, level: usize, index: usize) -> &Hash {
        &self.nodes[level][&((index >> (self.height - level)) ^ 1)]
    }
}

/// The rows of one level at these indices.
fn read_rows(
    reader: &mut Reader,
    shape: Shape,
    width: usize,
    indices: Vec<usize>,
) -> Result<BTreeMap<usize, Row>> {
    let size = 4 * width + if shape.salted { SALT_BYTES } else { 0 };
    let bytes = reader.take(size * indices.len())?;
    let mut rows = BTreeMap::new();
    for (i, bytes) in indices.into_iter().zip(bytes.chunks_exact(size)) {
        let (words, salt) = bytes.split_at(4 * width);
        let elements: Option<Vec<Elem>> = words.chunks_exact(4).map(elem_of).collect();
        let elements = elements.ok_or_else(|| reader.bad("an opened element is not below p"))?;
        shape.hashing.judge(reader, salt)?;
        let salt: Option<Salt> = salt.try_into().ok();
        let digest = shape.hashing.row(&elements, salt.as_ref());
        rows.insert(i, Row { elements, salt, digest });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Codes;
    use crate::hash::P;

    const CODES: Codes = Codes::all("receipt.truncated");
    const BOTH: [Hashing; 2] = [Hashing::Sha256, Hashing::Poseidon2];

    fn grid(rows: usize, width: usize, seed: u32) -> Grid {
        let values = (0..rows * width).map(|i| Elem::new(i as u32 * 77 + seed)).collect();
        Grid { width, values }
    }

    /// The verifier hashes rows and nodes one by one.
    #[test]
    fn nodes_are_those_of_one_hash_after_another() {
        for (hashing, widths) in
            BOTH.into_iter().flat_map(|h| [vec![1], vec![3, 2], vec![40, 1, 17]].map(|w| (h, w)))
        {
            let matrices = widths.iter().map(|&width| grid(512, width, 5)).chain([grid(32, 9, 6)]);
            let matrices: Vec<Grid> = matrices.collect();
            for salted in [false, true] {
                let mut stream = Stream::fresh().unwrap();
                let tree = Tree::new(hashing, matrices.clone(), salted.then_some(&mut stream));
                let row = |height: usize, i: usize| {
                    let rows = tree.matrices(height).iter().map(|matrix| matrix.row(i));
                    let salt = tree.salts.get(&height).map(|salts| &salts[i]);
                    hashing.row(&rows.collect::<Vec<_>>().concat(), salt)
                };
                let mut below: Vec<Hash> = (0..512).map(|i| row(9, i)).collect();
                assert_eq!(tree.levels[9], below);
                for level in (0..9).rev() {
                    let node = |i: usize| {
                        let of_row = (level == 5).then(|| row(5, i));
                        hashing.node(&below[2 * i], &below[2 * i + 1], of_row.as_ref())
                    };
                    below = (0..1 << level).map(node).collect();
                    assert_eq!(tree.levels[level], below);
                }
            }
        }
    }

    /// As tests/unit/test_stark_tree.py.
    #[test]
    fn roots_are_those_of_the_other_verifier() {
        for (hashing, known) in BOTH.into_iter().zip(KNOWN) {
            let matrices = vec![grid(32, 3, 1), grid(8, 2, 2), grid(32, 1, 3), grid(1, 2, 4)];
            assert_eq!(crate::hash::hex(&Tree::new(hashing, matrices, None).root()), known);
        }
    }

    const KNOWN: [&str; 2] = [
        "915b8885d92a1f92edfdd1badf6d4e84b54cefc252352789b1767b8dc91165f7",
        "25c7245f47952027dabda22833e93667c8e1221bb873b2572fa5a54dadceed3b",
    ];

    #[test]
    fn openings_lead_to_the_root_and_nothing_else_does() {
        for hashing in BOTH {
            let matrices = vec![grid(32, 3, 1), grid(8, 2, 2), grid(32, 1, 3), grid(1, 2, 4)];
            let tree = Tree::new(hashing, matrices, Some(&mut Stream::fresh().unwrap()));
            let widths: Widths = [(5, vec![3, 1]), (3, vec![2]), (0, vec![2])].into();
            let indices = [3, 4, 5, 30];
            let mut bytes = Vec::new();
            tree.open(&indices, &mut bytes);
            let read = |bytes: &[u8], indices: &[usize]| {
                let mut reader = Reader::new(bytes, CODES);
                let shape = Shape { hashing, widths: &widths, salted: true };
                let opened = Opened::read(&mut reader, shape, indices, &tree.root());
                opened.map(|o| o.filter(|_| reader.remaining() == 0))
            };
            let opened = read(&bytes, &indices).unwrap().unwrap();
            assert_eq!(opened.row(5, 4), [grid(32, 3, 1).row(4), grid(32, 1, 3).row(4)].concat());
            assert_eq!(opened.row(3, 30), grid(8, 2, 2).row(7));
            assert!(!matches!(read(&bytes, &[3, 4, 6, 30]), Ok(Some(_))));
            assert!(!matches!(read(&bytes, &[3, 4, 5, 31]), Ok(Some(_))));
            for at in (0..bytes.len()).step_by(3) {
                let mut bad = bytes.clone();
                bad[at] ^= 1;
                assert!(!matches!(read(&bad, &indices), Ok(Some(_))), "byte {at}");
            }
            assert!(read(&bytes[..bytes.len() - 1], &indices).is_err());
        }
    }

    /// From what an opening keeps, the way of one index can be hashed by itself.
    #[test]
    fn each_index_has_its_own_way_to_the_root() {
        for hashing in BOTH {
            let matrices = vec![grid(32, 3, 1), grid(8, 2, 2)];
            let tree = Tree::new(hashing, matrices, Some(&mut Stream::fresh().unwrap()));
            let widths: Widths = [(5, vec![3]), (3, vec![2])].into();
            let indices = [0, 9, 10, 11, 31];
            let mut bytes = Vec::new();
            tree.open(&indices, &mut bytes);
            let shape = Shape { hashing, widths: &widths, salted: true };
            let mut reader = Reader::new(&bytes, CODES);
            let opened = Opened::read(&mut reader, shape, &indices, &tree.root()).unwrap().unwrap();
            for index in indices {
                let digest = |level| {
                    let digest = hashing.row(opened.row(level, index), opened.salt(level, index));
                    assert_eq!(digest, *opened.row_digest(level, index));
                    digest
                };
                let mut node = digest(5);
                for level in (0..5).rev() {
                    let at = index >> (4 - level);
                    let sibling = opened.sibling(level + 1, index);
                    let pair = if at % 2 == 0 { [&node, sibling] } else { [sibling, &node] };
                    node = hashing.node(pair[0], pair[1], (level == 3).then(|| digest(3)).as_ref());
                    assert_eq!(node, *opened.node(level, index));
                }
                assert_eq!(node, tree.root());
            }
        }
    }

    /// With Poseidon2 every word is an element; with SHA-256 only those of rows are.
    #[test]
    fn words_from_p_on_are_refused() {
        const CODES: Codes = Codes { short: "short", trailing: "trailing", bad: "bad" };
        let widths: Widths = [(4, vec![2])].into();
        for hashing in BOTH {
            let mut stream = Stream::fresh().unwrap();
            let tree = Tree::new(hashing, vec![grid(16, 2, 1)], Some(&mut stream));
            let mut bytes = Vec::new();
            tree.open(&[3], &mut bytes);
            assert_eq!(bytes.len(), 4 * (2 + 4 + 4 * 8));
            for at in 0..bytes.len() / 4 {
                let mut bad = bytes.clone();
                bad[4 * at..4 * at + 4].copy_from_slice(&P.to_le_bytes());
                let shape = Shape { hashing, widths: &widths, salted: true };
                let found = Opened::read(&mut Reader::new(&bad, CODES), shape, &[3], &tree.root());
                if hashing == Hashing::Poseidon2 || at < 2 {
                    assert_eq!(found.err().unwrap().code, "bad", "word {at}");
                } else {
                    assert!(found.unwrap().is_none(), "word {at}");
                }
            }
        }
    }
}
