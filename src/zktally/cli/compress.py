"""zktally compress: a foldable receipt to a succinct one."""

from __future__ import annotations

import argparse
from typing import Any

from ..api import compress_foldable
from ..prover import silent
from ..verifier.cli import read_argument
from .folding import add_folding_arguments, agree_to_fold, workers_of
from .proving import check_output, make


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
    add_folding_arguments(verb)
    verb.set_defaults(run=run, work=None)


def run(args: argparse.Namespace) -> int:
    """Compress and write; print what was made."""
    check_output(args)
    workers = workers_of(args)
    receipt = read_argument(args)
    return make(
        args,
        lambda show: compress_foldable(
            receipt,
            show or silent,
            args.threads,
            lambda cost: agree_to_fold(args, cost, show),
            workers,
        ),
    )
