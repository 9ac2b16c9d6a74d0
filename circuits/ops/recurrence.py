"""What LSTM, GRU and RNN share: their steps one after the other, in integers of one code.

All products with the input are one dot over all steps (the *projection*). Then each step has a dot
for each function of its gates: the projection of the step, and the state times the recurrent
weights. Both directions of a bidirectional node are computed by the same ops.

Nothing inside is a value of the network, so nothing is calibrated there (ADR 27). The argument of a
gate is limited to where its function changes; so is the projection, less what the state can add.
Gates and states of bounded functions have 14 bits below 1; a state without such a bound has the
calibrated range of the node's output.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from ...verifier.program.ranges import ACC_MAX
from ...verifier.program.types import AxisMap, Const, Operand, PickMode, Read, Term
from ..builder import ONE as BY_ONE
from ..builder import Builder, Value
from ..graph import Graph, Node
from ..maps import along, at, over
from ..operator import computed, constants, first
from ..quantise import WEIGHT_MAX, Affine, Floats, Ints, channels, multiplier
from .gate_functions import GateFunction, gate_functions
from .sequences import Lengths

ONE = 2**14
"""1.0 in gates and states."""
CALIBRATED = 2**12
"""The peak of a state without a bound: what is summed to it may be 2,000 times as large."""
PART_MAX = 32_000
"""The peak of a projection: 15 bits, and its product by ONE is less than half an accumulator."""
SUM_MAX = ACC_MAX - ONE * PART_MAX
"""What is left of an accumulator for the recurrent sum."""
OPS_MAX = 4000
"""Ops that one node may become: a program has 4,096."""

States = tuple[Value | None, ...]
"""The state, and what else a cell hands on; None: zeros, or nothing reads it."""


class Cell(Protocol):
    """What one step computes."""

    initial: States

    def step(self, number: int, states: States, *, wanted: bool) -> States:
        """The states after a step; `wanted`: somebody reads the first of them."""


def support(
    node: Node, graph: Graph, defaults: Sequence[str], each: int, bounded: Sequence[int]
) -> str | None:
    """Why a node does not compile; a step is `each` ops; functions of these numbers are bounded."""
    reason = first(computed(node, graph), constants(node, graph, 1, 2, 3))
    if reason is not None:
        return reason
    try:
        functions = gate_functions(node, defaults, graph.shapes[node.inputs[2]][0])
    except ValueError as error:
        return str(error)
    gates = [f for number, f in enumerate(functions) if number % len(defaults) in bounded]
    if any(function.peak > 1.0 for function in gates):
        return "the activation of its gates can exceed 1"
    lengths = graph.constant(node.input(4))
    if lengths is not None and lengths.max(initial=0) < 1:
        return "its sequences are empty"
    steps = graph.shapes[node.inputs[0]][0]
    if steps * each > OPS_MAX:
        return (
            f"its {steps:,} steps are some {steps * each:,} ops, and a program holds 4,096; cut "
            "the sequence into parts that hand their state on (initial_h, Y_h)"
        )
    return None


class Layer:
    """A node: its sizes, its weights as reals [directions, gates, hidden, ...], its state's code.

    Args:
        node: the node.
        builder: what its ops are appended to.
        gates: how many it has.
        bound: the largest magnitude that its cells give a state; infinite: as calibrated.
    """

    def __init__(self, node: Node, builder: Builder, gates: int, bound: float) -> None:
        graph = builder.graph
        self.node, self.builder = node, builder
        self.x = builder.values[node.inputs[0]]
        self.total, self.batch, inputs = self.x.shape
        weights, recurrent = (graph.constants[node.inputs[n]].astype(np.float64) for n in (1, 2))
        self.directions, self.hidden = len(recurrent), recurrent.shape[-1]
        by_gate = (self.directions, gates, self.hidden)
        self.weights = weights.reshape(*by_gate, inputs)
        self.recurrent = recurrent.reshape(*by_gate, self.hidden)
        bias = graph.constant(node.input(3))
        halves = np.zeros(2 * math.prod(by_gate)) if bias is None else bias.astype(np.float64)
        halves = halves.reshape(self.directions, 2, gates, self.hidden)
        self.bias, self.recurrent_bias = halves[:, 0], halves[:, 1]
        self.lengths = Lengths.of(node, builder, self.total)
        self.steps = self.total if self.lengths is None else self.lengths.steps
        self.bounded = math.isfinite(bound)
        reach = bound if self.bounded else builder.code(node.output).reach
        peak = min(ONE if self.bounded else CALIBRATED, SUM_MAX // (WEIGHT_MAX * self.hidden))
        self.state = Affine((max(reach, self.given(5)) or 1.0) / peak, 0, -peak, peak)

    @property
    def masked(self) -> bool:
        """Whether sequences end at different steps."""
        return self.lengths is not None and self.lengths.differ

    def given(self, index: int) -> float:
        """The largest magnitude of the state that an input gives."""
        array = self.builder.graph.constant(self.node.input(index))
        if array is not None:
            return float(np.abs(array).max())
        name = self.node.input(index)
        return self.builder.values[name].code.reach if name else 0.0

    def uses(self, output: int) -> str | None:
        """The name of an output that somebody reads."""
        graph, names = self.builder.graph, self.node.outputs
        name = names[output] if output < len(names) else ""
        return name if name and (name in graph.outputs or graph.consumers(name)) else None

    def runs(self, functions: Sequence[GateFunction]) -> Iterator[tuple[Run, list[GateFunction]]]:
        """The directions, together where that is possible, each run with its cells' functions."""
        each = len(functions) // self.directions
        of = [list(functions[each * d : each * (d + 1)]) for d in range(self.directions)]
        if self.directions == 2 and of[0] == of[1] and not self.masked:
            yield Run(self, slice(0, 2), (False, True)), of[0]
            return
        reverse = self.node.attributes.get("direction") == "reverse"
        for d in range(self.directions):
            yield Run(self, slice(d, d + 1), (reverse or d == 1,)), of[d]

    def read(self, value: Value, last: AxisMap) -> Read:
        """A state or gate [directions, batch or 1, ...] in the space [directions, batch, ...]."""
        return self.builder.read(value, (along(0), along(1) if value.shape[1] > 1 else at(), last))

    def dot(
        self,
        name: str,
        space: tuple[int, ...],
        terms: Sequence[Term],
        code: Affine,
        *,
        mult: Operand = BY_ONE,
        shift: int = 0,
        bias: Operand | None = None,
        table: int | None = None,
    ) -> Value:
        """A value inside the node, and the dot that defines it; its quotients have no zero."""
        out = self.builder.temporary(name, space, code, code.width)
        self.builder.dot(
            out, space, terms, mult=mult, shift=shift, bias=bias, zero=0, table=table, suffix=name
        )
        return out

    def held(self, step: int, states: States, before: States) -> States:
        """The states after a step, of sequences that have ended those before it."""
        if self.lengths is None or not self.masked:
            return states
        mask = self.builder.read(self.lengths.mask, (at(step), along(1)))
        return tuple(
            None if new is None else self._selected(f"{step} held", mask, new, old)
            for new, old in zip(states, before, strict=True)
        )

    def _selected(self, name: str, mask: Read, new: Value, old: Value | None) -> Value:
        code = new.code
        if old is not None:
            code = replace(code, lo=min(code.lo, old.code.lo), hi=max(code.hi, old.code.hi))
        out = self.builder.temporary(name, new.shape, code, code.width)
        choices: tuple[Operand, Operand] = (
            self.read(new, along(2)),
            Const(0) if old is None else self.read(old, along(2)),
        )
        self.builder.pick(out, new.shape, mask, *choices, mode=PickMode.SELECT, suffix=name)
        return out


