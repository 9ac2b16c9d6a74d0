"""Each check of the Python verifier is what refuses some forgery: without it, that one passes.

Where another check would still refuse, the table names its code. A check that is new has to be
entered here, with a forgery that only it refuses.
"""

from __future__ import annotations

from dataclasses import fields, replace

import checks
import forged_bytes  # noqa: F401  (registers its tamperings)
import forged_chains  # noqa: F401
import forged_models  # noqa: F401
import forged_openings  # noqa: F401
import forged_statements  # noqa: F401
import forger
import judges
import numpy as np
import pytest
from judges import ACCEPTED
from registry import ALL

from zktally.verifier.journal import Journal
from zktally.verifier.sampling import Counts, draw, make_plan, sample_seed

CRASH = "crash"

TABLE: dict[str, dict[str, str]] = {
    # 1. Envelope.
    "receipt._limit 0": {"length: program above its limit": "receipt.truncated"},
    "receipt.split_receipt 0": {"envelope: larger than any receipt": "receipt.bad-magic"},
    "receipt.split_receipt 1": {"envelope: another magic": ACCEPTED},
    "receipt.split_receipt 2": {
        "envelope: a version of the future": ACCEPTED,
        "envelope: version 0": ACCEPTED,
    },
    "receipt.split_receipt 3": {
        "sections: a byte after the last one": ACCEPTED,
        "sections: two receipts in one file": ACCEPTED,
    },
    # 2. Journal; `end` guards all sections, `take` all fields.
    "reader.Reader.take 0": {
        "text: no nonce, written as nothing": "receipt.trailing-bytes",
        "opening: a leaf left out": "receipt.trailing-bytes",
    },
    "reader.Reader.end 0": {
        "sections: a byte after the proof, counted": ACCEPTED,
        "sections: a byte after the journal, counted": ACCEPTED,
        "sections: a byte after the last one": ACCEPTED,
    },
    "reader.Reader.flag 0": {
        "text: no nonce, written as 2": ACCEPTED,
        "text: no audience, written as 2": ACCEPTED,
    },
    "reader.Reader.digest 0": {
        "journal: input key written as itself plus p": ACCEPTED,
        "journal: chain root written as itself plus p": "verify.chain-root",
    },
    "journal._expect 0": {
        "journal: version overwritten": ACCEPTED,
    },
    "journal._within 0": {
        "journal: too many bits": ACCEPTED,
        "journal: delta above one half": "policy.delta",
        "journal: an empty audience": "verify.audience-mismatch",
    },
    "journal._ascending 0": {
        "journal: exact ops out of order": ACCEPTED,
        "journal: an exact op twice": ACCEPTED,
    },
    "journal._audience 0": {
        "text: an audience that is no text, where none is expected": ACCEPTED,
    },
    "journal.Journal.decode 0": {
        "published inputs under a key of zero, left out": ACCEPTED,
        "journal: inputs without the key of their salts": "verify.input-mismatch",
    },
    "journal.Journal.decode 1": {"sections: a byte after the journal, counted": ACCEPTED},
    # 3. Program id, model id.
    "steps._identify 0": {
        "program: one constant, the statement names the victim's": ACCEPTED,
        "program: flag exact removed": ACCEPTED,
    },
    "steps._identify 1": {
        "program: one constant, honestly proven": ACCEPTED,
        "program: a wider range": ACCEPTED,
        "weights: others, honestly proven": ACCEPTED,
        "weights: the same under other salts": ACCEPTED,
    },
    # 5. Journal against program.
    "steps._fit 0": {"journal: no outputs": CRASH, "journal: inputs of one step": CRASH},
    "steps._fit 1": {
        "journal: an exact op that does not exist": ACCEPTED,
        "journal: an exact op that is flagged already": ACCEPTED,
    },
    "steps._fit 2": {
        "journal: more items than slots": ACCEPTED,
        "journal: a whole step of padding": ACCEPTED,
    },
    "steps._fit 3": {
        "journal: prf_seed of a program that has none": ACCEPTED,
        "journal: final_state of a program that has none": "verify.final-state",
    },
    # 6. Policy and expectations.
    "steps._obey 0": {"claims: a mode that the caller refuses": ACCEPTED},
    "steps._obey 1": {"claims: fewer bits": ACCEPTED},
    "steps._obey 2": {"claims: a larger delta": ACCEPTED},
    "steps._obey 3": {
        "claims: a larger delta per step": ACCEPTED,
        "claims: no delta per step": ACCEPTED,
    },
    "steps._obey 4": {"claims: no exact ops": ACCEPTED},
    "steps._obey 5": {
        "claims: another audience": ACCEPTED,
        "claims: another nonce": ACCEPTED,
        "inputs with another root": ACCEPTED,
    },
    "steps._outputs_exact 0": {"claims: no exact ops": ACCEPTED},
    "steps._expected_statement 0": {
        "replay to another audience": ACCEPTED,
        "replay of an answer to another challenge": ACCEPTED,
        "claims: no nonce": ACCEPTED,
        "claims: an audience nobody asked for": ACCEPTED,
    },
    "steps._expected_statement 1": {
        "another initial state than the caller's": ACCEPTED,
        "chain: another initial state, honestly committed": ACCEPTED,
        "inputs with another root": ACCEPTED,
    },
    # 7. Plan and proof section.
    "sampling._limit 0": {"claims: a few more samples than anyone draws": ACCEPTED},
    "fast._openings_for 0": {"sections: proof ends inside its seed": "verify.journal-mismatch"},
    "fast._openings_for 1": {"openings for the seed of all zeros": ACCEPTED},
    "openings._expect_room 0": {
        # Only earlier: the fields that are missing would be missed one by one.
        "sections: proof ends after its roots": "receipt.truncated",
    },
    "openings.Proof.parse 0": {"sections: a byte after the proof, counted": ACCEPTED},
    "openings.Proof.parse 1": {"proof: a salt written as itself plus p": ACCEPTED},
    "openings.Proof._judge_elements 0": {
        "proof: a salt written as itself plus p": ACCEPTED,
        "proof: a sibling written as itself plus p": ACCEPTED,
        "proof: the prf seed written as itself plus p": ACCEPTED,
        "proof: a root written as itself plus p": "verify.opening",
    },
    # 8. Roots.
    "steps.hash_roots 0": {"weights: others under the victim's root": ACCEPTED},
    "steps.hash_roots 1": {
        "journal: another prf_seed": ACCEPTED,
        "prf seed: another one": "verify.gate",
    },
    "steps.hash_roots 2": {"journal: another initial_state": ACCEPTED},
    "steps.hash_roots 3": {"journal: another input_root": ACCEPTED},
    "steps.hash_roots 4": {"two runs: the final state of the other one": ACCEPTED},
    "steps.hash_roots 5": {
        "journal: another chain_root": ACCEPTED,
        "root of a linked state": "verify.opening",
    },
    # 9. Inputs.
    "steps.compare_inputs 0": {"inputs under a key of zero, kept private": ACCEPTED},
    "steps.compare_inputs 1": {"padding sold as an item": ACCEPTED},
    "steps.compare_inputs 2": {
        "inputs of another caller": ACCEPTED,
        "chain: two steps exchanged where steps are independent": ACCEPTED,
    },
    "steps._compare_published 0": {"published inputs out of range": "verify.input-mismatch"},
    "steps._compare_published 1": {
        "published inputs that are not the committed ones": ACCEPTED,
        "salts: an input salted as another step": ACCEPTED,
        "journal: another input_key": ACCEPTED,
    },
    # 10. Openings.
    "openings: paths": {
        "two runs: openings of the other one": ACCEPTED,
        "weights: others opened under the victim's roots": ACCEPTED,
        "opening of an input: a salt": ACCEPTED,
        "opening of an input: the first sibling": ACCEPTED,
    },
    "openings: ranges": {
        "an initial state above its range": ACCEPTED,
        "an input below its range, read as an index": ACCEPTED,
        "weights: a value out of its declared range": ACCEPTED,
    },
    # 11. Gates: whatever a run does wrong, hashed honestly.
    "fast._recompute_gates 0": {
        "chain: two steps exchanged, honestly hashed": ACCEPTED,
        "chain: a step repeated": ACCEPTED,
        "chain: a step left out": ACCEPTED,
        "chain: a state kept from an earlier step": ACCEPTED,
        "one wrong gate of mixed in step 0": ACCEPTED,
        "one wrong gate of best in step 1": ACCEPTED,
        "prf seed: noise chosen by the prover": ACCEPTED,
        "outputs computed from nothing": ACCEPTED,
    },
    # 12. Outputs.
    "fast._compare_outputs 0": {
        "journal: another output best": ACCEPTED,
        "journal: an output of a padded item": ACCEPTED,
        "two runs: outputs of the other one": ACCEPTED,
    },
}
"""By check: tamperings that it refuses, and the verdict on them without it."""

