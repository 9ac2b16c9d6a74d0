"""Values of a port on the page: pictures, a curve, or a table, and never more than fits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from ..quoting import quoted
from ..values import Values
from . import pictures
from .curves import curve
from .markup import Child, Html, element, table

Array = np.ndarray[Any, np.dtype[Any]]

MOST_ROWS, MOST_COLUMNS, MOST_PICTURES = 100, 12, 60
CHOICES = range(2, 1001)
"""Columns of a row of which the largest is told apart: scores of classes, mostly."""


def parts(values: Values) -> Iterator[Html]:
    """What is shown of a port."""
    images = pictures.as_images(values.values)
    if images is not None:
        yield from _pictures(values, images)
    elif values.unit == "step" and len(values.rows) > 1 and values.values[0].size == 1:
        yield from _curve(values)
    else:
        yield _table(values)


def _pictures(values: Values, images: Array) -> Iterator[Html]:
    low, high, meaning = pictures.scale(images)
    yield element(
        "div",
        [
            element(
                "figure",
                element(
                    "img",
                    src=pictures.data_uri(image, low, high),
                    alt=f"{quoted(values.name)}, {values.unit} {number}, as a picture of "
                    f"{image.shape[1]} by {image.shape[0]} pixels",
                ),
                element("figcaption", f"{values.unit} {number}"),
            )
            for number, image in zip(
                values.rows[:MOST_PICTURES].tolist(), images[:MOST_PICTURES], strict=True
            )
        ],
        class_="pictures",
    )
    rest = f"The first {MOST_PICTURES} of {len(images):,}. " if len(images) > MOST_PICTURES else ""
    size = pictures.side(images[0])
    mean = "" if size == 1 else f" Each pixel that is shown is the mean of {size} by {size}."
    yield element("p", f"{rest}In the pictures {meaning}.{mean}", class_="sub")


def _curve(values: Values) -> Iterator[Html]:
    numbers = values.values.reshape(-1)
    first, last = int(values.rows[0]), int(values.rows[-1])
    if (numbers == numbers[0]).all():
        yield element("p", f"{_number(numbers[0])} in every step from {first:,} to {last:,}.")
        return
    drawn = curve(values.name, values.rows, numbers)
    if drawn is not None:
        yield element("figure", drawn, element("figcaption", f"{quoted(values.name)} by step"))
    finite = np.flatnonzero(np.isfinite(numbers))
    if not len(finite):
        return
    least = finite[int(np.argmin(numbers[finite]))]
    marks = [("first", 0), ("least", int(least)), ("last", len(numbers) - 1)]
    yield table(
        f"{quoted(values.name)} of single steps",
        ["", "Step", "Value"],
        [[name, f"{int(values.rows[at]):,}", _number(numbers[at])] for name, at in marks],
        "numbers",
    )


def _table(values: Values) -> Html:
    """Rows of items or steps, the numbers of each in one line."""
    flat = values.values.reshape(len(values.rows), -1)
    width = flat.shape[1]
    columns = min(width, MOST_COLUMNS)
    pick = width in CHOICES and flat.dtype.kind == "f"
    places = islice(np.ndindex(values.values.shape[1:]), columns)
    heads = [", ".join(map(str, place)) or "value" for place in places]
    dots, largest = ["…"] if columns < width else [], ["largest"] if pick else []
    head = [values.unit, *heads, *dots, *largest]
    rows = [
        _row(number, row, columns, pick)
        for number, row in zip(values.rows[:MOST_ROWS].tolist(), flat[:MOST_ROWS], strict=True)
    ]
    return table(_caption(values, pick, columns < width), head, rows, "numbers")


def _caption(values: Values, pick: bool, is_cut: bool) -> str:
    said = [f"{quoted(values.name)}: one line for each {values.unit}"]
    if len(values.rows) > MOST_ROWS:
        said.append(f"the first {MOST_ROWS} of {len(values.rows):,}")
    if is_cut:
        said.append(f"the first {MOST_COLUMNS} of {values.values[0].size:,} numbers of each")
    said += ["“largest” is the position of the largest number"] if pick else []
    return "; ".join(said)


def _row(number: int, row: Array, columns: int, pick: bool) -> list[Child]:
    largest = int(np.argmax(row)) if pick and np.isfinite(row).all() else None
    cells: list[Child] = [str(number)]
    for at in range(columns):
        text = _number(row[at])
        cells.append(element("b", text) if at == largest else text)
    cells += ["…"] if columns < len(row) else []
    if pick:
        cells.append("" if largest is None else str(largest))
    return cells


def _number(value: Any) -> str:
    return f"{int(value):,}" if np.asarray(value).dtype.kind in "iu" else f"{float(value):.4g}"
