"""Models of ai.onnx.ml made by hand, and what onnxruntime and the program say of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from zktally.circuits import native
from zktally.circuits.compile import compile
from zktally.circuits.evaluate import integer_run
from zktally.circuits.model import CompiledModel
from zktally.circuits.quantise import Affine
from zktally.verifier.program.types import PortKind

from .compared import infer

DOMAIN = "ai.onnx.ml"


def ml(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(
        op, inputs.split(), outputs.split(), name=f"{op} {inputs}", domain=DOMAIN, **attributes
    )


def table_model(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, tuple[int, int]],
    outputs: dict[str, int],
    version: int = 3,
) -> onnx.ModelProto:
    """Inputs by (element type, columns), outputs by element type."""
    graph = helper.make_graph(
        list(nodes),
        "tables",
        [helper.make_tensor_value_info(n, kind, ["n", c]) for n, (kind, c) in inputs.items()],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, version)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def outputs_of(compiled: CompiledModel, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """All outputs of all rows, as reals or integers."""
    program, rows = compiled.checked.program, len(next(iter(feeds.values())))
    executor = native.executor(compiled.checked, compiled.weights)
    found: list[list[np.ndarray]] = [[] for _ in program.outputs]
    for start in range(0, rows, compiled.record.batch):
        part = {name: array[start : start + compiled.record.batch] for name, array in feeds.items()}
        values = integer_run(program, compiled.weights, part, executor)
        for own, port in zip(found, program.outputs, strict=True):
            tensor, integers = program.tensors[port.tensor], values[port.tensor]
            code = Affine(port.scale, port.zero, tensor.lo, tensor.hi)
            whole = port.kind == PortKind.INTEGER
            own.append(integers if whole else code.dequantise(integers))
    return [np.concatenate(own)[:rows] for own in found]


def both(
    model: onnx.ModelProto,
    calibration: dict[str, np.ndarray],
    feeds: dict[str, np.ndarray],
    batch: int = 16,
) -> tuple[CompiledModel, list[np.ndarray], list[np.ndarray]]:
    """The compiled model; what onnxruntime says of rows it was not calibrated on, and what it."""
    compiled = compile(model, calibration, batch=batch, evaluate=8)
    return compiled, infer(model, feeds), outputs_of(compiled, feeds)


FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
