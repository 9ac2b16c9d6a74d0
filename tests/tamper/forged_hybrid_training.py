"""Tamperings of hybrid receipts of training runs: what is checked outside of the proofs, and in."""

from __future__ import annotations

from dataclasses import replace

import forged_training
from forged_statements import OTHER
from forger import committed, execute, run, victim
from hybrids import hybrid_of, parts_of, proven, spliced
from registry import tampering

from zktally.verifier.journal import OWN, ROOT
from zktally.verifier.policy import Policy

LAX = Policy(max_delta=0.5, min_bits=1, outputs_exact=False)

STATED = {
    "dataset_root": ("verify.dataset-mismatch", OTHER),
    "exported_root": ("verify.stark", OTHER),
    "prf_seed": ("verify.prf-seed", OTHER),
    "seed": ("receipt.non-canonical", OWN),
    "first": ("receipt.non-canonical", 1),
}
for _name, (_code, _value) in STATED.items():

    @tampering(f"hybrid run: another {_name}, the proof names it", _code, "trained")
    def _(name=_name, value=_value):
        return parts_of("trained").restated(**{name: value}).encode()


@tampering("hybrid run: a start that nobody claims, the proof names it", "verify.stark", "trained")
def _():
    """It is true: only the binding of the proof to its statement is against it."""
    return parts_of("trained").restated(start=ROOT).encode()


@tampering("hybrid run: another place, the proof names it", "verify.input-mismatch", "trained on")
def _():
    return parts_of("trained on").restated(first=5).encode()


@tampering("hybrid run: a nonce that came later", "verify.prf-seed", "trained")
def _():
    receipt = parts_of("trained").restated(nonce=b"later").encode()
    return receipt, victim("trained", nonce=b"later")


# Statements and roots of lies, honestly hashed; proofs of the honest run.


@tampering("hybrid run: a label flipped, under the victim's root", "verify.stark", "trained")
def _():
    forged = forged_training.flipped()
    forged.change(dataset_root=committed("trained").journal.dataset_root)
    return spliced(forged.receipt(), "trained")


@tampering("hybrid run: a label flipped, under the victim's trees", "verify.stark", "trained")
def _():
    """Statement and roots of the run on other labels, but for the root of its data."""
    honest, forged = committed("trained"), forged_training.flipped()
    forged.trees["data", forged_training.LABEL].root = honest.data_trees[forged_training.LABEL].root
    forged.change(dataset_root=honest.journal.dataset_root)
    return spliced(forged.receipt(), "trained")


@tampering("hybrid run: a drawn weight chosen", "verify.start", "trained")
def _():
    def chosen(state):
        w = forged_training.W
        return state | {w: forged_training.poke(state[w], 99, 17)}

    return proven(forged_training.starting(chosen).receipt())


@tampering("hybrid run: a trained state sold as the beginning", "verify.start", "trained")
def _():
    last, links = run("trained").trace[-1], run("trained").program.states
    forged = forged_training.starting(lambda _: {link.state: last[link.value] for link in links})
    return proven(forged.receipt())


@tampering("hybrid run: records out of order", "verify.stark", "trained")
def _():
    forged = execute(run("trained"), records=lambda step, own: own[::-1] if step == 2 else own)
    return spliced(forged.commit().receipt(), "trained")


@tampering("hybrid run: noise of the step after", "verify.stark", "trained")
def _():
    forged = run("trained")
    own = [forged.records_of(step) for step in range(4)]
    ahead = execute(forged, of_step=lambda step: step + 1, records=lambda step, _: own[step])
    return spliced(ahead.commit().receipt(), "trained")


@tampering("hybrid run: a step renumbered, honestly hashed", "verify.stark", "trained on")
def _():
    forged = run("trained on")
    forged.first += 1
    return spliced(forged.commit().receipt(), "trained on")


@tampering("hybrid run: the weights of a better run exported", "verify.stark", "trained")
def _():
    better = committed("trained on").journal.exported_root
    return parts_of("trained").restated(exported_root=better).encode()


@tampering("hybrid run: another root than the caller's", "verify.dataset-mismatch", "trained")
def _():
    return hybrid_of("trained"), victim("trained", dataset_root=OTHER)


@tampering("hybrid run: no data set that the caller named", "verify.dataset-mismatch", "trained")
def _():
    return hybrid_of("trained"), victim("trained", dataset_root=None)


POLICIES = {
    "policy.seed": ("sparsely trained", {"seed": "nonce"}),
    "policy.start": ("trained on", {"start": "declared"}),
    "policy.steps": ("trained on", {"max_steps": 6}),
    "policy.range": ("trained", {"ranges": {"rate": (1.0, 9.0)}}),
}
for _code, (_base, _changes) in POLICIES.items():

    @tampering(f"hybrid run: {_code}", _code, _base)
    def _(base=_base, changes=_changes):
        expected = victim(base)
        return hybrid_of(base), victim(base, policy=replace(expected.policy, **changes))
