"""zktally bench learning: do integers learn what floats learn?

A cell is a task, an optimiser and a seed, in a process of its own. Floats (onnxruntime, float32)
and integers start with equal weights and read the same records in the same order, the public one of
the receipts; what is compared is accuracy, or loss, on records that neither has seen.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from .. import _core
from ..circuits.graph import Array
from ..circuits.keys import PUBLIC_KEY
from ..circuits.session import Session
from ..circuits.training.losses import LABELS
from ..circuits.training.program import TrainingProgram
from ..circuits.training.rehearsal import Rehearsal
from ..circuits.training.step import Step
from ..hybrid.training.plan import Plan
from ..hybrid.training.prepared import prepare
from ..hybrid.training.run import rates_of
from ..prover import FastRun, silent
from ..verifier.keys import derived_seed
from ..verifier.order import Order, order_key
from .cells import (
    Column,
    Row,
    formats,
    machines_text,
    markdown_table,
    measure_all,
    paragraph,
    run_cells,
    text_table,
)
from .learners import (
    Data,
    characters,
    convolutional,
    digits,
    perceptron,
    random_images,
    transformer,
)
from .learners import table as of_table
from .machine import describe
from .timing import timed

KEPT = 1 << 28
"""Bytes of traces that a run keeps: only the last step is looked at."""

COLUMNS: list[Column] = [
    *formats(("task", "{}", "task"), ("optimizer", "{}", "optimiser"), ("steps", "{}", "steps")),
    *formats(("seeds", "{}", "seeds"), ("metric", "{}", "measured")),
    *formats(("float", "{:.3f}", "float"), ("integer", "{:.3f}", "integer")),
    *formats(("difference", "{:+.3f}", "difference"), ("spread", "{:.3f}", "spread")),
    *formats(("float_ms", "{:.1f}", "float ms"), ("integer_ms", "{:.1f}", "integer ms")),
]


@dataclass(frozen=True)
class Task:
    """What is learnt: train and test data, a network by seed, and how many steps it takes."""

    data: Callable[[], tuple[Data, Data]]
    made: Callable[[int], onnx.ModelProto]
    batch: int
    steps: int
    rates: Mapping[str, float]
    """By optimiser."""


def _characters() -> tuple[Data, Data]:
    train, test, _ = characters()
    return train, test


def _images() -> tuple[Data, Data]:
    inputs, labels = random_images((784,), 10, 70_000)
    return (inputs[:60_000], labels[:60_000]), (inputs[60_000:], labels[60_000:])


SGD_ADAM = {"sgd": 0.1, "adam": 0.003}
TASKS = {
    "digits, perceptron": Task(
        lambda: digits(True), lambda seed: perceptron((64, 128, 10), seed), 64, 600, SGD_ADAM
    ),
    "digits, convolutions": Task(lambda: digits(False), convolutional, 64, 600, SGD_ADAM),
    "breast cancer": Task(
        lambda: of_table("breast_cancer"),
        lambda seed: perceptron((30, 32, 2), seed),
        32,
        600,
        {"sgd": 0.05, "adam": 0.003},
    ),
    "wine": Task(
        lambda: of_table("wine"),
        lambda seed: perceptron((13, 32, 3), seed),
        32,
        600,
        {"sgd": 0.05, "adam": 0.003},
    ),
    "60,000 images": Task(
        _images, lambda seed: perceptron((784, 128, 10), seed), 64, 937, {"sgd": 0.02}
    ),
    "characters": Task(
        _characters,
        lambda seed: transformer(characters()[2], seed),
        16,
        600,
        {"sgd": 0.1, "adam": 0.002},
    ),
}


def main(args: argparse.Namespace) -> int:
    """Measure all cells, or read rows; tables."""
    return run_cells(args, _measured, markdown, table)


def _measured(args: argparse.Namespace) -> tuple[list[Row], int]:
    names = [name for name in TASKS if any(part in name for part in args.tasks)]
    cells = [
        (f"{name}, {optimiser}, seed {seed}", {"task": name, "optimizer": optimiser, "seed": seed})
        for name in names
        for optimiser in TASKS[name].rates
        if optimiser in args.optimizers
        for seed in range(args.seeds)
    ]
    if args.steps:
        cells = [(name, cell | {"steps": args.steps}) for name, cell in cells]
    return measure_all(__name__, cells, args, _said)


def _said(row: Row) -> str:
    return f"float {row['float']:.3f}, integer {row['integer']:.3f} {row['metric']}"


def measure(cell: Row) -> Row:
    """One row: what floats and integers reach."""
    task = TASKS[cell["task"]]
    (inputs, labels), test = task.data()
    steps = cell.get("steps") or task.steps
    plan = Plan(
        optimizer=cell["optimizer"], lr=task.rates[cell["optimizer"]], schedule="cosine",
        betas=(0.9, 0.99), batch=task.batch, steps=steps, start="file",
    )  # fmt: skip
    program, step, held, _ = prepare(task.made(cell["seed"]), inputs, labels, plan, silent)
    dataset, order = _data(program, held.by_name(), plan)
    floats = Rehearsal(step, plan.optimiser())
    _, float_seconds = timed(lambda: _float_steps(floats, held.by_name(), order, plan))
    model = program.model
    run = FastRun(
        model.core, model.checked, program.start, seed="derived", data=dataset, keep_bytes=KEPT
    )
    _, seconds = timed(lambda: _integer_steps(run, program, plan))
    last = {
        model.checked.program.tensors[link.state].name: run.values(run.steps - 1, link.value)
        for link in model.checked.program.states
    }
    names = [state.name for state in step.parameters]
    reals = program.reals(last)
    float_, integer = (
        _judged(step, {name: values[name] for name in names}, test)
        for values in (floats.states, reals)
    )
    row: Row = {"steps": steps, "metric": "loss" if test[1].ndim > 1 else "% right"}
    row |= {"float": float_, "integer": integer}
    row |= {"float_ms": 1e3 * float_seconds / steps, "integer_ms": 1e3 * seconds / steps}
    return cell | row | {"machine": describe()}


def _data(
    program: TrainingProgram, records: Mapping[str, Array], plan: Plan
) -> tuple[_core.Dataset, Array]:
    """The data set, and the records that each step reads."""
    core = program.model.core
    arrays = program.coded(records)
    dataset = _core.Dataset(core, arrays, PUBLIC_KEY)
    seed = derived_seed(program.model.program_id, dataset.root, None)
    order = Order(order_key(seed), len(arrays[0]), plan.batch, 0, plan.steps)
    return dataset, order.table


def _float_steps(floats: Rehearsal, records: Mapping[str, Array], order: Array, plan: Plan) -> None:
    step, rates = floats.step, plan.rates()
    for number, rows in enumerate(order):
        given = {
            name: records[name][rows].astype(step.dtypes[name]) for name in (*step.inputs, LABELS)
        }
        labels = given.pop(LABELS)
        floats.move(given, labels, rates.at(number))


def _integer_steps(run: FastRun, program: TrainingProgram, plan: Plan) -> None:
    rates = rates_of(program, plan)
    for number in range(plan.steps):
        run.execute(rates(number))


def _judged(step: Step, parameters: Mapping[str, Array], test: Data) -> float:
    """Right answers in percent, or of sequences the mean loss, on records of nobody's training."""
    session = Session(step.forward.at(step.batch), [step.forward.output])
    shaped = {
        state.name: parameters[state.name].reshape(state.start.shape).astype(np.float32)
        for state in step.parameters
    }
    found = [_score(scores, labels) for scores, labels in _outputs(session, step, shaped, test)]
    return float(np.concatenate(found).mean())


