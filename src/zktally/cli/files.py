"""What the command line writes, where `-` is stdout, and data with labels that it reads."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..circuits.files import write_atomically
from ..verifier.cli import read_arrays
from ..verifier.errors import UsageError
from ..verifier.policy import Inputs
from ..verifier.quoting import quoted_path


def refuse_output(path: str, reads: Iterable[str | None], *, force: bool) -> None:
    """Refuse an output, before any work is done, that exists, or that the command reads.

    Raises:
        UsageError: `usage.file-exists` without force; a file that is read is never overwritten.
    """
    if path == "-" or not Path(path).exists():
        return
    if not force:
        raise UsageError(
            f"{quoted_path(path)} exists",
            code="usage.file-exists",
            hint="choose another name, or pass --force",
        )
    for given in reads:
        if given is not None and Path(given).exists() and Path(given).samefile(path):
            raise UsageError(
                f"{quoted_path(path)} is an input of this command",
                hint="write to another file",
            )


def write_output(path: str, data: bytes, *, force: bool) -> None:
    """Write to a file, atomically and never over an existing one unless forced, or to stdout."""
    if path == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        write_atomically(Path(path), data, force=force)


LABELS = "labels"
"""The array of right classes in a file of inputs."""


def read_evaluation(path: str) -> tuple[Inputs, Any]:
    """Inputs from a file, and the labels beside them, if there are any.

    Raises:
        UsageError: the file cannot be read or holds anything but plain arrays.
    """
    data = read_arrays(path)
    return data, data.pop(LABELS, None) if isinstance(data, dict) else None
