"""Progress on a terminal, in a notebook, or line by line; with what is left, as far as is known.

The core reports nothing while it proves a segment, which can take minutes. In between, the display
goes by how long the segments before have taken, or by the estimate of the first one: "about".
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from .prover import Progress, silent
from .prover.progress import PACED
from .verifier.errors import UsageError

ALMOST = 0.95
"""How much of a segment is shown at most before it is finished."""


class Display(Protocol):
    """What shows progress, and can make room for a question."""

    def __call__(self, phase: str, done: int, total: int) -> None:
        """See `Progress`."""

    def expect(self, seconds: float) -> None:
        """See `Paced`."""

    def pause(self) -> None:
        """Show nothing from here on, so that a question can be asked."""

    def resume(self) -> None:
        """The opposite of `pause`."""


class Pace:
    """How far a phase is between two reports of it; a phase that begins is measured anew."""

    def __init__(self) -> None:
        self._each: float | None = None
        self._measured = False
        self.done = self.total = 0
        self._begun = self._last = 0.0
        self._first = 0

    def expect(self, seconds: float) -> None:
        """What a unit takes, until one was measured."""
        if not self._measured:
            self._each = seconds

    def report(self, done: int, total: int, now: float) -> None:
        """So much is done at this time."""
        if total != self.total or done < self.done or not self._begun:
            self._begun, self._first, self._measured = now, done, False
        elif done > self._first:
            self._each, self._measured = (now - self._begun) / (done - self._first), True
        self.done, self.total, self._last = done, total, now

    def at(self, now: float) -> float:
        """Units that are done by now, about."""
        if self._each is None or self.done >= self.total:
            return self.done
        return self.done + min(ALMOST, (now - self._last) / max(self._each, 1e-9))

    def left(self, now: float) -> float | None:
        """Seconds that are left by now, about; None where nothing is known."""
        if self._each is None or self.done >= self.total:
            return None
        return max(0.0, (self.total - self.done) * self._each - (now - self._last))


class Ticking:
    """Calls a function every so often from a thread of its own."""

    def __init__(self, seconds: float, tick: Callable[[], None]) -> None:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(seconds, tick), daemon=True)
        self._thread.start()

    def _run(self, seconds: float, tick: Callable[[], None]) -> None:
        while not self._end.wait(seconds):
            tick()

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        self._end.set()
        self._thread.join()


class Lines:
    """One line a phase and at most one every two seconds, for logs and pipes."""

    EVERY, WITHIN = 2.0, 10.0
    """Seconds between two lines of a phase, and between two about the same segment."""

    def __init__(self) -> None:
        self._phase, self._shown = "", 0.0
        self._pace, self._lock = Pace(), threading.Lock()
        self._paused = False

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Print a line if there is news."""
        with self._lock:
            now, name = time.monotonic(), _name(phase)
            if name in PACED:
                self._pace.report(done, total, now)
            if name != self._phase or done == total or now - self._shown > self.EVERY:
                self._print(f"{phase}: {done}/{total}{self._left(now)}", now)
                self._phase = name

    def expect(self, seconds: float) -> None:
        """See `Paced`."""
        with self._lock:
            self._pace.expect(seconds)

    def tick(self) -> None:
        """Say how far the unit in work is, where nothing was said for a while."""
        with self._lock:
            now = time.monotonic()
            part = math.floor(100 * (self._pace.at(now) - self._pace.done))
            if self._phase in PACED and part and now - self._shown > self.WITHIN:
                done = f"{self._phase}: {self._pace.done}/{self._pace.total}"
                self._print(f"{done}, about {part} % of the next{self._left(now)}", now)

    def pause(self) -> None:
        """Print nothing from here on."""
        self._paused = True

    def resume(self) -> None:
        """The opposite of `pause`."""
        self._paused = False

    def _left(self, now: float) -> str:
        left = self._pace.left(now) if self._pace.total else None
        return "" if left is None or left < 2 else f", about {_clock(left)} left"

    def _print(self, line: str, now: float) -> None:
        if not self._paused:
            self._write(line)
            self._shown = now

    def _write(self, line: str) -> None:
        print(line, file=sys.stderr)


