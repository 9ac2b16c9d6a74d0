"""Several receipts in one file, under one proof: bytes, expectations, order."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from support.aggregates import OUTER, Run, joined, together
from zktally.verifier import stark, steps
from zktally.verifier.errors import UsageError, ZktallyError
from zktally.verifier.hybrid import aggregate
from zktally.verifier.hybrid.aggregate import MAGIC, split_aggregate, verify_aggregate
from zktally.verifier.journal import FAST
from zktally.verifier.recursion.child import POINTS_BYTES
from zktally.verifier.stark import params


def code_of(judge):
    with pytest.raises(ZktallyError) as refused:
        judge()
    return refused.value.code


def split_code(data):
    return code_of(lambda: split_aggregate(data))


def test_what_is_cut_is_what_was_joined():
    data = joined([b"program a", b"program b"], [(0, b"1"), (1, b"2"), (0, b"3")])
    found = split_aggregate(data)
    parts = [(bytes(each.program), bytes(each.journal)) for each in found.receipts]
    assert parts == [(b"program a", b"1"), (b"program b", b"2"), (b"program a", b"3")]
    assert bytes(found.proof) == b"proof"
    for length in range(len(data)):
        wanted = "receipt.bad-magic" if length < len(MAGIC) else "receipt.truncated"
        assert split_code(data[:length]) == wanted
    assert split_code(data + b"x") == "receipt.trailing-bytes"
    assert split_code(b"ZKTALLY" + data[7:]) == "receipt.bad-magic"
    assert split_code(data[:7] + b"\2" + data[8:]) == "receipt.unsupported-version"


@pytest.mark.parametrize(
    ("programs", "numbers"),
    [
        ([b"a", b"b"], [1, 0]),
        ([b"a", b"b"], [0]),
        ([b"a"], [0, 1]),
        ([b"a", b"a"], [0, 1]),
        ([b"a"], []),
        ([], []),
    ],
)
def test_programs_stand_once_in_the_order_of_receipts(programs, numbers):
    data = joined(programs, [(number, b"journal") for number in numbers])
    assert split_code(data) == "receipt.non-canonical"


def test_a_part_that_is_too_large():
    data = MAGIC + b"\1" + b"\1\0" + (2**24 + 1).to_bytes(4, "little")
    assert split_code(data) == "receipt.too-large"


@pytest.fixture(scope="module")
def runs():
    return [Run("dense"), Run("conv")]


@pytest.fixture
def judged(monkeypatch):
    """What the engine is given, instead of being asked."""
    calls = []

    def accept(data, **given):
        calls.append(given)
        return OUTER

    monkeypatch.setattr(stark, "verify_stark", accept)
    return calls


def test_each_receipt_is_judged_and_one_proof_of_all(runs, judged):
    found = verify_aggregate(together(runs), [runs[1].expected, runs[0].expected])
    assert len(found) == 3
    names = [facts.program_name for facts, _ in found]
    assert names[0] == names[2] != names[1]
    for facts, _ in found:
        assert (facts.stark.profile, facts.stark.segments) == ("succinct", 1)
        assert facts.receipt_bytes == len(together(runs))
    (given,) = judged
    assert given["parameters"] == params.reaching(params.OUTER, params.REFERENCE_OF_NODES, 104)
    outputs = [values for _, values in found]
    assert outputs[0].keys() == outputs[2].keys()


def test_the_order_of_refusals(runs, judged):
    expected = [run.expected for run in runs]
    good = bytes(split_aggregate(together(runs)).proof)
    bad = b"\xff" * 4

    def code(rest, expected=expected):
        return code_of(lambda: verify_aggregate(together(runs, rest=rest), expected))

    least = POINTS_BYTES + (1 << 16)
    assert code(bytes(least - 1)) == "receipt.truncated"
    # A receipt is judged whole before the next one is looked at.
    assert code(bad + good[4:], expected[:1]) == "receipt.non-canonical"
    assert code(good[:60] + bad + good[64:], expected[:1]) == "verify.model-mismatch"
    assert code(good[:60] + bad + good[64:]) == "receipt.non-canonical"
    assert code(good[:180] + bad + good[184:]) == "receipt.non-canonical"
    assert not judged
    assert code(good + b"\0") == "receipt.trailing-bytes"


def test_a_receipt_that_nobody_expects_is_held_against_the_first(runs):
    code = code_of(lambda: verify_aggregate(together(runs), [runs[0].expected]))
    assert code == "verify.model-mismatch"
    with pytest.raises(UsageError):
        verify_aggregate(together(runs), [])


def test_each_expectation_is_that_of_its_model(runs, judged):
    policy = replace(runs[1].expected.policy, min_bits=120)
    demanding = copy.copy(runs[1].expected)
    object.__setattr__(demanding, "policy", policy)
    code = code_of(lambda: verify_aggregate(together(runs), [runs[0].expected, demanding]))
    assert code == "policy.bits"


def test_segments_of_all_are_bounded(runs, judged, monkeypatch):
    monkeypatch.setattr(aggregate, "MAX_SEGMENTS", 2)
    code = code_of(lambda: verify_aggregate(together(runs), [run.expected for run in runs]))
    assert code == "verify.too-large"
    assert len(verify_aggregate(together(runs, (0, 1)), [run.expected for run in runs])) == 2


def test_openings_in_the_clear_cannot_be_aggregated(runs):
    fast = Run("dense", FAST)
    code = code_of(lambda: verify_aggregate(together([fast], (0,)), [fast.expected]))
    assert code == "receipt.unsupported-mode"


def test_a_statement_counts_once(runs):
    first = runs[0]
    twice = joined([first.program], [(0, first.journal), (0, first.journal)])
    assert split_code(twice) == "receipt.non-canonical"


def test_samples_of_all_are_bounded(runs, judged, monkeypatch):
    expected = [run.expected for run in runs]
    # Every op of these is checked in full: nothing is drawn.
    monkeypatch.setattr(aggregate, "MAX_DRAWS", -1)
    assert code_of(lambda: verify_aggregate(together(runs), expected)) == "verify.too-large"
    assert not judged


def test_what_is_expected_is_clear_and_met(runs, judged):
    expected = [run.expected for run in runs]
    inputs = replace(expected[0], inputs={})
    for unclear in ([expected[0], expected[0]], [inputs, expected[1]]):
        with pytest.raises(UsageError):
            verify_aggregate(together(runs), unclear)
    absent = replace(expected[0], model_id=bytes(32))
    code = code_of(lambda: verify_aggregate(together(runs), [*expected, absent]))
    assert (code, len(judged)) == ("verify.model-mismatch", 1)


def test_a_program_is_judged_once(runs, judged, monkeypatch):
    loaded = []
    honest = steps.load
    monkeypatch.setattr(steps, "load", lambda data: loaded.append(data) or honest(data))
    assert len(verify_aggregate(together(runs), [run.expected for run in runs])) == 3
    assert len(loaded) == 2
