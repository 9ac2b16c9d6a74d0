"""What a person sees: progress and errors on stderr, results on stdout."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from ..prover import Progress
from ..verifier.cli import printable
from ..verifier.units import size as size


class PlainProgress:
    """One line a phase and at most one every two seconds, for logs and pipes."""

    def __init__(self) -> None:
        self._phase = ""
        self._last = 0.0

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Print a line if there is news."""
        now, name = time.monotonic(), _name(phase)
        if name != self._phase or done == total or now - self._last > 2:
            print(f"{phase}: {done}/{total}", file=sys.stderr)
            self._phase, self._last = name, now


def _name(phase: str) -> str:
    """What a phase is called; behind a comma it may say how it goes."""
    return phase.partition(",")[0]


@contextmanager
def progress(quiet: bool) -> Iterator[Progress | None]:
    """A progress callback that suits stderr: none, plain lines, or a bar on a terminal."""
    if quiet:
        yield None
    elif not sys.stderr.isatty():
        yield PlainProgress()
    else:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        times = TimeElapsedColumn(), TimeRemainingColumn()
        with Bars(*columns, *times, console=Console(stderr=True)) as bars:
            tasks: dict[str, object] = {}

            def show(phase: str, done: int, total: int) -> None:
                name = _name(phase)
                if name not in tasks:
                    tasks[name] = bars.add_task(phase, total=total)
                bars.update(tasks[name], completed=done, description=phase)  # type: ignore[arg-type]

            yield show


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
