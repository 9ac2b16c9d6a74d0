//! A run of the steps of a model, what it commits to, and the openings that a journal asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::model::{Model, check_arrays, ints, usage};
use crate::commit::{ChainDigests, Place, Prepared, Salting, prf_bits, salted_tree};
use crate::error::Result;
use crate::exec::Array;
use crate::hash::keys::salt_bytes;
use crate::hash::{Class, Digest, Key, Tree, multiproof};
use crate::program::{Port, Role, Source, Tensor};
use crate::receipt::Journal;
use crate::receipt::journal::MAX_STEPS;
use crate::sampling::openings::trees;
use crate::sampling::{Mark, Plan, seed};
use crate::statement::check_shape;

/// One step of a run.
struct Step {
    /// The input and value tensors in tensor order; `None` for what was dropped.
    arrays: Vec<Option<Array>>,
    /// Executed here, hence repeatable; else pushed.
    executed: bool,
    committed: Option<Commitment>,
}

struct Commitment {
    roots: Vec<Digest>,
    /// `None` for a step that was dropped.
    trees: Option<Vec<Tree>>,
}

/// What a run commits to, for its journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub steps: usize,
    pub digests: ChainDigests,
    /// Commitment to the prf seed; zero without prf tensors.
    pub prf_seed: Digest,
    /// The key of the input salts.
    pub input_key: Key,
    /// Packed values, step by step, port by port.
    pub inputs: Vec<u8>,
    pub outputs: Vec<u8>,
}

/// A chain of steps of one model under one run key.
pub struct Run {
    model: Arc<Model>,
    input_key: Key,
    value_key: Key,
    state_key: Key,
    prf_seed: Option<Key>,
    initial: Vec<Array>,
    initial_trees: Vec<Tree>,
    steps: Vec<Step>,
    /// Memory for traces, and how much of it is used.
    keep_bytes: usize,
    kept_bytes: usize,
}

impl Run {
    /// A run that starts in `initial` (one array per state tensor in tensor order). A run key used
    /// twice repeats salts.
    ///
    /// # Errors
    /// `usage` for a state that does not fit, or a prf seed that is missing or not needed.
    pub fn new(
        model: Arc<Model>,
        run_key: Key,
        prf_seed: Option<Key>,
        initial: Vec<Array>,
        keep_bytes: usize,
    ) -> Result<Self> {
        let prepared = &model.prepared;
        if prepared.has_prf() != prf_seed.is_some() {
            return Err(usage("a prf seed is needed exactly where the program has prf tensors"));
        }
        let states = &prepared.committed.states;
        check_arrays(prepared, states, &initial)?;
        let state_key = run_key.class(Class::States);
        let jobs = states.par_iter().zip(&initial);
        let initial_trees = jobs
            .map(|(&tensor, array)| {
                let salting = Salting { key: state_key, position: 0, tensor };
                salted_tree(ints(array), prepared.layout(tensor), salting)
            })
            .collect();
        Ok(Self {
            input_key: run_key.class(Class::Inputs),
            value_key: run_key.class(Class::Values),
            state_key,
            prf_seed,
            initial,
            initial_trees,
            steps: Vec::new(),
            keep_bytes,
            kept_bytes: 0,
            model,
        })
    }

    /// Executes the next step on one array per input tensor, in tensor order.
    ///
    /// # Errors
    /// `usage` for inputs that do not fit, or more steps than a journal can have.
    pub fn execute(&mut self, inputs: Vec<Array>) -> Result<()> {
        self.check_room()?;
        check_arrays(&self.model.prepared, &self.model.prepared.committed.inputs, &inputs)?;
        let arrays = self.compute(self.steps.len(), inputs)?;
        self.steps.push(Step {
            arrays: arrays.into_iter().map(Some).collect(),
            executed: true,
            committed: None,
        });
        Ok(())
    }

