"""Small ONNX networks, run as floats by onnxruntime and as integers by the reference executor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from zktally.circuits import reference
from zktally.circuits.bits import NARROW, Bits
from zktally.circuits.compile import compile, fitted, open_network, prepare
from zktally.circuits.evaluate import integer_run
from zktally.circuits.model import CompiledModel
from zktally.circuits.quantise import Affine
from zktally.verifier.program.types import PortKind

RNG = np.random.default_rng(7)
Nodes = Sequence[onnx.NodeProto]
EIGHT: dict[str, Any] = {"precision": "int8", "force": True}
"""Options: 8 bits, whatever comes of it, so that what a lowering does is seen."""


def node(op: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    """A node; an input that is `-` is absent."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op, names, output.split(), name=f"{op}_{output}", **attributes)


def weights(*shape: int) -> np.ndarray:
    return RNG.normal(0, 0.5, shape).astype(np.float32)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


def network(
    nodes: Nodes,
    inputs: dict[str, Sequence[int | str]],
    constants: dict[str, np.ndarray] | None = None,
    *,
    outputs: Sequence[str] = ("y",),
    kind: int = TensorProto.FLOAT,
    opset: int = 17,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return onnx.shape_inference.infer_shapes(model, data_prop=True)  # outputs must have shapes


def run_both(
    model: onnx.ModelProto, feeds: dict[str, np.ndarray], **options: Any
) -> tuple[CompiledModel, list[np.ndarray], list[np.ndarray]]:
    """The compiled model, and all outputs in floats and as the integers have them."""
    expected = infer(model, feeds)
    batch = len(next(iter(feeds.values())))
    dynamic = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    options = EIGHT | {"evaluate": 1} | options
    compiled = compile(model, feeds, batch=batch if dynamic else 1, **options)
    program = compiled.checked.program
    values = integer_run(program, compiled.weights, feeds, reference.run)
    found = []
    for port in program.outputs:
        integers = values[port.tensor].astype(np.float64)
        scaled = port.kind == PortKind.FLOAT
        found.append((integers - port.zero) * port.scale if scaled else integers)
    return compiled, expected, found


def sqnr(expected: np.ndarray, found: np.ndarray) -> float:
    assert expected.shape == found.shape
    noise = np.sum((expected.astype(np.float64) - found) ** 2)
    return float(10 * np.log10(np.sum(expected.astype(np.float64) ** 2) / max(noise, 1e-300)))


def infer(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """All outputs by onnxruntime."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)


def run_apart(
    model: onnx.ModelProto, calibration: dict[str, np.ndarray], feeds: dict[str, np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """(floats, integers as reals, step of the code) of all outputs, on data not calibrated on.

    The data is first rounded to the inputs' codes, so that only what operators do is compared;
    floats beyond the range of an output's code are clamped to it.
    """
    dynamic = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    batch = len(next(iter(feeds.values()))) if dynamic else 1
    compiled = compile(model, calibration, batch=batch, evaluate=1, **EIGHT)
    program = compiled.checked.program
    rounded = {}
    for port in program.inputs:
        tensor = program.tensors[port.tensor]
        code = Affine(port.scale, port.zero, tensor.lo, tensor.hi)
        reals = code.dequantise(code.quantise(feeds[port.name]))
        rounded[port.name] = reals.astype(np.float32)
    values = integer_run(program, compiled.weights, rounded, reference.run)
    found = []
    for port, real in zip(program.outputs, infer(model, rounded), strict=True):
        tensor, integers = program.tensors[port.tensor], values[port.tensor]
        if not real.shape:  # a tensor has an axis
            integers = integers.reshape(())
        if port.kind == PortKind.INTEGER:
            found.append((real, integers, 1.0))
            continue
        code = Affine(port.scale, port.zero, tensor.lo, tensor.hi)
        low, high = code.dequantise([tensor.lo, tensor.hi])
        found.append((np.clip(real, low, high), code.dequantise(integers), port.scale))
    return found


def steps_off(
    model: onnx.ModelProto, calibration: dict[str, np.ndarray], feeds: dict[str, np.ndarray]
) -> float:
    """The largest error of any output, in steps of its code; see `run_apart`."""
    worst = 0.0
    for real, found, step in run_apart(model, calibration, feeds):
        assert real.shape == found.shape
        worst = max(worst, float(np.abs(real.astype(np.float64) - found).max(initial=0.0)) / step)
    return worst


def with_bits(
    model: onnx.ModelProto, feeds: dict[str, np.ndarray], narrow: dict[str, int]
) -> CompiledModel:
    """The model with 16 bits everywhere, but for the values named."""
    compiled = compile(model, feeds, public=True, precision="int16", force=True)
    _, fused = prepare(open_network(model, None, None), 1, compiled.record.name)
    bits = {name: count for name, count in compiled.record.bits.items() if name not in narrow}
    wide = {name: count for name, count in narrow.items() if count > NARROW}
    record, built = fitted(fused, compiled.record, Bits(bits | wide, compiled.record.weight_bits))
    return CompiledModel(built.checked, built.weights, compiled.key, record, compiled.report)
