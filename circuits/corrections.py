"""Bias correction: what rounded weights add to a sum on the mean is taken from its bias.

A weight that is rounded by e adds e·x to its sum. The mean of that follows from the mean of x in
calibration, and goes into the bias (Nagel et al. 2019, Data-free quantization through weight
equalization and bias correction, section 4.2, with means that are measured). Recorded are the
means, by node, of the channels of what it reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from .calibrate import Feeds, run_float
from .errors import CompileError, named
from .graph import Graph, Node

DIGITS = 4
"""Of a mean: more would only make the record long."""

Means = Mapping[str, Sequence[float]]
Floats = npt.NDArray[np.float64]


def corrected(graph: Graph) -> dict[str, Node]:
    """The nodes that multiply a value by constant weights and sum, by name."""
    return {node.name: node for node in graph.nodes if _is_linear(node, graph)}


def _is_linear(node: Node, graph: Graph) -> bool:
    weight = node.input(1)
    known = weight in graph.constants and weight not in graph.grids
    plain = node.op == "Conv" or (node.op == "Gemm" and not node.attributes)  # as `fuse` leaves it
    return known and plain and node.inputs[0] not in graph.constants


def means(graph: Graph, source: Graph, data: Feeds) -> dict[str, tuple[float, ...]]:
    """The mean of each channel of what these nodes read, on calibration data."""
    nodes = corrected(graph)
    total: dict[str, Floats] = {}
    steps = 0
    for values in run_float(source, {node.inputs[0] for node in nodes.values()}, data):
        steps += 1
        for name, node in nodes.items():
            rows = np.moveaxis(values[node.inputs[0]], _axis(node), -1)
            found = rows.reshape(-1, rows.shape[-1]).mean(axis=0, dtype=np.float64)
            total[name] = total.get(name, 0.0) + found
    return {
        name: tuple(float(f"{mean / steps:.{DIGITS}g}") for mean in each)
        for name, each in total.items()
    }


def _axis(node: Node) -> int:
    return 1 if node.op == "Conv" else -1


def refuse_unknown(graph: Graph, given: Means) -> None:
    """Refuse means of nodes that the model does not have, or of other channels.

    Raises:
        CompileError: `compile.calibration`.
    """
    nodes = corrected(graph)
    for name, each in given.items():
        node = nodes.get(name)
        channels = None if node is None else graph.shapes[node.inputs[0]][_axis(node)]
        if len(each) != channels:
            raise CompileError(
                f"means are recorded for node {named(name)}, which reads no such channels",
                code="compile.calibration",
                expected=channels or "a node that is a sum of products by constants",
                received=len(each),
                hint="compile again; has the model changed since?",
            )
