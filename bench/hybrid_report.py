"""Rows of `zktally bench hybrid` as tables, and how cost grows with size and with steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .cells import (
    CPU,
    Column,
    Row,
    beside_estimates,
    formats,
    machines_text,
    markdown_table,
    paragraph,
    text_table,
)
from .power_law import LEAST_POINTS, Fit

FAST_PHASES = ("execute", "commit", "open")
PHASES = ("schedule", "witness", "commit", "lookups", "quotient", "opening", "rest")
KINDS = ("fast", "hybrid")


@dataclass(frozen=True)
class Series:
    """Rows that differ in one thing: what they share in words, ascending in `axis`."""

    label: str
    axis: str
    rows: tuple[Row, ...]

    @property
    def x(self) -> list[float]:
        """Where the rows lie."""
        return [row[self.axis] for row in self.rows]

    def seconds(self, kind: str) -> list[float]:
        """What they took, fast or hybrid."""
        return [row[kind] for row in self.rows]

    def fit(self, kind: str) -> Fit:
        """How that grows."""
        return Fit.of(self.x, self.seconds(kind))


def by_size(rows: Iterable[Row]) -> list[Series]:
    """Dense networks of one depth, by all but their width."""
    dense = [row for row in rows if row["model"].startswith("dense")]
    return _series(
        dense,
        "parameters",
        lambda row: (
            f"dense, δ {percent(row)}, {_count(row['steps'], 'step')}, batch {row['batch']}, "
            f"{row['profile']}"
        ),
    )


def by_steps(rows: Iterable[Row]) -> list[Series]:
    """Chains of one model, by all but their length."""
    return _series(
        rows,
        "steps",
        lambda row: f"{row['model']}, δ {percent(row)}, batch {row['batch']}, {row['profile']}",
    )


def _series(rows: Iterable[Row], axis: str, name: Callable[[Row], str]) -> list[Series]:
    """All series with enough points for a fit, in order of appearance."""
    groups: dict[str, dict[float, Row]] = {}
    for row in rows:
        groups.setdefault(name(row), {})[row[axis]] = row
    return [
        Series(label, axis, tuple(group[x] for x in sorted(group)))
        for label, group in groups.items()
        if len(group) >= LEAST_POINTS
    ]


def percent(row: Row) -> str:
    """δ for people."""
    return f"{100 * row['delta']:g} %"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def shares(row: Row) -> list[float]:
    """Percentages of the hybrid part by phase."""
    return [100 * row["split"][phase] / row["hybrid"] for phase in PHASES]


def _split(row: Row) -> str:
    return "/".join(f"{share:.0f}" for share in shares(row))


def _fast_split(row: Row) -> str:
    return "/".join(f"{1e3 * row[phase]:.1f}" for phase in FAST_PHASES)


def _rows_used(row: Row) -> str:
    return f"{row['rows_used'] / 1e3:,.0f}/{row['rows_height'] / 1e3:,.0f}"


CELL = (
    *formats(("model", "{}", "model"), ("batch", "{}", "batch"), ("steps", "{}", "steps")),
    ("δ", percent),
    *formats(("profile", "{}", "profile")),
)
COST_COLUMNS: tuple[Column, ...] = (
    *formats(("model", "{}", "model"), ("parameters", "{:,}", "parameters")),
    *CELL[1:],
    ("fast ms", lambda row: f"{1e3 * row['fast']:.1f}"),
    *formats(("hybrid", "{:.2f}", "hybrid s"), ("segments", "{}", "segments")),
    ("peak MB", lambda row: f"{row['peak_bytes'] / 1e6:,.0f}"),
    ("Rust ms", lambda row: f"{1e3 * row['verify_rust']:.0f}"),
    ("Python ms", lambda row: f"{1e3 * row['verify_python']:,.0f}"),
)
SIZE_COLUMNS: tuple[Column, ...] = (
    *CELL,
    ("krows used/height", _rows_used),
    ("Mcells", lambda row: f"{row['cells'] / 1e6:,.1f}"),
    ("fast KB", lambda row: f"{row['fast_bytes'] / 1e3:,.0f}"),
    ("hybrid KB", lambda row: f"{row['hybrid_bytes'] / 1e3:,.0f}"),
    *formats(("stark_bits", "{:.1f}", "proven bits")),
)
SPLIT_COLUMNS: tuple[Column, ...] = (*CELL, ("fast ms", _fast_split), ("hybrid %", _split))
ESTIMATE_COLUMNS: tuple[Column, ...] = (*CELL, *beside_estimates(CPU, "hybrid_bytes"))
FIT_COLUMNS = formats(
    ("label", "{}", "series"),
    ("axis", "{}", "against"),
    ("points", "{}", "points"),
    ("fast", "{:.2f}", "fast exponent"),
    ("hybrid", "{:.2f}", "hybrid exponent"),
)


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    columns = [COST_COLUMNS, SIZE_COLUMNS, SPLIT_COLUMNS]
    found = [text_table(each, rows) for each in columns]
    if estimated := [row for row in rows if "estimate" in row]:
        found.append(text_table(ESTIMATE_COLUMNS, estimated))
    return "\n\n".join(found)


def fits(rows: Sequence[Row]) -> list[Row]:
    """Exponents of all series."""
    return [
        {"label": series.label, "axis": series.axis, "points": len(series.rows)}
        | {kind: series.fit(kind).exponent for kind in KINDS}
        for series in by_size(rows) + by_steps(rows)
    ]


def fits_text(rows: Sequence[Row]) -> str:
    """The exponents for people."""
    found = fits(rows)
    if not found:
        return f"no fits: fewer than {LEAST_POINTS} sizes or lengths"
    return f"seconds ~ x^exponent:\n{text_table(FIT_COLUMNS, found)}"


def markdown(rows: Sequence[Row]) -> str:
    """The section of docs/figures.md."""
    estimated = [row for row in rows if "estimate" in row]
    parts = [
        f"## Hybrid mode: `zktally bench hybrid` (λ = {rows[0]['bits']}, private weights)",
        paragraph(_preface(rows)),
        _PLOTS,
        markdown_table(COST_COLUMNS, rows),
        paragraph(_LEGEND),
        markdown_table(SIZE_COLUMNS, rows),
        paragraph(_SPLIT),
        markdown_table(SPLIT_COLUMNS, rows),
        *([paragraph(_ESTIMATES), markdown_table(ESTIMATE_COLUMNS, estimated)] * bool(estimated)),
        paragraph(_FITS),
        markdown_table(FIT_COLUMNS, fits(rows)),
    ]
    return "\n\n".join(parts)


def _preface(rows: Sequence[Row]) -> str:
    return (
        f"{machines_text(rows)}. Medians of up to 3 runs (of the STARK one where it takes 10 s or "
        "more; Python verifier: one run). `dense1024` is `dense4m` of the table above; all dense "
        "networks have four square layers. What grows with the model is the row that a sampled "
        "gate opens (its width), not the number of parameters."
    )


_PLOTS = """\
![Cost against model size](plots/hybrid-size.png)
![Cost against the number of steps](plots/hybrid-steps.png)
![Where the time goes](plots/hybrid-split.png)"""
"""Drawn from the same rows by --plot."""


_LEGEND = (
    "`fast` executes, commits and opens under the same claims; `hybrid` is the STARK on top: all "
    "segments, each verified as it is made; peak: while the STARK is made, the model in memory. "
    "Rust ms, Python ms: to verify, Rust on two threads. Below, krows: rows of all tables and "
    "segments, in use and as padded; Mcells: committed field elements of main and lookup columns."
)
_SPLIT = f"Where the time goes. fast ms: {'/'.join(FAST_PHASES)}; hybrid %: {'/'.join(PHASES)}."
_ESTIMATES = (
    "Estimates before the job beside what was measured: CPU seconds of all threads (they do not "
    "depend on what else the machine does), memory at the peak, bytes; ratios are estimate over "
    "measured."
)
_FITS = (
    "Exponents by least squares in logarithms: seconds ~ parameters^e over the dense networks, and "
    "seconds ~ steps^e. The small ends are held up by what every proof costs: the grinding, the "
    "range table, heights that are powers of two."
)
