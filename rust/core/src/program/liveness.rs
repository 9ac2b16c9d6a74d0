//! Live gates: those whose element reaches an output or a state (docs/protocol.md section 3).
//!
//! Dead gates occur in ordinary networks, but errors hidden in them harm nobody and samples spent on
//! them see nothing; the sample counts are about live gates only.

use super::invalid;
use super::operands::OperandRef;
use super::types::*;
use super::walk::{Segment, Walk};
use crate::error::Result;

/// Steps that marking may take.
const MAX_WORK: u128 = 1 << 32;

/// `L_c`: the number of live gates of each op, at least 1.
///
/// # Errors
/// `program.invalid` where marking is too much work, or an op has no live gate.
pub(super) fn derive(program: &Program) -> Result<Vec<u64>> {
    let work = marking_work(program);
    if work > MAX_WORK {
        return Err(invalid("marking its live gates is too much work")
            .expected(format!("at most {MAX_WORK}"))
            .received(work));
    }
    let counts = live_gates(program);
    match program.ops.iter().zip(&counts).find(|(_, count)| **count == 0) {
        Some((op, _)) => {
            Err(invalid(format!("op {:?}: no gate reaches an output or a state", op.name)))
        }
        None => Ok(counts),
    }
}

/// What marking takes, derived from sizes alone: for each tensor operand of a value tensor, the
/// combinations of the axes that its maps name, the tensor and the space.
pub(super) fn marking_work(program: &Program) -> u128 {
    let mut work = 0u128;
    for op in &program.ops {
        for (read, window) in reads(op) {
            let tensor = &program.tensors[read.tensor];
            if tensor.role == Role::Value {
                let named = Marker::new(&read, &window, &op.space);
                let dims = [named.i_dims, named.k_dims].concat();
                let combinations =
                    dims.iter().fold(1u128, |product, &dim| product.saturating_mul(dim as u128));
                work = work
                    .saturating_add(combinations)
                    .saturating_add((tensor.size() + op.gates()) as u128);
            }
        }
    }
    work
}

/// `L_c`: the number of live gates of each op; call after the program was validated.
pub(super) fn live_gates(program: &Program) -> Vec<u64> {
    let mut masks: Vec<Vec<bool>> = program
        .tensors
        .iter()
        .map(|t| if t.role == Role::Value { vec![false; t.size()] } else { Vec::new() })
        .collect();
    let outputs = program.outputs.iter().map(|port| port.tensor);
    for t in outputs.chain(program.states.iter().map(|link| link.value)) {
        masks[t].fill(true);
    }
    let mut counts = vec![0; program.ops.len()];
    for (c, op) in program.ops.iter().enumerate().rev() {
        let live = std::mem::take(&mut masks[op.out]);
        counts[c] = live.iter().filter(|&&alive| alive).count() as u64;
        if counts[c] > 0 {
            for (read, window) in reads(op) {
                let target = &mut masks[read.tensor];
                if target.iter().any(|&alive| !alive) {
                    Marker::new(&read, &window, &op.space).mark(target, &live);
                }
            }
        }
        masks[op.out] = live;
    }
    counts
}

/// The tensor operands with their windows; a gather's source gets its axis as a window.
fn reads(op: &Op) -> Vec<(Read, Vec<usize>)> {
    let gathered = match &op.kind {
        OpKind::Gather(gather) => Some((&gather.source, gather.axis)),
        _ => None,
    };
    let mut found = Vec::new();
    for used in op.operands() {
        let OperandRef::Read(read) = used.operand else { continue };
        match gathered {
            Some((source, axis)) if std::ptr::eq(source, read) => {
                let mut whole = read.clone();
                whole.maps[axis] =
                    AxisMap { i_axis: None, a: 0, k_axis: Some(0), b: 1, c: 0, d: 1 };
                found.push((whole, vec![read.view[axis]]));
            }
            _ => found.push((read.clone(), used.window.to_vec())),
        }
    }
    found
}

/// Marks what an operand reads, over the axes of space and window that its maps name.
struct Marker<'a> {
    read: &'a Read,
    window: &'a [usize],
    space: &'a [usize],
    /// The named axes, ascending, and their sizes.
    i_axes: Vec<usize>,
    i_dims: Vec<usize>,
    k_axes: Vec<usize>,
    k_dims: Vec<usize>,
}

