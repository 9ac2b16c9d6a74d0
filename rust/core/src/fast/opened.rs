//! The proof section: roots, prf seed and opened trees (docs/receipt-format.md, Proof).

use std::cell::Cell;

use rayon::prelude::*;

use crate::bytes::{Codes, Reader};
use crate::commit::{AllRoots, Course, Place, Prepared, first_outside, prf_bits};
use crate::error::{Error, Result};
use crate::hash::keys::{PRF_PER_CALL, Salt, prf_value};
use crate::hash::packing::hash_all;
use crate::hash::poseidon::canonical_elements;
use crate::hash::{Digest, Key, multiproof, unpack};
use crate::program::{LayoutMap, Run, Source, Tensor, Values};
use crate::receipt::journal::digest;
use crate::sampling::Mark;
use crate::sampling::openings::{SALT_BYTES, siblings, trees};

const CODES: Codes = Codes {
    short: "receipt.truncated",
    trailing: "receipt.trailing-bytes",
    bad: "receipt.non-canonical",
};
/// Leaves that one task hashes.
const LEAVES_PER_TASK: usize = 1024;

/// One tree's opening, as it stands in the proof.
pub struct OpenedTree<'a> {
    pub place: Place,
    pub tensor: usize,
    pub(crate) leaves: Vec<usize>,
    /// Start of each leaf in `bytes`.
    starts: Vec<usize>,
    /// Packed values and salt of each leaf.
    bytes: &'a [u8],
    pub(crate) salts: Vec<Salt>,
    pub(crate) siblings: Vec<Digest>,
}

/// A parsed proof section.
pub struct Proof<'a> {
    pub weights: Vec<Digest>,
    pub data: Vec<Digest>,
    pub initial: Vec<Digest>,
    /// Roots of all steps, one after the other.
    roots: Vec<Digest>,
    roots_per_step: usize,
    /// Shown, or derived from the statement.
    pub prf_seed: Option<Key>,
    /// In canonical order.
    pub trees: Vec<OpenedTree<'a>>,
}

impl<'a> Proof<'a> {
    /// Reads a proof that opens exactly `marks`.
    ///
    /// # Errors
    /// `receipt.truncated`, `receipt.trailing-bytes`, `receipt.non-canonical`, in this order.
    pub fn parse(
        bytes: &'a [u8],
        prepared: &Prepared,
        course: &Course,
        marks: &[Mark],
    ) -> Result<Self> {
        let trees = trees(marks);
        let sizes: Vec<TreeSize> =
            trees.par_iter().map(|marks| TreeSize::new(prepared, marks)).collect();
        let openings: u64 = sizes.iter().map(|size| size.bytes() as u64).sum();
        expect_size(bytes.len() as u64, prepared.head_bytes(course) + openings)?;

        let r = &mut Reader::new(bytes, CODES);
        let committed = &prepared.committed;
        let weights = r.repeat(committed.weights.len(), digest)?;
        let data = r.repeat(committed.data.len(), digest)?;
        let initial = r.repeat(committed.states.len(), digest)?;
        let roots = r.repeat(course.steps * committed.steps.len(), digest)?;
        let shown = if prepared.shows_seed(course) { Some(seed(r)?) } else { None };
        let prf_seed = shown.or(course.seed);
        let mut sections = Vec::with_capacity(trees.len());
        for size in &sizes {
            sections.push(r.take(size.bytes())?);
        }
        let jobs = trees.par_iter().zip(&sizes).zip(&sections);
        let trees =
            jobs.map(|((marks, size), bytes)| OpenedTree::parse(bytes, prepared, marks, size));
        // Each failure has the same code; the first one is reported.
        let trees = trees.collect::<Vec<_>>().into_iter().collect::<Result<_>>()?;
        let roots_per_step = committed.steps.len();
        Ok(Self { weights, data, initial, roots, roots_per_step, prf_seed, trees })
    }

    /// The roots of each step.
    pub fn steps(&self) -> Vec<&[Digest]> {
        self.roots.chunks_exact(self.roots_per_step).collect()
    }

    /// The committed root of a tree.
    pub fn root(&self, prepared: &Prepared, place: Place, tensor: usize) -> Digest {
        let Self { weights, data, initial, roots: steps, .. } = self;
        prepared.committed.root(AllRoots { weights, data, initial, steps }, place, tensor)
    }

    /// The opening of a tree, if it has one.
    pub fn tree(&self, place: Place, tensor: usize) -> Option<&OpenedTree<'a>> {
        let found =
            self.trees.binary_search_by_key(&(place, tensor), |tree| (tree.place, tree.tensor));
        found.ok().map(|at| &self.trees[at])
    }
}

