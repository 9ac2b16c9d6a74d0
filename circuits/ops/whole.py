"""Integers that are numbers: sides of an operation with their ranges, and results that fit.

Each result's range follows from those of what it is computed from, and its tensor holds all of it:
nothing saturates. Where a result may leave the type that ONNX gives it, it wraps around, as the
type does, by a table of up to 2^16 entries; where that is too long, or 24 bits do not hold a
result, the node is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
from onnx import TensorProto, helper

from ...verifier.program.types import Const, Operand, Term
from ..builder import Builder, Value
from ..errors import RangeOverflow, named
from ..graph import Array, Graph, Node
from ..maps import broadcast
from ..quantise import Affine

LARGEST = 2**23 - 1
"""The largest integer of a tensor."""
TABLE_MAX = 2**16
"""Entries of a table."""


@dataclass(frozen=True)
class Side:
    """One side of an operation: what reads it, and the range of its integers."""

    operand: Operand
    low: int
    high: int


def limits(graph: Graph, name: str) -> tuple[int, int]:
    """The least and the largest integer of a value's type."""
    kind = graph.types[name]
    if kind == TensorProto.BOOL:
        return 0, 1
    info = np.iinfo(helper.tensor_dtype_to_np_dtype(kind))
    return int(info.min), int(info.max)


def code_of(node: Node, low: int, high: int) -> tuple[Affine, int]:
    """The code of integers in a range, and its width in bytes.

    Raises:
        RangeOverflow: 24 bits do not hold them.
    """
    if low < -LARGEST or high > LARGEST:
        overflow(node, f"integers in {-LARGEST} to {LARGEST}", low, high)
    peak = max(-low - 1, high)
    return Affine(1.0, 0, low, high), 1 if peak < 2**7 else 2 if peak < 2**15 else 3


def overflow(node: Node, expected: str, low: int, high: int) -> NoReturn:
    """Refuse a node whose result may not fit."""
    raise RangeOverflow(
        f"node {named(node.name)} ({node.op}): its integers may be too large",
        expected=expected,
        received=f"{low} to {high}",
        hint="calibrate on data that covers the integers seen in use, and no more; or compute "
        "with floats",
    )


def temporary(
    node: Node, builder: Builder, name: str, shape: Sequence[int], low: int, high: int
) -> Value:
    """A tensor inside a node that holds integers of this range."""
    code, width = code_of(node, low, high)
    return builder.temporary(name, tuple(shape), code, width)


def made(
    node: Node,
    builder: Builder,
    name: str,
    space: Sequence[int],
    terms: Sequence[Term],
    span: tuple[int, int],
    *,
    bias: Operand | None = None,
    shift: int = 0,
    table: tuple[int, Sequence[int]] | None = None,
) -> Value:
    """A tensor inside a node and the dot that defines it; a table is its first index and entries.

    What leaves the range `span` is clamped to it.
    """
    number = None
    if table is not None:
        number = builder.integer_table(f"{node.name}/{name}", table[0], tuple(map(int, table[1])))
    out = temporary(node, builder, name, space, *span)
    builder.dot(out, space, terms, shift=shift, bias=bias, zero=0, table=number, suffix=name)
    return replace(out, integer=True)


def held(node: Node, builder: Builder, index: int) -> Value:
    """An input as a value: a constant becomes a tensor of its own, by a copy."""
    name = node.inputs[index]
    array = builder.graph.constant(name)
    if array is None:
        return builder.values[name]
    shape = array.shape or (1,)
    known = constant_side(node, builder, array, len(shape), f"constant {index}")
    out = temporary(node, builder, f"constant {index}", shape, known.low, known.high)
    builder.pick(out, shape, known.operand, suffix=f"constant {index}")
    return replace(out, shape=array.shape, integer=True)


def output(node: Node, builder: Builder, low: int, high: int) -> Value:
    """The tensor of a node's output, which holds integers of this range."""
    code, width = code_of(node, low, high)
    return builder.define(node, code, integer=True, width=width)


def constant_side(
    node: Node, builder: Builder, array: Array, rank: int, name: str, *, whole: bool = False
) -> Side:
    """A constant, broadcast; the range of one of several numbers is that of its bits.

    `whole`: one number is a tensor, too.
    """
    numbers = array.astype(object)
    low, high = int(numbers.min()), int(numbers.max())
    if low < -LARGEST or high > LARGEST:
        overflow(node, f"constants in {-LARGEST} to {LARGEST}", low, high)
    if array.size == 1 and not whole:
        return Side(Const(low), low, low)
    peak = 2 ** max(-low, high, 1).bit_length() - 1
    maps = broadcast(array.shape, rank)
    read = builder.weight(name, array.astype(np.int64), peak, maps, signed=low < 0)
    return Side(read, -peak if low < 0 else 0, peak)


def side(node: Node, builder: Builder, index: int, rank: int) -> Side:
    """The input of this number in a space of this rank, broadcast."""
    name = node.inputs[index]
    constant = builder.graph.constant(name)
    if constant is not None:
        return constant_side(node, builder, constant, rank, f"input {index}")
    return value_side(builder, builder.values[name], rank)


def value_side(builder: Builder, value: Value, rank: int) -> Side:
    """A value in a space of this rank, broadcast."""
    read = builder.read(value, broadcast(value.shape, rank), raw=True)
    return Side(read, value.code.lo, value.code.hi)


def result(
    node: Node,
    builder: Builder,
    terms: Sequence[Term],
    low: int,
    high: int,
    *,
    bias: Operand | None = None,
    space: Sequence[int] | None = None,
) -> None:
    """The node's output is this sum, which lies in this range; it wraps around as its type does."""
    space = builder.shape(node) or (1,) if space is None else space
    least, most = limits(builder.graph, node.output)
    table = None
    if low < least or high > most:
        if high - low >= TABLE_MAX:
            overflow(node, f"integers in {least} to {most}, its type", low, high)
        numbers = wrapped(np.arange(low, high + 1), least, most)
        table = builder.integer_table(node.name, low, tuple(map(int, numbers)))
        low, high = int(numbers.min()), int(numbers.max())
    out = output(node, builder, low, high)
    builder.dot(out, space, terms, bias=bias, zero=0, table=table)


def some_computed(node: Node, graph: Graph) -> str | None:
    """One side at least is computed."""
    if all(graph.constant(name) is not None for name in node.inputs if name):
        return "all its inputs are constants"
    return None


def wrapped(numbers: Array, least: int, most: int) -> Array:
    """Integers as a type of this range holds them."""
    span = most - least + 1
    return np.array([(int(number) - least) % span + least for number in numbers], dtype=object)


def tabulated(
    node: Node, builder: Builder, of: Value, function: Callable[[Array], Any], shape: Sequence[int]
) -> bool:
    """The node's output as a table over a value's range; False where that is too long for one."""
    if of.code.hi - of.code.lo >= TABLE_MAX:
        return False
    domain = np.arange(of.code.lo, of.code.hi + 1, dtype=np.int64)
    found = np.broadcast_to(np.asarray(function(domain)).astype(object), domain.shape)
    entries = wrapped(found, *limits(builder.graph, node.output))
    low, high = int(entries.min()), int(entries.max())
    table_code, width = code_of(node, low, high)
    table = builder.integer_table(node.name, of.code.lo, tuple(map(int, entries)))
    out = builder.define(node, table_code, integer=True, width=width)
    space = tuple(shape) or (1,)
    read = builder.read(of, broadcast(of.shape, len(space)), raw=True)
    builder.dot(out, space, [Term((), read, Const(1))], zero=0, table=table)
    return True
