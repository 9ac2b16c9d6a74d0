//! A run of the steps of a model, what it commits to, and the openings that a journal asks for.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::dataset::Dataset;
use super::model::{Model, check_arrays, ints, usage};
use super::setting::{Keys, Setting, StateSalts};
use super::steps::{Checkpoints, Commitment, Step};
use crate::commit::{
    ChainDigests, Course, MAX_SLOTS, Order, Place, Prepared, Salting, prf_bits, salted_tree,
};
use crate::error::Result;
use crate::exec::{Array, Element};
use crate::hash::keys::{PRF_PER_CALL, prf_value, salt_bytes};
use crate::hash::{Digest, Ints, Key, Tree, multiproof};
use crate::program::{Port, Role, Source, Tensor};
use crate::receipt::Journal;
use crate::receipt::journal::{MAX_POSITION, MAX_STEPS};
use crate::sampling::openings::trees;
use crate::sampling::{Mark, Plan, course, seed};
use crate::statement::check_shape;

/// Calls of the prf that one task makes.
const CALLS_PER_TASK: usize = 1 << 10;

/// What a run commits to, for its journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub steps: usize,
    /// Position of the first step.
    pub first: usize,
    pub digests: ChainDigests,
    /// Zero without data tensors.
    pub dataset_root: Digest,
    /// Commitment to the seed; zero without one.
    pub prf_seed: Digest,
    /// Whether the seed is derived, and whether the start is declared.
    pub derived: bool,
    pub declared: bool,
    /// The key of the input salts.
    pub input_key: Key,
    /// Packed values, step by step, port by port.
    pub inputs: Vec<u8>,
    pub outputs: Vec<u8>,
}

/// The state in which a run ends, with what its trees are salted with.
#[derive(Clone, Debug, PartialEq)]
pub struct FinalState {
    /// In the order of the state tensors.
    pub arrays: Vec<Array>,
    /// The key of the run's states: secret.
    pub key: Key,
    pub position: usize,
}

/// A chain of steps of one model under one run key.
pub struct Run {
    model: Arc<Model>,
    keys: Keys,
    pub(super) first: usize,
    pub(super) seed: Option<Key>,
    /// Whether the seed is derived, and whether the start is declared.
    origin: (bool, bool),
    data: Option<Arc<Dataset>>,
    pub(super) order: Option<Order>,
    initial: State,
    initial_salts: StateSalts,
    initial_trees: Vec<Tree>,
    /// The state after the last step.
    state: State,
    steps: Vec<Step>,
    checkpoints: Checkpoints,
    /// A step that is not kept, and the state before it.
    replayed: Mutex<Option<(usize, State)>>,
    /// Memory for traces, and how much of it is used.
    keep_bytes: usize,
    kept_bytes: usize,
}

/// One array per state tensor, in tensor order.
type State = Vec<Arc<Array>>;

