"""The Rust verifier behind the same call as the Python one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _core
from .verifier.errors import UsageError
from .verifier.journal import MODES
from .verifier.policy import Expectations

_NOT_SHOWN = ("bits", "exact", "inputs", "outputs")


def verify(
    receipt: bytes | bytearray | memoryview, expectations: Expectations, threads: int = 0
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Judge a receipt with the Rust verifier: facts, outputs and errors as from the Python one."""
    policy = expectations.policy
    demands = {
        "model_id": expectations.model_id.hex(),
        "policy": {
            "modes": list(policy.modes),
            "min_bits": int(policy.min_bits),
            "max_delta_ppm": policy.max_delta_ppm,
            "max_delta_step_ppm": policy.max_delta_step_ppm,
            "max_delta_op_ppm": policy.max_delta_op_ppm,
            "outputs_exact": policy.outputs_exact,
        },
        "audience": expectations.audience,
        "nonce": _hex(expectations.nonce),
        "initial_state": _hex(expectations.initial_state),
        "input_root": _hex(expectations.input_root),
    }
    if not isinstance(receipt, bytes | bytearray | memoryview):
        raise UsageError(
            "a receipt is bytes", expected="bytes", received=f"a {type(receipt).__name__}"
        )
    inputs = _inputs(expectations.inputs)
    facts, outputs = _core.verify(bytes(receipt), json.dumps(demands), inputs, threads)
    return _flat(json.loads(facts)), outputs


def _flat(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts in one level, as the Python verifier gives them, by the alphabet."""
    journal, stark = facts.pop("journal"), facts.pop("stark") or {}
    kept = {name: value for name, value in journal.items() if name not in _NOT_SHOWN}
    flat = {**kept, **facts, "mode": MODES[journal["mode"]], "lambda": journal["bits"]}
    if stark:
        flat |= {"stark_bits": stark.pop("bits"), **stark}
    ordered: dict[str, Any] = json.loads(json.dumps(flat, sort_keys=True))
    return ordered


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


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
