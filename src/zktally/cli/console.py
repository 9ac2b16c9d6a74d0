"""What a person sees: progress and errors on stderr, results on stdout."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from ..display import Display, bars, lines, on_terminal
from ..verifier.cli import printable
from ..verifier.units import size as size


@contextmanager
def progress(quiet: bool) -> Iterator[Display | None]:
    """A progress callback that suits stderr: none, plain lines, or bars on a terminal."""
    if quiet:
        yield None
        return
    with bars() if on_terminal() else lines() as shown:
        yield shown


@contextmanager
def paused(show: Display | None) -> Iterator[None]:
    """No bars in the way of what is said meanwhile."""
    if show is not None:
        show.pause()
    try:
        yield
    finally:
        if show is not None:
            show.resume()


def note(text: str, quiet: bool = False) -> None:
    """A remark on stderr."""
    if not quiet:
        print(text, file=sys.stderr)


def warn(text: str) -> None:
    """A warning on stderr: what a person must know before the work is done, however quiet."""
    print(f"warning: {text}", file=sys.stderr)


@contextmanager
def libraries_silenced(quiet: bool = False) -> Iterator[None]:
    """What libraries warn of, and write to stderr, becomes one remark once the work is done.

    Compiled ones write past Python, to the file descriptor.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("default")
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
        held.seek(0)
        lines = held.read().decode(errors="replace").splitlines()
    said = [*(line for line in lines if line.strip()), *(str(entry.message) for entry in warned)]
    if said:
        count = "1 line" if len(said) == 1 else f"{len(said)} lines"
        first = printable(re.sub(r"\x1b\[[0-9;]*m", "", said[0]))[:200]
        note(f"libraries had {count} to say about the model, the first: {first}", quiet)
