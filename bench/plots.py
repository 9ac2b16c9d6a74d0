"""Plots of `zktally bench hybrid`: cost against size, cost against steps, split of the time.

And of `zktally bench succinct`: bytes and seconds of verifiers against segments.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..verifier.errors import UsageError
from .cells import Row, machine_text
from .hybrid_report import (
    PHASES,
    Series,
    by_size,
    by_steps,
    percent,
    shares,
)

_STYLES = {"fast": ("--", "o"), "hybrid": ("-", "s")}
_NOTE = {"color": "0.35", "fontsize": 8}


def new_figure(width: float, height: float) -> Any:
    """An empty figure.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError(
            "plots need matplotlib", hint='install it: pip install "zktally[plots]"'
        ) from error
    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def drawing(
    args: argparse.Namespace, plot: Callable[[Sequence[Row], Path], list[Path]]
) -> Callable[[list[Row]], None] | None:
    """What draws rows to the folder that the command line names, if it names one.

    Raises:
        UsageError: matplotlib is not installed: before the work, not after.
    """
    if not args.plot:
        return None
    new_figure(1, 1)

    def draw(rows: list[Row]) -> None:
        for path in plot(rows, Path(args.plot)):
            print(path, file=sys.stderr)

    return draw


def plot_all(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write all plots that the rows suffice for; returns their files."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"split": split(rows)}
    if series := by_size(rows):
        figures["size"] = growth(series, "Cost against model size", "parameters", rows)
    if series := by_steps(rows):
        figures["steps"] = growth(series, "Cost against length of the chain", "steps", rows)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"hybrid-{name}.png")
        figure.savefig(paths[-1])
    return paths


def growth(series: Sequence[Series], title: str, label: str, rows: Sequence[Row]) -> Any:
    """Seconds of the fast and the hybrid part, with their fitted lines, both axes logarithmic."""
    figure = new_figure(9, 6)
    axes = figure.add_subplot()
    for number, each in enumerate(series):
        for kind, (line, marker) in _STYLES.items():
            fit, x = each.fit(kind), np.array(each.x)
            text = f"{kind}: {each.label}: exponent {fit.exponent:.2f}"
            color = f"C{number % 10}"
            axes.plot(x, each.seconds(kind), marker, color=color, markersize=5)
            axes.plot(x, [fit(at) for at in x], line, color=color, label=text, linewidth=1.2)
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="seconds", title=title)
    ticks = sorted({x for each in series for x in each.x})
    axes.set_xticks(ticks, [f"{x:,}" for x in ticks])
    axes.set_xticks([], minor=True)
    axes.grid(True, which="major", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=7, frameon=False)
    return _signed(figure, rows)


def split(rows: Sequence[Row]) -> Any:
    """Where the time of the hybrid part goes: one bar a row, in percent."""
    figure = new_figure(10, 2.2 + 0.24 * len(rows))
    axes = figure.add_subplot()
    names = [_name(row) for row in rows]
    parts = np.array([shares(row) for row in rows])
    lefts = np.cumsum(parts, axis=1) - parts
    for column, phase in enumerate(PHASES):
        axes.barh(names, parts[:, column], left=lefts[:, column], label=phase, height=0.8)
    for name, row in zip(names, rows, strict=True):
        axes.text(101, name, f"{row['hybrid']:.2f} s", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=8)
    axes.set(xlim=(0, 110), xlabel="% of the hybrid part", title="Time of the STARK by phase")
    figure.legend(loc="outside lower center", ncols=len(PHASES), fontsize=8, frameon=False)
    return _signed(figure, rows)


def plot_succinct(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write what receipts weigh and what judging them takes, before and after folding."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "succinct-segments.png"
    figure = new_figure(10, 4.2)
    left, right = figure.subplots(1, 2)
    segments = np.array([row["segments"] for row in rows])
    for name, marker in (("foldable", "s"), ("succinct", "o")):
        own = np.array([_proof_bytes(row, name) / 1e3 for row in rows])
        left.plot(segments, own, marker, label=f"{name} receipt", alpha=0.7)
    left.axhline(200, color="0.5", linestyle=":", linewidth=1)
    left.set(title="Receipt without outputs and program", ylabel="KB")
    for name, marker in (("rust", "o"), ("python", "^")):
        known = [row for row in rows if row[f"verify_{name}"] is not None]
        right.plot(
            [row["segments"] for row in known],
            [row[f"verify_{name}"] for row in known],
            marker,
            label={"rust": "Rust", "python": "plain Python"}[name],
            alpha=0.7,
        )
    right.set(title="To verify the succinct receipt", ylabel="seconds")
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="segments")
        ticks = sorted(set(segments.tolist()))
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.grid(True, which="major", alpha=0.3)
        axes.legend(fontsize=8, frameon=False)
    figure.suptitle(machine_text(rows[0]), **_NOTE)
    figure.savefig(path)
    return [path]


def _proof_bytes(row: Row, kind: str) -> int:
    """Bytes of a receipt that are neither outputs nor program."""
    key = {"foldable": "foldable_bytes", "succinct": "receipt_bytes"}[kind]
    return int(row[key] - row["output_bytes"] - row["program_bytes"])


def _name(row: Row) -> str:
    return f"{row['model']}, {row['batch']} × {row['steps']}, δ {percent(row)}, {row['profile']}"


def _signed(figure: Any, rows: Sequence[Row]) -> Any:
    """With the machine and the parameters that all rows share."""
    figure.suptitle(f"λ = {rows[0]['bits']}, private weights; {machine_text(rows[0])}", **_NOTE)
    return figure
