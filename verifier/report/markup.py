"""HTML, element by element: whatever is not an element of ours is text, and escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable

VOID = frozenset({"br", "img", "meta"})
"""Elements that have no end."""


class Html(str):
    """Text that is HTML already; nothing but this module and constants of ours make it."""

    __slots__ = ()


Child = str | Html | None


def element(name: str, /, *children: Child | Iterable[Child], **attributes: str | None) -> Html:
    """An element with its children; None is left out.

    Args:
        name: of the element.
        *children: elements, texts (which are escaped), or several of them.
        **attributes: by name, `_` for `-`, a `_` at the end for words of Python; None leaves out.
    """
    stated = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_plain(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Html(f"<{name}{stated}>")
    return Html(f"<{name}{stated}>{joined(*children)}</{name}>")


def joined(*children: Child | Iterable[Child]) -> Html:
    """Children one behind the other."""
    return Html("".join(map(_rendered, children)))


def _rendered(child: Child | Iterable[Child]) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return str(child)
    if isinstance(child, str):
        return _plain(child)
    return "".join(map(_rendered, child))


def _plain(text: str) -> str:
    """A text as HTML; what cannot be seen, or turns the order of letters, as its escape."""
    shown = (c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
    return html.escape("".join(shown))


def table(
    caption: Child, head: Iterable[Child], rows: Iterable[Iterable[Child]], kind: str | None = None
) -> Html:
    """A table with a caption and a line of names; the first cell of each row names the row."""
    names = element("tr", [element("th", each, scope="col") for each in head])
    body = [
        element(
            "tr",
            [
                element("td", cell) if place else element("th", cell, scope="row")
                for place, cell in enumerate(row)
            ],
        )
        for row in rows
    ]
    held = element(
        "table",
        element("caption", caption),
        element("thead", names),
        element("tbody", body),
        class_=kind,
    )
    return element("div", held, class_="wide", tabindex="0", role="region", aria_label="table")


def facts(rows: Iterable[tuple[Child, Child | Iterable[Child]]]) -> Html:
    """Names and what they are, one below the other."""
    return element(
        "dl",
        [
            element("div", element("dt", name), element("dd", *_list(value)))
            for name, value in rows
            if value is not None
        ],
    )


def _list(value: Child | Iterable[Child]) -> list[Child | Iterable[Child]]:
    return [value]


def bullets(items: Iterable[Child | Iterable[Child]]) -> Html:
    """A list of points."""
    return element("ul", [element("li", each) for each in items])


def code(text: str) -> Html:
    """Something to be copied as it stands."""
    return element("code", text)