impl Run {
    /// A run in a setting. A run key used twice repeats salts.
    ///
    /// # Errors
    /// `usage` for a setting that does not fit the program; `usage.input` for a state that does not.
    pub fn new(
        model: Arc<Model>,
        run_key: Key,
        mut setting: Setting,
        keep_bytes: usize,
    ) -> Result<Self> {
        let prepared = &model.prepared;
        setting.judge(prepared)?;
        let keys = Keys::of(run_key);
        let origin = (setting.derived(), setting.declared());
        let (initial, initial_salts) = setting.start(prepared, keys.states)?;
        let jobs = prepared.committed.states.par_iter().zip(&initial);
        let tree = |(&tensor, array): (&usize, &Array)| {
            salted_tree(ints(array), prepared.layout(tensor), initial_salts.of(tensor))
        };
        let initial_trees = jobs.map(tree).collect();
        let initial: State = initial.into_iter().map(Arc::new).collect();
        Ok(Self {
            keys,
            first: setting.first,
            seed: setting.seed(prepared),
            origin,
            order: setting.order(prepared),
            data: setting.data,
            state: initial.clone(),
            initial,
            initial_salts,
            initial_trees,
            steps: Vec::new(),
            checkpoints: Checkpoints::default(),
            replayed: Mutex::new(None),
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
        let inputs = inputs.into_iter().map(Arc::new).collect();
        let arrays = self.compute(self.steps.len(), inputs, &self.state)?;
        self.append(arrays, true);
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
        let inputs = inputs.into_iter().map(Arc::new).collect();
        let arrays = self.in_order(inputs, tensors.into_iter().zip(values).collect());
        self.append(arrays, false);
        Ok(())
    }

    fn append(&mut self, arrays: Vec<Arc<Array>>, executed: bool) {
        let step = Step::new(arrays, executed);
        let links = self.links().filter_map(|slot| step.arrays[slot].clone());
        self.state = links.collect();
        self.steps.push(step);
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
        let (derived, declared) = self.origin;
        Ok(Statement {
            steps: self.steps.len(),
            first: self.first,
            digests: prepared.committed.chain(&self.model.roots, &initial, self.first, &steps),
            dataset_root: self.dataset_root(),
            prf_seed: self.seed.map(|seed| seed.commitment()).unwrap_or_default(),
            derived,
            declared,
            input_key: self.keys.inputs,
            inputs: self.packed(&program.inputs),
            outputs: self.packed(&program.outputs),
        })
    }

    /// The root of the data set; zero without one.
    pub fn dataset_root(&self) -> Digest {
        self.data.as_ref().map(|data| data.root).unwrap_or_default()
    }

    /// The state after the last step so far.
    ///
    /// # Errors
    /// `usage` without steps.
    pub fn final_state(&self) -> Result<FinalState> {
        if self.steps.is_empty() {
            return Err(usage("a run without steps ends in no state of its own"));
        }
        let arrays = self.state.iter().map(|array| Array::clone(array)).collect();
        let position = self.first + self.steps.len();
        Ok(FinalState { arrays, key: self.keys.states, position })
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
            Some(array) => Ok(Array::clone(array)),
            None => Ok(Array::clone(&self.repeat(step)?[slot])),
        }
    }

    /// What it takes to show the outputs of steps later: of each step the roots of its trees, then
    /// port by port the packed values and the salts of all leaves. Secret as long as they are.
    ///
    /// # Errors
    /// `usage` without steps.
    pub fn held_outputs(&mut self) -> Result<Vec<u8>> {
        if self.steps.is_empty() {
            return Err(usage("a run without steps has no outputs"));
        }
        self.commit();
        let steps = (0..self.steps.len()).into_par_iter();
        Ok(steps.map(|step| self.held_outputs_of(step)).collect::<Vec<_>>().concat())
    }

    fn held_outputs_of(&self, step: usize) -> Vec<u8> {
        let prepared = &self.model.prepared;
        let mut held: Vec<u8> = self.roots(step).iter().flat_map(|root| root.to_bytes()).collect();
        for port in &prepared.checked.program.outputs {
            let values = self.port_values(step, port);
            values.extend_packed(0..values.len(), &mut held);
            let leaves: Vec<usize> = (0..prepared.layout(port.tensor).leaves()).collect();
            let salts = self.salting(step, port.tensor).of(&leaves);
            held.extend(salts.iter().flat_map(salt_bytes));
        }
        held
    }

    /// The proof section for the bytes of a journal about all steps of this run.
    ///
    /// # Errors
    /// Those of `Journal::decode`; `receipt.non-canonical` for a journal that does not fit the
    /// program, `usage` for one about other steps, data or seeds, `verify.too-large`.
    pub fn open(&mut self, journal_bytes: &[u8]) -> Result<Vec<u8>> {
        let journal = Journal::decode(journal_bytes)?;
        check_shape(&self.model.prepared.checked, &journal)?;
        self.commit();
        let prepared = &self.model.prepared;
        let plan = Plan::new(&prepared.checked, &journal, journal_bytes)?;
        let course = self.course(&journal)?;
        let marks = prepared.marks(&course, &plan, u64::MAX)?;

        let mut proof = seed(journal_bytes).to_vec();
        let data = self.data.iter().flat_map(|data| data.roots.iter().copied());
        let initial = self.initial_trees.iter().map(Tree::root);
        let steps = (0..self.steps.len()).flat_map(|step| self.roots(step).iter().copied());
        for root in self.model.roots.iter().copied().chain(data).chain(initial).chain(steps) {
            proof.extend(root.to_bytes());
        }
        if let Some(seed) = self.seed.filter(|_| prepared.shows_seed(&course)) {
            proof.extend(seed.to_bytes());
        }
        let trees = trees(&marks);
        for of_place in trees.chunk_by(|a, b| a[0].place() == b[0].place()) {
            for part in self.open_place(of_place)? {
                proof.extend(part);
            }
        }
        Ok(proof)
    }

    /// The course of a journal, if it is about this run.
    fn course(&self, journal: &Journal) -> Result<Course> {
        if journal.steps as usize != self.steps.len() {
            return Err(usage("the journal is about another number of steps"));
        }
        let course = course(&self.model.prepared, journal);
        if course.seed != self.seed.filter(|_| self.origin.0) {
            return Err(usage("the journal is about another seed"));
        }
        Ok(course)
    }

    fn roots(&self, step: usize) -> &[Digest] {
        &self.steps[step].committed.as_ref().expect("committed before").roots
    }

    fn check_room(&self) -> Result<()> {
        let steps = self.steps.len();
        if steps >= MAX_STEPS as usize {
            return Err(usage("a run has at most 2^20 steps"));
        }
        if self.first + steps >= MAX_POSITION as usize {
            return Err(usage("a run ends before step 2^30"));
        }
        let slots = self.model.prepared.checked.program.data().map_or(0, |(slots, _)| slots);
        if (steps as u64 + 1).saturating_mul(slots as u64) > MAX_SLOTS {
            return Err(usage("a receipt is about at most 2^24 slots of data: cut the run"));
        }
        Ok(())
    }

    /// Executes a step from a state: its inputs and value tensors, in tensor order.
    fn compute(&self, step: usize, inputs: State, state: &State) -> Result<Vec<Arc<Array>>> {
        let program = &self.model.prepared.checked.program;
        let prf = |tensor: usize| self.prf_array(step, &program.tensors[tensor]);
        let data: State = self.batches(step).into_iter().map(Arc::new).collect();
        let values = self.model.executor.run(&inputs, state, &data, &prf)?;
        Ok(self.in_order(inputs, values))
    }

    /// What a step reads of the data set.
    fn batches(&self, step: usize) -> Vec<Array> {
        let (Some(data), Some(order)) = (&self.data, &self.order) else { return Vec::new() };
        let Prepared { checked, committed, .. } = &*self.model.prepared;
        let tensors: Vec<&Tensor> =
            committed.data.iter().map(|&t| &checked.program.tensors[t]).collect();
        let slots = checked.program.data().map_or(0, |(slots, _)| slots);
        let record = |slot| order.record(self.first + step, slot);
        data.batches(&tensors, &(0..slots).map(record).collect::<Vec<_>>())
    }

    fn prf_array(&self, step: usize, tensor: &Tensor) -> Result<Array> {
        let (Source::Prf { domain }, Some(seed)) = (&tensor.source, self.seed) else {
            unreachable!("a prf tensor has a domain, its run a seed");
        };
        let position = self.first + step;
        Ok(match tensor.width {
            1 => noise::<i8>(seed, position, *domain, tensor),
            2 => noise::<i16>(seed, position, *domain, tensor),
            _ => noise::<i32>(seed, position, *domain, tensor),
        })
    }

    fn in_order(&self, inputs: State, values: Vec<(usize, Array)>) -> Vec<Arc<Array>> {
        let committed = &self.model.prepared.committed;
        let mut all: Vec<(usize, Arc<Array>)> =
            committed.inputs.iter().copied().zip(inputs).collect();
        all.extend(values.into_iter().map(|(tensor, array)| (tensor, Arc::new(array))));
        all.sort_unstable_by_key(|(tensor, _)| *tensor);
        all.into_iter().map(|(_, array)| array).collect()
    }

    /// Where the next states stand among the tensors of a step.
    fn links(&self) -> impl Iterator<Item = usize> + '_ {
        let committed = &self.model.prepared.committed;
        committed.links.iter().map(|link| committed.steps.partition_point(|t| t < link))
    }

