"""zktally resume: go on with a hybrid proof, or help with it."""

from __future__ import annotations

import argparse
from typing import Any

from ..api import resume
from ..prover import Work, claims_of
from ..prover.estimate import estimate_job
from .agreement import Cost, agree
from .proving import (
    add_output_arguments,
    add_worker_arguments,
    at_once,
    check_output,
    make,
)


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "resume",
        help="go on with an interrupted hybrid proof, or help with a running one",
        description="Prove the segments that are still missing in the folder of `prove --work` or "
        "`wrap --work`, and write the receipt. Several processes may do so at once.",
    )
    verb.add_argument("work", metavar="DIR", help="the folder")
    add_worker_arguments(verb)
    add_output_arguments(verb)
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Resume and write; print what was made."""
    check_output(args)
    work = Work(args.work)
    if work.receipt() is None:
        job = work.job()
        whole = estimate_job(claims_of(job), job.profile)
        segments = 0 if whole.stark is None else whole.stark.segments
        agree(args, Cost.of(whole, done=work.done(segments), at_once=at_once(args)))
    return make(
        args,
        lambda show: (
            resume(
                args.work,
                processes=args.processes,
                ray=args.ray,
                patience=args.patience,
                progress=show or False,
            ).data
        ),
    )
