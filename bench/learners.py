"""Networks that are trained, and data for them: what `bench train` and `bench learning` look at.

The perceptron of 18 M parameters has the shape that zkDL published, VGG-11 that of Kaizen.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from .models import IR_VERSION, OPSET
from .networks import Net

Arrays = npt.NDArray[np.generic]
Data = tuple[Arrays, Arrays]
"""Inputs [records, ...] and labels."""

ZKDL = (784, 1000, *[1773] * 5, 1124, 1000)
VGG11 = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)
"""Channels of its convolutions; 0 is a pool."""
TOKENS, WIDTH, HEADS, LAYERS = 32, 64, 4, 2
"""Of the transformer of characters."""
WRITTEN = 45
"""Every so many places of the text a sequence begins."""


class _Net(Net):
    """A network whose weights are drawn from a seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def uniform(self, *shape: int, fan: int, gain: float) -> str:
        return self.constant(self.rng.uniform(-1, 1, shape) * math.sqrt(gain / fan))

    def zeros(self, size: int) -> str:
        return self.constant(np.zeros(size))

    def linear(self, x: str, inputs: int, outputs: int, gain: float = 6.0) -> str:
        weight = self.uniform(outputs, inputs, fan=inputs, gain=gain)
        return self.op("Gemm", x, weight, self.zeros(outputs), transB=1)

    def convolved(self, x: str, inputs: int, outputs: int) -> str:
        weight = self.uniform(outputs, inputs, 3, 3, fan=9 * inputs, gain=6.0)
        return self.op("Relu", self.op("Conv", x, weight, self.zeros(outputs), pads=[1] * 4))

    def projected(self, x: str, inputs: int, outputs: int, gain: float = 1.0) -> str:
        weight = self.constant(self.rng.normal(0, gain / math.sqrt(inputs), (inputs, outputs)))
        return self.op("Add", self.op("MatMul", x, weight), self.zeros(outputs))

    def normalised(self, x: str, width: int) -> str:
        gain = self.constant(np.ones(width))
        return self.op("LayerNormalization", x, gain, self.zeros(width), axis=-1)

    def model(
        self, out: str, shape: Sequence[int], kind: int = TensorProto.FLOAT
    ) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "learner",
            [helper.make_tensor_value_info("x", kind, ["N", *shape])],
            [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)],
            self.constants,
        )
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)


def perceptron(widths: Sequence[int], seed: int) -> onnx.ModelProto:
    """Layers of these widths with ReLU between them."""
    net, x = _Net(seed), "x"
    for number, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        last = number == len(widths) - 2
        x = net.linear(x, inputs, outputs, 3.0 if last else 6.0)
        x = x if last else net.op("Relu", x)
    return net.model(x, widths[:1])


def convolutional(seed: int) -> onnx.ModelProto:
    """Two convolutions, a pool, a dense layer: for images of 8²."""
    net = _Net(seed)
    x = net.convolved("x", 1, 8)
    x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.op("Flatten", net.convolved(x, 8, 16))
    return net.model(net.linear(x, 256, 10, 3.0), (1, 8, 8))


def vgg(seed: int) -> onnx.ModelProto:
    """VGG-11 for images of 32² in colour and ten classes: 10 M parameters."""
    net, x, channels = _Net(seed), "x", 3
    for outputs in VGG11:
        if outputs:
            x, channels = net.convolved(x, channels, outputs), outputs
        else:
            x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.op("Flatten", x)
    for width in (512, 512):
        x = net.op("Relu", net.linear(x, 512, width))
    return net.model(net.linear(x, 512, 10, 3.0), (3, 32, 32))


def transformer(symbols: int, seed: int) -> onnx.ModelProto:
    """Scores of the next symbol at each of `TOKENS` places, by two causal blocks."""
    net = _Net(seed)
    embedded = net.op("Gather", net.constant(net.rng.normal(0, 0.5, (symbols, WIDTH))), "x")
    x = net.op("Add", embedded, net.constant(net.rng.normal(0, 0.1, (TOKENS, WIDTH))))
    mask = net.constant(np.triu(np.full((TOKENS, TOKENS), -1e9), 1))
    for _ in range(LAYERS):
        x = net.op("Add", x, _attended(net, net.normalised(x, WIDTH), mask))
        inner = net.op("Relu", net.projected(net.normalised(x, WIDTH), WIDTH, 4 * WIDTH))
        x = net.op("Add", x, net.projected(inner, 4 * WIDTH, WIDTH, 0.5))
    out = net.projected(net.normalised(x, WIDTH), WIDTH, symbols)
    return net.model(out, (TOKENS,), TensorProto.INT64)


