"""From a model, data and a plan to the program of a step and the coded data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ...circuits.graph import Array
from ...circuits.ops import OPERATORS
from ...circuits.source import ModelLike
from ...circuits.training.losses import LABELS
from ...circuits.training.program import (
    Form,
    TrainingProgram,
    gradient_graph,
    served_graph,
    training_program,
)
from ...circuits.training.ranges import Batches, rehearsed
from ...circuits.training.step import Step, training_step
from ...prover import Progress
from ...verifier.errors import UsageError
from ...verifier.quoting import listed
from .plan import Plan

REHEARSED = 7
"""Seed of the batches of a rehearsal: any, and always the same."""
BITS = {"int8": 8, "int16": 16}


@dataclass(frozen=True)
class Records:
    """The records of a data set as the caller has them: inputs by name, and labels."""

    inputs: Mapping[str, Array] = field(repr=False)
    labels: Array = field(repr=False)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.labels)

    def by_name(self) -> dict[str, Array]:
        """All of them by the names of a step's inputs."""
        return {**self.inputs, LABELS: self.labels}


def records(step: Step, data: Array | Mapping[str, Array], labels: Array) -> Records:
    """Records that fit a step's inputs.

    Raises:
        UsageError: `usage.input`: names, shapes or counts that do not fit.
    """
    given = dict(data) if isinstance(data, Mapping) else {step.inputs[0]: data}
    if set(given) != set(step.inputs):
        raise UsageError(
            "the data's names are not those of the model's inputs",
            code="usage.input",
            expected=listed(step.inputs),
            received=listed(given),
        )
    held = {name: np.asarray(array) for name, array in given.items()}
    held[LABELS] = np.asarray(labels)
    for name, array in held.items():
        shape = step.shapes[name][1:]
        if name == LABELS and array.ndim and {*array.shape[1:], *shape} <= {1}:
            # [records] and [records, 1] say the same
            held[name] = array = array.reshape(len(array), *shape)
        if array.ndim == 0 or array.shape[1:] != shape or array.dtype.kind not in "fiub":
            raise UsageError(
                f"data {name!r} does not fit the model",
                code="usage.input",
                expected=f"numbers of shape {('records', *shape)}",
                received=f"{array.dtype} of shape {array.shape}",
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise UsageError(
                f"data {name!r} contains NaN or infinity",
                code="usage.input",
                expected="finite values",
            )
    counts = {name: len(array) for name, array in held.items()}
    if len(set(counts.values())) != 1 or counts[LABELS] < step.batch:
        raise UsageError(
            "inputs and labels need as many records, a batch at least",
            code="usage.input",
            expected=f"{step.batch} or more of each",
            received=listed(f"{name}: {count}" for name, count in counts.items()),
        )
    return Records({name: held[name] for name in step.inputs}, held.pop(LABELS))


def prepare(
    model: ModelLike,
    data: Array | Mapping[str, Array],
    labels: Array,
    plan: Plan,
    progress: Progress,
) -> tuple[TrainingProgram, Step, Records, tuple[float, ...]]:
    """The program of a step of a plan, and the records that it reads.

    Returns:
        The program, the float step, the records, and the losses of the rehearsal.

    Raises:
        UsageError: data that do not fit the model.
        NotTrainable: nodes through which no gradient goes.
        CompileError: what of the step does not fit into a program.
    """
    optimiser = plan.optimiser()
    progress("differentiate", 0, 1)
    step = training_step(model, plan.recipe(), OPERATORS, batch=plan.batch)
    held = records(step, data, labels)
    graph = gradient_graph(step, OPERATORS)
    graphs = (graph, served_graph(step, OPERATORS, 1))
    progress("differentiate", 1, 1)
    rates = plan.rates()
    ranges = rehearsed(
        step,
        graphs,
        OPERATORS,
        optimiser,
        _batches(step, held),
        lambda number: min(rates.at(number), plan.lr),
        min(plan.rehearsal, max(plan.steps, 2)),
        _highest(plan),
        progress,
    )
    form = Form(
        products=BITS[plan.precision],
        records=held.count,
        start=plan.start,
        public=not plan.freeze,
    )
    program = training_program(step, optimiser, OPERATORS, graph, ranges, form)
    return program, step, held, ranges.losses


def _highest(plan: Plan) -> float:
    """The highest rate that the optimiser is given, its bias correction included."""
    optimiser, rates = plan.optimiser(), plan.rates()
    return max(optimiser.rates(rates.at(step), step)[0] for step in range(plan.steps))


def _batches(step: Step, held: Records) -> Batches:
    """Batches of a rehearsal, drawn with replacement."""
    rng = np.random.default_rng(REHEARSED)

    def of(number: int) -> tuple[Mapping[str, Array], Array]:
        rows = rng.integers(0, held.count, step.batch)
        inputs = {
            name: array[rows].astype(step.dtypes[name]) for name, array in held.inputs.items()
        }
        return inputs, held.labels[rows].astype(step.dtypes[LABELS])

    return of
