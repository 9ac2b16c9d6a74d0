"""zktally verify: judge a receipt against what the caller expects."""

from __future__ import annotations

import argparse
from typing import Any

from ..api import judge
from ..verifier.cli import add_verify_arguments, expectations_from, print_verified, read_argument


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "verify",
        help="judge a receipt",
        description="Judge a receipt. What is expected comes from the command line, never from it.",
    )
    add_verify_arguments(verb)
    verb.add_argument(
        "--backend",
        choices=("rust", "python"),
        default="rust",
        help="which of the two independent verifiers (default: rust)",
    )
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Verify; print the verdict in words or JSON."""
    expectations = expectations_from(args)
    print_verified(args, judge(read_argument(args), expectations, args.backend))
    return 0
