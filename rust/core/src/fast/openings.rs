//! Which leaves a receipt opens (docs/protocol.md section 5, Openings). Derived by prover and
//! verifier from the plan alone.

use std::sync::Arc;

use rayon::prelude::*;

use super::roots::Committed;
use super::sampling::{Draw, Plan};
use crate::error::{Error, Result};
use crate::hash::Digest;
use crate::hash::multiproof::sibling_count;
use crate::program::{Checked, GatePlan, LayoutMap, Role, Run, Source, Tensor};

pub const SALT_BYTES: usize = 20;
/// Gates that one task looks at.
const GATES_PER_TASK: usize = 256;
/// Gates between two looks at whether the openings still fit the proof.
const GATES_PER_WAVE: usize = 1 << 16;
/// Marks above which a task drops repetitions.
const COMPACT_ABOVE: usize = 1 << 18;

/// Where a tree stands: the model, the initial state, or a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Weights,
    Initial,
    Step(usize),
}

impl Place {
    fn number(self) -> u64 {
        match self {
            Self::Weights => 0,
            Self::Initial => 1,
            Self::Step(step) => step as u64 + 2,
        }
    }
}

/// A leaf of a tree; the order is the canonical order of trees and leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

impl Mark {
    fn new(place: Place, tensor: usize, leaf: usize) -> Self {
        Self(place.number() << 38 | (tensor as u64) << 26 | leaf as u64)
    }

    pub fn place(self) -> Place {
        match self.0 >> 38 {
            0 => Place::Weights,
            1 => Place::Initial,
            step => Place::Step(step as usize - 2),
        }
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

/// A checked program with the layouts and lists that both sides need.
#[derive(Debug)]
pub struct Prepared {
    pub checked: Arc<Checked>,
    pub committed: Committed,
    /// Per tensor; `None` for prf tensors.
    pub layouts: Vec<Option<LayoutMap>>,
    /// Row-major stride and extent of the axis along which each tensor's leaves run.
    inner: Vec<(usize, usize)>,
}

impl Prepared {
    pub fn new(checked: Arc<Checked>) -> Self {
        let layout = |tensor: &Tensor| match &tensor.source {
            Source::Committed(layout) => Some(LayoutMap::new(layout, &tensor.shape)),
            Source::Prf { .. } => None,
        };
        let layouts = checked.program.tensors.iter().map(layout).collect();
        let inner = checked.program.tensors.iter().map(inner_axis).collect();
        Self { committed: Committed::new(&checked), layouts, inner, checked }
    }

    /// Cuts a run of a committed tensor into parts that lie side by side in one leaf: visits leaf,
    /// first slot and length of each.
    pub fn parts(
        &self,
        tensor: usize,
        run: Run,
        mut visit: impl FnMut(usize, usize, usize) -> Result<()>,
    ) -> Result<()> {
        let (layout, (stride, dim)) = (self.layout(tensor), self.inner[tensor]);
        let mut done = 0;
        while done < run.len {
            let offset = run.start.wrapping_add_signed(run.step * done as isize);
            let (leaf, slot) = layout.locate(offset);
            let len = if run.step == stride as isize {
                let along = dim - offset / stride % dim;
                along.min(layout.leaf_len(leaf) - slot).min(run.len - done)
            } else {
                1
            };
            visit(leaf, slot, len)?;
            done += len;
        }
        Ok(())
    }

    /// The layout of a committed tensor.
    pub fn layout(&self, tensor: usize) -> &LayoutMap {
        self.layouts[tensor].as_ref().expect("committed tensors have a layout")
    }

    /// The tree that holds what a gate of `step` reads from `tensor`; `None` for prf tensors.
    pub fn tree_of(&self, tensor: usize, step: usize) -> Option<(Place, usize)> {
        Some(match self.checked.program.tensors[tensor].role {
            Role::Weight => (Place::Weights, tensor),
            Role::Input | Role::Value => (Place::Step(step), tensor),
            Role::State if step == 0 => (Place::Initial, tensor),
            Role::State => (Place::Step(step - 1), self.committed.link_of(tensor)),
            Role::Prf => return None,
        })
    }

    /// Bytes of an opened leaf without its salt.
    pub fn leaf_bytes(&self, mark: Mark) -> usize {
        let width = self.checked.program.tensors[mark.tensor()].width;
        self.layout(mark.tensor()).leaf_len(mark.leaf()) * width
    }

    /// Bytes of the roots and of the prf seed, with which a proof begins.
    pub fn head_bytes(&self, steps: usize) -> u64 {
        let committed = &self.committed;
        let fixed = committed.weights.len() + committed.states.len() + usize::from(self.has_prf());
        (fixed + steps * committed.steps.len()) as u64 * Digest::BYTES as u64
    }

    /// Bytes that a proof has at the least: its head, and the outputs of all enumerated ops.
    pub fn least_bytes(&self, steps: usize, plan: &Plan) -> u64 {
        let ops = self.checked.program.ops.iter().zip(&plan.counts.enumerated);
        let outputs = ops.filter(|(_, all)| **all).map(|(op, _)| {
            let tensor = &self.checked.program.tensors[op.out];
            tensor.size() * tensor.width + SALT_BYTES * self.layout(op.out).leaves()
        });
        self.head_bytes(steps) + steps as u64 * outputs.sum::<usize>() as u64
    }

    pub fn has_prf(&self) -> bool {
        self.checked.program.tensors.iter().any(|tensor| tensor.role == Role::Prf)
    }

    /// The leaves to open, ascending, each once.
    ///
    /// # Errors
    /// `receipt.truncated` where they alone are more than `limit` bytes.
    pub fn marks(&self, steps: usize, plan: &Plan, limit: u64) -> Result<Vec<Mark>> {
        let mut marks: Vec<Mark> = Vec::new();
        for wave in plan.draws.chunks(GATES_PER_WAVE) {
            let drawn = wave.par_chunks(GATES_PER_TASK).map(|draws| self.marks_of_draws(draws));
            marks.extend(drawn.flatten_iter().collect::<Vec<_>>());
            compact(&mut marks);
            expect_room(self.bytes(&marks), limit)?;
        }
        // A state is read from the step before, hence one time less.
        let template = self.marks_of_every_step(plan);
        for (role, times) in [(Role::Input, steps), (Role::Value, steps), (Role::State, steps - 1)]
        {
            let of_role = |mark: &&Mark| self.checked.program.tensors[mark.tensor()].role == role;
            let bytes = self.bytes(template.iter().filter(of_role));
            expect_room(bytes.saturating_mul(times as u64), limit)?;
        }
        for step in 0..steps {
            marks.extend(template.iter().filter_map(|mark| {
                let (place, tensor) = self.tree_of(mark.tensor(), step)?;
                Some(Mark::new(place, tensor, mark.leaf()))
            }));
        }
        marks.par_sort_unstable();
        marks.dedup();
        Ok(marks)
    }

    /// Bytes of leaves with their salts.
    fn bytes<'a>(&self, marks: impl IntoIterator<Item = &'a Mark>) -> u64 {
        marks.into_iter().map(|&mark| (self.leaf_bytes(mark) + SALT_BYTES) as u64).sum()
    }

    /// What a step without draws opens: enumerated ops and output ports. Each tensor is marked as
    /// one of step 0 under its own number, whatever its role.
    fn marks_of_every_step(&self, plan: &Plan) -> Vec<Mark> {
        let program = &self.checked.program;
        let template =
            |tensor: usize| self.layouts[tensor].as_ref().map(|_| (Place::Step(0), tensor));
        let mut all = Vec::new();
        for (op, _) in program.ops.iter().zip(&plan.counts.enumerated).filter(|(_, all)| **all) {
            let gates = GatePlan::new(program, op);
            let tasks = (0..op.gates().div_ceil(GATES_PER_TASK)).into_par_iter();
            let marks: Vec<Vec<Mark>> = tasks
                .map(|task| {
                    let mut marks = Marks::new(self, template);
                    let end = op.gates().min((task + 1) * GATES_PER_TASK);
                    (task * GATES_PER_TASK..end).for_each(|gate| marks.add(&gates, op.out, gate));
                    marks.finish()
                })
                .collect();
            all.extend(marks.into_iter().flatten());
            compact(&mut all);
        }
        for port in &program.outputs {
            let leaves = 0..self.layout(port.tensor).leaves();
            all.extend(leaves.map(|leaf| Mark::new(Place::Step(0), port.tensor, leaf)));
        }
        compact(&mut all);
        all
    }

    fn marks_of_draws(&self, draws: &[Draw]) -> Vec<Mark> {
        let program = &self.checked.program;
        let mut all = Vec::new();
        for of_op in draws.chunk_by(|a, b| a.op() == b.op()) {
            let op = &program.ops[of_op[0].op()];
            let gates = GatePlan::new(program, op);
            for of_step in of_op.chunk_by(|a, b| a.step() == b.step()) {
                let step = of_step[0].step();
                let mut marks = Marks::new(self, |tensor| self.tree_of(tensor, step));
                of_step.iter().for_each(|draw| marks.add(&gates, op.out, draw.gate()));
                all.extend(marks.finish());
            }
        }
        all
    }
}

/// Collects the marks of gates.
struct Marks<'a, F> {
    prepared: &'a Prepared,
    /// The tree in which a read of a tensor is marked.
    tree: F,
    marks: Vec<Mark>,
}

