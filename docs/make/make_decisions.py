"""Writes docs/adr/README.md: the decisions by number, with their status.

Run it with `make docs`; tests/unit/test_drawn_pages.py fails if the page is stale.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "adr"
PAGE = FOLDER / "README.md"
HEAD = """# Decisions
Choices that a successor would question: what was decided, why, and which options lost. One page
each, by number.

This page is written by `make docs` from the pages themselves.
"""


def render() -> str:
    """The page."""
    rows = []
    for path in sorted(FOLDER.glob("[0-9]*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0]
        number, words = path.name[:4], re.sub(r"^#\s*(ADR\s*)?\d*\s*[.:–-]?\s*", "", title)
        rows += _wrapped(f"* {number}: [{words}]({path.name})")
    return "\n".join([HEAD, *rows, ""])


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
