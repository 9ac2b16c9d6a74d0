//! Calls of the prf.

use super::parts::{elements, permutation};
use super::{BLOCK, bus};
use crate::hash::domain;
use crate::hash::keys::PRF_PER_CALL;
use crate::stark::air::{Air, Builder, Expr};
use crate::table::permutation::{HALF, P16};

table! {
    public { on, seed_block, step, domain, block, first_word, uses: [T; PRF_PER_CALL] }
    main {
        /// Of the seed's block.
        bytes: [T; BLOCK],
        /// The elements behind the key.
        rest: [T; 8],
        /// The states after full rounds 1 to 4.
        early: [[T; 16]; HALF],
        /// The cubes of the partial rounds.
        cubes: [T; 20],
        /// The states after full rounds 5 to 8.
        late: [[T; 16]; HALF],
    }
}

pub fn air() -> Air {
    let b = &mut Builder::new("noise", false);
    let Public { on, seed_block, step, domain, block, first_word, uses } =
        PUBLIC.map(|c| b.public(c));
    let bytes = MAIN.bytes.map(|c| b.main(c));
    let rest = MAIN.rest.map(|c| b.main(c));
    let key = elements(&bytes);
    let input: Vec<Expr> = key[..8].iter().chain(&rest).cloned().collect();
    let out = permutation(b, &P16, &input, &MAIN.early, &MAIN.cubes, &MAIN.late);
    let fixed = [i64::from(domain::PRF) * on.clone(), step, domain, block];
    for (i, rest) in rest.iter().enumerate() {
        let wanted = fixed.get(i).cloned().unwrap_or_else(|| b.constant(0));
        b.equal(rest.clone(), wanted);
    }
    b.lookup(bus::BLOCK, on, [seed_block].into_iter().chain(bytes));
    for (i, uses) in uses.into_iter().enumerate() {
        let word = out[i].clone() + input[i].clone();
        b.lookup(bus::WORD, -uses, [first_word.clone() + i as i64, word]);
    }
    b.build()
}
