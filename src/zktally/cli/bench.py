"""zktally bench: measure."""

from __future__ import annotations

import argparse
from typing import Any


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser("bench", help="measure cost against model size")
    suites = verb.add_subparsers(dest="suite", required=True, metavar="SUITE")
    fast = suites.add_parser(
        "fast",
        help="the fast mode: float run, integer run, commit, open, verify, bytes, memory",
        description="JSON lines on stdout or in a file, a table on stderr.",
    )
    fast.add_argument("--models", default="mlp,lenet5,cnn264k,dense4m", help="comma-separated")
    fast.add_argument("--batches", default="1,64", help="comma-separated")
    fast.add_argument("--steps", default="1,64", help="comma-separated")
    fast.add_argument("--delta", type=float, default=0.05)
    fast.add_argument(
        "--repeat", type=int, default=5, help="runs of each timing; the median counts"
    )
    fast.add_argument("--threads", type=int, default=0, help="0: all cores")
    fast.add_argument("-o", "--output", help="file for the JSON lines")
    fast.set_defaults(run=run_fast)
    sampling = suites.add_parser(
        "sampling", help="adversaries with known wrong gates: caught at the formula's rates?"
    )
    sampling.add_argument("--trials", type=int, default=400, help="runs of each adversary")
    sampling.add_argument("--tries", type=int, default=1 << 16, help="seeds that a grinder tries")
    sampling.set_defaults(run=run_sampling)
    hashing = suites.add_parser("hash", help="tree building in MB/s, SHA-256 beside it")
    hashing.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="thread counts")
    hashing.set_defaults(run=run_hash)


def run_fast(args: argparse.Namespace) -> int:
    """Run the sweep."""
    from ..bench.fast import main

    return main(args)


def run_hash(args: argparse.Namespace) -> int:
    """Run the hashing rates."""
    from ..bench.hashing import main

    return main(args)


def run_sampling(args: argparse.Namespace) -> int:
    """Run the adversaries."""
    from ..bench.sampling import main

    return main(args)
