"""What the compiler knows of an ONNX operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .graph import Graph, Node
from .quantise import Floats

if TYPE_CHECKING:
    from .builder import Builder


def _always(node: Node, graph: Graph) -> str | None:
    return None


@dataclass(frozen=True)
class Operator:
    """An ONNX operator: its names, its lowering, and what of it is supported.

    `support` says why a node cannot be compiled, or None. `takes_activation` marks operators that
    lower to one dot, into which a following activation can be fused. An activation has either
    `bounds` (it is a clamp to these reals) or a `function` (then it becomes a table). `is_view`
    marks those whose output is their first input, seen in another shape.
    """

    names: tuple[str, ...]
    lower: Callable[[Node, Builder], None]
    support: Callable[[Node, Graph], str | None] = _always
    takes_activation: bool = False
    bounds: Callable[[Node, Graph], tuple[float, float]] | None = None
    function: Callable[[Node, Graph], Callable[[Floats], Floats]] | None = None
    is_view: bool = False

    @property
    def is_activation(self) -> bool:
        """Whether the operator can be fused into the dot before it."""
        return self.bounds is not None or self.function is not None


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
