"""The Reduce operators: over any axes, given as an attribute or a constant input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from ...verifier.program.types import AxisMap, Const, PickMode, Term
from ..builder import Builder, Value
from ..contrib.products import FACTORS_MAX
from ..graph import Graph, Node
from ..maps import along, at, rows
from ..operator import Operator, computed, first
from ..quantise import Affine, coefficients, domain, multiplier
from ..tape import Tape, of_first
from .mirror import mirror, mirrored
from .reduction import (
    SQUARES_MAX,
    VALUES_MAX,
    Reduction,
    fits,
    log_sum_exp,
    magnitudes,
    reach,
    reduction,
    root_of_squares,
)

PRODUCT_MAX, PRODUCT_MAX_WIDE = 2**14, 2**22


def _support(limit: int, noop: bool, node: Node, graph: Graph) -> str | None:
    """`noop`: without axes it is the identity, whatever the operator."""
    reason = first(computed(node, graph), fits(node, graph, limit))
    if reason is None and not noop and not reduction(node, graph).axes:
        return "it names no axes, and noop_with_empty_axes is set"
    return reason


def lower_sum(node: Node, builder: Builder) -> None:
    """One dot with the constant 1; 1/count is in the multiplier of a mean."""
    x, lines = _lines(node, builder)
    count = lines.count if node.op == "ReduceMean" else 1
    target = builder.target(node)
    mult, shift = multiplier(node.name, x.code.scale / target.pre.scale / count)
    terms = [Term(lines.window, builder.read(x, lines.across, view=lines.shape), Const(1))]
    builder.requantised(node, lines.lines, terms, target, mult=Const(mult), shift=shift)


def lower_l1(node: Node, builder: Builder) -> None:
    """Magnitudes by a table, and their sum."""
    x, lines = _lines(node, builder)
    source = builder.read(x, rows(len(lines.shape)), view=lines.shape, raw=True)
    sizes = magnitudes(builder, x, lines.shape, source)
    target = builder.target(node)
    mult, shift = multiplier(node.name, x.code.scale / target.pre.scale)
    terms = [Term(lines.window, builder.read(sizes, lines.across), Const(1))]
    builder.requantised(node, lines.lines, terms, target, mult=Const(mult), shift=shift)


def lower_sum_square(node: Node, builder: Builder) -> None:
    """One dot of x by x."""
    x, lines = _lines(node, builder)
    target = builder.target(node)
    mult, shift = multiplier(node.name, x.code.scale**2 / target.pre.scale)
    source = builder.read(x, lines.across, view=lines.shape)
    terms = [Term(lines.window, source, source)]
    builder.requantised(node, lines.lines, terms, target, mult=Const(mult), shift=shift)


def lower_l2(node: Node, builder: Builder) -> None:
    """The root of the sum of squares, and its code."""
    x, lines = _lines(node, builder)
    source = builder.read(x, lines.across, view=lines.shape)
    rescaled(node, builder, root_of_squares(builder, lines.lines, lines.window, [(x, source)]))


def rescaled(node: Node, builder: Builder, values: Sequence[Value]) -> None:
    """The node's output is the sum of these values of one scale, in the output's code."""
    target, space = builder.target(node), values[0].shape
    mult, shift = multiplier(node.name, values[0].code.scale / target.pre.scale)
    terms = [Term((), builder.read(value, rows(len(space))), Const(1)) for value in values]
    builder.requantised(node, space, terms, target, mult=Const(mult), shift=shift)


def lower_log_sum(node: Node, builder: Builder) -> None:
    """A sum with the table of the logarithm; what the output was seen to be bounds the sum."""
    x, lines = _lines(node, builder)
    post = builder.code(node.output)
    low, high = np.exp(post.dequantise([post.lo, post.hi]))
    pre = domain(np.log, float(low), float(high), post)
    table = builder.table(node.name, np.log, pre, post)
    mult, shift = multiplier(node.name, x.code.scale / pre.scale)
    terms = [Term(lines.window, builder.read(x, lines.across, view=lines.shape), Const(1))]
    out = builder.define(node, post)
    builder.dot(out, lines.lines, terms, mult=Const(mult), shift=shift, zero=pre.zero, table=table)


def lower_log_sum_exp(node: Node, builder: Builder) -> None:
    """M + log Σ exp(x − m), m the largest x."""
    x, lines = _lines(node, builder)
    largest, log = log_sum_exp(builder, x, lines)
    target = builder.target(node)
    ratios = [value.code.scale / target.pre.scale for value in (largest, log)]
    numbers, shift, _ = coefficients(node.name, ratios, target.pre.scale)
    each = rows(len(lines.lines))
    terms = [
        Term((), builder.read(value, each), Const(number))
        for value, number in zip((largest, log), numbers, strict=True)
    ]
    builder.requantised(node, lines.lines, terms, target, mult=Const(1), shift=shift)


def lower_max(node: Node, builder: Builder) -> None:
    """One pick; the code stays."""
    x, lines = _lines(node, builder)
    source = builder.read(x, lines.across, view=lines.shape, raw=True)
    out = builder.define(node, x.code)
    builder.pick(out, lines.lines, source, mode=PickMode.MAX, window=lines.window)


def lower_min(node: Node, builder: Builder) -> None:
    """The mirrored values' maximum, mirrored back."""
    x, lines = _lines(node, builder)
    code = mirrored(x.code)
    turned = builder.temporary("mirrored", lines.shape, code)
    mirror(builder, x, turned, lines.shape, "mirrored")
    largest = builder.temporary("largest", lines.lines, code)
    source = builder.read(turned, lines.across, raw=True)
    builder.pick(
        largest, lines.lines, source, mode=PickMode.MAX, window=lines.window, suffix="largest"
    )
    mirror(builder, largest, builder.define(node, x.code), lines.lines, "")


