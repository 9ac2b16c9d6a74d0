//! Salted Merkle trees over the values of a tensor (section 4).

use rayon::prelude::*;

use super::keys::{Key, SALTS_PER_CALL, Salt};
use super::packing::{Ints, Packable, hash_all};
use super::poseidon::{Digest, LANES, compress_pairs};
use crate::program::LayoutMap;

/// Leaves that one task hashes: a whole number of salt groups and, with two piece lengths that
/// alternate, of lanes.
const CHUNK: usize = 4 * SALTS_PER_CALL * LANES;

/// A tree with all its nodes, leaves first.
#[derive(Clone, Debug)]
pub struct Tree {
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    /// The tree over the leaves of `values`, which are in leaf order, salted under `key`.
    pub fn salted(
        values: Ints,
        layout: &LayoutMap,
        key: &Key,
        position: usize,
        tensor: usize,
    ) -> Self {
        let salts = |first: usize, salts: &mut Vec<Salt>| {
            key.extend_salts(position, tensor, first, salts);
        };
        Self::over(match values {
            Ints::I8(v) => leaf_digests(v, layout, salts),
            Ints::I16(v) => leaf_digests(v, layout, salts),
            Ints::I32(v) => leaf_digests(v, layout, salts),
        })
    }

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

fn leaf_digests<T: Packable>(
    values: &[T],
    layout: &LayoutMap,
    salts_from: impl Fn(usize, &mut Vec<Salt>) + Sync,
) -> Vec<Digest> {
    let mut digests = vec![Digest::default(); layout.leaves()];
    digests.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, digests)| {
        let first = chunk * CHUNK;
        let mut salts = Vec::with_capacity(CHUNK);
        while salts.len() < digests.len() {
            salts_from(first + salts.len(), &mut salts);
        }
        let leaf = |(i, salt)| {
            let start = layout.start(first + i);
            (&values[start..start + layout.leaf_len(first + i)], salt)
        };
        let leaves: Vec<_> = salts.into_iter().take(digests.len()).enumerate().map(leaf).collect();
        hash_all(&leaves, digests);
    });
    digests
}

#[cfg(test)]
mod tests {
    use super::super::domain;
    use super::super::poseidon::{compress, pack_bytes, sponge};
    use super::*;
    use crate::program::Layout;
    use proptest::prelude::*;

    fn map(rows: usize, row: usize, piece: usize) -> LayoutMap {
        LayoutMap::new(&Layout { order: vec![0, 1], trailing: 1, piece }, &[rows, row])
    }

    fn by_definition(values: &[i8], layout: &LayoutMap, key: &Key) -> Digest {
        let mut level: Vec<Digest> = (0..layout.leaves())
            .map(|leaf| {
                let (start, len) = (layout.start(leaf), layout.leaf_len(leaf));
                let bytes: Vec<u8> =
                    values[start..start + len].iter().map(|&v| v as u8 ^ 0x80).collect();
                let mut elements = pack_bytes(&bytes);
                elements.extend(key.salt(4, 2, leaf));
                sponge(domain::LEAF, 0, &elements)
            })
            .collect();
        while level.len() > 1 {
            level = level
                .chunks(2)
                .map(|c| compress(c[0], c.get(1).copied().unwrap_or_default()))
                .collect();
        }
        level[0]
    }

    proptest! {
        #[test]
        fn trees_follow_the_definition(
            rows in 1usize..400, row in 1usize..70, piece in 1usize..70, seed in any::<i8>()
        ) {
            let layout = map(rows, row, piece.min(row));
            let values: Vec<i8> =
                (0..rows * row).map(|i| (i as i8).wrapping_mul(31).wrapping_add(seed)).collect();
            let key = Key::default();
            let tree = Tree::salted(Ints::I8(&values), &layout, &key, 4, 2);
            prop_assert_eq!(tree.root(), by_definition(&values, &layout, &key));
        }
    }

    #[test]
    fn the_tree_over_one_digest_is_that_digest() {
        let digest = sponge(1, 0, &[]);
        assert_eq!(Tree::over(vec![digest]).root(), digest);
    }
}