impl<'a, F: Fn(usize) -> Option<(Place, usize)>> Marks<'a, F> {
    fn new(prepared: &'a Prepared, tree: F) -> Self {
        Self { prepared, tree, marks: Vec::new() }
    }

    fn add(&mut self, gates: &GatePlan, out: usize, gate: usize) {
        let Self { prepared, tree, marks } = self;
        gates.runs(gate, None, &mut |tensor, run| {
            let Some((place, number)) = tree(tensor) else { return };
            let mut last = usize::MAX;
            let marked = prepared.parts(tensor, run, |leaf, _, _| {
                if leaf != last {
                    marks.push(Mark::new(place, number, leaf));
                    last = leaf;
                }
                Ok(())
            });
            marked.expect("marking does not fail");
        });
        if let Some((place, number)) = tree(out) {
            marks.push(Mark::new(place, number, prepared.layout(out).locate(gate).0));
        }
        if marks.len() > COMPACT_ABOVE {
            compact(marks);
        }
    }

    fn finish(mut self) -> Vec<Mark> {
        compact(&mut self.marks);
        self.marks
    }
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

fn compact(marks: &mut Vec<Mark>) {
    marks.sort_unstable();
    marks.dedup();
}

/// Row-major stride and extent of the last axis, in leaf order, of more than one element.
fn inner_axis(tensor: &Tensor) -> (usize, usize) {
    let Source::Committed(layout) = &tensor.source else { return (1, 1) };
    let inner = layout.order.iter().rev().find(|&&axis| tensor.shape[axis] > 1);
    inner.map_or((1, 1), |&axis| (tensor.shape[axis + 1..].iter().product(), tensor.shape[axis]))
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
