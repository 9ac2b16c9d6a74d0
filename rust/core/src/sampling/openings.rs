//! Which leaves a receipt opens (docs/protocol.md section 5, Openings). Derived by prover and
//! verifier from the plan alone.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::{Draw, Plan};
use crate::commit::{Course, Place, Prepared};
use crate::error::{Error, Result};
use crate::hash::Digest;
use crate::hash::multiproof::sibling_count;
use crate::program::{GatePlan, Role};

pub const SALT_BYTES: usize = 20;
/// Gates that one task looks at.
const GATES_PER_TASK: usize = 256;
/// Marks from which on repetitions are dropped, and what is left is held against the proof's size.
const TIDY_FROM: usize = 1 << 18;

/// A leaf of a tree; the order is the canonical order of trees and leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

impl Mark {
    pub(crate) fn new(place: Place, tensor: usize, leaf: usize) -> Self {
        Self(place.number() << 38 | (tensor as u64) << 26 | leaf as u64)
    }

    pub fn place(self) -> Place {
        Place::of_number(self.0 >> 38)
    }

    pub fn tensor(self) -> usize {
        (self.0 >> 26 & 0xfff) as usize
    }

    pub fn leaf(self) -> usize {
        (self.0 & 0x3ff_ffff) as usize
    }

    fn same_tree(self, other: Self) -> bool {
        self.0 >> 26 == other.0 >> 26
    }
}

impl Prepared {
    /// Bytes of an opened leaf without its salt.
    pub fn leaf_bytes(&self, mark: Mark) -> usize {
        let width = self.checked.program.tensors[mark.tensor()].width;
        self.layout(mark.tensor()).leaf_len(mark.leaf()) * width
    }

    /// Whether a proof shows the prf seed: where there is one that does not follow from the statement.
    pub fn shows_seed(&self, course: &Course) -> bool {
        self.has_prf() && course.seed.is_none()
    }

    /// Bytes of the roots, with which a proof begins.
    pub fn roots_bytes(&self, steps: usize) -> u64 {
        let committed = &self.committed;
        let fixed = committed.weights.len() + committed.data.len() + committed.states.len();
        (fixed + steps * committed.steps.len()) as u64 * Digest::BYTES as u64
    }

    /// Bytes of the roots and of the prf seed where it is shown.
    pub fn head_bytes(&self, course: &Course) -> u64 {
        let seed = if self.shows_seed(course) { Digest::BYTES as u64 } else { 0 };
        self.roots_bytes(course.steps) + seed
    }

    /// Bytes that a proof has at the least: its head, and the outputs of all enumerated ops.
    pub fn least_bytes(&self, course: &Course, plan: &Plan) -> u64 {
        let ops = self.checked.program.ops.iter().zip(&plan.counts.enumerated);
        let outputs = ops.filter(|(_, all)| **all).map(|(op, _)| {
            let tensor = &self.checked.program.tensors[op.out];
            tensor.size() * tensor.width + SALT_BYTES * self.layout(op.out).leaves()
        });
        self.head_bytes(course) + course.steps as u64 * outputs.sum::<usize>() as u64
    }

    /// The leaves to open, ascending, each once. Memory is bounded by `limit`, not by the plan.
    ///
    /// # Errors
    /// `receipt.truncated` where they alone are more than `limit` bytes.
    pub fn marks(&self, course: &Course, plan: &Plan, limit: u64) -> Result<Vec<Mark>> {
        let steps = course.steps;
        let drawn = Mutex::new(MarkSet::new(self, limit));
        plan.draws
            .par_chunks(GATES_PER_TASK)
            .try_for_each(|draws| join(&drawn, self.marks_of_draws(course, draws, limit)?))?;
        let mut marks = finish(drawn)?;
        let template = self.marks_of_every_step(plan, limit)?;
        // A state is read from the step before, hence one time less.
        for (role, times) in [(Role::Input, steps), (Role::Value, steps), (Role::State, steps - 1)]
        {
            let of_role = |mark: &&Mark| self.role(mark) == role;
            let bytes = self.bytes(template.iter().filter(of_role));
            expect_room(bytes.saturating_mul(times as u64), limit)?;
        }
        let mut data = MarkSet::new(self, limit);
        for step in 0..steps {
            for mark in &template {
                let role = self.role(mark);
                let Some((place, tensor)) = self.tree_of(mark.tensor(), step) else { continue };
                let leaf = self.leaf_in(course, mark.tensor(), step, mark.leaf())?;
                let mark = Mark::new(place, tensor, leaf);
                match role {
                    // Steps read one record or another, some of them several times.
                    Role::Data => data.add(mark)?,
                    Role::Weight if step > 0 => {}
                    _ => marks.push(mark),
                }
            }
        }
        data.tidy()?;
        marks.append(&mut data.marks);
        marks.par_sort_unstable();
        marks.dedup();
        Ok(marks)
    }

