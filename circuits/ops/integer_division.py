"""Quotients and remainders of integers, exact; Mod of reals is a table, by one number.

The machine's quotient rounds to the nearest: that of n − ⌊d/2⌋ by d is ⌊n/d⌋. Where one side is a
single constant, and the other's range short, all of it is a table; of a longer range, or by
computed divisors, the largest quotient times the largest divisor has to fit 24 bits in a remainder.
By 0 onnxruntime has no quotient: here it is that by 1, and the remainder is n.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...verifier.program.types import Const, Read, Term
from ..builder import Builder, Value
from ..graph import Array, Graph, Node
from ..maps import broadcast
from ..operator import Whole, constants, first
from ..quantise import Floats
from .elementwise import activation
from .whole import held, made, result, some_computed, tabulated, temporary

Space = tuple[int, ...]


def lower_div(node: Node, builder: Builder) -> None:
    """The quotient is cut off towards 0: ⌊|n| / |d|⌋, and both signs."""
    if one_constant(node, builder, quotients):
        return
    space = builder.shape(node) or (1,)
    left, right = (held(node, builder, index) for index in (0, 1))
    signs = [_sign(node, builder, left, "sign"), _sign(node, builder, right, "sign of d")]
    quotient = _quotient(node, builder, space, left, right, *signs)
    terms, low = _signed(node, builder, space, quotient, signs)
    result(node, builder, terms, low, quotient.code.hi)


def lower_mod(node: Node, builder: Builder) -> None:
    """N − d·q: q is rounded down, or cut off towards 0 where `fmod` is set."""
    fmod = bool(node.attributes.get("fmod", 0))
    if one_constant(node, builder, partial(remainders, fmod=fmod)):
        return
    space = builder.shape(node) or (1,)
    left, right = (held(node, builder, index) for index in (0, 1))
    turn = _sign(node, builder, right, "sign of d")
    if fmod:
        sign = _sign(node, builder, left, "sign")
        quotient = _quotient(node, builder, space, left, right, sign, turn)
        size = _size(node, builder, right, turn, "size of d")
        rest = _rest(node, builder, space, _size(node, builder, left, sign, "size"), size, quotient)
        terms, low = _signed(node, builder, space, rest, [sign, None])
        result(node, builder, terms, low, rest.code.hi)
        return
    if turn is not None:
        peak = max(-left.code.lo, left.code.hi)
        term = Term((), *(read_in(builder, value, space) for value in (left, turn)))
        above = made(node, builder, "turned", space, [term], (-peak, peak))
    else:
        above = left
    quotient = floor(node, builder, space, above, _divisor(node, builder, right, turn))
    bounds = _bounds(left, right)
    result(node, builder, _taken_off(node, builder, space, left, right, quotient), *bounds)


def _bounds(left: Value, right: Value) -> tuple[int, int]:
    """The range of n mod d; by a divisor of 0 it is n."""
    low, high = min(right.code.lo + 1, 0), max(right.code.hi - 1, 0)
    if right.code.lo <= 0 <= right.code.hi:
        return min(low, left.code.lo), max(high, left.code.hi)
    return low, high


def read_in(builder: Builder, value: Value, space: Space) -> Read:
    """A read of a value in a space, broadcast."""
    return builder.read(value, broadcast(value.shape, len(space)), raw=True)


def _sign(node: Node, builder: Builder, value: Value, name: str) -> Value | None:
    """-1, 0 or 1, by a table whose domain ends there; None where no value is negative."""
    if value.code.lo >= 0:
        return None
    shape = value.shape or (1,)
    terms = [Term((), read_in(builder, value, shape), Const(1))]
    return made(node, builder, name, shape, terms, (-1, 1), table=(-1, (-1, 0, 1)))


def _size(node: Node, builder: Builder, value: Value, sign: Value | None, name: str) -> Value:
    """|x|."""
    if sign is None:
        return value
    shape = value.shape or (1,)
    term = Term((), *(read_in(builder, each, shape) for each in (value, sign)))
    return made(node, builder, name, shape, [term], (0, max(-value.code.lo, value.code.hi)))


def _divisor(node: Node, builder: Builder, value: Value, sign: Value | None) -> Value:
    """|d|, and 1 in the place of 0, by the clamp to its range."""
    size = _size(node, builder, value, sign, "divisor size")
    if size.code.lo > 0:
        return size
    shape = size.shape or (1,)
    terms = [Term((), read_in(builder, size, shape), Const(1))]
    return made(node, builder, "divisor", shape, terms, (1, max(size.code.hi, 1)))


def _quotient(
    node: Node,
    builder: Builder,
    space: Space,
    left: Value,
    right: Value,
    sign: Value | None,
    turn: Value | None,
) -> Value:
    """⌊|n| / |d|⌋."""
    size = _size(node, builder, left, sign, "numerator size")
    return floor(node, builder, space, size, _divisor(node, builder, right, turn))


def floor(node: Node, builder: Builder, space: Space, left: Value, right: Value) -> Value:
    """⌊n / d⌋ for d ≥ 1."""
    low, high, least, most = left.code.lo, left.code.hi, right.code.lo, right.code.hi
    shape = right.shape or (1,)
    terms = [Term((), read_in(builder, right, shape), Const(1))]
    span = (least // 2, most // 2)
    half = made(node, builder, "half", shape, terms, span, bias=Const(-1), shift=1)
    half = replace(half, shape=right.shape)
    terms = [
        Term((), read_in(builder, left, space), Const(1)),
        Term((), read_in(builder, half, space), Const(-1)),
    ]
    above = made(node, builder, "above", space, terms, (low - most // 2, high - least // 2))
    ends = [end // by for end in (low, high) for by in (least, most)]
    out = temporary(node, builder, "quotient", space, min(ends), max(ends))
    num, den = read_in(builder, above, space), read_in(builder, right, space)
    builder.quotient(out, space, 1, num, den, suffix="quotient")
    return out


def _signed(
    node: Node, builder: Builder, space: Space, value: Value, signs: list[Value | None]
) -> tuple[list[Term], int]:
    """What a value that is not negative is with these signs, and the least that it can be."""
    given = [sign for sign in signs if sign is not None]
    if not given:
        return [Term((), read_in(builder, value, space), Const(1))], value.code.lo
    peak = value.code.hi
    if len(given) == 2:
        term = Term((), *(read_in(builder, each, space) for each in (value, given[1])))
        value = made(node, builder, "signed", space, [term], (-peak, peak))
    return [Term((), *(read_in(builder, each, space) for each in (value, given[0])))], -peak


def _rest(
    node: Node, builder: Builder, space: Space, left: Value, right: Value, quotient: Value
) -> Value:
    """N − d·q, none of them negative; by a divisor of 0 it is n."""
    high = left.code.hi if right.code.lo <= 0 else min(left.code.hi, right.code.hi - 1)
    terms = _taken_off(node, builder, space, left, right, quotient)
    return made(node, builder, "rest", space, terms, (0, high))


def _taken_off(
    node: Node, builder: Builder, space: Space, left: Value, right: Value, quotient: Value
) -> list[Term]:
    term = Term((), read_in(builder, quotient, space), Const(-1))
    span = (-quotient.code.hi, -quotient.code.lo)
    less = made(node, builder, "less", space, [term], span)
    return [
        Term((), read_in(builder, left, space), Const(1)),
        Term((), *(read_in(builder, value, space) for value in (less, right))),
    ]


def mean_of(node: Node, builder: Builder, total: Value, count: int) -> None:
    """The node's output: a sum divided by a number, cut off towards 0."""
    space = total.shape
    if tabulated(node, builder, total, lambda n: quotients(n, count), space):
        return
    sign = _sign(node, builder, total, "sign")
    shape = (1,) * len(space)
    by = temporary(node, builder, "count", shape, count, count)
    builder.pick(by, shape, Const(count), suffix="count")
    quotient = _quotient(node, builder, space, total, by, sign, None)
    terms, low = _signed(node, builder, space, quotient, [sign, None])
    result(node, builder, terms, low, quotient.code.hi, space=space)


