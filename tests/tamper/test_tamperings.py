"""Every tampering is refused by both verifiers, with the one code that says why."""

from __future__ import annotations

import forged_bytes
import forged_chains
import forged_hybrid_training
import forged_hybrids
import forged_models
import forged_openings
import forged_statements
import forged_strict
import forged_training
import forger
import hybrids
import judges
import pytest
from anatomy import dissect
from registry import ALL

from zktally.prover import prove_job
from zktally.verifier import errors
from zktally.verifier.errors import ZktallyError
from zktally.verifier.policy import Policy

MODULES = (
    forged_bytes, forged_chains, forged_hybrids, forged_models, forged_openings, forged_statements,
    forged_strict, forged_training,
    forged_hybrid_training,
)  # fmt: skip
JUDGED = (
    errors.MalformedReceipt, errors.UnsupportedReceipt, errors.MalformedProgram,
    errors.InvalidProgram, errors.ProgramMismatch, errors.JournalMismatch,
    errors.ParametersMismatch, errors.ErrorBoundExceeded, errors.InsufficientSecurity,
    errors.ChainBroken, errors.InvalidProof,
)  # fmt: skip


COVERED = [name for name, (program, _) in forger.RUNS.items() if program != "every_kind"]
"""Runs of programs that hybrid receipts cover."""


@pytest.mark.parametrize("name", forger.RUNS)
def test_the_receipts_that_are_tampered_with_are_good(name):
    receipt = forger.receipt_of(name)
    assert judges.both(receipt, forger.victim(name)) == (judges.ACCEPTED, judges.ACCEPTED)
    assert dissect(receipt).encode() == receipt


@pytest.mark.parametrize("name", ALL)
def test_refused_by_both_with_the_same_code(name):
    receipt, expectations = ALL[name].case
    code = ALL[name].code
    assert judges.both(receipt, expectations) == (code, code)


@pytest.mark.parametrize("profile", [hybrids.STANDARD, hybrids.SMALL])
@pytest.mark.parametrize("name", COVERED)
def test_the_hybrid_receipts_that_are_tampered_with_are_good(name, profile):
    receipt = hybrids.hybrid_of(name, profile)
    assert judges.both(receipt, forger.victim(name)) == (judges.ACCEPTED, judges.ACCEPTED)
    assert hybrids.dissect(receipt).encode() == receipt


def test_segments_of_two_proofs_of_one_statement_go_together():
    """Each is about its own items of the statement, whoever proved the other ones, and when."""
    first, second = hybrids.long(0), hybrids.long(0, again=1)
    assert first.job == second.job
    mixed = first.parts
    mixed.segments[1] = second.parts.segments[1]
    assert first.parts.segments[1] != mixed.segments[1]
    for receipt in (first.receipt, mixed.encode()):
        assert judges.both(receipt, first.expectations) == (judges.ACCEPTED, judges.ACCEPTED)


LIES = [
    name
    for name, tampering in ALL.items()
    if tampering.base in COVERED
    and tampering.code in ("verify.gate", "verify.opening", "verify.outputs", "verify.range")
    and not name.startswith("hybrid:")
]
"""What is wrong with openings that can be read."""


@pytest.mark.parametrize("name", LIES)
def test_what_openings_would_betray_cannot_be_proven(name):
    receipt, _ = ALL[name].case
    assert hybrids.refusal(receipt) == "prove.witness"


@pytest.mark.parametrize("name", COVERED)
def test_the_strict_receipts_that_are_tampered_with_are_good(name):
    receipt = forged_strict.strict_of(name)
    policy = Policy(modes=("strict",))
    expectations = forger.victim(name, policy=policy)
    assert judges.both(receipt, expectations) == (judges.ACCEPTED, judges.ACCEPTED)


@pytest.mark.parametrize("name", ["dense", "sampled"])
@pytest.mark.parametrize("step", [0, 1])
def test_one_wrong_gate_cannot_be_proven_strictly(name, step):
    """Where sampling would not see it: the last gate of an op, all after it recomputed."""
    liar = forger.execute(forger.run(name), step, wrong_op=0).commit()
    with pytest.raises(ZktallyError) as refused:
        prove_job(forged_strict.strict_job(liar))
    assert refused.value.code == "prove.witness"


UNREACHED = {
    "security.insufficient",
    "verify.follows",
    "verify.srs-mismatch",
    "verify.snark",
    "snark.no-checker",
}
"""Only at sizes that no test proves (test_hostile_sizes.py), only of several receipts
(tests/unit/test_chain.py), only of SNARK receipts (tests/snark).
"""


def test_every_code_of_the_verifiers_has_a_tampering():
    codes = {code for error in JUDGED for code in error.codes}
    assert codes - UNREACHED == {tampering.code for tampering in ALL.values()}