    /// The state before a step, where it is kept.
    fn kept_state(&self, step: usize) -> Option<State> {
        let Some(before) = step.checked_sub(1) else { return Some(self.initial.clone()) };
        self.links().map(|slot| self.steps[before].arrays[slot].clone()).collect()
    }

    /// The state before a step, kept or from steps executed again.
    fn state_before(&self, step: usize) -> Result<State> {
        let replayed = self.replayed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut at = step;
        let mut state = loop {
            if let Some((_, state)) = replayed.as_ref().filter(|(after, _)| *after == at) {
                break state.clone();
            }
            if let Some(state) = self.kept_state(at) {
                break state;
            }
            at -= 1;
        };
        for step in at..step {
            let arrays = self.compute(step, self.inputs(step), &state)?;
            state = self.links().map(|slot| arrays[slot].clone()).collect();
        }
        Ok(state)
    }

    fn inputs(&self, step: usize) -> State {
        let committed = &self.model.prepared.committed;
        let of_step = committed.steps.iter().zip(&self.steps[step].arrays);
        of_step
            .filter(|(tensor, _)| committed.inputs.binary_search(tensor).is_ok())
            .map(|(_, array)| array.clone().expect("inputs are kept"))
            .collect()
    }

    /// The arrays of a dropped step, executed again.
    fn repeat(&self, step: usize) -> Result<Vec<Arc<Array>>> {
        let arrays = self.compute(step, self.inputs(step), &self.state_before(step)?)?;
        let after = self.links().map(|slot| arrays[slot].clone()).collect();
        *self.replayed.lock().unwrap_or_else(PoisonError::into_inner) = Some((step + 1, after));
        Ok(arrays)
    }