# By tables


def quotients(n: Any, d: Any) -> Array:
    """Cut off towards 0."""
    by = np.where(d == 0, 1, d)
    found: Array = np.sign(n) * np.sign(by) * (np.abs(n) // np.abs(by))
    return found


def remainders(n: Any, d: Any, *, fmod: bool) -> Array:
    """Of the dividend's sign (`fmod`), or of the divisor's."""
    by = np.where(d == 0, 1, d)
    found: Array = np.where(d == 0, n, np.fmod(n, by) if fmod else np.mod(n, by))
    return found


def one_constant(node: Node, builder: Builder, function: Callable[[Any, Any], Any]) -> bool:
    """The output by a table, where one side is one number and the other's range is short."""
    for index, name in enumerate(node.inputs):
        array = builder.graph.constant(name)
        if array is None or array.size != 1:
            continue
        number, value = np.int64(int(array.item())), builder.values[node.inputs[1 - index]]

        def of_one(x: Array, index: int = index, number: Any = number) -> Any:
            return function(x, number) if index else function(number, x)

        return tabulated(node, builder, value, of_one, builder.shape(node))
    return False


def divisors(node: Node, graph: Graph) -> str | None:
    """A constant divisor has no zeros."""
    known = graph.constant(node.input(1))
    zeros = known is not None and not known.all()
    return first(some_computed(node, graph), "its divisor has zeros" if zeros else None)


# Mod of reals


def support(node: Node, graph: Graph) -> str | None:
    """Of integers, all of it but divisors of 0. Of reals, by one constant other than 0."""
    divisor = graph.constant(node.input(1))
    if divisor is None:
        return first(constants(node, graph, 1))
    if divisor.size != 1:
        return "its divisor differs from element to element"
    return None if divisor.item() else "its divisor has zeros"


def modulo(node: Node, graph: Graph) -> Callable[[Floats], Floats]:
    """The remainder by the node's divisor; a jump, so x is what a float of 32 bits holds of it."""
    divisor = graph.constants[node.inputs[1]].item()
    function = np.fmod if node.attributes.get("fmod", 0) else np.mod
    return lambda x: function(x.astype(np.float32), np.float32(divisor)).astype(np.float64)


WHOLE: Mapping[str, Whole] = {
    "Div": Whole(lower_div, divisors),
    "Mod": Whole(lower_mod, divisors),
}

OPERATOR = activation("Mod", function=modulo, support=support)
