"""Where a command line writes: new files, old ones if forced, and streams, where `-` is stdout."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

from .errors import UsageError
from .files import write_atomically
from .quoting import quoted_path

STDOUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def is_stdout(path: str) -> bool:
    """Whether a name stands for stdout, so that nothing else may be printed there."""
    return path in STDOUT


def is_stream(path: str) -> bool:
    """Whether bytes go there as they come: stdout, a named pipe, a device. It is never replaced."""
    if is_stdout(path) or path.startswith(("/dev/fd/", "/proc/self/fd/")):
        return True
    mode = _mode(path)
    return mode is not None and (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode))


def refuse_output(
    path: str, reads: Iterable[str | None], *, force: bool, work: str | None = None
) -> None:
    """Refuse an output before any work is done, where writing it would fail or destroy something.

    Args:
        path: to be written.
        reads: the files that the command reads; none of them is overwritten, by whatever name.
        force: whether a file that is there is to be replaced.
        work: a folder that the command keeps its work in; outputs do not go there.

    Raises:
        UsageError: `usage.file-exists` without force; `usage.unwritable`, a folder, or no such
            folder, or one that cannot be written to; the output is an input.
    """
    mode = None if is_stdout(path) else _mode(path)
    # A descriptor (/dev/fd/5) may be that of an ordinary file, an input among them.
    if mode is not None and stat.S_ISREG(mode):
        _refuse_input(path, reads)
    if is_stream(path):
        return
    if mode is not None and not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "no ordinary file"
        raise _unwritable(f"{quoted_path(path)} is {what}", "name a file to write")
    if os.path.lexists(path) and not force:
        raise UsageError(
            f"{quoted_path(path)} exists",
            code="usage.file-exists",
            hint="choose another name, or pass --force",
        )
    if work is not None and Path(work).resolve() in Path(path).resolve().parents:
        raise UsageError(
            f"{quoted_path(path)} is in the folder of the work, which holds other files",
            hint="write to another folder",
        )
    _try_folder(Path(path).parent)


def refuse_outputs(
    paths: Sequence[str | None],
    reads: Sequence[str | None],
    *,
    force: bool,
    work: str | None = None,
) -> None:
    """The same for several outputs, no two of which are one file.

    Raises:
        UsageError: see `refuse_output`; two outputs have one name.
    """
    named = [path for path in paths if path is not None]
    for path in named:
        refuse_output(path, reads, force=force, work=work)
    for one, other in combinations(named, 2):
        if Path(one).resolve() == Path(other).resolve() and not _is_sink(one):
            raise UsageError(
                f"two results would go to {quoted_path(other)}", hint="name a file for each"
            )


def remove_old(path: str) -> None:
    """Take away the file that is to be replaced, so that no failure leaves the old one in place.

    Raises:
        UsageError: `usage.unwritable`.
    """
    if is_stream(path):
        return
    try:
        Path(path).unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(f"cannot replace {quoted_path(path)}: {error.strerror}") from error


def write_output(path: str, data: bytes, *, force: bool, private: bool = False) -> None:
    """Write to a file, atomically and never over an existing one unless forced; or to a stream.

    A private file is for its owner only.

    Raises:
        UsageError: `usage.file-exists`, `usage.unwritable`: the disk is full, say.
        BrokenPipeError: nobody reads the stream any more.
    """
    if not is_stream(path):
        write_atomically(Path(path), data, force=force, private=private)
        return
    try:
        if is_stdout(path):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        else:
            with Path(path).open("wb") as stream:
                stream.write(data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(f"cannot write {quoted_path(path)}: {error.strerror}") from error


def _mode(path: str) -> int | None:
    """What kind of file a name leads to; None where there is none."""
    try:
        return Path(path).stat().st_mode
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise _unwritable(f"cannot write {quoted_path(path)}: {why}") from error


def _refuse_input(path: str, reads: Iterable[str | None]) -> None:
    for given in reads:
        if given is not None and _same(given, path):
            raise UsageError(
                f"{quoted_path(path)} is an input of this command",
                hint="write to another file: --force replaces no input",
            )


def _same(given: str, path: str) -> bool:
    """Whether two names lead to one file: by way of links, too."""
    try:
        return Path(given).samefile(path)
    except (OSError, ValueError):
        return False


def _is_sink(path: str) -> bool:
    return path == os.devnull


def _try_folder(folder: Path) -> None:
    """Make a file in the folder and take it away: rights alone do not tell what a disk takes."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise _unwritable(
            f"cannot write to {quoted_path(folder)}: {error.strerror or error}",
            "name a folder that exists, and that you may write to",
        ) from error


def _unwritable(message: str, hint: str | None = None) -> UsageError:
    return UsageError(message, code="usage.unwritable", hint=hint)