class Cell(Lines):
    """One line below the cell of a notebook, written anew each time.

    Bars by rich would need ipywidgets there.
    """

    EVERY, WITHIN = 0.2, 1.0

    def __init__(self) -> None:
        super().__init__()
        self._handle: Any = None

    def _write(self, line: str) -> None:
        shown = {"text/plain": line}
        if self._handle is None:
            from IPython.display import display

            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)


class Bars:
    """Bars by rich on a terminal. NO_COLOR is heeded by rich itself."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Rich

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[at]}"))
        left = TextColumn("{task.fields[left]}")
        self._bars = Rich(*columns, TimeElapsedColumn(), left, console=Console(stderr=True))
        self._tasks: dict[str, Any] = {}
        self._paced: str | None = None
        self._pace, self._lock = Pace(), threading.Lock()
        self._bars.start()

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Move the bar of the phase."""
        with self._lock:
            name, at = _name(phase), f"{done}/{total}"
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(phase, total=total, at=at, left="")
            if name in PACED:
                self._paced = name
                self._pace.report(done, total, time.monotonic())
            task = self._tasks[name]
            self._bars.update(task, completed=done, description=phase, at=at, left=self._left(name))

    def expect(self, seconds: float) -> None:
        """See `Paced`."""
        with self._lock:
            self._pace.expect(seconds)

    def tick(self) -> None:
        """Move the bar of the phase that is paced by what is likely done."""
        with self._lock:
            if self._paced is not None:
                now, left = time.monotonic(), self._left(self._paced)
                self._bars.update(self._tasks[self._paced], completed=self._pace.at(now), left=left)

    def pause(self) -> None:
        """Take the bars away, so that a question can be asked."""
        self._bars.stop()

    def resume(self) -> None:
        """The opposite of `pause`."""
        self._bars.start()

    def _left(self, name: str) -> str:
        left = self._pace.left(time.monotonic()) if name == self._paced else None
        return "" if left is None else f"about {_clock(left)} left"


@contextmanager
def lines(kind: type[Lines] = Lines) -> Iterator[Display]:
    """Progress as plain lines on stderr, or below a cell."""
    shown = kind()
    ticking = Ticking(1.0, shown.tick)
    try:
        yield shown
    finally:
        ticking.stop()


@contextmanager
def bars() -> Iterator[Display]:
    """Progress as bars."""
    shown = Bars()
    ticking = Ticking(0.5, shown.tick)
    try:
        yield shown
    finally:
        ticking.stop()
        shown.pause()


@contextmanager
def showing(progress: Progress | bool | None) -> Iterator[Progress]:
    """What a caller of the Python API wants to see.

    Args:
        progress: a function, called as progress(phase, done, total); True: bars or lines on
            stderr; False: nothing; None: bars on a terminal, a line below the cell of a notebook,
            and nothing where nobody looks on.

    Raises:
        UsageError: it is something else.
    """
    looked_on = in_notebook() or on_terminal()
    if progress is False or (progress is None and not looked_on):
        yield silent
    elif progress is None or progress is True:
        plain = Cell if in_notebook() else Lines
        with bars() if on_terminal() and plain is Lines else lines(plain) as shown:
            yield shown
    elif callable(progress):
        yield progress
    else:
        raise UsageError(
            "progress is no function",
            expected="a function of phase, done and total; True, False or None",
            received=repr(progress),
        )


def on_terminal() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def in_notebook() -> bool:
    """Whether this runs in the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


def _name(phase: str) -> str:
    """What a phase is called; behind a comma it may say how it goes."""
    return phase.partition(",")[0]


def _clock(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
