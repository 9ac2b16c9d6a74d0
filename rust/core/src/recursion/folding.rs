//! A tree of proofs in the making (docs/recursion.md section 1): its nodes are proven one by one, by
//! whoever has the shares of them, and checked before they are built on.

use std::sync::{Arc, Mutex, PoisonError};

use super::child::Child;
use super::inner::Made;
use super::layers::{self, layers};
use super::shares::{self, Tree};
use super::tables::TABLES;
use crate::bytes::{Codes, Reader};
use crate::error::{Error, Result};
use crate::stark::air::Tables;
use crate::stark::prove::Timings;
use crate::stark::verify as stark_verify;

const CODES: Codes = Codes {
    short: "receipt.truncated",
    trailing: "receipt.trailing-bytes",
    bad: "receipt.non-canonical",
};

/// Leaves, and what of the proofs above them is there. Nodes are numbered layer by layer; the last
/// number is that of the outer proof.
pub struct Folding {
    tree: Tree,
    tables: &'static Tables,
    found: Mutex<Found>,
}

/// Leaves and nodes by their numbers, leaves first; and the outer proof.
struct Found {
    made: Vec<Option<Arc<Made>>>,
    outer: Option<Vec<u8>>,
}

impl Folding {
    /// A tree over these leaves, which were verified, beside a sampling with confidence λ.
    ///
    /// # Errors
    /// `security.insufficient`; `usage` without leaves, or with too many to be counted.
    pub fn new(leaves: Vec<Made>, lambda: u16) -> Result<Self> {
        layers::parameters(leaves.len(), lambda)?;
        u16::try_from(leaves.len())
            .map_err(|_| Error::new("usage", "there are too many proofs to be folded"))?;
        let tables = leaves[0].child.statement.tables;
        let tree = Tree { leaves: leaves.len(), lambda };
        let mut made: Vec<_> = leaves.into_iter().map(|leaf| Some(Arc::new(leaf))).collect();
        made.resize_with(tree.leaves + tree.nodes(), || None);
        Ok(Self { tree, tables, found: Mutex::new(Found { made, outer: None }) })
    }

    /// How many nodes each layer has, from the first one on; the last one is the outer proof.
    pub fn layers(&self) -> Vec<usize> {
        [layers(self.tree.leaves), vec![1]].concat()
    }

    /// The nodes that must be there before this one can be proven.
    ///
    /// # Errors
    /// `usage` for a node that is not there.
    pub fn needs(&self, node: usize) -> Result<Vec<usize>> {
        let children = layers::children(self.tree.leaves, node)?;
        Ok(children.filter_map(|child| child.checked_sub(self.tree.leaves)).collect())
    }

    /// What a node is proven from: the proofs below it, and what the verifier knows of them.
    ///
    /// # Errors
    /// `usage` for a node that is not there, or that others must come before.
    pub fn share(&self, node: usize) -> Result<Vec<u8>> {
        let below = self.below(node)?;
        Ok(shares::encode(&self.tree, below.iter().map(AsRef::as_ref)))
    }

    /// Proves a node, under fresh masks at every call; what that took.
    ///
    /// # Errors
    /// Those of [`Folding::share`], of the prover.
    pub fn prove(&self, node: usize) -> Result<(Vec<u8>, Timings)> {
        prove_share(node, &self.share(node)?, self.tables)
    }

    /// Checks the proof of a node, as the verifier would, and goes on from it.
    ///
    /// # Errors
    /// Those of [`Folding::share`]; those of the verifier for a proof that it refuses.
    pub fn take(&self, node: usize, proof: &[u8]) -> Result<()> {
        let below: Vec<Child> = self.below(node)?.iter().map(|made| made.child.clone()).collect();
        let Tree { leaves, lambda } = self.tree;
        let claimed = layers::node_of(leaves, lambda, node, &below)?;
        let statement = claimed.statement();
        let mut reader = Reader::new(proof, CODES);
        stark_verify::verify(&statement, &mut reader)?;
        if reader.remaining() > 0 {
            return Err(Error::new(CODES.trailing, "bytes after the proof of a node"));
        }
        if node == self.tree.nodes() {
            self.found().outer = Some(proof.to_vec());
        } else {
            let made = Made::new(&statement, &TABLES, proof)?;
            self.found().made[leaves + node] = Some(Arc::new(made));
        }
        Ok(())
    }

    /// The points of all leaves and nodes, and the outer proof.
    ///
    /// # Errors
    /// `usage` while a proof is missing.
    pub fn finish(&self) -> Result<Vec<u8>> {
        let found = self.found();
        let mut out = Vec::new();
        for made in &found.made {
            let made = made.as_ref().ok_or_else(|| missing("a node"))?;
            out.extend(made.child.points.bytes());
        }
        out.extend(found.outer.as_ref().ok_or_else(|| missing("the outer proof"))?);
        Ok(out)
    }

    /// Proves all nodes that are missing, here and one after the other.
    #[cfg(test)]
    pub fn prove_all(&self) {
        for node in 0..=self.tree.nodes() {
            self.take(node, &self.prove(node).unwrap().0).unwrap();
        }
    }

    /// The proofs below a node.
    fn below(&self, node: usize) -> Result<Vec<Arc<Made>>> {
        let children = layers::children(self.tree.leaves, node)?;
        let found = self.found();
        let below: Option<Vec<Arc<Made>>> = found.made[children].iter().cloned().collect();
        below.ok_or_else(|| missing("a proof below the node"))
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tree {
    /// Without the outer proof.
    fn nodes(&self) -> usize {
        layers(self.leaves).iter().sum()
    }
}

fn missing(what: &str) -> Error {
    Error::new("usage", format!("{what} is not there yet"))
}

/// Proves a node from its share ([`Folding::share`]), which says of the node what it stands over; the
/// tables are those of the leaves. Whoever gave the share checks the proof.
///
/// # Errors
/// `usage` for a node that is not there; those of a share that does not decode; `prove.witness` for a
/// proof that does not verify; `prove.randomness`, `prove.retry`.
pub fn prove_share(
    node: usize,
    share: &[u8],
    leaves: &'static Tables,
) -> Result<(Vec<u8>, Timings)> {
    let below = |tree: &Tree| {
        layers::parameters(tree.leaves, tree.lambda)?;
        let children = layers::children(tree.leaves, node)?;
        let tables = if children.start < tree.leaves { leaves } else { &TABLES };
        Ok((children.len(), tables))
    };
    let (Tree { leaves, lambda }, made) = shares::decode(share, below)?;
    layers::prove(leaves, lambda, node, made)
}
