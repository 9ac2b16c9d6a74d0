"""What a sweep says while it goes on: what is done, what is next, how long it will take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from ...verifier.cli import printable
from ..process import Row


class Narrator:
    """Lines on a stream; on a terminal, the line of a cell shows its seconds and memory.

    Args:
        stream: where they go; None for silence.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._live = stream is not None and stream.isatty()
        self._left: list[float | None] = []
        self._spent, self._meant = 0.0, 0.0
        self._line, self._shown = "", -1

    def found(self, cells: int, done: int) -> None:
        """How many cells there are, and how many of them have a row."""
        known = f", {done} of them measured before" if done else ""
        self._print(f"{_count(cells, 'cell')}{known}")

    def compiles(self, number: int, of: int, name: str, batch: int) -> None:
        """A model is compiled."""
        self._begin(f"compile {number}/{of}: {name}, batch {batch}")

    def compiled(self, known: Row, seconds: float) -> None:
        """A model was compiled, or was not."""
        said = known.get("refused") or (known.get("stopped") or [None, None])[1]
        if said is None:
            said = f"{known['parameters']:,} parameters, {known['macs']:,} MACs a step"
        self._end(f"{said} ({seconds:.0f} s)")

    def predicted(self, seconds: Sequence[float | None], limit: float | None) -> None:
        """How long all cells will take."""
        self._left = list(seconds)
        known = [each for each in seconds if each]
        if known:
            self._print(f"{_count(len(known), 'cell')} to measure: about {duration(sum(known))}")
        if unknown := seconds.count(None):
            most = "" if limit is None else f", at most {duration(limit)} each"
            self._print(f"{_count(unknown, 'cell')} of unknown length{most}")

    def begins(self, number: int, name: str, seconds: float | None) -> None:
        """A cell is measured."""
        about = "" if seconds is None else f", about {duration(seconds * self._pace)}"
        left = sum(each for each in self._left if each is not None) * self._pace
        others = any(each is None for each in self._left)
        eta = f"; {duration(left)} left{' and more' if others else ''}" if left else ""
        self._begin(f"[{number}/{number - 1 + len(self._left)}] {name}{about}{eta}")

    @property
    def _pace(self) -> float:
        """How much longer cells took than was predicted."""
        return self._spent / self._meant if self._meant else 1.0

    def ends(self, row: Row, predicted: float | None) -> None:
        """A cell was measured, or was not."""
        self._left = self._left[1:]
        if row["ended"] == "done" and predicted is not None:
            self._spent += row["cell_s"]
            self._meant += predicted
        self._end(result(row))

    def tick(self, seconds: float, used: int | None) -> None:
        """A process has run for so long."""
        if self._live and int(seconds) != self._shown:
            self._shown = int(seconds)
            memory = "" if used is None else f", {used / 1e6:,.0f} MB"
            assert self._stream is not None
            self._stream.write(f"\r{self._line} ... {self._shown} s{memory} ")
            self._stream.flush()

    def _begin(self, text: str) -> None:
        self._line, self._shown = printable(text), -1
        if self._stream is not None:
            self._stream.write(f"{self._line} ...")
            self._stream.flush()

    def _end(self, text: str) -> None:
        if self._stream is not None:
            start = f"\r\x1b[K{self._line}: " if self._live else " "
            print(f"{start}{printable(text)}", file=self._stream, flush=True)

    def _print(self, text: str) -> None:
        if self._stream is not None:
            print(text, file=self._stream, flush=True)


def result(row: Row) -> str:
    """A row in a few words."""
    if row["ended"] != "done":
        return f"{row['ended']}: {row['why']}"
    return f"{span(row['prove_s'])}, {row['peak_mb']:,.0f} MB, {row['receipt_bytes'] / 1e3:,.0f} KB"


def span(seconds: float) -> str:
    """Measured seconds for people: three digits."""
    return f"{1e3 * seconds:.3g} ms" if seconds < 0.9995 else f"{seconds:,.3g} s"


def duration(seconds: float) -> str:
    """Predicted seconds for people."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
