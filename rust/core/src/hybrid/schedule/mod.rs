//! Which rows a segment has, and their public columns (docs/hybrid.md sections 2, 4 and 5).
//!
//! Derived by prover and verifier from the program, the plan and the journal alone.

pub mod addresses;
mod classes;
mod gates;
mod hashes;
pub mod nodes;
pub mod operands;
mod plans;
pub mod records;
pub mod requant;
mod rows;
mod streams;
mod terms;
mod write;

use rayon::prelude::*;

use self::addresses::Addresses;
pub use self::classes::Classes;
use self::nodes::Nodes;
use self::operands::Context;
use self::plans::{Kind, OpPlan};
use self::records::Contents;
use self::requant::Requant;
use self::rows::Rows;
pub use self::write::Heights;
use super::leaves::{ITEMS_PER_TASK, Leaves};
use super::segments::Item;
use super::support::check_supported;
use crate::commit::Prepared;
use crate::error::{Error, Result};
use crate::program::OpKind;
use crate::receipt::Journal;
use crate::sampling::course;
use crate::stark::{PublicTable, PublicTerms};
use crate::table::unwritten::Unwritten;
use crate::watch::{Part, timed};

/// What a verifier knows of a segment's tables, and what the prover needs to fill them.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The tables that have rows, in order of their indices.
    pub tables: Vec<PublicTable>,
    pub terms: Vec<PublicTerms>,
    pub leaves: Leaves,
    pub nodes: Nodes,
    pub contents: Contents,
    pub classes: Classes,
    /// Position of the first step in its run.
    pub first_step: usize,
    /// Addresses of the first wide value and of the first bits value.
    pub first_wide: usize,
    pub first_bits: usize,
    /// Of each row of the gate table, its op.
    pub gate_ops: Vec<u32>,
    /// By op; of dots with gates in the segment.
    pub requants: Vec<Option<Requant>>,
}

impl Schedule {
    /// The schedule of the segment with these items.
    ///
    /// `hiding_rows` are added to each table.
    ///
    /// # Errors
    /// `hybrid.unsupported`; `verify.too-large` for tables of more than 2^22 rows.
    pub fn new(
        prepared: &Prepared,
        journal: &Journal,
        items: &[Item],
        hiding_rows: usize,
    ) -> Result<Self> {
        Draft::new(prepared, journal, items, Heights::hiding(hiding_rows))?.written()
    }

    /// A table, if it has rows.
    pub fn table(&self, index: usize) -> Option<&PublicTable> {
        self.tables.iter().find(|table| table.index == index)
    }
}

pub(super) fn too_large(what: &str) -> Error {
    Error::new("verify.too-large", format!("a segment has too many {what}"))
}

/// The ops that have gates among these items, prepared.
fn plans(prepared: &Prepared, items: &[Item]) -> Vec<Option<OpPlan>> {
    let mut plans: Vec<Option<OpPlan>> =
        prepared.checked.program.ops.iter().map(|_| None).collect();
    for op in items.chunk_by(|a, b| a.op() == b.op()).filter_map(|items| items[0].op()) {
        plans[op] = Some(OpPlan::new(prepared, op));
    }
    plans
}

fn rows(context: &Context, plans: &[Option<OpPlan>], items: &[Item]) -> Result<Rows> {
    let ops = &context.prepared.checked.program.ops;
    let is_dot = |item: &&Item| item.op().is_some_and(|op| matches!(ops[op].kind, OpKind::Dot(_)));
    // Number of dot gates before each task.
    let mut before = 0;
    let tasks: Vec<(usize, &[Item])> = items
        .chunks(ITEMS_PER_TASK)
        .map(|items| {
            let first = before;
            before += items.iter().filter(is_dot).count();
            (first, items)
        })
        .collect();
    let parts: Vec<Rows> = tasks
        .into_par_iter()
        .map(|(first, items)| Rows::of_items(context, plans, items, first))
        .collect::<Result<_>>()?;
    let mut all = Rows::default();
    all.streams.reserve(&parts);
    parts.into_iter().for_each(|rows| all.append(rows));
    Ok(all)
}