    /// What salts the tree of a tensor in a step: a linked value tensor is the state to come.
    fn salting(&self, step: usize, tensor: usize) -> Salting {
        let program = &self.model.prepared.checked.program;
        let position = self.first + step;
        if let Some(link) = program.states.iter().find(|link| link.value == tensor) {
            let (key, position) = (self.keys.states, position + 1);
            return Salting::Keyed { key, position, tensor: link.state };
        }
        let key = match program.tensors[tensor].role {
            Role::Input => self.keys.inputs,
            _ => self.keys.values,
        };
        Salting::Keyed { key, position, tensor }
    }

    fn tree(&self, step: usize, tensor: usize, array: &Array) -> Tree {
        let layout = self.model.prepared.layout(tensor);
        salted_tree(ints(array), layout, self.salting(step, tensor))
    }

    /// Keeps a committed step if the budget allows, else drops what executing it again gives; of its
    /// state nothing is left but at checkpoints.
    fn fit_budget(&mut self, step: usize) {
        let of_step = &mut self.steps[step];
        let bytes = of_step.memory();
        if !of_step.executed || self.kept_bytes.saturating_add(bytes) <= self.keep_bytes {
            self.kept_bytes = self.kept_bytes.saturating_add(bytes);
            return;
        }
        of_step.drop_trees();
        let released = self.checkpoints.after(step);
        let kept = self.checkpoints.has(step);
        self.release(step, kept);
        released.into_iter().for_each(|step| self.release(step, false));
    }

