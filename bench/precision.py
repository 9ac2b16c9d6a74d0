"""zktally bench precision: int8 beside the fewest values of 16 bits.

On random networks that need some, and on two that have learnt something: for those, what is right
of what they say counts too. Figures are from samples that nobody calibrated on or chose by.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..circuits.compile import compile
from ..circuits.evaluate import integer_run
from ..circuits.model import CompiledModel
from ..circuits.native import executor
from ..verifier.errors import ZktallyError
from . import decoder
from .cells import Column, Row, formats, markdown_table, paragraph, read_rows, text_table
from .digits.data import MODEL_PATH, load
from .models import IR_VERSION, OPSET
from .timing import timed

Array = npt.NDArray[Any]
BATCH = 4
"""Items of a step."""

CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("int8", {"precision": "int8"}),
    ("auto, 20 dB", {}),
    ("auto, 40 dB", {"target_sqnr": 40.0}),
    ("int16", {"precision": "int16"}),
)
"""What is asked for."""


@dataclass(frozen=True)
class Case:
    """A network, what calibrates it, and fresh inputs; `labels` are their right classes.

    Inputs are [n, ...], with n of the fresh ones divisible by `BATCH`; labels [n, ...] without the
    axis of classes, which is the last one of the output.
    """

    model: onnx.ModelProto
    calibration: Array
    fresh: Array
    labels: Array | None = None


class _Net:
    """A graph built node by node; every method returns the name of what it adds."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str | Array, **attributes: Any) -> str:
        names = [each if isinstance(each, str) else self._constant(each) for each in inputs]
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [name], name=name, **attributes))
        return name

    def _constant(self, values: Array) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def model(self, last: str, shape: Sequence[int], out: Sequence[int]) -> onnx.ModelProto:
        self.nodes[-1].output[0] = "y"
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "network",
            [value("x", TensorProto.FLOAT, ["n", *shape])],
            [value("y", TensorProto.FLOAT, ["n", *out])],
            self.constants,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def digits() -> Case:
    """The convolutional network of the demo."""
    data = load()
    return Case(onnx.load(MODEL_PATH), data.train_x[:300], data.test_x, data.test_y)


def text(size: decoder.Size = decoder.SIZE, fresh: int = 256) -> Case:
    """A decoder of characters, trained now, and text that it has not seen."""
    known = decoder.text()
    model, _ = decoder.trained(size, known.trained)
    calibration, _ = decoder.sequences(known.trained, 80, size.tokens, -1)
    return Case(model, calibration, *decoder.sequences(known.held_out, fresh, size.tokens, -2))


def perceptron(layers: int = 30, width: int = 32) -> Case:
    """Dense layers and Relu, one after the other."""
    net, last = _Net(0), "x"
    for number in range(layers):
        weight = net.rng.normal(0, np.sqrt(2 / width), (width, width))
        last = net.op("Gemm", last, weight, net.rng.normal(0, 0.1, width))
        last = net.op("Relu", last) if number < layers - 1 else last
    return Case(net.model(last, [width], [width]), *_normal(width))


def residual(blocks: int = 50, width: int = 24) -> Case:
    """Two dense layers a block, added to what came in."""
    net, last = _Net(1), "x"
    for _ in range(blocks):
        inner = net.op("MatMul", last, net.rng.normal(0, np.sqrt(2 / width), (width, width)))
        outer = net.rng.normal(0, np.sqrt(0.3 / width), (width, width))
        last = net.op("Add", last, net.op("MatMul", net.op("Relu", inner), outer))
    return Case(net.model(last, [width], [width]), *_normal(width))


def tabular(decades: float) -> Case:
    """A regression on raw columns, the largest so many decades above the smallest."""
    net, scales = _Net(2), 10.0 ** (np.linspace(0, decades, 8) - 2)
    weight = net.rng.normal(0, 0.5, (8, 32)) / scales[:, None]
    hidden = net.op("Relu", net.op("Gemm", "x", weight, net.rng.normal(0, 0.3, 32)))
    last = net.op("Gemm", hidden, net.rng.normal(0, 0.3, (32, 1)), np.array([0.1]))
    first, second = _normal(8)
    calibration, fresh = (
        (rows * scales).astype(np.float32) for rows in (np.tile(first, (2, 1)), second)
    )
    return Case(net.model(last, [8], [1]), calibration, fresh)


def depthwise(channels: int = 16, spread: float = 0.5) -> Case:
    """Separable convolutions whose channels are up to 10^(2·spread) times apart."""
    net, last = _Net(3), "x"
    for _ in range(4):
        scale = 10.0 ** net.rng.uniform(-spread, spread, channels)
        each = net.rng.normal(0, 0.4, (channels, 1, 3, 3)) * scale[:, None, None, None]
        last = net.op("Relu", net.op("Conv", last, each, group=channels, pads=[1] * 4))
        mixed = net.rng.normal(0, np.sqrt(2 / channels), (channels, channels, 1, 1))
        last = net.op("Relu", net.op("Conv", last, mixed / scale[None, :, None, None]))
    last = net.op("Flatten", net.op("GlobalAveragePool", last))
    rng = np.random.default_rng(5)
    first, second = (rng.normal(0, 1, (n, channels, 6, 6)).astype(np.float32) for n in (60, 32))
    return Case(net.model(last, [channels, 6, 6], [channels]), first, second)


