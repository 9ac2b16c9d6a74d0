"""Each check of the Python verifier is what refuses some forgery: without it, that one passes.

Where another check would still refuse, the table names its code. A check that is new has to be
entered here, with a forgery that only it refuses.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import checks
import forged_bytes  # noqa: F401  (registers its tamperings)
import forged_chains  # noqa: F401
import forged_hybrid_training  # noqa: F401
import forged_hybrids  # noqa: F401
import forged_models  # noqa: F401
import forged_openings  # noqa: F401
import forged_proofs
import forged_statements  # noqa: F401
import forged_strict  # noqa: F401
import forged_training  # noqa: F401
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
    "receipt.split_receipt 2": {"envelope: a short one of the future": "receipt.truncated"},
    "receipt.split_receipt 3": {
        "sections: a byte after the last one": ACCEPTED,
        "sections: two receipts in one file": ACCEPTED,
    },
    "receipt.split_receipt 4": {"envelope: the version of another mode": ACCEPTED},
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
    },
    "journal._ascending 0": {
        "journal: exact ops out of order": ACCEPTED,
        "journal: an exact op twice": ACCEPTED,
    },
    "labels._read 0": {"journal: an empty audience": "verify.audience-mismatch"},
    "labels._read 1": {
        "text: an audience that is no text, where none is expected": ACCEPTED,
    },
    "journal.Journal.decode 0": {"journal: strict, and exact claimed": "verify.journal-mismatch"},
    "journal.Journal.decode 1": {
        "published inputs under a key of zero, left out": ACCEPTED,
        "journal: inputs without the key of their salts": "verify.input-mismatch",
    },
    "journal.Journal.decode 2": {"sections: a byte after the journal, counted": ACCEPTED},
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
    "steps._fit 0": {
        "journal: one byte of outputs": CRASH,
        "journal: inputs of one step": CRASH,
    },
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
        "run: an export of a program that has none": ACCEPTED,
    },
    "steps._fit 4": {"run: beyond its last step": ACCEPTED},
    "steps._fit_digests 0": {
        "journal: final_state of a program that has none": "verify.final-state",
        "journal: initial_state of a program that has none": "verify.initial-state",
    },
    "steps._fit_digests 1": {
        "journal: prf_seed of a program that has none": ACCEPTED,
        "run: an export of a program that has none": ACCEPTED,
        "run: a data set of a program that has none": "verify.dataset-mismatch",
        "run: no data set of a program that has one": "verify.dataset-mismatch",
        "run: no export of a program that has one": "verify.exported-root",
        "run: no commitment to a derived seed": "verify.prf-seed",
        "run: no commitment to the seed of noise": "verify.prf-seed",
    },
    "steps._fit_run 0": {"run: beyond its last step": ACCEPTED},
    "steps._fit_run 1": {
        "run: a declared start behind the beginning": "verify.start",
        "run: a declared start of a program that declares none": CRASH,
    },
    "steps._fit_run 2": {"run: a derived seed that nothing needs": "verify.prf-seed"},
    "steps._fit_run 3": {
        "run: a start drawn from a seed of zeros, called own": ACCEPTED,
        "run: an own seed of a run on data": "receipt.trailing-bytes",
    },
    # 6. Policy and expectations.
    "policy.Expectations.judge 0": {
        "claims: a mode that the caller refuses": ACCEPTED,
        "claims: fewer bits": ACCEPTED,
        "claims: no exact ops": ACCEPTED,
    },
    "policy.Policy.judge 0": {"claims: a mode that the caller refuses": ACCEPTED},
    "policy.Policy.judge 1": {
        "claims: fewer bits": ACCEPTED,
        "claims: a larger delta": ACCEPTED,
        "claims: no delta per op": ACCEPTED,
    },
    "policy.Policy._judge_sampling 0": {"claims: fewer bits": ACCEPTED},
    "policy.Policy.judge_bits 0": {
        "claims: fewer bits": ACCEPTED,
        "hybrid: more bits than its proofs show": ACCEPTED,
    },
    "policy.Policy._judge_sampling 1": {
        "claims: a larger delta": ACCEPTED,
        "claims: a larger delta per step": ACCEPTED,
        "claims: no delta per step": ACCEPTED,
        "claims: a larger delta per op": ACCEPTED,
        "claims: no delta per op": ACCEPTED,
    },
    "policy.Policy.judge 2": {"claims: no exact ops": ACCEPTED},
    "policy.Expectations.judge 1": {
        "claims: another audience": ACCEPTED,
        "claims: another nonce": ACCEPTED,
        "replay to another audience": ACCEPTED,
        "replay of an answer to another challenge": ACCEPTED,
        "claims: no nonce": ACCEPTED,
        "claims: an audience nobody asked for": ACCEPTED,
    },
    "policy.Expectations.judge 2": {
        "another initial state than the caller's": ACCEPTED,
        "chain: another initial state, honestly committed": ACCEPTED,
        "start: another root than the caller's": ACCEPTED,
    },
    "policy.Expectations.judge 3": {
        "data set: none that the caller named": ACCEPTED,
        "data set: named for a program without one": ACCEPTED,
        "data set: another root than the caller's": "verify.dataset-root",
    },
    "policy.Expectations.judge 4": {
        "policy: an own seed": ACCEPTED,
        "policy: an input above its range": ACCEPTED,
    },
    "policy.Expectations.judge 5": {"inputs with another root": ACCEPTED},
    "policy.Expectations._judge_digest 0": {
        "another initial state than the caller's": ACCEPTED,
        "inputs with another root": ACCEPTED,
        "data set: named for a program without one": ACCEPTED,
    },
    "policy.Expectations._judge_data_set 0": {
        "data set: named for a program without one": ACCEPTED,
        "data set: another root than the caller's": "verify.dataset-root",
    },
    "policy.Expectations._judge_data_set 1": {"data set: none that the caller named": ACCEPTED},
    "policy.Policy.judge_run 0": {
        "policy: an own seed": ACCEPTED,
        "policy: an own seed where a nonce is wanted": ACCEPTED,
        "policy: a seed without a nonce": ACCEPTED,
    },
    "policy.Policy.judge_run 1": {
        "start: a root, where the policy wants the declared one": ACCEPTED,
    },
    "policy.Policy.judge_run 2": {"policy: a step more than accepted": ACCEPTED},
    "policy.Policy.judge_run 3": {"policy: an epoch more than accepted": ACCEPTED},
    "policy.Policy.judge_run 4": {
        "policy: smaller batches than accepted": ACCEPTED,
        "policy: larger batches than accepted": ACCEPTED,
        "policy: larger batches of items": ACCEPTED,
    },
    "policy.Policy.judge_run 5": {
        "policy: another program": ACCEPTED,
        "policy: no program": ACCEPTED,
    },
    "policy.Policy.judge_run 6": {"policy: an input below its range": ACCEPTED},
    "policy.Policy._judge_ranges 0": {"policy: an input that there is not": CRASH},
    "policy.Policy._judge_ranges 1": {"policy: a private input": CRASH},
    "policy.Policy._judge_ranges 2": {
        "policy: an input below its range": ACCEPTED,
        "policy: an input above its range": ACCEPTED,
        "policy: an integer above its range": ACCEPTED,
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
        "data set: a label flipped, under the victim's root": ACCEPTED,
        "data set: another root, and all that follows from it": ACCEPTED,
        "data set: its roots in another order": "verify.opening",
    },
    "steps.hash_roots 2": {
        "journal: another prf_seed": ACCEPTED,
        "prf seed: another one": "verify.gate",
        "seed: the prover's own, committed to": ACCEPTED,
        "nonce: changed afterwards": "verify.start",
    },
    "steps.hash_roots 3": {"journal: another initial_state": ACCEPTED},
    "steps.hash_roots 4": {
        "start: a drawn weight chosen": ACCEPTED,
        "start: a trained state sold as the beginning": ACCEPTED,
    },
    "steps.hash_roots 5": {
        "journal: another input_root": ACCEPTED,
        "place: a later step": "verify.chain-root",
    },
    "steps.hash_roots 6": {"two runs: the final state of the other one": ACCEPTED},
    "steps.hash_roots 7": {
        "export: another root": ACCEPTED,
        "export: the weights of a better run": ACCEPTED,
        "export: the state of an earlier step": ACCEPTED,
        "export: in another order": ACCEPTED,
        "export: one tensor less": ACCEPTED,
    },
    "steps.hash_roots 8": {
        "journal: another chain_root": ACCEPTED,
        "root of a linked state": "verify.opening",
        "place: a later step under the victim's chain": "verify.gate",
    },
    "steps._judge_start 0": {
        "start: a drawn weight chosen": ACCEPTED,
        "start: a constant momentum chosen": ACCEPTED,
        "start: drawn from another seed": ACCEPTED,
        "start: the declared values under salts": ACCEPTED,
        "start: a trained state sold as the beginning": ACCEPTED,
        "nonce: changed afterwards, and the seed with it": "verify.gate",
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
        "noise: of the step after": ACCEPTED,
        "noise: of the beginning of the run, in its continuation": ACCEPTED,
        "records: one of another slot in step 0": ACCEPTED,
        "records: those of a batch out of order": ACCEPTED,
        "records: a batch repeated": ACCEPTED,
        "records: a batch skipped": ACCEPTED,
        "records: the order of another seed": ACCEPTED,
        "records: a batch of the run before": ACCEPTED,
        "place: a later step, honestly hashed": ACCEPTED,
        "nonce: changed afterwards, from a root": ACCEPTED,
        "outputs computed from nothing": ACCEPTED,
    },
    # 12. Outputs.
    "fast._compare_outputs 0": {
        "journal: another output best": ACCEPTED,
        "journal: an output of a padded item": ACCEPTED,
        "two runs: outputs of the other one": ACCEPTED,
    },
    # Hybrid receipts, 7. Head, coverage. What a proof is bound to is bound again by its context.
    "verify._read_head 0": {
        "hybrid: head: another digest": ACCEPTED,
        "hybrid: head: the seed of the samples": ACCEPTED,
        "hybrid: two runs: the proof of the other one": "verify.stark",
        "hybrid: another bits": "verify.stark",
    },
    "profiles.read_profile 0": {"hybrid: head: profile 128": CRASH},
    "requantise.judge_covered 0": {
        "hybrid: a program that they do not cover": CRASH,
        "hybrid: a program that they do not cover, no proof": "receipt.truncated",
    },
    # 8. Seed and start.
    "steps.judge_origin 0": {
        "hybrid run: another prf_seed, the proof names it": "verify.stark",
        "hybrid run: a nonce that came later": "verify.start",
    },
    "steps.judge_origin 1": {
        "hybrid run: a drawn weight chosen": ACCEPTED,
        "hybrid run: a trained state sold as the beginning": ACCEPTED,
    },
    # 9. Inputs, against their root.
    "steps._InputRoots.compare_all 0": {
        "hybrid: inputs of another caller": ACCEPTED,
        "hybrid: two runs: inputs of the other one": "verify.stark",
    },
    # 9. Outputs: their terms would not balance.
    "verify._judge_outputs 0": {"hybrid: outputs out of their range": "verify.stark"},
    # 10. Segments, bits.
    "segments.judge_count 0": {
        "hybrid: proof ends before the least proof": "receipt.truncated",
        "hybrid: proof ends before the segments": "receipt.truncated",
    },
    "verify._judge_bits 0": {"hybrid: more bits than its proofs show": ACCEPTED},
}
"""By check: tamperings that it refuses, and the verdict on them without it."""

ALSO = {
    "reader.Reader.end 0": {
        "hybrid: a byte after the proof": ACCEPTED,
        "hybrid: the proof twice": ACCEPTED,
        "hybrid: segments: the first one repeated at the end": ACCEPTED,
    },
    "steps._identify 0": {
        "hybrid: another program under the same statement": "receipt.non-canonical",
    },
    "steps._identify 1": {"hybrid: other weights, honestly proven": ACCEPTED},
    "policy.Policy.judge 0": {
        "hybrid: a caller who wants openings": ACCEPTED,
        "hybrid: a caller who wants zero knowledge": ACCEPTED,
    },
    "policy.Policy._judge_sampling 0": {"hybrid: fewer bits than demanded": "policy.bits"},
    "policy.Policy._judge_sampling 1": {"hybrid: a larger delta than demanded": ACCEPTED},
    "policy.Expectations.judge 1": {"hybrid: replay to another audience": ACCEPTED},
    "policy.Expectations.judge 2": {
        "hybrid: chain: another first state, honestly proven": ACCEPTED,
    },
    "policy.Expectations._judge_data_set 1": {
        "hybrid run: no data set that the caller named": ACCEPTED,
    },
    "steps.compare_inputs 1": {"hybrid: padding sold as an item": ACCEPTED},
}
"""The same of checks that both modes share, for hybrid receipts."""

ENGINE = {
    "tree._judge_words 0": {"an element as itself plus p": ACCEPTED},
    "tree.read_words 0": {"an element as itself plus p": ACCEPTED},
    "tree.read_digest 0": {"a root as itself plus p": "verify.stark"},
    "tree._read_rows 0": {"a salt as itself plus p": ACCEPTED},
    "tree.read_opening 0": {"a sibling as itself plus p": ACCEPTED},
    "proof._nonce 0": {"a nonce for no work": ACCEPTED},
    "proof._nonce 1": {"a nonce as itself plus p": ACCEPTED},
    "transcript.Transcript.pow 0": {"no work done": ACCEPTED},
    "verify.verify_stark 0": {"a value that no table provides": ACCEPTED},
    "constraints.check_constraints 0": {
        "a witness that breaks a constraint": ACCEPTED,
        "a witness that starts elsewhere": ACCEPTED,
        "terminals of another balance": ACCEPTED,
    },
    "verify._check_roots 0": {"rows of another main tree": ACCEPTED},
    "verify._check_roots 1": {"rows of another auxiliary tree": ACCEPTED},
    "verify._check_roots 2": {"rows of another quotient tree": ACCEPTED},
    "verify._check_roots 3": {"rows of another tree of a round": ACCEPTED},
    "fri.check_queries 0": {"a fold of other codewords": ACCEPTED},
    "fri.check_queries 1": {"opened values that no codeword has": ACCEPTED},
}
"""Of one proof: by check of the engine, lies that it refuses, and the verdict without it."""

ELSEWHERE = {
    # Tested with a statement or a program of its own, which needs no receipt.
    "requantise.judge_covered 1": "test_hybrid_coverage",
    "requantise.judge_covered 2": "test_hybrid_coverage",
    "requantise.judge_covered 3": "test_hybrid_coverage",
    "requantise._judge_wide 0": "test_hybrid_coverage",
    "requantise._judge_wide 1": "test_hybrid_coverage",
    "requantise._judge_limbs 0": "test_hybrid_coverage",
    "requantise._judge_limbs 1": "test_hybrid_coverage",
    "segments.judge_count 1": "test_hostile_sizes",
    "statement.log_rows 0": "test_hostile_sizes",
    "security.judge_bits 0": "test_hostile_sizes",
    "security.judge_bits 1": "test_hostile_sizes",
    "layers._judge_bits 0": "test_recursion_layers",
    "params.reaching 0": "test_stark_params",
    "statement.Statement._judge_sizes 0": "test_stark_params",
    "statement.Statement._judge_sizes 1": "test_stark_params",
    "statement.Statement._judge_sizes 2": "test_stark_params",
    "statement.Statement._judge_sizes 3": "test_stark_params",
    # Challenges that no hash gives: chances below 2^-120.
    "verify.judge_point 0": "test_stark_verify",
    "logup.public_sum 0": "test_stark_verify",
}
"""Checks that no receipt of a size that a test proves can meet, and where they are tested."""

SLOW = {"sampling._limit 0"}
EARLIER = {"openings._expect_room 0", "segments.judge_count 0", "policy.Policy._judge_sampling 0"}
"""Checks that only refuse earlier what the next one refuses with the same code."""


def pairs():
    for check, without in [*TABLE.items(), *ALSO.items()]:
        marks = pytest.mark.nightly if check in SLOW else ()
        for name in without:
            yield pytest.param(check, name, marks=marks, id=f"{check}: {name}")


@pytest.mark.parametrize(("check", "name"), list(pairs()))
def test_without_the_check_the_verdict_is_another(check, name):
    receipt, expectations = ALL[name].case
    expected = {**TABLE.get(check, {}), **ALSO.get(check, {})}[name]
    assert expected != ALL[name].code or check in EARLIER
    with checks.WITHOUT[check]():
        if expected == CRASH:
            with pytest.raises((ValueError, LookupError, TypeError, StopIteration)):
                judges.python(receipt, expectations)
        else:
            assert judges.python(receipt, expectations) == expected
    assert judges.python(receipt, expectations) == ALL[name].code


@pytest.mark.parametrize("name", forged_proofs.LIES)
def test_a_lie_to_the_engine_is_refused(name):
    code, make = forged_proofs.LIES[name]
    assert make().verdict() == code


@pytest.mark.parametrize(
    ("check", "name"), [(c, name) for c, names in ENGINE.items() for name in names]
)
def test_without_the_check_the_engine_believes_a_lie(check, name):
    lie = forged_proofs.LIES[name][1]()
    with checks.WITHOUT[check]():
        assert lie.verdict() == ENGINE[check][name]
    assert lie.verdict() == forged_proofs.LIES[name][0]


def test_every_check_stands_in_the_table():
    of_showings = {name for name in checks.WITHOUT if name.startswith("shown.")}
    assert of_showings | TABLE.keys() | ENGINE.keys() | ELSEWHERE.keys() == checks.WITHOUT.keys()
    assert ALSO.keys() <= TABLE.keys()
    tests = Path(__file__).parents[1]
    for name in set(ELSEWHERE.values()):
        assert list(tests.glob(f"*/{name}.py")) != [], name


# The transcript: every field of the statement but the mode reaches the seed, and so the samples.

CHANGES = {
    "first": 1,
    "seed": 1,
    "start": 1,
    "steps": 5,
    "items": 7,
    "delta_ppm": 400_001,
    "delta_step_ppm": 499_999,
    "delta_op_ppm": 499_999,
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
