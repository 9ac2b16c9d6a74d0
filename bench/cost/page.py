"""A report of costs as one HTML file: no network, no other file, sortable, printable."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Protocol

from ..process import Row
from .analysis import AXES, MEASURES, Crossover, Growth, power, where_text
from .columns import COSTS, MACHINE, PEER, PROMISES, STOPPED, Shown
from .words import LIMITS, MEASURED, NO_PLOTS

if TYPE_CHECKING:
    from .drawings import Drawing


class Findings(Protocol):
    """What a page shows: `report.CostReport` has it."""

    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def rows(self) -> Sequence[Row]: ...  # noqa: D102
    @property
    def done(self) -> Sequence[Row]: ...  # noqa: D102
    @property
    def stopped(self) -> Sequence[Row]: ...  # noqa: D102
    @property
    def growths(self) -> Sequence[Growth]: ...  # noqa: D102
    @property
    def crossovers(self) -> Sequence[Crossover]: ...  # noqa: D102
    @property
    def places(self) -> Sequence[tuple[str, ...]]: ...  # noqa: D102
    @property
    def machines(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def data(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def commands(self) -> Sequence[str]: ...  # noqa: D102


POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""A browser that keeps to it asks for nothing."""

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff; margin: 0 auto;
  padding: 1.5rem; max-width: 76rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid #d8dde3; }