def _attended(net: _Net, x: str, mask: str) -> str:
    split = net.constant([0, TOKENS, HEADS, WIDTH // HEADS], np.int64)

    def heads(*perm: int) -> str:
        each = net.op("Reshape", net.projected(x, WIDTH, WIDTH), split)
        return net.op("Transpose", each, perm=perm)

    scores = net.op("MatMul", heads(0, 2, 1, 3), heads(0, 2, 3, 1))
    scores = net.op("Mul", scores, net.constant(1 / math.sqrt(WIDTH // HEADS)))
    shares = net.op("Softmax", net.op("Add", scores, mask), axis=-1)
    mixed = net.op("Transpose", net.op("MatMul", shares, heads(0, 2, 1, 3)), perm=[0, 2, 1, 3])
    joined = net.op("Reshape", mixed, net.constant([0, TOKENS, WIDTH], np.int64))
    return net.projected(joined, WIDTH, WIDTH, 0.5)


# Data


def random_images(shape: Sequence[int], classes: int, count: int) -> Data:
    """Images in which a pattern of their class shows through noise."""
    rng = np.random.default_rng(3)
    patterns = rng.normal(size=(classes, *shape))
    labels = rng.integers(0, classes, count)
    images = np.empty((count, *shape), np.float32)
    for start in range(0, count, 4096):
        part = slice(start, start + 4096)
        noise = rng.normal(size=(len(labels[part]), *shape))
        images[part] = 0.35 * patterns[labels[part]] + noise
    return images, labels


def digits(flat: bool) -> tuple[Data, Data]:
    """The digits of `bench.digits`, to train and to test on."""
    from .digits.data import load

    held = load()
    shape = (-1, 64) if flat else (-1, 1, 8, 8)
    return (
        (held.train_x.reshape(shape), held.train_y),
        (held.test_x.reshape(shape), held.test_y),
    )


def table(name: str) -> tuple[Data, Data]:
    """A table of scikit-learn, standardised, every fifth row to test on."""
    from sklearn import datasets

    held = getattr(datasets, f"load_{name}")()
    x = ((held.data - held.data.mean(0)) / held.data.std(0)).astype(np.float32)
    order = np.random.default_rng(1).permutation(len(x))
    x, y = x[order], held.target[order].astype(np.int64)
    test = np.arange(len(x)) % 5 == 0
    return (x[~test], y[~test]), (x[test], y[test])


def characters() -> tuple[Data, Data, int]:
    """Sequences of a text that Python ships (three of its modules), and how many symbols it has."""
    import argparse
    import random
    import statistics

    text = "".join(inspect.getsource(module) for module in (argparse, random, statistics)).lower()
    text = "".join(c if c == "\n" or 32 <= ord(c) < 127 else " " for c in text)
    symbols = sorted(set(text))
    numbers = np.array([symbols.index(c) for c in text])
    cut = int(0.9 * len(numbers))

    def sequences(part: Arrays) -> Data:
        first = np.arange(0, len(part) - TOKENS - 1, WRITTEN)[:, None]
        rows = part[first + np.arange(TOKENS + 1)]
        return rows[:, :-1], rows[:, 1:]

    return sequences(numbers[:cut]), sequences(numbers[cut:]), len(symbols)


@dataclass(frozen=True)
class Shape:
    """A network whose cost is measured: how it is made, its input, classes and batch."""

    made: Callable[[], onnx.ModelProto]
    shape: tuple[int, ...]
    classes: int
    batch: int


SHAPES = {
    "mlp": Shape(lambda: perceptron((64, 128, 10), 0), (64,), 10, 64),
    "cnn": Shape(lambda: convolutional(0), (1, 8, 8), 10, 64),
    "zkdl": Shape(lambda: perceptron(ZKDL, 0), (784,), 1000, 64),
    "vgg11": Shape(lambda: vgg(0), (3, 32, 32), 10, 16),
}
