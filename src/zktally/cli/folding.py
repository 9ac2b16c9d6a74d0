"""What the verbs that fold proofs share: their arguments, and the question before the work."""

from __future__ import annotations

import argparse
from typing import Any

from ..api import MAX_THREADS, folding_workers
from ..circuits.arguments import whole
from ..display import Display
from ..prover.estimate import FoldEstimate
from ..prover.workers import Workers
from ..verifier.receipt import DEFAULT_MAX_SIZE
from .agreement import Cost, agree
from .console import paused
from .proving import add_output_arguments, add_worker_arguments, at_once


def add_folding_arguments(verb: Any) -> None:
    """Add what is folded with, how large a receipt may be, and where the result goes."""
    verb.add_argument(
        "--threads", type=int, default=0, metavar="N", help="to prove with (all cores)"
    )
    verb.add_argument(
        "--max-size",
        type=int,
        default=DEFAULT_MAX_SIZE,
        metavar="BYTES",
        help=f"refuse larger files (default: {DEFAULT_MAX_SIZE})",
    )
    add_worker_arguments(verb)
    add_output_arguments(verb)


def workers_of(args: argparse.Namespace) -> Workers:
    """Who proves the nodes.

    Raises:
        UsageError: a number that is none; threads that are negative, or more than a machine has.
    """
    whole(args.threads, "threads", 0, MAX_THREADS)
    return folding_workers(args.threads, args.processes, args.ray, args.patience)


def agree_to_fold(args: argparse.Namespace, folding: FoldEstimate, show: Display | None) -> None:
    """Say what it will take, once what is folded is judged, and ask where that is much."""
    with paused(show):
        agree(args, Cost.of_folding(folding, at_once(args)))
