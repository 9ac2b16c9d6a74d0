"""Einsum of one or two operands: any product, transpose, diagonal or sum, as one dot."""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...verifier.program.types import AxisMap, Const, Read
from ..builder import Builder
from ..graph import Array, Graph, Node
from ..maps import along, at, over
from ..moves import RANK_MAX
from ..operator import Operator
from ..quantise import multiplier, symmetric
from ..tape import Tape, not_trainable
from .matmul import summed

PRODUCTS_MAX = 2**20


@dataclass(frozen=True)
class Equation:
    """Labels of each operand's axes and of the output's; those that are summed; sizes."""

    inputs: tuple[tuple[str, ...], ...]
    output: tuple[str, ...]
    summed: tuple[str, ...]
    sizes: Mapping[str, int]

    def maps(self, operand: int) -> tuple[AxisMap, ...]:
        """Maps of an operand: output labels are space axes, summed ones window axes."""
        return tuple(self._map(label) for label in self.inputs[operand])

    def _map(self, label: str) -> AxisMap:
        if label in self.output:
            return along(self.output.index(label))
        return over(self.summed.index(label))


def support(node: Node, graph: Graph) -> str | None:
    """Up to two operands, one of them computed; sums of up to 2^20 products over up to 8 axes."""
    if len(node.inputs) > 2:
        return "it has more than two operands; split it into products of two"
    if all(graph.constant(name) is not None for name in node.inputs):
        return "all of its operands are constants"
    found = equation(node, graph)
    if len(found.summed) > RANK_MAX:
        return f"it sums over more than {RANK_MAX} axes"
    if math.prod(found.sizes[label] for label in found.summed) > PRODUCTS_MAX:
        return "it sums more than 2^20 products"
    return None


def equation(node: Node, graph: Graph) -> Equation:
    """The labels of a node; an ellipsis stands for labels of its own, aligned at the right."""
    text = node.attributes["equation"].replace(" ", "")
    left, arrow, right = text.partition("->")
    shapes = [graph.shapes[name] for name in node.inputs]
    terms = left.split(",")
    spare = [
        len(shape) - len(term.replace("...", "")) for term, shape in zip(terms, shapes, strict=True)
    ]
    widest = max((n for n, term in zip(spare, terms, strict=True) if "..." in term), default=0)
    inputs = tuple(_labels(term, n, widest) for term, n in zip(terms, spare, strict=True))
    if not arrow:
        letters = left.replace(",", "").replace(".", "")
        once = sorted(label for label in set(letters) if letters.count(label) == 1)
        right = ("..." if widest else "") + "".join(once)
    output = _labels(right, widest, widest)
    sizes: dict[str, int] = {}
    for labels, shape in zip(inputs, shapes, strict=True):
        for label, dim in zip(labels, shape, strict=True):
            sizes[label] = max(dim, sizes.get(label, 1))
    return Equation(inputs, output, tuple(label for label in sizes if label not in output), sizes)


def _labels(term: str, spare: int, widest: int) -> tuple[str, ...]:
    before, dots, after = term.partition("...")
    ellipsis = [f".{n}" for n in range(widest - spare, widest)] if dots else []
    return (*before, *ellipsis, *after)


def presummed(found: Equation, number: int, array: Array) -> tuple[Equation, Array]:
    """A constant operand without the axes that it alone has, and that are summed.

    Their sum is exact so; of rounded terms that cancel, the roundings would remain.
    """
    own, others = found.inputs[number], (*found.inputs[:number], *found.inputs[number + 1 :])
    elsewhere = {*found.output, *(label for labels in others for label in labels)}
    gone = [label for label in own if label not in elsewhere and own.count(label) == 1]
    kept = tuple(label for label in own if label not in gone)
    inputs = (*found.inputs[:number], kept, *found.inputs[number + 1 :])
    summed = tuple(label for label in found.summed if label not in gone)
    axes = tuple(own.index(label) for label in gone)
    total = np.asarray(array.astype(np.float64).sum(axis=axes))
    return replace(found, inputs=inputs, summed=summed), total


