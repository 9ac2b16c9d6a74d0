"""Where: the first choice where the condition holds, the second elsewhere, with broadcasting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...verifier.program.types import Const, Operand, PickMode, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import broadcast, rows
from ..operator import Operator
from ..quantise import Affine, coefficients
from ..tape import Tape, broadcast_back
from .logic import operand as truths


def support(node: Node, graph: Graph) -> str | None:
    """Something must be computed."""
    if all(graph.constant(name) is not None for name in node.inputs):
        return "all inputs are constants"
    return None


def lower(node: Node, builder: Builder) -> None:
    """Each choice in the code of the output, then a pick of mode select."""
    space = builder.shape(node) or (1,)
    code = builder.code(node.output)
    choices = [
        _choice(node, builder, name, code, len(space), label)
        for name, label in zip(node.inputs[1:], ("then", "else"), strict=True)
    ]
    condition = truths(node.inputs[0], builder, len(space))
    out = builder.define(node, code)
    builder.pick(out, space, condition, *choices, mode=PickMode.SELECT, suffix="select")


def _choice(
    node: Node, builder: Builder, name: str, code: Affine, rank: int, label: str
) -> Operand:
    constant = builder.graph.constant(name)
    if constant is not None:
        numbers = code.quantise(constant)
        if numbers.size == 1:
            return Const(int(numbers.item()))
        held = Affine(1.0, 0, code.lo, code.hi)
        return builder.weight_in(label, numbers, held, broadcast(numbers.shape, rank))
    x = builder.values[name]
    if x.code != code:
        shape = x.shape or (1,)
        (number,), shift, _ = coefficients(node.name, [x.code.scale / code.scale], code.scale)
        source = builder.read(x, rows(len(shape)))
        x = builder.temporary(label, shape, code)
        builder.dot(x, shape, [Term((), source, Const(number))], shift=shift, suffix=label)
    return builder.read(x, broadcast(builder.graph.shapes[name], rank), raw=True)


def gradient(node: Node, tape: Tape, given: Sequence[str | None]) -> Mapping[int, str]:
    """Each choice gets the gradient where it was taken."""
    dy, mask = given[0], node.inputs[0]
    if dy is None:
        return {}
    zero = tape.constant(0.0)
    taken = {1: tape.where(mask, dy, zero), 2: tape.where(mask, zero, dy)}
    return {index: broadcast_back(node, tape, index, part) for index, part in taken.items()}


OPERATOR = Operator(("Where",), lower, support, takes_integers=True, gradient=gradient)
