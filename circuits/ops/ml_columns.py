"""Tables of columns: Scaler, FeatureVectorizer, and how operators of ai.onnx.ml read their inputs.

The columns of a table are of unlike size: a code that fits the largest would leave the others few
steps. So an input that is a table has 24 bits, and where a Concat joins columns, what reads it
reads the parts, each in its own code. A Scaler gives all columns one code of 24 bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...verifier.program.ranges import Q_MAX
from ...verifier.program.types import Const, Term
from ..builder import HEADROOM, TABLE_MAX, Builder, Value
from ..errors import RangeOverflow, named
from ..graph import Array, Graph, Node
from ..maps import along
from ..operator import Operator, computed, first, uncompared
from ..quantise import BIAS_MAX, MULT_MAX, Affine, Floats

DOMAIN = "ai.onnx.ml."
SCALER, VECTORIZER = f"{DOMAIN}Scaler", f"{DOMAIN}FeatureVectorizer"

COLUMNS_MAX = 2**15 - 1
"""Columns whose products are taken have 16 bits."""
WEIGHT_MAX, SHIFT_MAX = 2**22, 38
"""A factor is a weight times a multiplier of 15 bits, over 2^shift."""
STEPS_MIN = 128
PARTS_MAX = 256


@dataclass(frozen=True)
class Part:
    """Neighbouring columns of a table in one code, the first of them at `start`."""

    start: int
    value: Value

    @property
    def count(self) -> int:
        """How many columns."""
        return self.value.shape[1]

    @property
    def reach(self) -> int:
        """The largest distance of an integer from the zero."""
        code = self.value.code
        return max(code.hi - code.zero, code.zero - code.lo)

    def of(self, columns: Array) -> Array:
        """Its own of what there is for each column, on the last axis."""
        return columns[..., self.start : self.start + self.count]


def parts(node: Node, builder: Builder) -> list[Part]:
    """The inputs of a node, side by side."""
    found, start = [], 0
    for name in node.inputs:
        found.append(Part(start, builder.values[name]))
        start += found[-1].count
    return found


def width(node: Node, graph: Graph) -> int:
    """The columns of a node's inputs."""
    return sum(graph.shapes[name][1] for name in node.inputs)


def is_table(node: Node, graph: Graph) -> str | None:
    """A reason if the inputs are no tables [rows, columns] that are computed."""
    if any(len(graph.shapes[name]) != 2 for name in node.inputs):
        return "its input is no table of rows and columns"
    if len(node.inputs) > PARTS_MAX:
        return f"its input has more than {PARTS_MAX} parts"
    return first(*(computed(node, graph, index) for index in range(len(node.inputs))))


# Rewrites of the graph


def with_columns(graph: Graph, operators: Mapping[str, Operator]) -> Graph:
    """What reads a table reads the parts that a Concat joins, after Scalers of its columns."""
    nodes = {node.name: node for node in graph.nodes}
    producers = {name: node.name for node in graph.nodes for name in node.outputs if name}
    for node in reversed(graph.nodes):
        scaler = _as_scaler(node, graph, operators)
        if scaler is not None:
            nodes[node.name] = scaler
            graph = replace(graph, nodes=tuple(nodes[n.name] for n in graph.nodes))
    for name, node in nodes.items():
        if operators[node.op].columns is not None:
            nodes[name] = replace(node, inputs=tuple(_apart(node.inputs, nodes, producers, graph)))
    return graph.prune([nodes[node.name] for node in graph.nodes])


def _apart(
    names: Sequence[str], nodes: Mapping[str, Node], producers: Mapping[str, str], graph: Graph
) -> list[str]:
    found: list[str] = []
    for name in names:
        node = nodes.get(producers.get(name, ""))
        if node is not None and _joins(node, graph):
            found += _apart(node.inputs, nodes, producers, graph)
        else:
            found.append(name)
    return found


def _joins(node: Node, graph: Graph) -> bool:
    """Whether a node puts computed columns side by side."""
    if len(graph.shapes[node.output]) != 2:
        return False
    beside = node.op == "Concat" and int(node.attributes.get("axis", 1)) in (1, -1)
    known = any(name in graph.constants for name in node.inputs)
    return (beside or node.op == VECTORIZER) and not known and node.output not in graph.outputs


def _as_scaler(node: Node, graph: Graph, operators: Mapping[str, Operator]) -> Node | None:
    """A product with constants, or a sum, by columns as a Scaler: only if tables are made of it."""
    readers = graph.consumers(node.output)
    if node.op not in ("Add", "Sub", "Mul", "Div") or not readers or node.output in graph.outputs:
        return None
    if any(operators[reader.op].columns is None for reader in readers):
        return None
    given = [graph.constant(name) for name in node.inputs]
    shape = graph.shapes[node.output]
    at = next((n for n, array in enumerate(given) if array is None), 2)
    if (
        at == 2
        or given[1 - at] is None
        or len(shape) != 2
        or graph.shapes[node.inputs[at]] != shape
    ):
        return None
    constant = np.asarray(given[1 - at], dtype=np.float64)
    if constant.size not in (1, shape[1]) or (node.op in ("Sub", "Div") and at == 1):
        return None
    row = np.broadcast_to(constant.reshape(-1), (shape[1],))
    if node.op == "Div" and not row.all():
        return None
    factor = row if node.op == "Mul" else 1.0 / row if node.op == "Div" else np.ones(shape[1])
    added = row if node.op == "Add" else -row if node.op == "Sub" else np.zeros(shape[1])
    return replace(
        node,
        op=SCALER,
        inputs=(node.inputs[at],),
        attributes={"factor": factor, "added": added},
    )


# Scaler and FeatureVectorizer


