"""The figures of the specification are fresh, used, described, and hold together as XML."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import make_figures
import pytest

DOCS = Path(__file__).parents[2] / "docs"
SVG = "{http://www.w3.org/2000/svg}"
USED = re.compile(r"!\[([^]]*)\]\(figures/([\w-]+\.svg)\)")
FIGURES = make_figures.render()


def test_the_files_are_fresh() -> None:
    found = {path.name: path.read_text("utf-8") for path in make_figures.FOLDER.glob("*.svg")}
    assert found == FIGURES, "run `make docs`"


def test_each_is_shown_once_with_a_description() -> None:
    pages = "\n".join(page.read_text("utf-8") for page in sorted(DOCS.glob("*.md")))
    shown = {name: alt for alt, name in USED.findall(pages)}
    assert sorted(name for _, name in USED.findall(pages)) == sorted(FIGURES)
    assert all(len(alt.split()) > 10 for alt in shown.values())


@pytest.mark.parametrize("name", FIGURES)
def test_its_words_stand_on_the_card_and_can_be_read(name: str) -> None:
    root = ElementTree.fromstring(FIGURES[name])
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert root.findtext(f"{SVG}title")
    for text in root.iter(f"{SVG}text"):
        x, y, size = (float(text.attrib[key]) for key in ("x", "y", "font-size"))
        assert 0 < y < height
        assert size * 700 / width >= 11
        half = len(text.text or "") * size * 0.5
        anchor = text.attrib["text-anchor"]
        ends = {
            "start": (x, x + half),
            "middle": (x - half / 2, x + half / 2),
            "end": (x - half, x),
        }
        assert 0 < ends[anchor][0] < ends[anchor][1] < width
