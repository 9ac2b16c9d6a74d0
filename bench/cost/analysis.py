"""How costs grow, and where one mode becomes cheaper than another: from rows alone.

Only rows of one machine, one number of threads and one version are ever put together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..power_law import LEAST_POINTS, Fit
from ..process import Row
from .cell import SAMPLED

MEASURES: Mapping[str, str] = {
    "prove_s": "seconds to prove",
    "receipt_bytes": "bytes of the receipt",
    "verify_ms": "ms to verify",
    "peak_mb": "MB at the peak",
}
"""What grows: its key in a row, its name and unit."""

AXES: Mapping[str, str] = {
    "parameters": "parameters",
    "macs": "MACs of a step",
    "steps": "steps",
    "batch": "items of a step",
    "1/δ": "1/δ",
}
"""What it grows with."""

OF_MODELS = ("parameters", "macs")
CROSSED = ("parameters", "steps", "batch", "1/δ")
"""Axes on which modes are compared: along MACs it would be the same models once more."""

SAME = 1.05
"""Costs within this factor are the same: single runs differ by as much."""

CHEAPER: Mapping[str, str] = {
    "prove_s": "is cheaper to prove than",
    "receipt_bytes": "has smaller receipts than",
    "verify_ms": "is verified sooner than",
    "peak_mb": "takes less memory than",
}


def done(rows: Iterable[Row]) -> list[Row]:
    """The rows of cells that ended well."""
    return [row for row in rows if row["ended"] == "done"]


def at(row: Row, axis: str) -> float | None:
    """Where a row lies on an axis; None where it has no place on it."""
    if axis == "1/δ":
        return None if row["delta"] is None else 1 / float(row["delta"])
    found = row.get(axis)
    return float(found) if found else None


def where(row: Row) -> tuple[str, ...]:
    """What makes times comparable: machine, threads, version."""
    machine = row["machine"]
    parts = [machine[key] for key in ("name", "cpu", "cores", "memory_gb")]
    return (*map(str, parts), str(row["threads"]), str(row["versions"]["zktally"]))


def where_text(place: Sequence[str]) -> str:
    """The same for people."""
    name, _, cores, _, threads, version = place
    used = f"{cores} cores" if threads == "0" else f"{threads} of {cores} cores"
    return f"{name}, {used}, zktally {version}"


def mode_text(row: Row) -> str:
    """Mode, δ where the mode has one, and profile where it is not the usual one."""
    delta = "" if row["delta"] is None else f" δ {100 * row['delta']:g} %"
    return f"{row['mode']}{delta}{' small' if row['profile'] == 'small' else ''}"


@dataclass(frozen=True)
class Series:
    """Rows that differ in one thing alone, ascending in it; of a model, the last row of a cell.

    Attributes:
        axis: in what they differ.
        place: machine, threads, version.
        mode: of the receipts, in words.
        rest: what else they share, in words.
        rows: as many as there are.
    """

    axis: str
    place: tuple[str, ...]
    mode: str
    rest: str
    rows: tuple[Row, ...]

    @property
    def label(self) -> str:
        """What the rows share."""
        return f"{self.mode}, {self.rest}"

    def points(self, measure: str) -> list[tuple[float, float]]:
        """(place, cost) where both are known and positive."""
        pairs = [(at(row, self.axis), row.get(measure)) for row in self.rows]
        return [(x, float(y)) for x, y in pairs if x and y]

    def fit(self, measure: str) -> Fit | None:
        """The power law through them; None with fewer than three places."""
        found = self.points(measure)
        if len({x for x, _ in found}) < LEAST_POINTS:
            return None
        return Fit.of([x for x, _ in found], [y for _, y in found])


def series(rows: Iterable[Row], axis: str) -> list[Series]:
    """All that have two places or more, in order of appearance."""
    groups: dict[tuple[tuple[str, ...], str, str], list[Row]] = {}
    for row in done(rows):
        if at(row, axis) is not None:
            mode = row["mode"] if axis == "1/δ" else mode_text(row)
            groups.setdefault((where(row), mode, _rest(row, axis)), []).append(row)
    found = []
    for (place, mode, rest), group in groups.items():
        ordered = sorted(group, key=lambda row: at(row, axis) or 0.0)
        if len({at(row, axis) for row in ordered}) > 1:
            found.append(Series(axis, place, mode, rest, tuple(ordered)))
    return found


def _rest(row: Row, axis: str) -> str:
    """What rows of a series share beside mode and machine."""
    parts = [] if axis in OF_MODELS else [row["model"]]
    parts += [] if axis == "batch" else [f"batch {row['batch']}"]
    parts += [] if axis == "steps" else [f"{row['steps']} step{'s' * (row['steps'] > 1)}"]
    return ", ".join(parts)


@dataclass(frozen=True)
class Growth:
    """A series with enough points, and the exponents of its costs."""

    series: Series
    fits: Mapping[str, Fit]


def growths(rows: Sequence[Row]) -> list[Growth]:
    """The fits of all series that have three places or more."""
    found = []
    for each in itertools.chain.from_iterable(series(rows, axis) for axis in AXES):
        fits = {measure: fit for measure in MEASURES if (fit := each.fit(measure)) is not None}
        if fits:
            found.append(Growth(each, fits))
    return found


@dataclass(frozen=True)
class Crossover:
    """Two measured curves of one machine, and where the cheaper one changes.

    Attributes:
        axis, measure: of the curves.
        place: machine, threads, version.
        first, second: modes in words; the first is the cheaper one at the low end.
        rest: what both curves share.
        points: places at which both were measured.
        crossings: where they cross, on logarithmic axes between the two rows beside them.
    """

    axis: str
    measure: str
    place: tuple[str, ...]
    first: str
    second: str
    rest: str
    points: int
    crossings: tuple[tuple[float, Row, Row], ...]

    @property
    def text(self) -> str:
        """The finding in one sentence."""
        head = f"{self.first} {CHEAPER[self.measure]} {self.second}"
        unit = "models" if self.axis in OF_MODELS else "places"
        if not self.crossings:
            return f"{head} at all {self.points} {unit} measured ({self.rest})"
        rest = f"{self.rest}, {self.points} {unit} measured"
        if len(self.crossings) > 2:
            ends = [self._place(x) for x, *_ in (self.crossings[0], self.crossings[-1])]
            changes = f"then the order changes {len(self.crossings)} times until {ends[1]}"
            return f"{head} {self._sides[0]} {ends[0]}, {changes}; {rest}"
        parts = [
            f"{side} {self._place(x)} ({self._between(low, high)})"
            for side, (x, low, high) in zip(self._sides, self.crossings, strict=False)
        ]
        return f"{head} {', '.join(parts)}; {rest}"

    @property
    def _sides(self) -> tuple[str, str]:
        """Where the first is cheaper; δ falls as 1/δ rises."""
        if self.axis == "1/δ":
            return "for a δ above", "and again for one below"
        return "below", "and again above"

    def _place(self, x: float) -> str:
        if self.axis == "1/δ":
            return f"{100 / x:.2g} %"
        return f"{rounded(x)} {AXES[self.axis]}"

    def _between(self, low: Row, high: Row) -> str:
        if self.axis in OF_MODELS:
            return f"between {low['model']} and {high['model']}"
        ends = [at(row, self.axis) or 0.0 for row in (low, high)]
        if self.axis == "1/δ":
            return f"measured at {100 / ends[0]:g} % and {100 / ends[1]:g} %"
        return f"measured at {ends[0]:g} and {ends[1]:g}"


def power(fit: Fit) -> str:
    """An exponent with two places, and never a zero below zero."""
    return f"{round(fit.exponent, 2) + 0.0:.2f}"


def rounded(x: float) -> str:
    """A number of which two digits count."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k"), (1, "")):
        if x >= unit:
            return f"{x / unit:.0f}{name}" if x >= 9.95 * unit else f"{x / unit:.1f}{name}"
    return f"{x:.2g}"


