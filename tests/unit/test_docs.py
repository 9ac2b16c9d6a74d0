"""Pages that can be reviewed and compared: no line is longer than 120 characters."""

from __future__ import annotations

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
