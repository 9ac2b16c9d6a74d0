//! Live gates: those whose element reaches an output or a state (docs/protocol.md section 3).
//!
//! Dead gates occur in ordinary networks, but errors hidden in them harm nobody and samples spent on
//! them see nothing; the sample counts are raised by the share that this module derives.

use super::invalid;
use super::operands::OperandRef;
use super::types::*;
use super::weights::Weights;
use crate::error::Result;

/// The live share is a whole number of 1/1024.
pub const LIVE_SCALE: u64 = 1024;

/// `live`: 1024 times the share of the step weight that live gates carry, rounded down; 1 to 1024.
pub(super) fn live_share(program: &Program, weights: &Weights) -> Result<u64> {
    let counts = live_gates(program);
    let mut alive = 0u128;
    for (c, &count) in counts.iter().enumerate() {
        if count == 0 {
            let name = &program.ops[c].name;
            return Err(invalid(format!("op {name}: no gate reaches an output or a state")));
        }
        alive += u128::from(count) * u128::from(weights.gate[c]);
    }
    let share = u128::from(LIVE_SCALE) * alive / u128::from(weights.step.max(1));
    if share < 1 {
        return Err(invalid("less than 1/1024 of the step weight reaches an output or a state"));
    }
    Ok(share as u64)
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

/// Marks what an operand reads, axis by axis of its view.
struct Marker<'a> {
    read: &'a Read,
    window: &'a [usize],
    space: &'a [usize],
    i_axes: Vec<usize>,
    k_axes: Vec<usize>,
}

impl<'a> Marker<'a> {
    fn new(read: &'a Read, window: &'a [usize], space: &'a [usize]) -> Self {
        let sorted = |axes: &mut Vec<usize>| {
            axes.sort_unstable();
            axes.dedup();
        };
        let mut i_axes: Vec<_> = read.maps.iter().filter_map(|m| m.i_axis).collect();
        let mut k_axes: Vec<_> = read.maps.iter().filter_map(|m| m.k_axis).collect();
        sorted(&mut i_axes);
        sorted(&mut k_axes);
        Self { read, window, space, i_axes, k_axes }
    }

    fn mark(&self, target: &mut [bool], live: &[bool]) {
        let projected = self.project(live);
        let shared = |axis: fn(&AxisMap) -> Option<usize>, distinct: usize| {
            self.read.maps.iter().filter(|m| axis(m).is_some()).count() != distinct
        };
        let some_shared =
            shared(|m| m.i_axis, self.i_axes.len()) || shared(|m| m.k_axis, self.k_axes.len());
        if some_shared || projected.iter().any(|&alive| !alive) {
            self.mark_each(target, &projected);
        } else {
            self.mark_product(target);
        }
    }

    /// Which combinations of the space axes that the maps use have a live gate.
    fn project(&self, live: &[bool]) -> Vec<bool> {
        let dims: Vec<usize> = self.i_axes.iter().map(|&axis| self.space[axis]).collect();
        let mut projected = vec![false; dims.iter().product()];
        let mut at = vec![0; self.space.len()];
        for &alive in live {
            if alive {
                let index =
                    self.i_axes.iter().zip(&dims).fold(0, |x, (&axis, dim)| x * dim + at[axis]);
                projected[index] = true;
            }
            advance(&mut at, self.space);
        }
        projected
    }

    /// No axis is shared and all gates are live: what is read is a product of index sets.
    fn mark_product(&self, target: &mut [bool]) {
        let mut offsets = vec![0];
        for (map, &dim) in self.read.maps.iter().zip(&self.read.view) {
            let mut hit = vec![false; dim];
            for i in 0..map.i_axis.map_or(1, |axis| self.space[axis]) {
                for k in 0..map.k_axis.map_or(1, |axis| self.window[axis]) {
                    if let Some(index) = index(map, dim, i, k) {
                        hit[index] = true;
                    }
                }
            }
            let set: Vec<usize> = (0..dim).filter(|&x| hit[x]).collect();
            offsets = offsets.iter().flat_map(|o| set.iter().map(move |x| o * dim + x)).collect();
        }
        for offset in offsets {
            target[offset] = true;
        }
    }

    /// Walks over the live combinations of the axes that the maps use.
    fn mark_each(&self, target: &mut [bool], projected: &[bool]) {
        let i_dims: Vec<usize> = self.i_axes.iter().map(|&axis| self.space[axis]).collect();
        let k_dims: Vec<usize> = self.k_axes.iter().map(|&axis| self.window[axis]).collect();
        let steps: usize = k_dims.iter().product();
        let mut i = vec![0; i_dims.len()];
        for &alive in projected {
            if alive {
                let mut k = vec![0; k_dims.len()];
                for _ in 0..steps {
                    if let Some(offset) = self.offset(&i, &k) {
                        target[offset] = true;
                    }
                    advance(&mut k, &k_dims);
                }
            }
            advance(&mut i, &i_dims);
        }
    }

    fn offset(&self, i: &[usize], k: &[usize]) -> Option<usize> {
        let place = |axes: &[usize], axis: Option<usize>| {
            axis.and_then(|axis| axes.iter().position(|&a| a == axis))
        };
        self.read.maps.iter().zip(&self.read.view).try_fold(0, |offset, (map, &dim)| {
            let at_i = place(&self.i_axes, map.i_axis).map_or(0, |x| i[x]);
            let at_k = place(&self.k_axes, map.k_axis).map_or(0, |x| k[x]);
            index(map, dim, at_i, at_k).map(|x| offset * dim + x)
        })
    }
}

/// The index on one view axis, if there is one.
fn index(map: &AxisMap, dim: usize, i: usize, k: usize) -> Option<usize> {
    let at = i128::from(map.a) * i as i128 + i128::from(map.b) * k as i128 + i128::from(map.c);
    let d = i128::from(map.d);
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
