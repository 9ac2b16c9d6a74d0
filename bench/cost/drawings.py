"""Plots of costs on logarithmic axes, one a figure of four panels; needs matplotlib."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..plots import new_figure
from ..power_law import LEAST_POINTS
from ..process import Row
from .analysis import AXES, MEASURES, OF_MODELS, Series, series, where, where_text

COLORS: Mapping[str, str] = {
    "fast": "#0072B2",
    "hybrid": "#009E73",
    "strict": "#D55E00",
    "ezkl": "#7B3294",
}
"""Of Okabe and Ito, and a purple: told apart by eyes of all kinds, and in grey by the markers."""

MARKERS: Mapping[str, str] = {"fast": "o", "hybrid": "s", "strict": "^", "ezkl": "X"}
LINES = ("-", "--", "-.", ":")
FILLS = ("full", "none", "left", "top")
MOST_LINES = 16
"""Lines of a legend that one can read; what is beyond them is left to the tables."""

MOST_NAMES = 12
TITLES: Mapping[str, str] = {
    "parameters": "Cost against parameters",
    "macs": "Cost against multiply-accumulates of a step",
    "steps": "Cost against steps of the chain",
    "batch": "Cost against items of a step",
    "1/δ": "Cost against δ",
}
PANELS: Mapping[str, str] = {
    "prove_s": "seconds to prove",
    "receipt_bytes": "kilobytes of receipt",
    "verify_ms": "milliseconds to verify",
    "peak_mb": "megabytes at the peak",
}
UNITS: Mapping[str, float] = {"receipt_bytes": 1e3}
FILES: Mapping[str, str] = {"1/δ": "delta"}
_PALETTE = 128


class Drawing:
    """A figure, and what it is called.

    Attributes:
        name: for its files.
        title: in words.
        left_out: lines that a legend has no room for.
    """

    def __init__(self, axis: str, found: Sequence[Series], rows: Sequence[Row]) -> None:
        self.name, self.title = FILES.get(axis, axis), TITLES[axis]
        self.left_out = max(0, len(found) - MOST_LINES)
        self._figure = _drawn(axis, found[:MOST_LINES], rows)

    def png(self, dots: int = 100) -> bytes:
        """An image of few colours, and so of few bytes."""
        from PIL import Image

        whole, small = io.BytesIO(), io.BytesIO()
        self._figure.savefig(whole, format="png", dpi=dots)
        with Image.open(whole) as image:
            flat = image.convert("RGB").quantize(_PALETTE, dither=Image.Dither.NONE)
            flat.save(small, format="png", optimize=True)
        return small.getvalue()

    def svg(self) -> str:
        """A file of its own."""
        import matplotlib as mpl

        out = io.StringIO()
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": self.name}):
            self._figure.savefig(out, format="svg", metadata={"Date": None})
        return out.getvalue()

    def inline(self) -> str:
        """For a page: no prolog, no metadata, no address, names of its own."""
        text = self.svg()
        text = text[text.index("<svg") :]
        text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
        text = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", text)
        text = re.sub(r'xlink:href="#', 'href="#', text)
        text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{self.name}-", text)
        text = re.sub(r'="[^"]*"', _shortened, text)
        label = f'<svg role="img" aria-label="{self.title}" class="plot"'
        return text.replace("<svg", label, 1).strip()


def _shortened(attribute: re.Match[str]) -> str:
    """Places to a hundredth of a point: nobody sees more."""
    return re.sub(r"(\d\.\d\d)\d+", r"\1", attribute[0])


def drawings(rows: Sequence[Row]) -> list[Drawing]:
    """A figure for every axis along which something was measured twice.

    Raises:
        UsageError: matplotlib is not installed.
    """
    found = []
    for axis in AXES:
        if curves := _worth_a_line(series(rows, axis), axis):
            curves.sort(key=lambda each: [*COLORS].index(each.rows[0]["mode"]))
            found.append(Drawing(axis, curves, rows))
    return found


def _worth_a_line(found: list[Series], axis: str) -> list[Series]:
    """All, but of models those that hold many, where some do."""
    if axis not in OF_MODELS:
        return found
    many = [each for each in found if len(each.rows) >= LEAST_POINTS]
    return many or found


def save(
    figures: Sequence[Drawing], folder: Path, prefix: str = "", kinds: Sequence[str] = ("png",)
) -> list[Path]:
    """Write every figure in these kinds, of png and svg; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for each in figures:
        for kind in kinds:
            paths.append(folder / f"{prefix}{each.name}.{kind}")
            paths[-1].write_bytes(each.png() if kind == "png" else each.svg().encode())
    return paths


