"""As many bits as fit: what was asked for, less where a sum or a quotient could grow too large."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from ..verifier.errors import InvalidProgram
from ..verifier.program.ranges import bounds
from ..verifier.program.types import Program
from .bits import NARROW, WIDE, Bits
from .errors import RangeOverflow
from .graph import Graph
from .lowering import Lowered

ROUNDS = 64
"""More than the bits that any chain of layers can lose one after the other."""


def reduced(graph: Graph, lowered: Lowered, bits: Bits) -> Bits | None:
    """Fewer bits for the layers of a program whose bounds are too large; None: all of them fit."""
    made = {op: layer for layer in lowered.layers for op in layer.ops}
    taken = _Taken(graph, lowered, bits)
    for op, identity, excess in _excesses(lowered.program):
        taken.take(made[op].name, identity, max(math.ceil(math.log2(excess)), 1))
    return taken.rest() if taken.any else None


def narrowed(graph: Graph, error: RangeOverflow, bits: Bits) -> Bits | None:
    """One bit less for the output of the node that an overflow names; None: it has no bit more."""
    for node in graph.nodes:
        if node.name == error.layer and bits.value(node.output) > NARROW:
            values = {**bits.values, node.output: bits.value(node.output) - 1}
            return Bits(_more(values), bits.weights)
    return None


def _excesses(program: Program) -> Iterator[tuple[int, str, float]]:
    """Ops whose bounds are too large: number, identity, how many times."""
    for number, op in enumerate(program.ops):
        try:
            bounds(replace(program, ops=(op,)))
        except InvalidProgram as error:
            limit = str(error.expected).removeprefix("at most ")
            known = limit.isdecimal() and int(limit) > 0 and isinstance(error.received, int)
            excess = int(str(error.received)) / int(limit) if known else 2.0
            yield number, error.message, excess


class _Taken:
    """Bits that layers lose."""

    def __init__(self, graph: Graph, lowered: Lowered, bits: Bits) -> None:
        self._nodes = {node.name: node for node in graph.nodes}
        self._sources = sources(graph, lowered.coded)
        self._bits = bits
        self._values = dict(bits.values)
        self._weights = dict(bits.weights)
        self.any = False

    def take(self, layer: str, identity: str, bits: int) -> None:
        """From the output of a layer whose quotient is too large; else weights, then inputs."""
        node = self._nodes.get(layer)
        if node is None:
            return
        if "quotient" in identity and self._lose(self._values, [node.output], bits):
            return
        inputs = [self._sources.get(name, name) for name in node.inputs]
        if self._lose(self._weights, [layer], bits) or self._lose(self._values, inputs, bits):
            return
        self._lose(self._values, [node.output], bits)

    def _lose(self, kind: dict[str, int], names: Iterable[str], bits: int) -> bool:
        before = self._bits.values if kind is self._values else self._bits.weights
        wide = [name for name in names if before.get(name, NARROW) > NARROW]
        for name in wide:
            kind[name] = min(kind[name], max(before[name] - bits, NARROW))
            self.any = True
        return bool(wide)

    def rest(self) -> Bits:
        """What is left."""
        return Bits(_more(self._values), _more(self._weights))


def sources(graph: Graph, own: Collection[str]) -> dict[str, str]:
    """For each value that has the code of another one (a view, a maximum): that other one."""
    coded, found = set(own), {name: name for name in own}
    for node in graph.nodes:
        origin = next((found[name] for name in node.inputs if name in found), None)
        for name in node.outputs:
            if name not in coded and origin is not None:
                found[name] = origin
    return found


def widened(values: Iterable[str], nodes: Iterable[str]) -> Bits:
    """16 bits for these values and the weights of these nodes."""
    return Bits(dict.fromkeys(values, WIDE), dict.fromkeys(nodes, WIDE))


def _more(bits: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in bits.items() if count > NARROW}
