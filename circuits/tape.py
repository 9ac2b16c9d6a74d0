"""Reverse-mode differentiation of a float graph, written in ONNX operators.

A gradient is a part of a network like any other: it is run by onnxruntime in a rehearsal, lowered
by the compiler, and proven. So the rule of an operator emits nodes, by way of a `Tape`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from .errors import NotTrainable, named
from .graph import Array, Graph, Node

Shape = tuple[int, ...]

PREFIX = "grad"
"""Names of what a backward pass emits begin so."""


class Tape:
    """Emits nodes behind a graph, and knows the shape of everything that they compute.

    Args:
        graph: the network that is differentiated, whose values the emitted nodes read.
        prefix: names of what is emitted begin so.
    """

    def __init__(self, graph: Graph, prefix: str = PREFIX) -> None:
        self.graph = graph
        self._prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self._shapes: dict[str, Shape] = {}
        self._known: dict[tuple[str, Shape, bytes], str] = {}
        self._scaled: dict[str, tuple[str, float]] = {}
        self._turned: dict[str, tuple[str, tuple[int, ...]]] = {}
        self._count = 0

    def shape(self, name: str) -> Shape:
        """The shape of a value of the graph, or of one that was emitted."""
        return self._shapes[name] if name in self._shapes else self.graph.shapes[name]

    def emit(self, op: str, inputs: Sequence[str], shape: Sequence[int], **attributes: Any) -> str:
        """A node of one output of this shape; returns the name of its value."""
        self._count += 1
        name = f"{self._prefix}/{op}_{self._count}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name, **attributes))
        self._shapes[name] = tuple(shape)
        return name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """A constant; equal ones are one."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = f"{self._prefix}/constant_{len(self._known)}"
            self.constants[self._known[key]] = array
            self._shapes[self._known[key]] = array.shape
        return self._known[key]

    def declare(self, name: str, shape: Sequence[int]) -> None:
        """A value that comes from outside: another input."""
        self._shapes[name] = tuple(shape)

    def indices(self, values: Sequence[int]) -> str:
        """A constant of int64: axes, sizes, places."""
        return self.constant(list(values), np.int64)

    def whole(self, value: int) -> str:
        """A constant of int64 without axes."""
        return self.constant(value, np.int64)

    # Arithmetic with broadcasting

    def _binary(self, op: str, a: str, b: str) -> str:
        return self.emit(op, (a, b), np.broadcast_shapes(self.shape(a), self.shape(b)))

    def add(self, a: str, b: str) -> str:
        """A + b."""
        return self._binary("Add", a, b)

    def sub(self, a: str, b: str) -> str:
        """A − b."""
        return self._binary("Sub", a, b)

    def mul(self, a: str, b: str) -> str:
        """A·b."""
        return self._binary("Mul", a, b)

    def div(self, a: str, b: str) -> str:
        """A / b."""
        return self._binary("Div", a, b)

    def scaled(self, a: str, by: float) -> str:
        """A times a number; itself where that is 1. What was scaled before is scaled once."""
        base, before = self._scaled.get(a, (a, 1.0))
        if by == 1.0:
            return a
        if before * by == 1.0:
            return base
        made = self.mul(base, self.constant(before * by))
        self._scaled[made] = base, before * by
        return made

    def negative(self, a: str) -> str:
        """−a, as a product: a table of that would be as long as its code."""
        return self.scaled(a, -1.0)

    def plus(self, a: str, number: float) -> str:
        """A plus a number."""
        return self.add(a, self.constant(number))

    def unary(self, op: str, a: str, **attributes: Any) -> str:
        """A function of each element."""
        return self.emit(op, (a,), self.shape(a), **attributes)

    def compare(self, op: str, a: str, b: str) -> str:
        """A mask: Greater, Less, Equal and kin."""
        return self._binary(op, a, b)

    def where(self, mask: str, a: str, b: str) -> str:
        """A where the mask holds, else b."""
        shapes = (self.shape(name) for name in (mask, a, b))
        return self.emit("Where", (mask, a, b), np.broadcast_shapes(*shapes))

    def masked(self, mask: str, a: str) -> str:
        """A where the mask holds, else 0."""
        return self.where(mask, a, self.constant(0.0))

    def as_float(self, mask: str) -> str:
        """A mask, or integers, as floats."""
        return self.emit("Cast", (mask,), self.shape(mask), to=onnx.TensorProto.FLOAT)

    def total(self, parts: Sequence[str]) -> str:
        """The sum of values of one shape."""
        if len(parts) == 1:
            return parts[0]
        if len(parts) == 2:
            return self.add(*parts)
        return self.emit("Sum", parts, self.shape(parts[0]))

    # Shapes

    def reshape(self, a: str, shape: Sequence[int]) -> str:
        """The same elements in another shape."""
        if self.shape(a) == tuple(shape):
            return a
        return self.emit("Reshape", (a, self.indices(shape)), shape)

    def transpose(self, a: str, order: Sequence[int]) -> str:
        """The axes in another order; what was turned before is turned once."""
        if a in self._turned:
            a, before = self._turned[a]
            order = [before[axis] for axis in order]
        if list(order) == list(range(len(order))):
            return a
        shape = self.shape(a)
        turned = self.emit("Transpose", (a,), [shape[axis] for axis in order], perm=list(order))
        self._turned[turned] = a, tuple(order)
        return turned

    def swapped(self, a: str) -> str:
        """The last two axes swapped."""
        rank = len(self.shape(a))
        return self.transpose(a, (*range(rank - 2), rank - 1, rank - 2))

    def expand(self, a: str, shape: Sequence[int]) -> str:
        """Broadcast to a shape."""
        if self.shape(a) == tuple(shape):
            return a
        return self.emit("Expand", (a, self.indices(shape)), shape)

    def sliced(self, a: str, cuts: Mapping[int, tuple[int, int, int]]) -> str:
        """(start, stop, step ≥ 1) of some axes."""
        shape = list(self.shape(a))
        whole = {axis: (0, shape[axis], 1) for axis in cuts}
        if dict(cuts) == whole:
            return a
        for axis, (start, stop, step) in cuts.items():
            shape[axis] = len(range(start, stop, step))
        parts = list(zip(*cuts.values(), strict=True))
        arguments = [self.indices(part) for part in (*parts[:2], tuple(cuts), parts[2])]
        return self.emit("Slice", (a, *arguments), shape)

    def padded(
        self, a: str, before: Sequence[int], after: Sequence[int], value: float = 0.0
    ) -> str:
        """Constant elements around a value."""
        if not any((*before, *after)):
            return a
        sizes = zip(self.shape(a), before, after, strict=True)
        shape = [dim + low + high for dim, low, high in sizes]
        filler = self.constant(value)
        return self.emit("Pad", (a, self.indices((*before, *after)), filler), shape)

    def concat(self, parts: Sequence[str], axis: int) -> str:
        """Values joined along an axis."""
        shape = list(self.shape(parts[0]))
        shape[axis] = sum(self.shape(part)[axis] for part in parts)
        return self.emit("Concat", parts, shape, axis=axis)

    # Sums

    def reduce(self, op: str, a: str, axes: Sequence[int], *, keep: bool = True) -> str:
        """A reduction over axes: an input of ReduceSum since opset 13, of others since 18."""
        shape = self.shape(a)
        if not axes:
            return a
        kept = [1 if axis in axes else dim for axis, dim in enumerate(shape)]
        out = kept if keep else [dim for axis, dim in enumerate(shape) if axis not in axes]
        if self.graph.opset >= (13 if op == "ReduceSum" else 18):
            return self.emit(op, (a, self.indices(axes)), out, keepdims=int(keep))
        return self.emit(op, (a,), out, keepdims=int(keep), axes=list(axes))

    def sum(self, a: str, axes: Sequence[int], *, keep: bool = True) -> str:
        """The sum over axes."""
        return self.reduce("ReduceSum", a, axes, keep=keep)

    def sum_to(self, a: str, shape: Sequence[int]) -> str:
        """The gradient of a broadcast: the sum over every axis that was repeated."""
        given, shape = self.shape(a), tuple(shape)
        if given == shape:
            return a
        first = len(given) - len(shape)
        axes = [
            axis
            for axis, dim in enumerate(given)
            if axis < first or (shape[axis - first] == 1 and dim != 1)
        ]
        if axes == list(range(first)):
            return self.sum(a, axes, keep=False)
        return self.reshape(self.sum(a, axes), shape)

    def matmul(self, a: str, b: str) -> str:
        """A·b of at least two axes each."""
        left, right = self.shape(a), self.shape(b)
        leading = np.broadcast_shapes(left[:-2], right[:-2])
        return self.emit("MatMul", (a, b), (*leading, left[-2], right[-1]))

    def along(self, a: str, axis: int, matrix: Array) -> str:
        """An axis times a constant matrix [its size, the new one]."""
        rank = len(self.shape(a))
        order = [n for n in range(rank) if n != axis] + [axis]
        made = self.matmul(self.flat_rows(self.transpose(a, order)), self.constant(matrix))
        shape = [self.shape(a)[n] for n in order[:-1]] + [matrix.shape[1]]
        return self.transpose(self.reshape(made, shape), [order.index(n) for n in range(rank)])

    def flat_rows(self, a: str) -> str:
        """All axes but the last as one."""
        shape = self.shape(a)
        return self.reshape(a, (math.prod(shape[:-1]), shape[-1]))


