//! What the plain verifier in Python finds, too (tests/unit/test_recursion_layers.py).

use p3_field::PrimeCharacteristicRing;
use sha2::{Digest, Sha256};

use crate::hash::poseidon::words;
use crate::hash::{Elem, hex};
use crate::recursion::child::{Child, Points};
use crate::recursion::layers::{NODE_TAG, Node, machine};
use crate::recursion::tables::TABLES;
use crate::stark::field::from_coefficients;
use crate::stark::parameters::{FOLDABLE, Parameters, REFERENCE_OF_NODES};
use crate::stark::statement::Statement;
use crate::stark::{Grid, PublicTable, PublicTerms};

const ROWS: usize = 40;

/// A table of which column c has 1000·c + r in row r; the engine's columns are not counted.
fn table(index: usize, log_rows: usize) -> PublicTable {
    let mut publics = Grid::zeros(TABLES.airs[index].publics, ROWS);
    for row in 0..ROWS {
        for (column, cell) in publics.row_mut(row)[2..].iter_mut().enumerate() {
            *cell = Elem::from_u64((1000 * column + row) as u64);
        }
    }
    PublicTable { index, log_rows, publics }
}

fn child(heights: &[(usize, usize)], seed: u32) -> Child {
    let publics: Vec<PublicTable> =
        heights.iter().map(|&(i, log_rows)| table(i, log_rows)).collect();
    let values = (0..18).map(Elem::from_u32).collect();
    let terms = [PublicTerms { bus: 1, tuples: Grid { width: 9, values } }];
    let parameters = Parameters::new(FOLDABLE, 1, 102).unwrap();
    let statement = Statement {
        tables: &TABLES,
        publics: &publics,
        terms: &terms,
        parameters: &parameters,
        context: [seed as u8; 32],
    };
    let at = |first: u32| {
        let elements: Vec<Elem> = (first..first + 5).map(Elem::from_u32).collect();
        from_coefficients(&elements)
    };
    let points = Points { alpha: at(seed), beta: at(seed + 5), zeta: at(seed + 10) };
    Child::new(&statement, &TABLES, points).unwrap()
}

#[test]
fn the_statement_of_a_node_is_always_the_same() {
    let children =
        [child(&[(0, 13), (1, 12), (2, 13), (4, 11)], 1), child(&[(3, 11), (4, 11)], 101)];
    let parameters = Parameters::reaching(FOLDABLE, &REFERENCE_OF_NODES, 104.0).unwrap();
    let machine = machine(&children);
    let publics = machine.publics(&parameters).unwrap();
    let node = Node::new(publics, &machine, (NODE_TAG, &children), parameters);
    let mut found = Sha256::new().chain_update(node.context);
    for table in &node.publics {
        assert_eq!(table.log_rows, 14);
        found.update([table.index as u8, table.log_rows as u8]);
        for row in 0..table.publics.rows() {
            let words = words(&table.publics.row(row)[2..]);
            found.update(words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>());
        }
    }
    let tuples = words(&node.terms[0].tuples.values);
    found.update(tuples.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>());
    assert_eq!(
        hex(&<[u8; 32]>::from(found.finalize())),
        "42620559704d53eba8dfc898948d9a5ec4cab88d4a7d8e98b112a74b1b926c24"
    );
}
