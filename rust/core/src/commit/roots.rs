//! Digests of a chain (docs/protocol.md section 4): weights, states, inputs, steps.

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::prepared::Place;
use crate::hash::poseidon::{elem, pack_bytes, sponge};
use crate::hash::{Digest, Elem, Tree, domain};
use crate::program::{Checked, Role};

fn elements(digests: &[Digest]) -> impl Iterator<Item = Elem> + '_ {
    digests.iter().flat_map(|digest| digest.0)
}

/// `H(WEIGHTS, number of weight tensors, roots)`.
pub fn weights_root(roots: &[Digest]) -> Digest {
    sponge(domain::WEIGHTS, roots.len() as u32, &elements(roots).collect::<Vec<_>>())
}

/// `H(DATASET, number of data tensors, R ‖ roots)`; zero without data tensors.
pub fn dataset_root(records: usize, roots: &[Digest]) -> Digest {
    if roots.is_empty() {
        return Digest::default();
    }
    let input: Vec<_> = std::iter::once(elem(records)).chain(elements(roots)).collect();
    sponge(domain::DATASET, roots.len() as u32, &input)
}

/// The weights root of the model that is served with these tensors as its weights; zero without.
pub fn exported_root(roots: &[Digest]) -> Digest {
    if roots.is_empty() { Digest::default() } else { weights_root(roots) }
}

/// `SHA-256("zktally model v1\0" ‖ program id ‖ weights root)`.
pub fn model_id(program_id: &[u8; 32], weights_root: Digest) -> [u8; 32] {
    let tagged = Sha256::new().chain_update(b"zktally model v1\0");
    tagged.chain_update(program_id).chain_update(weights_root.to_bytes()).finalize().into()
}

/// The digest of a state, from the roots in the order of the state tensors; zero without states.
pub fn state_digest(roots: &[Digest]) -> Digest {
    if roots.is_empty() {
        return Digest::default();
    }
    sponge(domain::STATE, 0, &elements(roots).collect::<Vec<_>>())
}

/// Which tensors have roots, and in what order.
#[derive(Clone, Debug)]
pub struct Committed {
    pub weights: Vec<usize>,
    pub data: Vec<usize>,
    pub states: Vec<usize>,
    /// The linked value tensors, in the order of the state tensors.
    pub links: Vec<usize>,
    pub inputs: Vec<usize>,
    /// Input and value tensors.
    pub steps: Vec<usize>,
    /// Exported tensors: a weight, or the value tensor of a state.
    exports: Vec<Export>,
    program_id: Vec<Elem>,
}

/// Where the root of an exported tensor stands after the last step.
#[derive(Clone, Copy, Debug)]
pub enum Export {
    Weight(usize),
    Value(usize),
}

impl Export {
    /// The tree of a chain of so many steps.
    pub fn tree(self, steps: usize) -> (Place, usize) {
        match self {
            Self::Weight(tensor) => (Place::Weights, tensor),
            Self::Value(tensor) => (Place::Step(steps - 1), tensor),
        }
    }
}

/// What a step hashes of itself: the state that it ends in, its inputs, its record.
#[derive(Clone, Copy, Debug)]
pub struct StepDigests {
    pub after: Digest,
    pub input: Digest,
    pub step: Digest,
}

/// All roots of a proof, in its order.
#[derive(Clone, Copy, Debug)]
pub struct AllRoots<'a> {
    pub weights: &'a [Digest],
    pub data: &'a [Digest],
    pub initial: &'a [Digest],
    /// Of the steps, one after the other.
    pub steps: &'a [Digest],
}

/// The digests that a journal names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainDigests {
    pub initial_state: Digest,
    pub input_root: Digest,
    pub final_state: Digest,
    pub exported_root: Digest,
    pub chain_root: Digest,
}

impl Committed {
    pub fn new(checked: &Checked) -> Self {
        let program = &checked.program;
        let states = program.of_role(&[Role::State]);
        let link = |state: &usize| {
            let found = program.states.iter().find(|link| link.state == *state);
            found.expect("validated: every state tensor stands in a link").value
        };
        let export = |&t: &usize| match program.tensors[t].role {
            Role::State => Export::Value(link(&t)),
            _ => Export::Weight(t),
        };
        Self {
            weights: program.of_role(&[Role::Weight]),
            data: program.of_role(&[Role::Data]),
            exports: program.exports.iter().map(export).collect(),
            links: states.iter().map(link).collect(),
            states,
            inputs: program.of_role(&[Role::Input]),
            steps: program.of_role(&[Role::Input, Role::Value]),
            program_id: pack_bytes(&checked.id),
        }
    }

