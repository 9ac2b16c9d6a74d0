"""What the compiler knows of an ONNX operator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .builder import Activation, Builder
from .graph import Graph, Node
from .quantise import Floats
from .tape import Gradient


def _always(node: Node, graph: Graph) -> str | None:
    return None


@dataclass(frozen=True)
class Whole:
    """How an operator works on integers, which stay exact: its lowering, and what it refuses."""

    lower: Callable[[Node, Builder], None]
    support: Callable[[Node, Graph], str | None] = _always


@dataclass(frozen=True)
class Operator:
    """An ONNX operator: its lowering, and what else the compiler asks about it.

    Args:
        names: its ONNX names.
        lower: defines a node's output.
        support: says why a node cannot be compiled, or None.
        takes_activation: it lowers to one dot, into which a following activation can be fused.
        bounds: of an activation that is a clamp to these reals.
        function: of any other activation, which becomes a table.
        saturation: beyond ± this the function is constant to within half an int8 step.
        is_view: its output is its first input, seen in another shape.
        if_view: of one that is a view: whether a node of it is.
        takes_integers: its inputs may be indices, which it passes on as they are.
        spatial: it reads W×C runs of an image.
        whole: its form for integers, where that is another one.
        columns: its inputs are columns of a table, which may come in several parts; per part the
            least and the greatest number that it compares them with, None if it does more.
        gradient: its rule of reverse-mode differentiation; None: it cannot be trained through.
    """

    names: tuple[str, ...]
    lower: Callable[[Node, Builder], None]
    support: Callable[[Node, Graph], str | None] = _always
    takes_activation: bool = False
    bounds: Callable[[Node, Graph], tuple[float, float]] | None = None
    function: Callable[[Node, Graph], Callable[[Floats], Floats]] | None = None
    saturation: float = math.inf
    is_view: bool = False
    if_view: Callable[[Node, Graph], bool] = lambda node, graph: True
    takes_integers: bool = False
    spatial: bool = False
    whole: Whole | None = None
    columns: Callable[[Node, Graph], Sequence[tuple[float, float] | None]] | None = None
    gradient: Gradient | None = None

    def form(self, node: Node, graph: Graph) -> Operator | Whole:
        """What lowers and judges a node: the form for integers where it computes with such."""
        return self.whole if self.whole is not None and on_integers(node, graph) else self

    def views(self, node: Node, graph: Graph) -> bool:
        """Whether a node's output is its first input, seen in another shape."""
        return self.is_view and self.if_view(node, graph)

    @property
    def is_activation(self) -> bool:
        """Whether the operator can be fused into the dot before it."""
        return self.bounds is not None or self.function is not None

    def is_function(self, node: Node, graph: Graph) -> bool:
        """Whether a node of it is a function of its first input alone: the others are numbers."""
        others = [graph.constant(name) for name in node.inputs[1:] if name]
        single = all(array is not None and array.size == 1 for array in others)
        return self.is_activation and single

    def activation(self, node: Node, graph: Graph) -> Activation:
        """A node of this operator, to be fused into the dot before it."""
        bounds = self.bounds and self.bounds(node, graph)
        function = self.function and self.function(node, graph)
        return Activation(node, bounds, function, self.saturation)


def on_integers(node: Node, graph: Graph) -> bool:
    """Whether a node computes with integers; the condition of a Where is none of its numbers."""
    name = node.input(1 if node.op == "Where" else 0)
    return name is not None and not graph.is_float(name)


def uncompared(node: Node, graph: Graph) -> Sequence[tuple[float, float] | None]:
    """`columns` of an operator that does more with its inputs than to compare them."""
    return [None] * len(node.inputs)


def computed(node: Node, graph: Graph, index: int = 0) -> str | None:
    """A reason if the input is a constant (only its fellow inputs are computed)."""
    if graph.constant(node.input(index)) is not None:
        return f"input {index} is a constant"
    return None


def constants(node: Node, graph: Graph, *indices: int) -> str | None:
    """A reason if one of these inputs is present but computed."""
    for index in indices:
        name = node.input(index)
        if name is not None and graph.constant(name) is None:
            return f"input {index} is computed at run time; it must be a constant"
    return None


def first(*reasons: str | None) -> str | None:
    """The first reason that is one."""
    return next((reason for reason in reasons if reason is not None), None)


def axis_of(node: Node, graph: Graph, default: int) -> int:
    """The attribute `axis`, not negative, for the first input's rank."""
    axis = int(node.attributes.get("axis", default))
    return axis % max(len(graph.shapes[node.inputs[0]]), 1) if axis < 0 else axis