SLOW = {"sampling._limit 0"}
EARLIER = {"openings._expect_room 0"}
"""Checks that only refuse earlier what the next one refuses with the same code."""


def pairs():
    for check, without in TABLE.items():
        marks = pytest.mark.nightly if check in SLOW else ()
        for name in without:
            yield pytest.param(check, name, marks=marks, id=f"{check}: {name}")


@pytest.mark.parametrize(("check", "name"), list(pairs()))
def test_without_the_check_the_verdict_is_another(check, name):
    receipt, expectations = ALL[name].case
    expected = TABLE[check][name]
    assert expected != ALL[name].code or check in EARLIER
    with checks.WITHOUT[check]():
        if expected == CRASH:
            with pytest.raises((ValueError, IndexError, KeyError)):
                judges.python(receipt, expectations)
        else:
            assert judges.python(receipt, expectations) == expected
    assert judges.python(receipt, expectations) == ALL[name].code


def test_every_check_stands_in_the_table():
    assert TABLE.keys() == checks.WITHOUT.keys()


# The transcript: every field of the statement but the mode reaches the seed, and so the samples.

CHANGES = {
    "steps": 5,
    "items": 7,
    "delta_ppm": 400_001,
    "delta_step_ppm": 499_999,
    "bits": 9,
    "exact": (0,),
    "input_key": None,
    "inputs": None,
    "outputs": b"",
    "audience": "a",
    "nonce": b"n",
}