details { margin: .4rem 0; } summary { cursor: pointer; color: #57606a; }
p, li { max-width: 60rem; }
.lead { color: #57606a; margin-top: 0; }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; }
.tile { border: 1px solid #d8dde3; border-radius: 6px; padding: .5rem .9rem; min-width: 7rem; }
.tile b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.tile span { color: #57606a; font-size: .85rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .82rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .55rem; text-align: right; border-bottom: 1px solid #e4e8ec;
  vertical-align: top; white-space: nowrap; }
th { background: #f3f5f7; font-weight: 600; }
th.by { cursor: pointer; }
th.by:focus-visible { outline: 2px solid #0072b2; }
th[aria-sort=ascending]::after { content: " \\2191"; }
th[aria-sort=descending]::after { content: " \\2193"; }
td.text, th.text { text-align: left; }
td.long { white-space: normal; min-width: 22rem; text-align: left; }
tbody tr:hover { background: #f7f9fb; }
code { font-size: .85rem; overflow-wrap: anywhere; }
dt { font-weight: 600; margin-top: .5rem; } dd { margin: 0 0 0 1.2rem; max-width: 58rem; }
svg.plot { width: 100%; height: auto; max-width: 62rem; display: block; margin: 0 auto 1.2rem; }
.hint { color: #57606a; font-size: .85rem; }
@media print {
  @page { size: A4 landscape; margin: 12mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  table { font-size: 6.5pt; } th, td { padding: 1pt 3pt; }
  td.long { min-width: 0; } .scroll { overflow: visible; }
  tr, svg.plot, .tile { break-inside: avoid; } h2 { break-after: avoid; }
  svg.plot { height: 160mm; margin: 0 auto; }
  .screen { display: none; }
}
"""

SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const sort = (head) => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const at = heads.indexOf(head), body = table.tBodies[0];
    const key = (row) => row.cells[at].dataset.n ?? "";
    const compare = (a, b) => {
      if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === "");
      const x = Number(key(a)), y = Number(key(b));
      const order = Number.isNaN(x) || Number.isNaN(y) ? key(a).localeCompare(key(b)) : x - y;
      return up ? order : -order;
    };
    body.append(...[...body.rows].sort(compare));
  };
  heads.forEach((head) => {
    head.tabIndex = 0;
    head.addEventListener("click", () => sort(head));
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(head); }
    });
  });
}
"""

LONG = 60
"""Characters from which on a text is broken into lines."""


def page(report: Findings, figures: Sequence[Drawing] | None) -> str:
    """The whole file; `figures` is None where there is no matplotlib."""
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escape(report.title)}</title><style>{STYLE}</style></head><body>\n"
        f"{_head(report)}\n{body(report, figures)}\n{_words(report)}\n"
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def fragment(report: Findings, figures: Sequence[Drawing] | None) -> str:
    """The part of it that a notebook shows."""
    screen = STYLE.partition("@media print")[0].replace(":root {", "& {").replace("body {", "& {")
    style = f".zktally-cost {{ {screen} }}"  # nested: nothing else of the notebook looks different
    return (
        f'<div class="zktally-cost"><style>{style}</style>{_head(report)}'
        f"{_findings(report)}{_plots(figures)}{table(report.done, COSTS)}"
        f"{_stopped(report)}</div>"
    )


def body(report: Findings, figures: Sequence[Drawing] | None) -> str:
    """Findings, plots, tables."""
    own = [row for row in report.done if row["mode"] != "ezkl"]
    peers = [row for row in report.done if row["mode"] == "ezkl"]
    several = len({row["machine"]["name"] for row in report.rows}) > 1
    costs = (MACHINE, *COSTS) if several else COSTS
    parts = [
        _findings(report),
        f"<h2>Plots</h2>{_plots(figures)}",
        "<h2>Costs</h2>"
        '<p class="hint screen">Click on the head of a column to sort by it; it says what it is '
        f"when you point at it.</p>{table(report.done, costs)}",
        _exponents(report.growths),
        f"<h2>Accuracy, and what a receipt guarantees</h2>{table(own, PROMISES)}" if own else "",
        f"<h2>ezkl</h2>{table(peers, PEER)}" if peers else "",
        _stopped(report),
    ]
    return "\n".join(part for part in parts if part)


def _head(report: Findings) -> str:
    machines = "; ".join(where_text(place) for place in report.places) or "nothing measured yet"
    models = {row["model"] for row in report.rows}
    named = {row["machine"]["name"] for row in report.rows}
    tiles = [
        (len(models), "model" if len(models) == 1 else "models"),
        (len(report.done), "cells measured"),
        (len(report.stopped), "not measured"),
        (len(named), "machine" if len(named) == 1 else "machines"),
    ]
    shown = "".join(f'<div class="tile"><b>{n:,}</b><span>{w}</span></div>' for n, w in tiles)
    return (
        f'<h1>{escape(report.title)}</h1><p class="lead">{escape(machines)}</p>'
        f'<div class="tiles">{shown}</div>'
    )


def _findings(report: Findings) -> str:
    """What the rows come to, in sentences."""
    first = [each for each in report.crossovers if each.measure == "prove_s"]
    others = [each for each in report.crossovers if each.measure != "prove_s"]
    found = [*_sentences(first, report), *_growth_sentences(report)]
    if not found and not others:
        return ""
    more = ""
    if others:
        count = f"{len(others)} more, of receipts, verifiers and memory"
        more = f"<details><summary>{count}</summary>{_items(_sentences(others, report))}</details>"
    return f"<h2>What was found</h2>{_items(found)}{more}"


def _items(texts: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in texts)}</ul>"


def _sentences(found: Iterable[Crossover], report: Findings) -> list[str]:
    several = len(report.places) > 1
    return [each.text + (f" ({where_text(each.place)})" if several else "") + "." for each in found]


def _growth_sentences(report: Findings) -> list[str]:
    """How seconds to prove grow with the size of the model."""
    return [
        f"{each.series.label}: seconds to prove grow as parameters^{power(fit)} "
        f"({fit.points} models, R² {fit.r2:.2f})."
        for each in report.growths
        if each.series.axis == "parameters" and (fit := each.fits.get("prove_s")) is not None
    ]


def _plots(figures: Sequence[Drawing] | None) -> str:
    if figures is None:
        return f"<p><strong>{escape(NO_PLOTS)}</strong></p>"
    if not figures:
        return "<p>Nothing was measured at two sizes, so there is nothing to draw.</p>"
    parts = []
    for each in figures:
        parts.append(each.inline())
        if each.left_out:
            parts.append(f'<p class="hint">{each.left_out} more series stand in the table.</p>')
    return (
        "\n".join(parts)
        + '<p class="hint">Dotted lines are the fitted power laws, where there are three points '
        "or more.</p>"
    )


def _exponents(found: Sequence[Growth]) -> str:
    if not found:
        return "<h2>Exponents</h2><p>No series has three places or more, so nothing was fitted.</p>"
    heads = ["series", "machine", "against", "points", *MEASURES.values()]
    rows = []
    for each in found:
        fits = [each.fits.get(measure) for measure in MEASURES]
        points = max(fit.points for fit in each.fits.values())
        cells = [
            _cell(each.series.label, each.series.label),
            _cell(each.series.place[0], each.series.place[0]),
            _cell(AXES[each.series.axis], AXES[each.series.axis]),
            _cell(str(points), points),
        ]
        cells += [
            _cell("–", None)
            if fit is None
            else _cell(f"{power(fit)} (R² {fit.r2:.2f})", fit.exponent)
            for fit in fits
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(f'<th class="by" scope="col">{escape(each)}</th>' for each in heads)
    return (
        "<h2>Exponents</h2><p>Cost grows about as x to this power.</p>"
        f'<div class="scroll"><table class="sortable"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _stopped(report: Findings) -> str:
    if not report.stopped:
        return ""
    return f"<h2>Not measured, and why</h2>{table(report.stopped, STOPPED)}"


def table(rows: Sequence[Row], columns: Sequence[Shown]) -> str:
    """A table that can be sorted; columns in which no row says anything are left out."""
    kept = [each for each in columns if any(each.value(row) is not None for row in rows)]
    head = "".join(
        f'<th class="by{_side(rows, each)}" scope="col" title="{escape(each.help)}">'
        f"{escape(each.head)}</th>"
        for each in kept
    )
    lines = "".join(
        f"<tr>{''.join(_cell(each.text(row), each.value(row)) for each in kept)}</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table class="sortable"><thead><tr>{head}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _side(rows: Sequence[Row], column: Shown) -> str:
    """The class of a head above texts, which stand on the left."""
    values = [column.value(row) for row in rows]
    return " text" if any(isinstance(value, str) for value in values) else ""


def _cell(text: str, value: object) -> str:
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    kind = "" if number or value is None else ' class="text"'
    if len(text) > LONG:
        kind = ' class="long"'
    key = "" if value is None else value if number else text
    return f'<td{kind} data-n="{escape(str(key))}">{escape(text)}</td>'


def _words(report: Findings) -> str:
    terms = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in MEASURED)
    limits = "".join(f"<li>{escape(each)}</li>" for each in LIMITS)
    data = "".join(f"<li>{escape(each)}</li>" for each in report.data)
    machines = "".join(f"<li>{escape(each)}</li>" for each in report.machines)
    commands = "".join(f"<li><code>{escape(each)}</code></li>" for each in report.commands)
    return (
        f"<h2>What is measured</h2><dl>{terms}</dl>"
        f"<h2>Limits</h2><ul>{limits}</ul>"
        f"<h2>Inputs</h2><ul>{data}</ul>"
        f"<h2>Machines and versions</h2><ul>{machines}</ul>"
        f"<h2>Command</h2><ul>{commands}</ul>"
    )
