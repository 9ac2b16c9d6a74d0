"""zktally aggregate: many foldable receipts in one file, under one proof."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from ..aggregates import Aggregate, aggregate_foldable
from ..prover import silent
from ..prover.aggregating import Named
from ..verifier.errors import UsageError
from ..verifier.quoting import listed, quoted_path
from ..verifier.receipt import read_receipt
from ..verifier.verified import counted
from .acceptance import command_of_aggregate
from .console import progress, size
from .files import is_stdout, refuse_json_beside, refuse_outputs, write_output
from .folding import add_folding_arguments, agree_to_fold, workers_of


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "aggregate",
        help="put many foldable receipts in one file, under one proof",
        description="Prove that the proofs of all segments of several foldable receipts verify, "
        "and put their statements in one file with that one proof. It needs neither models nor "
        "data: whoever holds the receipts can do it, and their statements stay the same.",
    )
    verb.add_argument("receipts", nargs="+", help="foldable receipts (- is stdin)")
    add_folding_arguments(verb)
    verb.set_defaults(run=run, work=None)


def run(args: argparse.Namespace) -> int:
    """Aggregate and write; print what was made."""
    refuse_outputs([args.output], args.receipts, force=args.force)
    refuse_json_beside(args)
    workers = workers_of(args)
    if args.receipts.count("-") > 1:
        raise UsageError("stdin is one receipt", expected="- once", received=listed(args.receipts))
    receipts = [Named(quoted_path(p), read_receipt(p, args.max_size)) for p in args.receipts]
    start = time.perf_counter()
    with progress(args.quiet) as show:
        made = aggregate_foldable(
            receipts,
            show or silent,
            args.threads,
            lambda cost: agree_to_fold(args, cost, show),
            workers,
        )
    seconds = time.perf_counter() - start
    write_output(args.output, made, force=args.force)
    _report(args, Aggregate(made), seconds)
    return 0


def _report(args: argparse.Namespace, made: Aggregate, seconds: float) -> None:
    receipts, length = made.receipts, len(made.data)
    models = list(dict.fromkeys(each.model_id.hex() for each in receipts))
    if args.json:
        fields = {
            "format": "zktally.aggregate/1",
            "aggregate": args.output,
            "receipts": len(receipts),
            "model_ids": models,
            "steps": sum(each.steps for each in receipts),
            "bytes": length,
            "seconds": seconds,
        }
        print(json.dumps(fields, sort_keys=True))
    elif not is_stdout(args.output):
        of = f"{counted(len(receipts), 'receipt')} of {counted(len(models), 'model')}"
        print(f"{quoted_path(args.output)}: {of}, {size(length)}, {seconds:.2f} s")
        print(f"check it with: {command_of_aggregate(made, args.output)}")