def lower_prod(node: Node, builder: Builder) -> None:
    """One value after the other, the product so far in 15 bits (of wide values in 23)."""
    x, lines = _lines(node, builder)
    most = PRODUCT_MAX_WIDE if x.code.wide else PRODUCT_MAX
    target, each = builder.target(node), rows(len(lines.lines))
    factors = [
        builder.read(x, place(lines, index), view=lines.shape)
        for index in np.ndindex(*lines.window)
    ]
    so_far, scale, bound = factors[0], x.code.scale, reach(x.code) * x.code.scale
    for number, factor in enumerate(factors[1:-1]):
        bound *= reach(x.code) * x.code.scale
        code = Affine(bound / most, 0, -most, most)
        mult, shift = multiplier(node.name, scale * x.code.scale / code.scale)
        product = builder.temporary(f"product {number}", lines.lines, code)
        terms = [Term((), so_far, factor)]
        builder.dot(product, lines.lines, terms, mult=Const(mult), shift=shift, suffix="product")
        so_far, scale = builder.read(product, each), code.scale
    last = factors[-1] if len(factors) > 1 else Const(1)
    ratio = scale * (x.code.scale if len(factors) > 1 else 1.0)
    mult, shift = multiplier(node.name, ratio / target.pre.scale)
    terms = [Term((), so_far, last)]
    builder.requantised(node, lines.lines, terms, target, mult=Const(mult), shift=shift)


def place(lines: Reduction, index: tuple[int, ...]) -> list[AxisMap]:
    """Maps of the tensor in the space of the lines, at one place of a line."""
    fixed = dict(zip(lines.axes, index, strict=True))
    kept = [axis for axis in range(len(lines.shape)) if axis not in fixed]
    return [
        at(fixed[axis]) if axis in fixed else along(kept.index(axis))
        for axis in range(len(lines.shape))
    ]