/// A schedule of which no public column is written: all that a verifier needs.
pub struct Draft<'a> {
    prepared: &'a Prepared,
    leaves: Leaves,
    nodes: Nodes,
    contents: Contents,
    classes: Classes,
    plans: Vec<Option<OpPlan>>,
    rows: Rows,
    addresses: Addresses,
    pub terms: Vec<PublicTerms>,
    /// Position of the first step in its run.
    first_step: usize,
    heights: Heights,
}

impl<'a> Draft<'a> {
    /// The schedule of the segment with these items, whose tables are no taller than `heights`.
    ///
    /// # Errors
    /// `hybrid.unsupported`; `verify.too-large`, as soon as a number of rows is known that does not fit.
    pub fn new(
        prepared: &'a Prepared,
        journal: &Journal,
        items: &[Item],
        heights: Heights,
    ) -> Result<Self> {
        check_supported(&prepared.checked)?;
        let course = &course(prepared, journal);
        let leaves = timed(Part::Leaves, || Leaves::new(prepared, course, items))?;
        heights.judge(leaves.sponge_rows())?;
        let (nodes, contents) = timed(Part::Records, || -> Result<_> {
            let nodes = Nodes::new(prepared, &leaves, course.steps, heights)?;
            let contents = Contents::new(prepared, journal, &leaves, &nodes);
            Ok((nodes, contents))
        })?;
        let context = Context { prepared, course, leaves: &leaves };
        let plans = plans(prepared, items);
        let rows = timed(Part::Rows, || rows(&context, &plans, items))?;
        let outputs = terms::outputs(prepared, &leaves, journal, items)?;
        let ranges: Vec<_> = outputs.iter().map(|output| output.range.clone()).collect();
        let addresses =
            timed(Part::Addresses, || Addresses::new(prepared, &leaves, &rows, &ranges));
        let terms = terms::terms(&leaves, &nodes, journal, &outputs);
        Ok(Self {
            classes: Classes::new(&prepared.checked.program),
            first_step: course.first,
            prepared,
            leaves,
            nodes,
            contents,
            plans,
            rows,
            addresses,
            terms,
            heights,
        })
    }

    /// The tables that have rows, in order of their indices. All heights are judged before any column is
    /// written.
    ///
    /// # Errors
    /// `verify.too-large` for a table that is too tall.
    pub fn tables(&self) -> Result<Vec<Unwritten<'_>>> {
        let tables = [
            self.sponge(),
            self.node(),
            self.spread(),
            self.wide(),
            self.row_dot(),
            self.read_dot(),
            self.limbs(),
            self.gate(),
            self.pick(),
            self.scan(),
            self.div(),
            self.noise(),
            self.bits(),
            self.digest(),
            self.record(),
            self.act(),
            self.range(),
        ];
        Ok(tables.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// The schedule with its public columns, which a prover needs.
    ///
    /// # Errors
    /// As of [`Draft::tables`].
    pub fn written(self) -> Result<Schedule> {
        let tables = self.tables()?.iter().map(Unwritten::written).collect();
        let requant = |plan: OpPlan| match plan.kind {
            Kind::Dot(dot) => Some(dot.requant),
            _ => None,
        };
        Ok(Schedule {
            tables,
            terms: self.terms,
            first_wide: self.addresses.first_wide,
            first_bits: self.addresses.first_bits,
            gate_ops: self.rows.gates.iter().map(|row| row.op).collect(),
            requants: self.plans.into_iter().map(|plan| plan.and_then(requant)).collect(),
            nodes: self.nodes,
            contents: self.contents,
            classes: self.classes,
            first_step: self.first_step,
            leaves: self.leaves,
        })
    }
}
