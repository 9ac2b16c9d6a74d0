"""Concat: a sum in which each part contributes 0 outside its own place.

Where parts of unlike ranges are joined in an output of the network (boxes and scores), directly or
before what only moves values there, it has as many bits as it takes to keep the finest of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ...verifier.program.types import Const, Operand, Term
from ..bits import NARROW, WIDE
from ..builder import Builder, Target, Value, scaled
from ..graph import Array, Graph, Node
from ..maps import along, broadcast, rows
from ..operator import Operator, axis_of
from ..quantise import BIAS_MAX, MULT_MAX, SHIFT_MAX, Affine, Floats, affine, coefficients
from ..tape import Tape

PARTS_MAX = 64
UNLIKE = 2.0
"""Ratio of the parts' scales from which an output has more than 8 bits."""

WIDE_MAX, FACTOR_BITS, MULT_BITS = 21, 14, 15


def support(node: Node, graph: Graph) -> str | None:
    """Up to 64 parts, some of them constants; all of floats, or all of integers."""
    if all(graph.constant(name) is not None for name in node.inputs):
        return "all of its inputs are constants"
    return f"it has more than {PARTS_MAX} inputs" if len(node.inputs) > PARTS_MAX else None


def lower(node: Node, builder: Builder) -> None:
    """One dot with a term per part, times the constant that brings it to the output's scale."""
    graph = builder.graph
    axis = axis_of(node, graph, 0)
    sizes = [graph.shapes[name][axis] for name in node.inputs]
    starts = [sum(sizes[:n]) for n in range(len(sizes))]
    places = list(zip(starts, node.inputs, strict=True))
    known = [(at, graph.constants[name]) for at, name in places if name in graph.constants]
    parts = [(at, builder.values[name]) for at, name in places if name not in graph.constants]
    if parts[0][1].integer:
        _narrow(node, builder, axis, parts, known, _of_integers(parts, known))
    elif not known and (bits := _bits(node, builder, parts)) > NARROW:
        _wide(node, builder, axis, parts, bits)
    else:
        _narrow(node, builder, axis, parts, known, builder.target(node))


def _narrow(
    node: Node,
    builder: Builder,
    axis: int,
    parts: Sequence[tuple[int, Value]],
    known: Sequence[tuple[int, Array]],
    target: Target,
) -> None:
    ratios = [part.code.scale / target.pre.scale for _, part in parts]
    addend = _addend(builder.shape(node), axis, known)
    numbers, shift, added = coefficients(
        node.name, ratios, target.pre.scale, addend, fine=target.post.wide
    )
    space = builder.shape(node)
    terms = _terms(builder, axis, space, parts, numbers)
    bias: Operand | None = None
    if added is not None:
        maps = broadcast(added.numbers.shape, len(space))
        read = builder.weight("addend", added.numbers, BIAS_MAX, maps)
        bias, more = scaled(read, added.power)
        terms += more
    integer = parts[0][1].integer
    out = builder.define(node, target.post, integer=integer)
    zero, table = target.pre.zero, target.table
    builder.dot(out, space, terms, shift=shift, bias=bias, zero=zero, table=table)


def _addend(space: tuple[int, ...], axis: int, known: Sequence[tuple[int, Array]]) -> Floats | None:
    """The constant parts in their places; an axis along which nothing changes has one element."""
    if not known:
        return None
    addend = np.zeros(space)
    for start, array in known:
        place = [slice(None)] * len(space)
        place[axis] = slice(start, start + array.shape[axis])
        addend[tuple(place)] = array
    for n in range(len(space)):
        once = np.take(addend, [0], axis=n)
        if (addend == once).all():
            addend = once
    return addend


def _terms(
    builder: Builder,
    axis: int,
    space: Sequence[int],
    parts: Sequence[tuple[int, Value]],
    numbers: Sequence[int],
) -> list[Term]:
    terms = []
    for (start, part), number in zip(parts, numbers, strict=True):
        maps = list(rows(len(space)))
        maps[axis] = along(axis, 1, -start)
        terms.append(Term((), builder.read(part, maps, pad=part.code.zero), Const(number)))
    return terms


def _of_integers(parts: Sequence[tuple[int, Value]], known: Sequence[tuple[int, Array]]) -> Target:
    ends = [end for _, part in parts for end in (part.code.lo, part.code.hi)]
    ends += [int(end) for _, array in known for end in (array.min(), array.max())]
    code = Affine(1.0, 0, min(ends), max(ends))
    return Target(code, code)


def _bits(node: Node, builder: Builder, parts: Sequence[tuple[int, Value]]) -> int:
    """Bits that keep the finest part; 8 where other layers compute with it, or parts are alike.

    Parts that were joined so are alike, and keep what they have.
    """
    codes = [part.code for _, part in parts if part.code.lo < part.code.hi]
    if not codes:  # each is one number throughout
        return NARROW
    coarsest = max(codes, key=lambda code: code.scale)
    ratio = coarsest.scale / min(code.scale for code in codes)
    fixed = node.activation is not None or builder.given(node.output) is not None
    own = (coarsest.hi - coarsest.lo).bit_length() if coarsest.wide else NARROW
    if fixed or node.output not in builder.displayed or (ratio < UNLIKE and own <= WIDE):
        return NARROW
    return min(own + math.ceil(math.log2(ratio)), WIDE_MAX - len(parts).bit_length())


def _wide(
    node: Node, builder: Builder, axis: int, parts: Sequence[tuple[int, Value]], bits: int
) -> None:
    """Factors of parts lie apart by thousands: a power of 2 in the term, the rest a multiplier."""
    reals = [part.code.dequantise([part.code.lo, part.code.hi]) for _, part in parts]
    low, high = float(np.min(reals)), float(np.max(reals))
    code = affine(low, high, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    ratios = [part.code.scale / code.scale for _, part in parts]
    shift = min(math.floor(FACTOR_BITS + MULT_BITS - 1 - math.log2(max(ratios))), SHIFT_MAX)
    numbers, mults = [], []
    for (_, part), ratio in zip(parts, ratios, strict=True):
        whole = ratio * 2.0**shift
        power = max(math.ceil(math.log2(whole)) - MULT_BITS, 0)
        numbers.append(2**power)
        mults += [min(max(round(whole / 2**power), 1), MULT_MAX)] * part.shape[axis]
    space = builder.shape(node)
    mult = builder.weight("multiplier", np.array(mults), MULT_MAX, (along(axis),), signed=False)
    out = builder.define(node, code)
    terms = _terms(builder, axis, space, parts, numbers)
    builder.dot(out, space, terms, mult=mult, shift=shift)


def gradient(node: Node, tape: Tape, given: Sequence[str | None]) -> Mapping[int, str]:
    """Each part gets its place of the gradient."""
    dy, start, found = given[0], 0, {}
    axis = axis_of(node, tape.graph, 0)
    for index, name in enumerate(node.inputs):
        stop = start + tape.shape(name)[axis]
        if dy is not None:
            found[index] = tape.sliced(dy, {axis: (start, stop, 1)})
        start = stop
    return found


OPERATOR = Operator(
    ("Concat",), lower, support, takes_activation=True, takes_integers=True, gradient=gradient
)
