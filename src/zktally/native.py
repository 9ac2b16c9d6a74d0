"""The Rust verifier behind the same call as the Python one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _core
from .verifier.errors import ZktallyError
from .verifier.policy import Expectations
from .verifier.program.codec import decode
from .verifier.receipt import split_receipt


def verify_fast(
    receipt: bytes, expectations: Expectations, threads: int = 0
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Judge a receipt with the Rust verifier: facts, outputs and errors as from the Python one."""
    policy = expectations.policy
    demands = {
        "model_id": expectations.model_id.hex(),
        "modes": list(policy.modes),
        "min_bits": policy.min_bits,
        "max_delta_ppm": policy.max_delta_ppm,
        "max_delta_step_ppm": policy.max_delta_step_ppm,
        "outputs_exact": policy.outputs_exact,
        "audience": expectations.audience,
        "nonce": _hex(expectations.nonce),
        "initial_state": _hex(expectations.initial_state),
        "input_root": _hex(expectations.input_root),
    }
    arrays = None if expectations.inputs is None else _named(receipt, expectations.inputs)
    facts, outputs = _core.verify_fast(receipt, json.dumps(demands), arrays, threads)
    return json.loads(facts), outputs


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _named(receipt: bytes, inputs: np.ndarray | Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays by port name; a single array belongs to the first input port."""
    if isinstance(inputs, Mapping):
        return {name: np.ascontiguousarray(array) for name, array in inputs.items()}
    try:
        ports = decode(split_receipt(receipt).program).inputs
    except ZktallyError:
        ports = ()  # the verifier says so in its own order
    return {ports[0].name if ports else "input": np.ascontiguousarray(inputs)}
