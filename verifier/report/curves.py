"""A curve over the steps of a run, as a drawing in SVG inside of the page."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..quoting import quoted
from .markup import Html, element

Array = np.ndarray[Any, np.dtype[Any]]

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 68, 12, 12, 40
"""Room for the numbers at the axes."""

POINTS = 400
"""Of a longer curve each point is the mean of its neighbours."""

TICKS = 5


def curve(name: str, steps: Array, values: Array) -> Html | None:
    """A curve, or None where there are fewer than two finite values.

    Args:
        name: what is drawn.
        steps: ascending numbers [n].
        values: real numbers [n].
    """
    kept = np.isfinite(values)
    x, y = thinned(steps[kept].astype(np.float64), values[kept].astype(np.float64))
    if len(x) < 2:
        return None
    across = Axis(float(x[0]), float(x[-1]), LEFT, WIDTH - RIGHT, whole=True)
    up = Axis(*_span(y), HEIGHT - BOTTOM, TOP, whole=False)
    points = " ".join(f"{across(a):.1f},{up(b):.1f}" for a, b in zip(x, y, strict=True))
    title = f"{quoted(name)} from step {int(x[0]):,} to step {int(x[-1]):,}"
    said = f"{title}: {y[0]:.4g} at first, {y[-1]:.4g} at last, {y.min():.4g} at the least"
    return element(
        "svg",
        element("title", said),
        [
            _line(LEFT, up(tick), WIDTH - RIGHT, up(tick), "grid", f"{tick:.4g}", "end")
            for tick in up.ticks
        ],
        [
            _line(across(tick), HEIGHT - BOTTOM, across(tick), HEIGHT - BOTTOM + 4, "grid")
            for tick in across.ticks
        ],
        [
            _text(across(tick), HEIGHT - BOTTOM + 18, f"{tick:,.0f}", "middle")
            for tick in across.ticks
        ],
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "step", "middle"),
        element("polyline", points=points, class_="curve"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=said,
    )


def thinned(x: Array, y: Array) -> tuple[Array, Array]:
    """At most `POINTS` points, each the mean of as many neighbours."""
    size = -(-len(x) // POINTS)
    if size <= 1:
        return x, y
    starts = np.arange(0, len(x), size)
    counts = np.diff(np.append(starts, len(x)))
    return x[starts], np.add.reduceat(y, starts) / counts


class Axis:
    """Maps numbers to places, with round numbers to be written beside it."""

    def __init__(self, low: float, high: float, start: float, end: float, *, whole: bool) -> None:
        self._low, self._span = low, (high - low) or 1.0
        self._start, self._length = start, end - start
        self.ticks = _ticks(low, high, whole)

    def __call__(self, number: float) -> float:
        """The place of a number."""
        return self._start + self._length * (number - self._low) / self._span


def _span(y: Array) -> tuple[float, float]:
    low, high = float(y.min()), float(y.max())
    if low == high:
        return low - 1, high + 1
    if 0 <= low < high / 2:
        return 0.0, high
    return low, high


def _ticks(low: float, high: float, whole: bool) -> list[float]:
    """Round numbers in the range: 1, 2 or 5 times a power of ten apart."""
    raw = (high - low) / TICKS
    if raw <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    step = max(1.0, step) if whole else step
    first = math.ceil(low / step)
    return [step * n for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _line(
    x1: float, y1: float, x2: float, y2: float, kind: str, label: str = "", anchor: str = ""
) -> Html:
    drawn = element(
        "line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", class_=kind
    )
    return Html(drawn + _text(x1 - 6, y1 + 4, label, anchor)) if label else drawn


def _text(x: float, y: float, text: str, anchor: str) -> Html:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)
