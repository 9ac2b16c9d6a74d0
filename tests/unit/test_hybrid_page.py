"""docs/hybrid.md section 4, docs/tables.txt and both verifiers name the same public columns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zktally.verifier.hybrid.schedule import COLUMNS, Table
from zktally.verifier.hybrid.verify import tables_file
from zktally.verifier.stark.statement import MASKS

PAGE = Path(__file__).parents[2] / "docs" / "hybrid.md"
TABLES = PAGE.with_name("tables.txt")
FACTORS = {"factor": 3, "two factors": 6}


def section(number):
    """The part of a table: its name, its text, the cells of its columns."""
    text = PAGE.read_text(encoding="utf-8").split(f"### Table {number}: ")[1]
    text = re.split("\n##", text)[0]
    name, rest = text.split("\n", 1)
    rows = [line.split("|")[1:-1] for line in rest.splitlines() if line.startswith("| `")]
    return name, rest, rows


def columns(row):
    """How many public columns a row of the page stands for."""
    names, formula = row[0], row[1].strip()
    each = next((n for kind, n in FACTORS.items() if formula.startswith(kind)), 1)
    sizes = [int(size or 1) for size in re.findall(r"`\w+(?:\[(\d+)\])?`", names)]
    return each * sum(sizes)


@pytest.mark.parametrize("number", range(17))
def test_a_table_and_its_page(number):
    table = tables_file().tables[number]
    name, text, rows = section(number)
    assert name == table.name
    assert sum(map(columns, rows)) == table.publics - MASKS
    for part in ("*Rows:*", "*Main:*", "*Reader"):
        assert part in text
    assert all(cell.strip() for row in rows for cell in row)


def named(number):
    """Name and number of columns of each public column that docs/tables.txt lists, in order."""
    text = TABLES.read_text(encoding="utf-8").split(f"\n## {number} ")[1]
    text = text.split("public columns: ")[1].split("\nmain columns:")[0]
    found = re.findall(r"(\d+)(?:–(\d+))?\s+(\w+)", text)
    ends = [(name, int(first), int(last or first)) for first, last, name in found]
    assert [first for _, first, _ in ends[1:]] == [last + 1 for _, _, last in ends[:-1]]
    return [(name, last + 1 - first) for name, first, last in ends]


@pytest.mark.parametrize("table", Table)
def test_columns_have_the_same_names_everywhere(table):
    listed = named(table)
    assert listed[:MASKS] == [("mask_on", 1), ("mask_tag", 1)]
    of = {int: lambda at: 1, slice: lambda at: at.stop - at.start}
    assert listed[MASKS:] == [(name, of[type(at)](at)) for name, at in COLUMNS[table].at.items()]
    _, _, rows = section(int(table))
    on_page = re.findall(r"`(\w+)(?:\[\d+\])?`", " ".join(row[0] for row in rows))
    assert sorted(on_page) == sorted(name for name, _ in listed[MASKS:])
