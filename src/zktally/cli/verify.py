"""zktally verify: judge a receipt against what the caller expects."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..aggregates import judge_all
from ..api import judge
from ..circuits.model import CompiledModel, is_model_file
from ..verifier import cli


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "verify",
        help="judge a receipt",
        description="Judge a receipt, the receipts of one run, or an aggregate. What is expected "
        "comes from the command line, never from them.",
    )
    cli.add_verify_arguments(verb)
    add_backend(verb)
    verb.set_defaults(run=run)


def add_backend(verb: Any) -> None:
    """Add the choice of the verifier."""
    verb.add_argument(
        "--backend",
        choices=("rust", "python"),
        default="rust",
        help="which of the two independent verifiers (default: rust)",
    )


def run(args: argparse.Namespace) -> int:
    """Verify; print the verdict in words or JSON."""
    if args.exported is not None and is_model_file(Path(args.exported)):
        args.also_read = (args.exported,)
        args.exported = CompiledModel.load(args.exported).checked.id.hex()
    backend = args.backend
    cli.run(
        args,
        lambda receipt, expected: judge(receipt, expected, backend),
        lambda aggregate, expected: judge_all(aggregate, expected, backend),
        backend,
    )
    return 0
