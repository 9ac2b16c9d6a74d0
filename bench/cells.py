"""Cells of a benchmark: rows of measurements, a fresh process for each, tables of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, Any]


def in_fresh_process(module: str, cell: Row) -> Row:
    """The row that a module's `__main__` prints for a cell; its peak memory is its own."""
    command = [sys.executable, "-m", module, json.dumps(cell)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"cell {cell} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def formats(*columns: tuple[str, str, str]) -> list[tuple[str, Callable[[Row], str]]]:
    """Columns that print one key each, from (key, format, head)."""
    return [(head, lambda row, k=key, f=form: f.format(row[k])) for key, form, head in columns]


def text_table(columns: Sequence[tuple[str, Callable[[Row], str]]], rows: Sequence[Row]) -> str:
    """Rows for people; a column is its head and what it says about a row."""
    cells = [[head for head, _ in columns], *([say(row) for _, say in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join(
        "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True))
        for line in cells
    )


def markdown_table(columns: Sequence[tuple[str, Callable[[Row], str]]], rows: Sequence[Row]) -> str:
    """The same as a table in Markdown."""
    lines = [[head for head, _ in columns], ["---"] * len(columns)]
    lines += [[say(row) for _, say in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
