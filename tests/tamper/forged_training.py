"""Tamperings of a training run: its records and their order, its start, seed, place and export.

Unless said otherwise everything else is computed and hashed honestly.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
from forged_statements import OTHER, restated
from forger import (
    NONCE,
    committed,
    execute,
    poke,
    receipt_of,
    reopened,
    run,
    victim,
)
from registry import tampering

from support import training
from support.receipts import DATA_KEY, PRF_SEED, Prover, Tree
from support.training import LABEL, MOMENTUM, SCALE, W, X
from zktally.verifier.journal import DECLARED, OWN, ROOT, ZERO_DIGEST
from zktally.verifier.keys import derived_seed
from zktally.verifier.policy import Policy
from zktally.verifier.roots import seed_commitment, weights_root

LAX = Policy(max_delta=0.5, min_bits=1)


def other_records(records) -> bytes:
    """The run with other records in the slots of its steps than the order has."""
    return execute(run("trained"), records=records).commit().receipt()


# Records and their order.


@tampering("records: one of another slot in step 0", "verify.gate", "trained")
def _():
    return other_records(lambda step, own: poke(own, (own[0] + 1) % 7) if step == 0 else own)


@tampering("records: those of a batch out of order", "verify.gate", "trained")
def _():
    return other_records(lambda step, own: own[::-1] if step == 2 else own)


@tampering("records: a batch repeated", "verify.gate", "trained")
def _():
    forged = run("trained")
    first = forged.records_of(0)
    return other_records(lambda step, own: first if step == 1 else own)


@tampering("records: a batch skipped", "verify.gate", "trained")
def _():
    forged = run("trained")
    return other_records(lambda step, own: forged.records_of(step + 1))


@tampering("records: the easiest one in all slots", "verify.gate", "trained")
def _():
    return other_records(lambda step, own: np.zeros_like(own))


@tampering("records: the order of another seed", "verify.gate", "trained")
def _():
    forged, other = run("trained"), run("trained")
    other.seed = PRF_SEED
    return execute(forged, records=lambda step, own: other.records_of(step)).commit().receipt()


@tampering("records: a batch of the run before", "verify.gate", "trained on")
def _():
    """A continued run that begins its order again."""
    forged, before = run("trained on"), run("trained")
    return execute(forged, records=lambda step, own: before.records_of(step)).commit().receipt()


def with_data(forged: Prover, tensor: int, array: np.ndarray) -> Prover:
    """The run on another data set, under the seed that the victim's has."""
    rank = forged.program.data.index(tensor)
    forged.data[tensor] = array
    forged.data_trees[tensor] = Tree(forged.program.tensors[tensor], array, DATA_KEY, 0, rank)
    return forged


def flipped() -> Prover:
    forged = run("trained")
    read = int(forged.records_of(1)[0])
    labels = poke(forged.data[LABEL], 3 - int(forged.data[LABEL][read, 0]), read)
    return execute(with_data(forged, LABEL, labels)).commit()


@tampering("data set: a label flipped, honestly stated", "verify.dataset-mismatch", "trained")
def _():
    return flipped().receipt()


@tampering("data set: a label flipped, under the victim's root", "verify.dataset-root", "trained")
def _():
    return flipped().change(dataset_root=committed("trained").journal.dataset_root).receipt()


@tampering("data set: a label flipped, under the victim's trees", "verify.opening", "trained")
def _():
    """Root and all are the victim's; only the leaf that is shown is another."""
    forged, honest = flipped(), committed("trained")
    tree = forged.trees["data", LABEL]
    own = honest.trees["data", LABEL]
    tree.levels, tree.root = own.levels, own.root
    return forged.change(dataset_root=honest.journal.dataset_root).receipt()


@tampering("data set: its roots in another order", "verify.dataset-root", "trained")
def _():
    forged = copy.deepcopy(committed("trained"))
    x, label = (forged.trees["data", t] for t in (X, LABEL))
    x.root, label.root = label.root, x.root
    return forged.receipt()


def under_root(root: bytes) -> Prover:
    """The run with the seed that follows from another root."""
    forged = run("trained")
    forged.seed = derived_seed(forged.checked.id, root, NONCE)
    forged.initial = {link.state: forged.start_of(link) for link in forged.program.states}
    return execute(forged).commit().change(dataset_root=root)


@tampering("data set: another root, and all that follows from it", "verify.dataset-root", "trained")
def _():
    return under_root(OTHER).receipt(), victim("trained", dataset_root=OTHER)


@tampering("data set: another root than the caller's", "verify.dataset-mismatch", "trained")
def _():
    return under_root(OTHER).receipt()


@tampering("data set: none that the caller named", "verify.dataset-mismatch", "trained")
def _():
    return receipt_of("trained"), victim("trained", dataset_root=None)


@tampering("data set: named for a program without one", "verify.dataset-mismatch", "average")
def _():
    return receipt_of("average"), victim("average", dataset_root=OTHER)


