"""How far integers are from floats: what one value was on all data, channel by channel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .graph import Array
from .quantise import Affine, Floats, Ints

CHANNELS_MAX = 8
"""Channels of an output that a report names: those with the largest errors."""


@dataclass(frozen=True)
class OutputError:
    """How far an output is off, in its own units; `low` and `high` is what its floats were.

    Of an output that joins parts of unlike ranges, `sqnr_db` is that of the worst part.

    `channels` are those with the largest mean error: number, mean error, worst error, and the width
    of what the floats were there.
    """

    sqnr_db: float | None
    mean: float
    worst: float
    low: float
    high: float
    channels: tuple[tuple[int, float, float, float], ...] = ()

    @property
    def share(self) -> float:
        """The worst error as a share of the range of the floats; 0 where that is one value."""
        width = self.high - self.low
        return self.worst / width if width else 0.0


class Spread:
    """Accumulates signal, noise and errors of one value over steps.

    The signal is the variance around the mean of each channel, or around one mean where a channel
    has too few values to tell: a constant that all values share says nothing about the input, so
    it makes no noise smaller. Where channels come in `groups` of unlike ranges, each has its own
    figure, and the least counts.
    """

    def __init__(self, code: Affine | None = None, groups: Sequence[Sequence[int]] = ()) -> None:
        self._groups = [np.array(group) for group in groups]
        self._ends = None if code is None else _ends(code)
        self._count = 0
        self._rows = 0
        self._start: Floats | None = None
        self.silent = True
        self.outside = 0

    def add(self, real: Array, found: Array) -> None:
        """One step: the floats, and the reals that the integers stand for."""
        exact, other = (_by_channel(array.astype(np.float64)) for array in (real, found))
        if self._start is None:
            self._begin(exact)
        with np.errstate(over="ignore", invalid="ignore"):
            self._sum(exact, np.abs(exact - other))
        self.silent = self.silent and not exact.any()

    def _begin(self, exact: Floats) -> None:
        channels = exact.shape[1]
        self._start = exact[0].copy()
        zeros = [np.zeros(channels) for _ in range(4)]
        self._shifted, self._squares, self._noise, self._errors = zeros
        self._worst = np.zeros(channels)
        self._low, self._high = exact[0].copy(), exact[0].copy()

    def _sum(self, exact: Floats, error: Floats) -> None:
        assert self._start is not None
        distance = exact - self._start
        self._rows += len(exact)
        self._count += exact.size
        self._shifted += distance.sum(axis=0)
        self._squares += (distance**2).sum(axis=0)
        self._noise += (error**2).sum(axis=0)
        self._errors += error.sum(axis=0)
        self._worst = np.maximum(self._worst, error.max(axis=0))
        self._low = np.minimum(self._low, exact.min(axis=0))
        self._high = np.maximum(self._high, exact.max(axis=0))
        if self._ends is not None:
            low, high = self._ends
            self.outside += int(np.count_nonzero((exact < low) | (exact > high)))

    @property
    def finite(self) -> bool:
        """Whether no float was NaN or infinite, nor a sum of squares too large."""
        return bool(np.isfinite(self._squares).all() and np.isfinite(self._noise).all())

    @property
    def saturated(self) -> float:
        """The share of floats outside of the code's range."""
        return self.outside / self._count

    def sqnr(self) -> float:
        """10·log10(signal/noise), of the worst group of channels; infinite without noise."""
        whole = [np.arange(len(self._noise))]
        return min(self._sqnr(group) for group in self._groups or whole)

    def _sqnr(self, group: Ints) -> float:
        noise = float(self._noise[group].sum())
        if noise == 0.0:
            return math.inf
        signal = self._signal(group)
        return -math.inf if signal <= 0.0 else 10.0 * math.log10(signal / noise)

    def _signal(self, group: Ints) -> float:
        """The variance, or the square where there is a single value throughout."""
        assert self._start is not None
        own = np.maximum(self._squares - self._shifted**2 / self._rows, 0.0)[group]
        if self._rows >= ROWS_MIN and (self._high > self._low)[group].any():
            return float(own.sum())
        centre = (self._start + self._shifted / self._rows)[group]
        whole = float(own.sum() + self._rows * ((centre - centre.mean()) ** 2).sum())
        rounding = 1e-12 * float((centre**2).sum()) * self._rows
        return whole if whole > rounding else float((centre**2).sum()) * self._rows

    def error(self) -> OutputError:
        """What a report says of an output."""
        noise, mean = self.sqnr(), self._errors / self._rows
        worst_first = np.argsort(-mean, kind="stable")[:CHANNELS_MAX]
        width = self._high - self._low
        several = len(mean) > 1
        return OutputError(
            sqnr_db=round(max(noise, -999.0), 2) if noise != math.inf else None,
            mean=float(self._errors.sum() / self._count),
            worst=float(self._worst.max()),
            low=float(self._low.min()),
            high=float(self._high.max()),
            channels=tuple(
                (int(c), float(mean[c]), float(self._worst[c]), float(width[c]))
                for c in worst_first
            )
            if several
            else (),
        )


ROWS_MIN = 8
"""Values of a channel whose mean says something."""


def _by_channel(array: Floats) -> Floats:
    """Rows of channels: axis 1 of matrices and images, the last of three axes, none of a vector."""
    if array.ndim < 2:
        return array.reshape(-1, 1)
    if array.ndim == 3:
        return array.reshape(-1, array.shape[2])
    return np.moveaxis(array, 1, -1).reshape(-1, array.shape[1])


def _ends(code: Affine) -> tuple[float, float]:
    """What saturates lies more than half a step beyond the ends of the code."""
    low, high = (float(code.dequantise(end)) for end in (code.lo, code.hi))
    return low - code.scale / 2, high + code.scale / 2