class Run:
    """Directions of a layer that are computed by the same ops.

    Args:
        layer: whose they are.
        part: their numbers.
        backwards: for each, whether it goes from the last step to the first.
    """

    def __init__(self, layer: Layer, part: slice, backwards: tuple[bool, ...]) -> None:
        self.layer, self.part, self.backwards = layer, part, backwards
        self.count = len(backwards)
        self.ordered = layer.masked and any(backwards)
        self.projection: Value = layer.x

    def when(self, step: int) -> AxisMap:
        """The index on the axis of time, of each direction, at a step of the run."""
        first, last = step, self.layer.steps - 1 - step
        if self.ordered or not any(self.backwards):
            return at(first)
        if all(self.backwards) or first == last:
            return at(last)
        return along(0, last - first, first)

    def project(self, parts: Sequence[Part]) -> None:
        """Append the products with the input, of all gates of all steps."""
        layer, builder, first = self.layer, self.layer.builder, 0
        for part in parts:
            part.first, first = first, first + part.weights.shape[1]
        units = np.concatenate([part.units for part in parts], axis=1)
        weights = np.concatenate([part.weights for part in parts], axis=1) / units[..., None]
        bias = np.concatenate([part.bias for part in parts], axis=1) / units
        rows, width = self.count * first * layer.hidden, first * layer.hidden
        x = layer.x
        if self.ordered:
            assert layer.lengths is not None
            x = layer.lengths.reordered(x, "from the end")
        numbers = channels(
            layer.node.name,
            weights.reshape(rows, -1),
            bias.ravel() if bias.any() else None,
            x.code.scale,
            1.0,
        )
        inputs = weights.shape[-1]
        terms, mult, added = builder.linear(
            numbers,
            (inputs,),
            builder.read(x, (along(1), along(2), over(0))),
            ((self.count, width, inputs), (along(0), along(3), over(0))),
            ((self.count, width), (along(0), along(3))),
        )
        space = (self.count, layer.steps, layer.batch, width)
        code = Affine(1.0, 0, -PART_MAX, PART_MAX)
        self.projection = layer.dot(
            "projection", space, terms, code, mult=mult, shift=numbers.shift, bias=added
        )

    def initial(self, index: int, code: Affine) -> Value | None:
        """The state that an input gives, at the scale of a code; None: zeros, or no input."""
        builder, name = self.layer.builder, self.layer.node.input(index)
        array = builder.graph.constant(name)
        if name is None or (array is not None and not array.any()):
            return None
        if array is not None:
            return self._constant(np.rint(array[self.part] / code.scale).astype(np.int64), code)
        given = builder.values[name]
        number, shift = multiplier(self.layer.node.name, given.code.scale / code.scale)
        peak = math.ceil(given.code.reach / code.scale)
        space = (self.count, *given.shape[1:])
        source = builder.read(given, (along(0, 1, self.part.start), along(1), along(2)))
        exact = Affine(code.scale, 0, -peak, peak)
        terms = [Term((), source, BY_ONE)]
        return self.layer.dot("initial", space, terms, exact, mult=Const(number), shift=shift)

    def zeros(self, code: Affine) -> Value:
        """A state of zeros, where one must be read."""
        return self._constant(np.zeros((self.count, 1, self.layer.hidden), np.int64), code)

    def _constant(self, numbers: Ints, code: Affine) -> Value:
        if (numbers == numbers[:, :1]).all():
            numbers = numbers[:, :1]  # then it names no item (protocol section 1, items)
        peak = max(int(np.abs(numbers).max()), 1)
        read = self.layer.builder.weight("initial", numbers, peak, ())
        return Value(read.tensor, numbers.shape, Affine(code.scale, 0, -peak, peak))


