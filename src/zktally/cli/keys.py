"""Keys in files: of a model's weights, and of a data set. Each is 8 field elements in 32 bytes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..circuits.files import read_limited, write_atomically
from ..circuits.model import KEY_BYTES, is_key
from ..verifier.dataset import PUBLIC_KEY
from ..verifier.errors import UsageError
from ..verifier.quoting import quoted_path
from .console import warn

_LONGEST = 256
"""Bytes of a key file at most."""


def read_key(path: str | None) -> bytes:
    """The key of a data set in a file; of a public one without.

    Raises:
        UsageError: `usage.unreadable`, the file holds no key.
    """
    if path is None:
        return PUBLIC_KEY
    key = _key_in(path, "a data set")
    if _open_to_others(path):
        warn(f"{quoted_path(path)} can be read by others on this machine: chmod 600 it")
    return key


def read_weights_key(path: str) -> bytes:
    """The key of a private model in a file that nobody else can read.

    Raises:
        UsageError: `usage.unreadable`, it holds no key, a public one, or others can read it.
    """
    key = _key_in(path, "a model")
    if key == PUBLIC_KEY:
        raise UsageError(
            f"{quoted_path(path)} holds zeros, the key of a public model",
            hint="compile with --public, or draw a key with --new-key",
        )
    if _open_to_others(path):
        raise UsageError(
            f"{quoted_path(path)} can be read by others on this machine",
            code="usage.unreadable",
            hint="whoever may have read it can test guesses of the weights: draw a new key, or "
            "chmod 600 it if nobody has",
        )
    return key


def keep_key(path: str, key: bytes) -> None:
    """Write a key to a new file for its owner only.

    Raises:
        UsageError: `usage.file-exists`, `usage.unwritable`.
    """
    write_atomically(path, key.hex().encode() + b"\n", private=True)


def _key_in(path: str, of: str) -> bytes:
    """The key in a file: 64 hexadecimal digits, or 32 bytes."""
    data = read_limited(path, _LONGEST)
    key = data
    if len(data) != KEY_BYTES:
        try:
            key = bytes.fromhex(data.decode("ascii"))
        except ValueError:
            key = b""
    if not is_key(key):
        raise UsageError(
            f"{quoted_path(path)} holds no key of {of}",
            code="usage.unreadable",
            expected="64 hexadecimal digits or 32 bytes: 8 field elements, as --new-key draws them",
            received=f"{len(data)} bytes of something else",
        )
    return key


def _open_to_others(path: str) -> bool:
    """Whether others may read a file, on systems that know."""
    return os.name == "posix" and bool(Path(path).stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
