"""zktally bench train: what a step of training costs, in floats, in integers, proven.

A cell is a network and a number of steps, in a process of its own. Float steps (onnxruntime), plain
integer steps and committed ones are made in turn; compare ratios within a row.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from .. import _core
from ..circuits.graph import Array
from ..circuits.keys import PUBLIC_KEY
from ..circuits.model import CompiledModel
from ..circuits.training.losses import LABELS
from ..circuits.training.rehearsal import Rehearsal
from ..circuits.training.step import Step
from ..hybrid.training.plan import Plan
from ..hybrid.training.prepared import prepare
from ..hybrid.training.run import rates_of
from ..prover import Claims, FastRun, ProverOptions, prove_job, silent
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
from .fast import verify_times
from .learners import SHAPES, random_images
from .machine import describe, forget_peak, peak_memory
from .timing import timed

Rates = Callable[[int], list[Array]]
"""The inputs of a step."""

RATE = 0.02
REHEARSED = 4
WARM = 1
"""Steps before those that count."""
COMMITTED = 16
"""Steps between two rounds of commitment."""
STEP: list[Column] = [
    *formats(("model", "{}", "model"), ("parameters", "{:,}", "parameters"), ("ops", "{}", "ops")),
    ("MMACs", lambda row: f"{row['macs'] / 1e6:,.1f}"),
    *formats(("steps", "{}", "steps"), ("float", "{:.1f}", "float ms")),
    *formats(("integer", "{:.1f}", "integer ms"), ("committed", "{:.1f}", "committed ms")),
    ("integer/float", lambda row: f"{row['integer'] / row['float']:.2f}"),
    ("committed/integer", lambda row: f"{row['committed'] / row['integer']:.2f}"),
]
CHAIN: list[Column] = [
    *formats(("model", "{}", "model"), ("steps", "{}", "steps"), ("mode", "{}", "mode")),
    *formats(("open", "{:.2f}", "open s"), ("prove", "{:.1f}", "prove s")),
    *formats(("verify_rust", "{:,.0f}", "verify ms (Rust)")),
    *formats(("verify_python", "{:,.0f}", "(Python)")),
    ("receipt KB", lambda row: f"{row['bytes'] / 1e3:,.0f}"),
    ("KB a step", lambda row: f"{row['bytes'] / 1e3 / row['steps']:.1f}"),
    ("peak MB", lambda row: f"{row['peak_bytes'] / 1e6:,.0f}"),
]  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Measure all cells, or read rows; tables."""
    return run_cells(args, _measured, markdown, table)


def _measured(args: argparse.Namespace) -> tuple[list[Row], int]:
    cells = [
        (f"{name}, {steps} steps", {"model": name, "steps": steps, "modes": args.modes})
        for name in args.models
        for steps in args.steps
    ]
    return measure_all(__name__, cells, args, _said)


def _said(row: Row) -> str:
    return f"{row['float']:.1f} / {row['integer']:.1f} / {row['committed']:.1f} ms a step"


@dataclass(frozen=True)
class Learner:
    """A network that learns from random images, ready for its steps.

    Attributes:
        step: in floats.
        records: the data, by name.
        seconds: to prepare all this.
    """

    model: CompiledModel
    plan: Plan
    step: Step
    records: Mapping[str, Array]
    rates: Rates
    data: _core.Dataset
    seconds: float

    def run(self) -> FastRun:
        """A run before its first step."""
        return FastRun(self.model.core, self.model.checked, None, seed="derived", data=self.data)

    def committed(self, steps: int) -> FastRun:
        """A run after so many steps, committed now and then."""
        run = self.run()
        for number in range(steps):
            run.execute(self.rates(number))
            if (number + 1) % COMMITTED == 0 or number + 1 == steps:
                run.commit()
        return run


def learned(name: str, steps: int) -> Learner:
    """The network of that name in `learners.SHAPES`, to learn for so many steps."""
    shape = SHAPES[name]
    inputs, labels = random_images(shape.shape, shape.classes, 8 * shape.batch)
    plan = Plan(batch=shape.batch, steps=max(steps, 2), lr=RATE, rehearsal=REHEARSED)
    (program, step, held, _), seconds = timed(
        lambda: prepare(shape.made(), inputs, labels, plan, silent)
    )
    records = held.by_name()
    data = _core.Dataset(program.model.core, program.coded(records), PUBLIC_KEY)
    return Learner(program.model, plan, step, records, rates_of(program, plan), data, seconds)


