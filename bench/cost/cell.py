"""Cells of a sweep of costs: what one process measures, its name, and which of two is larger."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ... import __version__
from ...prover import Claims
from ...verifier.errors import UsageError
from ...verifier.journal import MODES as PROOF_MODES
from ...verifier.stark.params import PROFILE_NAMES
from ..models import SIZES
from .subject import Subject, data_digest

EZKL = "ezkl"
SAMPLED = ("fast", "hybrid")
"""Modes whose receipts have a δ."""

MODES = (*PROOF_MODES, EZKL)


class Cell(NamedTuple):
    """What is measured in one process; `delta` and `profile` are None where the mode has none."""

    model: str
    mode: str
    batch: int
    steps: int
    delta: float | None
    profile: str | None

    def __str__(self) -> str:
        parts = [self.model, self.mode, f"batch {self.batch}"]
        parts += ["1 step" if self.steps == 1 else f"{self.steps} steps"]
        parts += [] if self.delta is None else [f"δ {100 * self.delta:g} %"]
        parts += ["small"] if self.profile == PROFILE_NAMES[1] else []
        return ", ".join(parts)

    def exceeds(self, other: Cell) -> bool:
        """Whether it is the same with more to do, in one way at least and with less in none."""
        if (self.model, self.mode, self.profile) != (other.model, other.mode, other.profile):
            return False
        return self != other and all(
            mine >= theirs for mine, theirs in zip(self._size, other._size, strict=True)
        )

    @property
    def _size(self) -> tuple[float, ...]:
        return self.batch, self.steps, math.inf if self.delta is None else 1 / self.delta


@dataclass(frozen=True)
class Axes:
    """All cells of these: every model with every mode, bound, batch and length.

    Raises:
        UsageError: nothing of a kind, an unknown mode, a number out of range.
    """

    modes: Sequence[str] = PROOF_MODES
    deltas: Sequence[float] = (0.05,)
    batches: Sequence[int] = (1,)
    steps: Sequence[int] = (1,)

    def __post_init__(self) -> None:
        for name in ("modes", "deltas", "batches", "steps"):
            if not getattr(self, name):
                raise UsageError(f"there are no {name}", expected="one or more")
        for mode in self.modes:
            if mode not in MODES:
                raise UsageError("unknown mode", expected=", ".join(MODES), received=mode)
        for name in ("batches", "steps"):
            if any(number < 1 for number in getattr(self, name)):
                raise UsageError(
                    f"{name} are out of range",
                    expected="1 or more",
                    received=min(getattr(self, name)),
                )
        for delta in self.deltas:
            Claims(SAMPLED[0], delta)

    def cells(self, subjects: Iterable[Subject], profile: str) -> list[Cell]:
        """Each once; ezkl proves one step, and a compiled model has a batch of its own."""
        found = []
        for subject, mode in itertools.product(subjects, self.modes):
            deltas = self.deltas if mode in SAMPLED else [None]
            steps = [1] if mode == EZKL else self.steps
            stark = profile if mode in ("hybrid", "strict") else None
            batches = self.batches if subject.batch is None else [subject.batch]
            found += [
                Cell(subject.name, mode, *point, stark)
                for point in itertools.product(batches, steps, deltas)
            ]
        return list(dict.fromkeys(found))


SUITES: Mapping[str, Sequence[tuple[Sequence[str], Axes]]] = {
    "sizes": (
        (SIZES, Axes(modes=MODES)),
        (("cnn264k",), Axes(modes=SAMPLED, deltas=(0.1, 0.05, 0.02, 0.01))),
        (("lenet5",), Axes(modes=PROOF_MODES, steps=(1, 4, 16))),
    ),
    "quick": (
        (SIZES[:4], Axes()),
        (SIZES[:1], Axes(modes=SAMPLED, deltas=(0.1, 0.05, 0.01))),
        (SIZES[:1], Axes(steps=(1, 4, 16))),
    ),
}
"""Sweeps by name: models, and what is measured of them."""


def suite_cells(suite: str, subjects: Iterable[Subject], profile: str) -> list[Cell]:
    """The cells of a sweep that has a name, each once."""
    by_name = {subject.name: subject for subject in subjects}
    found: list[Cell] = []
    for models, axes in SUITES[suite]:
        found += axes.cells([by_name[name] for name in models], profile)
    return list(dict.fromkeys(found))


def suite_models(suite: str) -> list[str]:
    """The models of a sweep that has a name.

    Raises:
        UsageError: there is no such sweep.
    """
    if suite not in SUITES:
        raise UsageError("no such suite", expected=", ".join(SUITES), received=suite)
    return list(dict.fromkeys(name for models, _ in SUITES[suite] for name in models))


def key_of(cell: Cell, subject: Subject, setting: Mapping[str, Any]) -> str:
    """The name of a measurement: another model, data, setting or version is another one."""
    made = {
        "cell": cell._asdict(),
        "model": subject.digest,
        "data": data_digest(subject),
        "options": [dict(subject.dims), subject.precision],
        "setting": dict(setting),
        "version": __version__,
    }
    text = json.dumps(made, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]
