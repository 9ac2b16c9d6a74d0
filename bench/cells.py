"""Cells of a benchmark: rows of measurements, a fresh process for each, tables of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

Row = dict[str, Any]
Column = tuple[str, Callable[[Row], str]]
"""A column of a table: its head, and what it says about a row."""


def in_fresh_process(module: str, cell: Row) -> Row:
    """The row that a module's `__main__` prints for a cell; its peak memory is its own."""
    command = [sys.executable, "-m", module, json.dumps(cell)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"cell {cell} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def formats(*columns: tuple[str, str, str]) -> list[Column]:
    """Columns that print one key each, from (key, format, head)."""
    return [(head, partial(_format, key, form)) for key, form, head in columns]


def _format(key: str, form: str, row: Row) -> str:
    return form.format(row[key])


def text_table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """Rows for people."""
    lines = _cells(columns, rows)
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True))
        for line in lines
    )


def markdown_table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """Rows for the documentation."""
    head, *lines = _cells(columns, rows)
    rule = "|" + "---|" * len(columns)
    return "\n".join([_bars(head), rule, *map(_bars, lines)])


def _cells(columns: Sequence[Column], rows: Sequence[Row]) -> list[list[str]]:
    return [[head for head, _ in columns], *([say(row) for _, say in columns] for row in rows)]


def _bars(line: Sequence[str]) -> str:
    return f"| {' | '.join(line)} |"
