"""RNN: h = f(x·Wᵀ + h·Rᵀ + b), step after step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..builder import Builder
from ..graph import Graph, Node
from ..operator import Operator
from ..quantise import Affine
from .gate_functions import GateFunction, gate_functions
from .gates import Gate
from .recurrence import Layer, Part, Run, States
from .recurrence import support as supported
from .unrolled import unroll

DEFAULTS = ("Tanh",)


def support(node: Node, graph: Graph) -> str | None:
    """Constant weights and biases; all else of it, lengths that are computed included.

    Not: a function of ONNX's list without a parameter that has no common default, more steps than
    some 4,000.
    """
    return supported(node, graph, DEFAULTS, each=1, bounded=())


class _Cell:
    """One dot a step, whose table, or clamp, is the function."""

    def __init__(self, run: Run, functions: Sequence[GateFunction]) -> None:
        state = run.layer.state

        def code(reach: float) -> Affine:
            return replace(state, lo=0) if functions[0].low >= 0.0 else state

        part = Part(run, "state", [0])
        self._gate = Gate(part, functions[0], code)
        run.project([part])
        self.initial: States = (run.initial(5, state),)

    def step(self, number: int, states: States, *, wanted: bool) -> States:
        """The next state."""
        return (self._gate(number, states[0]),)


def lower(node: Node, builder: Builder) -> None:
    """A step is one op."""
    directions = builder.graph.shapes[node.inputs[2]][0]
    functions = gate_functions(node, DEFAULTS, directions)
    layer = Layer(node, builder, 1, max(function.peak for function in functions))
    unroll(layer, functions, _Cell)


OPERATOR = Operator(("RNN",), lower, support, takes_integers=True)