# The start.


def starting(change) -> Prover:
    """A run from another state, which claims to start as declared."""
    forged = run("trained")
    forged.initial = change(dict(forged.initial))
    return execute(forged).commit()


@tampering("start: a drawn weight chosen", "verify.start", "trained")
def _():
    return starting(lambda state: state | {W: poke(state[W], 99, 17)}).receipt()


@tampering("start: a weight chosen, of a state that the caller names", "verify.start", "trained")
def _():
    """Whoever names a state does not say with that that it is the declared one."""
    forged = starting(lambda state: state | {W: poke(state[W], 99, 17)})
    policy = replace(LAX, start="declared")
    named = forged.journal.initial_state
    return forged.receipt(), victim("trained", policy=policy, initial_state=named)


@tampering("start: a constant momentum chosen", "verify.start", "trained")
def _():
    return starting(lambda state: state | {MOMENTUM: poke(state[MOMENTUM], -1, 31)}).receipt()


@tampering("start: drawn from another seed", "verify.start", "trained")
def _():
    other = run("trained")
    other.seed = PRF_SEED
    link = other.program.states[0]
    return starting(lambda state: state | {W: other.start_of(link)}).receipt()


@tampering("start: the declared values under salts", "verify.start", "trained")
def _():
    forged = run("trained")
    forged.declared = False
    return forged.commit().change(start=DECLARED).receipt()


@tampering("start: a trained state sold as the beginning", "verify.start", "trained")
def _():
    last = run("trained").trace[-1]
    links = run("trained").program.states
    return starting(lambda state: {link.state: last[link.value] for link in links}).receipt()


@tampering("start: a root, where the policy wants the declared one", "policy.start", "trained on")
def _():
    policy = replace(LAX, start="declared")
    return receipt_of("trained on"), victim("trained on", policy=policy)


@tampering("start: another root than the caller's", "verify.state-mismatch", "trained on")
def _():
    return receipt_of("trained on"), victim("trained on", initial_state=OTHER)


# Seed, noise and nonce.


@tampering("seed: the commitment to another one", "verify.prf-seed", "trained")
def _():
    return reopened("trained", prf_seed=OTHER)


@tampering("seed: the prover's own, committed to", "verify.prf-seed", "trained")
def _():
    """Records and start are those of the derived seed, so that only the commitment is wrong."""
    return reopened("trained", prf_seed=seed_commitment(PRF_SEED))


@tampering("seed: another nonce than the caller's", "verify.nonce-mismatch", "trained")
def _():
    return receipt_of("trained"), victim("trained", nonce=b"another")


def renamed(**changes: object) -> bytes:
    """The run under a nonce that came later: opened for it, and computed before it."""
    forged = copy.copy(committed("trained"))
    later = derived_seed(forged.checked.id, forged.journal.dataset_root, b"later")
    forged.seed = later
    commitment = seed_commitment(later)
    return forged.change(nonce=b"later", **{"prf_seed": commitment, **changes}).receipt()


@tampering("nonce: changed afterwards", "verify.prf-seed", "trained")
def _():
    honest = committed("trained").journal.prf_seed
    return renamed(prf_seed=honest), victim("trained", nonce=b"later")


@tampering("nonce: changed afterwards, and the seed with it", "verify.start", "trained")
def _():
    return renamed(), victim("trained", nonce=b"later")


@tampering("nonce: changed afterwards, from a root", "verify.gate", "trained")
def _():
    return renamed(start=ROOT), victim("trained", nonce=b"later")


@tampering("noise: of the step after", "verify.gate", "trained")
def _():
    forged = run("trained")
    own = [forged.records_of(step) for step in range(4)]
    ahead = execute(forged, of_step=lambda step: step + 1, records=lambda step, _: own[step])
    return ahead.commit().receipt()


@tampering("noise: of the beginning of the run, in its continuation", "verify.gate", "trained on")
def _():
    forged = run("trained on")
    own = [forged.records_of(step) for step in range(3)]
    again = execute(forged, of_step=lambda step: step - 4, records=lambda step, _: own[step])
    return again.commit().receipt()


# The place in the run.


def moved(base: str, by: int) -> Prover:
    """A committed run that says it stands elsewhere; what is opened follows."""
    forged = copy.copy(committed(base))
    forged.first += by
    return forged.change(first=forged.first)


@tampering("place: a later step", "verify.input-root", "trained on")
def _():
    return moved("trained on", 1).receipt()


@tampering("place: an earlier step", "verify.input-root", "trained on")
def _():
    return moved("trained on", -1).receipt()


@tampering("place: a later step of a run without data", "verify.input-root", "average")
def _():
    return moved("average", 1).receipt()


@tampering("place: a later step, honestly hashed", "verify.gate", "trained on")
def _():
    """Whoever renumbers a run has to take other noise and other records."""
    forged = run("trained on")
    forged.first += 1
    return forged.commit().receipt()


