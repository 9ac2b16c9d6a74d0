"""zktally bench workers: the same succinct receipt by one process on all cores, on one, by several.

Each way runs in a process of its own, one after the other and again in turn; the least time of each
counts.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from ..prover import Claims, ProverOptions, prove_job
from ..prover.progress import FOLDING, SEGMENTS
from ..prover.workers import Worker, Workers
from ..prover.workers.options import cores
from ..prover.workers.process import Process, Processes
from ..prover.workers.task import Task
from ..verifier.profiles import SUCCINCT
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
from .chains import perceptron
from .machine import describe, forget_peak, peak_memory
from .succinct import CHAIN

DELTA, QUICK_DELTA = 0.0022, 0.007
"""of a perceptron over a chain: 4 and 2 segments, about."""


class Way(NamedTuple):
    """Who proves: so many processes of so many threads, of which 0 are all; and what."""

    processes: int
    threads: int
    delta: float
    steps: int

    def __str__(self) -> str:
        return f"{self.processes} × {self.threads or 'all'}"


def main(args: argparse.Namespace) -> int:
    """Measure all ways, or read rows; lines or Markdown to the output, a table to stderr."""
    return run_cells(args, _measure_all, markdown, table)


def chosen(args: argparse.Namespace) -> list[Way]:
    """What the command line asks for, in the order in which it is measured."""
    delta = args.delta or (QUICK_DELTA if args.quick else DELTA)
    who = [(1, 0), (1, 1), (args.processes or cores(), 1)] * args.repeat
    return [Way(*each, delta, args.chain or CHAIN) for each in who]


def _measure_all(args: argparse.Namespace) -> tuple[list[Row], int]:
    cells = [(str(way), way._asdict()) for way in chosen(args)]
    return measure_all(__name__, cells, args, lambda row: f"{row['seconds']:.1f} s")


@dataclass(frozen=True)
class _Weighed(Workers):
    """Processes whose memory is told at the end."""

    peaks: list[int] = field(default_factory=list)

    def fleet(self, task: Task) -> _Fleet:
        assert self.processes is not None
        return _Fleet(task, self.processes, self.threads, peaks=self.peaks)


@dataclass(frozen=True)
class _Fleet(Processes):
    peaks: list[int] = field(default_factory=list)

    def start(self) -> Worker:
        return _Weigher(self, self.peaks)


class _Weigher(Process):
    """A process that is weighed after each of its proofs."""

    def __init__(self, fleet: Processes, peaks: list[int]) -> None:
        super().__init__(fleet.task, fleet.threads, fleet.patience)
        self._peaks = peaks

    def prove(self, number: int, share: bytes) -> bytes:
        proof = super().prove(number, share)
        self._peaks.append(peak_memory(self.pid))
        return proof


def measure(way: Way) -> Row:
    """One row: seconds and memory of one way to the receipt."""
    if way.threads and way.processes == 1:
        os.environ["RAYON_NUM_THREADS"] = str(way.threads)  # before the core starts its own
    model, run, items = perceptron(way.steps)
    job = run.job(Claims("hybrid", delta=way.delta, delta_op=None), items, SUCCINCT)
    del run
    begun: dict[str, float] = {}
    counts: dict[str, int] = {}

    def told(phase: str, _done: int, total: int) -> None:
        begun.setdefault(phase, time.perf_counter())
        counts[phase] = total

    peaks: list[int] = []
    alone = way.processes == 1
    workers = Workers() if alone else _Weighed(way.processes, threads=way.threads, peaks=peaks)
    forget_peak()
    start, before = time.perf_counter(), _cpu_seconds()
    prove_job(job, None, model.core, ProverOptions(progress=told, workers=workers, succinct=True))
    end = time.perf_counter()
    return way._asdict() | {
        "segments": counts[SEGMENTS],
        "proofs": counts[FOLDING],
        "proving": begun[FOLDING] - start,
        "folding": end - begun[FOLDING],
        "seconds": end - start,
        "cpu": _cpu_seconds() - before,
        "peak_bytes": peak_memory(),
        "worker_peak_bytes": max(peaks, default=None),
        "machine": describe(),
    }


def _cpu_seconds() -> float:
    """What this process and its workers that have ended have computed so far."""
    return sum(os.times()[:4])


def fastest(rows: Sequence[Row]) -> list[Row]:
    """The quickest row of each way, with how many times as fast as one thread it was."""
    least: dict[tuple[int, int], Row] = {}
    for row in rows:
        way = (row["processes"], row["threads"])
        if way not in least or row["seconds"] < least[way]["seconds"]:
            least[way] = row
    single = least.get((1, 1))
    return [row | {"ratio": _ratio(single, row)} for row in least.values()]


def _ratio(single: Row | None, row: Row) -> float | None:
    return None if single is None else single["seconds"] / row["seconds"]


def _optional(key: str, form: str, unit: float, row: Row) -> str:
    return "" if row[key] is None else format(row[key] / unit, form)


COLUMNS: tuple[Column, ...] = (
    ("processes × threads", lambda row: f"{row['processes']} × {row['threads'] or 'all'}"),
    *formats(("segments", "{}", "segments"), ("proofs", "{}", "nodes")),
    *formats(("proving", "{:.1f}", "segments s"), ("folding", "{:.1f}", "folding s")),
    *formats(("seconds", "{:.1f}", "sum s"), ("cpu", "{:.1f}", "CPU s")),
    ("times 1 × 1", partial(_optional, "ratio", ".2f", 1.0)),
    ("MB", lambda row: f"{row['peak_bytes'] / 1e6:,.0f}"),
    ("MB a worker", partial(_optional, "worker_peak_bytes", ",.0f", 1e6)),
)


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    return text_table(COLUMNS, fastest(rows))


def markdown(rows: Sequence[Row]) -> str:
    """The section of docs/figures.md."""
    return "\n\n".join(
        [
            "## Workers: `zktally bench workers` (private weights)",
            paragraph(f"{machines_text(rows)}. {_PREFACE}"),
            markdown_table(COLUMNS, fastest(rows)),
        ]
    )


_PREFACE = (
    "The same succinct receipt of a perceptron over a chain, by one process on all cores and on "
    "one thread, and by several processes of one thread each. Seconds to prove the segments, then "
    "to fold them, the least of all runs; nodes: the outer proof among them; CPU s: of all threads "
    "and processes; times 1 × 1: how many times as fast as on one thread. "
    "MB: at the peak of the process that was started, and of the largest of its workers. The last "
    "node and the outer proof are proven by the first process, on all cores."
)


if __name__ == "__main__":
    print(json.dumps(measure(Way(**json.loads(sys.argv[1])))))
