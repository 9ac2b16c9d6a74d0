"""zktally wrap: a fast receipt to a hybrid one."""

from __future__ import annotations

import argparse
from typing import Any

from ..api import wrap_fast
from ..display import Display
from ..prover import Job, claims_of
from ..prover.estimate import estimate_job
from ..verifier.cli import read_argument
from ..verifier.receipt import DEFAULT_MAX_SIZE
from .agreement import Cost, agree
from .console import note, paused
from .proving import (
    add_output_arguments,
    add_prover_arguments,
    at_once,
    check_output,
    make,
    options_from,
)


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "wrap",
        help="turn a fast receipt into a hybrid one",
        description="Prove in zero knowledge what a fast receipt shows in the clear. It needs no "
        "model. What was published before stays public.",
    )
    verb.add_argument("receipt", help="a fast receipt (- is stdin)")
    add_prover_arguments(verb)
    verb.add_argument(
        "--max-size",
        type=int,
        default=DEFAULT_MAX_SIZE,
        metavar="BYTES",
        help=f"refuse larger files (default: {DEFAULT_MAX_SIZE})",
    )
    add_output_arguments(verb)
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Wrap and write; print what was made."""
    check_output(args)
    receipt = read_argument(args)
    note(
        "what this fast receipt shows stays public wherever it was handed out: wrapping hides it "
        "only from those who never saw it",
        args.quiet,
    )
    return make(
        args,
        lambda show: wrap_fast(
            receipt, None, options_from(args, show), lambda job: _agree(args, job, show)
        ),
    )


def _agree(args: argparse.Namespace, job: Job, show: Display | None) -> None:
    """Say what the proof will take, once the receipt is judged, and ask where that is much."""
    with paused(show):
        whole = estimate_job(claims_of(job), job.profile)
        agree(args, Cost.of(whole, done=0, at_once=at_once(args)))
