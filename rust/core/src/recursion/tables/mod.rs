//! The tables that verify a proof (docs/recursion.md section 2).

pub mod bits;
pub mod cells;
pub mod dot;
pub mod field;
pub mod hash;

use std::sync::LazyLock;

use crate::stark::air::{Expr, Tables};

/// Numbers of the buses; 0 is the engine's.
pub mod bus {
    /// (number, 8 elements).
    pub const BLOCK: u32 = 1;
    /// (address, element of K).
    pub const CELL: u32 = 2;
    /// (number, 8 elements of K).
    pub const COEFFICIENTS: u32 = 3;
    /// (number, bit).
    pub const BIT: u32 = 4;
}

/// Indices of the tables.
pub mod index {
    pub const HASH: usize = 0;
    pub const DOT: usize = 1;
    pub const CELLS: usize = 2;
    pub const BITS: usize = 3;
    pub const FIELD: usize = 4;
}

/// Elements of a block: a digest, or what a sponge takes in at once.
pub const BLOCK: usize = 8;
/// Elements of K that stand in five blocks.
pub const CELLS: usize = 8;
/// Bits of an element.
pub const BITS: usize = 31;
/// Of these, the ones that an element below p has all of only where it is p − 1.
pub const TOP_BITS: usize = 7;

/// Tables by their indices; the last one, which is always present, takes back what the others add to
/// the blinding bus.
pub static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    Tables::new(vec![hash::air(), dot::air(), cells::air(), bits::air(), field::air()])
});

/// Coefficients of products in K: those of `X^i·X^j` for `X^5 = 1 − X^2`, where `i + j ≥ 5`.
pub fn times(a: &[Expr; 5], b: &[Expr; 5]) -> [Expr; 5] {
    let mut wide: Vec<Option<Expr>> = vec![None; 9];
    let add = |wide: &mut Vec<Option<Expr>>, i: usize, term: Expr| {
        wide[i] = Some(match wide[i].take() {
            Some(sum) => sum + term,
            None => term,
        });
    };
    for (i, x) in a.iter().enumerate() {
        for (j, y) in b.iter().enumerate() {
            add(&mut wide, i + j, x.clone() * y.clone());
        }
    }
    for i in (5..9).rev() {
        let term = wide[i].take().expect("every power occurs");
        // X^i = X^(i−5) − X^(i−3)
        add(&mut wide, i - 5, term.clone());
        let lower = wide[i - 3].take().expect("every power occurs");
        wide[i - 3] = Some(lower - term);
    }
    std::array::from_fn(|i| wide[i].take().expect("every power occurs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../verifier/recursion/tables.bin");

    #[test]
    fn the_tables_file_is_up_to_date() {
        let found = std::fs::read(FILE).unwrap();
        assert!(found == TABLES.bytes(), "run: make tables");
    }

    #[test]
    fn tables_have_their_indices() {
        let names: Vec<&str> = TABLES.airs.iter().map(|air| air.name.as_str()).collect();
        assert_eq!(names, ["hash", "dot", "cells", "bits", "field"]);
    }

    #[test]
    #[ignore = "writes verifier/recursion/tables.bin"]
    fn write_tables() {
        std::fs::write(FILE, TABLES.bytes()).unwrap();
    }
}
