"""Before long work: what it will take, and a question where that is much."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..prover.estimate import FoldEstimate, JobEstimate
from ..verifier.errors import UsageError
from .console import note, size
from .machine import cores, free_memory

LONG = 600.0
"""Seconds of work that nobody is asked about."""

MEASURED_CORES = 2
"""For which estimates give seconds."""


@dataclass(frozen=True)
class Cost:
    """What some work will take.

    Attributes:
        seconds: on two cores.
        memory_bytes: at the peak.
        proof_bytes: of all receipts.
        segments: to prove; None of fast receipts.
        segment_seconds: of each, on two cores.
        folding: what folding the proofs of segments takes; None where that is not asked for.
    """

    seconds: float
    memory_bytes: int
    proof_bytes: int
    segments: int | None
    segment_seconds: float = 0.0
    folding: FoldEstimate | None = None

    @classmethod
    def of(cls, job: JobEstimate, done: int | None = None, at_once: int = 1) -> Cost:
        """Of a job, of whose segments some may be done; then its run is, too.

        `at_once`: segments that are proven on this machine at the same time.
        """
        if job.stark is None:
            return cls(job.seconds, job.memory_bytes, job.proof_bytes, None)
        each, folding = job.stark.segment_seconds, job.stark.folding
        left = job.stark.segments - (done or 0)
        run = job.run.seconds if done is None else 0.0
        memory = max(
            job.memory_bytes if done is None else 0,
            job.stark.memory_bytes * min(at_once, max(1, left)),
        )
        seconds = run + left * each + (folding.seconds if folding else 0.0)
        return cls(seconds, memory, job.proof_bytes, left, each, folding)

    @classmethod
    def of_folding(cls, folding: FoldEstimate, at_once: int = 1) -> Cost:
        """Of foldable receipts that are folded, so many nodes at the same time."""
        memory = folding.memory_bytes * min(at_once, folding.most_at_once)
        return cls(folding.seconds, memory, folding.proof_bytes, None, folding=folding)

    def text(self) -> str:
        """In words."""
        segments = ""
        if self.segments is not None:
            some = "1 segment" if self.segments == 1 else f"{self.segments:,} segments"
            segments = f"{some} to prove{' and to fold' if self.folding else ''}: "
        elif self.folding:
            segments = f"{self.folding.proofs} proofs of proofs to make: "
        return (
            f"{segments}about {duration(self.seconds)} on two cores, {size(self.memory_bytes)} of "
            f"memory and {size(self.proof_bytes)} of receipt, within a factor of 2"
        )

    @property
    def seconds_here(self) -> float:
        """With the cores of this machine, as if each were worth as much."""
        return self.seconds * MEASURED_CORES / max(1, cores())


def bounded(job: JobEstimate, keep_bytes: int) -> JobEstimate:
    """A job whose traces are kept up to so many bytes; those beyond are executed again."""
    beyond = max(0, job.run.trace_bytes - keep_bytes)
    memory = max(job.run.memory_bytes - 3 * beyond, 0)
    return replace(job, run=replace(job.run, memory_bytes=memory))


def together(jobs: Sequence[JobEstimate]) -> Cost:
    """Jobs one after the other."""
    costs = [Cost.of(job) for job in jobs]
    proven = [cost for cost in costs if cost.segments is not None]
    segments = sum(cost.segments or 0 for cost in proven)
    seconds = sum(cost.segment_seconds * (cost.segments or 0) for cost in proven)
    return Cost(
        sum(cost.seconds for cost in costs),
        max(cost.memory_bytes for cost in costs),
        sum(cost.proof_bytes for cost in costs),
        segments if proven else None,
        seconds / max(1, segments),
    )


def add_yes(verb: Any) -> None:
    """Add the option by which nobody is asked."""
    verb.add_argument(
        "-y",
        "--yes",
        action="store_true",
        help="do not ask before work of more than ten minutes, or of more memory than is free",
    )


def agree(args: argparse.Namespace, cost: Cost) -> None:
    """Say what the work will take, and ask where that is much.

    Raises:
        UsageError: `usage.long`: the answer is no, or there is nobody to ask, and no --yes.
    """
    note(cost.text(), args.quiet)
    why = _much(cost)
    if args.yes or not why:
        return
    if sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty():
        print(f"this would take {why}: {cost.text()}\ngo on? [y/N] ", end="", file=sys.stderr)
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
        raise UsageError("not begun", code="usage.long", expected="y", received="another answer")
    raise UsageError(
        f"this would take {why}, and nobody is here to be asked",
        code="usage.long",
        expected="--yes",
        received=cost.text(),
        hint="pass --yes if that is meant",
    )


def _much(cost: Cost) -> str:
    """What of it is much, in words; nothing where nothing is."""
    free, found = free_memory(), []
    if cost.seconds_here > LONG:
        found.append(f"about {duration(cost.seconds_here)} here")
    if free is not None and cost.memory_bytes > free:
        found.append(f"{size(cost.memory_bytes)} of memory where {size(free)} are free")
    return " and ".join(found)


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
