//! The executor: a whole step in integers, bit by bit what [`crate::program::evaluate`] gives.
//!
//! Dots run as exact matrix products ([`product`]), over whole planes ([`planes`]) or row by row ([`dot`]);
//! picks, gathers and divs row by row ([`rows`]). Only ops whose reads cannot be made affine at a sane size (index maps that leave
//! a tensor by far more than its own extent, gathers with a pad, zeros beyond 32 bits) go gate by gate.

mod acc;
mod affine;
mod array;
mod dot;
mod pairs;
mod planes;
mod product;
mod rows;
mod side;
#[cfg(test)]
mod tests;

use std::borrow::{Borrow, Cow};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use self::affine::{Affine, Fetched};
use self::dot::DotPlan;
use self::rows::{RowOp, by_gates};
use crate::error::{Error, Result};
use crate::program::{Checked, Op, OpKind, Program, Role, Values};

pub(crate) use array::typed;
pub use array::{Array, Element};

/// Elementary operations that make a task worth its dispatch.
const TASK: usize = 1 << 15;

/// A checked program with its weights, prepared to run steps.
#[derive(Debug)]
pub struct Executor {
    checked: Arc<Checked>,
    weights: Vec<Array>,
    plans: Vec<Plan>,
    /// Nanoseconds spent on each op, over all runs.
    spent: Vec<AtomicU64>,
}

#[derive(Debug)]
enum Plan {
    Dot(Box<DotPlan>),
    Rows(RowOp),
    Gates,
}

impl Executor {
    /// Prepares a program; `weights` are the arrays of its weight tensors, in tensor order.
    ///
    /// # Errors
    /// `usage.input` if an array has the wrong length, type or range.
    pub fn new(checked: Arc<Checked>, weights: Vec<Array>) -> Result<Self> {
        let program = &checked.program;
        let mut arrays = Arrays::empty(program);
        arrays.accept(program, Role::Weight, &weights)?;
        let plan = |op: &Op| match &op.kind {
            OpKind::Dot(_) => {
                DotPlan::new(program, op, &arrays).map(|plan| Plan::Dot(Box::new(plan)))
            }
            _ => RowOp::new(program, op).map(Plan::Rows),
        };
        let plans = program.ops.iter().map(|op| plan(op).unwrap_or(Plan::Gates)).collect();
        let spent = program.ops.iter().map(|_| AtomicU64::new(0)).collect();
        drop(arrays);
        Ok(Self { checked, weights, plans, spent })
    }

    pub fn checked(&self) -> &Arc<Checked> {
        &self.checked
    }

    /// The arrays of the weight tensors, in tensor order.
    pub fn weights(&self) -> &[Array] {
        &self.weights
    }

    /// The time that each op has taken, all runs together.
    pub fn spent(&self) -> Vec<Duration> {
        self.spent.iter().map(|nanos| Duration::from_nanos(nanos.load(Ordering::Relaxed))).collect()
    }

    /// Runs one step on the current thread pool: all value tensors with their numbers, in the order of the ops.
    ///
    /// `inputs`, `states` and `data`, the batches of a data set, are the arrays of those tensors, in tensor order; `prf` gives the array of a prf
    /// tensor by its number.
    ///
    /// # Errors
    /// `usage.input` if an array has the wrong length, type or range; those of `prf`.
    pub fn run<A: Borrow<Array>>(
        &self,
        inputs: &[A],
        states: &[A],
        data: &[A],
        prf: &dyn Fn(usize) -> Result<Array>,
    ) -> Result<Vec<(usize, Array)>> {
        let program = &self.checked.program;
        let mut arrays = Arrays::empty(program);
        arrays.accept(program, Role::Input, inputs)?;
        arrays.accept(program, Role::State, states)?;
        arrays.accept(program, Role::Data, data)?;
        for (&t, weight) in program.of_role(&[Role::Weight]).iter().zip(&self.weights) {
            arrays.0[t] = Some(Cow::Borrowed(weight));
        }
        for t in program.of_role(&[Role::Prf]) {
            let array = prf(t)?;
            array.check(&program.tensors[t])?;
            arrays.0[t] = Some(Cow::Owned(array));
        }
        for ((op, plan), spent) in program.ops.iter().zip(&self.plans).zip(&self.spent) {
            let start = Instant::now();
            let out = match program.tensors[op.out].width {
                1 => plan.run::<i8>(program, op, &arrays),
                2 => plan.run::<i16>(program, op, &arrays),
                _ => plan.run::<i32>(program, op, &arrays),
            }?;
            arrays.0[op.out] = Some(Cow::Owned(out));
            spent.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
        let outs = program.ops.iter().map(|op| op.out);
        Ok(outs.map(|t| (t, arrays.take(t))).collect())
    }
}

impl Plan {
    fn run<T: Element>(&self, program: &Program, op: &Op, arrays: &Arrays<'_>) -> Result<Array> {
        match self {
            Self::Dot(plan) => Ok(plan.run::<T>(op, arrays)),
            Self::Rows(plan) => Ok(plan.run::<T>(op, arrays)),
            Self::Gates => by_gates::<T>(program, op, arrays),
        }
    }
}

/// The arrays of all tensors that are known so far, by tensor number.
struct Arrays<'a>(Vec<Option<Cow<'a, Array>>>);

impl<'a> Arrays<'a> {
    fn empty(program: &Program) -> Self {
        Self(vec![None; program.tensors.len()])
    }

    /// Checks and takes the arrays of all tensors of a role.
    fn accept<A: Borrow<Array>>(
        &mut self,
        program: &Program,
        role: Role,
        arrays: &'a [A],
    ) -> Result<()> {
        let tensors = program.of_role(&[role]);
        if tensors.len() != arrays.len() {
            let message = format!("another number of arrays than {role:?} tensors");
            return Err(Error::new("usage.input", message)
                .expected(tensors.len())
                .received(arrays.len()));
        }
        for (t, array) in tensors.into_iter().zip(arrays.iter().map(Borrow::borrow)) {
            array.check(&program.tensors[t])?;
            self.0[t] = Some(Cow::Borrowed(array));
        }
        Ok(())
    }

    fn get(&self, tensor: usize) -> &Array {
        self.0[tensor].as_deref().expect("ops stand in topological order")
    }

    fn known(&self, tensor: usize) -> bool {
        self.0[tensor].is_some()
    }

    fn take(&mut self, tensor: usize) -> Array {
        self.0[tensor].take().expect("every op has run").into_owned()
    }

    fn fetch<'b>(&'b self, affine: &'b Affine) -> Fetched<'b> {
        Fetched::new(affine, &|tensor| self.get(tensor))
    }
}

impl Values for Arrays<'_> {
    fn value(&self, tensor: usize, offset: usize) -> Result<i64> {
        Ok(self.get(tensor).get(offset).into())
    }
}

/// Computes an array of `gates` elements in parallel blocks; `work` operations a gate.
fn by_blocks<T: Element>(
    gates: usize,
    work: usize,
    block: impl Fn(Range<usize>, &mut [T]) + Sync,
) -> Array {
    let len = (TASK / work.max(1)).clamp(16, TASK).min(gates);
    let mut out = vec![T::narrow(0); gates];
    out.par_chunks_mut(len).enumerate().for_each(|(n, out)| {
        block(n * len..n * len + out.len(), out);
    });
    T::array(out)
}
