"""Judges a SNARK receipt: the statement against expectations, then the proof by a checker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import (
    JournalMismatch,
    ParametersMismatch,
    ProgramMismatch,
    UsageError,
)
from ..labels import in_words
from ..policy import Expectations, Inputs
from ..quoting import listed, quoted
from ..receipt import as_receipt
from . import plonk
from .key import Key
from .receipt import SnarkReceipt, Statement, quantised, real
from .verdict import BITS, VerifiedSnark

Check = Callable[[Key, Sequence[int], bytes], None]
"""Raises InvalidProof where the proof of a key does not hold for these public values."""


def plainly(key: Key, instances: Sequence[int], proof: bytes) -> None:
    """The check in plain Python; needs py_ecc.

    Raises:
        InvalidProof: `verify.snark`.
        UnsupportedReceipt: `snark.no-checker`.
    """
    plonk.check(key.circuit, instances, proof)


def verify_snark(
    receipt: bytes, expectations: Expectations, check: Check = plainly, backend: str = "python"
) -> VerifiedSnark:
    """Judge a SNARK receipt against what the caller expects.

    Raises:
        VerificationFailed: it is refused.
        MalformedReceipt, UnsupportedReceipt: it cannot be judged; `snark.no-checker` where the
            checker is not installed.
        UsageError: the inputs are no arrays of the model's.
    """
    found = SnarkReceipt.decode(as_receipt(receipt))
    _judge_model(found, expectations)
    _judge_policy(found, expectations)
    _judge_labels(found.statement, expectations)
    _judge_digests(expectations)
    _judge_string(found.key, expectations)
    _judge_ranges(found, expectations)
    _judge_inputs(found, expectations.inputs)
    check(found.key, found.statement.instances(), found.proof)
    return VerifiedSnark.judged(found, expectations, backend)


def refuse_string(expectations: Expectations) -> None:
    """Refuse a receipt of another kind where a string is expected, or nothing but SNARK receipts.

    Raises:
        VerificationFailed: `verify.srs-mismatch`, `policy.mode`.
    """
    if set(expectations.policy.modes) == {"snark"}:
        raise ParametersMismatch(
            "the policy refuses this mode",
            code="policy.mode",
            expected="snark",
            received="no SNARK receipt",
        )
    if expectations.srs is not None:
        raise JournalMismatch(
            "the receipt rests on no structured reference string",
            code="verify.srs-mismatch",
            expected=expectations.srs.hex(),
            received="none",
        )


def _judge_model(found: SnarkReceipt, expectations: Expectations) -> None:
    key, stated = found.key.id, found.statement.model_id
    if key != stated:
        raise ProgramMismatch(
            "the key is not the one of the statement",
            code="verify.program-mismatch",
            expected=stated.hex(),
            received=key.hex(),
        )
    if stated != expectations.model_id:
        raise ProgramMismatch(
            "the receipt is about another model",
            code="verify.model-mismatch",
            expected=expectations.model_id.hex(),
            received=stated.hex(),
        )


def _judge_policy(found: SnarkReceipt, expectations: Expectations) -> None:
    """What a SNARK receipt can be held against; it is one step, of no program and no data set."""
    policy = expectations.policy
    _demand("snark" in policy.modes, "policy.mode", " or ".join(policy.modes), "snark", "mode")
    policy.judge_bits(BITS)
    steps = policy.max_steps
    _demand(steps is None or steps >= 1, "policy.steps", f"at most {steps}", 1, "number of steps")
    if policy.batch is not None:
        low, high = policy.batch
        shape = found.key.inputs[0].shape
        size = shape[0] if shape else 1
        _demand(low <= size <= high, "policy.batch", f"{low} to {high}", size, "batch")
    if policy.programs is not None:
        expected = " or ".join(each.hex() for each in policy.programs)
        _demand(False, "policy.program", expected, "a circuit of ezkl's", "program")


def _demand(holds: bool, code: str, expected: object, received: object, what: str) -> None:
    if not holds:
        raise ParametersMismatch(
            f"the policy refuses the {what}", code=code, expected=expected, received=received
        )


def _judge_labels(statement: Statement, expectations: Expectations) -> None:
    for name, received in statement.labels.items():
        expected = getattr(expectations, name)
        if expected != received:
            raise JournalMismatch(
                f"the receipt has another {name}",
                code=f"verify.{name}-mismatch",
                expected=in_words(expected),
                received=in_words(received),
                hint=f"pass --{name} exactly if the receipt was made for one",
            )


NOT_THERE = {
    "initial_state": "verify.state-mismatch",
    "dataset_root": "verify.dataset-mismatch",
    "input_root": "verify.input-mismatch",
}


def _judge_digests(expectations: Expectations) -> None:
    """A SNARK receipt has no state, no data set and no tree of inputs."""
    for name, code in NOT_THERE.items():
        expected = getattr(expectations, name)
        if expected is not None:
            raise JournalMismatch(
                f"a SNARK receipt has no {name.replace('_', ' ')}",
                code=code,
                expected=expected.hex(),
                received="none",
            )


def _judge_string(key: Key, expectations: Expectations) -> None:
    """The string is the caller's to name: whoever knows its secret makes proofs of anything."""
    if expectations.srs == key.srs or (expectations.any_srs and expectations.srs is None):
        return
    unnamed = expectations.srs is None
    raise JournalMismatch(
        "the receipt rests on a structured reference string, and you named "
        + ("none" if unnamed else "another"),
        code="verify.srs-mismatch",
        expected="a string that you named" if expectations.srs is None else expectations.srs.hex(),
        received=key.srs.hex(),
        hint="pass --srs as its ceremony is published; --any-srs trusts whoever made it",
    )


