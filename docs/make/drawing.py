"""Boxes, arrows and words as SVG: what the figures of the specification are drawn with.

A figure is a light card with dark lines, so that it can be read on a light page and on a dark one,
and its text can be read at a width of 700 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH = 760
FONT = 15
INK, CARD, EDGE = "#1d2433", "#fbfbf8", "#c9cdd6"
FILLS = {
    "plain": "#ffffff",
    "hash": "#dbe7fb",
    "data": "#e2f2dd",
    "secret": "#f8e3d2",
    "public": "#f4ecc6",
    "zero": "#ececec",
}
"""Hashes are blue, values green, what stays hidden orange, what everybody sees yellow."""


class Box:
    """A box with lines of text: where it is, so that arrows find its edges."""

    def __init__(self, x: float, y: float, w: float, h: float) -> None:
        self.x, self.y, self.w, self.h = x, y, w, h

    @property
    def top(self) -> tuple[float, float]:
        """The middle of the upper edge."""
        return self.x + self.w / 2, self.y

    @property
    def bottom(self) -> tuple[float, float]:
        """The middle of the lower edge."""
        return self.x + self.w / 2, self.y + self.h

    @property
    def left(self) -> tuple[float, float]:
        """The middle of the left edge."""
        return self.x, self.y + self.h / 2

    @property
    def right(self) -> tuple[float, float]:
        """The middle of the right edge."""
        return self.x + self.w, self.y + self.h / 2


class Figure:
    """A drawing of boxes, arrows and words."""

    def __init__(self, height: int, title: str) -> None:
        self._height, self._title = height, title
        self._parts: list[str] = []

    def box(
        self, x: float, y: float, w: float, h: float, text: str = "", fill: str = "plain"
    ) -> Box:
        """A box with its text in the middle, line by line."""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="4" fill="{FILLS[fill]}" '
            f'stroke="{INK}" stroke-width="1.2"/>'
        )
        lines = text.split("\n") if text else []
        start = y + h / 2 - (len(lines) - 1) * FONT * 0.6 + FONT * 0.35
        for number, line in enumerate(lines):
            self.text(x + w / 2, start + number * FONT * 1.2, line, "middle")
        return Box(x, y, w, h)

    def text(
        self, x: float, y: float, text: str, anchor: str = "start", size: float = FONT
    ) -> None:
        """One line of text; its y is that of the base line."""
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size:g}">'
            f"{escape(text)}</text>"
        )

    def note(self, x: float, y: float, text: str, anchor: str = "start") -> None:
        """Smaller text, line by line."""
        for number, line in enumerate(text.split("\n")):
            self.text(x, y + number * 16, line, anchor, 13)

    def arrow(self, *points: tuple[float, float], dashed: bool = False) -> None:
        """A line through points that ends in an arrow."""
        self._line(points, dashed, ' marker-end="url(#tip)"')

    def line(self, *points: tuple[float, float], dashed: bool = False) -> None:
        """A line through points."""
        self._line(points, dashed, "")

    def _line(self, points: Sequence[tuple[float, float]], dashed: bool, end: str) -> None:
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{INK}" stroke-width="1.3"{dash}{end}/>'
        )

    def svg(self) -> str:
        """The whole file."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self._height}" '
            f'width="{WIDTH}" height="{self._height}" role="img" '
            'font-family="Helvetica, Arial, DejaVu Sans, sans-serif" '
            f'font-size="{FONT}" fill="{INK}">\n<title>{escape(self._title)}</title>\n'
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="{INK}"/>'
            "</marker></defs>\n"
            f'<rect x="1" y="1" width="{WIDTH - 2}" height="{self._height - 2}" rx="8" '
            f'fill="{CARD}" stroke="{EDGE}"/>\n'
        )
        return head + "\n".join(self._parts) + "\n</svg>\n"
