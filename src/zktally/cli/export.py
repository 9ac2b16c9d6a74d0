"""zktally export: the model that a finished training run made."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ..hybrid.training.run import finished
from ..verifier.quoting import quoted_path
from .files import is_stdout, refuse_output, write_output


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "export",
        help="write the model that a training run made",
        description="Write the trained model of a finished run as a compiled model. Its id follows "
        "from the run's last receipt; the file holds secrets of the run.",
    )
    verb.add_argument("work", metavar="DIR", help="the folder that `zktally train --work` kept")
    verb.add_argument("-o", "--output", required=True, help=".zkt file to write")
    verb.add_argument("--force", action="store_true", help="overwrite the output")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the model; print its id."""
    refuse_output(args.output, (), force=args.force, work=args.work)
    model = finished(args.work).export()
    write_output(args.output, model.to_bytes(), force=args.force, private=True)
    out = sys.stderr if is_stdout(args.output) else sys.stdout
    print(f"{quoted_path(args.output)}: model id {model.model_id.hex()}", file=out)
    return 0
