"""zktally bench fast: what a fast receipt costs beside the float run, cell by cell.

A cell is (model, batch, steps). Each runs in a process of its own, so that its peak memory is its
own and nothing is warm by accident. Times are medians, in milliseconds; compare them as
ratios within a row.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from ..circuits.compile import compile
from ..circuits.model import CompiledModel
from ..hybrid.chain import initial_state
from ..prover import Claims, FastRun
from ..verifier.inputs import quantise
from .cells import Row, formats, in_fresh_process, text_table
from .machine import describe, peak_memory
from .models import BENCH_MODELS, calibration
from .timing import timed

COLUMNS = formats(
    ("model", "{}", "model"),
    ("batch", "{}", "batch"),
    ("steps", "{}", "steps"),
    ("float", "{:.2f}", "float ms"),
    ("integer", "{:.2f}", "integer ms"),
    ("commit", "{:.2f}", "commit ms"),
    ("open", "{:.2f}", "open ms"),
    ("verify_rust", "{:.1f}", "verify ms"),
    ("verify_python", "{:.0f}", "python ms"),
    ("receipt_bytes", "{:,}", "receipt B"),
    ("peak_bytes", "{:,}", "peak B"),
    ("integer_per_float", "{:.2f}", "int/float"),
    ("overhead", "{:.0%}", "(commit+open)/int"),
)


def main(args: argparse.Namespace) -> int:
    """Run all cells; JSON lines to the output, a table to stderr."""
    rows = []
    for model in args.models.split(","):
        for batch in map(int, args.batches.split(",")):
            for steps in map(int, args.steps.split(",")):
                row = run_cell(model, batch, steps, args)
                rows.append(row)
                print(table([row]).splitlines()[-1], file=sys.stderr)
    lines = "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)
    if args.output:
        Path(args.output).write_text(lines)
    else:
        sys.stdout.write(lines)
    print(table(rows), file=sys.stderr)
    return 0


def run_cell(model: str, batch: int, steps: int, args: argparse.Namespace) -> Row:
    """Measure one cell in a fresh process."""
    cell = {
        "model": model,
        "batch": batch,
        "steps": steps,
        "delta": args.delta,
        "repeat": args.repeat,
        "threads": args.threads,
    }
    return in_fresh_process("zktally.bench.fast", cell)


def measure(cell: Row) -> Row:
    """One row: medians over repeats, in milliseconds."""
    graph = BENCH_MODELS[cell["model"]]()
    batch, steps, repeat = cell["batch"], cell["steps"], cell["repeat"]
    data = calibration(graph, batch * steps, 1)
    program = compile(graph, calibration(graph, 64, 0), batch=batch, public=True)
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), _options(cell["threads"]), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    batches = [np.ascontiguousarray(part) for part in np.split(data, steps)]
    quantised, items = quantise(program.checked.program, data)
    claims = Claims(delta=cell["delta"])

    times: dict[str, list[float]] = {k: [] for k in ("float", "integer", "commit", "open")}
    receipt = b""
    for _ in range(repeat + 1):
        times["float"].append(timed(lambda: [session.run(None, {name: x}) for x in batches])[1])
        receipt, phases = prove_once(program, quantised, items, claims)
        for phase, seconds in phases.items():
            times[phase].append(seconds)
    row: Row = {k: 1e3 * statistics.median(v[1:]) for k, v in times.items()}
    row |= verify_times(receipt, program, repeat)
    row["integer_per_float"] = row["integer"] / row["float"]
    row["overhead"] = (row["commit"] + row["open"]) / row["integer"]
    row["receipt_bytes"] = len(receipt)
    row["peak_bytes"] = peak_memory()
    weights = program.checked.weights
    row["macs"] = weights.step_macs * steps
    row["weight_per_mac"] = weights.step_weight / weights.step_macs
    return cell | row | {"machine": describe()}


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return options


def prove_once(
    program: CompiledModel, batches: list[list[np.ndarray]], items: int, claims: Claims
) -> tuple[bytes, dict[str, float]]:
    """One chain, its phases timed apart."""
    run = FastRun(program.core, program.checked, initial_state(program.checked, None))

    def execute() -> None:
        for batch in batches:
            run.execute(batch)

    _, integer = timed(execute)
    _, commit = timed(run.commit)
    receipt, opening = timed(lambda: run.prove(claims, items))
    return receipt, {"integer": integer, "commit": commit, "open": opening}


def verify_times(receipt: bytes, program: CompiledModel, repeat: int) -> Row:
    """Median of the Rust verifier, one run of the Python one, in milliseconds."""
    from ..api import verify

    def judge(backend: Any) -> float:
        return timed(lambda: verify(receipt, program.model_id, backend=backend))[1]

    return {
        "verify_rust": 1e3 * statistics.median(judge("rust") for _ in range(repeat)),
        "verify_python": 1e3 * judge("python"),
    }


def table(rows: list[Row]) -> str:
    """The rows for people."""
    return text_table(COLUMNS, rows)


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
