//! Inner nodes of trees.

use super::bus;
use super::parts::permutation;
use crate::stark::air::{Air, Builder, Expr};
use crate::table::permutation::{HALF, P16};

table! {
    public { on, left, has_left, right, has_right, out, alone }
    main {
        left_digest: [T; 8],
        right_digest: [T; 8],
        /// The states after full rounds 1 to 4.
        early: [[T; 16]; HALF],
        /// The cubes of the partial rounds.
        cubes: [T; 20],
        /// The states after full rounds 5 to 8.
        late: [[T; 16]; HALF],
    }
}

pub fn air() -> Air {
    let b = &mut Builder::new("node", false);
    let Public { on, left, has_left, right, has_right, out, alone } = PUBLIC.map(|c| b.public(c));
    let left_digest = MAIN.left_digest.map(|c| b.main(c));
    let right_digest = MAIN.right_digest.map(|c| b.main(c));
    let input: Vec<Expr> = left_digest.iter().chain(&right_digest).cloned().collect();
    let mixed = permutation(b, &P16, &input, &MAIN.early, &MAIN.cubes, &MAIN.late);
    // A right child that does not exist is the zero digest.
    for element in &right_digest {
        b.zero(alone.clone() * element.clone());
    }
    b.lookup(bus::DIGEST, has_left, [left].into_iter().chain(left_digest));
    b.lookup(bus::DIGEST, has_right, [right].into_iter().chain(right_digest));
    let forward: Vec<Expr> = (0..8).map(|i| mixed[i].clone() + input[i].clone()).collect();
    b.lookup(bus::DIGEST, -on, [out].into_iter().chain(forward));
    b.build()
}
