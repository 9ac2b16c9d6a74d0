"""Records of a data set in files: arrays by name (.npz), or a table of numbers (.csv)."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ...circuits.graph import Array
from ...verifier.errors import UsageError
from ...verifier.quoting import listed, quoted_path

LABELS = "y"
"""The array or column that holds labels, where nobody names another."""


@dataclass(frozen=True)
class Table:
    """Records of a file.

    Attributes:
        inputs: [records, ...], by name where there are several.
        labels: [records, ...].
        classes: what label 0, 1, ... was called in the file; none where labels are numbers there.
    """

    inputs: Array | Mapping[str, Array]
    labels: Array
    classes: tuple[str, ...] = ()


def read_records(path: str | Path, labels: str | None = None, classes: Sequence[str] = ()) -> Table:
    """Inputs and labels of all records.

    Args:
        path: an .npz file of inputs by name and labels; a .csv file with a line of names, a column
            of labels, and columns of numbers, which are one input [records, columns].
        labels: name of the array or column of labels (`y`). A column of texts is one of classes, in
            the order of the alphabet.
        classes: names of classes that labels are taken for, where others were called so before.

    Raises:
        UsageError: `usage.unreadable`; no such array or column; cells that are no numbers; a class
            that is none of the classes.
    """
    name = labels or LABELS
    if str(path).endswith(".csv"):
        return _table(Path(path), name, classes)
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as held:
            arrays = {key: held[key] for key in held.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise _unreadable(path, str(error)) from error
    found = arrays.pop(name, None)
    if found is None or not arrays:
        raise UsageError(
            f"{quoted_path(path)} holds no array {name!r} beside inputs",
            expected="inputs by name, and labels",
            received=listed([*arrays, name] if found is not None else arrays),
            hint="name the labels with --labels",
        )
    return Table(next(iter(arrays.values())) if len(arrays) == 1 else arrays, found)


def _table(path: Path, labels: str, known: Sequence[str]) -> Table:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, str(error)) from error
    if len(rows) < 2 or labels not in rows[0]:
        raise UsageError(
            f"{quoted_path(path)} has no column {labels!r}, or no rows",
            expected=f"a line of names with {labels!r}, and rows of numbers",
            received=listed(rows[0]) if rows else "nothing",
            hint="name the labels with --labels",
        )
    heads, body = rows[0], rows[1:]
    for number, row in enumerate(body, 2):
        if len(row) != len(heads):
            raise UsageError(
                f"line {number} of {quoted_path(path)} has another number of cells",
                expected=len(heads),
                received=len(row),
            )
    at = heads.index(labels)
    columns = [n for n in range(len(heads)) if n != at]
    try:
        inputs = np.array([[float(row[n]) for n in columns] for row in body], np.float32)
    except ValueError as error:
        raise UsageError(
            f"{quoted_path(path)} holds a cell that is no number: {error}",
            hint="write texts as numbers before; only labels may be texts",
        ) from error
    cells = [row[at] for row in body]
    numbers = None if known else _numbers(cells)
    if numbers is not None:
        return Table(inputs, numbers)
    names = list(known) or sorted(set(cells))
    if unknown := sorted(set(cells) - set(names)):
        raise UsageError(
            f"{quoted_path(path)} holds classes that nothing was trained for: {listed(unknown)}",
            expected=listed(names),
        )
    numbered = {name: number for number, name in enumerate(names)}
    return Table(inputs, np.array([numbered[cell] for cell in cells], np.int64), tuple(names))


def _numbers(cells: list[str]) -> Array | None:
    """Labels that are numbers, whole ones as integers; None where a cell is another text."""
    try:
        numbers = np.array([float(cell) for cell in cells])
    except ValueError:
        return None
    whole = np.isfinite(numbers).all() and (numbers == np.rint(numbers)).all()
    return numbers.astype(np.int64) if whole else numbers.astype(np.float32)


def _unreadable(path: str | Path, why: str) -> UsageError:
    return UsageError(f"cannot read {quoted_path(path)}: {why}", code="usage.unreadable")