def lower(node: Node, builder: Builder) -> None:
    """One dot over the summed labels; a copy where nothing is summed or multiplied."""
    found, known = equation(node, builder.graph), dict[int, Array]()
    for number, name in enumerate(node.inputs):
        if name in builder.graph.constants:
            constant = builder.graph.constants[name]
            found, known[number] = presummed(found, number, constant)
    window = tuple(found.sizes[label] for label in found.summed)
    space = builder.shape(node)
    if len(node.inputs) == 1 and not window:
        x = builder.values[node.inputs[0]]
        builder.pick(builder.define_like(node, x), space, builder.read(x, found.maps(0), raw=True))
        return
    operands: list[Read] = []
    scale = 1.0
    for number in range(len(node.inputs)):
        operand, own = _operand(node, builder, found, number, known.get(number))
        operands.append(operand)
        scale *= own
    target = builder.target(node)
    mult, shift = multiplier(node.name, scale / target.pre.scale)
    right = operands[1] if len(operands) > 1 else Const(1)
    terms, bias = summed(window, operands[0], right, builder)
    builder.requantised(node, space, terms, target, mult=Const(mult), shift=shift, bias=bias)


def _operand(
    node: Node, builder: Builder, found: Equation, number: int, constant: Array | None
) -> tuple[Read, float]:
    name = node.inputs[number]
    shape = builder.graph.shapes[name] if constant is None else constant.shape
    maps = [
        at() if dim == 1 else axis_map
        for dim, axis_map in zip(shape, found.maps(number), strict=True)
    ]
    if constant is None:
        value = builder.values[name]
        return builder.read(value, maps), value.code.scale
    peak = builder.peak(node)
    numbers, scale = symmetric(constant, peak)
    return builder.weight(f"weight {number}", numbers, peak, maps or [at()]), scale


def trainable(found: Equation) -> bool:
    """Whether the gradients are einsums, too: no operand has an axis twice, or one of size 1."""
    return all(len(set(labels)) == len(labels) for labels in found.inputs)


def gradient(node: Node, tape: Tape, given: Sequence[str | None]) -> Mapping[int, str]:
    """Einsums of the gradient with the other operand; sums that it alone has are spread out."""
    dy, parts = given[0], equation(node, tape.graph)
    if dy is None:
        return {}
    if not trainable(parts):
        raise not_trainable(node, "an operand has the same axis twice")
    found = {}
    for index, labels in enumerate(parts.inputs):
        others = [n for n in range(len(parts.inputs)) if n != index]
        given_labels = [parts.output, *(parts.inputs[n] for n in others)]
        known = {label for each in given_labels for label in each}
        kept = [label for label in labels if label in known]
        names = [dy, *(node.inputs[n] for n in others)]
        found[index] = _spread_out(node, tape, index, names, given_labels, kept, parts)
    return found


def _spread_out(
    node: Node,
    tape: Tape,
    index: int,
    names: Sequence[str],
    given: Sequence[Sequence[str]],
    kept: Sequence[str],
    parts: Equation,
) -> str:
    letters = dict(zip(parts.sizes, string.ascii_letters, strict=False))
    left = ",".join("".join(letters[label] for label in labels) for labels in given)
    text = f"{left}->{''.join(letters[label] for label in kept)}"
    made = tape.emit("Einsum", names, [parts.sizes[label] for label in kept], equation=text)
    labels = parts.inputs[index]
    sizes = [parts.sizes[label] for label in labels]
    apart = [size if label in kept else 1 for label, size in zip(labels, sizes, strict=True)]
    whole = tape.expand(tape.reshape(made, apart), sizes)
    return tape.sum_to(whole, tape.shape(node.inputs[index]))


OPERATOR = Operator(("Einsum",), lower, support, takes_activation=True, gradient=gradient)
