"""Receipts of one run: each goes on where the one before has ended."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import pytest

from support.receipts import Prover
from zktally.prover.receipt import encode_receipt
from zktally.verifier.chain import (
    SAME,
    VerifiedRun,
    bits_together,
    following,
    verify_run,
)
from zktally.verifier.errors import ChainBroken, InsufficientSecurity, UsageError, ZktallyError
from zktally.verifier.judge import verify
from zktally.verifier.pins import Pins
from zktally.verifier.policy import Expectations
from zktally.verifier.verified import Verified

NONCE = b"a nonce"
OTHER = bytes(28) + b"\1\2\3\4"


@cache
def run() -> tuple[Prover, Prover, Prover]:
    first = Prover("learner", steps=2, declared=True, nonce=NONCE).commit()
    second = Prover("learner", steps=3, follows=first, nonce=NONCE).commit()
    return first, second, Prover("learner", steps=1, follows=second, nonce=NONCE).commit()


@cache
def receipts() -> tuple[bytes, ...]:
    return tuple(part.receipt() for part in run())


def judge(receipt: bytes, expectations: Expectations) -> Verified:
    found = verify(receipt, expectations)
    return Verified.of(*found, "python", Pins.of(receipt, expectations))


def expected(**changes: object) -> Expectations:
    return run()[0].expectations(**changes)


def test_a_run_in_three_receipts() -> None:
    found = verify_run(receipts(), expected(), judge)
    assert (found.first, found.steps, len(found.receipts)) == (0, 6, 3)
    assert found.final_state == run()[2].journal.final_state.hex()
    single = [each.facts.headline_bits for each in found.receipts]
    assert found.bits == bits_together(single) == min(single) - 2
    assert found.delta == max(each.guarantee.delta for each in found.receipts)
    shown = found.to_json()
    assert (shown["steps"], shown["bits"], len(shown["receipts"])) == (6, found.bits, 3)
    assert shown["sentence"] == found.sentence()
    assert found.sentence().startswith("steps 0 to 5 in 3 receipts, model ")
    assert "every gate of every step was checked" in found.sentence()


def test_parts_begin_where_they_say() -> None:
    found = verify_run(receipts()[1:], expected(), judge)
    assert (found.first, found.steps) == (2, 4)
    assert "from step 2" in found.receipts[0].sentence()
    assert "initial_state" in found.receipts[0].guarantee.pins.prover_chosen
    second = found.receipts[1].guarantee
    assert {"initial_state", "receipt_before"} & set(second.pins.pinned) == {"receipt_before"}
    assert "initial_state" not in second.pins.prover_chosen


@pytest.mark.parametrize(
    ("first", "named", "start", "words"),
    [
        (0, False, "declared", "begins as its program declares, worked out again"),
        (1, False, "root", "begins with a state of the prover's choice"),
        (1, True, "pinned", "begins with the state that you named"),
    ],
)
def test_a_run_says_what_it_begins_with(first: int, named: bool, start: str, words: str) -> None:
    """The state of a later receipt is no word of the caller's: whose the first one is counts."""
    parts = receipts()[first:]
    state = run()[first].journal.initial_state if named else None
    found = verify_run(parts, replace(expected(), initial_state=state), judge)
    assert (found.start, found.to_json()["start"]) == (start, start)
    assert words in found.sentence()
    last = found.receipts[-1].guarantee
    assert last.run is not None
    assert last.run.start == "followed"
    assert "begins where the receipt before ended" in last.text()
    assert "by you: the model, the state in which the receipt before ended, the data" in last.text()


def test_one_receipt_is_a_run_of_one() -> None:
    found = verify_run(receipts()[:1], expected(), judge)
    assert found.bits == found.receipts[0].facts.headline_bits


@pytest.mark.parametrize("order", [(0, 2), (1, 0), (0, 0), (0, 1, 1), (2, 1), (0, 2, 1)])
def test_another_order_is_refused(order: tuple[int, ...]) -> None:
    with pytest.raises(ChainBroken, match="another first step") as refused:
        verify_run([receipts()[at] for at in order], expected(), judge)
    assert refused.value.code == "verify.follows"


