"""What the site of docs/ is made of, read without what builds it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONFIG = ROOT / "mkdocs.yml"


def pages() -> list[str]:
    """Every page and notebook below docs/, by its path there."""
    found = [*DOCS.rglob("*.md"), *DOCS.rglob("*.ipynb")]
    return sorted(path.relative_to(DOCS).as_posix() for path in found)


def navigation() -> list[str]:
    """The pages that mkdocs.yml lists, in their order."""
    nav = CONFIG.read_text("utf-8").split("\nnav:\n")[1]
    return re.findall(r"([\w/.-]+\.(?:md|ipynb))$", nav, re.MULTILINE)


def prose(page: str) -> str:
    """A page without its code."""
    text = (DOCS / page).read_text("utf-8")
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))


def links(page: str) -> Iterator[str]:
    """Where the links and pictures of a page lead."""
    yield from re.findall(r"\]\(([^)\s]+)\)", prose(page))


def anchors(page: str) -> set[str]:
    """The names of a page's headings, as Python-Markdown makes them; repeats are numbered."""
    text = re.sub(r"^```.*?^```", "", (DOCS / page).read_text("utf-8"), flags=re.S | re.M)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        name, number = slug(re.sub(r"\]\([^)]*\)|[\[`*]", "", heading)), 1
        while name in found:
            name, number = f"{slug(heading)}_{number}", number + 1
        found.add(name)
    return found


def slug(heading: str) -> str:
    """A heading as an anchor."""
    plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
