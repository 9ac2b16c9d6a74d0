//! Shares: the openings of one segment, for a prover that shall see no others.
//!
//! A share has the form of a whole proof section: the sampling seed, all roots (of salted trees), the prf seed where one is shown, and the trees of the segment with its leaves alone. The prf seed
//! is zero where no gate of the segment reads noise.

use super::leaves::Leaves;
use super::outline::{Held, Outline, Timings, accepted};
use super::trace::{Opened, OpenedNodes};
use crate::commit::{Course, Prepared};
use crate::error::{Error, Result};
use crate::fast::Proof;
use crate::hash::Digest;
use crate::hash::keys::{Salt, salt_bytes};
use crate::hash::multiproof::each_sibling;

use crate::sampling::Mark;

/// The share of a segment, from openings that have all of its leaves.
///
/// # Errors
/// `usage` for a segment that is not there.
pub(super) fn share(outline: &Outline, held: Held, segment: usize) -> Result<Vec<u8>> {
    let leaves = outline.leaves(segment)?;
    let mut bytes = outline.seed().to_vec();
    bytes.extend(reduced(&outline.prepared, &outline.course, held, &leaves)?);
    Ok(bytes)
}

/// Openings reduced to some of their leaves.
///
/// # Errors
/// `usage` for a leaf that is not there.
pub(super) fn reduced(
    prepared: &Prepared,
    course: &Course,
    held: Held,
    leaves: &Leaves,
) -> Result<Vec<u8>> {
    let mut proof = Proof::parse(held.openings, prepared, course, held.marks)?;
    proof.trees.retain(|tree| leaves.tree(tree.place, tree.tensor).is_ok());
    let opened = Opened::new(prepared, &proof);
    let mut bytes = held.openings[..prepared.head_bytes(course) as usize].to_vec();
    if leaves.prf.is_empty() {
        bytes[prepared.roots_bytes(course.steps) as usize..].fill(0);
    }
    for tree in &leaves.trees {
        let nodes = opened.tree(tree.place, tree.tensor)?;
        add_tree(&mut bytes, prepared, tree.tensor, &tree.leaves, nodes)?;
    }
    Ok(bytes)
}

/// A tree's opening, of some of its opened leaves (docs/receipt-format.md, Proof).
fn add_tree(
    bytes: &mut Vec<u8>,
    prepared: &Prepared,
    tensor: usize,
    leaves: &[usize],
    nodes: OpenedNodes,
) -> Result<()> {
    for &leaf in leaves {
        let (values, salt): (&[u8], &Salt) = nodes.leaf(leaf)?;
        bytes.extend(values);
        bytes.extend(salt_bytes(salt));
    }
    each_sibling(prepared.layout(tensor).leaves(), leaves, |level, index| {
        let sibling: Digest = nodes.node(level, index);
        bytes.extend(sibling.to_bytes());
    });
    Ok(())
}

impl Leaves {
    /// The leaves as marks: ascending, each once.
    pub(super) fn marks(&self) -> Vec<Mark> {
        let of_tree = |tree: &super::leaves::TreeLeaves| {
            let (place, tensor) = (tree.place, tree.tensor);
            tree.leaves.iter().map(move |&leaf| Mark::new(place, tensor, leaf)).collect::<Vec<_>>()
        };
        self.trees.iter().flat_map(of_tree).collect()
    }
}

impl Outline {
    /// Proves a segment from its share ([`Prover::share`](super::Prover::share)), as
    /// [`Prover::prove_segment`](super::Prover::prove_segment) does from all openings.
    ///
    /// # Errors
    /// `verify.journal-mismatch` for the share of another statement; `usage` for a segment that is
    /// not there; those of a share that does not decode; `prove.witness`, `prove.randomness`,
    /// `prove.retry`.
    pub fn prove_share(&self, segment: usize, share: &[u8]) -> Result<(Vec<u8>, Timings)> {
        let Some(openings) = share.strip_prefix(&self.seed()) else {
            return Err(Error::new("verify.journal-mismatch", "the share of another statement"));
        };
        let marks = self.leaves(segment)?.marks();
        self.prove(segment, Held { openings, marks: &marks }, accepted)
    }
}
