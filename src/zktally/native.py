"""The Rust verifier behind the same call as the Python one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._core import verify as judge
from ._core import verify_aggregate as judge_aggregate
from .verifier.errors import ZktallyError
from .verifier.facts import Facts
from .verifier.hybrid.aggregate import MODES_IN_ONE, expected_of, numbered, split_aggregate
from .verifier.inputs import caller_arrays, quantise
from .verifier.journal import MODES, Journal
from .verifier.plain import from_json
from .verifier.policy import Expectations
from .verifier.program.codec import decode, program_id
from .verifier.receipt import as_receipt, split_receipt
from .verifier.steps import judge_sections, judge_statement, private_inputs

_STATED = ("policy.", "program.", "receipt.", "usage.")
"""Codes of what can be refused before the proof is looked at."""


def verify(
    receipt: bytes | bytearray | memoryview, expectations: Expectations, threads: int = 0
) -> tuple[Facts, dict[str, np.ndarray]]:
    """Judge a receipt with the Rust verifier: facts, outputs and errors as from the Python one."""
    receipt, demands = as_receipt(receipt), json.dumps(_demanded(expectations))
    given = _arranged(receipt, expectations)
    try:
        facts, outputs = judge(receipt, demands, _inputs(given), threads)
    except ZktallyError as error:
        raise in_common_words(error, receipt, expectations) from None
    return from_json(Facts, json.loads(facts)), outputs


def verify_aggregate(
    aggregate: bytes, expectations: Sequence[Expectations], threads: int = 0
) -> list[tuple[Facts, dict[str, np.ndarray]]]:
    """The same for an aggregate: facts and outputs of each of its receipts."""
    demands = json.dumps([_demanded(each) for each in expectations])
    try:
        found = judge_aggregate(aggregate, demands, threads)
    except ZktallyError as error:
        raise _of_aggregate_in_common_words(error, aggregate, expectations) from None
    return [(from_json(Facts, json.loads(facts)), outputs) for facts, outputs in found]


def _demanded(expectations: Expectations) -> dict[str, Any]:
    demanded = expectations.to_json()
    # The core knows no SNARK receipts, which are judged elsewhere.
    demanded["policy"]["modes"] = [m for m in demanded["policy"]["modes"] if m != "snark"]
    return demanded


def in_common_words(
    refused: ZktallyError, receipt: bytes, expectations: Expectations
) -> ZktallyError:
    """A refusal of the core in the words and units of the Python verifier, where it has them.

    The judgement stays the core's: what Python says of the statement and of the caller's inputs is
    only taken where its code is the same.
    """
    if not refused.code.startswith(_STATED) and not refused.code.endswith("-mismatch"):
        return refused  # a proof that is wrong: what is wrong with it each says in its own way
    try:
        statement = judge_statement(receipt, expectations, tuple(range(len(MODES))))
        if expectations.inputs is not None:
            if statement.journal.input_key is None:
                raise private_inputs()
            program, items = statement.checked.program, statement.journal.items
            quantise(program, expectations.inputs, None if program.inputs else items)
        if refused.code == "policy.bits":
            expectations.policy.judge_bits(int(str(refused.received)))
    except ZktallyError as said:
        return said if said.code == refused.code else refused
    return refused


def _of_aggregate_in_common_words(
    refused: ZktallyError, aggregate: bytes, expectations: Sequence[Expectations]
) -> ZktallyError:
    """The same for an aggregate, by the first of its receipts whose statement alone is refused."""
    if not refused.code.startswith(_STATED) and not refused.code.endswith("-mismatch"):
        return refused
    try:
        parts = split_aggregate(aggregate)
        for number, own in enumerate(parts.receipts):
            with numbered(number, parts, expectations):
                expected = expected_of(own, expectations)
                judge_sections(own, len(aggregate), expected, MODES_IN_ONE)
        if refused.code == "policy.bits":
            expectations[0].policy.judge_bits(int(str(refused.received)))
    except ZktallyError as said:
        return said if said.code == refused.code else refused
    return refused


def _arranged(receipt: bytes, expectations: Expectations) -> Any:
    """The caller's arrays in the one form that the core reads, by the program in the receipt.

    Only a program that the caller means is looked at: another one could ask for steps without end.
    """
    given = expectations.inputs
    if given is None:
        return None
    try:
        sections = split_receipt(receipt)
        journal = Journal.decode(sections.journal)
        meant = program_id(bytes(sections.program)) == journal.program_id
        if meant and journal.model_id == expectations.model_id:
            return caller_arrays(decode(sections.program), given)
    except (ZktallyError, IndexError):  # the core says what is wrong with receipt or program
        pass
    return given


def _inputs(given: Any) -> dict[Any, np.ndarray] | np.ndarray | None:
    """The caller's arrays as the core takes them; names, shapes and dtypes it judges itself."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {name: _plain(array) for name, array in given.items()}
    return _plain(given)


def _plain(given: Any) -> np.ndarray:
    """Real numbers as float64, integers as int64, anything else as it is; in this machine's order.

    Integers that int64 does not hold become floats: a port of integers refuses both, and one of
    floats would convert them in the same way.
    """
    try:
        array = np.asarray(given)
    except (TypeError, ValueError):
        return np.empty((), object)
    kind = array.dtype.kind
    large = kind == "u" and array.size > 0 and int(array.max()) > np.iinfo(np.int64).max
    if kind == "f" or large:
        return array.astype(np.float64)
    return array.astype(np.int64) if kind in "iub" else array
