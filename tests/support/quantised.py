"""Networks as onnxruntime's quantiser writes them, and how near integers are to its runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from support.compared import node
from zktally.circuits import native
from zktally.circuits.compile import compile
from zktally.circuits.evaluate import integer_run
from zktally.circuits.model import CompiledModel
from zktally.circuits.quantise import Affine
from zktally.verifier.program.types import PortKind

logging.getLogger("root").setLevel(logging.ERROR)  # the quantiser asks for shape inference first
RNG = np.random.default_rng(24)
MICROSOFT = "com.microsoft"


class Reader(CalibrationDataReader):
    """Calibration data in steps of four."""

    def __init__(self, data: np.ndarray) -> None:
        self._steps = iter([{"x": data[i : i + 4]} for i in range(0, len(data), 4)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._steps, None)


def normal(*shape: int, by: float = 1.0) -> np.ndarray:
    return RNG.normal(0, by, shape).astype(np.float32)


def network(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    constants: Mapping[str, np.ndarray | onnx.TensorProto],
    *,
    kind: int = TensorProto.FLOAT,
    out: int = TensorProto.FLOAT,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
) -> onnx.ModelProto:
    """A model with inputs and outputs of these types, and constants of any."""
    made = [
        value if isinstance(value, onnx.TensorProto) else numpy_helper.from_array(value, name)
        for name, value in constants.items()
    ]
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, out, None) for name in outputs],
        made,
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8 if opset < 19 else 10)
    return onnx.shape_inference.infer_shapes(model)


def mlp(opset: int = 17) -> tuple[onnx.ModelProto, np.ndarray]:
    """Gemm, Relu, MatMul and Add; and data for it."""
    nodes = [
        node("Gemm", "x w0 b0", "g0"),
        node("Relu", "g0", "r0"),
        node("Gemm", "r0 w1 b1", "g1", transB=1),
        node("Relu", "g1", "r1"),
        node("MatMul", "r1 w2", "g2"),
        node("Add", "g2 b2", "y"),
    ]
    constants = {
        "w0": normal(31, 29, by=0.3),
        "b0": normal(29, by=0.1),
        "w1": normal(13, 29, by=0.3),
        "b1": normal(13, by=0.1),
        "w2": normal(13, 10, by=0.3),
        "b2": normal(10, by=0.1),
    }
    return network(nodes, {"x": ("n", 31)}, constants, opset=opset), normal(32, 31)


def cnn(opset: int = 17) -> tuple[onnx.ModelProto, np.ndarray]:
    """Convolutions (one by channel), a residual sum, pools, x·sigmoid(x), a Gemm."""
    nodes = [
        node("Conv", "x w1 b1", "c1", pads=[1] * 4),
        node("Relu", "c1", "r1"),
        node("Conv", "r1 wd", "d1", pads=[1] * 4, group=5),
        node("Clip", "d1 lo hi", "r2"),
        node("Conv", "r2 wp bp", "p1"),
        node("Add", "p1 r1", "a1"),
        node("MaxPool", "a1", "mp", kernel_shape=[3, 3], strides=[2, 2]),
        node("Sigmoid", "mp", "sg"),
        node("Mul", "mp sg", "sw"),
        node("AveragePool", "sw", "ap", kernel_shape=[3, 3]),
        node("GlobalAveragePool", "sw", "gp"),
        node("Add", "ap gp", "s"),
        node("Flatten", "s", "f"),
        node("Gemm", "f w3 b3", "y", transB=1),
    ]
    constants = {
        "w1": normal(5, 2, 3, 3, by=0.3),
        "b1": normal(5, by=0.1),
        "lo": np.float32(0),
        "hi": np.float32(6),
        "wd": normal(5, 1, 3, 3, by=0.4),
        "wp": normal(5, 5, 1, 1, by=0.5),
        "bp": normal(5, by=0.1),
        "w3": normal(10, 45, by=0.2),
        "b3": normal(10, by=0.1),
    }
    return network(nodes, {"x": ("n", 2, 11, 11)}, constants, opset=opset), normal(16, 2, 11, 11)


def transformer(opset: int = 17) -> tuple[onnx.ModelProto, np.ndarray]:
    """Attention of two heads and a feed-forward part with Gelu, each behind a normalisation."""
    length, width = 7, 16
    nodes = [node("LayerNormalization", "x g bb", "n1")]
    for c, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes += [
            node("MatMul", f"n1 w{c}", f"{c}0"),
            node("Reshape", f"{c}0 apart", f"{c}1"),
            node("Transpose", f"{c}1", f"{c}2", perm=order),
        ]
    nodes += [
        node("MatMul", "q2 k2", "a0"),
        node("Mul", "a0 scale", "a1"),
        node("Softmax", "a1", "a2", axis=-1),
        node("MatMul", "a2 v2", "o0"),
        node("Transpose", "o0", "o1", perm=[0, 2, 1, 3]),
        node("Reshape", "o1 joined", "o2"),
        node("MatMul", "o2 wo", "o3"),
        node("Add", "o3 x", "h"),
        node("LayerNormalization", "h g bb", "n2"),
        node("MatMul", "n2 w1", "f0"),
        node("Add", "f0 b1", "f1"),
        node("Mul", "f1 root", "e0"),
        node("Erf", "e0", "e1"),
        node("Add", "e1 one", "e2"),
        node("Mul", "f1 e2", "e3"),
        node("Mul", "e3 half", "f2"),
        node("MatMul", "f2 w2", "f3"),
        node("Add", "f3 b2", "f4"),
        node("Add", "f4 h", "y"),
    ]
    constants = {f"w{c}": normal(width, width, by=0.25) for c in "qkvo"} | {
        "w1": normal(width, 64, by=0.25),
        "b1": normal(64, by=0.1),
        "w2": normal(64, width, by=0.12),
        "b2": normal(width, by=0.1),
        "g": np.ones(width, np.float32),
        "bb": normal(width, by=0.1),
        "apart": np.array([0, length, 2, 8]),
        "joined": np.array([0, length, width]),
        "scale": np.float32(8**-0.5),
        "root": np.float32(2**-0.5),
        "one": np.float32(1),
        "half": np.float32(0.5),
    }
    model = network(nodes, {"x": ("n", length, width)}, constants, opset=opset)
    return model, normal(16, length, width)


def static(
    model: onnx.ModelProto,
    data: np.ndarray,
    folder: Path,
    form: str,
    activations: str,
    weights: str,
    **options: Any,
) -> onnx.ModelProto:
    """The model as onnxruntime quantises it after calibration."""
    onnx.save(model, folder / "float.onnx")
    quantize_static(
        folder / "float.onnx",
        folder / "quantised.onnx",
        Reader(data),
        quant_format=QuantFormat[form],
        activation_type=QuantType[activations],
        weight_type=QuantType[weights],
        **options,
    )
    return onnx.load(folder / "quantised.onnx")


def dynamic(model: onnx.ModelProto, folder: Path, weights: str) -> onnx.ModelProto:
    """The model as onnxruntime quantises it for ranges that it finds at run time."""
    onnx.save(model, folder / "float.onnx")
    quantize_dynamic(
        folder / "float.onnx", folder / "quantised.onnx", weight_type=QuantType[weights]
    )
    return onnx.load(folder / "quantised.onnx")


def runtime(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """All outputs by onnxruntime, operator by operator: what it fuses can overflow (AVX2)."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, dict(feeds))


