"""Keys in files: of the weights of models, 32 bytes; of a data set, 8 field elements in 32 bytes.

A file is of one or the other: the key of a data set is handed to whoever computes the root again,
and whoever has the key of weights can test guesses of them.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..circuits.files import read_limited, write_atomically
from ..circuits.keys import OF_DATA, OF_WEIGHTS, PUBLIC_KEY, is_key, key_in, key_text
from ..verifier.errors import UsageError
from ..verifier.quoting import quoted, quoted_path
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
    key = _key_in(path, OF_DATA)
    if not is_key(key):
        raise UsageError(
            f"{quoted_path(path)} holds no key of a data set",
            code="usage.unreadable",
            expected="8 field elements, as dataset-root --new-key draws them",
            received="32 bytes, not all of which are below the field's modulus",
        )
    if _open_to_others(path):
        warn(f"{quoted_path(path)} is open to others on this machine: chmod 600 it")
    return key


def read_weights_key(path: str) -> bytes:
    """The key of private weights in a file that nobody else can read or change.

    Raises:
        UsageError: `usage.unreadable`, it holds no key, a public one, that of a data set, or others
            can read or write it.
    """
    key = _key_in(path, OF_WEIGHTS)
    if key == PUBLIC_KEY:
        raise UsageError(
            f"{quoted_path(path)} holds zeros, the key of a public model",
            hint="compile with --public, or draw a key with --new-key",
        )
    if _open_to_others(path):
        raise UsageError(
            f"{quoted_path(path)} can be read or changed by others on this machine",
            code="usage.unreadable",
            hint="whoever knows it can test guesses of the weights: draw a new key, or chmod 600 "
            "it if nobody has read or written it",
        )
    return key


def keep_key(path: str, key: bytes, of: str) -> None:
    """Write a key to a new file for its owner only.

    Args:
        path: of the file.
        key: 32 bytes.
        of: what it is a key of, `OF_DATA` or `OF_WEIGHTS`.

    Raises:
        UsageError: `usage.file-exists`, `usage.unwritable`.
    """
    write_atomically(path, key_text(key, of), private=True)


def _key_in(path: str, of: str) -> bytes:
    """The key in a file, which is not of something else.

    Raises:
        UsageError: `usage.unreadable`.
    """
    data = read_limited(path, _LONGEST)
    key, marked = key_in(data)
    if key is None:
        raise UsageError(
            f"{quoted_path(path)} holds no key of {of}",
            code="usage.unreadable",
            expected="64 hexadecimal digits or 32 bytes, as --new-key draws them",
            received=f"{len(data)} bytes of something else",
        )
    if marked not in (None, of):
        raise UsageError(
            f"{quoted_path(path)} holds no key of {of}: it says that it is of {quoted(marked)}",
            code="usage.unreadable",
            hint="draw a key for each with --new-key: the key of a data set is given to others, "
            "and that of weights to nobody",
        )
    return key


def _open_to_others(path: str) -> bool:
    """Whether others may read or write a file, on systems that know."""
    others = stat.S_IRGRP | stat.S_IROTH | stat.S_IWGRP | stat.S_IWOTH
    return os.name == "posix" and bool(Path(path).stat().st_mode & others)
