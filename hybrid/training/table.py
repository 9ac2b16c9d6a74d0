"""Records of a data set in files: arrays by name (.npz), or a table of numbers (.csv).

What the columns and the texts of a table mean is taken from one table, and read into all others:
another order of columns, or a class that a table does not have, changes no record.
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...circuits.graph import Array
from ...verifier.errors import UsageError
from ...verifier.kinds import what_is_at
from ...verifier.quoting import listed, quoted, quoted_path

LABELS = "y"
"""The array or column that holds labels, where nobody names another."""
FILE_MAX = 1 << 34
EXACT = 2.0**53
"""Below this a float is a whole number that it can tell from the next."""


@dataclass(frozen=True)
class Columns:
    """What a table means.

    Attributes:
        inputs: names of the columns that are one input, in its order.
        classes: texts of labels, by class; none where labels are numbers.
    """

    inputs: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Read:
    """The records of a file.

    Attributes:
        inputs: by name, or one array; [records, ...].
        labels: [records, ...].
        columns: what its columns mean; None of a file that is no table.
    """

    inputs: Array | Mapping[str, Array]
    labels: Array
    columns: Columns | None = None


def read_records(path: str | Path, labels: str | None = None, like: Columns | None = None) -> Read:
    """Inputs and labels of all records.

    Args:
        path: an .npz file of inputs by name and labels; a .csv file with a line of names, a column
            of labels, and columns of numbers, which are one input [records, columns].
        labels: name of the array or column of labels (`y`). A column of texts is one of classes, in
            the order of the alphabet.
        like: columns and classes of another table, which this one must have, too, in any order.

    Raises:
        UsageError: `usage.unreadable`; no such array or column; cells that are no numbers; other
            columns or classes than the other table's.
    """
    name = labels or LABELS
    if str(path).endswith(".csv"):
        return _table(Path(path), name, like)
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as held:
            arrays = {key: held[key] for key in held.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _unreadable(path, str(error)) from error
    found = arrays.pop(name, None)
    if found is None or not arrays:
        raise UsageError(
            f"{quoted_path(path)} holds no array {name!r} beside inputs",
            expected="inputs by name, and labels",
            received=listed([*arrays, name] if found is not None else arrays),
            hint="name the labels with --labels",
        )
    return Read(next(iter(arrays.values())) if len(arrays) == 1 else arrays, found)


def _table(path: Path, labels: str, like: Columns | None) -> Read:
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
    names, body = rows[0], rows[1:]
    for number, row in enumerate(body, 2):
        if len(row) != len(names):
            raise UsageError(
                f"line {number} of {quoted_path(path)} has another number of cells",
                expected=len(names),
                received=len(row),
            )
    at = names.index(labels)
    given = [name for n, name in enumerate(names) if n != at]
    inputs_named = tuple(given) if like is None else like.inputs
    if len(set(names)) != len(names) or not given or set(given) != set(inputs_named):
        raise UsageError(
            f"{quoted_path(path)} has other columns than it needs, one twice, or labels alone",
            expected=listed([*inputs_named, labels]),
            received=listed(names),
        )
    columns = [names.index(name) for name in inputs_named]
    try:
        inputs = np.array([[float(row[n]) for n in columns] for row in body], np.float32)
    except ValueError as error:
        raise UsageError(
            f"{quoted_path(path)} holds a cell that is no number: {error}",
            hint="write texts as numbers before; only labels may be texts",
        ) from error
    cells = [row[at] for row in body]
    known = classes(cells) if like is None else like.classes
    try:
        found = labelled(cells, known)
    except UsageError as error:
        raise UsageError(
            f"column {quoted(labels)} of {quoted_path(path)}: {error.message}",
            expected=error.expected,
            received=error.received,
            hint="write labels as numbers, or all of them as texts, those of one table as in the "
            "other",
        ) from error
    return Read(inputs, found, Columns(inputs_named, known))


def classes(cells: Sequence[str]) -> tuple[str, ...]:
    """The texts of a column by the alphabet, each once; none of a column of numbers.

    Raises:
        UsageError: some cells are numbers, and others are not.
    """
    texts = [cell for cell in cells if _number(cell) is None]
    if texts and len(texts) < len(cells):
        raise UsageError("some labels are numbers", expected="all, or none", received=listed(texts))
    return tuple(sorted(set(texts)))


def labelled(cells: Sequence[str], known: Sequence[str] = ()) -> Array:
    """Labels from the cells of a column: classes (int64) where there are some, else numbers.

    Raises:
        UsageError: a cell that is no class, or no number.
    """
    if known:
        place = {text: number for number, text in enumerate(known)}
        strange = sorted(set(cells) - set(place))
        if strange:
            raise UsageError("no such classes", expected=listed(known), received=listed(strange))
        return np.array([place[cell] for cell in cells], np.int64)
    found = [_number(cell) for cell in cells]
    texts = [cell for cell, number in zip(cells, found, strict=True) if number is None]
    if texts:
        raise UsageError("labels are no numbers", expected="numbers", received=listed(texts))
    numbers = np.array(found, np.float64)
    whole = (np.abs(numbers) < EXACT).all() and (numbers == np.rint(numbers)).all()
    return numbers.astype(np.int64) if whole else numbers.astype(np.float32)


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _unreadable(path: str | Path, why: str) -> UsageError:
    return UsageError(
        f"cannot read {quoted_path(path)}: {why}",
        code="usage.unreadable",
        expected="records: arrays by name (.npz), or a table (.csv)",
        received=what_is_at(path),
    )
