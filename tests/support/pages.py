"""HTML pages as tests see them: whether they are well formed, self-contained, and what they say."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"br", "img", "meta", "link", "hr", "input"}
ADDRESSES = ("src", "href", "action", "poster", "data", "srcset", "xlink:href", "formaction")
"""Attributes that a browser loads from."""

ONCE = {"html", "head", "body", "title", "main", "h1"}


class Page(HTMLParser):
    """A page that was read: tags in balance, ids once, text.

    Attributes:
        text: what a reader sees, without the title and the style.
        tags: names of all elements, in order.
        pictures: addresses of all pictures.
        alternatives: the texts that stand for them.
    """

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html, self.text = html, ""
        self.tags: list[str] = []
        self.pictures: list[str] = []
        self.alternatives: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"
        for tag in ONCE:
            assert self.tags.count(tag) == 1 + (tag == "title") * self.tags.count("svg"), tag

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert len(given) == len(attrs), f"an attribute twice: {attrs}"
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"a script: {name}={value}"
            if name in ADDRESSES:
                assert (value or "").startswith("data:image/png;base64,"), (name, value)
        if tag == "img":
            self.pictures.append(given["src"] or "")
            self.alternatives.append(given["alt"] or "")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self._open):
            self.text += data


def read(html: str) -> Page:
    """Read a page that must be well formed and load nothing from anywhere."""
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>\n<html lang=")
    for tag in ("script", "iframe", "object", "embed", "link", "form", "base"):
        assert tag not in page.tags, tag
    outside = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]*", "", html)
    assert not re.search(r"https?:|url\(|@import|javascript:", outside, re.IGNORECASE)
    headings = [int(tag[1]) for tag in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert headings[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(headings)), headings
    assert all(page.alternatives), "a picture without a text"
    return page
