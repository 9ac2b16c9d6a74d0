"""Whole files, read and written at once: a reader never sees half of one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .errors import UsageError
from .kinds import NPY, NPZ, what_is_at
from .quoting import quoted_path

Array = np.ndarray[Any, np.dtype[Any]]


def write_atomically(
    path: str | Path, data: bytes, *, force: bool = False, private: bool = False
) -> None:
    """Write a file through a temporary one in the same folder; nothing is left behind on failure.

    A private file is for its owner only, at all times.

    Raises:
        UsageError: `usage.file-exists` if there is a file already and not `force`;
            `usage.unwritable` if the folder is missing, not writable or full.
    """
    target = Path(path)
    if target.exists() and not force:
        raise _exists(target)
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o600 if private else 0o666 & ~_umask())
        if force:
            temporary.replace(target)
        else:
            os.link(temporary, target)  # fails if the file has come into being since
    except FileExistsError as error:
        raise _exists(target) from error
    except OSError as error:
        raise UsageError(
            f"cannot write {quoted_path(target)}: {error.strerror or error}",
            code="usage.unwritable",
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()


def read_limited(path: str | Path, limit: int) -> bytes:
    """Read a file of at most `limit` bytes.

    Raises:
        UsageError: `usage.unreadable` if it is missing, unreadable or larger.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise unreadable(path, error) from error
    if len(data) > limit:
        raise UsageError(
            f"{quoted_path(path)} is too large",
            code="usage.unreadable",
            expected=f"at most {limit} bytes",
        )
    return data


def unreadable(path: str | os.PathLike[str], error: OSError) -> UsageError:
    """The error for a file that cannot be read; a folder is called one on every system."""
    why = "it is a folder" if Path(path).is_dir() else error.strerror or error
    return UsageError(f"cannot read {quoted_path(path)}: {why}", code="usage.unreadable")


def read_arrays(path: str | os.PathLike[str]) -> Array | dict[str, Array]:
    """The arrays of an .npz file by name, or the one array of an .npy file.

    Raises:
        UsageError: the file cannot be read or holds anything but plain arrays.
    """
    try:
        with Path(path).open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            with loaded:
                return {name: loaded[name] for name in loaded.files}
    # Of damaged bytes comes whatever numpy, zipfile, zlib and a tokenizer raise, and MemoryError
    # where a header promises more than there is room for.
    except Exception as error:
        kind = what_is_at(path)
        is_held = isinstance(error, FileNotFoundError) or kind in (NPZ, NPY)
        raise UsageError(
            f"cannot read arrays from {quoted_path(path)}",
            code="usage.unreadable",
            expected="an .npz or .npy file of plain arrays, without pickles",
            received=error if is_held else kind,
            hint="write it with numpy.savez(path, input_name=array)",
        ) from error


def _exists(target: Path) -> UsageError:
    return UsageError(
        f"{quoted_path(target)} exists already",
        code="usage.file-exists",
        hint="choose another name, or force",
    )


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