def outputs(
    compiled: CompiledModel, feeds: Mapping[str, np.ndarray]
) -> Iterator[tuple[np.ndarray, float]]:
    """Every output of one step, and the quantum of its code (1 of integers)."""
    program = compiled.checked.program
    executor = native.executor(compiled.checked, compiled.weights)
    values = integer_run(program, compiled.weights, dict(feeds), executor)
    for port in program.outputs:
        tensor, integers = program.tensors[port.tensor], values[port.tensor]
        if port.kind == PortKind.INTEGER:
            yield integers.astype(np.float64), 1.0
        else:
            code = Affine(port.scale, port.zero, tensor.lo, tensor.hi)
            yield code.dequantise(integers), port.scale


def apart(
    model: onnx.ModelProto, feeds: Mapping[str, np.ndarray], *, calibration: Any = True
) -> tuple[CompiledModel, np.ndarray]:
    """The compiled model, and how many quanta each element of its outputs is off."""
    dynamic = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    batch = len(next(iter(feeds.values()))) if dynamic else 1
    given = dict(feeds) if calibration is True else calibration
    compiled = compile(model, given, batch=batch, public=True, evaluate=1)
    quanta = []
    for (found, step), right in zip(outputs(compiled, feeds), runtime(model, feeds), strict=True):
        assert found.shape == (right.shape or (1,))
        quanta.append(np.abs(found - right.astype(np.float64)).ravel() / step)
    return compiled, np.concatenate(quanta)