    /// Drops the arrays of a step but its inputs and outputs and, at a checkpoint, its state.
    fn release(&mut self, step: usize, checkpoint: bool) {
        let prepared = self.model.prepared.clone();
        let committed = &prepared.committed;
        let ports = &prepared.checked.program.outputs;
        let needed = |tensor: &usize| {
            committed.inputs.contains(tensor)
                || ports.iter().any(|port| port.tensor == *tensor)
                || checkpoint && committed.links.contains(tensor)
        };
        for (tensor, array) in committed.steps.iter().zip(&mut self.steps[step].arrays) {
            if !needed(tensor) {
                *array = None;
            }
        }
    }

    /// The packed values of these ports, step by step.
    fn packed(&self, ports: &[Port]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for step in 0..self.steps.len() {
            for port in ports {
                let values = self.port_values(step, port);
                values.extend_packed(0..values.len(), &mut bytes);
            }
        }
        bytes
    }

    /// The values of a port in a step.
    fn port_values(&self, step: usize, port: &Port) -> Ints<'_> {
        let slot = self.model.prepared.committed.steps.partition_point(|&t| t < port.tensor);
        ints(self.steps[step].arrays[slot].as_ref().expect("inputs and outputs are kept"))
    }

    /// The openings of the trees of one place.
    fn open_place(&self, trees: &[&[Mark]]) -> Result<Vec<Vec<u8>>> {
        let Place::Step(step) = trees[0][0].place() else {
            return Ok(trees.par_iter().map(|marks| self.open_standing(marks)).collect());
        };
        let prepared = &self.model.prepared;
        let of_step = &self.steps[step];
        let kept = of_step.committed.as_ref().and_then(|commitment| commitment.trees.as_ref());
        let repeated = if kept.is_some() { Vec::new() } else { self.repeat(step)? };
        let open = |marks: &&[Mark]| {
            let tensor = marks[0].tensor();
            let slot = prepared.committed.steps.partition_point(|&t| t < tensor);
            let salting = self.salting(step, tensor);
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
        };
        Ok(trees.par_iter().map(open).collect())
    }

    /// The opening of a tree of weights, data or the first state.
    fn open_standing(&self, marks: &[Mark]) -> Vec<u8> {
        let (prepared, tensor) = (&self.model.prepared, marks[0].tensor());
        let committed = &prepared.committed;
        let at = |list: &[usize]| list.partition_point(|&t| t < tensor);
        match (marks[0].place(), &self.data) {
            (Place::Data, Some(data)) => {
                let slot = at(&committed.data);
                let (array, tree) = (&data.arrays[slot], &data.trees[slot]);
                open_tree(prepared, array, tree, data.salting(slot), marks)
            }
            (Place::Weights, _) => {
                let (slot, model) = (at(&committed.weights), &self.model);
                let array = &model.executor.weights()[slot];
                open_tree(prepared, array, &model.trees[slot], model.salts[slot], marks)
            }
            _ => {
                let slot = at(&committed.states);
                let (array, tree) = (&self.initial[slot], &self.initial_trees[slot]);
                open_tree(prepared, array, tree, self.initial_salts.of(tensor), marks)
            }
        }
    }
}

/// The values of a prf tensor in the step at a position.
fn noise<T: Element>(seed: Key, position: usize, domain: u32, tensor: &Tensor) -> Array {
    let (lo, bits) = (tensor.lo, prf_bits(tensor.lo, tensor.hi));
    let mut values = vec![T::narrow(0); tensor.size()];
    let tasks = values.par_chunks_mut(CALLS_PER_TASK * PRF_PER_CALL).enumerate();
    tasks.for_each(|(task, values)| {
        seed.prf_words(position, domain, task * CALLS_PER_TASK, values, |word| {
            T::narrow(prf_value(word, lo, bits).into())
        });
    });
    T::array(values)
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
    let mut bytes = Vec::new();
    for (&leaf, salt) in opened.iter().zip(&salting.of(&opened)) {
        layout.runs(leaf, |run| values.extend_packed(run, &mut bytes));
        bytes.extend(salt_bytes(salt));
    }
    bytes.extend(multiproof::prove(tree, &opened).into_iter().flat_map(Digest::to_bytes));
    bytes
}