def _lines(node: Node, builder: Builder) -> tuple[Value, Reduction]:
    return builder.values[node.inputs[0]], reduction(node, builder.graph)


def _kept(node: Node, tape: Tape, name: str) -> tuple[str, Reduction]:
    """A value of the output's shape with an axis of 1 for each that was reduced, and the lines."""
    lines = reduction(node, tape.graph)
    shape = [1 if axis in lines.axes else dim for axis, dim in enumerate(lines.shape)]
    return tape.reshape(name, shape), lines


def _sum_back(node: Node, tape: Tape, dy: str) -> str:
    kept, lines = _kept(node, tape, dy)
    count = lines.count if node.op == "ReduceMean" else 1
    return tape.expand(tape.scaled(kept, 1.0 / count), lines.shape)


def _squares_back(node: Node, tape: Tape, dy: str) -> str:
    return tape.mul(_kept(node, tape, dy)[0], tape.scaled(node.inputs[0], 2.0))


def _l1_back(node: Node, tape: Tape, dy: str) -> str:
    return tape.mul(_kept(node, tape, dy)[0], tape.unary("Sign", node.inputs[0]))


def _l2_back(node: Node, tape: Tape, dy: str) -> str:
    norm = _kept(node, tape, node.output)[0]
    return tape.mul(_kept(node, tape, dy)[0], tape.div(node.inputs[0], norm))


def _log_sum_back(node: Node, tape: Tape, dy: str) -> str:
    """The gradient by the sum."""
    kept, lines = _kept(node, tape, dy)
    total = tape.unary("Exp", _kept(node, tape, node.output)[0])
    return tape.expand(tape.div(kept, total), lines.shape)


def _log_sum_exp_back(node: Node, tape: Tape, dy: str) -> str:
    less = tape.sub(node.inputs[0], _kept(node, tape, node.output)[0])
    return tape.mul(_kept(node, tape, dy)[0], tape.unary("Exp", less))


def _extreme_back(node: Node, tape: Tape, dy: str) -> str:
    """To the values that are the result, in equal shares."""
    extreme, lines = _kept(node, tape, node.output)
    mask = tape.as_float(tape.compare("Equal", node.inputs[0], extreme))
    share = tape.div(_kept(node, tape, dy)[0], tape.sum(mask, lines.axes))
    return tape.mul(mask, share)


BACK: Mapping[str, Callable[[Node, Tape, str], str]] = {
    "ReduceSum": _sum_back,
    "ReduceMean": _sum_back,
    "ReduceSumSquare": _squares_back,
    "ReduceL1": _l1_back,
    "ReduceL2": _l2_back,
    "ReduceLogSum": _log_sum_back,
    "ReduceLogSumExp": _log_sum_exp_back,
    "ReduceMax": _extreme_back,
    "ReduceMin": _extreme_back,
}


def _operator(
    name: str,
    lower: Callable[[Node, Builder], None],
    limit: int = VALUES_MAX,
    *,
    noop: bool = False,
    takes_activation: bool = False,
) -> Operator:
    gradient = of_first(BACK[name]) if name in BACK else None
    support = partial(_support, limit, noop)
    return Operator((name,), lower, support, takes_activation, gradient=gradient)


OPERATORS = (
    _operator("ReduceSum", lower_sum, noop=True, takes_activation=True),
    _operator("ReduceMean", lower_sum, noop=True, takes_activation=True),
    _operator("ReduceSumSquare", lower_sum_square, SQUARES_MAX, takes_activation=True),
    _operator("ReduceL1", lower_l1),
    _operator("ReduceL2", lower_l2, SQUARES_MAX),
    _operator("ReduceLogSum", lower_log_sum),
    _operator("ReduceLogSumExp", lower_log_sum_exp, SQUARES_MAX),
    _operator("ReduceMax", lower_max, noop=True),
    _operator("ReduceMin", lower_min, noop=True),
    _operator("ReduceProd", lower_prod, FACTORS_MAX),
)
