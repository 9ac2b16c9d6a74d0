//! Digests of a chain (docs/protocol.md section 4): weights, states, inputs, steps.

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
    pub states: Vec<usize>,
    /// The linked value tensors, in the order of the state tensors.
    pub links: Vec<usize>,
    pub inputs: Vec<usize>,
    /// Input and value tensors.
    pub steps: Vec<usize>,
    program_id: Vec<Elem>,
}

/// The digests that a journal names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainDigests {
    pub initial_state: Digest,
    pub input_root: Digest,
    pub final_state: Digest,
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
        Self {
            weights: program.of_role(&[Role::Weight]),
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

    /// The root of a tree, among all roots of a proof: of weights, initial states, and the steps one
    /// after the other.
    pub fn root(&self, roots: [&[Digest]; 3], place: Place, tensor: usize) -> Digest {
        let [weights, initial, steps] = roots;
        let at = |list: &[usize]| list.partition_point(|&t| t < tensor);
        match place {
            Place::Weights => weights[at(&self.weights)],
            Place::Initial => initial[at(&self.states)],
            Place::Step(step) => steps[step * self.steps.len() + at(&self.steps)],
        }
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

    /// The digests of a chain, from its initial state's roots and the roots of each step.
    pub fn chain(
        &self,
        weights_root: Digest,
        initial: &[Digest],
        steps: &[&[Digest]],
    ) -> ChainDigests {
        let initial_state = state_digest(initial);
        let mut before = initial_state;
        let (mut input_leaves, mut step_leaves) = (Vec::new(), Vec::new());
        for (position, roots) in steps.iter().enumerate() {
            let after = self.state_after(roots);
            let mut input = vec![elem(position)];
            input.extend(self.inputs.iter().flat_map(|&t| self.root_in_step(roots, t).0));
            input_leaves.push(sponge(domain::INPUT, 0, &input));
            let mut step = self.program_id.clone();
            step.push(elem(position));
            step.extend(elements(&[weights_root, before, after]).chain(elements(roots)));
            step_leaves.push(sponge(domain::STEP, 0, &step));
            before = after;
        }
        ChainDigests {
            initial_state,
            input_root: counted(domain::INPUTS, input_leaves),
            final_state: before,
            chain_root: counted(domain::CHAIN, step_leaves),
        }
    }
}

/// `H(domain, N ‖ tree)`.
fn counted(domain: u32, leaves: Vec<Digest>) -> Digest {
    let mut input = vec![elem(leaves.len())];
    input.extend(Tree::over(leaves).root().0);
    sponge(domain, 0, &input)
}