def _outputs(
    session: Session, step: Step, parameters: Mapping[str, Array], test: Data
) -> Iterator[tuple[Array, Array]]:
    inputs, labels = test
    (name,) = step.inputs
    for start in range(0, len(labels), step.batch):
        rows = np.arange(start, start + step.batch)
        real = rows < len(labels)
        given = inputs[rows % len(labels)].astype(step.dtypes[name])
        scores = session.run({name: given, **parameters})[step.forward.output]
        yield scores[real], labels[rows[real]]


def _score(scores: Any, labels: Any) -> Any:
    if labels.ndim == 1:
        return 100.0 * (scores.argmax(1) == labels)
    shifted = scores.astype(np.float64) - scores.max(-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    right = labels[..., None].astype(np.int64)
    return -np.take_along_axis(logs, right, -1).reshape(len(labels), -1)


def together(rows: list[Row]) -> list[Row]:
    """One row for all seeds of a task and an optimiser."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["task"], row["optimizer"]), []).append(row)
    found = []
    for group in groups.values():
        keys = "float", "integer", "float_ms", "integer_ms"
        means = {key: statistics.fmean(row[key] for row in group) for key in keys}
        spread = statistics.pstdev(row["float"] for row in group)
        more = {"seeds": len(group), "difference": means["integer"] - means["float"]}
        found.append(group[0] | means | more | {"spread": spread})
    return found


def table(rows: list[Row]) -> str:
    """The rows for people, seeds together."""
    return text_table(COLUMNS, together(rows))


def markdown(rows: list[Row]) -> str:
    """The section of docs/figures.md."""
    return "\n\n".join(
        [
            "## Learning: `zktally bench learning`",
            paragraph(f"{machines_text(rows)}. {_TEXT}"),
            markdown_table(COLUMNS, together(rows)),
        ]
    )


_TEXT = (
    "Floats are onnxruntime's float32, with the formulas of torch; both start with equal weights "
    "and read the same records in the order of the receipts. Cosine schedule, 8-bit products. "
    "Measured on records of nobody's training: right answers in percent, of the characters the "
    "loss in nats. Means over seeds; the spread is the deviation of floats from seed to seed."
)


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
