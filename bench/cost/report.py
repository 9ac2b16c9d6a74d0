"""A report of costs: rows, and all that follows from them, as files, for people and notebooks."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ...circuits.files import write_atomically
from ...verifier.errors import UsageError
from ...verifier.quoting import quoted_path
from ..cells import LINE, Column, markdown_table, paragraph, text_table
from ..process import Row
from . import analysis
from .analysis import AXES, MEASURES, Crossover, Growth, power
from .cell import MODES
from .columns import (
    BATCH,
    BITS,
    COSTS,
    DELTA,
    KILOBYTES,
    MACHINE,
    MACS,
    MODE,
    MODEL,
    PARAMETERS,
    PEAK,
    PEER,
    PROMISES,
    PROVE,
    PYTHON,
    STEPS,
    STOPPED,
    VERIFY,
    Shown,
    csv_text,
)  # fmt: skip
from .page import fragment, page
from .store import ROWS, Store
from .words import LIMITS, MEASURED, NO_PLOTS

if TYPE_CHECKING:
    from .drawings import Drawing

SHORT = (MODEL, PARAMETERS, MODE, DELTA, BATCH, STEPS, PROVE, PEAK, KILOBYTES, VERIFY, PYTHON, BITS)
"""Of COSTS, what fits a screen."""


@dataclass(frozen=True, eq=False)
class CostReport:
    """What cells cost.

    Attributes:
        rows: one a cell, measured or not, as in cells.jsonl (docs/bench.md), in the order of
            machine, size of the model, mode, batch, steps, δ.
        title: of the report.
    """

    rows: tuple[Row, ...]
    title: str = "What receipts cost"

    @classmethod
    def of(cls, rows: Iterable[Row], title: str | None = None) -> CostReport:
        """The report of rows in any order."""
        ordered = tuple(sorted(rows, key=_order))
        return cls(ordered) if title is None else cls(ordered, title)

    @cached_property
    def done(self) -> list[Row]:
        """The rows of cells that were measured."""
        return analysis.done(self.rows)

    @cached_property
    def stopped(self) -> list[Row]:
        """The rows of cells that were not, which say why."""
        return [row for row in self.rows if row["ended"] != "done"]

    @cached_property
    def growths(self) -> list[Growth]:
        """Fitted power laws: series with three places or more."""
        return analysis.growths(self.rows)

    @cached_property
    def crossovers(self) -> list[Crossover]:
        """Where one mode becomes cheaper than another, and who is cheaper at all sizes."""
        return analysis.told(analysis.crossovers(self.rows))

    @property
    def places(self) -> list[tuple[str, ...]]:
        """Machines with threads and version, once each."""
        return list(dict.fromkeys(analysis.where(row) for row in self.done))

    @property
    def machines(self) -> list[str]:
        """Machines and versions in words."""
        return list(dict.fromkeys(_machine_text(row) for row in self.done or self.rows))

    @property
    def data(self) -> list[str]:
        """Where the inputs of each model came from."""
        return list(dict.fromkeys(f"{row['model']}: {row['data']}" for row in self.rows))

    @property
    def commands(self) -> list[str]:
        """The commands that made the rows."""
        return list(dict.fromkeys(row["command"] for row in self.rows if row.get("command")))

    @cached_property
    def figures(self) -> list[Drawing] | None:
        """Plots; None where matplotlib is not installed."""
        from .drawings import drawings

        try:
            return drawings(self.rows)
        except UsageError:
            return None

    def table(self) -> str:
        """The rows for people, on a terminal."""
        parts = [text_table(_columns(SHORT, self.done), self.done)] if self.done else []
        parts += [text_table(_EXPONENTS, list(map(_flat, self.growths)))] if self.growths else []
        parts += ["\n".join(each.text for each in self.crossovers)] if self.crossovers else []
        if self.stopped:
            parts.append(text_table([each.column for each in STOPPED], self.stopped))
        return "\n\n".join(parts) or "no cells"

    def markdown(self) -> str:
        """All tables, findings and remarks: table.md."""
        own = [row for row in self.done if row["mode"] != "ezkl"]
        peers = [row for row in self.done if row["mode"] == "ezkl"]
        costs = (MACHINE, *COSTS) if len(self.places) > 1 else COSTS
        parts = [f"# {self.title}", *(f"- {each}" for each in self.machines)]
        parts += ["## Costs", markdown_table(_columns(costs, self.done), self.done)]
        parts += self._found()
        if own:
            parts += [
                "## Accuracy, and what a receipt guarantees",
                markdown_table(_columns(PROMISES, own), own),
            ]
        if peers:
            parts += ["## ezkl", markdown_table(_columns(PEER, peers), peers)]
        if self.stopped:
            columns = [each.column for each in STOPPED]
            parts += ["## Not measured, and why", markdown_table(columns, self.stopped)]
        parts += ["## What is measured", *(f"**{term}** {text}" for term, text in MEASURED)]
        parts += ["## Limits", "\n".join(f"- {each}" for each in LIMITS)]
        parts += ["## Inputs", "\n".join(f"- {each}" for each in self.data)]
        parts += ["## Command", "\n".join(f"    {each}" for each in self.commands)]
        return "\n\n".join(parts) + "\n"

    def _found(self) -> list[str]:
        parts = []
        if self.growths:
            parts += ["## Exponents", markdown_table(_EXPONENTS, [_flat(g) for g in self.growths])]
        if self.crossovers:
            parts += ["## Crossovers", "\n".join(f"- {each.text}" for each in self.crossovers)]
        return parts

    def section(self) -> str:
        """The section of docs/figures.md, in lines that it allows.

        Raises:
            UsageError: nothing was measured.
        """
        if not self.done:
            raise UsageError("nothing was measured, so there is nothing for a page")
        figures = self.figures or []
        parts = [
            "## Costs by size: `zktally bench cost`",
            paragraph(f"{'; '.join(self.machines)}. {self._extent()} {_PREFACE}"),
            "\n".join(f"![{each.title}](plots/cost-{each.name}.png)" for each in figures),
            markdown_table(_columns(_NARROW, self.done), self.done),
            paragraph(_LEGEND),
            "\n".join(_bullet(each.text) for each in self.crossovers if each.measure == "prove_s"),
            markdown_table(_EXPONENTS, [_flat(each) for each in self.growths]),
            "\n".join(_bullet(_stop_text(row)) for row in self.stopped),
        ]
        return "\n\n".join(part for part in parts if part)

    def _extent(self) -> str:
        """How many models, and how large."""
        sizes = {row["model"]: row.get("parameters") or 0 for row in self.done}
        ends = f"from {min(sizes.values()):,} to {max(sizes.values()):,} parameters"
        return f"{len(sizes)} networks {ends}, one process a cell."

    def html(self) -> str:
        """One self-contained page."""
        return page(self, self.figures)

    def write(self, folder: str | Path) -> list[Path]:
        """Write cells.csv, table.md, report.html and plots/ into a folder that is there.

        Returns:
            The files.

        Raises:
            UsageError: `usage.unwritable`.
        """
        target = Path(folder)
        texts = {
            "cells.csv": csv_text(self.rows),
            "table.md": self.markdown(),
            "report.html": self.html(),
        }
        paths = []
        for name, text in texts.items():
            write_atomically(target / name, text.encode(), force=True)
            paths.append(target / name)
        return paths + self.plot(target / "plots")

    def plot(
        self, folder: Path, prefix: str = "", kinds: Sequence[str] = ("png", "svg")
    ) -> list[Path]:
        """Write the plots; returns their files, none where matplotlib is not installed."""
        if not self.figures:
            return []
        from .drawings import save

        return save(self.figures, folder, prefix, kinds)

    def save(self, folder: str | Path) -> list[Path]:
        """Write the rows, too, into a folder of their own; returns the files.

        Raises:
            UsageError: `usage.file-exists`, the folder has rows or other things already.
        """
        store = Store(folder)
        if store.rows:
            raise UsageError(
                f"{quoted_path(folder)} has rows of its own",
                code="usage.file-exists",
                hint="name it beside the other folders, and choose a new one for the report",
            )
        with store.held():
            for row in self.rows:
                store.add(row)
        return [store.folder / ROWS, *self.write(folder)]

    @property
    def remark(self) -> str | None:
        """What whoever reads the report must know of it."""
        return NO_PLOTS if self.figures is None else None

    def __repr__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        return fragment(self, self.figures)


def _columns(shown: Sequence[Shown], rows: Sequence[Row]) -> list[Column]:
    """Of these, the columns in which some row says something."""
    return [each.column for each in shown if any(each.value(row) is not None for row in rows)]


def _order(row: Row) -> tuple[object, ...]:
    return (
        row["machine"]["name"],
        row.get("parameters") or 0,
        row["model"],
        MODES.index(row["mode"]),
        row["batch"],
        row["steps"],
        -(row["delta"] or 0),
        str(row["profile"]),
    )


def _machine_text(row: Row) -> str:
    machine, versions = row["machine"], row.get("versions") or {}
    named = "" if machine["name"] == machine["cpu"] else f"{machine['name']}: "
    used = f", {row['threads']} threads" if row["threads"] else ""
    others = "".join(f", {name} {version}" for name, version in versions.items() if name != "ezkl")
    return (
        f"{named}{machine['cpu']}, {machine['cores']} cores{used}, {machine['memory_gb']} GB, "
        f"{machine['system']}, Python {machine['python']}{others}"
    )


def _flat(growth: Growth) -> Row:
    """A line of the table of exponents."""
    fits = {measure: growth.fits.get(measure) for measure in MEASURES}
    said = {
        measure: "–" if fit is None else f"{power(fit)} ({fit.r2:.2f})"
        for measure, fit in fits.items()
    }
    points = max(fit.points for fit in growth.fits.values())
    series = growth.series
    return {"label": series.label, "axis": AXES[series.axis], "points": points, **said}


_EXPONENTS: list[Column] = [
    ("series", lambda row: row["label"]),
    ("against", lambda row: row["axis"]),
    ("points", lambda row: str(row["points"])),
    ("prove s (R²)", lambda row: row["prove_s"]),
    ("bytes (R²)", lambda row: row["receipt_bytes"]),
    ("verify ms (R²)", lambda row: row["verify_ms"]),
    ("peak MB (R²)", lambda row: row["peak_mb"]),
]
_NARROW = (
    MODEL,
    PARAMETERS,
    MACS,
    MODE,
    DELTA,
    STEPS,
    PROVE,
    PEAK,
    KILOBYTES,
    VERIFY,
    PYTHON,
    BITS,
)


def _bullet(text: str) -> str:
    return textwrap.fill(text, LINE, initial_indent="- ", subsequent_indent="  ")


def _stop_text(row: Row) -> str:
    return f"{row['model']}, {row['mode']}, not measured: {row['why']}"


_PREFACE = "What is measured, and what the columns mean: [bench.md](bench.md)."
_LEGEND = (
    "Seconds to prove go from quantised inputs to the receipt (of ezkl: witness and proof). Where "
    "modes cross, how costs grow (exponents, with R²), and what was not measured:"
)
