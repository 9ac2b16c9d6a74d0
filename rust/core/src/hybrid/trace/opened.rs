//! The nodes of opened trees: what is computed from their leaves, and the siblings beside it.

use rayon::prelude::*;

use crate::commit::{Place, Prepared};
use crate::error::{Error, Result};
use crate::fast::{OpenedTree, Proof};
use crate::hash::Digest;
use crate::hash::keys::Salt;
use crate::hash::packing::hash_all;
use crate::hash::poseidon::compress_pairs;

/// Leaves that one task hashes.
const LEAVES_PER_TASK: usize = 1024;

/// The opened leaves of a proof with all nodes above them.
pub struct Opened<'a> {
    pub prepared: &'a Prepared,
    pub proof: &'a Proof<'a>,
    nodes: Vec<Levels>,
}

/// By level from the leaves: the nodes that are known, by their indices.
struct Levels(Vec<Vec<(usize, Digest)>>);

/// One tree of a proof.
#[derive(Clone, Copy)]
pub struct OpenedNodes<'a> {
    tree: &'a OpenedTree<'a>,
    levels: &'a Levels,
}

impl<'a> Opened<'a> {
    /// Hashes all leaves of a proof. Values are taken as they are, right or wrong.
    pub fn new(prepared: &'a Prepared, proof: &'a Proof<'a>) -> Self {
        let levels = |tree: &OpenedTree| Levels::new(tree, prepared.layout(tree.tensor).leaves());
        Self { prepared, proof, nodes: proof.trees.par_iter().map(levels).collect() }
    }

    /// The opening of a tree.
    ///
    /// # Errors
    /// `usage` where there is none.
    pub fn tree(&self, place: Place, tensor: usize) -> Result<OpenedNodes<'_>> {
        let trees = &self.proof.trees;
        let found = trees.binary_search_by_key(&(place, tensor), |tree| (tree.place, tree.tensor));
        found
            .map(|i| OpenedNodes { tree: &trees[i], levels: &self.nodes[i] })
            .map_err(|_| Error::new("usage", "the openings lack a tree"))
    }
}

impl<'a> OpenedNodes<'a> {
    /// The packed bytes and the salt of a leaf.
    ///
    /// # Errors
    /// `usage` where it is not opened.
    pub fn leaf(&self, leaf: usize) -> Result<(&'a [u8], &'a Salt)> {
        let found = self.tree.leaves.binary_search(&leaf);
        let found = found.map_err(|_| Error::new("usage", "the openings lack a leaf"));
        found.map(|i| (self.tree.values(i), &self.tree.salts[i]))
    }

    /// A node, counted from the left; the zero digest where none is known.
    pub fn node(&self, level: usize, index: usize) -> Digest {
        let Some(nodes) = self.levels.0.get(level) else { return Digest::default() };
        let found = nodes.binary_search_by_key(&index, |(i, _)| *i);
        found.map_or_else(|_| Digest::default(), |i| nodes[i].1)
    }
}

impl Levels {
    fn new(tree: &OpenedTree, mut width: usize) -> Self {
        let mut digests = vec![Digest::default(); tree.leaves.len()];
        digests.par_chunks_mut(LEAVES_PER_TASK).enumerate().for_each(|(task, digests)| {
            let first = task * LEAVES_PER_TASK;
            let leaf = |i| (tree.values(i), tree.salts[i]);
            let leaves: Vec<_> = (first..first + digests.len()).map(leaf).collect();
            hash_all(&leaves, digests);
        });
        let mut known: Vec<(usize, Digest)> = tree.leaves.iter().copied().zip(digests).collect();
        let mut siblings = tree.siblings.iter();
        let mut levels = Vec::new();
        while width > 1 {
            let mut nodes = Vec::with_capacity(2 * known.len());
            let (mut parents, mut children) = (Vec::new(), Vec::new());
            for pair in known.chunk_by(|a, b| a.0 / 2 == b.0 / 2) {
                let left = pair[0].0 / 2 * 2;
                for index in [left, left + 1] {
                    let own = pair.iter().find(|(i, _)| *i == index).map(|(_, digest)| *digest);
                    let mut beside = || siblings.next().copied().unwrap_or_default();
                    let digest = match own {
                        Some(digest) => digest,
                        None if index < width => beside(),
                        None => Digest::default(),
                    };
                    nodes.push((index, digest));
                    children.push(digest);
                }
                parents.push(left / 2);
            }
            levels.push(nodes);
            known = parents.into_iter().zip(compress_pairs(&children)).collect();
            width = width.div_ceil(2);
        }
        levels.push(known);
        Self(levels)
    }
}
