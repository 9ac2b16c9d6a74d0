"""GRU: gates z and r choose how much of the state is kept, and what of it a new one sees.

z, r = f(x·Wᵀ + h·Rᵀ + b); n = g(x·Wᵀ + (r·h)·Rᵀ + b), or g(x·Wᵀ + r·(h·Rᵀ + b_R) + b_W) with
`linear_before_reset`; h' = (1 − z)·n + z·h.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ...verifier.program.types import Const, Operand, Read, Term
from ..builder import Builder, Value
from ..graph import Graph, Node
from ..maps import along, over
from ..operator import Operator
from ..quantise import MULT_MAX, Affine, channels, multipliers
from .gate_functions import GateFunction, gate_functions
from .gates import Gate, Lookup, code_of, gate_code, image
from .recurrence import ONE, PART_MAX, Layer, Part, Run, States
from .recurrence import support as supported
from .unrolled import unroll

DEFAULTS = ("Sigmoid", "Tanh")
ONE_BITS = ONE.bit_length() - 1


def support(node: Node, graph: Graph) -> str | None:
    """Constant weights and biases; all else of it, lengths that are computed included.

    Not: gates whose function can exceed 1, a function of ONNX's list without a parameter that has
    no common default, more steps than some 1,000.
    """
    return supported(node, graph, DEFAULTS, each=4, bounded=(0,))


class _BeforeReset:
    """The new state where r is multiplied by the old one."""

    def __init__(self, part: Part, function: GateFunction, scale: float) -> None:
        self._layer = part.run.layer
        self._gate = Gate(part, function, lambda reach: code_of(scale, *image(function, reach)))

    def __call__(self, step: int, state: Value | None, reset: Read) -> Value:
        """The values [directions, batch, hidden] at a step."""
        if state is None:
            return self._gate(step, None)
        terms = [Term((), reset, self._layer.read(state, along(2)))]
        shape = (*reset.view[:2], self._layer.hidden)
        seen = self._layer.dot(f"{step} reset", shape, terms, self._layer.state, shift=ONE_BITS)
        return self._gate(step, seen)


class _Linear(NamedTuple):
    """A sum of products: what `Builder.linear` gives, and the shift."""

    terms: list[Term]
    mult: Read
    bias: Operand | None
    shift: int


class _AfterReset:
    """The new state where the recurrent sum is multiplied by r, its bias included."""

    def __init__(self, part: Part, function: GateFunction, scale: float) -> None:
        self.part, layer = part, part.run.layer
        self._layer = layer
        self._summed: _Linear | None = None
        post = code_of(scale, *image(function, part.reach))
        self._end = Lookup.of(layer.builder, part.name, function, function.domain(part.reach), post)
        reaches = np.maximum(part.limit(function.end), part.others).ravel()
        ratios = reaches / (PART_MAX * ONE) / self._end.pre.scale
        self._mult, self._shift = multipliers(layer.node.name, ratios)
        units = self._mult * 2.0**-self._shift * self._end.pre.scale * ONE
        part.units = units.reshape(part.inputs.shape)

    def _linear(self, state: Read) -> _Linear:
        """The recurrent sum in the units of the projection, by the same weights in each step."""
        if self._summed is not None:
            products, *others = self._summed.terms
            return self._summed._replace(terms=[replace(products, a=state), *others])
        part = self.part
        units = part.flat(part.units)
        bias = part.flat(part.added) / units
        numbers = channels(
            self._layer.node.name,
            part.flat(part.recurrent) / units[:, None],
            bias if bias.any() else None,
            self._layer.state.scale,
            1.0,
        )
        rows, hidden = part.space[0], self._layer.hidden
        self._summed = _Linear(
            *self._layer.builder.linear(
                numbers,
                (hidden,),
                state,
                ((rows, hidden, hidden), (along(0), along(2), over(0))),
                ((rows, hidden), (along(0), along(2))),
            ),
            numbers.shift,
        )
        return self._summed

    @cached_property
    def _multiplier(self) -> Read:
        return self.part.vector("multiplier", self._mult, MULT_MAX, signed=False)

    @cached_property
    def _bias(self) -> Read:
        """What the reset gate lets through of a state of zeros."""
        numbers = np.rint(self.part.added / self.part.units).astype(np.int64)
        return self.part.vector("bias", numbers, PART_MAX)

    def _recurrent(self, step: int, state: Value) -> Read:
        terms, mult, bias, shift = self._linear(self._layer.read(state, over(0)))
        summed = self._layer.dot(
            f"{step} recurrent",
            self.part.space,
            terms,
            Affine(1.0, 0, -PART_MAX, PART_MAX),
            mult=mult,
            shift=shift,
            bias=bias,
        )
        return self._layer.read(summed, along(2))

    def __call__(self, step: int, state: Value | None, reset: Read) -> Value:
        """The values [directions, batch, hidden] at a step."""
        terms = [Term((), self.part.read(step), Const(ONE))]
        if state is not None:
            terms.append(Term((), reset, self._recurrent(step, state)))
        elif self.part.added.any():
            terms.append(Term((), reset, self._bias))
        return self._layer.dot(
            f"{step} {self.part.name}",
            self.part.space,
            terms,
            self._end.post,
            mult=self._multiplier,
            shift=self._shift,
            table=self._end.table,
        )


class _Cell:
    """Four dots a step: both gates, what the reset gate does, the new state, their mean."""

    def __init__(self, run: Run, functions: Sequence[GateFunction]) -> None:
        f, g = functions
        self._layer = layer = run.layer
        after = bool(layer.node.attributes.get("linear_before_reset", 0))
        gates, new = Part(run, "gates", [0, 1]), Part(run, "new", [2], resets=after)
        self._gates = Gate(gates, f, lambda reach: gate_code(f, reach))
        self._function, self._bounded = f, layer.bounded
        made = _AfterReset if after else _BeforeReset
        # 1 − z is read as z − 1, and the new state with the other sign: operands have a zero only.
        self._new = made(new, g.negative() if self._bounded else g, layer.state.scale)
        run.project([gates, new])
        given = run.initial(5, layer.state)
        if given is None and not self._bounded:
            given = run.zeros(layer.state)  # else nothing reads the first gates
        self.initial: States = (given,)

    @cached_property
    def _complement(self) -> Lookup:
        """1 − z as a value: beside sums that are wide no operand has a zero."""
        f = self._function.complement()
        return self._gates.lookup(f, gate_code(f, 0.0))

    def step(self, number: int, states: States, *, wanted: bool) -> States:
        """The next state."""
        (state,), layer = states, self._layer
        gates = self._gates(number, state)
        keep = layer.read(gates, along(2))
        let = replace(keep, zero=ONE)
        if not self._bounded:
            value = self._gates(number, state, end=self._complement, name="complement")
            let = layer.read(value, along(2))
        new = self._new(number, state, layer.read(gates, along(2, 1, layer.hidden)))
        terms = [Term((), let, layer.read(new, along(2)))]
        if state is not None:
            terms.append(Term((), keep, layer.read(state, along(2))))
        return (layer.dot(f"{number} state", new.shape, terms, layer.state, shift=ONE_BITS),)


def lower(node: Node, builder: Builder) -> None:
    """All steps."""
    directions = builder.graph.shapes[node.inputs[2]][0]
    functions = gate_functions(node, DEFAULTS, directions)
    gates, new = functions[::2], functions[1::2]
    mean = all(f.low >= 0.0 for f in gates)  # then no state is farther from 0 than a new one
    bound = max(g.peak for g in new) if mean else math.inf
    unroll(Layer(node, builder, 3, bound), functions, _Cell)


OPERATOR = Operator(("GRU",), lower, support, takes_integers=True)
