"""Transformers as exporters write them, of any size, with random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Net:
    """A network that is written node by node; every method returns the name of its result."""

    def __init__(self, seed: int, opset: int = 23) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.opset = opset

    def input(self, name: str, *dims: int | str, kind: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, dims))
        return name

    def op(self, op: str, *inputs: str | np.ndarray | float | int, **attributes: Any) -> str:
        names = [name if isinstance(name, str) else self.constant(name) for name in inputs]
        made = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, names, [made], made, **attributes))
        return made

    def constant(self, value: np.ndarray | float | int) -> str:
        array = np.asarray(value, np.float32 if isinstance(value, float) else None)
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def weights(self, *shape: int) -> np.ndarray:
        """Scaled as trained ones are at the start: outputs as large as inputs."""
        return self.rng.normal(0, shape[0] ** -0.5, shape).astype(np.float32)

    def linear(self, x: str, inner: int, outer: int) -> str:
        y = self.op("MatMul", x, self.weights(inner, outer))
        return self.op("Add", y, self.rng.normal(0, 0.1, outer).astype(np.float32))

    def layer_norm(self, x: str, width: int) -> str:
        gain = self.rng.normal(1, 0.2, width).astype(np.float32)
        bias = self.rng.normal(0, 0.1, width).astype(np.float32)
        return self.op("LayerNormalization", x, gain, bias, axis=-1, epsilon=1e-5)

    def rms_norm(self, x: str, width: int) -> str:
        gain = self.rng.normal(1, 0.2, width).astype(np.float32)
        return self.op("RMSNormalization", x, gain, axis=-1)

    def gelu(self, x: str) -> str:
        inner = self.op("Erf", self.op("Div", x, 2.0**0.5))
        half = self.op("Mul", self.op("Add", inner, 1.0), 0.5)
        return self.op("Mul", x, half)

    def heads(self, x: str, heads: int, *axes: int) -> str:
        apart = self.op("Reshape", x, np.array([0, 0, heads, -1]))
        return self.op("Transpose", apart, perm=list(axes or (0, 2, 1, 3)))

    def joined(self, x: str) -> str:
        return self.op("Reshape", self.op("Transpose", x, perm=[0, 2, 1, 3]), np.array([0, 0, -1]))

    def attention(
        self, x: str, width: int, heads: int, *, of: str | None = None, mask: Any = None
    ) -> str:
        """Of x to itself or to another value; a mask is added to the scores."""
        other = of or x
        query = self.heads(self.linear(x, width, width), heads)
        key = self.heads(self.linear(other, width, width), heads, 0, 2, 3, 1)
        value = self.heads(self.linear(other, width, width), heads)
        scores = self.op("Div", self.op("MatMul", query, key), (width / heads) ** 0.5)
        if mask is not None:
            scores = self.op("Add", scores, mask)
        shares = self.op("Softmax", scores, axis=-1)
        return self.linear(self.joined(self.op("MatMul", shares, value)), width, width)

    def rotated(self, x: str, length: int, size: int) -> str:
        """Heads [.., positions, size] with rotary positions, as a network in floats writes them."""
        angles = np.arange(length)[:, None] / 1e4 ** (np.arange(size // 2) / (size // 2))
        both = np.concatenate([angles, angles], axis=1)
        halves = [
            self.op("Slice", x, np.array([n]), np.array([n + size // 2]), np.array([-1]))
            for n in (0, size // 2)
        ]
        turned = self.op("Concat", self.op("Neg", halves[1]), halves[0], axis=-1)
        straight = self.op("Mul", x, np.cos(both).astype(np.float32))
        return self.op("Add", straight, self.op("Mul", turned, np.sin(both).astype(np.float32)))

    def bert(self, x: str, width: int, heads: int, mask: Any) -> str:
        x = self.layer_norm(self.op("Add", x, self.attention(x, width, heads, mask=mask)), width)
        inner = self.gelu(self.linear(x, width, 4 * width))
        return self.layer_norm(self.op("Add", x, self.linear(inner, 4 * width, width)), width)

    def gpt(self, x: str, width: int, heads: int, mask: Any) -> str:
        """Norms before attention and network; all sees all without a mask."""
        normed = self.layer_norm(x, width)
        x = self.op("Add", x, self.attention(normed, width, heads, mask=mask))
        inner = self.gelu(self.linear(self.layer_norm(x, width), width, 4 * width))
        return self.op("Add", x, self.linear(inner, 4 * width, width))

    def llama(self, x: str, length: int, width: int, heads: int) -> str:
        normed = self.rms_norm(x, width)
        parts = [
            self.heads(self.op("MatMul", normed, self.weights(width, width)), heads)
            for _ in range(3)
        ]
        query, key = (self.rotated(part, length, width // heads) for part in parts[:2])
        scores = self.op("MatMul", query, self.op("Transpose", key, perm=[0, 1, 3, 2]))
        scores = self.op("Mul", scores, float((width / heads) ** -0.5))
        scores = self.op("Where", causal(length) == 0, scores, np.float32(-np.inf))
        mixed = self.joined(self.op("MatMul", self.op("Softmax", scores, axis=-1), parts[2]))
        x = self.op("Add", x, self.op("MatMul", mixed, self.weights(width, width)))
        normed = self.rms_norm(x, width)
        gate = self.op("MatMul", normed, self.weights(width, 2 * width))
        gate = self.op("Mul", gate, self.op("Sigmoid", gate))
        up = self.op("MatMul", normed, self.weights(width, 2 * width))
        return self.op(
            "Add", x, self.op("MatMul", self.op("Mul", gate, up), self.weights(2 * width, width))
        )

    def rolled(self, x: str, by: int, axis: int) -> str:
        """What leaves one end of an axis enters at the other."""
        ends = ((by, 2**31), (0, by))
        parts = [self.op("Slice", x, *(np.array([n]) for n in (*pair, axis))) for pair in ends]
        return self.op("Concat", *parts, axis=axis)

    def swin(self, x: str, size: int, window: int, width: int, heads: int) -> str:
        """Attention within shifted windows of an image [batch, size, size, width]."""
        shift, count, inside = window // 2, size // window, window**2
        moved = self.rolled(self.rolled(self.layer_norm(x, width), shift, 1), shift, 2)
        parts = self.op("Reshape", moved, np.array([-1, count, window, count, window, width]))
        parts = self.op("Transpose", parts, perm=[0, 1, 3, 2, 4, 5])
        parts = self.op("Reshape", parts, np.array([-1, inside, width]))
        query, key, value = (self.heads(self.linear(parts, width, width), heads) for _ in range(3))
        query = self.op("Mul", query, float((width / heads) ** -0.5))
        scores = self.op("MatMul", query, self.op("Transpose", key, perm=[0, 1, 3, 2]))
        near = self.rng.normal(0, 1, (1, heads, inside, inside)).astype(np.float32)
        scores = self.op("Add", scores, near)
        by_image = np.array([-1, count**2, heads, inside, inside])
        scores = self.op("Reshape", scores, by_image)
        scores = self.op("Add", scores, self.shifted_mask(size, window)[None, :, None])
        scores = self.op("Reshape", scores, np.array([-1, heads, inside, inside]))
        mixed = self.joined(self.op("MatMul", self.op("Softmax", scores, axis=-1), value))
        parts = self.op(
            "Reshape",
            self.linear(mixed, width, width),
            np.array([-1, count, count, window, window, width]),
        )
        parts = self.op("Transpose", parts, perm=[0, 1, 3, 2, 4, 5])
        back = self.op("Reshape", parts, np.array([-1, size, size, width]))
        back = self.rolled(self.rolled(back, size - shift, 1), size - shift, 2)
        return self.op("Add", x, back)

    def shifted_mask(self, size: int, window: int) -> np.ndarray:
        """-100 between pixels that only the shift has brought into one window."""
        ends = [0, size - window, size - window // 2, size]
        region = np.zeros((size, size), np.int64)
        for i in range(3):
            for j in range(3):
                region[ends[i] : ends[i + 1], ends[j] : ends[j + 1]] = 3 * i + j
        count = size // window
        tiles = region.reshape(count, window, count, window).transpose(0, 2, 1, 3)
        flat = tiles.reshape(count**2, window**2)
        return np.where(flat[:, :, None] == flat[:, None], 0.0, -100.0).astype(np.float32)

    def vit(self, image: str, patch: int, count: int, width: int, heads: int) -> str:
        """Patches of an image [batch, 3, ..], a class token before them; scores of 10 classes."""
        kernel = self.rng.normal(0, 0.1, (width, 3, patch, patch)).astype(np.float32)
        x = self.op("Conv", image, kernel, kernel_shape=[patch] * 2, strides=[patch] * 2)
        x = self.op("Transpose", self.op("Reshape", x, np.array([0, width, -1])), perm=[0, 2, 1])
        batch = self.op("Slice", self.op("Shape", x), *(np.array([n]) for n in (0, 1)))
        token = self.rng.normal(0, 1, (1, 1, width)).astype(np.float32)
        whole = self.op("Concat", batch, np.array([1, width]), axis=0)
        x = self.op("Concat", self.op("Expand", token, whole), x, axis=1)
        x = self.op("Add", x, self.rng.normal(0, 0.3, (count + 1, width)).astype(np.float32))
        x = self.gpt(x, width, heads, None)
        first = self.op("Gather", self.layer_norm(x, width), 0, axis=1)
        return self.linear(first, width, 10)

    def key_mask(self, mask: str, filler: float) -> str:
        """(1 - mask)·filler of integers [batch, keys], for scores [batch, heads, queries, keys]."""
        shown = self.op("Unsqueeze", self.op("Cast", mask, to=TensorProto.FLOAT), np.array([1, 2]))
        return self.op("Mul", self.op("Sub", 1.0, shown), filler)

    def model(self, output: str) -> onnx.ModelProto:
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
        graph = helper.make_graph(self.nodes, "net", self.inputs, outputs, self.constants)
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def causal(length: int, filler: float = -np.inf) -> np.ndarray:
    """A mask that hides what comes after a query."""
    return np.triu(np.full((length, length), filler, np.float32), 1)


def gpt(length: int, width: int, heads: int, layers: int, words: int, seed: int = 1) -> Any:
    """Token numbers in, scores of the next one out."""
    net = Net(seed)
    ids = net.input("ids", "n", length, kind=TensorProto.INT64)
    table = net.rng.normal(0, 1, (words, width)).astype(np.float32)
    places = net.rng.normal(0, 0.3, (length, width)).astype(np.float32)
    x = net.op("Add", net.op("Gather", table, ids), places)
    for _ in range(layers):
        x = net.gpt(x, width, heads, causal(length))
    x = net.layer_norm(x, width)
    return net.model(net.op("MatMul", x, net.weights(width, words)))
