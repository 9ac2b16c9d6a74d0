"""zktally bench succinct: what a succinct receipt costs, by the length of a chain and by segments.

A cell is (model, steps, delta). Chains are of a running average, whose step is as small as a step
gets; segments grow with the samples of a perceptron, over a chain of one length; a convolutional
network and a step of training are as people have them. Each cell runs in a process of its own: it
proves the segments, then folds them, then judges both receipts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from .. import _core
from ..api import Backend, verify
from ..circuits.model import CompiledModel
from ..prover import Claims
from ..prover.estimate import estimate_fold
from ..prover.folding import fold
from ..prover.receipt import encode_receipt
from ..verifier.errors import ZktallyError
from ..verifier.journal import Journal
from ..verifier.policy import Policy
from ..verifier.profiles import FOLDABLE
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
from .chains import AVERAGE, CHAINS, DIGITS, PERCEPTRON, TRAINING
from .machine import describe, forget_peak, peak_memory
from .plots import drawing, plot_succinct
from .timing import cpu_seconds, timed

STEPS = (1, 16, 256, 4096)
"""Of the running average."""

DELTAS = (0.05, 0.007, 0.0012, 0.0001)
"""Of the perceptron: 1, 2, 6 and 16 segments, about."""

CHAIN = 1280
"""Steps of the perceptron: all of their gates are 16 segments."""

OTHERS = ((DIGITS, 1), (DIGITS, 64), (TRAINING, 1), (TRAINING, 64))
"""Networks and steps of which a receipt is made by default, too."""

QUICK_STEPS, QUICK_DELTAS, QUICK_CHAIN = (1, 16), (0.05,), 1
UNKNOWN = ("receipt.non-canonical", "hybrid.unsupported")
"""How a verifier refuses a profile that it does not know."""

ANY: dict[str, Any] = {"any_dataset": True}
"""What both verifiers are told: the data of the training are random."""

RUNS = 3
"""Of the Rust verifier; the median counts."""


class Cell(NamedTuple):
    """What is measured in one process."""

    model: str
    steps: int
    delta: float

    def __str__(self) -> str:
        return f"{self.model}, steps {self.steps}, δ {100 * self.delta:g} %"


def main(args: argparse.Namespace) -> int:
    """Measure the cells, or read rows; lines or Markdown to the output, a table to stderr."""
    return run_cells(args, _measure_all, markdown, table, draw=drawing(args, plot_succinct))


def chosen(args: argparse.Namespace) -> list[Cell]:
    """The cells that the command line asks for."""
    usual = (QUICK_STEPS, QUICK_DELTAS, QUICK_CHAIN) if args.quick else (STEPS, DELTAS, CHAIN)
    steps, deltas, chain = args.steps or usual[0], args.deltas or usual[1], args.chain or usual[2]
    chains = [Cell(AVERAGE, each, DELTAS[0]) for each in steps]
    chains += [Cell(PERCEPTRON, chain, each) for each in deltas]
    asked = args.quick or args.steps or args.deltas or args.chain
    return chains if asked else chains + [Cell(*each, DELTAS[0]) for each in OTHERS]


def _measure_all(args: argparse.Namespace) -> tuple[list[Row], int]:
    cells = [(str(cell), cell._asdict()) for cell in chosen(args)]
    return measure_all(__name__, cells, args, lambda row: f"{row['folding']:.1f} s to fold")


def measure(cell: Cell) -> Row:
    """One row: seconds, bytes, memory of a foldable receipt and of the succinct one made of it."""
    model, run, items = CHAINS[cell.model](cell.steps)
    claims = Claims("hybrid", delta=cell.delta, delta_op=None)
    job = run.job(claims, items, FOLDABLE)
    del run
    row, section, head = _prove(model, job.journal, job.openings)
    segments = row["segments"]
    forget_peak()
    before = cpu_seconds()
    folded, seconds = timed(lambda: fold(model.core, job.journal, section, segments))
    row |= {"folding": seconds, "folding_cpu": cpu_seconds() - before}
    row |= {"folding_peak_bytes": peak_memory(), "proof_bytes": len(folded) - len(head)}
    receipt = encode_receipt(job.program, job.journal, folded)
    plan = estimate_fold(segments, len(receipt) - len(folded) + len(head))
    row |= {
        "foldable_bytes": len(receipt) - len(folded) + len(section),
        "receipt_bytes": len(receipt),
        "output_bytes": len(Journal.decode(job.journal).outputs),
        "program_bytes": len(job.program),
        "estimate": {
            "cpu": plan.cpu_seconds,
            "peak_bytes": plan.memory_bytes,
            "bytes": plan.proof_bytes,
        },
    }
    row |= _judged(receipt, model, Policy(max_delta=cell.delta, outputs_exact=False))
    return cell._asdict() | row | {"machine": describe()}


def _prove(model: CompiledModel, journal: bytes, openings: bytes) -> tuple[Row, bytes, bytes]:
    """The proof section of a foldable receipt, its head, and what it took."""
    forget_peak()
    before = cpu_seconds()

    def prove() -> tuple[_core.HybridProver, list[bytes]]:
        prover = _core.HybridProver(model.core, journal, openings, FOLDABLE)
        return prover, [prover.prove_segment(number)[0] for number in range(prover.segments)]

    (prover, proofs), seconds = timed(prove)
    head = prover.head()
    row = {
        "segments": prover.segments,
        "proving": seconds,
        "proving_cpu": cpu_seconds() - before,
        "proving_peak_bytes": peak_memory(),
    }
    return row, head + b"".join(proofs), head


def _judged(receipt: bytes, model: CompiledModel, policy: Policy) -> Row:
    """Seconds of both verifiers; None of one that does not know such receipts."""
    model_id = model.model_id  # hashed before the clock runs

    def judge(backend: Backend) -> float:
        return timed(lambda: verify(receipt, model_id, policy, backend=backend, **ANY))[1]

    bits = verify(receipt, model_id, policy, **ANY).headline_bits
    row: dict[str, Any] = {"headline_bits": bits, "verify_python": None}
    row["verify_rust"] = statistics.median(judge("rust") for _ in range(RUNS))
    try:
        row["verify_python"] = judge("python")
    except ZktallyError as error:
        if error.code not in UNKNOWN:
            raise
    return row


def _python(row: Row) -> str:
    seconds = row["verify_python"]
    return "" if seconds is None else f"{1e3 * seconds:,.0f}"


CELL: tuple[Column, ...] = (
    *formats(("model", "{}", "model"), ("steps", "{:,}", "steps")),
    ("δ", lambda row: f"{100 * row['delta']:g} %"),
    *formats(("segments", "{}", "segments")),
)
COST_COLUMNS: tuple[Column, ...] = (
    *CELL,
    *formats(("proving", "{:.1f}", "segments s"), ("proving_cpu", "{:.1f}", "CPU")),
    *formats(("folding", "{:.1f}", "folding s"), ("folding_cpu", "{:.1f}", "CPU")),
    ("MB", lambda row: f"{row['proving_peak_bytes'] / 1e6:,.0f}"),
    ("folding MB", lambda row: f"{row['folding_peak_bytes'] / 1e6:,.0f}"),
    ("Rust ms", lambda row: f"{1e3 * row['verify_rust']:,.0f}"),
    ("Python ms", _python),
    *formats(("headline_bits", "{}", "bits")),
)
SIZE_COLUMNS: tuple[Column, ...] = (
    *CELL,
    ("foldable KB", lambda row: f"{row['foldable_bytes'] / 1e3:,.1f}"),
    ("succinct KB", lambda row: f"{row['receipt_bytes'] / 1e3:,.1f}"),
    ("program KB", lambda row: f"{row['program_bytes'] / 1e3:,.1f}"),
    (
        "without outputs KB",
        lambda row: f"{(row['receipt_bytes'] - row['output_bytes']) / 1e3:,.1f}",
    ),
    ("proof KB", lambda row: f"{row['proof_bytes'] / 1e3:,.1f}"),
)


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    return "\n\n".join(
        [text_table(COST_COLUMNS, rows), text_table(SIZE_COLUMNS, rows), *_note(rows)]
    )


def markdown(rows: Sequence[Row]) -> str:
    """The section of docs/figures.md."""
    return "\n\n".join(
        [
            "## Succinct: `zktally bench succinct` (private weights)",
            paragraph(f"{machines_text(rows)}. {_PREFACE}"),
            markdown_table(COST_COLUMNS, rows),
            "![Receipts and verifiers against segments](plots/succinct-segments.png)",
            paragraph(_SIZES),
            markdown_table(SIZE_COLUMNS, rows),
            *map(paragraph, _note(rows)),
        ]
    )


def _note(rows: Sequence[Row]) -> list[str]:
    """What an empty cell means, where there is one."""
    empty = any(row["verify_python"] is None for row in rows)
    return ["Python ms is empty where that verifier refused the profile as unknown."] * empty


_PREFACE = (
    "A chain of a running average, whose steps are as small as steps get; and a perceptron whose "
    "samples are as many as δ asks for; the digits network on 16 images a step; steps of training, "
    "64 images each. Seconds by the clock, and CPU seconds of all threads: to "
    "prove the segments, then to fold them, one run each. MB: at the peak of either. Rust ms, "
    "Python ms: to verify, on all cores."
)
_SIZES = (
    "Bytes of the receipt before and after; of its program, most of which are lookup tables where "
    "there are some. Proof: the outer proof, with 60 bytes for each proof "
    "inside it."
)


if __name__ == "__main__":
    print(json.dumps(measure(Cell(**json.loads(sys.argv[1])))))