    /// Appends a step that was executed elsewhere: its inputs and its value tensors, in tensor
    /// order. Sizes and ranges are checked, not the arithmetic.
    ///
    /// # Errors
    /// `usage` for arrays that do not fit, or more steps than a journal can have.
    pub fn push(&mut self, inputs: Vec<Array>, values: Vec<Array>) -> Result<()> {
        self.check_room()?;
        let prepared = &self.model.prepared;
        let tensors = prepared.checked.program.of_role(&[Role::Value]);
        check_arrays(prepared, &prepared.committed.inputs, &inputs)?;
        check_arrays(prepared, &tensors, &values)?;
        let arrays = self.in_order(inputs, tensors.into_iter().zip(values).collect());
        self.steps.push(Step {
            arrays: arrays.into_iter().map(Some).collect(),
            executed: false,
            committed: None,
        });
        Ok(())
    }

    /// Builds the trees of all steps that have none yet, then drops what exceeds the budget.
    pub fn commit(&mut self) {
        let committed = &self.model.prepared.committed;
        let pending: Vec<usize> =
            (0..self.steps.len()).filter(|&step| self.steps[step].committed.is_none()).collect();
        let width = committed.steps.len();
        let trees: Vec<Tree> = (0..pending.len() * width)
            .into_par_iter()
            .map(|i| {
                let (step, slot) = (pending[i / width], i % width);
                let array = self.steps[step].arrays[slot].as_ref();
                self.tree(
                    step,
                    committed.steps[slot],
                    array.expect("only committed steps are dropped"),
                )
            })
            .collect();
        let mut trees = trees.into_iter();
        for step in pending {
            let trees: Vec<Tree> = trees.by_ref().take(width).collect();
            let roots = trees.iter().map(Tree::root).collect();
            self.steps[step].committed = Some(Commitment { roots, trees: Some(trees) });
            self.fit_budget(step);
        }
    }

    /// The commitments and values of all steps so far, of which there is at least one.
    ///
    /// # Errors
    /// `usage` without steps.
    pub fn statement(&mut self) -> Result<Statement> {
        if self.steps.is_empty() {
            return Err(usage("a run without steps has no statement"));
        }
        self.commit();
        let prepared = &self.model.prepared;
        let initial: Vec<Digest> = self.initial_trees.iter().map(Tree::root).collect();
        let steps: Vec<&[Digest]> = (0..self.steps.len()).map(|step| self.roots(step)).collect();
        let program = &prepared.checked.program;
        Ok(Statement {
            steps: self.steps.len(),
            digests: prepared.committed.chain(self.model.weights_root, &initial, &steps),
            prf_seed: self.prf_seed.map(|seed| seed.commitment()).unwrap_or_default(),
            input_key: self.input_key,
            inputs: self.packed(&program.inputs),
            outputs: self.packed(&program.outputs),
        })
    }

    /// The row-major values of an input or value tensor in a step.
    ///
    /// # Errors
    /// `usage` where there is no such step or tensor.
    pub fn values(&self, step: usize, tensor: usize) -> Result<Array> {
        let found = self.model.prepared.committed.steps.binary_search(&tensor);
        let (Ok(slot), Some(of_step)) = (found, self.steps.get(step)) else {
            return Err(usage("no such step, or no input or value tensor"));
        };
        match &of_step.arrays[slot] {
            Some(array) => Ok(array.clone()),
            None => Ok(self.repeat(step)?.swap_remove(slot)),
        }
    }

    /// The proof section for the bytes of a journal about all steps of this run.
    ///
    /// # Errors
    /// Those of `Journal::decode`; `receipt.non-canonical` for a journal that does not fit the
    /// program, `usage` for one about another number of steps, `verify.too-large`.
    pub fn open(&mut self, journal_bytes: &[u8]) -> Result<Vec<u8>> {
        let journal = Journal::decode(journal_bytes)?;
        check_shape(&self.model.prepared.checked, &journal)?;
        if journal.steps as usize != self.steps.len() {
            return Err(usage("the journal is about another number of steps"));
        }
        self.commit();
        let prepared = &self.model.prepared;
        let plan = Plan::new(&prepared.checked, &journal, journal_bytes)?;
        let marks = prepared.marks(self.steps.len(), &plan, u64::MAX)?;

        let mut proof = seed(journal_bytes).to_vec();
        let initial = self.initial_trees.iter().map(Tree::root);
        let steps = (0..self.steps.len()).flat_map(|step| self.roots(step).iter().copied());
        for root in self.model.roots.iter().copied().chain(initial).chain(steps) {
            proof.extend(root.to_bytes());
        }
        proof.extend(self.prf_seed.iter().flat_map(|seed| seed.to_bytes()));
        let trees = trees(&marks);
        for of_place in trees.chunk_by(|a, b| a[0].place() == b[0].place()) {
            for part in self.open_place(of_place)? {
                proof.extend(part);
            }
        }
        Ok(proof)
    }

