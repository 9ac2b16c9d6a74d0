//! Leaves, records and the prf seed, block by block.

use super::parts::{elements, in_class, permutation};
use super::{BLOCK, RATE, bus};
use crate::stark::air::{Air, Builder, Expr};
use crate::table::permutation::{HALF, P24};

table! {
    public {
        first,
        n,
        domain,
        aux,
        link,
        uses,
        last,
        node,
        data: [T; RATE],
        class: [T; BLOCK],
        block,
        filling: [T; RATE],
    }
    main {
        bytes: [T; BLOCK],
        cap: [T; 8],
        /// The states after full rounds 1 to 4.
        early: [[T; 24]; HALF],
        /// The cubes of the partial rounds.
        cubes: [T; 23],
        /// The states after full rounds 5 to 8.
        late: [[T; 24]; HALF],
    }
}

pub fn air() -> Air {
    let b = &mut Builder::new("sponge", false);
    let Public { first, n, domain, aux, link, uses, last, node, data, class, block, filling } =
        PUBLIC.map(|c| b.public(c));
    let bytes = MAIN.bytes.map(|c| b.main(c));
    let cap = MAIN.cap.map(|c| b.main(c));
    let input: Vec<Expr> = elements(&bytes).into_iter().chain(cap.iter().cloned()).collect();
    let out = permutation(b, &P24, &input, &MAIN.early, &MAIN.cubes, &MAIN.late);
    // The first block starts from length, domain and aux, the others from where the last one ended.
    for (i, cap) in cap.iter().enumerate() {
        let start = [&n, &domain, &aux].get(i).map_or(b.constant(0), |e| (*e).clone());
        b.zero(first.clone() * cap.clone() - start);
        let next = b.next(cap);
        b.zero(link.clone() * (next - out[RATE + i].clone()));
    }
    // What stands behind the last element is zero.
    for (filling, element) in filling.into_iter().zip(&input) {
        b.zero(filling * element.clone());
    }
    for (j, byte) in bytes.iter().enumerate() {
        in_class(b, &data[j / 3], class[j].clone(), byte.clone());
    }
    b.lookup(bus::BLOCK, -uses, [block].into_iter().chain(bytes.iter().cloned()));
    b.lookup(bus::DIGEST, -last, [node].into_iter().chain(out[..8].iter().cloned()));
    b.build()
}
