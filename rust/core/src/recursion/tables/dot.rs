//! Sums of products of opened words and coefficients in K, eight words a row.

use super::{BLOCK, CELLS, bus};
use crate::stark::air::{Air, Builder, Expr};
use crate::stark::field::DIM;

table! {
    public {
        on,
        block,
        coefficients,
        /// Whether the next row goes on with this sum.
        link,
        cell,
        times,
    }
    main {
        words: [T; BLOCK],
        /// Elements of K.
        factors: [[T; DIM]; CELLS],
        base: [T; DIM],
        run: [T; DIM],
    }
}

pub fn air() -> Air {
    let b = &mut Builder::new("dot", false);
    let Public { on, block, coefficients, link, cell, times } = PUBLIC.map(|c| b.public(c));
    let Main { words, factors, base, run } = MAIN.map(|c| b.main(c));
    for (i, (base, run)) in base.iter().zip(&run).enumerate() {
        let products = words.iter().zip(&factors).map(|(x, k)| x.clone() * k[i].clone());
        let part = products.reduce(|a, b| a + b).expect("eight of them");
        crate::table::parts::running(b, &link, base, run, part);
    }
    let factors: Vec<Expr> = factors.into_iter().flatten().collect();
    b.lookup(bus::BLOCK, on.clone(), [block].into_iter().chain(words));
    b.lookup(bus::COEFFICIENTS, on, [coefficients].into_iter().chain(factors));
    b.lookup(bus::CELL, times, [cell].into_iter().chain(run));
    b.build()
}