class Part:
    """Some of a run's gates as the projection has them, each channel in a unit of its own.

    Args:
        run: whose gates they are.
        name: what ops and tensors of theirs are called.
        gates: their numbers in the weights.
        resets: what they add of the state is multiplied by a gate first, its bias included.
    """

    def __init__(self, run: Run, name: str, gates: Sequence[int], *, resets: bool = False) -> None:
        layer = run.layer
        self.run, self.name = run, name
        self.weights = layer.weights[run.part, list(gates)]
        self.recurrent = layer.recurrent[run.part, list(gates)]
        self.added = layer.recurrent_bias[run.part, list(gates)]
        self.bias = layer.bias[run.part, list(gates)] + (0.0 if resets else self.added)
        self.inputs = np.abs(self.weights).sum(-1) * layer.x.code.reach + np.abs(self.bias)
        self.others = np.abs(self.recurrent).sum(-1) * layer.state.reach
        if resets:
            self.others += np.abs(self.added)
        self.first = 0
        self.units: Floats = np.ones(self.inputs.shape)

    @property
    def reach(self) -> float:
        """The largest argument that its gates can have."""
        return float((self.inputs + self.others).max())

    def limit(self, end: float) -> Floats:
        """The reach of its projection: beyond, the argument exceeds ± `end` in any state."""
        least: Floats = np.minimum(self.inputs, end + self.others)
        return least

    def flat(self, values: Floats) -> Floats:
        """One row for each channel, of values [directions, gates, hidden, ...]."""
        return values.reshape(-1, *values.shape[3:])

    def read(self, step: int) -> Read:
        """Its projection at a step, in the space [directions, batch, channels]."""
        projection = self.run.projection
        maps = (
            along(0),
            self.run.when(step),
            along(1),
            along(2, 1, self.first * self.run.layer.hidden),
        )
        return self.run.layer.builder.read(projection, maps)

    @property
    def space(self) -> tuple[int, int, int]:
        """That of an op of its gates."""
        directions, gates, hidden = self.inputs.shape
        return directions, self.run.layer.batch, gates * hidden

    def vector(self, name: str, values: np.ndarray, peak: int, *, signed: bool = True) -> Read:
        """A number for each channel, as a weight."""
        view = (self.space[0], self.space[2])
        maps = (along(0), along(2))
        builder = self.run.layer.builder
        return builder.weight(
            f"{self.name} {name}", values.reshape(-1), peak, maps, view, signed=signed
        )
