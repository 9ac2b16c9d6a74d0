//! Proofs of small programs, verified inside, and attacks on them.

mod cells;
mod checks;
mod forgeries;
mod ledger;
mod removals;
mod same;
mod shapes;
mod subjects;
mod tree;

use super::child::Child;
use super::circuit;
use super::inner::Proven;
use super::layers;
use super::machine::Machine;
use super::tables;
use crate::bytes::{Codes, Reader};
use crate::hybrid::segments::Limits;
use crate::hybrid::tables::TABLES;
use crate::hybrid::tests::fixture::{Case, HIDING};
use crate::hybrid::tests::programs::*;
use crate::stark::check::first_failure;
use crate::stark::parameters::{FOLDABLE, Parameters};
use crate::stark::prove::prove;
use crate::stark::statement::Statement;

const MANY: u32 = 100_000;

/// The proofs of the segments of a program's receipt.
fn proven(program: &crate::program::Program, steps: usize) -> Vec<Proven> {
    let case = Case::new(program, steps, MANY);
    let parameters = Parameters::new(FOLDABLE, 1, 128).unwrap();
    let parameters = Parameters { hiding_rows: HIDING, ..parameters };
    let mut found = Vec::new();
    for items in case.segments(Limits::default()) {
        let schedule = case.schedule(&items).unwrap();
        let statement = Statement {
            tables: &TABLES,
            publics: &schedule.tables,
            terms: &schedule.terms,
            parameters: &parameters,
            context: [3; 32],
        };
        let (proof, _) = prove(&statement, case.witness(&schedule)).unwrap();
        found.push(Proven::read(&statement, &TABLES, &proof).unwrap());
    }
    found
}

#[test]
fn a_proof_satisfies_its_rows() {
    let segments = proven(&dense(13, 13), 2);
    let parameters = Parameters::reaching(FOLDABLE, 103.0).unwrap();
    let mut machine = Machine::default();
    for Proven { child, inner } in &segments {
        circuit::verify(&mut machine, child, Some(inner));
    }
    let publics = machine.publics(&parameters).unwrap();
    for table in &publics {
        let air = &tables::TABLES.airs[table.index];
        eprintln!("{} {} of 2^{}", air.name, table.publics.rows(), table.log_rows);
    }
    let witness = machine.witness().unwrap();
    let hiding = parameters.hiding_rows;
    let failure = first_failure(&tables::TABLES, &publics, &witness, &machine.terms(), hiding);
    assert_eq!(failure, None);
}

/// A tree over several segments, whose heights differ, and what verifies it.
#[test]
fn a_whole_tree_of_proofs_verifies() {
    let programs = [dense(13, 13), picks(), dense(100, 48)];
    let segments = || programs.iter().flat_map(|program| proven(program, 2));
    for count in [1, 3] {
        let leaves: Vec<Proven> = segments().take(count).collect();
        let again: Vec<Child> = leaves.iter().map(|leaf| leaf.child.clone()).collect();
        let proof = layers::prove(leaves, 0).unwrap().0;
        eprintln!("{count} segments: {} bytes", proof.len());
        let mut reader = Reader::new(&proof, Codes::all("receipt.truncated"));
        let bits = layers::verify(again, 0, &mut reader).unwrap();
        assert!(bits >= 103.0 && reader.remaining() == 0);
    }
}