def crossovers(rows: Sequence[Row]) -> list[Crossover]:
    """Of all pairs of modes that were measured at two places or more in common."""
    found = []
    for axis in CROSSED:
        curves = [*series(rows, axis), *(_flat(rows) if axis == "1/δ" else [])]
        for one, other in itertools.combinations(curves, 2):
            if _comparable(one, other):
                found += [each for m in MEASURES if (each := _compared(one, other, m)) is not None]
    return found


def told(found: Iterable[Crossover]) -> list[Crossover]:
    """What is worth a sentence: curves that cross, and who is cheaper over all sizes if none do."""
    return [
        each
        for each in found
        if each.crossings
        or ((each.axis, each.measure) == ("parameters", "prove_s") and each.points >= LEAST_POINTS)
    ]


def _flat(rows: Sequence[Row]) -> list[Series]:
    """Receipts without δ beside those with one: the same at every δ that others have."""
    found = []
    for sampled in series(rows, "1/δ"):
        for row in done(rows):
            like = (where(row), _rest(row, "1/δ")) == (sampled.place, sampled.rest)
            if like and row["mode"] not in SAMPLED:
                line = [row | {"delta": each["delta"]} for each in sampled.rows]
                found.append(
                    Series("1/δ", sampled.place, mode_text(row), sampled.rest, tuple(line))
                )
    unique = {(each.place, each.mode, each.rest): each for each in found}
    return list(unique.values())


def _comparable(one: Series, other: Series) -> bool:
    """Whether two series are of one machine and one thing, in two modes at one δ."""
    if (one.place, one.rest) != (other.place, other.rest):
        return False
    if one.rows[0]["mode"] == other.rows[0]["mode"]:
        return False
    bounds = {each.rows[0]["delta"] for each in (one, other)} - {None}
    return one.axis == "1/δ" or len(bounds) < 2


def _compared(one: Series, other: Series, measure: str) -> Crossover | None:
    def key(row: Row) -> tuple[str, float | None]:
        return row["model"], at(row, one.axis)

    theirs = {key(row): row for row in other.rows}
    pairs = [
        (row, theirs[key(row)])
        for row in one.rows
        if key(row) in theirs and row.get(measure) and theirs[key(row)].get(measure)
    ]
    gaps = [(row, math.log(row[measure] / beside[measure])) for row, beside in pairs]
    gaps = [(row, gap) for row, gap in gaps if abs(gap) > math.log(SAME)]
    if len({at(row, one.axis) for row, _ in gaps}) < 2:
        return None
    crossings = tuple(_crossings(gaps, lambda row: at(row, one.axis) or 0.0))
    first, second = (one, other) if gaps[0][1] < 0 else (other, one)
    return Crossover(
        one.axis, measure, one.place, first.mode, second.mode, one.rest, len(pairs), crossings
    )


def _crossings(
    gaps: Sequence[tuple[Row, float]], place: Callable[[Row], float]
) -> Iterable[tuple[float, Row, Row]]:
    for (low, before), (high, after) in itertools.pairwise(gaps):
        if before * after < 0:
            share = before / (before - after)
            x = math.log(place(low)) * (1 - share) + math.log(place(high)) * share
            yield math.exp(x), low, high
