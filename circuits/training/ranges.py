"""What the values of a step came to in a rehearsal: the ranges that its codes cover."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..builder import Range
from ..calibrate import wider
from ..compile import needed
from ..errors import CompileError, named
from ..graph import Array, Graph
from ..masks import Scores
from ..operator import Operator
from ..session import Session
from .losses import LABELS
from .optimisers import Optimiser
from .rehearsal import Rehearsal
from .step import Step

SERVED_RUNS = 8
"""The model that is served runs so often, in the second half: running statistics are no good in the
first."""

Batches = Callable[[int], tuple[Mapping[str, Array], Array]]
"""Data by input, and labels, of a step."""


@dataclass(frozen=True)
class Ranges:
    """Ranges by value; those of inputs that hold integers; the highest rate and decay.

    `sizes` are the roots of the mean squares of the floats; `losses` those of the rehearsal, step
    by step.
    """

    values: Mapping[str, Range]
    sizes: Mapping[str, float]
    whole: Mapping[str, Range]
    rates: tuple[float, float]
    losses: tuple[float, ...]


def rehearsed(
    step: Step,
    graphs: Sequence[Graph],
    operators: Mapping[str, Operator],
    optimiser: Optimiser,
    batches: Batches,
    rates: Callable[[int], float],
    steps: int,
    highest: float,
    progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> Ranges:
    """The ranges in so many float steps.

    Args:
        step: the float step.
        graphs: its `gradient_graph`, and what else is lowered by these ranges.
        operators: by name.
        optimiser: the one that the step was made with.
        batches: data and labels of step 0, 1, ...
        rates: learning rates likewise.
        steps: of the rehearsal.
        highest: the highest learning rate of the run.
        progress: called after each step.

    Raises:
        CompileError: `compile.not-finite`, where a value becomes infinite or NaN.
    """
    states = {state.name for state in step.states}
    graph = graphs[0]
    inputs = {*graph.inputs, LABELS} - set(step.draws)
    scores = Scores(graph, operators)
    names = scores.reads.union(*(needed(each) for each in graphs))
    given = states | inputs | set(step.draws)
    served = _Served(step, graphs[1:], operators)
    watched = tuple(sorted(names - given - served.names))
    run = Rehearsal(step, optimiser, watched)
    found: dict[str, Range] = {}
    squares: dict[str, float] = {}
    losses = []
    decay = 0.0
    for number in range(steps):
        data, labels = batches(number)
        before = dict(run.states)
        values = run.move(data, labels, rates(number))
        losses.append(float(values[step.loss]))
        decay = max(decay, optimiser.rates(highest, number)[1])
        step_values = {**values, **before, **data, LABELS: labels}
        for part in (step_values, run.states):
            for name, array in part.items():
                if name not in scores.names:
                    found[name] = _joined(name, found.get(name), array)
                    squares[name] = squares.get(name, 0.0) + _mean_square(array) / steps
        for name, span in scores.ranges(step_values).items():
            found[name] = wider(span, found.get(name))
        if number >= steps // 2 and (steps - 1 - number) % max(steps // SERVED_RUNS // 2, 1) == 0:
            for name, array in served.values(data, run.states).items():
                if name not in scores.names:
                    found[name] = _joined(name, found.get(name), array)
        progress("rehearse in floats", number + 1, steps)
    whole = {
        name: (0.0, found[name][1]) if found[name][0] >= 0.0 else found[name]
        for name in inputs
        if name in graph.types and not graph.is_float(name)
    }
    sizes = {name: math.sqrt(square) for name, square in squares.items()}
    return Ranges(found, sizes, _classes(graph, whole), (highest, decay), tuple(losses))


class _Served:
    """The model that is served, where it computes otherwise than a step.

    `names` are the values that a step has not.
    """

    def __init__(self, step: Step, graphs: Sequence[Graph], operators: Mapping[str, Operator]):
        self.names: set[str] = set()
        self._session: Session | None = None
        self._inputs: set[str] = set()
        if graphs and (step.statistics or step.draws):
            source = step.forward.at(step.batch)
            made = {name for node in source.model.graph.node for name in node.output}
            trained = {name for node in step.source.model.graph.node for name in node.output}
            wanted = set().union(*(needed(graph) for graph in graphs)) & made
            self.names = wanted - trained
            self._inputs = {value.name for value in source.model.graph.input}
            self._session = Session(source, wanted)

    def values(self, data: Mapping[str, Array], states: Mapping[str, Array]) -> dict[str, Array]:
        """All its values."""
        if self._session is None:
            return {}
        feeds = {name: array for name, array in {**data, **states}.items() if name in self._inputs}
        return self._session.run(feeds)


def _mean_square(array: Array) -> float:
    flat = array.reshape(-1)
    return float(np.dot(flat, flat)) / flat.size if flat.dtype.kind == "f" else 0.0


def _classes(graph: Graph, whole: dict[str, Range]) -> dict[str, Range]:
    """Labels may name every class, and indices every row of a table, seen or not."""
    for node in graph.consumers(LABELS):
        if node.op == "OneHot":
            depth = graph.constant(node.inputs[1])
            assert depth is not None
            whole[LABELS] = (0.0, float(depth.item()) - 1.0)
    for node in graph.nodes:
        if node.op == "Gather" and node.inputs[1] in whole and node.inputs[1] != LABELS:
            rows = graph.shapes[node.inputs[0]][int(node.attributes.get("axis", 0))]
            whole[node.inputs[1]] = (0.0, float(rows) - 1.0)
    return whole


def _joined(name: str, so_far: Range | None, array: Array) -> Range:
    low, high = float(np.min(array)), float(np.max(array))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise CompileError(
            f"value {named(name)} becomes infinite or NaN in the rehearsal",
            code="compile.not-finite",
            expected="a float run that stays finite",
            hint="lower the learning rate, or check model and data",
        )
    return wider((low, high), so_far)