def _judge_ranges(found: SnarkReceipt, expectations: Expectations) -> None:
    ports = found.key.inputs[:-1]
    shown = real(ports, found.statement.inputs) if found.key.public else {}
    for name, (low, high) in expectations.policy.ranges.items():
        expected, what = f"{low} to {high}", f"input {quoted(name)}"
        known = name in {port.name for port in ports}
        _demand(known, "policy.range", expected, "no such input", what)
        _demand(name in shown, "policy.range", expected, "nothing published", what)
        outside = shown[name][~((shown[name] >= low) & (shown[name] <= high))]
        received = outside.flat[0] if outside.size else None
        _demand(not outside.size, "policy.range", expected, received, what)


def _judge_inputs(found: SnarkReceipt, inputs: Inputs | None) -> None:
    """The caller's inputs, made whole numbers as ezkl does, are the published ones."""
    if inputs is None:
        return
    if not found.key.public:
        raise JournalMismatch(
            "the receipt keeps its inputs private",
            code="verify.input-mismatch",
            expected="published inputs",
            received="none",
            hint="ask for a circuit that was set up with --input-visibility public",
        )
    values: list[int] = []
    for port, array in arranged(found.key, inputs):
        values += quantised(port, array).tolist()
    if tuple(values) != found.statement.inputs:
        raise JournalMismatch(
            "the receipt is about other inputs",
            code="verify.input-mismatch",
            expected="the inputs that you passed",
            received="others",
        )


def arranged(key: Key, inputs: Inputs) -> list[tuple[Any, np.ndarray[Any, Any]]]:
    """The caller's arrays with the ports that they are for, in the model's order.

    Raises:
        UsageError: `usage.input`, names, shapes or dtypes are not the model's.
    """
    ports = key.inputs[:-1]
    given = inputs if isinstance(inputs, Mapping) else {ports[0].name: inputs}
    if set(given) != {port.name for port in ports}:
        raise UsageError(
            "these are not the inputs of the model",
            code="usage.input",
            expected=listed(port.name for port in ports),
            received=listed(given),
        )
    found = []
    for port in ports:
        array = np.asarray(given[port.name])
        whole = array.dtype.kind in "iub"
        if array.dtype.kind not in "fiub" or (port.kind in ("Int", "Bool") and not whole):
            raise UsageError(
                f"input {quoted(port.name)} has a dtype that the model does not take",
                code="usage.input",
                expected=port.kind,
                received=array.dtype,
            )
        if array.shape != port.shape:
            raise UsageError(
                f"input {quoted(port.name)} has another shape",
                code="usage.input",
                expected=list(port.shape),
                received=list(array.shape),
                hint="a SNARK receipt is of one run: make one for each",
            )
        if not np.isfinite(array).all():
            raise UsageError(
                f"input {quoted(port.name)} holds values that are not finite",
                code="usage.input",
                expected="finite values",
            )
        found.append((port, array))
    return found
