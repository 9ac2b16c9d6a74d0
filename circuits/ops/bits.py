"""BitwiseAnd, Or, Xor, Not and BitShift of integers, exact.

Two bytes beside each other are the index of a table of 2^16 entries; longer integers are cut into
bytes, the last of which carries the sign.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...verifier.program.types import Const, Term
from ..builder import Builder, Value
from ..graph import Graph, Node
from ..operator import Operator, computed
from .integer_division import floor, one_constant, read_in
from .integers import product
from .whole import (
    Side,
    held,
    limits,
    made,
    output,
    overflow,
    result,
    side,
    some_computed,
    value_side,
    wrapped,
)

FUNCTIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "BitwiseAnd": np.bitwise_and,
    "BitwiseOr": np.bitwise_or,
    "BitwiseXor": np.bitwise_xor,
}

BYTE = 2**8
SHIFT_MAX = 22
"""A shift to the right by this many bits leaves nothing of a smaller integer."""

Space = tuple[int, ...]


def lower_bitwise(node: Node, builder: Builder) -> None:
    """A table of pairs for each byte, and their sum."""
    function = FUNCTIONS[node.op]
    if one_constant(node, builder, function):
        return
    space = builder.shape(node) or (1,)
    sides = [held(node, builder, index) for index in (0, 1)]
    bits, signed = max(map(_bits, sides)), min(value.code.lo for value in sides) < 0
    count = max(-(-(bits + signed) // 8), 1)
    cut = [_cut(node, builder, value, count, f"side {n}") for n, value in enumerate(sides)]
    terms, low, high = [], 0, 0
    for place, pair in enumerate(zip(*cut, strict=True)):
        last = signed and place == count - 1
        least, most = (-BYTE // 2, BYTE // 2 - 1) if last else (0, BYTE - 1)
        digits = np.arange(least, most + 1)
        entries = function(digits[:, None], digits[None, :]).reshape(-1)
        if place == count - 1:  # no pair gives more bits than its sides have
            reach = 2 ** (bits - 8 * place)
            least, most = -reach if signed else 0, reach - 1
        left, right = (read_in(builder, value, space) for value in pair)
        both = [Term((), left, Const(BYTE)), Term((), right, Const(1))]
        table = (int(digits[0]) * (BYTE + 1), np.clip(entries, least, most))
        part = made(node, builder, f"byte {place}", space, both, (least, most), table=table)
        terms.append(Term((), read_in(builder, part, space), Const(BYTE**place)))
        low, high = low + least * BYTE**place, high + most * BYTE**place
    bounds = limits(builder.graph, node.output)
    result(node, builder, terms, max(low, bounds[0]), min(high, bounds[1]))


def _bits(value: Value) -> int:
    """Bits that hold all integers of a value, that of the sign apart."""
    low, high = value.code.lo, value.code.hi
    return max((-low - 1).bit_length() if low < 0 else 0, high.bit_length())


def _cut(node: Node, builder: Builder, value: Value, count: int, name: str) -> list[Value]:
    """The bytes of a value, the lowest first; the last is what is left above the others."""
    shape, found = value.shape or (1,), []
    for place in range(count - 1):
        low, high = value.code.lo // BYTE, value.code.hi // BYTE
        here = read_in(builder, value, shape)
        terms = [Term((), here, Const(1))]
        # The shift rounds to the nearest: less half a byte it rounds down.
        above = made(
            node,
            builder,
            f"{name} above byte {place}",
            shape,
            terms,
            (low, high),
            bias=Const(-BYTE // 2),
            shift=8,
        )
        terms.append(Term((), read_in(builder, above, shape), Const(-BYTE)))
        rest = made(node, builder, f"{name} byte {place}", shape, terms, (0, BYTE - 1))
        found.append(replace(rest, shape=value.shape))
        value = replace(above, shape=value.shape)
    return [*found, value]


def lower_not(node: Node, builder: Builder) -> None:
    """−1 − x, which is the largest integer of its type less x where that has no sign."""
    x = side(node, builder, 0, len(builder.shape(node) or (1,)))
    least, most = limits(builder.graph, node.output)
    full = most if least == 0 else -1
    terms = [Term((), x.operand, Const(-1))]
    result(node, builder, terms, full - x.high, full - x.low, bias=Const(full))


def lower_shift(node: Node, builder: Builder) -> None:
    """A table of one side, or of pairs of bytes; else a product by a power of 2, or a quotient.

    A shift by less than 0, or by the width of the type and more, leaves nothing but the sign.
    """
    left = node.attributes["direction"] == "LEFT"
    least, most = limits(builder.graph, node.output)
    bits = (most - least).bit_length()

    def function(x: Any, by: Any) -> Any:
        return shifted_left(x, by, bits) if left else shifted_right(x, by, bits)

    if one_constant(node, builder, function):
        return
    space = builder.shape(node) or (1,)
    x, by = (held(node, builder, index) for index in (0, 1))
    if max(value.code.hi - value.code.lo for value in (x, by)) < BYTE:
        _pairs(node, builder, (x, by), function)
        return
    if by.code.lo < 0 or (not left and max(x.code.hi, -x.code.lo) >= 2**SHIFT_MAX):
        overflow(node, f"shifts from 0 on, of integers below 2^{SHIFT_MAX}", x.code.lo, x.code.hi)
    power = _power(node, builder, by, bits, left=left)
    if left:
        sides = [value_side(builder, value, len(space)) for value in (x, power)]
        term = Term((), sides[0].operand, sides[1].operand)
        result(node, builder, [term], *product(*sides))
        return
    found: Side = value_side(builder, floor(node, builder, space, x, power), len(space))
    result(node, builder, [Term((), found.operand, Const(1))], found.low, found.high)


def _pairs(
    node: Node, builder: Builder, sides: tuple[Value, Value], function: Callable[[Any, Any], Any]
) -> None:
    """A table of both sides beside each other: x·2^8 + y, as the type holds the results."""
    space, (x, y) = builder.shape(node) or (1,), sides
    start = x.code.lo * BYTE + y.code.lo
    index = np.arange(start, x.code.hi * BYTE + y.code.hi + 1)
    above = (index - y.code.lo) // BYTE
    found = np.asarray(function(above, index - above * BYTE))
    entries = [int(n) for n in wrapped(found, *limits(builder.graph, node.output))]
    table = builder.integer_table(node.name, start, tuple(entries))
    terms = [
        Term((), read_in(builder, value, space), Const(by)) for value, by in ((x, BYTE), (y, 1))
    ]
    out = output(node, builder, min(entries), max(entries))
    builder.dot(out, space, terms, zero=0, table=table)


def _power(node: Node, builder: Builder, by: Value, bits: int, *, left: bool) -> Value:
    """2^n; from the width of the type on, 0 to the left, and to the right more than any x."""
    shape = by.shape or (1,)
    last = min(bits, by.code.hi) if left else min(SHIFT_MAX, by.code.hi)
    powers = [0 if left and n >= bits else 2**n for n in range(last + 1)]
    terms = [Term((), read_in(builder, by, shape), Const(1))]
    span = (min(powers), max(powers))
    power = made(node, builder, "power", shape, terms, span, table=(0, powers))
    return replace(power, shape=by.shape)


def shifted_left(x: Any, by: Any, bits: int) -> Any:
    """As integers without end have it: the caller wraps it around."""
    most = _within(by, bits)
    return np.asarray(x, dtype=object) * 2**most * (most < bits)


def shifted_right(x: Any, by: Any, bits: int) -> Any:
    """Rounded down."""
    return np.asarray(x, dtype=object) // 2 ** _within(by, bits)


def _within(by: Any, bits: int) -> Any:
    """Shifts of 0 to the width of the type, which all others count as."""
    numbers = np.asarray(by)
    return np.where((numbers < 0) | (numbers >= bits), bits, numbers).astype(object)


def support(node: Node, graph: Graph) -> str | None:
    """One side at least is computed; integers of up to 24 bits."""
    return some_computed(node, graph)


OPERATORS = (
    *(Operator((name,), lower_bitwise, support, takes_integers=True) for name in FUNCTIONS),
    Operator(("BitwiseNot",), lower_not, computed, takes_integers=True),
    Operator(("BitShift",), lower_shift, support, takes_integers=True),
)
