"""Every tampering is refused by both verifiers, with the one code that says why."""

from __future__ import annotations

import forged_bytes
import forged_chains
import forged_models
import forged_openings
import forged_statements
import forger
import judges
import pytest
from anatomy import dissect
from registry import ALL

from zktally.verifier import errors

MODULES = (forged_bytes, forged_chains, forged_models, forged_openings, forged_statements)
JUDGED = (
    errors.MalformedReceipt, errors.UnsupportedReceipt, errors.MalformedProgram,
    errors.InvalidProgram, errors.ProgramMismatch, errors.JournalMismatch,
    errors.ParametersMismatch, errors.ErrorBoundExceeded, errors.InsufficientSecurity,
    errors.ChainBroken, errors.InvalidProof,
)  # fmt: skip


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


def test_every_code_of_the_verifiers_has_a_tampering():
    codes = {code for error in JUDGED for code in error.codes}
    assert codes == {tampering.code for tampering in ALL.values()}
