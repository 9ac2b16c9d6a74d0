"""States of a chain: inputs that the next step reads as what an output of this step was.

Both ends of a state are one tensor to the program, so they have one code: a power of two, with 16
bits. A step that only hands its state on then changes nothing of it, however often it runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from onnx import helper

from ..verifier.errors import UsageError
from ..verifier.quoting import listed
from .bits import WIDE, Bits
from .errors import BadState, named
from .graph import Array, Carried, Graph, Node

States = Mapping[str, str]
"""Names of inputs, each with the name of the output that the next step reads in its place."""


def asked_for(states: States | None, initial: Mapping[str, float] | None) -> dict[str, Carried]:
    """What a caller asks to be carried.

    Raises:
        UsageError: a first value for what is no state, or one that is no number.
    """
    links, first = dict(states or {}), dict(initial or {})
    unknown = sorted(set(first) - set(links))
    if unknown:
        raise UsageError(
            "a first value is given for what is no state",
            expected=listed(links),
            received=listed(unknown),
            hint="name the output that follows it, too (--state INPUT=OUTPUT)",
        )
    return {name: Carried(output, _first(name, first)) for name, output in sorted(links.items())}


def _first(name: str, initial: Mapping[str, float]) -> float:
    given = initial.get(name, 0.0)
    try:
        value = float(given)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(
            f"the first value of state {named(name)} is none",
            expected="one finite number, for all of its elements",
            received=given,
        )
    return value


def carried(graph: Graph, states: Mapping[str, Carried]) -> Graph:
    """The graph of a step of a chain that carries these states; all of a batch is one item.

    Raises:
        UsageError: names that the model does not have.
        BadState: `compile.bad-state`, ends that do not fit, or states alone.
    """
    if not states:
        return graph
    _refuse_unknown("input", states, graph.inputs, "an input that its outputs depend on")
    _refuse_unknown("output", {each.output for each in states.values()}, graph.outputs, "an output")
    for name, each in states.items():
        _refuse_unlike(graph, name, each.output)
    none: frozenset[str] = frozenset()
    made = replace(graph, states=dict(states), batched=none, batch=1, fixed=True)
    if not made.given:
        raise BadState(
            "every input of the model is a state, so that nothing is left to give to a step",
            expected="an input beside the states",
            received=listed(graph.inputs),
        )
    if not made.published:
        raise BadState(
            "every output of the model is a state, so that a chain would publish nothing",
            expected="an output beside the states",
            received=listed(graph.outputs),
            hint="export the model with one output more: an Identity of the state publishes it",
        )
    return made


def _refuse_unknown(kind: str, asked: object, known: tuple[str, ...], expected: str) -> None:
    assert isinstance(asked, Mapping | set)
    unknown = sorted(set(asked) - set(known))
    if unknown:
        raise UsageError(
            f"the model has no {kind} {named(unknown[0])} that could be a state",
            expected=f"{expected}: {listed(known)}",
            received=listed(unknown),
        )


def _refuse_unlike(graph: Graph, name: str, output: str) -> None:
    """Refuse ends of unlike shapes or types, and integers, of which none may saturate."""
    said = f"input {named(name)} and output {named(output)} are no two ends of a state"
    if graph.shapes[name] != graph.shapes[output]:
        raise BadState(
            f"{said}: their shapes differ",
            expected=list(graph.shapes[name]),
            received=list(graph.shapes[output]),
            hint="a state that grows from step to step (a cache of keys and values) needs a fixed "
            "length: export the model with a window that moves on",
        )
    kinds = [helper.tensor_dtype_to_np_dtype(graph.types[each]).name for each in (name, output)]
    if not graph.is_float(name) or kinds[0] != kinds[1]:
        raise BadState(
            f"{said}: both must hold floats of one type",
            expected="float32 and float32 (or 16, or 64)",
            received=" and ".join(kinds),
        )


HANDING = (
    *("Add", "Sub", "Mul", "Div", "Sum", "Neg", "Where", "Min", "Max", "Clip"),
    *("Concat", "Slice", "Split", "Gather", "Transpose"),
    *("Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"),
)
"""Operators whose result is a state in part as it was: an error in it stays, too."""


def wide(graph: Graph) -> Bits:
    """16 bits for the states, and for what hands them on: an error there stays in the chain."""
    ends = {carried.output for carried in graph.states.values()}
    behind, before = set(graph.states), set(ends)
    for node in graph.nodes:
        if _hands_on(node) and behind.intersection(node.inputs):
            behind.update(node.outputs)
    for node in reversed(graph.nodes):
        if _hands_on(node) and before.intersection(node.outputs):
            before.update(node.inputs)
    own = [n for n in sorted(behind & before - ends) if n and graph.is_float(n)]
    return Bits(dict.fromkeys((*graph.states, *own), WIDE))


def _hands_on(node: Node) -> bool:
    fused = node.activation
    return node.op in HANDING and (fused is None or fused.op in HANDING)


def first_states(graph: Graph) -> dict[str, Array]:
    """What the first step of a roll-out in floats reads."""
    return {
        name: np.full(
            graph.shapes[name], each.start, helper.tensor_dtype_to_np_dtype(graph.types[name])
        )
        for name, each in graph.states.items()
    }


def next_states(graph: Graph, found: Mapping[str, Array]) -> dict[str, Array]:
    """What the step after one that gave these values reads."""
    return {name: found[each.output] for name, each in graph.states.items()}


def ends(graph: Graph) -> list[str]:
    """The outputs that are carried."""
    return sorted({each.output for each in graph.states.values()})
