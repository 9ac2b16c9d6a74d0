//! Merkle trees over digests (docs/protocol.md section 4).

use super::poseidon::{Digest, compress_pairs};

/// A tree with all its nodes, leaves first.
#[derive(Clone, Debug)]
pub struct Tree {
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    /// The tree over these digests, of which there is at least one.
    pub fn over(leaves: Vec<Digest>) -> Self {
        let mut levels = vec![leaves];
        while levels[levels.len() - 1].len() > 1 {
            levels.push(compress_pairs(&levels[levels.len() - 1]));
        }
        Self { levels }
    }

    pub fn root(&self) -> Digest {
        self.levels[self.levels.len() - 1][0]
    }

    /// The nodes, level by level from the leaves.
    pub fn levels(&self) -> &[Vec<Digest>] {
        &self.levels
    }

    /// Bytes of memory that the nodes take.
    pub fn memory(&self) -> usize {
        self.levels.iter().map(|level| level.len() * Digest::BYTES).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::poseidon::sponge;
    use super::*;

    #[test]
    fn the_tree_over_one_digest_is_that_digest() {
        let digest = sponge(1, 0, &[]);
        assert_eq!(Tree::over(vec![digest]).root(), digest);
    }
}
