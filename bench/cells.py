"""Cells of a benchmark: rows of measurements, a fresh process for each, tables of them."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TextIO

from ..verifier.errors import UsageError
from .process import Limits, run_module
from .process import Row as Row
from .timing import timed

LINE = 120
"""Characters of a line of the documentation, rows of tables included."""

Column = tuple[str, Callable[[Row], str]]
"""A column of a table: its head, and what it says about a row."""


def in_fresh_process(module: str, cell: Row, seconds: float | None = None) -> Row:
    """The row that a module's `__main__` prints for a cell; its peak memory is its own.

    Raises:
        RuntimeError: the process failed.
        subprocess.TimeoutExpired: it took longer than these seconds, and was ended.
    """
    found = run_module(module, cell, Limits(seconds=seconds))
    if found.ended == "time":
        raise subprocess.TimeoutExpired(module, found.seconds)
    if found.ended != "done":
        raise RuntimeError(f"cell {cell} failed:\n{found.stderr}")
    return found.row


def measure_all(
    module: str,
    cells: Sequence[tuple[str, Row]],
    args: argparse.Namespace,
    say: Callable[[Row], str],
) -> tuple[list[Row], int]:
    """The rows of all cells, each written as soon as it is there; how many cells failed.

    Args:
        module: whose `__main__` measures a cell.
        cells: what they are called, and what the module is asked.
        args: of the command line: where the JSON lines go.
        say: what is said of a row at once.
    """
    rows = []
    with output_lines(args) as lines:
        for number, (name, asked) in enumerate(cells, start=1):
            print(f"[{number}/{len(cells)}] {name} ...", end=" ", file=sys.stderr, flush=True)
            try:
                row, seconds = timed(partial(in_fresh_process, module, asked))
            except RuntimeError as error:
                print(error, file=sys.stderr)
                continue
            print(f"{say(row)}, cell {seconds:.0f} s", file=sys.stderr)
            rows.append(row)
            if lines is not None:
                print(json.dumps(row, sort_keys=True), file=lines, flush=True)
    return rows, len(cells) - len(rows)


def run_cells(
    args: argparse.Namespace,
    measure: Callable[[argparse.Namespace], tuple[list[Row], int]],
    markdown: Callable[[list[Row]], str],
    table: Callable[[list[Row]], str],
    called: str = "cells",
    draw: Callable[[list[Row]], None] | None = None,
) -> int:
    """Measure all cells, or read rows; Markdown to stdout if asked for, tables to stderr.

    Args:
        args: of the command line.
        measure: all rows, and how many cells failed.
        markdown: the section of docs/figures.md.
        table: the rows for people.
        called: what the cells are.
        draw: writes plots of the rows, see `plots.drawing`.

    Raises:
        RuntimeError: some of the cells, by what they are `called`, failed.
    """
    rows, failed = (read_rows(args.rows), 0) if args.rows else measure(args)
    if rows:
        if args.markdown:
            print(markdown(rows))
        print(table(rows), file=sys.stderr)
    if rows and draw is not None:
        draw(rows)
    if failed:
        raise RuntimeError(f"{failed} of {failed + len(rows)} {called} failed")
    return 0


def read_rows(path: str) -> list[Row]:
    """Rows that were written before.

    Raises:
        UsageError: the file is no JSON lines.
    """
    try:
        return [json.loads(line) for line in Path(path).read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as JSON lines: {error}") from error


@contextmanager
def output_lines(args: argparse.Namespace) -> Iterator[TextIO | None]:
    """Where the JSON lines go: the output, else stdout unless Markdown goes there."""
    if args.output:
        with Path(args.output).open("w") as file:
            yield file
    else:
        yield None if args.markdown else sys.stdout


def machine_text(row: Row) -> str:
    """The machine in words."""
    machine = row["machine"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"Python {machine['python']}"
    )


def machines_text(rows: Sequence[Row]) -> str:
    """All machines in words."""
    return "; ".join(dict.fromkeys(machine_text(row) for row in rows))


def formats(*columns: tuple[str, str, str]) -> list[Column]:
    """Columns that print one key each, from (key, format, head)."""
    return [(head, partial(_format, key, form)) for key, form, head in columns]


def _format(key: str, form: str, row: Row) -> str:
    return form.format(row[key])


CPU = ("CPU s", "cpu", 1.0, ",.2f")
CPU_MILLISECONDS = ("CPU ms", "cpu", 1.0, ",.1f")


def beside_estimates(time: tuple[str, str, float, str], size: str) -> list[Column]:
    """Columns of time, memory and bytes (under this key): estimate, measured, their ratio."""
    head, key, unit, form = time
    return [
        *_beside(head, key, key, unit, form),
        *_beside("peak MB", "peak_bytes", "peak_bytes", 1e6, ",.0f"),
        *_beside("KB", "bytes", size, 1e3, ",.0f"),
    ]


def _beside(head: str, key: str, measured: str, unit: float, form: str) -> list[Column]:
    def both(row: Row) -> str:
        return "/".join(f"{each / unit:{form}}" for each in (row["estimate"][key], row[measured]))

    def ratio(row: Row) -> str:
        return f"{row['estimate'][key] / row[measured]:.2f}"

    return [(f"{head} est./real", both), ("ratio", ratio)]


def paragraph(text: str) -> str:
    """Prose of the documentation, in lines that it allows."""
    return textwrap.fill(text, LINE, break_long_words=False, break_on_hyphens=False)


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
