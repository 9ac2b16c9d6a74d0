"""ezkl under watch: a process group of its own, memory and time limited, nothing left behind."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ...verifier.errors import UsageError
from ..errors import ProveError

How = Literal["done", "failed", "memory", "time"]

POLL = 0.05
"""Seconds between two looks at the memory: what can be taken within goes over the limit."""

KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "RAYON_NUM_THREADS")
"""Of the environment; all else could change what ezkl does, or let it into the network."""

NOWHERE = "http://127.0.0.1:1"
"""A proxy that is not there: ezkl looks for a Solidity compiler in the network."""

CHILD = Path(__file__).with_name("child.py")


@dataclass
class Run:
    """What came of a run of ezkl.

    Attributes:
        how: it ended: "done"; or "failed"; or stopped at the limit of "memory" or "time".
        why: in words, "" if done.
        refused: whether ezkl itself said no, by an error or a panic: the process did not just end.
        phases: what the finished ones say, by name; `seconds` each.
        peak_bytes: largest resident size of all its processes together.
    """

    how: How = "done"
    why: str = ""
    refused: bool = False
    phases: dict[str, dict[str, Any]] = field(default_factory=dict)
    peak_bytes: int = 0


def version() -> str:
    """Of the ezkl that is installed.

    Raises:
        ProveError: `snark.unavailable`, none is.
    """
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        if importlib.util.find_spec("ezkl") is not None:
            return installed("ezkl")
    except PackageNotFoundError:
        pass
    raise ProveError(
        "ezkl is not installed",
        code="snark.unavailable",
        expected="the extra `peers`",
        hint="pip install 'zktally[peers]'",
    )


def can_watch() -> bool:
    """Whether the system tells what memory a process holds."""
    return Path("/proc/self/statm").exists()


def run(
    job: Mapping[str, Any],
    folder: Path,
    *,
    memory_limit: int | None = None,
    time_limit: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> Run:
    """Run phases of ezkl in a folder (`child.FILES`).

    Args:
        job: `phases` by name, and what they need (`child.run`).
        folder: where every file of it is, or goes.
        memory_limit: bytes of resident memory at which it is stopped.
        time_limit: seconds after which it is stopped.
        progress: called with the name of each phase as it begins.

    Raises:
        ProveError: `snark.unavailable`, there is no ezkl.
        UsageError: a limit of memory where the system does not tell what is used.
    """
    version()
    if memory_limit is not None and not can_watch():
        raise UsageError("a limit of memory needs /proc", expected="Linux", received=sys.platform)
    folder = folder.resolve()
    order = folder / "job.json"
    order.write_text(json.dumps({**job, "folder": str(folder)}))
    phases = [str(each) for each in job["phases"]]
    found = Run()
    watch = _Watch(memory_limit, time_limit)
    with _started(order, folder) as (process, said):
        _announce(progress, phases, found)
        for line in _lines(process, watch):
            told = json.loads(line)
            if "failed" in told:
                found.how, found.why = "failed", f"{told['phase']}: {told['failed']}"
                found.refused = True
                continue
            found.phases[told["phase"]] = told
            _announce(progress, phases, found)
        code = process.wait() if watch.stopped is None else None
    found.peak_bytes = watch.peak
    _judge(found, watch, code, phases, said)
    return found


def _announce(progress: Callable[[str], None] | None, phases: list[str], found: Run) -> None:
    if progress is not None and len(found.phases) < len(phases):
        progress(phases[len(found.phases)])


def _judge(found: Run, watch: _Watch, code: int | None, phases: list[str], said: Path) -> None:
    """How it ended, where no phase has said so."""
    missing = [each for each in phases if each not in found.phases]
    where = missing[0] if missing else phases[-1]
    if watch.stopped is not None:
        found.how, found.why = watch.stopped, f"{where}: {watch.why}"
    elif found.how == "done" and (code != 0 or missing):
        ended = code or 0
        killed = f"ended by signal {-ended}" if ended < 0 else f"exit code {ended}"
        last = said.read_text(errors="replace").strip().splitlines()[-1:]
        found.how, found.why = "failed", f"{where}: {killed}; {' '.join(last)[:500]}"


class _Watch:
    """What a process may use, and what it has used."""

    def __init__(self, memory_limit: int | None, time_limit: float | None) -> None:
        self.memory_limit, self.time_limit = memory_limit, time_limit
        self.started = time.monotonic()
        self.peak = 0
        self.stopped: Literal["memory", "time"] | None = None
        self.why = ""

    def over(self, process: subprocess.Popen[bytes]) -> bool:
        """Look; whether it has to be stopped."""
        used = resident(process.pid)
        self.peak = max(self.peak, used)
        if self.memory_limit is not None and used > self.memory_limit:
            self.stopped = "memory"
            self.why = f"more than the limit of {self.memory_limit / 1e6:,.0f} MB"
        elif self.time_limit is not None and time.monotonic() - self.started > self.time_limit:
            self.stopped, self.why = "time", f"more than the limit of {self.time_limit:g} s"
        return self.stopped is not None


def resident(pid: int) -> int:
    """Bytes that a process and all below it hold; 0 where the system does not tell."""
    total = 0
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        total += pages * os.sysconf("SC_PAGE_SIZE")
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                below = (task / "children").read_text().split()
                total += sum(resident(int(child)) for child in below)
    except (OSError, IndexError, ValueError):
        pass
    return total


@contextmanager
def _started(order: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The process, which does not outlive this block, and the file of what it says on stderr."""
    said = folder / "said.txt"
    # Files go to the folder, and so does what ezkl keeps under the home of a user.
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment["HOME"] = str(folder)
    environment |= dict.fromkeys(("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"), NOWHERE)
    with said.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", str(CHILD), str(order)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,
        )
        try:
            yield process, said
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _lines(process: subprocess.Popen[bytes], watch: _Watch) -> Iterator[bytes]:
    """What it prints, line by line, until it ends or has to be stopped."""
    pipe = process.stdout
    assert pipe is not None
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while not watch.over(process):
            if not selector.select(POLL):
                continue
            read = os.read(pipe.fileno(), 1 << 16)
            if not read:
                return
            *whole, rest = (rest + read).split(b"\n")
            yield from whole