Gradient = Callable[[Node, Tape, Sequence[str | None]], Mapping[int, str]]
"""(node, tape, gradients by output) → gradients by input; integers and sizes have none."""


def of_first(rule: Callable[[Node, Tape, str], str]) -> Gradient:
    """The rule of an operator whose first output follows from its first input."""

    def gradient(node: Node, tape: Tape, given: Sequence[str | None]) -> Mapping[int, str]:
        return {} if given[0] is None else {0: rule(node, tape, given[0])}

    return gradient


def elementwise(slope: Callable[[Node, Tape], str]) -> Gradient:
    """The rule of a function of one value: the gradient times its slope."""
    return of_first(lambda node, tape, dy: tape.mul(dy, slope(node, tape)))


def reshaped(node: Node, tape: Tape, dy: str) -> str:
    """The gradient of a view: the view back."""
    return tape.reshape(dy, tape.shape(node.inputs[0]))


def broadcast_back(node: Node, tape: Tape, index: int, dy: str) -> str:
    """The gradient of an input that was broadcast to the shape of `dy`."""
    return tape.sum_to(dy, tape.shape(node.inputs[index]))


def gathered_back(tape: Tape, dy: str, axis: int, index: Array, size: int) -> str:
    """The gradient of a gather by constants along an axis: what was taken twice is added up.

    Negative indices stand for places that hold a constant.
    """
    inside = np.flatnonzero(index >= 0)
    steps = np.diff(index[inside])
    if len(inside) == len(index) == size and (index == np.arange(size)).all():
        return dy
    # A stretch in even steps is put in its place; anything else is a product with a 0/1 matrix.
    stretch = len(inside) and inside[-1] - inside[0] == len(inside) - 1
    if stretch and (len(steps) == 0 or ((steps == steps[0]).all() and steps[0] != 0)):
        kept = tape.sliced(dy, {axis: (int(inside[0]), int(inside[-1]) + 1, 1)})
        return spread(tape, kept, axis, index[inside], size)
    hot = np.zeros((len(index), size))
    hot[inside, index[inside]] = 1.0
    return tape.along(dy, axis, hot)


