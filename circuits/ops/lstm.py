"""LSTM: gates i, o, f, a candidate g, and a cell that sums what i lets in and f keeps.

i, f = σ(x·Wᵀ + h·Rᵀ + P·c + b), g = tanh(x·Wᵀ + h·Rᵀ + b); c' = f·c + i·g; o like i, but with
P·c'; h' = o·tanh(c'). No bound of a cell is lost: the code of each step is as wide as it takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from ...verifier.program.types import Const, Read, Term
from ..builder import ONE as BY_ONE
from ..builder import Builder, Value
from ..graph import Graph, Node
from ..maps import along
from ..operator import Operator, constants, first
from ..quantise import Affine, Floats, multiplier
from .gate_functions import GateFunction, gate_functions
from .gates import Gate, Lookup, Peephole, code_of, gate_code, image
from .recurrence import ONE, Layer, Part, Run, States
from .recurrence import support as supported
from .unrolled import unroll

DEFAULTS = ("Sigmoid", "Tanh", "Tanh")
ONE_BITS = ONE.bit_length() - 1
CELL_MAX = 2**23 - 2**16
INPUT, OUTPUT, FORGET, CANDIDATE = range(4)
"""Gates in ONNX's order."""


def support(node: Node, graph: Graph) -> str | None:
    """Constant weights, biases and peepholes; all else of it, lengths that are computed included.

    Not: gates whose function can exceed 1 (with `input_forget`: or be negative), a function of
    ONNX's list without a parameter that has no common default, more steps than some 800.
    """
    reason = first(
        constants(node, graph, 7), supported(node, graph, DEFAULTS, each=5, bounded=(0,))
    )
    if reason is None and node.attributes.get("input_forget", 0):
        functions = gate_functions(node, DEFAULTS, graph.shapes[node.inputs[2]][0])
        if min(f.low for f in functions[::3]) < 0.0:
            return "the activation of its gates can be negative, and it has input_forget"
    return reason


class _Cell:
    """Five dots a step: gates, candidate, cell, its function, state; more with peepholes."""

    def __init__(self, run: Run, functions: Sequence[GateFunction]) -> None:
        f, g, h = functions
        self._function = f
        self._layer = layer = run.layer
        self._steps, self._given = layer.steps, layer.given(6)
        self._coupled = bool(layer.node.attributes.get("input_forget", 0))
        candidate = Part(run, "candidate", [CANDIDATE])
        self._candidate = Gate(candidate, g, lambda reach: self._candidate_code(g, reach))
        self._scale = self._candidate.post.scale
        reach = self._given + self._steps * self._candidate.post.reach
        seen = _peepholes(layer, run)

        def gate(*gates: int) -> Gate:
            part = Part(run, "gates " + "".join("iofc"[number] for number in gates), gates)
            weights = None if seen is None else seen[:, gates[0]]
            peephole = None if weights is None else Peephole(weights, self._scale, reach)
            return Gate(part, f, lambda reach: gate_code(f, reach), peephole)

        self._before: dict[tuple[int, ...], Gate] = {}
        self._output: Gate | None = None
        if seen is None and not self._coupled:
            self._before[INPUT, OUTPUT, FORGET] = gate(INPUT, OUTPUT, FORGET)
        else:
            self._before[INPUT,], self._output = gate(INPUT), gate(OUTPUT)
            if not self._coupled:
                self._before[FORGET,] = gate(FORGET)
        gates = [*self._before.values(), self._output, self._candidate]
        run.project([made.part for made in gates if made is not None])
        self._end = Lookup.of(
            layer.builder, "cell function", h, h.domain(reach), gate_code(h, reach)
        )
        self.initial: States = (run.initial(5, layer.state), run.initial(6, self._candidate.post))

    def _candidate_code(self, g: GateFunction, reach: float) -> Affine:
        """The code of g, at the scale of the cell: both are multiplied by gates, and added."""
        low, high = image(g, reach)
        scale, peak = 1.0 / ONE, max(-low, high)
        while self._given / scale + self._steps * (peak / scale + 2.0) > CELL_MAX:
            scale *= 2.0
        return code_of(scale, low, high)

    @cached_property
    def _forget(self) -> Lookup:
        """With `input_forget` the gate f is 1 − i."""
        gate = self._before[INPUT,]
        return gate.lookup(self._function.complement(), Affine(1.0 / ONE, 0, 0, ONE))

    def step(self, number: int, states: States, *, wanted: bool) -> States:
        """The next state and cell."""
        (state, cell), layer = states, self._layer
        reads: dict[int, Read] = {}
        for gates, gate in self._before.items():
            if gates == (FORGET,) and cell is None:
                continue
            value = gate(number, state, cell)
            reads |= {
                which: layer.read(value, along(2, 1, place * layer.hidden))
                for place, which in enumerate(gates)
            }
        if self._coupled and cell is not None:
            value = self._before[INPUT,](number, state, cell, self._forget, "gates f")
            reads[FORGET] = layer.read(value, along(2))
        cell = self._summed(number, reads, self._candidate(number, state), cell)
        if not wanted:
            return None, cell
        if self._output is not None:
            reads[OUTPUT] = layer.read(self._output(number, state, cell), along(2))
        return self._shown(number, reads[OUTPUT], cell), cell

    def _summed(
        self, number: int, reads: Mapping[int, Read], candidate: Value, cell: Value | None
    ) -> Value:
        """f·c + i·g, of which nothing is clamped."""
        layer = self._layer
        terms = [Term((), reads[INPUT], layer.read(candidate, along(2)))]
        reach = max(-candidate.code.lo, candidate.code.hi) + 1
        if cell is not None:
            terms.append(Term((), reads[FORGET], layer.read(cell, along(2))))
            reach += cell.code.hi
        code = Affine(self._scale, 0, -reach, reach)
        return layer.dot(f"{number} cell", candidate.shape, terms, code, shift=ONE_BITS)

    def _shown(self, number: int, gate: Read, cell: Value) -> Value:
        """o·h(c)."""
        layer, end = self._layer, self._end
        mult, shift = multiplier(layer.node.name, cell.code.scale / end.pre.scale)
        terms = [Term((), layer.read(cell, along(2)), BY_ONE)]
        value = layer.dot(
            f"{number} cell function",
            cell.shape,
            terms,
            end.post,
            mult=Const(mult),
            shift=shift,
            table=end.table,
        )
        mult, shift = multiplier(layer.node.name, end.post.scale / ONE / layer.state.scale)
        terms = [Term((), gate, layer.read(value, along(2)))]
        return layer.dot(
            f"{number} state", cell.shape, terms, layer.state, mult=Const(mult), shift=shift
        )


def _peepholes(layer: Layer, run: Run) -> Floats | None:
    """The weights [directions, gate, hidden] by which gates i, o and f read the cell."""
    array = layer.builder.graph.constant(layer.node.input(7))
    if array is None or not array.any():
        return None
    return array.astype(np.float64).reshape(-1, 3, layer.hidden)[run.part]


def lower(node: Node, builder: Builder) -> None:
    """All steps."""
    directions = builder.graph.shapes[node.inputs[2]][0]
    functions = gate_functions(node, DEFAULTS, directions)
    bound = max(h.peak for h in functions[2::3])
    unroll(Layer(node, builder, 4, bound), functions, _Cell)


OPERATOR = Operator(("LSTM",), lower, support, takes_integers=True)
