"""zktally verify: judge a receipt against what the caller expects."""

from __future__ import annotations

import argparse
from typing import Any

from ..api import verify as judge
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
    expected = expectations_from(args)
    verified = judge(
        read_argument(args),
        expected.model_id,
        expected.policy,
        inputs=expected.inputs,
        input_root=expected.input_root,
        initial_state=expected.initial_state,
        audience=expected.audience,
        nonce=expected.nonce,
        backend=args.backend,
    )
    print_verified(args, verified)
    return 0
