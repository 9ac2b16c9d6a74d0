"""One cell of a benchmark in a process of its own, watched: its memory, its time, how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from ..verifier.errors import UsageError

Row = dict[str, Any]
End = Literal["done", "failed", "memory", "time"]

EVERY = 0.05
"""Seconds between two looks at a process."""

_STATM = Path("/proc/self/statm")
_NO_MEMORY = ("MemoryError", "memory allocation of", "Unable to allocate", "bad_alloc")
"""What Python, Rust, numpy and C++ say where the system gives no more."""


@dataclass(frozen=True)
class Limits:
    """What a process may use: bytes of resident memory, seconds of the clock; None for no limit.

    Raises:
        UsageError: a limit of memory on a system without /proc, where nobody could watch it.
    """

    memory: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.memory is not None and not _STATM.exists():
            raise UsageError(
                "a limit of memory needs /proc, which this system does not have",
                hint="leave out --memory-limit, or limit memory from outside",
            )


@dataclass(frozen=True)
class Outcome:
    """How a process ended: `row` is the last line of its stdout, where that is a JSON object.

    Attributes:
        ended: "done", "failed", or stopped at the limit of "memory" or "time".
        why: in words, None where it is done.
        row: what it printed, empty where it did not.
        seconds: of the clock.
        stderr: all that it wrote there.
    """

    ended: End
    why: str | None
    seconds: float
    row: Row = field(default_factory=dict)
    stderr: str = field(default="", repr=False)


Tick = Callable[[float, int | None], None]
"""Called with the seconds so far and the bytes in use, None where they are not known."""


def run_module(
    module: str,
    asked: Row,
    limits: Limits | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    tick: Tick | None = None,
) -> Outcome:
    """Run a module's `__main__` on a JSON object, and watch it.

    It is a session of its own: Ctrl-C reaches it through whoever waits here, which ends it and all
    that it started. Nothing is left running however this is left.

    Args:
        module: what `python -m` is given.
        asked: its one argument, as JSON.
        limits: at which it is ended.
        environment: variables beside those of this process.
        tick: called at every look.

    Raises:
        UsageError: see `Limits`.
    """
    limits = limits or Limits()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(asked)],
            stdout=out,
            stderr=err,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
        try:
            stopped = _watch(process, limits, start, tick)
        finally:
            _end(process)
        seconds = time.monotonic() - start
        return _outcome(process.returncode, stopped, seconds, _text(out), _text(err))


def _watch(
    process: subprocess.Popen[bytes], limits: Limits, start: float, tick: Tick | None
) -> tuple[End, str] | None:
    """Wait for its end; the limit at which it must be ended before."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(EVERY)
            return None
        seconds, used = time.monotonic() - start, resident(process.pid)
        if tick is not None:
            tick(seconds, used)
        if limits.memory is not None and used is not None and used > limits.memory:
            return "memory", f"more than {limits.memory / 1e9:.3g} GB after {seconds:.0f} s"
        if limits.seconds is not None and seconds > limits.seconds:
            return "time", f"longer than {limits.seconds:g} s"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and what it started, if it still runs."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def resident(pid: int) -> int | None:
    """Bytes of a process that lie in memory; None where the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _outcome(
    code: int, stopped: tuple[End, str] | None, seconds: float, out: str, err: str
) -> Outcome:
    if stopped is not None:
        return Outcome(*stopped, seconds, stderr=err)
    if code == 0:
        return Outcome("done", None, seconds, dict(json.loads(out.splitlines()[-1])), err)
    said = next((line.strip() for line in reversed(err.splitlines()) if line.strip()), "")
    if any(words in err for words in _NO_MEMORY):
        return Outcome("memory", f"the system gave no more memory: {said}", seconds, stderr=err)
    if code == -signal.SIGKILL:
        why = "ended by the system (signal 9), which does so where memory is short"
        return Outcome("memory", why, seconds, stderr=err)
    ending = f"signal {-code}" if code < 0 else f"exit code {code}"
    return Outcome("failed", f"{said or 'no words'} ({ending})", seconds, stderr=err)
