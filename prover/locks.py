"""A file that one process holds at a time; the system frees it however that process ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..verifier.errors import UsageError
from ..verifier.quoting import quoted_path

_FAR = 1 << 30
"""The byte that is locked where locks keep others from reading: behind all that is written."""

_LONGEST = 32
"""Bytes of the number of a process, and more."""


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """The file, made if need be for its owner only, as a descriptor.

    Raises:
        UsageError: `usage.unwritable`.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise UsageError(
            f"cannot write {quoted_path(path)}: {error.strerror or error}", code="usage.unwritable"
        ) from error
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def held_alone(path: Path, what: str) -> Iterator[None]:
    """Hold a file for as long as the context lasts; it names this process meanwhile.

    Raises:
        UsageError: `usage.busy`, another process holds it; `usage.file-exists`, it is a file of
            something else; `usage.unwritable`.
    """
    with opened(path) as handle:
        held = not acquire(handle, wait=False)
        number = os.read(handle, _LONGEST).decode("ascii", "replace").removesuffix("\n")
        if held:
            raise UsageError(
                f"another process {what}",
                code="usage.busy",
                received=f"process {number}" if number.isdecimal() else "a process",
                hint="wait until it is done, or end it",
            )
        if number and not number.isdecimal():
            raise UsageError(
                f"{quoted_path(path)} is there, and no lock of ours",
                code="usage.file-exists",
                hint="use another folder",
            )
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield


if sys.platform == "win32":
    import msvcrt
    import time

    def acquire(handle: int, *, wait: bool) -> bool:
        """Take the lock of a descriptor, until it is closed; whether that was possible."""
        while True:
            os.lseek(handle, _FAR, os.SEEK_SET)
            try:
                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
                return True
            except OSError:
                if not wait:
                    return False
                time.sleep(0.2)
            finally:
                os.lseek(handle, 0, os.SEEK_SET)

else:
    import fcntl

    def acquire(handle: int, *, wait: bool) -> bool:
        """Take the lock of a descriptor, until it is closed; whether that was possible."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True