def support(node: Node, graph: Graph) -> str | None:
    """A number for each column, or one for all."""
    sizes = {len(node.attributes[name]) for name in ("offset", "scale") if name in node.attributes}
    if node.op == SCALER and sizes - {1, width(node, graph)}:
        return "its offsets or scales are not one for each column"
    return is_table(node, graph)


def support_vectorizer(node: Node, graph: Graph) -> str | None:
    """Whole inputs."""
    given = [int(size) for size in node.attributes.get("inputdimensions") or []]
    reason = is_table(node, graph)
    if reason is None and given != [graph.shapes[name][1] for name in node.inputs]:
        return "its inputdimensions are not those of its inputs"
    return reason


def lower(node: Node, builder: Builder) -> None:
    """One dot: each column times its factor, and an addend."""
    count = width(node, builder.graph)
    factor, added = (np.broadcast_to(row, (count,)) for row in _line(node.attributes))
    table = parts(node, builder)
    code = builder.spread(node.output, TABLE_MAX // HEADROOM)
    most = code.scale * TABLE_MAX
    code = affine_code(code, table, factor, added)
    _refuse_coarse(node, code.scale, most / HEADROOM)
    hi = min(math.ceil(most / code.scale), TABLE_MAX)
    code = replace(code, lo=-hi, hi=hi)
    out = builder.define(node, code, width=3)
    affine_columns(builder, out, table, factor, added)


def _refuse_coarse(node: Node, step: float, seen: float) -> None:
    """Refuse columns of one input of which the largest leaves the others hardly any steps.

    Raises:
        RangeOverflow: always then.
    """
    if step * STEPS_MIN > seen:
        raise RangeOverflow(
            f"node {named(node.name)} ({node.op}): the columns of its input differ so much in size "
            "that one code cannot hold them",
            expected=f"at least {STEPS_MIN} steps in what was seen",
            received=f"{seen / step:.3g}",
            hint="give each column an input of its own: zktally.split_columns(model)",
        )


def _line(attributes: Mapping[str, Any]) -> tuple[Floats, Floats]:
    """Factors and addends of y = factor·x + added."""
    if "factor" in attributes:
        return attributes["factor"], attributes["added"]
    scale = np.asarray(attributes.get("scale") or [1.0], dtype=np.float64)
    offset = np.asarray(attributes.get("offset") or [0.0], dtype=np.float64)
    return scale, -offset * scale


def affine_code(code: Affine, table: Sequence[Part], factor: Floats, added: Floats) -> Affine:
    """The code, coarser where quotients of 24 bits ask for it (protocol section 2)."""
    reach = sum(p.reach * p.value.code.scale * float(np.abs(p.of(factor)).max()) for p in table)
    least = 1.02 * (reach + 2 * float(np.abs(added).max())) / Q_MAX
    return replace(code, scale=max(code.scale, least))


def affine_columns(
    builder: Builder, out: Value, table: Sequence[Part], factor: Floats, added: Floats
) -> None:
    """Define out[i, c] = factor[c]·table[i, c] + added[c], clamped to its code."""
    scales = np.concatenate([np.full(part.count, part.value.code.scale) for part in table])
    ratio = factor * scales / out.code.scale
    most = float(np.abs(ratio).max()) or 1.0
    shift = min(math.floor(math.log2(WEIGHT_MAX * MULT_MAX / most)), SHIFT_MAX)
    whole = np.abs(ratio) * 2.0**shift
    by = np.ceil(np.maximum(whole, 1.0) / MULT_MAX)
    mult = np.clip(np.rint(whole / by), 1, MULT_MAX)
    # A column whose factor rounds to nothing is a constant.
    by = np.where(whole < 0.5, 0.0, by) * np.sign(ratio)
    zeros = np.concatenate([np.full(part.count, part.value.code.zero) for part in table])
    sums = added / out.code.scale * 2.0**shift / mult - zeros * by
    step = 2 ** max(math.ceil(math.log2(max(float(np.abs(sums).max()) / BIAS_MAX, 1.0))), 0)
    space, column = out.shape, (along(1),)
    terms = []
    for number, part in enumerate(table):
        own = part.of(by).astype(np.int64)
        weight = builder.weight(f"factor {number}", own, int(np.abs(own).max()) or 1, column)
        if len(table) > 1:  # all but its own columns read pads
            weight = replace(weight, maps=(along(1, 1, -part.start),), pad=0)
        maps = (along(0), along(1, 1, -part.start))
        pad = 0 if len(table) > 1 else None
        terms.append(Term((), builder.read(part.value, maps, pad=pad, raw=True), weight))
    addend = builder.weight("addend", np.rint(sums / step).astype(np.int64), BIAS_MAX, column)
    terms.append(Term((), addend, Const(step)))
    multipliers = builder.weight(
        "multiplier", mult.astype(np.int64), MULT_MAX, column, signed=False
    )
    builder.dot(out, space, terms, mult=multipliers, shift=shift)


def joined(node: Node, builder: Builder, name: str) -> Value:
    """The columns of a node in one code of 16 bits: itself, if they have one already."""
    table = parts(node, builder)
    if len(table) == 1 and builder.width(table[0].value) < 3:
        return table[0].value
    count = sum(part.count for part in table)
    reach = max(part.reach * part.value.code.scale for part in table)
    code = Affine(reach / COLUMNS_MAX, 0, -COLUMNS_MAX, COLUMNS_MAX)
    ones, none = np.ones(count), np.zeros(count)
    code = affine_code(code, table, ones, none)
    out = builder.temporary(name, (table[0].value.shape[0], count), code, 2)
    affine_columns(builder, out, table, ones, none)
    return out


OPERATORS = (
    Operator((SCALER,), lower, support, columns=uncompared, takes_integers=True),
    Operator((VECTORIZER,), lower, support_vectorizer, columns=uncompared, takes_integers=True),
)
