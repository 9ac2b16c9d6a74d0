"""What notebooks show of a verdict and its like: a short table of two columns, all escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

Row = tuple[str, str]

_LABELLED = re.compile(r"(\S+(?: \S+)*) {2,}(\S.*)")
_HEAD = "text-align:left;vertical-align:top;white-space:nowrap;font-weight:600"
_CELL = "text-align:left;vertical-align:top;overflow-wrap:anywhere"


def table(title: str, rows: Iterable[Row]) -> str:
    """A caption, and a row for each label with its value; nothing in them is taken for HTML."""
    body = "".join(
        f'<tr><th style="{_HEAD}">{html.escape(label)}</th>'
        f'<td style="{_CELL}">{html.escape(value)}</td></tr>'
        for label, value in rows
    )
    caption = f'<caption style="text-align:left">{html.escape(title)}</caption>'
    return f'<table class="zktally">{caption}{body}</table>'


def rows_of(text: str) -> Sequence[Row]:
    """Lines of `label   words`, the lines below a label that are indented joined to its words."""
    rows: list[Row] = []
    for line in text.split("\n"):
        found = _LABELLED.fullmatch(line.rstrip())
        if found:
            rows.append((found[1], found[2]))
        elif line.startswith(" ") and rows:
            label, words = rows.pop()
            rows.append((label, f"{words} {line.strip()}"))
        else:
            rows.append(("", line.strip()))
    return rows
