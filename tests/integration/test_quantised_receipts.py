"""Receipts of models that are quantised already, judged by both verifiers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

import zktally as api
from support.compared import node
from support.quantised import MICROSOFT, network, normal, runtime

BACKENDS = ("rust", "python")
RNG = np.random.default_rng(29)


def scalar(value: float, kind: Any = np.float32) -> np.ndarray:
    return np.array(value, kind)


def unsigned_weights() -> tuple[Any, ...]:
    """A product by weights with a zero point, and integers that are made unsigned again."""
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("QGemm", "q s z w s v d s z", "g", domain=MICROSOFT),
        node("QLinearLeakyRelu", "g s z s z", "y", domain=MICROSOFT),
    ]
    constants = {
        "s": scalar(0.02),
        "z": scalar(120, np.uint8),
        "w": RNG.integers(0, 256, (5, 3), dtype=np.uint8),
        "v": scalar(99, np.uint8),
        "d": np.array([100, 9_000_000, -200], np.int32),
    }
    return nodes, constants, TensorProto.UINT8, 1.0


def a_softmax_of_another_scale() -> tuple[Any, ...]:
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("DequantizeLinear", "q s z", "h"),
        node("Softmax", "h", "m"),
        node("QuantizeLinear", "m t z", "p"),
        node("DequantizeLinear", "p t z", "y"),
    ]
    constants = {"s": scalar(0.02), "t": scalar(0.0031), "z": scalar(-100, np.int8)}
    return nodes, constants, TensorProto.FLOAT, 0.0031


def sixteen_bits_with_zero_points() -> tuple[Any, ...]:
    """A sum of 16-bit products is wide: zero points are terms of their own."""
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("DequantizeLinear", "q s z", "h"),
        node("DequantizeLinear", "w s v", "k"),
        node("MatMul", "h k", "g"),
        node("QuantizeLinear", "g t z", "m"),
        node("DequantizeLinear", "m t z", "n"),
        node("Add", "n h", "a"),
        node("QuantizeLinear", "a t z", "p"),
        node("DequantizeLinear", "p t z", "y"),
    ]
    constants = {
        "s": scalar(0.0001),
        "t": scalar(0.0002),
        "z": scalar(30_000, np.uint16),
        "w": RNG.integers(0, 2**16, (5, 5), dtype=np.uint16),
        "v": scalar(33_000, np.uint16),
    }
    return nodes, constants, TensorProto.FLOAT, 4 * 0.0002


MODELS = {
    "unsigned": unsigned_weights,
    "softmax": a_softmax_of_another_scale,
    "wide": sixteen_bits_with_zero_points,
}


@pytest.mark.parametrize("mode", ["fast", "hybrid", "strict"])
@pytest.mark.parametrize("case", MODELS)
def test_both_verifiers_accept_it(case: str, mode: str) -> None:
    nodes, constants, out, limit = MODELS[case]()
    model = network(nodes, {"x": ("n", 5)}, constants, out=out, opset=21)
    data = normal(6, 5)
    compiled = api.compile(model, data, public=True)
    receipt = api.prove(compiled, data[:1], mode=mode)
    (right,) = runtime(model, {"x": data[:1]})
    for backend in BACKENDS:
        (output,) = api.verify(receipt.data, compiled.model_id, backend=backend).outputs.values()
        assert np.abs(np.asarray(output).reshape(right.shape) - right).max() <= 1.001 * limit