fn seed(r: &mut Reader) -> Result<Key> {
    Key::from_bytes(&r.array()?).ok_or_else(|| r.bad("a word of the prf seed is not below P"))
}

fn expect_size(received: u64, expected: u64) -> Result<()> {
    let code = match received.cmp(&expected) {
        std::cmp::Ordering::Less => CODES.short,
        std::cmp::Ordering::Equal => return Ok(()),
        std::cmp::Ordering::Greater => CODES.trailing,
    };
    let message = "the proof has another size than its openings";
    Err(Error::new(code, message).expected(format!("{expected} bytes")).received(received))
}

/// Bytes of a tree's opening.
struct TreeSize {
    leaves: usize,
    siblings: usize,
}

impl TreeSize {
    fn new(prepared: &Prepared, marks: &[Mark]) -> Self {
        let leaves = marks.iter().map(|&mark| prepared.leaf_bytes(mark) + SALT_BYTES).sum();
        Self { leaves, siblings: siblings(prepared, marks) }
    }

    fn bytes(&self) -> usize {
        self.leaves + self.siblings * Digest::BYTES
    }
}

impl<'a> OpenedTree<'a> {
    fn parse(
        bytes: &'a [u8],
        prepared: &Prepared,
        marks: &[Mark],
        size: &TreeSize,
    ) -> Result<Self> {
        let (leaf_bytes, sibling_bytes) = bytes.split_at(size.leaves);
        let (mut starts, mut salts) =
            (Vec::with_capacity(marks.len()), Vec::with_capacity(marks.len()));
        let mut r = Reader::new(leaf_bytes, CODES);
        for &mark in marks {
            starts.push(r.position());
            r.take(prepared.leaf_bytes(mark))?;
            let salt = canonical_elements(r.take(SALT_BYTES)?);
            salts.push(salt.ok_or_else(|| r.bad("a word of a salt is not below P"))?);
        }
        let siblings = Reader::new(sibling_bytes, CODES).repeat(size.siblings, digest)?;
        Ok(Self {
            place: marks[0].place(),
            tensor: marks[0].tensor(),
            leaves: marks.iter().map(|mark| mark.leaf()).collect(),
            starts,
            bytes: leaf_bytes,
            salts,
            siblings,
        })
    }

    /// The packed values of the opened leaf number `i`.
    pub(crate) fn values(&self, i: usize) -> &'a [u8] {
        let end = self.starts.get(i + 1).copied().unwrap_or(self.bytes.len());
        &self.bytes[self.starts[i]..end - SALT_BYTES]
    }

    /// Checks the leaves against the root, then the values against the tensor's declared range.
    ///
    /// # Errors
    /// `verify.opening`, `verify.range`.
    pub fn check(&self, tensor: &Tensor, layout: &LayoutMap, root: Digest) -> Result<()> {
        let mut digests = vec![Digest::default(); self.leaves.len()];
        digests.par_chunks_mut(LEAVES_PER_TASK).enumerate().for_each(|(task, digests)| {
            let first = task * LEAVES_PER_TASK;
            let leaves: Vec<(&[u8], Salt)> =
                (first..first + digests.len()).map(|i| (self.values(i), self.salts[i])).collect();
            hash_all(&leaves, digests);
        });
        let found = multiproof::root(layout.leaves(), &self.leaves, digests, &self.siblings);
        if found != Some(root) {
            return Err(self
                .failure("verify.opening", "opened leaves do not hash to the root", tensor)
                .expected(root.hex())
                .received(found.map_or_else(|| "no root".to_string(), Digest::hex)));
        }
        match (0..self.leaves.len()).find_map(|i| first_outside(self.values(i), tensor)) {
            None => Ok(()),
            Some(value) => Err(self
                .failure("verify.range", "an opened value leaves its declared range", tensor)
                .expected(format!("{} to {}", tensor.lo, tensor.hi))
                .received(value)),
        }
    }

    fn failure(&self, code: &'static str, what: &str, tensor: &Tensor) -> Error {
        Error::new(code, format!("{what}: tensor {:?}, {}", tensor.name, self.place))
    }

    /// All values in row-major order as packed bytes; `None` if not all leaves are opened.
    pub fn row_major(&self, layout: &LayoutMap, size: usize, width: usize) -> Option<Vec<u8>> {
        if self.leaves.len() != layout.leaves() {
            return None;
        }
        let mut out = vec![0; size * width];
        for (i, &leaf) in self.leaves.iter().enumerate() {
            let mut values = self.values(i);
            layout.runs(leaf, |run| {
                let packed;
                (packed, values) = values.split_at(run.len() * width);
                out[run.start * width..run.end * width].copy_from_slice(packed);
            });
        }
        Some(out)
    }
}

