"""Where each sequence of a recurrent operator ends."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ...verifier.program.types import Const, PickMode, Term
from ..builder import Builder, Value
from ..graph import Array, Node
from ..maps import along, at
from ..quantise import Affine


class Lengths:
    """The steps of each sequence, where they are not all those of the input.

    Args:
        builder: what ops are appended to.
        given: the lengths, computed or constant.
        steps: the most that any has.
        batch: how many sequences there are.
    """

    def __init__(self, builder: Builder, given: Value | Array, steps: int, batch: int) -> None:
        self._builder, self._given, self.steps, self.batch = builder, given, steps, batch
        self.differ = isinstance(given, Value) or bool((given != steps).any())
        self.some_empty = given.code.lo < 1 if isinstance(given, Value) else bool(given.min() < 1)

    @classmethod
    def of(cls, node: Node, builder: Builder, total: int) -> Lengths | None:
        """Those of a node whose input has `total` steps; None: all have as many."""
        name = node.input(4)
        if name is None:
            return None
        batch = builder.graph.shapes[name][0]
        array = builder.graph.constant(name)
        if array is None:
            return cls(builder, builder.values[name], total, batch)
        if array.min() >= total:
            return None
        return cls(builder, array.astype(np.int64), int(array.max()), batch)

    @cached_property
    def mask(self) -> Value:
        """[steps, batch]: 1 while a sequence lasts."""
        builder, shape, code = self._builder, (self.steps, self.batch), Affine(1.0, 0, 0, 1)
        if not isinstance(self._given, Value):
            lasts = (np.arange(self.steps)[:, None] < self._given).astype(np.int64)
            return Value(builder.weight("lasts", lasts, 1, (), signed=False).tensor, shape, code)
        out = builder.temporary("lasts", shape, code)
        length = builder.read(self._given, (along(1),))
        steps = np.arange(self.steps)
        number = builder.weight("step", steps, max(self.steps - 1, 1), (along(0),), signed=False)
        builder.pick(out, shape, length, number, mode=PickMode.GREATER, suffix="lasts")
        return out

    @cached_property
    def _order(self) -> Value:
        """[steps, batch]: the step before the end that is as far from it as one is from 0."""
        builder, shape = self._builder, (self.steps, self.batch)
        code = Affine(1.0, 0, 0, self.steps - 1)
        steps = np.arange(self.steps)
        if not isinstance(self._given, Value):
            order = np.maximum(self._given - 1 - steps[:, None], 0)
            read = builder.weight("order", order, self.steps - 1, (), signed=False)
            return Value(read.tensor, shape, code)
        out = builder.temporary("order", shape, code, code.width)
        length = builder.read(self._given, (along(1),))
        before = builder.weight("before", -1 - steps, self.steps, (along(0),))
        terms = [Term((), length, Const(1))]
        builder.dot(out, shape, terms, bias=before, suffix="order")
        return out

    def reordered(self, value: Value, name: str, batch_axis: int = 1) -> Value:
        """The steps of a value [steps, ...] of each sequence, from its end to its start."""
        builder, order = self._builder, self._order
        shape = (self.steps, *value.shape[1:])
        out = builder.temporary(name, shape, value.code, builder.width(value))
        maps = [at() if axis == 0 else along(axis) for axis in range(len(shape))]
        index = builder.read(order, (along(0), along(batch_axis)))
        source = builder.read(value, maps, raw=True)
        builder.gather(out, shape, source, 0, index, suffix=name)
        return out