    fn roots(&self, step: usize) -> &[Digest] {
        &self.steps[step].committed.as_ref().expect("committed before").roots
    }

    fn check_room(&self) -> Result<()> {
        if self.steps.len() < MAX_STEPS as usize {
            Ok(())
        } else {
            Err(usage("a run has at most 2^20 steps"))
        }
    }

    /// Executes a step: its inputs and value tensors, in tensor order.
    fn compute(&self, step: usize, inputs: Vec<Array>) -> Result<Vec<Array>> {
        let program = &self.model.prepared.checked.program;
        let prf = |tensor: usize| self.prf_array(step, &program.tensors[tensor]);
        let values = self.model.executor.run(&inputs, &self.state_before(step), &prf)?;
        Ok(self.in_order(inputs, values.into_iter().collect()))
    }

    fn prf_array(&self, step: usize, tensor: &Tensor) -> Result<Array> {
        let (Source::Prf { domain }, Some(seed)) = (&tensor.source, self.prf_seed) else {
            unreachable!("a prf tensor has a domain, its run a seed");
        };
        let bits = prf_bits(tensor.lo, tensor.hi);
        let values = seed.prf_tensor(step, *domain, tensor.lo, bits, tensor.size());
        Array::from_i64(tensor.width, &values)
    }

    fn in_order(&self, inputs: Vec<Array>, mut values: BTreeMap<usize, Array>) -> Vec<Array> {
        let committed = &self.model.prepared.committed;
        values.extend(committed.inputs.iter().copied().zip(inputs));
        values.into_values().collect()
    }

    /// The states that a step reads.
    fn state_before(&self, step: usize) -> Vec<Array> {
        let Some(before) = step.checked_sub(1) else { return self.initial.clone() };
        let committed = &self.model.prepared.committed;
        let slot = |link: &usize| committed.steps.partition_point(|t| t < link);
        let array =
            |link| self.steps[before].arrays[slot(link)].clone().expect("linked values are kept");
        committed.links.iter().map(array).collect()
    }

    /// The arrays of a dropped step, executed again.
    fn repeat(&self, step: usize) -> Result<Vec<Array>> {
        let committed = &self.model.prepared.committed;
        let of_step = committed.steps.iter().zip(&self.steps[step].arrays);
        let inputs = of_step
            .filter(|(tensor, _)| committed.inputs.binary_search(tensor).is_ok())
            .map(|(_, array)| array.clone().expect("inputs are kept"));
        self.compute(step, inputs.collect())
    }

    /// What salts the tree of a tensor in a step: a linked value tensor is the state to come.
    fn salting(&self, step: usize, tensor: usize) -> Salting {
        let prepared = &self.model.prepared;
        let program = &prepared.checked.program;
        if let Some(link) = program.states.iter().find(|link| link.value == tensor) {
            return Salting { key: self.state_key, position: step + 1, tensor: link.state };
        }
        let key = match program.tensors[tensor].role {
            Role::Input => self.input_key,
            _ => self.value_key,
        };
        Salting { key, position: step, tensor }
    }

    fn tree(&self, step: usize, tensor: usize, array: &Array) -> Tree {
        let layout = self.model.prepared.layout(tensor);
        salted_tree(ints(array), layout, self.salting(step, tensor))
    }

