//! The steps of a run in memory: what of them is kept.

use std::sync::Arc;

use super::model::ints;
use crate::exec::Array;
use crate::hash::{Digest, Tree};

/// Checkpoints beyond which every other one is given up.
const MOST: usize = 32;

/// One step of a run.
pub(super) struct Step {
    /// The input and value tensors in tensor order; `None` for what was dropped.
    pub arrays: Vec<Option<Arc<Array>>>,
    /// Executed here, hence repeatable; else pushed.
    pub executed: bool,
    pub committed: Option<Commitment>,
}

pub(super) struct Commitment {
    pub roots: Vec<Digest>,
    /// `None` for a step that was dropped.
    pub trees: Option<Vec<Tree>>,
}

impl Step {
    pub fn new(arrays: Vec<Arc<Array>>, executed: bool) -> Self {
        Self { arrays: arrays.into_iter().map(Some).collect(), executed, committed: None }
    }

    /// Bytes of arrays and trees.
    pub fn memory(&self) -> usize {
        let arrays = self.arrays.iter().flatten().map(|array| ints(array).len() * 4);
        let trees = self.committed.iter().flat_map(|commitment| &commitment.trees).flatten();
        arrays.chain(trees.map(Tree::memory)).sum()
    }

    pub fn drop_trees(&mut self) {
        if let Some(commitment) = &mut self.committed {
            commitment.trees = None;
        }
    }
}

/// Steps whose states are kept although the steps are not: a bounded number, evenly spread, so that
/// no step is far behind one.
pub(super) struct Checkpoints {
    interval: usize,
    steps: Vec<usize>,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self { interval: 1, steps: Vec::new() }
    }
}

impl Checkpoints {
    pub fn has(&self, step: usize) -> bool {
        self.steps.last() == Some(&step)
    }

    /// Takes note of a dropped step; those that are checkpoints no longer.
    pub fn after(&mut self, step: usize) -> Vec<usize> {
        let mut released = Vec::new();
        if !(step + 1).is_multiple_of(self.interval) {
            return released;
        }
        self.steps.push(step);
        if self.steps.len() > MOST {
            self.interval *= 2;
            let interval = self.interval;
            let stays = |step: &usize| (step + 1).is_multiple_of(interval);
            released.extend(self.steps.iter().filter(|step| !stays(step)));
            self.steps.retain(stays);
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_few_and_evenly_spread() {
        let mut checkpoints = Checkpoints::default();
        let mut held = Vec::new();
        for step in 0..1000 {
            let released = checkpoints.after(step);
            held.extend(checkpoints.has(step).then_some(step));
            held.retain(|step| !released.contains(step));
            assert!(held.len() <= MOST && held == checkpoints.steps);
        }
        let gaps: Vec<usize> = held.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|&gap| gap == gaps[0]) && gaps[0] <= 64, "{gaps:?}");
        assert!(1000 - held[held.len() - 1] <= gaps[0]);
    }
}
