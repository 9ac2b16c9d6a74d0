"""Where to cut a range off, so that an int8 code does best on a histogram of its values.

Each way tries shares of the upper end, then of the lower one, and takes the best.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .quantise import Floats, affine

Range = tuple[float, float]
Counts = npt.NDArray[Any]

SHARES = np.linspace(1.0, 0.05, 77)
"""Of the range that is kept: the whole one first, which wins where others are as good."""

COVERED = 0.995
"""The least share of values that is kept: `check-model` refuses ranges with fewer than 99 %."""

BINS = 2048
"""Bins of the histograms that are looked at: 8 for each integer of a code."""


def least_squares(counts: Counts, span: Range) -> Range:
    """The range whose code has the least squared error, rounding and clipping together."""
    return _best(counts, span, _squared_error)


def least_divergence(counts: Counts, span: Range) -> Range:
    """The range whose code keeps most of the distribution: least Kullback-Leibler divergence."""
    return _best(counts, span, _divergence)


CLIPPED: Mapping[str, Callable[[Counts, Range], Range]] = {
    "mse": least_squares,
    "entropy": least_divergence,
}
"""By the name of the method."""


def _best(counts: Counts, span: Range, cost: Callable[[Counts, Floats, Range], float]) -> Range:
    """The cheapest of the ranges; a single value has no other than its own."""
    low, high = min(span[0], 0.0), max(span[1], 0.0)
    if span[0] == span[1] or low == high:
        return span
    counts = counts.reshape(BINS, -1).sum(axis=1)
    edges = np.linspace(*span, BINS + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    most = counts.sum() * (1 - COVERED)

    def cheapest(parts: list[Range]) -> Range:
        fitting = [part for part in parts if _outside(counts, middles, part) <= most]
        return min(fitting or parts[:1], key=lambda part: cost(counts, middles, part))

    _, top = cheapest([(low, high * float(share)) for share in SHARES])
    return cheapest([(low * float(share), top) for share in SHARES])


def _outside(counts: Counts, middles: Floats, part: Range) -> int:
    return int(counts[(middles < part[0]) | (middles > part[1])].sum())


def _squared_error(counts: Counts, middles: Floats, part: Range) -> float:
    code = affine(*part)
    error = code.dequantise(code.quantise(middles)) - middles
    # A bin is narrower than a step: what its own width hides is the same for all ranges.
    return float((counts * error**2).sum())


def _divergence(counts: Counts, middles: Floats, part: Range) -> float:
    """Of the clipped distribution from the one in which all bins of an integer are alike."""
    code = affine(*part)
    levels = code.quantise(middles) - code.lo
    inside = (middles >= part[0]) & (middles <= part[1])
    if not inside.any():
        return np.inf
    first, last = np.flatnonzero(inside)[[0, -1]]
    clipped = np.where(inside, counts, 0).astype(np.float64)
    clipped[first] += counts[:first].sum()
    clipped[last] += counts[last + 1 :].sum()
    used = (clipped > 0) & inside
    own = np.where(inside, counts, 0)
    totals = np.bincount(levels, own, minlength=code.hi - code.lo + 1)
    places = np.bincount(levels, used, minlength=code.hi - code.lo + 1)
    alike = totals[levels] / np.maximum(places[levels], 1)
    p, q = clipped[used] / clipped.sum(), alike[used] / max(own.sum(), 1)
    return float((p * np.log(p / np.maximum(q, 1e-12))).sum())
