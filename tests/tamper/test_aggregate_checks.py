"""Each check of aggregates is what refuses some aggregate: without it the verdict is another.

The engine is not asked: what the outer proof shows is not in question here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import checks
import pytest
from judges import ACCEPTED

from support.aggregates import OUTER, Run, joined, together
from zktally.verifier import receipt, stark
from zktally.verifier.errors import ZktallyError
from zktally.verifier.hybrid import aggregate
from zktally.verifier.hybrid.aggregate import split_aggregate, verify_aggregate
from zktally.verifier.policy import Expectations

CRASH = "crash"

FUNCTIONS = (
    aggregate._judge_expectations,
    split_aggregate,
    aggregate._judge_order,
    aggregate._judge_once,
    aggregate._judge_drawn,
    aggregate._judge_all_meant,
    verify_aggregate,
)


@cache
def runs() -> list[Run]:
    return [Run("dense"), Run("conv")]


@dataclass(frozen=True)
class Case:
    """An aggregate and what is expected of it, the code of its refusal, and limits that are set."""

    code: str
    data: Callable[[], bytes]
    expected: Callable[[], Sequence[Expectations]] = lambda: [run.expected for run in runs()]
    limits: Sequence[tuple[str, Any]] = ()

    def verdict(self) -> str:
        try:
            verify_aggregate(self.data(), self.expected())
        except ZktallyError as error:
            return error.code
        except (ValueError, LookupError, TypeError, StopIteration):
            return CRASH
        return ACCEPTED


def changed(at: int, byte: bytes) -> bytes:
    return together(runs())[:at] + byte + together(runs())[at + 1 :]


def of_statements(programs: Sequence[int], receipts: Sequence[tuple[int, bytes]]) -> bytes:
    """These programs and receipts, with points and the outer proof of three."""
    proof = bytes(split_aggregate(together(runs())).proof)
    return joined([runs()[number].program for number in programs], receipts, proof)


def journal(number: int, which: int = 0) -> bytes:
    return runs()[number].journals[which]


def expecting(**changes: Any) -> Expectations:
    return replace(runs()[0].expected, **changes)


def with_inputs() -> list[Expectations]:
    found = copy.copy(runs()[0].expected)
    object.__setattr__(found, "inputs", {})
    return [found, runs()[1].expected]


CASES = {
    "nothing is expected": Case("usage", lambda: together(runs()), list),
    "a model is expected twice": Case(
        "usage", lambda: together(runs()), lambda: [runs()[0].expected, *Case.expected()]
    ),
    "inputs are expected": Case("usage", lambda: together(runs()), with_inputs),
    "a model that no receipt is about": Case(
        "verify.model-mismatch",
        lambda: together(runs()),
        lambda: [*Case.expected(), expecting(model_id=bytes(32))],
    ),
    "another magic": Case("receipt.bad-magic", lambda: b"ZKTANNY" + together(runs())[7:]),
    "another version": Case("receipt.unsupported-version", lambda: changed(7, b"\2")),
    "a byte after the last part": Case("receipt.trailing-bytes", lambda: together(runs()) + b"\0"),
    "a byte after the outer proof": Case(
        "receipt.trailing-bytes",
        lambda: together(runs(), rest=bytes(split_aggregate(together(runs())).proof) + b"\0"),
    ),
    "programs in another order": Case(
        "receipt.non-canonical",
        lambda: of_statements([1, 0], [(1, journal(0)), (0, journal(1)), (1, journal(0, 1))]),
    ),
    "a program that is not there": Case(
        "receipt.non-canonical", lambda: of_statements([0], [(1, journal(0))])
    ),
    "a program that no receipt names": Case(
        "receipt.non-canonical",
        lambda: joined(
            [run.program for run in runs()],
            [(0, journal(0))],
            bytes(split_aggregate(together(runs(), (0,))).proof),
        ),
        lambda: [runs()[0].expected],
    ),
    "a program that stands twice": Case(
        "receipt.non-canonical",
        lambda: of_statements([0, 0, 1], [(0, journal(0)), (1, journal(0, 1)), (2, journal(1))]),
    ),
    "a statement that stands twice": Case(
        "receipt.non-canonical",
        lambda: of_statements([0, 1], [(0, journal(0)), (1, journal(1)), (0, journal(0))]),
    ),
    "more samples than one receipt may have": Case(
        "verify.too-large", lambda: together(runs()), limits=[("MAX_DRAWS", -1)]
    ),
    "more bytes than any file": Case(
        "receipt.too-large", lambda: together(runs()), limits=[("MAX_RECEIPT", 999)]
    ),
}

TABLE = {
    "_judge_expectations 0": {"a model is expected twice": ACCEPTED, "nothing is expected": CRASH},
    "_judge_expectations 1": {"inputs are expected": "usage.input"},
    "split_aggregate 0": {"more bytes than any file": ACCEPTED},
    "split_aggregate 1": {"another magic": ACCEPTED},
    "split_aggregate 2": {"another version": ACCEPTED},
    "split_aggregate 3": {
        "programs in another order": ACCEPTED,
        "a program that is not there": CRASH,
        "a program that no receipt names": ACCEPTED,
        "a program that stands twice": ACCEPTED,
    },
    "split_aggregate 4": {"a statement that stands twice": ACCEPTED},
    "split_aggregate 5": {"a byte after the last part": ACCEPTED},
    "_judge_order 0": {"programs in another order": ACCEPTED},
    "_judge_order 1": {
        "a program that no receipt names": ACCEPTED,
        "a program that stands twice": ACCEPTED,
    },
    "_judge_once 0": {"a statement that stands twice": ACCEPTED},
    "_judge_drawn 0": {"more samples than one receipt may have": ACCEPTED},
    "_judge_all_meant 0": {"a model that no receipt is about": ACCEPTED},
    "verify_aggregate 0": {
        "a model is expected twice": ACCEPTED,
        "inputs are expected": "usage.input",
    },
    "verify_aggregate 1": {"more samples than one receipt may have": ACCEPTED},
    "verify_aggregate 2": {"a byte after the outer proof": ACCEPTED},
    "verify_aggregate 3": {"a model that no receipt is about": ACCEPTED},
}
"""For each check: what it refuses, and the verdict without it."""


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stark, "verify_stark", lambda data, **given: OUTER)


def limited(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in case.limits:
        monkeypatch.setattr(aggregate if hasattr(aggregate, name) else receipt, name, value)


def test_an_honest_aggregate_passes() -> None:
    assert Case("", lambda: together(runs())).verdict() == ACCEPTED


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(CASES[name], monkeypatch)
    assert CASES[name].verdict() == CASES[name].code


@pytest.mark.parametrize(
    ("check", "name"), [(check, name) for check, names in TABLE.items() for name in names]
)
def test_without_the_check_it_is_not(
    check: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    limited(case, monkeypatch)
    with checks.without_all(FUNCTIONS)[check]():
        assert case.verdict() == TABLE[check][name] != case.code


def test_every_check_of_aggregates_stands_in_the_table() -> None:
    assert TABLE.keys() == checks.without_all(FUNCTIONS).keys()
    assert {name for names in TABLE.values() for name in names} == CASES.keys()
