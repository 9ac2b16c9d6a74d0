"""What several modules do with arrays of integers, by sorting and comparing neighbours.

Which calls of numpy the verifier makes, and which it avoids, is decided in docs/adr/0015.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def distinct(numbers: Ints) -> Ints:
    """Each number once, ascending.

    `np.unique` has a table of hashes, which is far larger, and imports numpy.ma first.
    """
    ascending = np.sort(numbers)
    first = np.ones(len(ascending), bool)
    first[1:] = ascending[1:] != ascending[:-1]
    return ascending[first]


def counted(numbers: Ints) -> tuple[Ints, Ints]:
    """Each number once, ascending, and how often it occurs."""
    ascending = np.sort(numbers)
    starts = run_starts(ascending)
    return ascending[starts], lengths(starts, len(ascending))


def run_starts(numbers: Ints) -> Ints:
    """Where a number differs from the one before it."""
    first = np.ones(len(numbers), bool)
    first[1:] = numbers[1:] != numbers[:-1]
    return np.flatnonzero(first)


def lengths(starts: Ints, end: int) -> Ints:
    """How long each run is, given where the runs start and where the last one ends."""
    ends = np.concatenate([starts[1:], np.full(min(1, len(starts)), end, np.int64)])
    return ends - starts


def distinct_rows(columns: Ints) -> tuple[Ints, Ints]:
    """The distinct columns of [k, n], ascending by their first row and so on; which each one is.

    Returns:
        The distinct columns [k, m], and for each of the n columns its number among these.
    """
    order = np.lexsort(columns[::-1])
    ascending = columns[:, order]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (ascending[:, 1:] != ascending[:, :-1]).any(axis=0)
    which = np.empty(len(order), np.int64)
    which[order] = np.cumsum(fresh, dtype=np.int64) - 1
    return ascending[:, fresh], which


def sums_by_group(group: Ints, numbers: Ints, groups: int) -> Ints:
    """The sum of the numbers of each group, int64 [groups]; `group` ascends.

    In integers: `bincount` with weights adds in float64, which is exact below 2^53 only.
    """
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(numbers, dtype=np.int64)])
    ends = np.searchsorted(group, np.arange(groups + 1, dtype=np.int64))
    sums: Ints = before[ends[1:]] - before[ends[:-1]]
    return sums
