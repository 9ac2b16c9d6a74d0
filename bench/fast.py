"""zktally bench fast: what a fast receipt costs beside the float run, cell by cell.

A cell is (model, batch, steps). Each runs in a process of its own, so that its peak memory is its
own and nothing is warm by accident. Times are medians, in milliseconds; compare them as
ratios within a row.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
from typing import Any

import numpy as np
import onnxruntime

from ..circuits.compile import compile
from ..circuits.model import CompiledModel
from ..prover import Claims, FastRun, Job, initial_state
from ..prover.estimate import estimate_run
from ..verifier.inputs import quantise
from .cells import (
    CPU_MILLISECONDS,
    Column,
    Row,
    beside_estimates,
    formats,
    machines_text,
    markdown_table,
    measure_all,
    paragraph,
    run_cells,
    text_table,
)
from .judging import judged
from .machine import describe, forget_peak, peak_memory
from .models import BENCH_MODELS, INT8, calibration
from .timing import cpu_seconds, timed

CELL = formats(("model", "{}", "model"), ("batch", "{}", "batch"), ("steps", "{}", "steps"))
TIME_COLUMNS: list[Column] = [
    *CELL,
    *formats(
        ("float", "{:.2f}", "float ms"),
        ("integer", "{:.2f}", "integer ms"),
        ("commit", "{:.2f}", "commit ms"),
        ("open", "{:.2f}", "open ms"),
        ("integer_per_float", "{:.2f}", "integer/float"),
        ("overhead", "{:.0%}", "(commit+open)/integer"),
    ),
]
SIZE_COLUMNS: list[Column] = [
    *CELL,
    *formats(
        ("verify_rust", "{:.1f}", "verify ms (Rust)"),
        ("verify_python", "{:,.0f}", "(Python)"),
    ),
    ("receipt KB", lambda row: f"{row['receipt_bytes'] / 1e3:,.0f}"),
    ("peak MB", lambda row: f"{row['peak_bytes'] / 1e6:,.0f}"),
]
ESTIMATE_COLUMNS: list[Column] = [*CELL, *beside_estimates(CPU_MILLISECONDS, "receipt_bytes")]


def main(args: argparse.Namespace) -> int:
    """Run all cells, or read rows; lines or Markdown to the output, tables to stderr."""
    return run_cells(args, _measure_all, markdown, table)


def _measure_all(args: argparse.Namespace) -> tuple[list[Row], int]:
    models, batches, steps = (words.split(",") for words in (args.models, args.batches, args.steps))
    options = {"delta": args.delta, "repeat": args.repeat, "threads": args.threads}
    cells = [
        (f"{model}, batch {b}, steps {n}", {"model": model, "batch": int(b), "steps": int(n)})
        for model, b, n in itertools.product(models, batches, steps)
    ]
    return measure_all(
        "zktally.bench.fast",
        [(name, cell | options) for name, cell in cells],
        args,
        lambda row: f"{row['integer'] + row['commit'] + row['open']:.1f} ms",
    )


def measure(cell: Row) -> Row:
    """One row: medians over repeats, in milliseconds."""
    graph = BENCH_MODELS[cell["model"]]()
    batch, steps, repeat = cell["batch"], cell["steps"], cell["repeat"]
    data = calibration(graph, batch * steps, 1)
    program = compile(graph, calibration(graph, 64, 0), batch=batch, public=True, **INT8)
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(),
        session_options(cell["threads"]),
        providers=["CPUExecutionProvider"],
    )
    name = session.get_inputs()[0].name
    batches = [np.ascontiguousarray(part) for part in np.split(data, steps)]
    quantised, items = quantise(program.checked.program, data)
    claims = Claims("fast", cell["delta"])

    plan = estimate_run(claims.counts(program.checked, items))
    del graph
    forget_peak()
    times: dict[str, list[float]] = {k: [] for k in ("float", "integer", "commit", "open", "cpu")}
    receipt = b""
    for _ in range(repeat + 1):
        times["float"].append(timed(lambda: [session.run(None, {name: x}) for x in batches])[1])
        before = cpu_seconds()
        job, phases = run_once(program, quantised, items, claims)
        times["cpu"].append(cpu_seconds() - before)
        receipt = job.shown()
        for phase, seconds in phases.items():
            times[phase].append(seconds)
    peak = peak_memory()
    row: Row = {k: 1e3 * statistics.median(v[1:]) for k, v in times.items()}
    row |= verify_times(receipt, program, repeat)
    row["integer_per_float"] = row["integer"] / row["float"]
    row["overhead"] = (row["commit"] + row["open"]) / row["integer"]
    row |= {"receipt_bytes": len(receipt), "peak_bytes": peak}
    row["estimate"] = {
        "cpu": 1e3 * plan.cpu_seconds,
        "bytes": plan.proof_bytes,
        "peak_bytes": plan.memory_bytes,
    }
    weights = program.checked.weights
    row["macs"] = weights.step_macs * steps
    row["weight_per_mac"] = weights.step_weight / weights.step_macs
    return cell | row | {"machine": describe()}


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Of a float run on so many threads, 0 for all cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return options


def run_once(
    program: CompiledModel,
    batches: list[list[np.ndarray]],
    items: int,
    claims: Claims,
    profile: int = 0,
) -> tuple[Job, dict[str, float]]:
    """One chain, its phases timed apart in seconds, and what a receipt is made from.

    Args:
        program: the compiled model.
        batches: integer inputs of every step, as `quantise` gives them.
        items: real ones among the slots.
        claims: of any mode.
        profile: of the STARK, where the mode has one.
    """
    run = FastRun(program.core, program.checked, initial_state(program.checked, None))

    def execute() -> None:
        for batch in batches:
            run.execute(batch)

    _, integer = timed(execute)
    _, commit = timed(run.commit)
    job, opening = timed(lambda: run.job(claims, items, profile))
    return job, {"integer": integer, "commit": commit, "open": opening}


def verify_times(receipt: bytes, program: CompiledModel, repeat: int, **expected: Any) -> Row:
    """Median of the Rust verifier, one run of the Python one, in milliseconds."""
    _, seconds = judged(receipt, program, repeat=repeat, **expected)
    return {name: 1e3 * each for name, each in seconds.items()}


def table(rows: list[Row]) -> str:
    """The rows for people."""
    columns = (TIME_COLUMNS, SIZE_COLUMNS, ESTIMATE_COLUMNS)
    return "\n\n".join(text_table(each, rows) for each in columns)


def markdown(rows: list[Row]) -> str:
    """The section of docs/figures.md."""
    delta = 100 * rows[0]["delta"]
    return "\n\n".join(
        [
            f"## Fast mode: `zktally bench fast` (δ = {delta:g} %, λ = 128)",
            paragraph(f"{machines_text(rows)}. {_PREFACE}"),
            markdown_table(TIME_COLUMNS, rows),
            paragraph(_LEGEND),
            markdown_table(SIZE_COLUMNS, rows),
            paragraph(_ESTIMATES),
            markdown_table(ESTIMATE_COLUMNS, rows),
        ]
    )


_PREFACE = "Medians of 5 runs after a warm-up (Python verifier: one run)."
_LEGEND = (
    "`float` is onnxruntime on the same batches; `integer` executes all steps of the chain; "
    "`commit` builds all trees; `open` draws the samples and opens them. What is opened does not "
    "grow with the chain except for roots, exact outputs and rows that samples no longer share."
)
_ESTIMATES = (
    "Estimates before the job beside what was measured (CPU time of all threads to execute, commit "
    "and open); ratios are estimate over measured."
)


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
