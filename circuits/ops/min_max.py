"""Min and Max of several values, and Clip between computed bounds.

All values are brought to the output's code beside each other, in one dot, and the largest is
picked. Values beyond the output's range are clamped, which changes no result inside of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...verifier.program.types import Const, PickMode, Term
from ..builder import Builder, Value
from ..graph import Graph, Node
from ..maps import along, broadcast, over, rows
from ..operator import Operator, first
from ..quantise import Affine, coefficients
from ..tape import Tape, broadcast_back
from .mirror import mirror, mirrored
from .reduction import reach
from .sum import support as support_sum

REACH = 2**8 - 1
"""No value of an int8 code is farther from its zero: so far constants are told apart, or farther
where a code has more bits."""


def support(node: Node, graph: Graph) -> str | None:
    """As of a sum; the values stand beside each other on an axis of their own."""
    deep = len(graph.shapes[node.output]) > 7
    return first(support_sum(node, graph), "it has more than 7 axes" if deep else None)


def lower_max(node: Node, builder: Builder) -> None:
    """Two ops: the values beside each other, the largest of them."""
    _extreme(node, builder, node.inputs, 1, builder.define(node, builder.code(node.output)))


def lower_min(node: Node, builder: Builder) -> None:
    """Three ops: the largest of the mirrored values, mirrored back."""
    _extreme(node, builder, node.inputs, -1, builder.define(node, builder.code(node.output)))


def lower_between(node: Node, builder: Builder) -> None:
    """Clip as min(max(x, low), high); each bound may be absent."""
    code = builder.code(node.output)
    x, low, high = node.inputs[0], node.input(1), node.input(2)
    if low is None or high is None:
        only = (name for name in (low, high) if name is not None)
        sign = -1 if low is None else 1
        _extreme(node, builder, (x, *only), sign, builder.define(node, code))
        return
    above = builder.temporary("above", builder.shape(node) or (1,), code)
    _extreme(node, builder, (x, low), 1, above)
    _extreme(node, builder, (above, high), -1, builder.define(node, code))


def _extreme(
    node: Node, builder: Builder, sides: Sequence[str | Value], sign: int, out: Value
) -> None:
    """Define `out` as the largest of the values, or the smallest (sign -1)."""
    code = out.code if sign == 1 else mirrored(out.code)
    beside = _beside(node, builder, sides, code, sign)
    space = beside.shape[:-1]
    largest = out if sign == 1 else builder.temporary("largest", space, code)
    each = builder.read(beside, (*rows(len(space)), over(0)), raw=True)
    builder.pick(largest, space, each, mode=PickMode.MAX, window=(len(sides),), suffix="largest")
    if sign == -1:
        mirror(builder, largest, out, space, "mirrored")


def _beside(
    node: Node, builder: Builder, sides: Sequence[str | Value], code: Affine, sign: int
) -> Value:
    """Sign times each of the values, in this code, on a last axis."""
    space = (*(builder.shape(node) or (1,)), len(sides))
    values = [side if isinstance(side, Value) else builder.values.get(side) for side in sides]
    scales = [code.scale if value is None else value.code.scale for value in values]
    ratios = [sign * scale / code.scale for scale in scales]
    numbers, shift, _ = coefficients(node.name, ratios, code.scale)
    terms = []
    for place, (side, value, number) in enumerate(zip(sides, values, numbers, strict=True)):
        here = along(len(space) - 1, 1, -place)
        shape = builder.graph.shapes[side] if isinstance(side, str) else side.shape
        view, maps = (*shape, 1), (*broadcast(shape, len(space) - 1), here)
        if value is not None:
            read = builder.read(value, maps, view=view, pad=value.code.zero)
        else:
            real = builder.graph.constants[str(side)]
            most = max(REACH, reach(code))
            near = Affine(code.scale, 0, -most, most).quantise(real)
            read = replace(builder.weight(f"bound {place}", near, most, maps, view), pad=0)
        terms.append(Term((), read, Const(number)))
    out = builder.temporary("values", space, code)
    builder.dot(out, space, terms, shift=shift, suffix="values")
    return out


def gradient(node: Node, tape: Tape, given: Sequence[str | None]) -> Mapping[int, str]:
    """The gradient goes to the sides that are the result; where several are, each has its share."""
    dy = given[0]
    if dy is None:
        return {}
    masks = [tape.compare("Equal", name, node.output) for name in node.inputs]
    masks = [tape.as_float(tape.expand(mask, tape.shape(node.output))) for mask in masks]
    share = tape.div(dy, tape.total(masks))
    return {n: broadcast_back(node, tape, n, tape.mul(share, m)) for n, m in enumerate(masks)}


OPERATORS = (
    Operator(("Max",), lower_max, support, gradient=gradient),
    Operator(("Min",), lower_min, support, gradient=gradient),
)
