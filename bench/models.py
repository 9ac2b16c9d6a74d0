"""Float ONNX networks of known sizes with seeded random weights, for tests and benchmarks.

Every model has opset 17, one float32 input `input` of shape `[batch, ...]`, one float32 output
`logits` of shape `[batch, classes]`, and a free `batch` axis. Weights follow He's rule (normal,
variance 2 / fan-in), so activations keep their scale through any depth of ReLU layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8  # the IR of opset 17: every onnxruntime since 1.12 loads it
BIAS_SCALE = 0.1

INT8: dict[str, Any] = {"precision": "int8", "force": True}
"""Options of compile: what networks of random weights cost, whatever they compute."""


class _Chain:
    """A network built layer by layer; `shape` is the current activation's, without the batch."""

    def __init__(self, name: str, shape: Sequence[int], seed: int = 0) -> None:
        self.name = name
        self.inputs = tuple(shape)
        self.shape = tuple(shape)
        self.tensor = "input"
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.rng = np.random.default_rng(seed)

    def _layer(self, op: str, parameters: Sequence[str] = (), **attributes: Any) -> _Chain:
        """Append one node reading the current activation."""
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(op, [self.tensor, *parameters], [name], name=name, **attributes)
        )
        self.tensor = name
        return self

    def _parameters(self, *shape: int) -> list[str]:
        """Draw a weight `[out, ...]` and its bias `[out]`, both float32; return their names."""
        scale = np.sqrt(2 / np.prod(shape[1:]))
        drawn = {
            f"weight{len(self.nodes)}": self.rng.normal(0, scale, shape),
            f"bias{len(self.nodes)}": self.rng.normal(0, BIAS_SCALE, shape[0]),
        }
        self.weights += [
            numpy_helper.from_array(values.astype(np.float32), name)
            for name, values in drawn.items()
        ]
        return list(drawn)

    def conv(self, channels: int, kernel: int, pad: int = 0) -> _Chain:
        """Square convolution, stride 1: `[C, H, W]` to `[channels, H', W']`."""
        parameters = self._parameters(channels, self.shape[0], kernel, kernel)
        self.shape = (channels, *(side + 2 * pad - kernel + 1 for side in self.shape[1:]))
        return self._layer("Conv", parameters, kernel_shape=[kernel] * 2, pads=[pad] * 4)

    def pool(self) -> _Chain:
        """Max over 2x2 windows, stride 2: `[C, H, W]` to `[C, H // 2, W // 2]`."""
        self.shape = (self.shape[0], *(side // 2 for side in self.shape[1:]))
        return self._layer("MaxPool", kernel_shape=[2, 2], strides=[2, 2])

    def relu(self) -> _Chain:
        """Elementwise ReLU."""
        return self._layer("Relu")

    def flatten(self) -> _Chain:
        """`[C, H, W]` to `[C * H * W]`."""
        self.shape = (int(np.prod(self.shape)),)
        return self._layer("Flatten", axis=1)

    def dense(self, *widths: int) -> _Chain:
        """Fully connected layers of these widths with ReLU between: `[K]` to `[widths[-1]]`."""
        for index, width in enumerate(widths):
            if index:
                self.relu()
            parameters = self._parameters(width, *self.shape)
            self.shape = (width,)
            self._layer("Gemm", parameters, transB=1)
        return self

    def model(self) -> onnx.ModelProto:
        """Return the checked model, its last activation renamed `logits`."""
        self.nodes[-1].output[0] = "logits"
        graph = helper.make_graph(
            self.nodes,
            self.name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", *self.inputs])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", *self.shape])],
            self.weights,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def dense(width: int, depth: int, inputs: int = 4, outputs: int = 3) -> onnx.ModelProto:
    """`inputs` -> `width` -> ... -> `outputs`, with `depth` layers of `width` x `width` inside."""
    chain = _Chain(f"dense{width}x{depth}", [inputs])
    return chain.dense(*[width] * (depth + 1), outputs).model()


def perceptron1k() -> onnx.ModelProto:
    """16-48-4 perceptron: 1,012 parameters."""
    return _Chain("perceptron1k", [16]).dense(48, 4).model()


def mlp() -> onnx.ModelProto:
    """784-128-10 perceptron for flattened 28x28 images: 101,770 parameters."""
    return _Chain("mlp", [784]).dense(128, 10).model()


def lenet5() -> onnx.ModelProto:
    """LeNet-5 with ReLU and max pooling for 1x28x28 images: 61,706 parameters."""
    chain = _Chain("lenet5", [1, 28, 28])
    chain.conv(6, 5, pad=2).relu().pool().conv(16, 5).relu().pool()
    return chain.flatten().dense(120, 84, 10).model()


def cnn264k() -> onnx.ModelProto:
    """Two convolutions and three dense layers for 3x32x32 images: 264,031 parameters."""
    chain = _Chain("cnn264k", [3, 32, 32])
    chain.conv(12, 5).relu().pool().conv(33, 5).relu().pool()
    return chain.flatten().dense(251, 175, 10).model()


def dense4m() -> onnx.ModelProto:
    """4 inputs, 1,024-wide layers (four of them square), 3 outputs: 4,206,595 parameters."""
    return dense(1024, 4)


BENCH_MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    "perceptron1k": perceptron1k,
    "mlp": mlp,
    "lenet5": lenet5,
    "cnn264k": cnn264k,
    "dense4m": dense4m,
}

SIZES = (
    "perceptron1k",
    "digits",
    "lenet5",
    "mlp",
    "cnn264k",
    "dense512",
    "dense1024",
    "dense4096",
)
"""Perceptrons and convolutional networks from a thousand to 67 million parameters, ascending;
`digits` is the trained one of the package, `dense<width>` have four square layers."""


def calibration(model: onnx.ModelProto, n: int, seed: int) -> npt.NDArray[np.float32]:
    """Return `n` random inputs for `model`: float32 `[n, ...]`, uniform in `[-1, 1)`."""
    _, *dims = model.graph.input[0].type.tensor_type.shape.dim
    shape = (n, *(dim.dim_value for dim in dims))
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)