    /// The root of a tensor among the roots of a step.
    pub fn root_in_step(&self, roots: &[Digest], tensor: usize) -> Digest {
        roots[self.steps.partition_point(|&t| t < tensor)]
    }

    /// The root of a tree, among all roots of a proof.
    pub fn root(&self, roots: AllRoots, place: Place, tensor: usize) -> Digest {
        let AllRoots { weights, data, initial, steps } = roots;
        let at = |list: &[usize]| list.partition_point(|&t| t < tensor);
        match place {
            Place::Weights => weights[at(&self.weights)],
            Place::Data => data[at(&self.data)],
            Place::Initial => initial[at(&self.states)],
            Place::Step(step) => steps[step * self.steps.len() + at(&self.steps)],
        }
    }

    /// The roots of the exported tensors after the last step.
    fn exported(&self, weights: &[Digest], steps: &[&[Digest]]) -> Vec<Digest> {
        let Some(last) = steps.last() else { return Vec::new() };
        let root = |export: &Export| match *export {
            Export::Weight(t) => weights[self.weights.partition_point(|&w| w < t)],
            Export::Value(t) => self.root_in_step(last, t),
        };
        self.exports.iter().map(root).collect()
    }

    /// What is exported, in order.
    pub fn exports(&self) -> impl ExactSizeIterator<Item = Export> + '_ {
        self.exports.iter().copied()
    }

    /// With what the record of every step begins.
    pub fn program_id(&self) -> &[Elem] {
        &self.program_id
    }

    /// Elements of the record of a step: program, position, three digests, roots.
    pub fn step_elements(&self) -> usize {
        self.program_id.len() + 1 + 8 * (3 + self.steps.len())
    }

    /// The value tensor that stands for a state tensor after a step.
    pub fn link_of(&self, state: usize) -> usize {
        self.links[self.states.partition_point(|&t| t < state)]
    }

    /// The digest of the state that a step with these roots ends in.
    pub fn state_after(&self, roots: &[Digest]) -> Digest {
        let links: Vec<_> = self.links.iter().map(|&link| self.root_in_step(roots, link)).collect();
        state_digest(&links)
    }

    /// The digests of a chain, from the roots of weights and initial state, the position of the first
    /// step, and the roots of each.
    pub fn chain(
        &self,
        weights: &[Digest],
        initial: &[Digest],
        first: usize,
        steps: &[&[Digest]],
    ) -> ChainDigests {
        let initial_state = state_digest(initial);
        let digests = self.step_digests(weights_root(weights), initial_state, first, steps);
        let leaves = |of: fn(&StepDigests) -> Digest| digests.iter().map(of).collect();
        ChainDigests {
            initial_state,
            input_root: counted(domain::INPUTS, leaves(|digests| digests.input)),
            final_state: digests.last().map_or(initial_state, |digests| digests.after),
            exported_root: exported_root(&self.exported(weights, steps)),
            chain_root: counted(domain::CHAIN, leaves(|digests| digests.step)),
        }
    }

    /// The digests of each step.
    pub fn step_digests(
        &self,
        weights_root: Digest,
        initial_state: Digest,
        first: usize,
        steps: &[&[Digest]],
    ) -> Vec<StepDigests> {
        let of_step = |step: usize| {
            let roots = steps[step];
            let before =
                step.checked_sub(1).map_or(initial_state, |before| self.state_after(steps[before]));
            let after = self.state_after(roots);
            let inputs: Vec<Digest> =
                self.inputs.iter().map(|&t| self.root_in_step(roots, t)).collect();
            let mut record = self.program_id.clone();
            record.push(elem(first + step));
            record.extend(elements(&[weights_root, before, after]).chain(elements(roots)));
            let input = input_digest(first + step, &inputs);
            StepDigests { after, input, step: sponge(domain::STEP, 0, &record) }
        };
        (0..steps.len()).into_par_iter().with_min_len(16).map(of_step).collect()
    }

    /// The input root, from the position of the first step and the roots of the inputs of each.
    pub fn input_root(&self, first: usize, roots: &[Vec<Digest>]) -> Digest {
        let positions = (first..).zip(roots);
        let leaves = positions.map(|(position, roots)| input_digest(position, roots));
        counted(domain::INPUTS, leaves.collect())
    }
}

fn input_digest(position: usize, roots: &[Digest]) -> Digest {
    let input: Vec<Elem> = std::iter::once(elem(position)).chain(elements(roots)).collect();
    sponge(domain::INPUT, 0, &input)
}

/// `H(domain, N ‖ tree)`.
fn counted(domain: u32, leaves: Vec<Digest>) -> Digest {
    let mut input = vec![elem(leaves.len())];
    input.extend(Tree::over(leaves).root().0);
    sponge(domain, 0, &input)
}
