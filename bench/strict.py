"""zktally bench strict: what it costs to prove every gate, beside the estimate and the peers.

A cell is (model, batch): one step. Each runs in a process of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Sequence

import numpy as np

from ..api import prove
from ..circuits.compile import compile
from ..circuits.model import CompiledModel
from ..prover import Claims
from ..prover.estimate import estimate_job
from ..prover.options import profile_of
from ..verifier.policy import Policy
from ..verifier.stark.params import PROFILE_NAMES
from .cells import (
    CPU,
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
from .hybrid import LONG, VERIFY_THREADS, builder, network
from .judging import judged
from .machine import describe, forget_peak, peak_memory
from .models import INT8, calibration
from .timing import cpu_seconds, timed

CELL: tuple[Column, ...] = (
    *formats(("model", "{}", "model"), ("batch", "{}", "batch"), ("profile", "{}", "profile")),
)
COST_COLUMNS: tuple[Column, ...] = (
    *CELL,
    *formats(("parameters", "{:,}", "parameters"), ("products", "{:,}", "products")),
    *formats(("seconds", "{:.2f}", "prove s"), ("segments", "{}", "segments")),
    ("peak MB", lambda row: f"{row['peak_bytes'] / 1e6:,.0f}"),
    ("Rust ms", lambda row: f"{1e3 * row['verify_rust']:.0f}"),
    ("Python ms", lambda row: f"{1e3 * row['verify_python']:,.0f}"),
    *formats(("headline_bits", "{}", "bits")),
)
ESTIMATE_COLUMNS: tuple[Column, ...] = (*CELL, *beside_estimates(CPU, "receipt_bytes"))

HERE = "ezkl 23.0.5, measured on 2 cores, 2026-11-25"
PUBLISHED = "DeepProve, as published; hardware unstated, no zero knowledge"
PEERS: tuple[Row, ...] = (
    {"source": HERE, "model": "MLP 784-128-10", "said": "set-up 4.4 s, proof 5.5 s; 0.69 GB"},
    {"source": HERE, "model": "LeNet-5", "said": "set-up 86 s, proof 95 s; 11.1 GB, key 4.4 GB"},
    {"source": HERE, "model": "CNN 264k", "said": "not in 24 GB"},
    {"source": PUBLISHED, "model": "CNN 264k", "said": "proof 1.24 s"},
    {"source": PUBLISHED, "model": "Dense 4M", "said": "proof 2.34 s"},
)
"""Figures of others, none of them from the runs beside which they stand."""

PEER_COLUMNS = formats(("source", "{}", "system"), ("model", "{}", "model"), ("said", "{}", "cost"))


def main(args: argparse.Namespace) -> int:
    """Measure the cells, or read rows; lines or Markdown to the output, tables to stderr."""
    return run_cells(args, _measure_all, markdown, table)


def _measure_all(args: argparse.Namespace) -> tuple[list[Row], int]:
    for model in args.models:
        builder(model)
    options = {
        "profile": PROFILE_NAMES[profile_of(args.small, args.foldable)],
        "repeat": args.repeat,
    }
    cells = [
        (f"{model}, batch {batch}", {"model": model, "batch": batch} | options)
        for model, batch in itertools.product(args.models, args.batches)
    ]
    return measure_all("zktally.bench.strict", cells, args, lambda row: f"{row['seconds']:.1f} s")


def measure(cell: Row) -> Row:
    """One row: medians over repeats; a long proof is run once."""
    graph, batch = network(cell["model"]), cell["batch"]
    parameters = sum(int(np.prod(tensor.dims)) for tensor in graph.graph.initializer)
    data = calibration(graph, batch, 1)
    model = compile(graph, calibration(graph, 64, 0), batch=batch, **INT8)
    del graph
    profile = PROFILE_NAMES.index(cell["profile"])
    plan = estimate_job(Claims("strict").counts(model.checked, batch), profile)
    forget_peak()
    runs = [_prove(model, data, profile)]
    if runs[0][1]["seconds"] < LONG:
        runs += [_prove(model, data, profile) for _ in range(cell["repeat"] - 1)]
    runs.sort(key=lambda run: run[1]["seconds"])
    receipt, row = runs[len(runs) // 2]
    row |= {"peak_bytes": peak_memory(), "receipt_bytes": len(receipt), "parameters": parameters}
    row |= _verify_times(receipt, model)
    row["products"] = sum(model.checked.weights.macs[c] * int(np.prod(op.space))
                          for c, op in enumerate(model.checked.program.ops))  # fmt: skip
    row["estimate"] = {
        "cpu": plan.cpu_seconds,
        "seconds": plan.seconds,
        "peak_bytes": plan.memory_bytes,
        "bytes": plan.proof_bytes,
    }
    return {key: cell[key] for key in ("model", "batch", "profile")} | row | {"machine": describe()}


def _prove(model: CompiledModel, data: np.ndarray, profile: int) -> tuple[bytes, Row]:
    """A receipt, and what it took: execution and commitments included."""
    before = cpu_seconds()
    receipt, seconds = timed(
        lambda: prove(model, data, "strict", small=profile == 1, foldable=profile == 2)
    )
    return receipt.data, {"seconds": seconds, "cpu": cpu_seconds() - before}


def _verify_times(receipt: bytes, model: CompiledModel) -> Row:
    """Seconds of both verifiers, the Rust one on two threads, and what they find."""
    verified, row = judged(receipt, model, Policy(), threads=VERIFY_THREADS)
    return row | {
        "headline_bits": verified.headline_bits,
        "segments": verified.segments,
    }


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    return f"{text_table(COST_COLUMNS, rows)}\n\n{text_table(ESTIMATE_COLUMNS, rows)}"


def markdown(rows: Sequence[Row]) -> str:
    """The section of docs/figures.md."""
    return "\n\n".join(
        [
            "## Strict: `zktally bench strict` (every gate, private weights)",
            paragraph(f"{machines_text(rows)}. {_PREFACE}"),
            markdown_table(COST_COLUMNS, rows),
            paragraph(_ESTIMATES),
            markdown_table(ESTIMATE_COLUMNS, rows),
            paragraph(_PEERS),
            markdown_table(PEER_COLUMNS, PEERS),
        ]
    )


_PREFACE = (
    "One step of the batch; `prove` from the inputs to the receipt, medians of up to 3 runs (one "
    "where it takes 10 s or more; Python verifier: one run). Seconds are those of the clock, with "
    "whatever else the machine does; CPU seconds are below. Products: of all dot gates. "
    "Rust ms, Python ms: to verify, Rust on two threads."
)
_ESTIMATES = (
    "Estimates before the job beside what was measured: CPU seconds of all threads (they do not "
    "depend on what else the machine does), memory at the peak, bytes; ratios are estimate over "
    "measured."
)
_PEERS = (
    "Others on the same networks, batch 1, for orientation. None of these figures comes from the "
    "runs above; those of DeepProve were not measured by us at all."
)


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
