//! A program with what both sides need to know of its committed tensors.

use std::sync::Arc;

use super::order::Course;
use super::roots::Committed;
use crate::error::{Error, Result};
use crate::hash::unpack;
use crate::program::{Checked, Divisor, LayoutMap, Role, Run, Tensor};

/// Where a tree stands: the model, the data set, the initial state, or a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Weights,
    Data,
    Initial,
    Step(usize),
}

impl Place {
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Weights => 0,
            Self::Data => 1,
            Self::Initial => 2,
            Self::Step(step) => step as u64 + 3,
        }
    }

    pub(crate) fn of_number(number: u64) -> Self {
        match number {
            0 => Self::Weights,
            1 => Self::Data,
            2 => Self::Initial,
            step => Self::Step(step as usize - 3),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Weights => f.write_str("weights"),
            Self::Data => f.write_str("data set"),
            Self::Initial => f.write_str("initial state"),
            Self::Step(step) => write!(f, "step {step}"),
        }
    }
}

/// A checked program with the layouts and lists that both sides need.
#[derive(Debug)]
pub struct Prepared {
    pub checked: Arc<Checked>,
    pub committed: Committed,
    /// Per tensor, of what is committed: the whole data set of a data tensor. `None` for prf tensors.
    pub layouts: Vec<Option<LayoutMap>>,
    /// Row-major stride and extent of the axis along which each tensor's leaves run.
    inner: Vec<(Divisor, Divisor)>,
}

impl Prepared {
    pub fn new(checked: Arc<Checked>) -> Self {
        let layout = |tensor: &Tensor| {
            let layout = tensor.source.layout()?;
            Some(LayoutMap::new(layout, &tensor.committed_shape()))
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
            let len = if run.step == stride.get() as isize {
                let along = dim.get() - dim.remainder(stride.quotient(offset));
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
            Role::Data => (Place::Data, tensor),
            Role::Input | Role::Value => (Place::Step(step), tensor),
            Role::State if step == 0 => (Place::Initial, tensor),
            Role::State => (Place::Step(step - 1), self.committed.link_of(tensor)),
            Role::Prf => return None,
        })
    }

    /// The leaf of its tree in which a step finds a leaf of a tensor: of a data tensor that of the
    /// record which stands in the slot.
    ///
    /// # Errors
    /// `internal` for data in a course without an order of records, which no checked journal has.
    pub fn leaf_in(
        &self,
        course: &Course,
        tensor: usize,
        step: usize,
        leaf: usize,
    ) -> Result<usize> {
        let Some(records) = self.checked.program.tensors[tensor].records() else {
            return Ok(leaf);
        };
        let of_record = self.layout(tensor).leaves() / records;
        let record = course.record(step, leaf / of_record);
        let record = record.ok_or_else(|| Error::new("internal", "data without an order"))?;
        Ok(record * of_record + leaf % of_record)
    }

    pub fn has_prf(&self) -> bool {
        self.checked.program.tensors.iter().any(|tensor| tensor.role == Role::Prf)
    }
}

/// Row-major stride and extent of the last axis, in leaf order, of more than one element.
fn inner_axis(tensor: &Tensor) -> (Divisor, Divisor) {
    let extent = |stride, dim| (Divisor::new(stride), Divisor::new(dim));
    let Some(layout) = tensor.source.layout() else { return extent(1, 1) };
    let inner = layout.order.iter().rev().find(|&&axis| tensor.shape[axis] > 1);
    inner.map_or(extent(1, 1), |&axis| {
        extent(tensor.shape[axis + 1..].iter().product(), tensor.shape[axis])
    })
}

/// The first of these packed values that leaves the declared range of its tensor.
pub fn first_outside(packed: &[u8], tensor: &Tensor) -> Option<i32> {
    let half = 1 << (8 * tensor.width - 1);
    if tensor.lo == -half && tensor.hi == half - 1 {
        return None;
    }
    let mut values = packed.chunks_exact(tensor.width).map(unpack);
    values.find(|value| !(tensor.lo..=tensor.hi).contains(value))
}

/// `b`, where a prf tensor has the range `[lo, lo + 2^b − 1]`.
pub fn prf_bits(lo: i32, hi: i32) -> u32 {
    (i64::from(hi) - i64::from(lo) + 1).ilog2()
}
