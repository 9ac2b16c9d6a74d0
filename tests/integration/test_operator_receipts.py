"""A receipt for every pattern of gates that operators lower to, judged by both verifiers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

import zktally as api
from support.compared import network, node

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
    "attention behind a mask": (
        [
            node("MatMul", "x z", "s"),
            node("Div", "s c", "d"),
            node("Add", "d m", "h"),
            node("Softmax", "h", "p", axis=-1),
            node("MatMul", "p x", "y"),
        ],
        {"x": ("n", 5, 5), "z": ("n", 5, 5)},
        {"c": np.float32(2.0), "m": np.triu(np.full((5, 5), -np.inf, np.float32), 1)},
    ),
    "shares of many values": (
        [node("Softmax", "x", "p", axis=-1), node("MatMul", "p z", "y")],
        {"x": ("n", 1, 600), "z": ("n", 600, 2)},
    ),
    "neighbouring channels": ([node("LRN", "x", "y", size=3)], {"x": ("n", 5, 2, 2)}),
}
LONG: dict[str, tuple[Any, ...]] = {
    "a sum of parts": ([node("LogSoftmax", "x", "y")], {"x": ("n", 16_400)}),
}


@pytest.mark.parametrize("mode", ["fast", "hybrid", "strict"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_both_verifiers_accept_it(pattern: str, mode: str) -> None:
    prove_and_verify(mode, *PATTERNS[pattern])


@pytest.mark.nightly
@pytest.mark.parametrize("mode", ["fast", "hybrid", "strict"])
@pytest.mark.parametrize("pattern", LONG)
def test_both_verifiers_accept_long_ones(pattern: str, mode: str) -> None:
    prove_and_verify(mode, *LONG[pattern])


def prove_and_verify(mode: str, nodes: Any, inputs: Any, *rest: Any) -> None:
    kind = rest[1] if len(rest) > 1 else TensorProto.FLOAT
    model = network(nodes, inputs, rest[0] if rest else {}, kind=kind, opset=18)
    data = {name: normal(6, *shape[1:]) for name, shape in inputs.items()}
    compiled = api.compile(model, data, public=True)
    receipt = api.prove(compiled, {name: rows[:1] for name, rows in data.items()}, mode=mode)
    for backend in BACKENDS:
        assert api.verify(receipt.data, compiled.model_id, backend=backend).outputs
