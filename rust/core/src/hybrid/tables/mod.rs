//! The tables of hybrid receipts (docs/hybrid.md section 4): their columns, constraints and lookups.
//!
//! One table, one file: it declares the table's columns, by name, and constrains them.

pub mod columns;

pub mod act;
pub mod bits;
pub mod digest;
pub mod div;
pub mod gate;
pub mod limbs;
pub mod node;
pub mod noise;
#[cfg(test)]
mod page;
mod parts;
pub mod pick;
pub mod range;
pub mod read_dot;
pub mod record;
pub mod row_dot;
pub mod scan;
pub mod sponge;
pub mod spread;
pub mod wide;

use std::sync::LazyLock;

use crate::stark::air::Tables;

pub mod bus {
    pub const DIGEST: u32 = 1;
    pub const BLOCK: u32 = 2;
    pub const READ: u32 = 3;
    pub const ACC: u32 = 4;
    pub const LIMB: u32 = 5;
    pub const WORD: u32 = 6;
    pub const ACT: u32 = 7;
    pub const RANGE: u32 = 8;
    pub const ELEMENT: u32 = 9;
}

pub mod class {
    pub const LIMB: i64 = 0;
    pub const BYTE: i64 = 1;
    pub const TOP: i64 = 2;
    pub const ZERO: i64 = 3;
}

/// Indices in the tables file.
pub mod index {
    pub const SPONGE: usize = 0;
    pub const NODE: usize = 1;
    pub const SPREAD: usize = 2;
    pub const WIDE: usize = 3;
    pub const ROW_DOT: usize = 4;
    pub const READ_DOT: usize = 5;
    pub const LIMBS: usize = 6;
    pub const GATE: usize = 7;
    pub const PICK: usize = 8;
    pub const SCAN: usize = 9;
    pub const DIV: usize = 10;
    pub const NOISE: usize = 11;
    pub const BITS: usize = 12;
    pub const DIGEST: usize = 13;
    pub const RECORD: usize = 14;
    pub const ACT: usize = 15;
    pub const RANGE: usize = 16;
}

/// Bytes of a block.
pub const BLOCK: usize = 48;
/// Elements of a block.
pub const RATE: usize = BLOCK / 3;
/// Products of a row of read_dot.
pub const PRODUCTS: usize = 16;
/// Pairs of limbs of a wide accumulator.
pub const PAIRS: usize = 9;
/// Slots of a gate on the acc bus: two direct streams, one for each pair of limbs.
pub const SLOTS: usize = 2 + PAIRS;
/// Bits of a limb.
pub const LIMB: u32 = 12;
/// Digits of a requantisation, base 4096.
pub const DIGITS: usize = 6;
/// Bits of a prf word below its top.
pub const WORD_BITS: u32 = 24;
/// Makes a direct accumulator, or the sum of a pair of limbs, positive.
pub const LIMB_OFFSET: i64 = 127 << 23;
/// Makes a wide accumulator positive.
pub const WIDE_OFFSET: i64 = 1 << 47;
/// Makes a quotient positive.
pub const QUOTIENT_OFFSET: i64 = 1 << 23;
/// Makes a numerator positive.
pub const NUMERATOR_OFFSET: i64 = 1 << 24;

/// All tables, in the order of [`index`].
pub static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    Tables::new(vec![
        sponge::air(),
        node::air(),
        spread::air(),
        wide::air(),
        row_dot::air(),
        read_dot::air(),
        limbs::air(),
        gate::air(),
        pick::air(),
        scan::air(),
        div::air(),
        noise::air(),
        bits::air(),
        digest::air(),
        record::air(),
        act::air(),
        range::air(),
    ])
});

#[cfg(test)]
mod tests {
    use p3_field::{PackedValue, PrimeCharacteristicRing};

    use super::page::page;
    use super::*;
    use crate::hash::Elem;
    use crate::hash::poseidon::{LANES, Packed};
    use crate::stark::air::{Air, evaluate_row};
    use crate::stark::tape::Tape;

    #[test]
    fn tables_have_their_indices() {
        let names: Vec<&str> = TABLES.airs.iter().map(|air| air.name.as_str()).collect();
        assert_eq!(names[index::SPONGE], "sponge");
        assert_eq!(names[index::DIV], "div");
        assert_eq!(names[index::RANGE], "range");
    }

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../verifier/stark/tables.bin");
    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/tables.txt");

    #[test]
    fn the_tables_file_is_up_to_date() {
        let found = std::fs::read(FILE).unwrap();
        assert!(found == TABLES.bytes(), "run: make tables");
    }

    /// Runs a tape on random columns, twice in one room, against the nodes evaluated one by one.
    fn run_and_compare(air: &Air) {
        let mut state = 12345u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
            Elem::from_u64(state >> 20)
        };
        let tape = Tape::new(air);
        let mut room = tape.room();
        for _ in 0..2 {
            let mut fill = |columns: &mut [Packed]| {
                columns.iter_mut().for_each(|column| *column = Packed::from_fn(|_| random()));
            };
            fill(tape.publics(&mut room));
            fill(tape.mains(&mut room));
            fill(tape.next(&mut room));
            let ends = [false, true].map(|end| Packed::from(Elem::from_bool(end)));
            tape.ends(&mut room).copy_from_slice(&ends);
            let lane = |columns: &mut [Packed], lane: usize| -> Vec<Elem> {
                columns.iter().map(|column| column.as_slice()[lane]).collect()
            };
            let rows: Vec<[Vec<Elem>; 2]> = (0..LANES)
                .map(|i| [lane(tape.publics(&mut room), i), lane(tape.mains(&mut room), i)])
                .collect();
            let nexts: Vec<Vec<Elem>> = (0..LANES).map(|i| lane(tape.next(&mut room), i)).collect();
            tape.run(&mut room);
            let mut values = Vec::new();
            for (i, [publics, mains]) in rows.iter().enumerate() {
                let mut next = vec![Elem::ZERO; air.mains];
                air.next.iter().zip(&nexts[i]).for_each(|(&column, &x)| next[column] = x);
                evaluate_row(air, publics, mains, &next, (false, true), &mut values);
                let elements = air.lookups().flat_map(|l| l.tuple.iter().chain([&l.multiplicity]));
                for &node in air.constraints.iter().chain(elements) {
                    let found = room[tape.slot_of(node)].as_slice()[i];
                    assert_eq!(found, values[node as usize], "{}: node {node}", air.name);
                }
            }
        }
    }

    #[test]
    fn tapes_compute_what_the_nodes_say() {
        for air in &TABLES.airs {
            run_and_compare(air);
            run_and_compare(&air.only_lookups(|_| true));
        }
    }

    #[test]
    fn the_page_of_the_tables_is_up_to_date() {
        let found = std::fs::read_to_string(PAGE).unwrap();
        assert!(found == page(), "run: make tables");
    }

    #[test]
    #[ignore = "writes verifier/stark/tables.bin and docs/tables.txt"]
    fn write_tables() {
        std::fs::write(FILE, TABLES.bytes()).unwrap();
        std::fs::write(PAGE, page()).unwrap();
    }
}
