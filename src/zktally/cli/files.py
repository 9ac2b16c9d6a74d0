"""What the command line writes, as the verifier's does, and data with labels that it reads."""

from __future__ import annotations

import argparse
from typing import Any

from ..verifier.cli import read_arrays
from ..verifier.errors import UsageError
from ..verifier.policy import Inputs
from ..verifier.targets import is_stdout as is_stdout
from ..verifier.targets import is_stream as is_stream
from ..verifier.targets import refuse_output as refuse_output
from ..verifier.targets import refuse_outputs as refuse_outputs
from ..verifier.targets import write_output as write_output


def refuse_json_beside(args: argparse.Namespace) -> None:
    """Refuse that an output and JSON both go to stdout."""
    if args.json and is_stdout(args.output):
        raise UsageError(f"--json and -o {args.output} would both go to stdout")


LABELS = "labels"
"""The array of right classes in a file of inputs."""


def read_evaluation(path: str) -> tuple[Inputs, Any]:
    """Inputs from a file, and the labels beside them, if there are any.

    Raises:
        UsageError: the file cannot be read or holds anything but plain arrays.
    """
    data = read_arrays(path)
    return data, data.pop(LABELS, None) if isinstance(data, dict) else None
