"""zktally bench hybrid: what a hybrid receipt costs, cell by cell.

A cell is (model, batch, steps, delta, profile). Each runs in a process of its own. The fast part is
what a fast receipt costs under the same claims; the hybrid part is the STARK around its openings.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import onnx

from .. import _core
from ..circuits.compile import compile
from ..circuits.model import CompiledModel
from ..prover import Claims, Job, usual_bits, wrapping_job
from ..prover.estimate import StarkEstimate, estimate_stark
from ..prover.options import profile_of
from ..prover.receipt import encode_receipt
from ..verifier import stark
from ..verifier.errors import UsageError
from ..verifier.inputs import quantise
from ..verifier.policy import Policy
from ..verifier.stark.params import PROFILE_NAMES
from ..verifier.stark.tables import Table, read_tables
from .cells import Row, measure_all, run_cells
from .fast import run_once
from .hybrid_report import FAST_PHASES, PHASES, fits_text, markdown, table
from .judging import judged
from .machine import describe, forget_peak, peak_memory
from .models import BENCH_MODELS, INT8, calibration, dense
from .plots import drawing, plot_all
from .timing import cpu_seconds, timed

DENSE_DEPTH = 4
WIDTHS = "dense256,dense512,dense1024,dense2048,dense4096"
LONG = 10.0
"""Seconds of a proof from which on one run must do."""
VERIFY_THREADS = 2


class Cell(NamedTuple):
    """What is measured in one process."""

    model: str
    batch: int
    steps: int
    delta: float
    profile: str

    def __str__(self) -> str:
        return (
            f"{self.model}, batch {self.batch}, steps {self.steps}, δ {100 * self.delta:g} %, "
            f"{self.profile}"
        )


def cube(
    models: str | list[str],
    steps: list[int] | None = None,
    deltas: list[float] | None = None,
    batches: list[int] | None = None,
    profile: str = PROFILE_NAMES[0],
) -> list[Cell]:
    """All cells of these; one step and item at δ = 5 % where nothing is said."""
    names = models.split(",") if isinstance(models, str) else models
    axes = names, batches or [1], steps or [1], deltas or [0.05], [profile]
    return [Cell(*point) for point in itertools.product(*axes)]


def sweep(profile: str) -> list[Cell]:
    """The cells of the report: sizes, δ, steps, then large chains and the other profile."""
    cells = cube(WIDTHS, deltas=[0.1, 0.05, 0.01], profile=profile)
    cells += cube("mlp,lenet5,cnn264k", deltas=[0.1, 0.05, 0.01], profile=profile)
    cells += cube("lenet5,cnn264k,dense1024", steps=[1, 16, 64], profile=profile)
    cells += cube("cnn264k,dense1024", steps=[64], batches=[64], profile=profile)
    cells += cube("cnn264k,dense1024", profile=PROFILE_NAMES[1])
    return list(dict.fromkeys(cells))


def quick(profile: str) -> list[Cell]:
    """A part of the sweep that shows whether all is well."""
    cells = cube("dense256,dense512,dense1024,cnn264k", profile=profile)
    return cells + cube("lenet5", steps=[1, 16, 64], profile=profile)


def main(args: argparse.Namespace) -> int:
    """Measure the cells, or read rows; lines or Markdown to the output, a table to stderr."""
    return run_cells(args, _measure_all, markdown, _shown, draw=drawing(args, plot_all))


def _measure_all(args: argparse.Namespace) -> tuple[list[Row], int]:
    options = {"repeat": args.repeat, "threads": args.threads}
    cells = [(str(cell), cell._asdict() | options) for cell in chosen(args)]
    return measure_all(__name__, cells, args, lambda row: f"{row['hybrid']:.1f} s")


def _shown(rows: list[Row]) -> str:
    return f"{table(rows)}\n\n{fits_text(rows)}"


def chosen(args: argparse.Namespace) -> list[Cell]:
    """The cells that the command line asks for.

    Raises:
        UsageError: an unknown model, or both --quick and cells of one's own.
    """
    profile = PROFILE_NAMES[profile_of(args.small, args.foldable)]
    own = (args.models, args.steps, args.deltas, args.batches)
    if not any(own):
        return quick(profile) if args.quick else sweep(profile)
    if args.quick:
        raise UsageError("--quick has cells of its own", hint="leave out --models and the like")
    cells = cube(args.models or ["dense1024"], args.steps, args.deltas, args.batches, profile)
    for cell in cells:
        builder(cell.model)
    return cells


def builder(name: str) -> tuple[int, int] | None:
    """Width and depth of a dense network, None for a network of `BENCH_MODELS`.

    Raises:
        UsageError: there is no such model.
    """
    width = name.removeprefix("dense")
    if name.startswith("dense") and width.isdecimal() and int(width):
        return int(width), DENSE_DEPTH
    if name in BENCH_MODELS:
        return None
    raise UsageError(
        "no such model", expected=f"{', '.join(BENCH_MODELS)} or dense<width>", received=name
    )


def network(name: str) -> onnx.ModelProto:
    """The network of this name; `dense<width>` has four square layers."""
    shape = builder(name)
    return BENCH_MODELS[name]() if shape is None else dense(*shape)


def measure(cell: Cell, repeat: int, threads: int) -> Row:
    """One row: times in seconds, medians over repeats."""
    graph = network(cell.model)
    parameters = sum(int(np.prod(tensor.dims)) for tensor in graph.graph.initializer)
    data = calibration(graph, cell.batch * cell.steps, 1)
    program = compile(graph, calibration(graph, 64, 0), batch=cell.batch, **INT8)
    del graph
    claims = Claims("fast", cell.delta, bits=usual_bits("hybrid"))
    profile = PROFILE_NAMES.index(cell.profile)
    plan = estimate_stark(claims.counts(program.checked, cell.batch * cell.steps), profile)
    receipt, fast = prove_fast(program, data, claims, repeat)
    job = wrapping_job(receipt, profile)
    forget_peak()
    wrapped, hybrid = prove_hybrid(program, job, repeat, threads)
    row = fast | hybrid | {"peak_bytes": peak_memory(), "parameters": parameters}
    row |= {"bits": claims.bits}
    row |= {"fast_bytes": len(receipt), "hybrid_bytes": len(wrapped)}
    row |= {"estimate": stark_row(plan)}
    row |= verify_times(wrapped, program, cell.delta)
    return cell._asdict() | row | {"machine": describe()}


def stark_row(plan: StarkEstimate) -> Row:
    """An estimate as a part of a row."""
    return {
        "cpu": plan.cpu_seconds,
        "seconds": plan.seconds,
        "bytes": plan.proof_bytes,
        "peak_bytes": plan.memory_bytes,
        "segments": plan.segments,
        "rows": sum(plan.rows.values()),
    }


def prove_fast(
    program: CompiledModel, data: np.ndarray, claims: Claims, repeat: int
) -> tuple[bytes, Row]:
    """A fast receipt, and the medians of its phases after a warm-up."""
    batches, items = quantise(program.checked.program, data)
    runs = [run_once(program, batches, items, claims) for _ in range(repeat + 1)]
    phases = {
        name: statistics.median(
            run[1]["integer" if name == "execute" else name] for run in runs[1:]
        )
        for name in FAST_PHASES
    }
    return runs[-1][0].shown(), phases | {"fast": sum(phases.values())}


def prove_hybrid(program: CompiledModel, job: Job, repeat: int, threads: int) -> tuple[bytes, Row]:
    """A hybrid receipt, and the median one of the runs; a long proof is run once."""
    runs = [prove_hybrid_once(program, job, threads)]
    if runs[0][1]["hybrid"] < LONG:
        runs += [prove_hybrid_once(program, job, threads) for _ in range(repeat - 1)]
    runs.sort(key=lambda run: run[1]["hybrid"])
    return runs[len(runs) // 2]


def prove_hybrid_once(program: CompiledModel, job: Job, threads: int) -> tuple[bytes, Row]:
    """A hybrid receipt: seconds in all and by phase, rows of the tables."""

    def prove() -> tuple[_core.HybridProver, list[tuple[bytes, _core.SegmentTimings]]]:
        prover = _core.HybridProver(program.core, job.journal, job.openings, job.profile, threads)
        return prover, [prover.prove_segment(number) for number in range(prover.segments)]

    before = cpu_seconds()
    (prover, segments), total = timed(prove)
    used = cpu_seconds() - before
    proofs, found = zip(*segments, strict=True)
    split = {phase: sum(timings[phase] for timings in found) for phase in PHASES[:-1]}
    split[PHASES[-1]] = total - sum(split.values())
    tables = summed_tables([rows for timings in found for rows in timings["rows"]])
    receipt = encode_receipt(job.program, job.journal, prover.head() + b"".join(proofs))
    return receipt, {
        "hybrid": total,
        "cpu": used,
        "split": split,
        "segments": prover.segments,
        "tables": tables,
        "rows_used": sum(used for used, _ in tables.values()),
        "rows_height": sum(height for _, height in tables.values()),
        "cells": committed(tables, _tables()),
    }


def summed_tables(rows: list[tuple[str, int, int]]) -> dict[str, tuple[int, int]]:
    """Rows in use and heights by table, all segments together."""
    found: dict[str, tuple[int, int]] = {}
    for name, used, height in rows:
        before = found.get(name, (0, 0))
        found[name] = before[0] + used, before[1] + height
    return found


def committed(heights: dict[str, tuple[int, int]], tables: dict[str, Table]) -> int:
    """Field elements of the witness: main columns, fraction columns and accumulators."""
    return sum(
        height * (tables[name].mains + 5 * (len(tables[name].groups) + 1))
        for name, (_, height) in heights.items()
    )


def _tables() -> dict[str, Table]:
    data = files(stark).joinpath("tables.bin").read_bytes()
    return {table.name: table for table in read_tables(data).tables}


def verify_times(receipt: bytes, program: CompiledModel, delta: float) -> Row:
    """Seconds of both verifiers, the Rust one on two threads, and the bits that they find."""
    verified, row = judged(receipt, program, Policy(max_delta=delta), threads=VERIFY_THREADS)
    return row | {
        "stark_bits": verified.stark_bits,
        "headline_bits": verified.headline_bits,
    }


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    options = {name: asked.pop(name) for name in ("repeat", "threads")}
    print(json.dumps(measure(Cell(**asked), **options)))
