"""What the command line writes; `-` is stdout."""

from __future__ import annotations

import sys
from pathlib import Path

from ..circuits.files import write_atomically


def write_output(path: str, data: bytes, *, force: bool) -> None:
    """Write to a file, atomically and never over an existing one unless forced, or to stdout."""
    if path == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        write_atomically(Path(path), data, force=force)
