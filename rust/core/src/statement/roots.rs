//! Step 8: the roots of a proof against the digests of the statement; where the proof shows none, what
//! the statement alone says of its beginning.

use rayon::prelude::*;

use crate::commit::{Prepared, dataset_root, initial_root, state_digest, weights_root};
use crate::error::{Error, Result, demand};
use crate::hash::{Digest, Key};
use crate::program::StateLink;
use crate::receipt::Journal;
use crate::receipt::journal::DECLARED;
use crate::sampling::seed_of;

/// The roots with which a proof begins.
pub(crate) struct Roots<'a> {
    /// In tensor order.
    pub weights: &'a [Digest],
    pub data: &'a [Digest],
    pub initial: &'a [Digest],
    /// Of each step.
    pub steps: &'a [&'a [Digest]],
}

/// 8. The roots hash to the digests of the statement; so does the prf seed where it is shown or derived.
///
/// A declared start is recomputed, even where the caller names the initial state: the statement says
/// that it is the declared one.
pub(crate) fn check_roots(
    prepared: &Prepared,
    journal: &Journal,
    roots: &Roots,
    shown: Option<Key>,
) -> Result<()> {
    let equal = |found: Digest, claimed: Digest, code, message| {
        demand(found == claimed, code, message, || (claimed.hex(), found.hex()))
    };
    let weights = weights_root(roots.weights);
    equal(weights, journal.weights_root, "verify.weights-root", "the weights have another root")?;
    if let Some((_, records)) = prepared.checked.program.data() {
        let message = "the data set has another root";
        equal(
            dataset_root(records, roots.data),
            journal.dataset_root,
            "verify.dataset-root",
            message,
        )?;
    }
    let derived = seed_of(journal);
    for &seed in derived.iter().chain(&shown) {
        check_seed(journal, seed)?;
    }
    let first = journal.first as usize;
    let chain = prepared.committed.chain(roots.weights, roots.initial, first, roots.steps);
    let message = "the initial state has another digest";
    equal(chain.initial_state, journal.initial_state, "verify.initial-state", message)?;
    if journal.start == DECLARED {
        check_start(prepared, roots.initial, derived.unwrap_or_default())?;
    }
    equal(
        chain.input_root,
        journal.input_root,
        "verify.input-root",
        "the inputs have another root",
    )?;
    let message = "the final state has another digest";
    equal(chain.final_state, journal.final_state, "verify.final-state", message)?;
    let message = "the exported tensors have another root";
    equal(chain.exported_root, journal.exported_root, "verify.exported-root", message)?;
    equal(chain.chain_root, journal.chain_root, "verify.chain-root", "the steps have another root")
}

/// 8. What the statement says of seed and start, of a receipt whose proof shows the rest.
///
/// # Errors
/// `verify.prf-seed` of a derived seed, `verify.start` of a declared start.
pub(crate) fn check_origin(prepared: &Prepared, journal: &Journal) -> Result<()> {
    let derived = seed_of(journal);
    derived.map_or(Ok(()), |seed| check_seed(journal, seed))?;
    if journal.start != DECLARED {
        return Ok(());
    }
    let program = &prepared.checked.program;
    let seed = derived.unwrap_or_default();
    let root = |&state: &usize| {
        let of_state = |link: &&StateLink| link.state == state;
        let start = program.states.iter().find(of_state).and_then(|link| link.start);
        let layout = prepared.layout(state);
        start.map(|start| initial_root(&program.tensors[state], layout, start, seed))
    };
    let roots: Vec<Digest> = prepared.committed.states.par_iter().filter_map(root).collect();
    let found = state_digest(&roots);
    let message = "the chain does not begin as the program declares";
    demand(found == journal.initial_state, "verify.start", message, || {
        (found.hex(), journal.initial_state.hex())
    })
}

fn check_seed(journal: &Journal, seed: Key) -> Result<()> {
    let found = seed.commitment();
    let message = "the prf seed has another commitment";
    demand(found == journal.prf_seed, "verify.prf-seed", message, || {
        (journal.prf_seed.hex(), found.hex())
    })
}

/// The initial state is the declared one: every root of it, recomputed. It has no more elements than
/// the value tensors that it is linked with.
fn check_start(prepared: &Prepared, initial: &[Digest], seed: Key) -> Result<()> {
    let program = &prepared.checked.program;
    let wrong = |(&state, &root): (&usize, &Digest)| {
        let of_state = |link: &&StateLink| link.state == state;
        let start = program.states.iter().find(of_state).and_then(|link| link.start)?;
        let tensor = &program.tensors[state];
        let found = initial_root(tensor, prepared.layout(state), start, seed);
        let message = format!("state {:?} does not begin as the program declares", tensor.name);
        (found != root)
            .then(|| Error::new("verify.start", message).expected(found.hex()).received(root.hex()))
    };
    let states = prepared.committed.states.par_iter().zip(initial);
    states.find_map_first(wrong).map_or(Ok(()), Err)
}
