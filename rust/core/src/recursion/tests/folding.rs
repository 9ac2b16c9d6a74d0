//! A tree of proofs whose nodes are proven from shares: what is taken, what is refused.

use std::sync::LazyLock;

use p3_field::PrimeCharacteristicRing;

use super::subjects::{Subject, TOYS};
use crate::error::Error;
use crate::hash::Elem;
use crate::recursion::folding::{Folding, prove_share};
use crate::recursion::layers::children;
use crate::recursion::shares;
use crate::stark::field::K;

/// Proofs of three toys.
static SUBJECTS: LazyLock<Vec<Subject>> = LazyLock::new(|| {
    let heights = [[12, 11], [11, 11], [11, 12]];
    let subject = |(i, log_rows)| Subject::of(log_rows, 250 + i as u32, 40 + i as u8);
    heights.into_iter().enumerate().map(subject).collect()
});

fn folding() -> Folding {
    Folding::new(SUBJECTS.iter().map(Subject::made).collect(), 0).unwrap()
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.err().map_or("accepted", |error| error.code)
}

#[test]
fn nodes_stand_over_those_of_the_layer_below() {
    let all = |leaves: usize| -> Vec<_> {
        let nodes = crate::recursion::layers::layers(leaves).iter().sum::<usize>() + 1;
        (0..nodes).map(|node| children(leaves, node).unwrap()).collect()
    };
    assert_eq!(all(1), [0..1, 1..2]);
    assert_eq!(all(2), [0..2, 2..3]);
    assert_eq!(all(3), [0..2, 2..3, 3..5, 5..6]);
    assert_eq!(all(10), [0..2, 2..4, 4..6, 6..8, 8..10, 10..14, 14..15, 15..17, 17..18]);
    assert_eq!(code(children(3, 4)), "usage");
    // In whatever tree: each proof stands under one node.
    for leaves in 1..=256 {
        let under: Vec<usize> = all(leaves).into_iter().flatten().collect();
        assert!(under.iter().copied().eq(0..under.len()), "{leaves}");
    }
}

#[test]
fn nodes_wait_for_those_below_them() {
    let folding = folding();
    assert_eq!(folding.layers(), [2, 1, 1]);
    let needs: Vec<Vec<usize>> = (0..4).map(|node| folding.needs(node).unwrap()).collect();
    assert_eq!(needs, [vec![], vec![], vec![0, 1], vec![2]]);
    for node in [2, 3, 4] {
        assert_eq!(code(folding.share(node)), "usage", "{node}");
        assert_eq!(code(folding.take(node, b"")), "usage", "{node}");
    }
    assert_eq!(code(folding.needs(4)), "usage");
    assert_eq!(code(folding.finish()), "usage");
    assert_eq!(code(Folding::new(vec![], 0)), "usage");
}

/// Whoever has a share proves the node, and nothing else passes as its proof.
#[test]
fn a_node_is_proven_from_its_share_and_another_is_refused() {
    let folding = folding();
    let proofs =
        [0, 1].map(|node| prove_share(node, &folding.share(node).unwrap(), &TOYS).unwrap().0);
    assert_eq!(code(folding.take(0, &proofs[1])), "verify.stark");
    assert_eq!(code(folding.take(1, &proofs[0])), "verify.stark");
    let mut spoilt = proofs[0].clone();
    *spoilt.last_mut().unwrap() ^= 1;
    assert_eq!(code(folding.take(0, &spoilt)), "verify.stark");
    assert_eq!(code(folding.take(0, &[&proofs[0][..], b"\0"].concat())), "receipt.trailing-bytes");
    assert_eq!(code(folding.take(0, &proofs[0][..100])), "receipt.truncated");
    assert_eq!(code(folding.share(2)), "usage");
    folding.take(0, &proofs[0]).unwrap();
    assert_eq!(code(folding.share(2)), "usage");
    folding.take(1, &proofs[1]).unwrap();
    folding.share(2).unwrap();
    assert_eq!(code(folding.finish()), "usage");
}

/// Shares are read strictly, so that no worker works on what is none.
#[test]
fn what_is_no_share_is_refused() {
    let share = folding().share(0).unwrap();
    let refused = |bytes: &[u8]| code(prove_share(0, bytes, &TOYS));
    for cut in [0, 1, 4, 5, 40, share.len() / 2, share.len() - 1] {
        assert_eq!(refused(&share[..cut]), "receipt.truncated", "{cut}");
    }
    assert_eq!(refused(&[&share[..], b"\0"].concat()), "receipt.trailing-bytes");
    assert_eq!(code(prove_share(4, &share, &TOYS)), "usage");
    assert_eq!(code(prove_share(1, &share, &TOYS)), "receipt.trailing-bytes");
    let with = |at: usize, byte: u8| {
        let mut bytes = share.clone();
        bytes[at] = byte;
        refused(&bytes)
    };
    // No leaves; as many tables, a table and a height that there are not.
    assert_eq!(with(0, 0), "usage");
    assert_eq!(with(4, 0), "receipt.non-canonical");
    assert_eq!(with(5, 99), "receipt.non-canonical");
    for log_rows in [0, 5, 10, 24, 64] {
        assert_eq!(with(6, log_rows), "receipt.non-canonical");
    }
    // Behind them the parameters: blowup, and queries by the thousand.
    let parameters = 5 + 2 * usize::from(share[4]);
    assert_eq!(with(parameters, 9), "receipt.non-canonical");
    assert_eq!(with(parameters + 4, 99), "receipt.non-canonical");
    // Behind these the buses, the start, public columns.
    let bus = parameters + 10;
    assert_eq!(with(bus + 1, 77), "receipt.non-canonical");
    let start = bus + 1 + usize::from(share[bus]);
    assert_eq!(with(start + 3, 0xff), "receipt.non-canonical");
    assert_eq!(with(start + 35, 0xff), "receipt.non-canonical");
}

/// A share of proofs that do not verify is proven by nobody.
#[test]
fn wrong_proofs_have_no_node() {
    let refused = |change: &dyn Fn(&mut Vec<crate::recursion::inner::Made>)| {
        let mut below: Vec<_> = SUBJECTS[..2].iter().map(Subject::made).collect();
        change(&mut below);
        let share = shares::encode(&shares::Tree { leaves: 2, lambda: 0 }, below.iter());
        code(prove_share(0, &share, &TOYS))
    };
    let last = |proof: &mut Vec<u8>| *proof.last_mut().unwrap() ^= 1;
    assert_eq!(refused(&|below| last(&mut below[1].proof)), "prove.witness");
    assert_eq!(refused(&|below| below[0].child.public_sum += K::ONE), "prove.witness");
    assert_eq!(refused(&|below| below[1].child.publics[0][2] += K::ONE), "prove.witness");
    assert_eq!(refused(&|below| below[0].child.start.0[0] += Elem::ONE), "verify.stark");
    assert_eq!(refused(&|below| below[1].proof = vec![0; 40]), "prove.witness");
}
