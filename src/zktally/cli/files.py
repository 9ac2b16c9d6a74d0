"""Arrays and receipts from files; `-` is stdin or stdout."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np

from ..circuits.files import write_atomically
from ..verifier.errors import UsageError


def read_arrays(path: str) -> dict[str, np.ndarray] | np.ndarray:
    """The arrays of an .npz file by name, or the one array of an .npy file.

    Raises:
        UsageError: the file cannot be read or holds anything but plain arrays.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"cannot read arrays from {path}",
            code="usage.unreadable",
            expected="an .npz or .npy file of plain numeric arrays",
            received=error,
            hint="write it with numpy.savez(path, input_name=array)",
        ) from None


def write_output(path: str, data: bytes, *, force: bool) -> None:
    """Write to a file, atomically and never over an existing one unless forced, or to stdout."""
    if path == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        write_atomically(Path(path), data, force=force)
