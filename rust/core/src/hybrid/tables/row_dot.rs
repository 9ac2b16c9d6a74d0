//! Aligned products: those of two blocks.

use super::parts::{running, sum};
use super::{BLOCK, bus};
use crate::stark::air::{Air, Builder};

table! {
    public { on, block_a, block_b, ca, cb, m: [T; BLOCK], link, slot, last }
    main { a: [T; BLOCK], b: [T; BLOCK], base, run }
}

pub fn air() -> Air {
    let b = &mut Builder::new("row_dot", false);
    let Public { on, block_a, block_b, ca, cb, m, link, slot, last } = PUBLIC.map(|c| b.public(c));
    let Main { a, b: bytes_b, base, run } = MAIN.map(|c| b.main(c));
    let products = m
        .iter()
        .zip(&a)
        .zip(&bytes_b)
        .map(|((m, a), b)| m.clone() * ((a.clone() - ca.clone()) * (b.clone() - cb.clone())));
    let part = sum(products);
    running(b, &link, &base, &run, part);
    b.lookup(bus::BLOCK, on.clone(), [block_a].into_iter().chain(a));
    b.lookup(bus::BLOCK, on, [block_b].into_iter().chain(bytes_b));
    b.lookup(bus::ACC, -last, [slot, run]);
    b.build()
}