@tampering("place: a later step under the victim's chain", "verify.chain-root", "trained on")
def _():
    forged, honest = run("trained on"), committed("trained on").journal
    forged.first += 1
    return forged.commit().change(chain_root=honest.chain_root).receipt()


# What is exported.


@tampering("export: another root", "verify.exported-root", "trained")
def _():
    return reopened("trained", exported_root=OTHER)


@tampering("export: the weights of a better run", "verify.exported-root", "trained")
def _():
    return reopened("trained", exported_root=committed("trained on").journal.exported_root)


def exporting(*names: object) -> bytes:
    forged = committed("trained")
    roots = np.array([forged.trees[name].root for name in names], np.uint64)
    return reopened("trained", exported_root=weights_root(roots))


@tampering("export: the state of an earlier step", "verify.exported-root", "trained")
def _():
    return exporting((2, training.NEXT), ("weight", SCALE))


@tampering("export: the state that the run started from", "verify.exported-root", "trained")
def _():
    return exporting(("initial", W), ("weight", SCALE))


@tampering("export: in another order", "verify.exported-root", "trained")
def _():
    return exporting(("weight", SCALE), (3, training.NEXT))


@tampering("export: one tensor less", "verify.exported-root", "trained")
def _():
    return exporting((3, training.NEXT))


# Statements that no program has.

UNFIT = {
    "a data set of a program that has none": ("average", {"dataset_root": OTHER}),
    "no data set of a program that has one": ("trained", {"dataset_root": ZERO_DIGEST}),
    "an export of a program that has none": ("average", {"exported_root": OTHER}),
    "no export of a program that has one": ("trained", {"exported_root": ZERO_DIGEST}),
    "no commitment to a derived seed": ("trained", {"prf_seed": ZERO_DIGEST}),
    "no commitment to the seed of noise": ("kinds", {"prf_seed": ZERO_DIGEST}),
    "a declared start behind the beginning": ("trained on", {"start": DECLARED}),
    "a declared start of a program that declares none": ("average", {"start": DECLARED}),
    "an own seed of a run on data": ("trained on", {"seed": OWN}),
    "a derived seed that nothing needs": ("average", {"seed": 1, "prf_seed": OTHER}),
    "a source of the seed that there is not": ("trained", {"seed": 2}),
    "a start that there is not": ("trained", {"start": 2}),
}
for name, (base, changes) in UNFIT.items():
    tampering(f"run: {name}", "receipt.non-canonical", base)(
        lambda base=base, changes=changes: restated(base, **changes)
    )


@tampering("run: beyond its last step", "receipt.non-canonical", "trained on")
def _():
    """Its last step has position 2^30, where starts are drawn."""
    forged = run("trained on")
    forged.first = 2**30 - 2
    return execute(forged).commit().receipt()


@tampering("run: a start drawn from a seed of zeros, called own", "receipt.non-canonical", "drawn")
def _():
    forged = run("drawn")
    forged.seed = np.zeros(8, np.uint64)
    forged.initial = {link.state: forged.start_of(link) for link in forged.program.states}
    return execute(forged).commit().change(seed=OWN, prf_seed=ZERO_DIGEST).receipt()


# Policies of a run.

POLICIES = {
    "an own seed": ("policy.seed", "kinds", {"seed": "derived"}),
    "an own seed where a nonce is wanted": ("policy.seed", "kinds", {"seed": "nonce"}),
    "a seed without a nonce": ("policy.seed", "sparsely trained", {"seed": "nonce"}),
    "a step more than accepted": ("policy.steps", "trained on", {"max_steps": 6}),
    "an epoch more than accepted": ("policy.epochs", "trained on", {"max_epochs": 3}),
    "smaller batches than accepted": ("policy.batch", "trained", {"batch": (4, 9)}),
    "larger batches than accepted": ("policy.batch", "trained", {"batch": (1, 2)}),
    "larger batches of items": ("policy.batch", "dense", {"batch": (1, 1)}),
    "another program": ("policy.program", "trained", {"programs": (OTHER,)}),
    "no program": ("policy.program", "average", {"programs": ()}),
    "an input that there is not": ("policy.range", "trained", {"ranges": {"momentum": (0, 1)}}),
    "a private input": ("policy.range", "checkable", {"ranges": {"x": (-99, 99)}}),
    "an input below its range": ("policy.range", "trained", {"ranges": {"rate": (1.0, 9.0)}}),
    "an input above its range": ("policy.range", "trained", {"ranges": {"rate": (0.0, 0.01)}}),
    "an integer above its range": ("policy.range", "kinds", {"ranges": {"word": (0, 5)}}),
}
for name, (code, base, changes) in POLICIES.items():

    @tampering(f"policy: {name}", code, base)
    def _(base=base, changes=changes):
        expected = victim(base)
        return receipt_of(base), victim(base, policy=replace(expected.policy, **changes))
