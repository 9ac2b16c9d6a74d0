//! Salted Merkle trees over the values of a tensor (docs/protocol.md section 4).

use rayon::prelude::*;

use crate::hash::keys::SALTS_PER_CALL;
use crate::hash::packing::hash_all;
use crate::hash::poseidon::LANES;
use crate::hash::{Digest, Ints, Key, Packable, Salt, Tree};
use crate::program::LayoutMap;

/// Leaves that one task hashes: a whole number of salt groups and, with two piece lengths that
/// alternate, of lanes.
const CHUNK: usize = 4 * SALTS_PER_CALL * LANES;

/// What the leaves of a tree are salted with.
#[derive(Clone, Copy, Debug)]
pub enum Salting {
    /// Five zeros each: of an initial state that anyone can recompute.
    Zero,
    Keyed {
        key: Key,
        position: usize,
        /// Of the tensor among those that share key and position.
        tensor: usize,
    },
}

impl Salting {
    /// The salts of any leaves.
    pub fn of(&self, leaves: &[usize]) -> Vec<Salt> {
        match self {
            Self::Zero => vec![Salt::default(); leaves.len()],
            Self::Keyed { key, position, tensor } => key.salts(*position, *tensor, leaves),
        }
    }

    /// The salts of `count` leaves from `first`, a multiple of three, and some more.
    fn from(&self, first: usize, count: usize) -> Vec<Salt> {
        let Self::Keyed { key, position, tensor } = self else {
            return vec![Salt::default(); count];
        };
        let mut salts = Vec::with_capacity(count + SALTS_PER_CALL * LANES);
        while salts.len() < count {
            key.extend_salts(*position, *tensor, first + salts.len(), &mut salts);
        }
        salts
    }
}

/// The tree over row-major values.
pub fn salted_tree(values: Ints, layout: &LayoutMap, salting: Salting) -> Tree {
    Tree::over(match values {
        Ints::I8(v) => leaf_digests(v, layout, salting),
        Ints::I16(v) => leaf_digests(v, layout, salting),
        Ints::I32(v) => leaf_digests(v, layout, salting),
    })
}

/// The digest of a leaf with a salt of zeros.
pub(super) fn leaf_digest(values: Ints) -> Digest {
    fn of<T: Packable>(values: &[T]) -> Digest {
        let mut digests = [Digest::default()];
        hash_all(&[(values, Salt::default())], &mut digests);
        digests[0]
    }
    match values {
        Ints::I8(v) => of(v),
        Ints::I16(v) => of(v),
        Ints::I32(v) => of(v),
    }
}

fn leaf_digests<T: Packable>(values: &[T], layout: &LayoutMap, salting: Salting) -> Vec<Digest> {
    let values = layout.to_leaf_order(values);
    let mut digests = vec![Digest::default(); layout.leaves()];
    digests.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, digests)| {
        let first = chunk * CHUNK;
        let salts = salting.from(first, digests.len());
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
    use super::*;
    use crate::hash::domain;
    use crate::hash::poseidon::{compress, pack_bytes, sponge};
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
            let salting = Salting::Keyed { key, position: 4, tensor: 2 };
            let tree = salted_tree(Ints::I8(&values), &layout, salting);
            prop_assert_eq!(tree.root(), by_definition(&values, &layout, &key));
        }
    }
}
