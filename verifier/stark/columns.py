"""The public columns of a table, by name, and its height (docs/hybrid.md section 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..reader import P
from .field import Ints

Mask = NDArray[np.bool_]

_SIZES = {"": 1, "reference": 1, "factor": 3}


class Columns:
    """Where each public column of a table stands, behind the engine's.

    Each word of the list names one: `on` a column, `uses:48` that many of them, `y_at:reference` a
    column of references, `a:factor` the three of a factor, of which the first holds references.

    Attributes:
        at: by name, the number of a single column, a slice of several ones.
        references: the numbers of the columns that hold references.
        count: of all columns.
    """

    def __init__(self, names: str) -> None:
        self.at: dict[str, int | slice] = {}
        self.references: list[int] = []
        self.count = 0
        for word in names.split():
            name, _, kind = word.partition(":")
            size = _SIZES[kind] if kind in _SIZES else int(kind)
            end = self.count + size
            self.at[name] = self.count if size == 1 else slice(self.count, end)
            if kind in ("reference", "factor"):
                self.references.append(self.count)
            self.count = end

    def __getitem__(self, name: str) -> int | slice:
        return self.at[name]

    def table(self, rows: int, **columns: Ints | Mask | int) -> Ints:
        """All columns, [columns, rows]: of each name an array of [rows] or [n, rows], or a number.

        A name that is a keyword ends in an underscore.
        """
        found = np.empty((self.count, rows), np.int64)
        for at, column in self._given(columns):
            found[at] = column
        return found

    def words(self, rows: int, **columns: Ints | Mask | int) -> NDArray[np.uint32]:
        """The same as canonical words."""
        found = np.empty((self.count, rows), np.uint32)
        for at, column in self._given(columns):
            found[at] = canonical(np.asarray(column, np.int64))
        return found

    def _given(
        self, columns: Mapping[str, Ints | Mask | int]
    ) -> Iterator[tuple[int | slice, Ints | Mask | int]]:
        """Where each of these stands, and it."""
        given = {name.removesuffix("_"): column for name, column in columns.items()}
        if given.keys() != self.at.keys():
            raise AssertionError(f"missing or unknown columns: {given.keys() ^ self.at.keys()}")
        for name, at in self.at.items():
            column = given[name]
            if (np.ndim(column) == 2) != isinstance(at, slice):
                raise AssertionError(f"{name} is not what a number or an array of rows can fill")
            yield at, column


def canonical(numbers: NDArray[Any]) -> NDArray[Any]:
    """Numbers of any sign modulo p; most are below p as they are, which is seen sooner."""
    least, most = int(numbers.min(initial=0)), int(numbers.max(initial=0))
    return numbers if least >= 0 and most < P else numbers % P
