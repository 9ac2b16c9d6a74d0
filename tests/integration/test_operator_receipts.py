"""A receipt for every pattern of gates that operators lower to, judged by both verifiers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

import zktally as api
from support.compared import network, node, with_bits

RNG = np.random.default_rng(15)
BACKENDS = ("rust", "python")


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


FIVE = {"x": ("n", 5), "z": ("n", 5)}
AXIS = {"a": np.array([1])}
PATTERNS: dict[str, tuple[Any, ...]] = {
    "a table of a composite": (
        [node("Sigmoid", "x", "s"), node("Mul", "x s", "y")],
        {"x": ("n", 5)},
    ),
    "a fine table fused into a sum": (
        [
            node("Abs", "x", "a"),
            node("Add", "a e", "h"),
            node("Log", "h", "l"),
            node("Add", "l z", "y"),
        ],
        FIVE,
        {"e": np.full((1, 5), 1e-3, np.float32)},
    ),
    "a computed divisor": ([node("Exp", "z", "d"), node("Div", "x d", "y")], FIVE),
    "slopes by channel": ([node("PRelu", "x s", "y")], {"x": ("n", 5)}, {"s": normal(5)}),
    "values beside each other": ([node("Min", "x z c", "y")], FIVE, {"c": normal(5)}),
    "a comparison and a choice": (
        [node("Greater", "x z", "g"), node("Xor", "g m", "t"), node("Where", "t x c", "y")],
        FIVE,
        {"m": np.array([True, False, True, True, False]), "c": normal(5)},
    ),
    "a truth as an output": (
        [node("Less", "x z", "l"), node("Not", "l", "y")],
        FIVE,
        {},
        TensorProto.BOOL,
    ),
    "a norm": ([node("ReduceL2", "x a", "y")], {"x": ("n", 5)}, AXIS),
    "a product": ([node("ReduceProd", "x a", "y")], {"x": ("n", 5)}, AXIS),
    "the logarithm of a sum": ([node("LogSoftmax", "x", "y")], {"x": ("n", 5)}),
    "the last index": (
        [node("ArgMin", "x", "y", axis=1, select_last_index=1)],
        {"x": ("n", 5)},
        {},
        TensorProto.INT64,
    ),
    "a running sum": ([node("CumSum", "x a", "y")], {"x": ("n", 5)}, {"a": np.array(1)}),
    "norms of windows": (
        [node("LpPool", "x", "y", kernel_shape=[2, 2], pads=[1, 0, 0, 1])],
        {"x": ("n", 2, 3, 3)},
    ),
    "deviations divided by a root": (
        [node("LayerNormalization", "x g b", "y")],
        {"x": ("n", 5)},
        {"g": normal(5), "b": normal(5)},
    ),
    "neighbouring channels": ([node("LRN", "x", "y", size=3)], {"x": ("n", 5, 2, 2)}),
}


@pytest.mark.parametrize("mode", ["fast", "hybrid", "strict"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_both_verifiers_accept_it(pattern: str, mode: str) -> None:
    nodes, inputs, *rest = PATTERNS[pattern]
    kind = rest[1] if len(rest) > 1 else TensorProto.FLOAT
    model = network(nodes, inputs, rest[0] if rest else {}, kind=kind, opset=18)
    data = {name: normal(6, *shape[1:]) for name, shape in inputs.items()}
    compiled = api.compile(model, data, public=True)
    receipt = api.prove(compiled, {name: rows[:1] for name, rows in data.items()}, mode=mode)
    for backend in BACKENDS:
        assert api.verify(receipt.data, compiled.model_id, backend=backend).outputs


WIDE: dict[str, tuple[Any, ...]] = {
    "a wide sum with a wide bias": (
        [node("Gemm", "x w b", "h"), node("Sigmoid", "h", "y")],
        {"x": ("n", 5)},
        {"w": normal(5, 3), "b": 30 * normal(3)},
        {},
    ),
    "operands with and without zeros": (
        [node("MatMul", "x w", "h"), node("Mul", "x z", "m"), node("Add", "m h", "y")],
        FIVE,
        {"w": normal(5, 5)},
        {"x": 8, "h": 8},
    ),
    "a fine softmax": ([node("Softmax", "x", "y", axis=1)], {"x": ("n", 5)}, {}, {}),
    "a fine norm": (
        [node("LayerNormalization", "x s", "y", axis=1)],
        {"x": ("n", 5)},
        {"s": np.ones(5, np.float32)},
        {},
    ),
}
"""What 16 bits make of patterns, with the bits of the values that keep fewer."""


@pytest.mark.parametrize("mode", ["fast", "hybrid", "strict"])
@pytest.mark.parametrize("pattern", WIDE)
def test_both_verifiers_accept_wide_values(pattern: str, mode: str) -> None:
    nodes, inputs, constants, narrow = WIDE[pattern]
    model = network(nodes, inputs, constants, opset=18)
    data = {name: normal(6, *shape[1:]) for name, shape in inputs.items()}
    compiled = with_bits(model, data, narrow)
    assert any(tensor.width > 1 for tensor in compiled.checked.program.tensors)
    receipt = api.prove(compiled, {name: rows[:1] for name, rows in data.items()}, mode=mode)
    for backend in BACKENDS:
        assert api.verify(receipt.data, compiled.model_id, backend=backend).outputs
