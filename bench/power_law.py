"""Power laws through measured points: how a cost grows with a size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST_POINTS = 3
"""Places at which a cost must be known before anything is fitted: two are always on a line."""


@dataclass(frozen=True)
class Fit:
    """y ≈ `factor` · x^`exponent`, by least squares in logarithms.

    Attributes:
        exponent: the slope on logarithmic axes.
        factor: y at x = 1.
        points: that it was fitted to.
        r2: coefficient of determination of log y, at most 1; 1 where all y are the same.
    """

    exponent: float
    factor: float
    points: int = 0
    r2: float = math.nan

    @classmethod
    def of(cls, x: Sequence[float], y: Sequence[float]) -> Fit:
        """The line through these points, all of them positive.

        Raises:
            ValueError: fewer than two places x.
        """
        if len(set(x)) < 2:
            raise ValueError("a line needs two places")
        log_x, log_y = np.log(x), np.log(y)
        exponent, offset = np.polyfit(log_x, log_y, 1)
        rest = float(np.sum((log_y - exponent * log_x - offset) ** 2))
        spread = float(np.sum((log_y - np.mean(log_y)) ** 2))
        r2 = 1.0 - rest / spread if spread > 0.0 else 1.0
        return cls(float(exponent), float(np.exp(offset)), len(x), r2)

    def __call__(self, x: float) -> float:
        """Y at `x`."""
        return float(self.factor * x**self.exponent)