FIELDS = {
    "first": ("first step", 3),
    "initial_state": ("initial state", OTHER),
    "program_id": ("program id", OTHER),
    "weights_root": ("weights root", OTHER),
    "dataset_root": ("dataset root", OTHER),
    "seed": ("seed", 0),
    "prf_seed": ("prf seed", OTHER),
    "nonce": ("nonce", None),
}


def test_every_field_of_a_run_is_tried() -> None:
    assert set(FIELDS) == {"first", "initial_state", *SAME}


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_has_to_go_on(field: str) -> None:
    what, value = FIELDS[field]
    second = run()[1]
    journal = replace(second.journal, **{field: value})
    receipt = encode_receipt(second.checked.data, journal.encode(), b"")
    with pytest.raises(ChainBroken, match=f"another {what}$|another {what} ") as refused:
        following(run()[0].journal, receipt, expected())
    assert refused.value.code == "verify.follows"


def test_two_runs_spliced_are_refused() -> None:
    """Each is honest by itself; the second one continues another run than the first."""
    other = Prover("learner", steps=2, nonce=NONCE).commit()
    second = Prover("learner", steps=1, follows=other, nonce=NONCE).commit()
    for part in (other, second):
        judge(part.receipt(), part.expectations())
    with pytest.raises(ChainBroken, match="another initial state"):
        verify_run([receipts()[0], second.receipt()], expected(), judge)


def test_what_is_demanded_of_the_start_is_demanded_of_the_first() -> None:
    lax = expected().policy
    policy = replace(lax, start="declared")
    assert verify_run(receipts(), expected(policy=policy), judge).steps == 6
    with pytest.raises(ZktallyError) as refused:
        verify_run(receipts()[1:], expected(policy=policy), judge)
    assert refused.value.code == "policy.start"
    known = run()[0].journal.initial_state
    assert verify_run(receipts(), expected(initial_state=known), judge).steps == 6
    with pytest.raises(ZktallyError) as refused:
        verify_run(receipts(), expected(initial_state=OTHER), judge)
    assert refused.value.code == "verify.state-mismatch"


def test_bits_are_demanded_of_all_together() -> None:
    lax = expected().policy
    single = verify_run(receipts()[:1], expected(), judge).bits
    policy = replace(lax, min_bits=single)
    assert verify_run(receipts()[:1], expected(policy=policy), judge).bits == single
    with pytest.raises(InsufficientSecurity) as refused:
        verify_run(receipts(), expected(policy=policy), judge)
    assert refused.value.code == "policy.bits"


def test_calls_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="no receipts"):
        verify_run([], expected(), judge)
    for given in ({"input_root": OTHER}, {"inputs": run()[0].inputs}):
        with pytest.raises(UsageError, match="several receipts"):
            verify_run(receipts(), expected(**given), judge)


@pytest.mark.parametrize(
    ("bits", "together"),
    [([100], 100), ([100, 100], 99), ([100, 120], 99), ([101] * 3, 99), ([7] * 128, 0), ([0], 0),
     ([1, 1, 1], 0), ([200, 100, 200], 99)],
)  # fmt: skip
def test_errors_add_up(bits: list[int], together: int) -> None:
    assert bits_together(bits) == together
    error = sum(2.0**-each for each in bits)
    if bits != [200, 100, 200]:  # floats do not tell that from 100 bits
        assert together == max(0, math.floor(-math.log2(error)))


def test_a_run_shows_what_it_is() -> None:
    found: VerifiedRun = verify_run(receipts(), expected(), judge)
    begin, _, last = found.receipts
    assert (begin.first, begin.start, begin.seed) == (0, "declared", "derived")
    assert (last.first, last.start) == (5, "root")
    assert begin.dataset_root == last.dataset_root == run()[0].journal.dataset_root.hex()
    assert begin.exported_root != last.exported_root
    text = begin.guarantee.text()
    assert "run        steps 0 to 1; begins as its program declares, worked out again" in text
    assert "each step reads 3 of 7 records in the order of the seed" in text
    assert f"1 epoch begun; data set {begin.dataset_root}" in text
    assert "its seed follows from the program, the data set and your nonce" in text
    assert f"exports weights of root {begin.exported_root}" in text
    assert "run        step 5; begins where the receipt before ended" in last.guarantee.text()
    assert "3 epochs begun" in last.guarantee.text()
    assert last.to_json()["guarantee"]["run"]["epochs"] == 3