    fn role(&self, mark: &Mark) -> Role {
        self.checked.program.tensors[mark.tensor()].role
    }

    /// Bytes of leaves with their salts.
    fn bytes<'a>(&self, marks: impl IntoIterator<Item = &'a Mark>) -> u64 {
        marks.into_iter().map(|&mark| (self.leaf_bytes(mark) + SALT_BYTES) as u64).sum()
    }

    /// What a step without draws opens: enumerated ops and published outputs. Each tensor is marked
    /// as one of step 0 under its own number, whatever its role.
    fn marks_of_every_step(&self, plan: &Plan, limit: u64) -> Result<Vec<Mark>> {
        let program = &self.checked.program;
        let template =
            |tensor: usize| self.layouts[tensor].as_ref().map(|_| (Place::Step(0), tensor));
        let all = Mutex::new(MarkSet::new(self, limit));
        for (op, _) in program.ops.iter().zip(&plan.counts.enumerated).filter(|(_, all)| **all) {
            let gates = GatePlan::new(program, op);
            let tasks = (0..op.gates().div_ceil(GATES_PER_TASK)).into_par_iter();
            tasks.try_for_each(|task| {
                let mut marks = MarkSet::new(self, limit);
                let end = op.gates().min((task + 1) * GATES_PER_TASK);
                for gate in task * GATES_PER_TASK..end {
                    // Of data the slots are marked, as if they were records.
                    let find = |_, leaf| Ok(leaf);
                    for operand in gates.new_operands(gate) {
                        marks.add_operand((&gates, operand), gate, template, find)?;
                    }
                    marks.add_output(op.out, gate, template)?;
                }
                join(&all, marks)
            })?;
        }
        let mut outputs = MarkSet::new(self, limit);
        for port in plan.published(program) {
            for leaf in 0..self.layout(port.tensor).leaves() {
                outputs.add(Mark::new(Place::Step(0), port.tensor, leaf))?;
            }
        }
        join(&all, outputs)?;
        finish(all)
    }

    fn marks_of_draws(&self, course: &Course, draws: &[Draw], limit: u64) -> Result<MarkSet<'_>> {
        let program = &self.checked.program;
        let mut marks = MarkSet::new(self, limit);
        for of_op in draws.chunk_by(|a, b| a.op() == b.op()) {
            let op = &program.ops[of_op[0].op()];
            let gates = GatePlan::new(program, op);
            for draw in of_op {
                let step = draw.step();
                let tree = |tensor| self.tree_of(tensor, step);
                let leaf = |tensor, leaf| self.leaf_in(course, tensor, step, leaf);
                for operand in 0..gates.operand_count() {
                    marks.add_operand((&gates, operand), draw.gate(), tree, leaf)?;
                }
                marks.add_output(op.out, draw.gate(), tree)?;
            }
        }
        Ok(marks)
    }
}

/// Collects marks, never many more than twice those that fit `limit` bytes.
struct MarkSet<'a> {
    prepared: &'a Prepared,
    limit: u64,
    marks: Vec<Mark>,
    tidy_at: usize,
}

impl<'a> MarkSet<'a> {
    fn new(prepared: &'a Prepared, limit: u64) -> Self {
        Self { prepared, limit, marks: Vec::new(), tidy_at: TIDY_FROM }
    }

    /// Marks what an operand of a gate reads; `tree` names the tree of each tensor, and `find` the leaf
    /// that stands there for one of the tensor.
    fn add_operand(
        &mut self,
        (gates, operand): (&GatePlan, usize),
        gate: usize,
        tree: impl Fn(usize) -> Option<(Place, usize)>,
        find: impl Fn(usize, usize) -> Result<usize>,
    ) -> Result<()> {
        let prepared = self.prepared;
        let mut marked = Ok(());
        gates.runs_of(operand, gate, None, &mut |tensor, run| {
            let Some((place, number)) = tree(tensor) else { return };
            let mut last = usize::MAX;
            if marked.is_ok() {
                marked = prepared.parts(tensor, run, |leaf, _, _| {
                    if std::mem::replace(&mut last, leaf) == leaf {
                        return Ok(());
                    }
                    self.add(Mark::new(place, number, find(tensor, leaf)?))
                });
            }
        });
        marked
    }

    /// Marks what a gate defines.
    fn add_output(
        &mut self,
        out: usize,
        gate: usize,
        tree: impl Fn(usize) -> Option<(Place, usize)>,
    ) -> Result<()> {
        match tree(out) {
            Some((place, number)) => {
                let leaf = self.prepared.layout(out).locate(gate).0;
                self.add(Mark::new(place, number, leaf))
            }
            None => Ok(()),
        }
    }