def measure(cell: Row) -> Row:
    """One row: milliseconds a step, and a receipt in each mode."""
    learner = learned(cell["model"], cell["steps"])
    model, rates = learner.model, learner.rates
    row: Row = {
        "compile": learner.seconds,
        "parameters": sum(state.start.size for state in learner.step.parameters),
        "ops": len(model.checked.program.ops),
        "macs": model.checked.weights.step_macs,
    }
    counted = min(cell["steps"], COMMITTED)
    floats = Rehearsal(learner.step, learner.plan.optimiser())
    row["float"] = _float_time(floats, learner.records, counted)
    row["integer"] = _time(learner.run(), rates, counted, commit=False)
    row["committed"] = _time(learner.run(), rates, counted, commit=True)
    chains = [_chain(learner, cell["steps"], mode) for mode in cell["modes"]]
    return cell | row | {"chains": chains, "machine": describe()}


def _float_time(floats: Rehearsal, records: Mapping[str, Array], count: int) -> float:
    """Milliseconds of a float step."""
    step = floats.step
    given = {
        name: records[name][: step.batch].astype(step.dtypes[name])
        for name in (*step.inputs, LABELS)
    }
    labels = given.pop(LABELS)

    def move(times: int) -> None:
        for _ in range(times):
            floats.move(given, labels, RATE)

    move(WARM)
    return 1e3 * timed(lambda: move(count))[1] / count


def _time(run: FastRun, rates: Rates, count: int, *, commit: bool) -> float:
    """Milliseconds of an integer step, hashed or not."""
    run.execute(rates(0))
    if commit:
        run.commit()

    def move() -> None:
        for number in range(count):
            run.execute(rates(WARM + number))
        if commit:
            run.commit()

    return 1e3 * timed(move)[1] / count


def _chain(learner: Learner, steps: int, mode: str) -> Row:
    """A receipt over so many steps."""
    forget_peak()
    model, run = learner.model, learner.committed(steps)
    claims = Claims(mode, visibility="public")
    job, opened = timed(partial(run.job, claims, steps))
    del run  # its traces are needed no longer
    if mode == "fast":
        receipt, proven = job.shown(), 0.0
    else:
        receipt, proven = timed(lambda: prove_job(job, None, model.core, ProverOptions()))
    row: Row = {"mode": mode, "steps": steps, "open": opened, "prove": proven}
    row |= {"bytes": len(receipt), "peak_bytes": peak_memory()}
    return row | verify_times(receipt, model, 3, any_dataset=True)


def table(rows: list[Row]) -> str:
    """The rows for people."""
    return "\n\n".join([text_table(STEP, rows), text_table(CHAIN, _chains(rows))])


def _chains(rows: list[Row]) -> list[Row]:
    return [{"model": row["model"], **chain} for row in rows for chain in row["chains"]]


def markdown(rows: list[Row]) -> str:
    """The section of docs/figures.md."""
    return "\n\n".join(
        [
            "## Training: `zktally bench train`",
            paragraph(f"{machines_text(rows)}. {_TEXT}"),
            markdown_table(STEP, rows),
            paragraph(_CHAINS),
            markdown_table(CHAIN, _chains(rows)),
            paragraph(_PEERS),
        ]
    )


_TEXT = (
    "Random images, SGD with momentum, batch 64 (VGG-11: 16). zkdl is the perceptron 784-1000-"
    "1773×5-1124-1000, vgg11 has 10 M parameters. Float steps are onnxruntime's, the same forward, "
    "backward and update in float32; integer steps keep their traces, committed ones hash them."
)
_CHAINS = (
    "One receipt over all steps (δ = 5 %; λ = 128 in fast, 102 in hybrid); the seed is derived, "
    "the start drawn from it, and recomputed by the verifiers."
)
_PEERS = (
    "Published by others, on other machines: zkDL proves a step of that perceptron in 0.86 s on an "
    "A100, without chaining steps; Kaizen takes 15 minutes a step of VGG-11 (batch 16), with a "
    "proof of 1.63 MB at any number of steps."
)


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