/// The values of one step for the evaluation of gates: opened leaves, and prf tensors recomputed.
pub struct StepValues<'a> {
    prepared: &'a Prepared,
    proof: &'a Proof<'a>,
    course: &'a Course,
    step: usize,
    trees: Vec<Cell<Option<&'a OpenedTree<'a>>>>,
    /// The last opened leaf of each tensor: its number and where it stands.
    leaf: Vec<Cell<(usize, &'a [u8])>>,
    /// The last prf block: tensor, block, words.
    prf: Cell<(usize, usize, [u32; PRF_PER_CALL])>,
}

impl<'a> StepValues<'a> {
    pub fn new(
        prepared: &'a Prepared,
        proof: &'a Proof<'a>,
        course: &'a Course,
        step: usize,
    ) -> Self {
        let tensors = prepared.layouts.len();
        Self {
            prepared,
            proof,
            course,
            step,
            trees: vec![Cell::new(None); tensors],
            leaf: vec![Cell::new((usize::MAX, &[])); tensors],
            prf: Cell::new((usize::MAX, 0, [0; PRF_PER_CALL])),
        }
    }

    fn tree(&self, tensor: usize) -> Option<&'a OpenedTree<'a>> {
        if let Some(tree) = self.trees[tensor].get() {
            return Some(tree);
        }
        let (place, number) = self.prepared.tree_of(tensor, self.step)?;
        self.trees[tensor].set(self.proof.tree(place, number));
        self.trees[tensor].get()
    }

    /// Packed values of an opened leaf.
    fn leaf(&self, tensor: usize, leaf: usize) -> Option<&'a [u8]> {
        let (last, mut values) = self.leaf[tensor].get();
        if last != leaf {
            let tree = self.tree(tensor)?;
            values = tree.values(tree.leaves.binary_search(&leaf).ok()?);
            self.leaf[tensor].set((leaf, values));
        }
        Some(values)
    }

    fn not_opened(&self, tensor: usize) -> Error {
        let name = &self.prepared.checked.program.tensors[tensor].name;
        Error::new("verify.opening", format!("{name:?} in step {} is not opened", self.step))
    }

    fn prf(&self, tensor: usize, domain: u32, lo: i32, hi: i32, offset: usize) -> Option<i64> {
        let block = offset / PRF_PER_CALL;
        let (mut last, mut at, mut words) = self.prf.get();
        if (last, at) != (tensor, block) {
            (last, at) = (tensor, block);
            let position = self.course.position(self.step);
            words = self.proof.prf_seed?.prf_block(position, domain, block);
            self.prf.set((last, at, words));
        }
        Some(prf_value(words[offset % PRF_PER_CALL], lo, prf_bits(lo, hi)).into())
    }
}

impl Values for StepValues<'_> {
    fn value(&self, tensor: usize, offset: usize) -> Result<i64> {
        let mut out = Vec::with_capacity(1);
        self.values(tensor, Run { start: offset, step: 1, len: 1 }, &mut out)?;
        Ok(out[0])
    }

    fn values(&self, tensor: usize, run: Run, out: &mut Vec<i64>) -> Result<()> {
        let declared = &self.prepared.checked.program.tensors[tensor];
        let not_opened = || self.not_opened(tensor);
        if let Source::Prf { domain } = &declared.source {
            for j in 0..run.len {
                let offset = run.start.wrapping_add_signed(run.step * j as isize);
                let value = self.prf(tensor, *domain, declared.lo, declared.hi, offset);
                out.push(value.ok_or_else(not_opened)?);
            }
            return Ok(());
        }
        let width = declared.width;
        self.prepared.parts(tensor, run, |leaf, slot, len| {
            let leaf = self.prepared.leaf_in(self.course, tensor, self.step, leaf)?;
            let values = self.leaf(tensor, leaf).ok_or_else(not_opened)?;
            let packed = values.get(slot * width..(slot + len) * width).ok_or_else(not_opened)?;
            match width {
                1 => out.extend(packed.iter().map(|&byte| i64::from(byte) - 128)),
                _ => out.extend(packed.chunks_exact(width).map(|value| i64::from(unpack(value)))),
            }
            Ok(())
        })
    }
}