    fn add(&mut self, mark: Mark) -> Result<()> {
        self.marks.push(mark);
        if self.marks.len() < self.tidy_at { Ok(()) } else { self.tidy() }
    }

    /// Drops repetitions and looks whether the rest fits. The next time comes once the marks have
    /// doubled, so that all of it costs no more than sorting.
    fn tidy(&mut self) -> Result<()> {
        self.marks.sort_unstable();
        self.marks.dedup();
        self.tidy_at = TIDY_FROM.max(2 * self.marks.len());
        expect_room(self.prepared.bytes(&self.marks), self.limit)
    }
}

/// Adds the marks of a task to those of all tasks.
fn join(all: &Mutex<MarkSet>, mut task: MarkSet) -> Result<()> {
    task.tidy()?;
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.marks.append(&mut task.marks);
    if all.marks.len() < all.tidy_at { Ok(()) } else { all.tidy() }
}

fn finish(all: Mutex<MarkSet>) -> Result<Vec<Mark>> {
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.tidy()?;
    Ok(all.marks)
}

/// Refuses openings of more bytes than a proof has.
pub fn expect_room(bytes: u64, limit: u64) -> Result<()> {
    if bytes <= limit {
        return Ok(());
    }
    Err(Error::new("receipt.truncated", "the proof is shorter than its openings")
        .expected(format!("at least {bytes} bytes"))
        .received(limit))
}

/// The trees with opened leaves, each as a part of `marks`, in canonical order.
pub fn trees(marks: &[Mark]) -> Vec<&[Mark]> {
    marks.chunk_by(|a, b| a.same_tree(*b)).collect()
}

/// Number of siblings of a tree's opening.
pub fn siblings(prepared: &Prepared, marks: &[Mark]) -> usize {
    let opened: Vec<usize> = marks.iter().map(|mark| mark.leaf()).collect();
    sibling_count(prepared.layout(marks[0].tensor()).leaves(), &opened)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::program::testing::{Builder, by_i, map, read};
    use crate::program::{Gather, OpKind, Operand, Pick, PickMode};
    use crate::sampling::Counts;

    fn every_gate(ops: usize) -> Plan {
        let enumerated = vec![true; ops];
        let counts = Counts {
            samples: None,
            per_op: 0,
            even: vec![0; ops],
            per_step: None,
            last_step: None,
            enumerated,
        };
        Plan { counts, draws: vec![], publishes: true }
    }

    fn prepared(builder: Builder) -> Prepared {
        Prepared::new(Arc::new(builder.load()))
    }

    #[test]
    fn marking_stops_where_the_proof_has_no_room() {
        const SIZE: usize = 1 << 21;
        let mut b = Builder::default();
        let x = b.tensor(Role::Input, 1, &[SIZE, 1]);
        let y = b.tensor(Role::Value, 1, &[SIZE, 1]);
        let operands = vec![read(x, &[SIZE, 1], &[by_i(0), by_i(1)])];
        let copy = Pick { mode: PickMode::Copy, window: vec![], operands };
        b.op(y, &[SIZE, 1], OpKind::Pick(copy));
        let error =
            prepared(b).marks(&Course::new(1, 0, None, None), &every_gate(1), 1 << 20).unwrap_err();
        let found = error.expected.unwrap().replace(|c: char| !c.is_ascii_digit(), "");
        assert_eq!(error.code, "receipt.truncated");
        // Not all 2^22 leaves of 21 bytes were gathered before it was refused.
        assert!(found.parse::<u64>().unwrap() < 1 << 24, "{found} bytes");
    }

    #[test]
    fn one_gather_that_opens_more_than_the_proof_is_stopped_within_its_gate() {
        const SIZE: usize = 1 << 20;
        let mut b = Builder::default();
        let table = b.tensor(Role::Weight, 1, &[SIZE, 1]);
        let by = b.ranged(Role::Input, 1, 0, 9, &[1]);
        let out = b.tensor(Role::Value, 1, &[1]);
        let absent = map(None, 0, None, 0, 0);
        let Operand::Read(source) = read(table, &[SIZE, 1], &[absent, absent]) else { panic!() };
        let index = read(by, &[1], &[by_i(0)]);
        b.op(out, &[1], OpKind::Gather(Gather { axis: 0, source, index }));
        let prepared = prepared(b);
        let error =
            prepared.marks(&Course::new(1, 0, None, None), &every_gate(1), 1000).unwrap_err();
        let found = error.expected.unwrap().replace(|c: char| !c.is_ascii_digit(), "");
        assert_eq!(found, (TIDY_FROM * 21).to_string());
        // With room, weights are opened once however many steps there are.
        let marks =
            prepared.marks(&Course::new(3, 0, None, None), &every_gate(1), u64::MAX).unwrap();
        assert_eq!(marks.len(), SIZE + 2 * 3);
    }
}
