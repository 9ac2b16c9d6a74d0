"""Blocks of networks as exporters write them, with random weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper

from .models import IR_VERSION, OPSET
from .networks import Net

Port = tuple[int, list[str | int]]
"""Element type and shape of an input."""
Masked = Callable[[str], str]
"""What becomes of scores, some of which do not count."""


class Blocks(Net):
    """A network with biases, whose inputs and outputs are named at the end."""

    def biased(self, size: int) -> str:
        """Add small biases."""
        return self.constant(self.rng.normal(0, 0.02, size))

    def convolved(
        self, x: str, inputs: int, outputs: int, kernel: int, stride: int = 1, group: int = 1,
        gain: float = 2.0,
    ) -> str:  # fmt: skip
        """A convolution into which its batch normalisation is folded, as exporters do."""
        each = inputs // group
        weight = self.drawn(outputs, each, kernel, kernel, inputs=each * kernel * kernel, gain=gain)
        pads, strides = [kernel // 2] * 4, [stride, stride]
        return self.op(
            "Conv", x, weight, self.biased(outputs), pads=pads, strides=strides, group=group,
            kernel_shape=[kernel, kernel],
        )  # fmt: skip

    def linear(self, x: str, inputs: int, outputs: int, gain: float = 1.0) -> str:
        """Add a product with a matrix of weights, and biases."""
        return self.op("Add", self.dense(x, inputs, outputs, gain), self.biased(outputs))

    def normalised(self, x: str, width: int) -> str:
        """Add a LayerNormalization of the last axis."""
        gain = self.constant(1 + self.rng.normal(0, 0.02, width))
        return self.op("LayerNormalization", x, gain, self.biased(width), axis=-1, epsilon=1e-5)

    def reshaped(self, x: str, *shape: int) -> str:
        """Add a Reshape; 0 keeps an axis."""
        return self.op("Reshape", x, self.constant(shape, np.int64))

    def classified(self, x: str, channels: int) -> str:
        """The head of a network of images."""
        flat = self.op("Flatten", self.op("GlobalAveragePool", x), axis=1)
        weight = self.drawn(1000, channels, inputs=channels, gain=1.0)
        return self.op("Gemm", flat, weight, self.biased(1000), transB=1)

    def attended(self, q: str, k: str, v: str, heads: int, width: int, masked: Masked) -> str:
        """Attention of all heads; q, k and v are [batch, tokens, heads·width]."""

        def split(x: str, *perm: int) -> str:
            return self.op("Transpose", self.reshaped(x, 0, 0, heads, width), perm=perm)

        scores = self.op("MatMul", split(q, 0, 2, 1, 3), split(k, 0, 2, 3, 1))
        scores = self.op("Div", scores, self.constant(math.sqrt(width)))
        chances = self.op("Softmax", masked(scores), axis=-1)
        mixed = self.op("MatMul", chances, split(v, 0, 2, 1, 3))
        joined = self.op("Transpose", mixed, perm=[0, 2, 1, 3])
        return self.reshaped(joined, 0, 0, heads * width)

    def causal(self, x: str, width: int, heads: int, masked: Masked) -> str:
        """A block of a decoder, normalised before: attention, then two layers with Gelu."""
        inner = self.linear(self.normalised(x, width), width, 3 * width)
        q, k, v = self.split(inner, width, width, width)
        mixed = self.attended(q, k, v, heads, width // heads, masked)
        x = self.op("Add", self.linear(mixed, width, width, gain=0.1), x)
        inner = self.gelu(self.linear(self.normalised(x, width), width, 4 * width))
        return self.op("Add", self.linear(inner, 4 * width, width, gain=0.1), x)

    def split(self, x: str, *sizes: int) -> list[str]:
        """Parts along the last axis."""
        names = [f"part{number}.{len(self.nodes)}" for number in range(len(sizes))]
        inputs = [x, self.constant(sizes, np.int64)]
        self.nodes.append(helper.make_node("Split", inputs, names, names[0], axis=-1))
        return names

    def gelu(self, x: str) -> str:
        """By Tanh, as GPT-2 has it."""
        cube = self.op("Mul", self.op("Pow", x, self.constant(3.0)), self.constant(0.044715))
        argument = self.op("Mul", self.op("Add", x, cube), self.constant(math.sqrt(2 / math.pi)))
        phi = self.op("Add", self.op("Tanh", argument), self.constant(1.0))
        return self.op("Mul", self.op("Mul", x, self.constant(0.5)), phi)

    def model(
        self, name: str, inputs: Mapping[str, Port], out: str, shape: list[str | int]
    ) -> onnx.ModelProto:
        """The graph as a model with one output."""
        given = [helper.make_tensor_value_info(n, kind, dims) for n, (kind, dims) in inputs.items()]
        outputs = [helper.make_tensor_value_info(out, TensorProto.FLOAT, shape)]
        graph = helper.make_graph(self.nodes, name, given, outputs, self.constants)
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
