"""Models of tables with an input for each column, so that each has a scale of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from ..verifier.errors import UsageError
from .arguments import names_of
from .errors import named
from .graph import FLOATS, Array
from .source import ModelLike, inputs, read_model


def split_columns(model: ModelLike, names: Iterable[str] | None = None) -> onnx.ModelProto:
    """The model with an input `X.0`, `X.1`, … [rows, 1] for each column of an input X.

    An input of a program has one scale for all of its values. Where the columns of a table differ
    in size by thousands, the smaller ones have few steps left; apart, each column has its own.

    Args:
        model: an ONNX file, its bytes, or a loaded model.
        names: the inputs to split (default: every table of floats).

    Raises:
        UsageError: an input is not there, or is no table of floats with a known number of columns.
    """
    proto = read_model(model)
    known = {value.name: value for value in inputs(proto)}
    asked = (
        list(names_of(names, "names"))
        if names is not None
        else [n for n, v in known.items() if _columns(v) > 1]
    )
    for name in asked:
        if name not in known or not _columns(known[name]):
            raise UsageError(
                f"input {named(name)} cannot be split into columns",
                expected="a table of floats [rows, columns] with a known number of columns",
                received=sorted(known) if name not in known else "another shape or type",
            )
        _split(proto.graph, known[name])
    return proto


def columns(data: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
    """Data for a model of `split_columns`: each array [rows, columns] as one for each column."""
    return {
        f"{name}.{number}": table[:, number : number + 1]
        for name, array in data.items()
        for table in [np.asarray(array)]
        for number in range(table.shape[1])
    }


def _columns(value: onnx.ValueInfoProto) -> int:
    """The columns of a table of floats; 0 of anything else."""
    kind = value.type.tensor_type
    axes = kind.shape.dim
    return axes[1].dim_value if kind.elem_type in FLOATS and len(axes) == 2 else 0


def _split(graph: onnx.GraphProto, value: onnx.ValueInfoProto) -> None:
    kind, rows = value.type.tensor_type.elem_type, value.type.tensor_type.shape.dim[0]
    parts = []
    for number in range(_columns(value)):
        part = helper.make_tensor_value_info(f"{value.name}.{number}", kind, [None, 1])
        part.type.tensor_type.shape.dim[0].CopyFrom(rows)
        parts.append(part)
    joined = helper.make_node(
        "Concat", [part.name for part in parts], [value.name], f"{value.name}/columns", axis=1
    )
    nodes = [joined, *(onnx.NodeProto.FromString(n.SerializeToString()) for n in graph.node)]
    del graph.node[:]
    graph.node.extend(nodes)
    kept = [p if v.name == value.name else [v] for v in graph.input for p in [parts]]
    values = [onnx.ValueInfoProto.FromString(v.SerializeToString()) for part in kept for v in part]
    del graph.input[:]
    graph.input.extend(values)