    /// Keeps a committed step if the budget allows, else drops what executing it again gives.
    fn fit_budget(&mut self, step: usize) {
        let prepared = &self.model.prepared;
        let ports = &prepared.checked.program.outputs;
        let committed = &prepared.committed;
        let needed = |tensor: usize| {
            committed.inputs.contains(&tensor)
                || committed.links.contains(&tensor)
                || ports.iter().any(|port| port.tensor == tensor)
        };
        let of_step = &mut self.steps[step];
        let Some(commitment) = of_step.committed.as_mut() else { return };
        let arrays = of_step.arrays.iter().flatten().map(|array| ints(array).len() * 4);
        let trees = commitment.trees.iter().flatten().map(Tree::memory);
        let bytes = arrays.chain(trees).sum::<usize>();
        if !of_step.executed || self.kept_bytes.saturating_add(bytes) <= self.keep_bytes {
            self.kept_bytes = self.kept_bytes.saturating_add(bytes);
            return;
        }
        commitment.trees = None;
        for (slot, array) in of_step.arrays.iter_mut().enumerate() {
            if !needed(committed.steps[slot]) {
                *array = None;
            }
        }
    }

    /// The packed values of these ports, step by step.
    fn packed(&self, ports: &[Port]) -> Vec<u8> {
        let committed = &self.model.prepared.committed;
        let mut bytes = Vec::new();
        for step in &self.steps {
            for port in ports {
                let slot = committed.steps.partition_point(|&t| t < port.tensor);
                let array = step.arrays[slot].as_ref().expect("inputs and outputs are kept");
                let values = ints(array);
                values.extend_packed(0..values.len(), &mut bytes);
            }
        }
        bytes
    }

    /// The openings of the trees of one place.
    fn open_place(&self, trees: &[&[Mark]]) -> Result<Vec<Vec<u8>>> {
        let prepared = &self.model.prepared;
        let committed = &prepared.committed;
        let at = |list: &[usize], tensor: usize| list.partition_point(|&t| t < tensor);
        let Place::Step(step) = trees[0][0].place() else {
            return Ok(trees
                .par_iter()
                .map(|marks| {
                    let tensor = marks[0].tensor();
                    let (key, list, arrays, trees) = match marks[0].place() {
                        Place::Weights => (
                            self.model.key,
                            &committed.weights,
                            self.model.executor.weights(),
                            &self.model.trees,
                        ),
                        _ => (
                            self.state_key,
                            &committed.states,
                            &self.initial[..],
                            &self.initial_trees,
                        ),
                    };
                    let slot = at(list, tensor);
                    let salting = Salting { key, position: 0, tensor };
                    open_tree(prepared, &arrays[slot], &trees[slot], salting, marks)
                })
                .collect());
        };
        let of_step = &self.steps[step];
        let kept = of_step.committed.as_ref().and_then(|commitment| commitment.trees.as_ref());
        let repeated = if kept.is_some() { Vec::new() } else { self.repeat(step)? };
        Ok(trees
            .par_iter()
            .map(|marks| {
                let tensor = marks[0].tensor();
                let (slot, salting) = (at(&committed.steps, tensor), self.salting(step, tensor));
                match kept {
                    Some(trees) => {
                        let array = of_step.arrays[slot].as_ref().expect("kept with its trees");
                        open_tree(prepared, array, &trees[slot], salting, marks)
                    }
                    None => {
                        let array = &repeated[slot];
                        open_tree(prepared, array, &self.tree(step, tensor, array), salting, marks)
                    }
                }
            })
            .collect())
    }
}

/// The opening of one tree: values and salts of the leaves, then siblings.
fn open_tree(
    prepared: &Prepared,
    array: &Array,
    tree: &Tree,
    salting: Salting,
    marks: &[Mark],
) -> Vec<u8> {
    let layout = prepared.layout(marks[0].tensor());
    let values = ints(array);
    let opened: Vec<usize> = marks.iter().map(|mark| mark.leaf()).collect();
    let salts = salting.key.salts(salting.position, salting.tensor, &opened);
    let mut bytes = Vec::new();
    for (&leaf, salt) in opened.iter().zip(&salts) {
        layout.runs(leaf, |run| values.extend_packed(run, &mut bytes));
        bytes.extend(salt_bytes(salt));
    }
    bytes.extend(multiproof::prove(tree, &opened).into_iter().flat_map(Digest::to_bytes));
    bytes
}
