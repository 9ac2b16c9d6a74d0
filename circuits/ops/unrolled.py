"""All steps of a recurrent operator, and its outputs: its states as one tensor, the last ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ...verifier.program.types import Const, Operand, Read, Term
from ..builder import Value
from ..maps import along, at
from ..quantise import multiplier
from .gate_functions import GateFunction
from .recurrence import Cell, Layer, Run, States

APART = 8
"""So many states need not be joined first."""
TERMS_MAX = 64


@dataclass(frozen=True)
class Finished:
    """A run at its end: its state after each step, and all that it hands on after the last."""

    run: Run
    sequence: list[Value]
    states: States


def define(layer: Layer, finished: Sequence[Finished]) -> None:
    """The outputs that somebody reads: all states, the last ones, and what cells have beside."""
    name = layer.uses(0)
    if name is not None:
        _all_states(layer, name, finished)
    for output, number in ((1, 0), (2, 1)):
        name = layer.uses(output)
        if name is not None:
            ends = [(of.run, of.states[number]) for of in finished]
            _last_states(layer, name, ends)


def _last_states(layer: Layer, name: str, ends: Sequence[tuple[Run, Value | None]]) -> None:
    """What each sequence ends with: 0 where it has no step, as onnxruntime has it."""
    by: Operand = Const(1)
    if layer.lengths is not None and layer.lengths.some_empty:
        by = layer.builder.read(layer.lengths.mask, (at(), along(1)))
    reads = []
    for run, value in ends:
        assert value is not None
        maps = (along(0, 1, -run.part.start), along(1), along(2))
        pad = None if len(ends) == 1 else 0
        reads.append((layer.builder.read(value, maps, pad=pad), value.code.scale))
    _requantised(layer, name, [(read, by) for read, _ in reads], reads[0][1])


def _requantised(
    layer: Layer, name: str, products: Sequence[tuple[Read, Operand]], scale: float
) -> None:
    """An output, in its own code: the sum of products at this scale."""
    builder, shape = layer.builder, layer.builder.graph.shapes[name]
    out = builder.define(replace(layer.node, outputs=(name,)), builder.code(name))
    mult, shift = multiplier(layer.node.name, scale / out.code.scale)
    terms = [Term((), read, by) for read, by in products]
    builder.dot(out, shape, terms, mult=Const(mult), shift=shift, suffix=name)


def _all_states(layer: Layer, name: str, finished: Sequence[Finished]) -> None:
    """Each state in its place: the others of the sum read the pad, which is 0."""
    by: Operand = Const(1)
    if layer.lengths is not None and layer.lengths.differ:
        by = layer.builder.read(layer.lengths.mask, (along(0), along(2)), pad=0)
    reads = [read for of in finished for read in _places(layer, of)]
    _requantised(layer, name, [(read, by) for read in reads], layer.state.scale)


def _places(layer: Layer, of: Finished) -> Iterator[Read]:
    """Reads in the space [steps, directions, batch, hidden], which together have each state."""
    run, together = of.run, of.run.count > 1
    for start, part in _joined(layer, of):
        for number, backwards in enumerate(run.backwards):
            time = along(0, 1, -start)
            if backwards and not run.ordered:
                time = along(0, -1, layer.steps - 1 - start)
            # Of two directions only one may be in range: the other index is beyond the axis.
            which = along(1, 2, -number) if together else along(1, 1, -run.part.start)
            yield layer.builder.read(part, (time, which, along(2), along(3)), pad=0)


def _joined(layer: Layer, of: Finished) -> list[tuple[int, Value]]:
    """The states of a run in tensors [steps, directions, batch, hidden], with their first steps.

    Some √n of them: the more terms an output has, the more it costs.
    """
    run, count = of.run, len(of.sequence)
    if run.ordered:
        assert layer.lengths is not None
        return [(0, layer.lengths.reordered(_stacked(layer, 0, of.sequence), "in order", 2))]
    if count <= APART:
        return [(n, replace(h, shape=(1, *h.shape))) for n, h in enumerate(of.sequence)]
    each = max(math.isqrt(count - 1) + 1, -(-count * layer.directions // TERMS_MAX))
    return [
        (start, _stacked(layer, start, of.sequence[start : start + each]))
        for start in range(0, count, each)
    ]


def _stacked(layer: Layer, start: int, states: Sequence[Value]) -> Value:
    """States beside each other, in groups where they are too many for one sum."""
    shape = (len(states), *states[0].shape)
    name = f"{start} to {start + len(states) - 1}"
    parts = [(n, replace(h, shape=(1, *h.shape))) for n, h in enumerate(states)]
    if len(states) > TERMS_MAX:
        parts = [
            (n, _stacked(layer, start + n, states[n : n + TERMS_MAX]))
            for n in range(0, len(states), TERMS_MAX)
        ]
    code = replace(layer.state, lo=min(h.code.lo for h in states))
    maps = (along(1), along(2), along(3))
    terms = [
        Term((), layer.builder.read(part, (along(0, 1, -n), *maps), pad=0), Const(1))
        for n, part in parts
    ]
    return layer.dot(name, shape, terms, code)


def unroll(
    layer: Layer,
    functions: Sequence[GateFunction],
    cell: Callable[[Run, list[GateFunction]], Cell],
) -> None:
    """Append all steps of a layer, and define its outputs."""
    finished: list[Finished] = []
    for run, of in layer.runs(functions):
        made = cell(run, of)
        states, sequence = made.initial, list[Value]()
        for number in range(layer.steps):
            wanted = number < layer.steps - 1 or bool(layer.uses(0) or layer.uses(1))
            states = layer.held(number, made.step(number, states, wanted=wanted), states)
            if states[0] is not None:
                sequence.append(states[0])
        finished.append(Finished(run, sequence, states))
    define(layer, finished)