def _drawn(axis: str, found: Sequence[Series], rows: Sequence[Row]) -> Any:
    figure = new_figure(9.6, 7.4)
    panels = figure.subplots(2, 2, sharex=True).ravel()
    places = list(dict.fromkeys(where(row) for row in rows if row["ended"] == "done"))
    styles = _styles(found, places)
    for panel, measure in zip(panels, MEASURES, strict=True):
        for each in found:
            _line(panel, each, measure, styles[id(each)])
        _arrange(panel, axis, measure, found)
    if axis in OF_MODELS:
        for panel in panels[:2]:
            _name_models(panel, axis, found)
    handles, labels = panels[0].get_legend_handles_labels()
    if not handles:
        handles, labels = panels[1].get_legend_handles_labels()
    columns = 1 if max(map(len, labels), default=0) > 70 else 2 if len(labels) < 9 else 3
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, fontsize=8, frameon=False
    )
    machines = "; ".join(where_text(place) for place in places)
    figure.suptitle(f"{TITLES[axis]}\n", fontsize=12)
    figure.text(0.5, 0.955, machines, ha="center", va="top", fontsize=7.5, color="0.35")
    return figure


def _styles(found: Sequence[Series], places: Sequence[tuple[str, ...]]) -> dict[int, Row]:
    """A colour and marker a mode, a line a machine, a fill for each kind of series."""
    bounds = Counter(row["delta"] for each in found for row in each.rows if row["delta"])
    usual = bounds.most_common(1)[0][0] if bounds else None

    def kind_of(each: Series) -> tuple[object, str]:
        """What a series is beside mode and machine: the same fill in all modes."""
        return each.rows[0]["delta"] or usual, each.rest

    kinds = list(dict.fromkeys(kind_of(each) for each in found))
    styles = {}
    for each in found:
        mode, kind = each.rows[0]["mode"], kinds.index(kind_of(each))
        label = each.label if len(places) == 1 else f"{each.label} [{each.place[0]}]"
        line = places.index(each.place) if len(places) > 1 else kind // len(FILLS)
        styles[id(each)] = {
            "color": COLORS[mode],
            "marker": MARKERS[mode],
            "fillstyle": FILLS[kind % len(FILLS)],
            "linestyle": LINES[line % len(LINES)],
            "label": label,
        }
    return styles


def _line(panel: Any, each: Series, measure: str, style: Row) -> None:
    unit = UNITS.get(measure, 1.0)
    points = [(x, y / unit) for x, y in each.points(measure)]
    if not points:
        return
    panel.plot(*zip(*points, strict=True), markersize=5.5, linewidth=1.3, **style)
    if (fit := each.fit(measure)) is not None:
        ends = [points[0][0], points[-1][0]]
        fitted = [fit(x) / unit for x in ends]
        panel.plot(ends, fitted, ":", color=style["color"], linewidth=0.9, alpha=0.6)


def _arrange(panel: Any, axis: str, measure: str, found: Sequence[Series]) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    panel.set(xscale="log", yscale="log", title=PANELS[measure])
    panel.title.set_fontsize(10)
    panel.grid(True, which="major", color="0.88", linewidth=0.7)
    panel.tick_params(labelsize=8)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,g}"))
    low, high = panel.get_ylim()
    few = FuncFormatter(lambda y, _: f"{y:,g}") if high / low < 12 else NullFormatter()
    panel.yaxis.set_minor_formatter(few)
    panel.tick_params(axis="y", which="minor", labelsize=7)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _tick(axis, x)))
    panel.xaxis.set_minor_formatter(NullFormatter())
    if axis not in OF_MODELS:
        ticks = sorted({x for each in found for m in MEASURES for x, _ in each.points(m)})
        panel.set_xticks(ticks)
        panel.set_xticks([], minor=True)
    bottom = panel.get_subplotspec().is_last_row()
    panel.set_xlabel("δ" if axis == "1/δ" else AXES[axis], fontsize=9) if bottom else None


def _tick(axis: str, x: float) -> str:
    if axis == "1/δ":
        return f"{100 / x:.3g} %"
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if x >= unit:
            return f"{x / unit:g}{name}"
    return f"{x:g}"


def _name_models(panel: Any, axis: str, found: Sequence[Series]) -> None:
    """The names of the models, above the places where they lie."""
    names = {row["model"]: float(row[axis]) for each in found for row in each.rows}
    if len(names) > MOST_NAMES:
        return
    above = panel.secondary_xaxis("top")
    above.set_xticks([*names.values()], [*names], rotation=30, ha="left", fontsize=6.5)
    above.set_xticks([], minor=True)
    above.tick_params(length=2, pad=0, colors="0.4")
    above.spines["top"].set_visible(False)
