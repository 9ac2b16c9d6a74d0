//! 8. The roots of a proof against the digests of the statement.

use crate::commit::{Prepared, weights_root};
use crate::error::{Result, demand};
use crate::hash::{Digest, Key};
use crate::receipt::Journal;

/// The roots with which a proof begins.
pub(crate) struct Roots<'a> {
    /// In tensor order.
    pub weights: &'a [Digest],
    pub initial: &'a [Digest],
    /// Of each step.
    pub steps: &'a [&'a [Digest]],
}

/// 8. The roots hash to the digests of the statement; so does the prf seed where it is shown.
pub(crate) fn check_roots(
    prepared: &Prepared,
    journal: &Journal,
    roots: &Roots,
    prf_seed: Option<Key>,
) -> Result<()> {
    let expect = |found: Digest, claimed: Digest, code, message| {
        demand(found == claimed, code, message, || (claimed.hex(), found.hex()))
    };
    let weights = weights_root(roots.weights);
    expect(weights, journal.weights_root, "verify.weights-root", "the weights have another root")?;
    if let Some(seed) = prf_seed {
        let message = "the prf seed has another commitment";
        expect(seed.commitment(), journal.prf_seed, "verify.prf-seed", message)?;
    }
    let chain = prepared.committed.chain(weights, roots.initial, roots.steps);
    let message = "the initial state has another digest";
    expect(chain.initial_state, journal.initial_state, "verify.initial-state", message)?;
    expect(
        chain.input_root,
        journal.input_root,
        "verify.input-root",
        "the inputs have another root",
    )?;
    let message = "the final state has another digest";
    expect(chain.final_state, journal.final_state, "verify.final-state", message)?;
    expect(chain.chain_root, journal.chain_root, "verify.chain-root", "the steps have another root")
}
