"""Sums, products and extremes of integers along axes, exact."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from ...verifier.program.types import AxisMap, Const, PickMode, Term
from ..builder import Builder
from ..contrib.products import FACTORS_MAX
from ..graph import Graph, Node
from ..maps import rows
from ..operator import Whole, computed, first
from .cum_sum import axis_of as summed_axis
from .cum_sum import support as cum_sum_support
from .integer_division import mean_of
from .integers import product
from .mirror import mirror, mirrored
from .reduce import place
from .reduction import VALUES_MAX, fits, reduction
from .whole import Side, made, result, value_side


def lower_sum(node: Node, builder: Builder) -> None:
    """One dot with the constant 1; a mean is cut off towards 0."""
    x, lines = builder.values[node.inputs[0]], reduction(node, builder.graph)
    read = builder.read(x, lines.across, view=lines.shape, raw=True)
    terms = [Term(lines.window, read, Const(1))]
    low, high = lines.count * x.code.lo, lines.count * x.code.hi
    if node.op == "ReduceMean" and lines.count > 1:
        total = made(node, builder, "sum", lines.lines, terms, (low, high))
        mean_of(node, builder, total, lines.count)
    else:
        result(node, builder, terms, low, high, space=lines.lines)


def lower_sum_square(node: Node, builder: Builder) -> None:
    """One dot of x by x."""
    x, lines = builder.values[node.inputs[0]], reduction(node, builder.graph)
    read = builder.read(x, lines.across, view=lines.shape, raw=True)
    high = lines.count * max(x.code.lo**2, x.code.hi**2)
    result(node, builder, [Term(lines.window, read, read)], 0, high, space=lines.lines)


def lower_l1(node: Node, builder: Builder) -> None:
    """The sum of x times its sign."""
    x, lines = builder.values[node.inputs[0]], reduction(node, builder.graph)
    shape = x.shape or (1,)
    here = [Term((), value_side(builder, x, len(shape)).operand, Const(1))]
    sign = made(node, builder, "sign", shape, here, (-1, 1), table=(-1, (-1, 0, 1)))
    reads = [builder.read(each, lines.across, view=lines.shape, raw=True) for each in (x, sign)]
    high = lines.count * max(-x.code.lo, x.code.hi)
    result(node, builder, [Term(lines.window, *reads)], 0, high, space=lines.lines)


def lower_max(node: Node, builder: Builder) -> None:
    """One pick; a minimum is that of the mirrored values, mirrored back."""
    x, lines = builder.values[node.inputs[0]], reduction(node, builder.graph)
    if node.op == "ReduceMax":
        read = builder.read(x, lines.across, view=lines.shape, raw=True)
        out = builder.define_like(node, x)
        builder.pick(out, lines.lines, read, mode=PickMode.MAX, window=lines.window)
        return
    code, width = mirrored(x.code), builder.width(x)
    turned = builder.temporary("mirrored", lines.shape, code, width)
    mirror(builder, x, turned, lines.shape, "mirrored")
    largest = builder.temporary("largest", lines.lines, code, width)
    read = builder.read(turned, lines.across, raw=True)
    window = lines.window
    builder.pick(largest, lines.lines, read, mode=PickMode.MAX, window=window, suffix="largest")
    mirror(builder, largest, builder.define_like(node, x), lines.lines, "")


def lower_prod(node: Node, builder: Builder) -> None:
    """One value after the other."""
    x, lines = builder.values[node.inputs[0]], reduction(node, builder.graph)
    reads = [
        Side(builder.read(x, place(lines, index), view=lines.shape, raw=True), x.code.lo, x.code.hi)
        for index in np.ndindex(*lines.window)
    ]
    so_far = reads[0]
    for number, factor in enumerate(reads[1:-1]):
        span = product(so_far, factor)
        terms = [Term((), so_far.operand, factor.operand)]
        value = made(node, builder, f"product {number}", lines.lines, terms, span)
        so_far = value_side(builder, value, len(lines.lines))
    last = reads[-1] if len(reads) > 1 else Side(Const(1), 1, 1)
    terms = [Term((), so_far.operand, last.operand)]
    result(node, builder, terms, *product(so_far, last), space=lines.lines)


def lower_cum_sum(node: Node, builder: Builder) -> None:
    """One dot with the constant 1, as of reals."""
    x, space = builder.values[node.inputs[0]], builder.shape(node)
    axis = summed_axis(node, builder.graph)
    step = 1 if node.attributes.get("reverse", 0) else -1
    exclusive = bool(node.attributes.get("exclusive", 0))
    maps = list(rows(len(space)))
    maps[axis] = AxisMap(i_axis=axis, a=1, k_axis=0, b=step, c=step if exclusive else 0)
    count = space[axis]
    low, high = (count * min(x.code.lo, 0), count * max(x.code.hi, 0))
    terms = [Term((count,), builder.read(x, maps, pad=0, raw=True), Const(1))]
    result(node, builder, terms, low, high)


def _support(limit: int, node: Node, graph: Graph) -> str | None:
    """Constant axes, lines of a length that a gate takes."""
    return first(computed(node, graph), fits(node, graph, limit))


_LINES = partial(_support, VALUES_MAX)

WHOLE: Mapping[str, Whole] = {
    "ReduceSum": Whole(lower_sum, _LINES),
    "ReduceMean": Whole(lower_sum, _LINES),
    "ReduceSumSquare": Whole(lower_sum_square, _LINES),
    "ReduceL1": Whole(lower_l1, _LINES),
    "ReduceMax": Whole(lower_max, _LINES),
    "ReduceMin": Whole(lower_max, _LINES),
    "ReduceProd": Whole(lower_prod, partial(_support, FACTORS_MAX)),
    "CumSum": Whole(lower_cum_sum, cum_sum_support),
}
