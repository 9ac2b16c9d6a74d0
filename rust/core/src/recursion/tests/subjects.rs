//! What is attacked: proofs of toys and of a small program, and the rows that verify them.

use std::sync::LazyLock;

use super::proven;
use crate::hybrid::tests::attacks::judge::Table;
use crate::hybrid::tests::programs::dense;
use crate::recursion::child::{Child, Inner};
use crate::recursion::circuit;
use crate::recursion::inner::{Made, Proven};
use crate::recursion::machine::Machine;
use crate::recursion::tables::TABLES;
use crate::stark::air::Tables;
use crate::stark::check::first_failure;
use crate::stark::parameters::{FOLDABLE, Parameters};
use crate::stark::prove::prove;
use crate::stark::statement::Statement;
use crate::stark::tests::{Toy, tables, toy, values};
use crate::stark::{MainTable, PublicTable, PublicTerms};

/// The tables of toys.
pub static TOYS: LazyLock<Tables> = LazyLock::new(tables);

/// Few queries: each is as good as another.
pub static FEW: LazyLock<Parameters> = LazyLock::new(|| Parameters {
    queries: 3,
    hiding_rows: 96,
    batch_bits: 3,
    commit_bits: 2,
    query_bits: 4,
    target: 0.0,
    ..Parameters::new(FOLDABLE, 1, 0).unwrap()
});

/// A toy statement and its proof.
pub struct Subject {
    pub toy: Toy,
    context: u8,
    proof: Vec<u8>,
}

impl Subject {
    pub fn new(toy: Toy, context: u8) -> Self {
        let (proof, _) = prove(&toy.statement(context), toy.mains.clone()).unwrap();
        Self::told(toy, context, proof)
    }

    /// A toy and what is said to be its proof.
    pub fn told(toy: Toy, context: u8, proof: Vec<u8>) -> Self {
        Self { toy, context, proof }
    }

    pub fn proof(&self) -> &[u8] {
        &self.proof
    }

    /// A toy of these heights.
    pub fn of(log_rows: [usize; 2], count: u32, context: u8) -> Self {
        Self::new(Toy { parameters: *FEW, ..toy(&values(count), log_rows) }, context)
    }

    pub fn statement(&self) -> Statement<'_> {
        self.toy.statement(self.context)
    }

    pub fn made(&self) -> Made {
        Made::new(&self.statement(), &TOYS, &self.proof).unwrap()
    }

    pub fn proven(&self) -> Proven {
        self.made().opened().unwrap()
    }
}

pub static SUBJECT: LazyLock<Subject> = LazyLock::new(|| Subject::of([12, 11], 300, 7));
/// Of the same shape, and another statement.
pub static OTHER: LazyLock<Subject> = LazyLock::new(|| Subject::of([12, 11], 299, 8));

/// The rows that verify these.
pub fn machine<'a>(proofs: impl IntoIterator<Item = (&'a Child, &'a Inner)>) -> Machine {
    let mut machine = Machine::default();
    for (child, inner) in proofs {
        circuit::verify(&mut machine, child, Some(inner));
    }
    machine
}

/// What refuses the rows, worked out by one who passes over every demand.
pub fn refusal(machine: &Machine) -> Option<String> {
    let Ok(mains) = machine.lenient_witness() else {
        return Some("what is inside has another shape".into());
    };
    Rows::of(machine, mains).refusal()
}

/// All tables with their columns.
pub struct Rows {
    pub publics: Vec<PublicTable>,
    pub terms: Vec<PublicTerms>,
    pub mains: Vec<MainTable>,
    pub hiding: usize,
}

impl Rows {
    pub fn of(machine: &Machine, mains: Vec<MainTable>) -> Self {
        let publics = machine.publics(&FEW).unwrap();
        Self { publics, terms: machine.terms(), mains, hiding: FEW.hiding_rows }
    }

    pub fn refusal(&self) -> Option<String> {
        first_failure(&TABLES, &self.publics, &self.mains, &self.terms, self.hiding)
    }

    pub fn tables(&self) -> impl Iterator<Item = Table<'_>> {
        self.publics.iter().zip(&self.mains).map(|(public, main)| Table {
            air: &TABLES.airs[public.index],
            public,
            main,
            active: (1 << public.log_rows) - self.hiding,
        })
    }
}

/// The rows that verify a segment of a small program.
pub static DENSE: LazyLock<Rows> = LazyLock::new(|| {
    let segments = proven(&dense(13, 13), 2);
    let machine = machine(segments.iter().map(|Proven { child, inner }| (child, inner)));
    let mains = machine.witness().unwrap();
    Rows::of(&machine, mains)
});