def _normal(width: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(4)
    first, second = (rng.normal(0, 1, (count, width)).astype(np.float32) for count in (100, 64))
    return first, second


NETWORKS: dict[str, Callable[[], Case]] = {
    "digits, trained": digits,
    "text, trained": text,
    "30 dense layers": perceptron,
    "100 layers, residual": residual,
    "raw columns, 4 decades": lambda: tabular(4),
    "raw columns, 7 decades": lambda: tabular(7),
    "depthwise, unlike channels": depthwise,
}

COLUMNS: tuple[Column, ...] = (
    *formats(("network", "{}", "network"), ("asked", "{}", "asked for")),
    ("dB", lambda row: f"{row['fresh']:.1f}" if "fresh" in row else row["refused"]),
    ("right", lambda row: _beside(row, "right", "{:.2%}")),
    ("loss", lambda row: _beside(row, "loss", "{:.4f}")),
    ("agree", lambda row: f"{row['agree']:.2%}" if "agree" in row else ""),
    ("biases", lambda row: f"{row['biases']}" if row.get("biases") else ""),
    ("wide values", lambda row: f"{row['values']} of {row['of']}" if "of" in row else ""),
    ("wide weights", lambda row: f"{row['weights']}" if "of" in row else ""),
    ("committed", lambda row: f"{row['committed']:+.0f} %" if "of" in row else ""),
    ("seconds", lambda row: f"{row['seconds']:.1f}" if "of" in row else ""),
)


def _beside(row: Row, key: str, form: str) -> str:
    """A figure of the integers, and that of the floats in brackets."""
    return "{1} ({0})".format(*map(form.format, row[key])) if key in row else ""


def main(args: argparse.Namespace) -> int:
    """Compile all networks in all ways, or read rows; a table to stderr."""
    rows = read_rows(args.rows) if args.rows else _look(args)
    print(markdown(rows) if args.markdown else text_table(COLUMNS, rows))
    return 0


def _look(args: argparse.Namespace) -> list[Row]:
    rows = []
    for name, make in NETWORKS.items():
        case = make()
        for asked, options in CASES:
            rows.append(measure(name, asked, case, options))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    if args.output:
        lines = "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)
        Path(args.output).write_text(lines, encoding="utf-8")
    return rows


def measure(name: str, asked: str, case: Case, options: dict[str, Any]) -> Row:
    """One row: a network compiled in one way, compared on fresh data."""
    row: Row = {"network": name, "asked": asked}
    given: dict[str, Any] = {"batch": BATCH, "public": True, "force": True} | options
    try:
        compiled, seconds = timed(lambda: compile(case.model, case.calibration, **given))
    except ZktallyError as error:
        return row | {"refused": error.code}
    found = compiled.report.precision
    assert found is not None
    both = outputs(compiled, case.model, case.fresh)
    return (
        row
        | right(*both, case.labels)
        | {
            "fresh": decibels(*both),
            "biases": len(compiled.record.means),
            "values": found.values,
            "of": found.of_values,
            "weights": found.weights,
            "committed": 100 * (found.committed_bytes / found.committed_bytes_int8 - 1),
            "seconds": seconds,
        }
    )


def outputs(compiled: CompiledModel, model: onnx.ModelProto, rows: Array) -> tuple[Array, Array]:
    """The first output in floats and in integers, float64 [n, ...], for rows [n, ...]."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    program, run = compiled.checked.program, executor(compiled.checked, compiled.weights)
    name, port = program.inputs[0].name, program.outputs[0]
    real, found = [], []
    for step in np.split(rows, len(rows) // program.batch):
        values = integer_run(program, compiled.weights, {name: step}, run)
        found.append((values[port.tensor].astype(np.float64) - port.zero) * port.scale)
        real.append(session.run(None, {session.get_inputs()[0].name: step})[0])
    return np.concatenate(real).astype(np.float64), np.concatenate(found)


def sqnr(compiled: CompiledModel, model: onnx.ModelProto, rows: Array) -> float:
    """Variance over noise of the first output, in dB."""
    return decibels(*outputs(compiled, model, rows))


def decibels(real: Array, found: Array) -> float:
    """Variance over noise, in dB."""
    return float(10 * np.log10(np.var(real) / np.mean((real - found) ** 2)))


def right(real: Array, found: Array, labels: Array | None) -> Row:
    """Shares of right classes and cross entropies of floats and integers; equal classes."""
    if labels is None:
        return {}
    classes = [scores.argmax(axis=-1) for scores in (real, found)]
    return {
        "right": [float(np.mean(each == labels)) for each in classes],
        "loss": [_cross_entropy(scores, labels) for scores in (real, found)],
        "agree": float(np.mean(classes[0] == classes[1])),
    }


def _cross_entropy(scores: Array, labels: Array) -> float:
    """In nats a label."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    of_label = np.take_along_axis(shifted, labels[..., None], axis=-1)[..., 0]
    return float(np.mean(np.log(np.exp(shifted).sum(axis=-1)) - of_label))


def markdown(rows: Sequence[Row]) -> str:
    """The section of docs/figures.md."""
    head = "## Precision: `zktally bench precision`"
    return "\n\n".join([head, paragraph(_TEXT), markdown_table(COLUMNS, rows)])


_TEXT = (
    "Variance of the first output over its noise, on samples that neither set ranges nor chose "
    "bits. Wide are values, and weights of layers, with more than 8 bits; committed is what a step "
    "commits to beside the program of 8 bits. Biases are layers whose bias makes up for rounded "
    "weights. A random network of 30 layers is the hard case: "
    "trained ones forget noise. Of the two that are trained: right classes and cross entropy of "
    "the integers on all held-out data, in brackets those of the floats, and equal classes of "
    "both. The decoder (two layers of 64, 32 characters, trained for 1,000 steps on nine tenths of "
    "what Python's help() knows) predicts the next character of the last tenth."
)