def not_trainable(node: Node, reason: str) -> NotTrainable:
    """The error for a node through which no gradient goes."""
    return NotTrainable(
        f"node {named(node.name)} ({node.op}): {reason}, so it cannot be trained through",
    )


def spread(tape: Tape, dy: str, axis: int, places: Array, size: int) -> str:
    """`dy` at these places, in even steps, of an axis of this size; 0 elsewhere."""
    if len(places) > 1 and places[1] < places[0]:
        step = int(places[0] - places[1])
        dy, places = _reversed(tape, dy, axis), places[::-1]
    else:
        step = int(places[1] - places[0]) if len(places) > 1 else 1
    shape = list(tape.shape(dy))
    if step > 1:  # zeros behind each, the last ones cut off
        apart = tape.reshape(dy, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
        after = [step - 1 if n == axis + 1 else 0 for n in range(len(shape) + 1)]
        filled = tape.padded(apart, [0] * len(after), after)
        shape[axis] *= step
        whole = tape.reshape(filled, shape)
        shape[axis] -= step - 1
        dy = tape.sliced(whole, {axis: (0, shape[axis], 1)})
    before, behind = [0] * len(shape), [0] * len(shape)
    before[axis] = int(places[0])
    behind[axis] = size - int(places[-1]) - 1
    return tape.padded(dy, before, behind)


def _reversed(tape: Tape, a: str, axis: int) -> str:
    ends = (-1, -(2**31), axis, -1)
    start, stop, axes, steps = (tape.indices([end]) for end in ends)
    return tape.emit("Slice", (a, start, stop, axes, steps), tape.shape(a))
