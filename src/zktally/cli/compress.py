"""zktally compress: a foldable receipt to a succinct one."""

from __future__ import annotations

import argparse
from typing import Any

from ..api import MAX_THREADS, compress_foldable
from ..circuits.arguments import whole
from ..display import Display
from ..prover import silent
from ..prover.estimate import FoldEstimate
from ..verifier.cli import read_argument
from ..verifier.receipt import DEFAULT_MAX_SIZE
from .agreement import Cost, agree
from .console import paused
from .proving import add_output_arguments, check_output, make


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "compress",
        help="turn a foldable receipt into a succinct one",
        description="Prove that the proofs of all segments of a foldable receipt verify, and put "
        "that one small proof in their place. It needs neither model nor data: whoever holds the "
        "receipt can do it, and its statement stays the same.",
    )
    verb.add_argument("receipt", help="a foldable receipt (- is stdin)")
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
    add_output_arguments(verb)
    verb.set_defaults(run=run, work=None)


def run(args: argparse.Namespace) -> int:
    """Compress and write; print what was made."""
    check_output(args)
    whole(args.threads, "threads", 0, MAX_THREADS)
    receipt = read_argument(args)
    return make(
        args,
        lambda show: compress_foldable(
            receipt, show or silent, args.threads, lambda cost: _agree(args, cost, show)
        ),
    )


def _agree(args: argparse.Namespace, folding: FoldEstimate, show: Display | None) -> None:
    """Say what it will take, once the receipt is judged, and ask where that is much."""
    with paused(show):
        agree(args, Cost.of_folding(folding))
