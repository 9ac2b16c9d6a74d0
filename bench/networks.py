"""Networks of many shapes and depths, small: what `zktally bench weights` looks at.

ONNX models from random weights, and a training step as a program by hand. The size of a layer does
not matter for what is measured (weights against MACs); the depth and the way in which values meet
do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..circuits.compile import compile
from ..verifier.program.checked import Checked, check
from .models import INT8, IR_VERSION, OPSET
from .training import training_step

CHANNELS, SIDE = 16, 8
TOKENS, MODEL, HEADS = 8, 16, 2
CELLS, UNITS = 64, 16
GAIN = 2.2
"""Variance of a layer's output over its input's, before half of it is cut off."""


class Net:
    """A graph built node by node: every method returns the name of what it adds."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.rng = np.random.default_rng(0)

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node."""
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, values: npt.ArrayLike, dtype: Any = np.float32) -> str:
        """Add an initialiser."""
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def drawn(self, *shape: int, inputs: int, gain: float = GAIN) -> str:
        """Add random weights of a layer that sums so many inputs."""
        return self.constant(self.rng.normal(0, math.sqrt(gain / inputs), shape))

    def conv(self, x: str, inputs: int, outputs: int, kernel: int = 1, gain: float = GAIN) -> str:
        """Add a square convolution that keeps the size of the image."""
        weight = self.drawn(outputs, inputs, kernel, kernel, inputs=inputs * kernel**2, gain=gain)
        return self.op("Conv", x, weight, pads=[kernel // 2] * 4)

    def dense(self, x: str, inputs: int, outputs: int, gain: float = GAIN) -> str:
        """Add a product with a matrix of weights."""
        return self.op("MatMul", x, self.drawn(inputs, outputs, inputs=inputs, gain=gain))

    def slice(self, x: str, axis: int, start: int, end: int) -> str:
        """Add a part along one axis."""
        ends = [self.constant([at], np.int64) for at in (start, end, axis)]
        return self.op("Slice", x, *ends)

    def compiled(self, shape: list[int], out: str, outputs: list[int]) -> Checked:
        """The compiled program, its input `x` and output `out` of these shapes."""
        value = partial(helper.make_tensor_value_info, elem_type=TensorProto.FLOAT)
        graph = helper.make_graph(
            self.nodes, "network", [value("x", shape=shape)], [value(out, shape=outputs)],
            self.constants,
        )  # fmt: skip
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        data = np.random.default_rng(1).normal(0, 1, (2, *shape[1:])).astype(np.float32)
        return compile(model, data, public=True, evaluate=1, **INT8).checked


def residual(blocks: int) -> Checked:
    """A chain of x + relu(conv(x))."""
    return _image(blocks, lambda net, x: net.op("Add", net.op("Relu", _half(net, x)), x))


def silu(blocks: int) -> Checked:
    """A chain of h · sigmoid(h), h = conv(x)."""

    def block(net: Net, x: str) -> str:
        h = net.conv(x, CHANNELS, CHANNELS)
        return net.op("Mul", h, net.op("Sigmoid", h))

    return _image(blocks, block)


def squeeze_excite(blocks: int) -> Checked:
    """A chain of h · sigmoid(dense(relu(dense(mean h)))), h = relu(conv(x))."""

    def block(net: Net, x: str) -> str:
        h = net.op("Relu", net.conv(x, CHANNELS, CHANNELS))
        mean = net.op("GlobalAveragePool", h)
        small = net.op("Relu", net.conv(mean, CHANNELS, CHANNELS // 4))
        gates = net.op("Sigmoid", net.conv(small, CHANNELS // 4, CHANNELS))
        return net.op("Mul", h, gates)

    return _image(blocks, block)


def bottleneck(blocks: int) -> Checked:
    """A chain of x + conv1(conv3(conv1(x))), narrow in the middle: as in ResNet-50."""

    def block(net: Net, x: str) -> str:
        narrow = net.op("Relu", net.conv(x, CHANNELS, CHANNELS // 4))
        wide = net.op("Relu", net.conv(narrow, CHANNELS // 4, CHANNELS // 4, kernel=3))
        return net.op("Relu", net.op("Add", net.conv(wide, CHANNELS // 4, CHANNELS, gain=0.1), x))

    return _image(blocks, block)


def plain(layers: int) -> Checked:
    """A chain of relu(conv3(x))."""
    return _image(layers, lambda net, x: net.op("Relu", net.conv(x, CHANNELS, CHANNELS, kernel=3)))


def _half(net: Net, x: str) -> str:
    """A convolution whose sum with its input does not grow much."""
    return net.conv(x, CHANNELS, CHANNELS, gain=0.1)


def _image(blocks: int, block: Callable[[Net, str], str]) -> Checked:
    net, x = Net(), "x"
    for _ in range(blocks):
        x = block(net, x)
    shape = [1, CHANNELS, SIDE, SIDE]
    return net.compiled(shape, x, shape)


def attention(blocks: int) -> Checked:
    """A chain of x + heads(softmax(q·kᵀ)·v), then x + dense(relu(dense(x)))."""
    net, x = Net(), "x"
    for _ in range(blocks):
        x = net.op("Add", x, _heads(net, x))
        inner = net.op("Relu", net.dense(x, MODEL, 4 * MODEL))
        x = net.op("Add", x, net.dense(inner, 4 * MODEL, MODEL, gain=0.1))
    return net.compiled([1, TOKENS, MODEL], x, [1, TOKENS, MODEL])


def _heads(net: Net, x: str) -> str:
    width = MODEL // HEADS
    shape = net.constant([0, TOKENS, HEADS, width], np.int64)

    def split(perm: list[int]) -> str:
        each = net.op("Reshape", net.dense(x, MODEL, MODEL, gain=1.0), shape)
        return net.op("Transpose", each, perm=perm)

    q, k, v = split([0, 2, 1, 3]), split([0, 2, 3, 1]), split([0, 2, 1, 3])
    scores = net.op("Mul", net.op("MatMul", q, k), net.constant([1 / math.sqrt(width)]))
    mixed = net.op("MatMul", net.op("Softmax", scores, axis=-1), v)
    joined = net.op("Transpose", mixed, perm=[0, 2, 1, 3])
    flat = net.op("Reshape", joined, net.constant([0, TOKENS, MODEL], np.int64))
    return net.dense(flat, MODEL, MODEL, gain=0.1)


def lstm(cells: int = CELLS) -> Checked:
    """An LSTM cell, unrolled over a sequence."""
    net = Net()
    h = c = None
    weights = net.drawn(UNITS, 4 * UNITS, inputs=UNITS, gain=1.0)
    recurrent = net.drawn(UNITS, 4 * UNITS, inputs=UNITS, gain=1.0)
    for cell in range(cells):
        x = net.op("Reshape", net.slice("x", 1, cell, cell + 1),
                   net.constant([0, UNITS], np.int64))  # fmt: skip
        sums = net.op("MatMul", x, weights)
        if h is not None:
            sums = net.op("Add", sums, net.op("MatMul", h, recurrent))
        gates = net.op("Sigmoid", net.slice(sums, 1, 0, 3 * UNITS))
        enter, keep, leave = (net.slice(gates, 1, UNITS * n, UNITS * (n + 1)) for n in range(3))
        new = net.op("Mul", enter, net.op("Tanh", net.slice(sums, 1, 3 * UNITS, 4 * UNITS)))
        c = new if c is None else net.op("Add", net.op("Mul", keep, c), new)
        h = net.op("Mul", leave, net.op("Tanh", c))
    assert h is not None
    return net.compiled([1, cells, UNITS], h, [1, UNITS])


def training(layers: int, width: int = 64, batch: int = 16) -> Checked:
    """A training step of a perceptron with square layers."""
    return check(training_step([width] * (layers + 1), batch))


SUITE: dict[str, Callable[[], Checked]] = {
    **{f"residual, {n} blocks": partial(residual, n) for n in (2, 8, 32, 96)},
    **{f"SiLU, {n} blocks": partial(silu, n) for n in (2, 8, 32, 96)},
    **{f"squeeze-and-excite, {n} blocks": partial(squeeze_excite, n) for n in (2, 8, 32)},
    **{f"bottleneck, {n} blocks": partial(bottleneck, n) for n in (16, 96)},
    **{f"plain convolutions, {n} layers": partial(plain, n) for n in (2, 96)},
    **{f"attention, {n} blocks": partial(attention, n) for n in (2, 8, 24)},
    f"LSTM, {CELLS} cells": lstm,
    **{f"training step, {n} layers": partial(training, n) for n in (2, 4, 8, 16)},
}
"""Networks by name, as small as their shape allows."""

LARGE: dict[str, Callable[[], Checked]] = {
    f"training step, {n} layers of 512, batch 64": partial(training, n, 512, 64)
    for n in (2, 4, 8, 16)
}
