"""docs/hybrid.md section 4 lists the public columns that the tables file has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zktally.verifier.hybrid.verify import tables_file
from zktally.verifier.stark.statement import MASKS

PAGE = Path(__file__).parents[2] / "docs" / "hybrid.md"
PRODUCTS = 16


def section(number):
    """The part of a table: its name, its text, the cells of its columns."""
    text = PAGE.read_text(encoding="utf-8").split(f"### Table {number}: ")[1]
    text = re.split("\n##", text)[0]
    name, rest = text.split("\n", 1)
    rows = [line.split("|")[1:-1] for line in rest.splitlines() if line.startswith("| `")]
    return name, rest, rows


def columns(row):
    """How many public columns a row of the page stands for."""
    names, formula = row[0], row[1]
    if "a_j, b_j" in names:
        return 2 * 3 * PRODUCTS
    each = 3 if formula.strip().startswith("factor") else 1
    sizes = [int(size or 1) for size in re.findall(r"`\w+(?:\[(\d+)\])?`", names)]
    return each * sum(sizes)


@pytest.mark.parametrize("number", range(15))
def test_a_table_and_its_page(number):
    table = tables_file().tables[number]
    name, text, rows = section(number)
    assert name == table.name
    assert sum(map(columns, rows)) == table.publics - MASKS
    for part in ("*Rows:*", "*Main:*", "*Reader"):
        assert part in text
    assert all(cell.strip() for row in rows for cell in row)
