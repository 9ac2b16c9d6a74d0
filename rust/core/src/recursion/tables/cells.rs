//! Five blocks of elements as eight elements of K, and eight elements of K as coefficients.

use super::{BLOCK, CELLS, bus};
use crate::stark::air::{Air, Builder, Expr};
use crate::stark::field::DIM;

/// Blocks that eight elements of K fill.
pub const BLOCKS: usize = CELLS * DIM / BLOCK;

table! {
    public {
        /// Number of the first block; the others follow it.
        block,
        has_block: [T; BLOCKS],
        cell: [T; CELLS],
        cell_times: [T; CELLS],
        coefficients,
        coefficients_times,
    }
    main { elements: [T; CELLS * DIM] }
}

pub fn air() -> Air {
    let b = &mut Builder::new("cells", false);
    let Public { block, has_block, cell, cell_times, coefficients, coefficients_times } =
        PUBLIC.map(|c| b.public(c));
    let Main { elements } = MAIN.map(|c| b.main(c));
    for (i, has) in has_block.into_iter().enumerate() {
        let own: Vec<Expr> = elements[i * BLOCK..(i + 1) * BLOCK].to_vec();
        b.lookup(bus::BLOCK, has, [block.clone() + i as i64].into_iter().chain(own));
    }
    for (i, (cell, times)) in cell.into_iter().zip(cell_times).enumerate() {
        let own: Vec<Expr> = elements[i * DIM..(i + 1) * DIM].to_vec();
        b.lookup(bus::CELL, times, [cell].into_iter().chain(own));
    }
    let all = [coefficients].into_iter().chain(elements);
    b.lookup(bus::COEFFICIENTS, coefficients_times, all);
    b.build()
}