@pytest.mark.parametrize("name", [f.name for f in fields(Journal) if f.name != "mode"])
def test_every_field_of_the_statement_changes_the_samples(name):
    prover = forger.committed("sampled")
    plan = make_plan(Counts(prover.checked, prover.journal), sample_seed(prover.journal.encode()))
    value = CHANGES[name] if name in CHANGES else b"\1" + getattr(prover.journal, name)[1:]
    changed = sample_seed(replace(prover.journal, **{name: value}).encode())
    assert changed != sample_seed(prover.journal.encode())
    again = make_plan(Counts(prover.checked, prover.journal), changed)
    for own, other in zip(plan.sampled, again.sampled, strict=True):
        assert own is not None
        assert own.tolist() != other.tolist()


def test_a_fast_and_a_hybrid_receipt_have_the_same_samples():
    journal = forger.committed("sampled").journal
    seeds = [sample_seed(replace(journal, mode=mode).encode()) for mode in (0, 1)]
    assert seeds[0] == seeds[1]


def test_streams_do_not_overlap():
    seed = sample_seed(b"journal")
    streams = [draw(seed, stream, 2**62, 64) for stream in (0, 1, 2, 2**31, 2**31 + 1)]
    assert len(np.unique(np.concatenate(streams))) == 5 * 64
