"""zktally outputs: show outputs of single steps of a receipt that hides them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from ..prover.outputs import SUFFIX, HeldOutputs
from ..verifier.cli import read_argument
from ..verifier.errors import UsageError
from ..verifier.journal import MAX_STEPS
from ..verifier.quoting import quoted_path, steps_text
from ..verifier.receipt import DEFAULT_MAX_SIZE
from .console import size
from .files import is_stdout, refuse_json_beside, refuse_output, write_output


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "outputs",
        help="show outputs of single steps of a receipt that hides them",
        description="Write a showing: the outputs of some steps, and what it takes to see that the "
        "receipt is bound to them. It tells nothing of outputs of other steps. Where the key of "
        "inputs is published, a guess of the inputs of these steps can be tested. `zktally verify "
        "--shown` judges it.",
    )
    verb.add_argument("receipt", help="a receipt made with --outputs hidden (- is stdin)")
    verb.add_argument(
        "--from",
        dest="held",
        metavar="FILE",
        help=f"the secret file that was written with it (the receipt's name with {SUFFIX})",
    )
    verb.add_argument(
        "--step",
        action="append",
        required=True,
        metavar="N[-M]",
        help="a step of the run, or all from N to M (again: more of them)",
    )
    verb.add_argument("-o", "--output", required=True, help="the showing to write (- is stdout)")
    verb.add_argument("--force", action="store_true", help="overwrite the output")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.add_argument(
        "--max-size",
        type=int,
        default=DEFAULT_MAX_SIZE,
        metavar="BYTES",
        help=f"refuse larger receipts (default: {DEFAULT_MAX_SIZE})",
    )
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the showing; print what it is."""
    if args.held is None and args.receipt == "-":
        raise UsageError("the receipt comes from stdin", expected="--from FILE")
    held = args.held or f"{args.receipt}{SUFFIX}"
    steps = sorted({step for text in args.step for step in _steps(text)})
    refuse_output(args.output, [args.receipt, held], force=args.force)
    refuse_json_beside(args)
    showing = HeldOutputs.load(held).show(read_argument(args), steps)
    write_output(args.output, showing, force=args.force)
    if args.json:
        fields = {
            "format": "zktally.outputs-shown/1",
            "showing": args.output,
            "steps": steps,
            "bytes": len(showing),
        }
        print(json.dumps(fields, sort_keys=True))
    elif not is_stdout(args.output):
        named = f"step{'s' if len(steps) > 1 else ''} {steps_text(tuple(steps))}"
        print(f"{quoted_path(args.output)}: outputs of {named}, {size(len(showing))}")
    return 0


def _steps(text: str) -> Iterator[int]:
    """The numbers of `N` or `N-M`.

    Raises:
        UsageError: it is neither, or more steps than a receipt has.
    """
    first, dash, last = text.partition("-")
    if len(text) > 32 or not first.isdecimal() or (dash and not last.isdecimal()):
        raise UsageError("--step is no step", expected="N, or N-M", received=text)
    start, end = int(first), int(last or first)
    if not start <= end < start + MAX_STEPS:
        raise UsageError("--step ends before it begins, or is too long", received=text)
    yield from range(start, end + 1)
