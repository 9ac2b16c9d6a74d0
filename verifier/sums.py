"""Numbers of all gates at all points of their windows, apart as long as they can be.

Where a gate reads a row of a tensor, everything about an element of it is a part of the gate plus a
part of the point: G + K numbers instead of G·K, even of leaves and places in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from .arrays import Ints


@dataclass(frozen=True)
class Sums:
    """`of_gate + of_window`, at least 0: [G, 1] and [1, K], or [G, K] and [1, 1]."""

    of_gate: Ints
    of_window: Ints

    @classmethod
    def of(cls, numbers: Ints) -> Sums:
        """Numbers [G, K] that are not apart."""
        return cls(numbers, np.zeros((1, 1), np.int64))

    def full(self) -> Ints:
        """The numbers themselves, broadcastable to [G, K]."""
        return self.of_gate + self.of_window

    def __add__(self, other: Sums) -> Sums:
        gates, windows = self.of_gate + other.of_gate, self.of_window + other.of_window
        return Sums(gates, windows) if gates.shape[1] == 1 else Sums.of(gates + windows)

    def __mul__(self, factor: int) -> Sums:
        return Sums(self.of_gate * factor, self.of_window * factor)

    def divided(self, by: int) -> tuple[Sums, Sums]:
        """Quotients and rests; apart where no two rests together reach the divisor."""
        (gates, rests), (windows, more) = divided(self.of_gate, by), divided(self.of_window, by)
        if int(rests.max()) + int(more.max()) < by:
            return Sums(gates, windows), Sums(rests, more)
        quotients, rests = divided(self.full(), by)
        return Sums.of(quotients), Sums.of(rests)


Numbers = TypeVar("Numbers", Ints, Sums)


def divided(numbers: Numbers, by: int) -> tuple[Numbers, Numbers]:
    """Quotients and rests of numbers that are at least 0."""
    if isinstance(numbers, Sums):
        return numbers.divided(by)
    quotients = numbers // by
    return quotients, numbers - quotients * by
