//! Openings of several leaves of one tree (section 5, "Openings").
//!
//! Siblings come level by level from the leaves, left to right; a sibling that does not exist is
//! the zero digest and is not sent.

use super::poseidon::{Digest, compress_pairs};
use super::tree::Tree;

/// Calls `visit(level, sibling)` for each sibling that the opened leaves need, in order.
///
/// `opened` is strictly ascending, not empty and below `leaves`.
pub(crate) fn each_sibling(leaves: usize, opened: &[usize], mut visit: impl FnMut(usize, usize)) {
    let mut known = opened.to_vec();
    let (mut width, mut level) = (leaves, 0);
    while width > 1 {
        let mut parents = Vec::with_capacity(known.len());
        for pair in known.chunk_by(|a, b| a / 2 == b / 2) {
            if pair.len() == 1 && pair[0] ^ 1 < width {
                visit(level, pair[0] ^ 1);
            }
            parents.push(pair[0] / 2);
        }
        (known, width, level) = (parents, width.div_ceil(2), level + 1);
    }
}

/// Number of siblings that a proof of these leaves has.
pub fn sibling_count(leaves: usize, opened: &[usize]) -> usize {
    let mut count = 0;
    each_sibling(leaves, opened, |_, _| count += 1);
    count
}

/// The siblings that prove these leaves.
pub fn prove(tree: &Tree, opened: &[usize]) -> Vec<Digest> {
    let levels = tree.levels();
    let mut siblings = Vec::new();
    each_sibling(levels[0].len(), opened, |level, i| siblings.push(levels[level][i]));
    siblings
}

/// The root that these leaves and siblings hash to; `None` where the siblings are too few or many.
///
/// `opened` is strictly ascending, not empty and below `leaves`; `digests` are those of its leaves.
pub fn root(
    leaves: usize,
    opened: &[usize],
    digests: Vec<Digest>,
    siblings: &[Digest],
) -> Option<Digest> {
    let (mut known, mut digests, mut width) = (opened.to_vec(), digests, leaves);
    let mut siblings = siblings.iter();
    while width > 1 {
        let mut parents = Vec::with_capacity(known.len());
        let mut children = Vec::with_capacity(2 * known.len());
        let mut own = digests.iter();
        for pair in known.chunk_by(|a, b| a / 2 == b / 2) {
            let left = 2 * (pair[0] / 2);
            for child in [left, left + 1] {
                children.push(match pair.contains(&child) {
                    true => *own.next()?,
                    false if child < width => *siblings.next()?,
                    false => Digest::default(),
                });
            }
            parents.push(pair[0] / 2);
        }
        digests = compress_pairs(&children);
        (known, width) = (parents, width.div_ceil(2));
    }
    if siblings.next().is_some() { None } else { digests.first().copied() }
}

#[cfg(test)]
mod tests {
    use super::super::poseidon::{elem, sponge};
    use super::*;
    use proptest::prelude::*;

    fn leaves(n: usize) -> Vec<Digest> {
        (0..n).map(|i| sponge(1, 0, &[elem(i)])).collect()
    }

    #[test]
    fn siblings_stand_level_by_level_left_to_right() {
        let tree = Tree::over(leaves(5));
        let proof = prove(&tree, &[1, 4]);
        let levels = tree.levels();
        // Leaf 0 beside leaf 1; leaf 5 does not exist. Then node 1, and nothing beside node 2.
        assert_eq!(proof, [levels[0][0], levels[1][1]]);
    }

    proptest! {
        #[test]
        fn proofs_verify_and_every_tampering_is_refused(
            n in 1usize..90, picks in proptest::collection::btree_set(0usize..90, 1..20), at in any::<prop::sample::Index>()
        ) {
            let opened: Vec<usize> = picks.into_iter().filter(|&i| i < n).collect();
            prop_assume!(!opened.is_empty());
            let all = leaves(n);
            let tree = Tree::over(all.clone());
            let digests: Vec<Digest> = opened.iter().map(|&i| all[i]).collect();
            let proof = prove(&tree, &opened);
            prop_assert_eq!(proof.len(), sibling_count(n, &opened));
            let good = Some(tree.root());
            prop_assert_eq!(root(n, &opened, digests.clone(), &proof), good);

            let other = sponge(2, 0, &[]);
            let mut bad = digests.clone();
            bad[at.index(opened.len())] = other;
            prop_assert_ne!(root(n, &opened, bad, &proof), good);
            let mut long = proof.clone();
            long.push(other);
            prop_assert_eq!(root(n, &opened, digests.clone(), &long), None);
            if !proof.is_empty() {
                let mut bad = proof.clone();
                bad[at.index(proof.len())] = other;
                prop_assert_ne!(root(n, &opened, digests.clone(), &bad), good);
                prop_assert_eq!(root(n, &opened, digests.clone(), &proof[1..]), None);
            }
            if digests.len() > 1 {
                let mut swapped = digests.clone();
                swapped.swap(0, 1);
                prop_assert_ne!(root(n, &opened, swapped, &proof), good);
            }
        }
    }
}
