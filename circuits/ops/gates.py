"""Gates of recurrent operators: a function of the projection of a step and of the state.

An accumulator of a gate has one unit for each of its channels: that in which the recurrent weights
have 8 bits, or a coarser one in which the projection has 15 (times a factor below 2^14). Both are
exact in it, and one multiplier brings it to the code of the function's argument.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ...verifier.program.ranges import Q_MAX
from ...verifier.program.types import Const, Read, Term
from ..builder import Builder, Value
from ..maps import along, over
from ..quantise import MULT_MAX, WEIGHT_MAX, Affine, Floats, Ints, multipliers
from .gate_functions import GateFunction
from .recurrence import ONE, PART_MAX, Part

PEEPHOLE_MAX = 2**15 - 1
LEAST_BITS = 9
"""Of an argument whose quotients would be too large with more."""
UNBOUNDED = 2**20
"""The peak of values without a bound: how much of it they use is not known."""


@dataclass(frozen=True)
class Lookup:
    """How a dot ends that computes a function: the codes of argument and value, the table."""

    pre: Affine
    post: Affine
    table: int | None

    @classmethod
    def of(
        cls, builder: Builder, name: str, function: GateFunction, pre: Affine, post: Affine
    ) -> Lookup:
        """Of an argument in this code; Relu is the clamp of its own."""
        if function.is_relu:
            clamped = replace(post, lo=0)
            return cls(clamped, clamped, None)
        return cls(pre, post, builder.table(name, function.function, pre, post))


def gate_code(function: GateFunction, reach: float) -> Affine:
    """The code of a function's values: 14 bits below 1, or 20 below their bound for ± `reach`."""
    if not math.isinf(function.peak):
        return code_of(1.0 / ONE, function.low, function.high)
    low, high = image(function, reach)
    return code_of((max(-low, high) or 1.0) / UNBOUNDED, low, high)


def image(function: GateFunction, reach: float) -> tuple[float, float]:
    """The least and the greatest value for arguments within ± `reach`, and 0."""
    argument = function.domain(reach)
    values = function.function(argument.dequantise(np.arange(argument.lo, argument.hi + 1)))
    return min(float(values.min()), 0.0), max(float(values.max()), 0.0)


def code_of(scale: float, low: float, high: float) -> Affine:
    """The integers of the reals [low, high], and 0, at this scale."""
    return Affine(scale, 0, min(math.floor(low / scale), 0), max(math.ceil(high / scale), 0))


@dataclass(frozen=True)
class Peephole:
    """The weights [directions, hidden] of a cell in a gate; the scale and reach of the cell."""

    weights: Floats
    scale: float
    reach: float

    @property
    def steps(self) -> Floats:
        """What a step of the cell's code adds to the argument of each channel."""
        return self.weights.ravel() * self.scale


class Gate:
    """Gates of one function.

    Args:
        part: their place in the projection.
        function: what they apply.
        code: of their values, by the reach of the argument.
        peephole: what they read of the cell.
    """

    def __init__(
        self,
        part: Part,
        function: GateFunction,
        code: Callable[[float], Affine],
        peephole: Peephole | None = None,
    ) -> None:
        self.part = part
        layer = part.run.layer
        self._builder = layer.builder
        self._peepholes: Ints | None = None
        if peephole is not None:
            part.others += np.abs(peephole.weights)[:, None] * peephole.reach
        self.post, limits = code(part.reach), part.flat(part.limit(function.end))
        weights = part.flat(part.recurrent)
        least = np.abs(weights).max(-1) * layer.state.scale / WEIGHT_MAX
        least = np.maximum(least, limits / (PART_MAX * ONE))
        if peephole is not None:
            least = np.maximum(least, np.abs(peephole.steps) / PEEPHOLE_MAX)
        for bits in range(function.bits, LEAST_BITS - 1, -1):
            pre = self.post if function.is_relu else function.domain(part.reach, bits)
            self._mult, self._shift = multipliers(layer.node.name, least / pre.scale)
            unit = self._mult * 2.0**-self._shift * pre.scale
            self._factor = max(math.ceil((limits / unit).max() / PART_MAX), 1)
            self._weights = np.rint(weights * (layer.state.scale / unit)[:, None]).astype(np.int64)
            reach = PART_MAX * self._factor + layer.hidden * WEIGHT_MAX * layer.state.hi
            if peephole is not None:
                self._peepholes = np.rint(peephole.steps / unit).astype(np.int64)
                reach += self._peephole_peak * math.ceil(
                    peephole.reach / peephole.scale + layer.steps
                )
            # The coarser an argument, the less its quotient reaches (protocol section 2).
            if (reach * MULT_MAX >> self._shift) + 1 < Q_MAX:
                break
        self._pre = pre
        self.main = self.lookup(function, self.post)
        part.units = unit.reshape(part.inputs.shape) * self._factor

    def lookup(self, function: GateFunction, post: Affine) -> Lookup:
        """How another function of the same argument ends."""
        return Lookup.of(self._builder, self.part.name, function, self._pre, post)

    @property
    def _peephole_peak(self) -> int:
        """What is declared of the peepholes: the bits of the largest."""
        assert self._peepholes is not None
        return 2 ** int(np.abs(self._peepholes).max()).bit_length() - 1 or 1

    @cached_property
    def _recurrent(self) -> Read:
        directions, _, count = self.part.space
        view = (directions, count, self._weights.shape[-1])
        maps = (along(0), along(2), over(0))
        return self._builder.weight(
            f"{self.part.name} recurrent", self._weights, WEIGHT_MAX, maps, view
        )

    @cached_property
    def _multiplier(self) -> Read:
        return self.part.vector("multiplier", self._mult, MULT_MAX, signed=False)

    @cached_property
    def _peephole(self) -> Read:
        assert self._peepholes is not None
        return self.part.vector("peephole", self._peepholes, self._peephole_peak)

    def __call__(
        self,
        step: int,
        state: Value | None,
        cell: Value | None = None,
        end: Lookup | None = None,
        name: str | None = None,
    ) -> Value:
        """The values [directions, batch, channels] at a step."""
        layer, ends = self.part.run.layer, end or self.main
        terms = [Term((), self.part.read(step), Const(self._factor))]
        if state is not None:
            terms.append(Term((layer.hidden,), layer.read(state, over(0)), self._recurrent))
        if cell is not None and self._peepholes is not None:
            terms.append(Term((), layer.read(cell, along(2)), self._peephole))
        return layer.dot(
            f"{step} {name or self.part.name}",
            self.part.space,
            terms,
            ends.post,
            mult=self._multiplier,
            shift=self._shift,
            table=ends.table,
        )
