"""Pages that can be reviewed and compared: short lines; of the specification, short paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST = 120
PAGES = sorted(
    [
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *(ROOT / folder / "README.md" for folder in ("verifier", "tests/vectors")),
    ]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_line_is_too_long(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    long = {number: len(line) for number, line in enumerate(lines, 1) if len(line) > LONGEST}
    assert not long, f"{page.name}: line numbers and lengths {long}; wrap them, or split the table"


SPECIFICATION = ("protocol", "hybrid", "stark", "recursion", "receipt-format", "soundness")
USUAL_WORDS, MOST_WORDS = 60, 90
"""Of nine paragraphs in ten, and of every paragraph and every cell of a table."""

ITEM = re.compile(r"\s*(?:[*-]|\d+\.)\s")


def blocks(text: str) -> Iterator[str]:
    """What stands between blank lines, item by item of a list; no code, no tables."""
    text = re.sub(r"^```.*?^```$|!\[[^]]*\]\([^)]*\)", "", text, flags=re.DOTALL | re.MULTILINE)
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        apart = not line.strip() or line.startswith(("#", "|"))
        if block and (apart or ITEM.match(line)):
            yield " ".join(block)
            block = []
        if not apart:
            block.append(ITEM.sub("", line))


def cells(text: str) -> Iterator[str]:
    """The cells of all tables."""
    for line in text.splitlines():
        if line.startswith("|"):
            yield from line.replace("\\|", " ").split("|")


def words(parts: Iterator[str]) -> list[int]:
    """How many words each part has, ascending."""
    return sorted(len(part.split()) for part in parts)


@pytest.mark.parametrize("page", SPECIFICATION)
def test_a_paragraph_is_one_idea(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    found = words(blocks(text))
    usual = found[-(-9 * len(found) // 10) - 1]
    assert usual <= USUAL_WORDS, f"nine paragraphs in ten of {page}.md have up to {usual} words"
    longest = max(found + words(cells(text)))
    assert longest <= MOST_WORDS, f"a paragraph of {page}.md has {longest} words"


def test_words_are_counted_by_paragraph_item_and_cell() -> None:
    text = "# A title\none two\nthree\n\n* four\n* five six\n\n| a b c | d |\n\n```\nno\n```\n"
    assert words(blocks(text)) == [1, 2, 3]
    assert max(words(cells(text))) == 3


@pytest.mark.parametrize("page", [*SPECIFICATION, "example", "reading"])
def test_the_rows_of_a_table_have_equal_cells(page: str) -> None:
    """And a blank line stands before a table and before a list: or some readers see neither."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    lines = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE).splitlines()
    for number, (above, line) in enumerate(pairwise(["", *lines])):
        if line.startswith("|"):
            if above.startswith("|"):
                assert line.count("|") == above.count("|"), line
            else:
                assert not above or above.startswith("#"), line
                assert set(lines[number + 1]) <= set("|-"), line
        elif ITEM.match(line) and not ITEM.match(above):
            assert not above or above.startswith(("#", " ")) or in_a_list(lines[:number]), line


def in_a_list(lines: list[str]) -> bool:
    """Whether the paragraph that these lines end with is an item of a list."""
    paragraph = "\n".join(lines).split("\n\n")[-1].splitlines()
    return bool(ITEM.match(paragraph[0]))