impl<'a> Marker<'a> {
    fn new(read: &'a Read, window: &'a [usize], space: &'a [usize]) -> Self {
        let distinct = |axis: fn(&AxisMap) -> Option<usize>, dims: &[usize]| {
            let mut axes: Vec<_> = read.maps.iter().filter_map(axis).collect();
            axes.sort_unstable();
            axes.dedup();
            let dims = axes.iter().map(|&axis| dims[axis]).collect();
            (axes, dims)
        };
        let (i_axes, i_dims) = distinct(|map| map.i_axis, space);
        let (k_axes, k_dims) = distinct(|map| map.k_axis, window);
        Self { read, window, space, i_axes, i_dims, k_axes, k_dims }
    }

    fn mark(&self, target: &mut [bool], live: &[bool]) {
        let projected = self.project(live);
        let shared = |axis: fn(&AxisMap) -> Option<usize>, distinct: usize| {
            self.read.maps.iter().filter(|map| axis(map).is_some()).count() != distinct
        };
        let some_shared = shared(|map| map.i_axis, self.i_axes.len())
            || shared(|map| map.k_axis, self.k_axes.len());
        if some_shared || projected.iter().any(|&alive| !alive) {
            self.mark_each(target, &projected);
        } else {
            self.mark_product(target);
        }
    }

    /// Which combinations of the named space axes have a live gate.
    fn project(&self, live: &[bool]) -> Vec<bool> {
        let mut projected = vec![false; self.i_dims.iter().product()];
        let mut at = vec![0; self.space.len()];
        for &alive in live {
            if alive {
                let named = self.i_axes.iter().zip(&self.i_dims);
                projected[named.fold(0, |x, (&axis, dim)| x * dim + at[axis])] = true;
            }
            advance(&mut at, self.space);
        }
        projected
    }

    /// No axis is shared and all gates are live: what is read is a product of index sets.
    fn mark_product(&self, target: &mut [bool]) {
        let indices = |(map, &dim): (&AxisMap, &usize)| {
            let mut hit = vec![false; dim];
            for i in 0..map.i_axis.map_or(1, |axis| self.space[axis]) {
                for k in 0..map.k_axis.map_or(1, |axis| self.window[axis]) {
                    if let Some(index) = index(map, dim, i, k) {
                        hit[index] = true;
                    }
                }
            }
            hit
        };
        let hits: Vec<Vec<bool>> =
            self.read.maps.iter().zip(&self.read.view).map(indices).collect();
        set_product(target, &hits);
    }

    /// Walks over the live combinations of the named axes.
    fn mark_each(&self, target: &mut [bool], projected: &[bool]) {
        let place = |axes: &[usize], axis| axes.iter().position(|&named| Some(named) == axis);
        let mut read = self.read.clone();
        for map in &mut read.maps {
            map.i_axis = place(&self.i_axes, map.i_axis);
            map.k_axis = place(&self.k_axes, map.k_axis);
        }
        let walk = Walk::new(&read, &self.i_dims, &self.k_dims);
        for (combination, _) in projected.iter().enumerate().filter(|(_, alive)| **alive) {
            walk.segments(combination, |segment| {
                if let Segment::Run(run) = segment {
                    for j in 0..run.len {
                        target[run.start.wrapping_add_signed(run.step * j as isize)] = true;
                    }
                }
            });
        }
    }
}

/// Sets the elements of a view, row-major, whose index is hit on every axis.
fn set_product(target: &mut [bool], hits: &[Vec<bool>]) {
    match hits {
        [] => target.fill(true),
        [last] => target.iter_mut().zip(last).for_each(|(marked, hit)| *marked |= hit),
        [first, rest @ ..] => {
            let slices = target.chunks_exact_mut(target.len() / first.len());
            slices
                .zip(first)
                .filter(|(_, hit)| **hit)
                .for_each(|(slice, _)| set_product(slice, rest));
        }
    }
}

/// The index on one view axis, if there is one. Dims are below 2^31 and factors are i32, so nothing
/// overflows.
fn index(map: &AxisMap, dim: usize, i: usize, k: usize) -> Option<usize> {
    let at = i64::from(map.a) * i as i64 + i64::from(map.b) * k as i64 + i64::from(map.c);
    let d = i64::from(map.d);
    let index = usize::try_from(at.div_euclid(d)).ok()?;
    (at.rem_euclid(d) == 0 && index < dim).then_some(index)
}

/// The next index, row-major.
fn advance(at: &mut [usize], dims: &[usize]) {
    for (x, &dim) in at.iter_mut().zip(dims).rev() {
        *x += 1;
        if *x < dim {
            return;
        }
        *x = 0;
    }
}
