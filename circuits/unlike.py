"""Tables as they are: inputs whose columns have unlike ranges, under a port of one scale.

The port of such an input has 24 bits. Each column is first divided by a power of two of its own,
which the weights that read it undo exactly; so what follows has codes of the usual size. A column
that is 2^k times smaller than the largest keeps k bits less of the 24, and at least 10.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from .bits import WIDE, WIDEST, Bits
from .calibrate import Feeds
from .errors import CompileError, named
from .graph import Graph, Node
from .ops.columns import NAME
from .ops.gemm import is_linear

UNLIKE = 100.0
"""From this ratio of columns' largest values on."""

APART = 13
"""Powers of two between the largest and the smallest divisor: the quotient's bound allows 2^23."""

Exponents = Mapping[str, Sequence[int]]


def unlike(graph: Graph, data: Feeds) -> dict[str, tuple[int, ...]]:
    """The exponents of all inputs that need them, by name: |x| ≤ 2^exponent in each column."""
    found = {}
    for name in graph.inputs:
        if not _fits(graph, name):
            continue
        reach = np.abs(data[name].astype(np.float64)).max(axis=0)
        known = reach[reach > 0.0]
        if known.size and known.max() / known.min() >= UNLIKE:
            largest = int(np.ceil(np.log2(known.max())))
            each = np.ceil(np.log2(np.where(reach > 0.0, reach, known.max()))).astype(int)
            found[name] = tuple(int(e) for e in np.maximum(each, largest - APART))
    return found


def _fits(graph: Graph, name: str) -> bool:
    """Whether it is a matrix of floats that only products by constant matrices read, as it is."""
    if not graph.is_float(name) or len(graph.shapes[name]) != 2 or name in graph.outputs:
        return False
    readers = graph.consumers(name)
    linear = (node.op == "Gemm" and is_linear(node, graph) for node in readers)
    return name in graph.batched and bool(readers) and all(linear)


def divided_by(graph: Graph, exponents: Exponents) -> Graph:
    """The graph in which these inputs are divided by powers of two, and weights multiplied.

    Raises:
        CompileError: a stranger recorded exponents for what has no such columns.
    """
    nodes, constants = list(graph.nodes), dict(graph.constants)
    shapes, types = dict(graph.shapes), dict(graph.types)
    for name, each in exponents.items():
        if name not in graph.inputs or not _fits(graph, name) or len(each) != shapes[name][1]:
            raise CompileError(
                f"columns are recorded for {named(name)}, which has none",
                code="compile.calibration",
                hint="compile again; has the model changed since?",
            )
        made = f"{name}/columns"
        shapes[made], types[made] = shapes[name], types[name]
        factors = 2.0 ** np.array(each, np.float64)
        for number, node in enumerate(nodes):
            if name in node.inputs:
                weight = f"{node.name}/by columns"
                constants[weight] = constants[node.inputs[1]].astype(np.float64) * factors
                shapes[weight] = constants[weight].shape
                nodes[number] = replace(node, inputs=(made, weight, *node.inputs[2:]))
        nodes.insert(0, Node(made, NAME, (name,), (made,), {"exponents": tuple(each)}))
    return replace(graph, nodes=tuple(nodes), constants=constants, shapes=shapes, types=types)


def bits(exponents: Exponents) -> Bits:
    """24 bits for the inputs, and 16 for their divided columns."""
    values = dict.fromkeys(exponents, WIDEST)
    return Bits(values | {f"{name}/columns": WIDE for name in exponents})
