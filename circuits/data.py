"""Which samples ranges come from, and which show how close the integers are to the floats."""

from __future__ import annotations

from dataclasses import dataclass

from .calibrate import Feeds, length, samples
from .graph import Graph

ENOUGH = 20
"""Samples from which on a part is held back."""

PART = 5
"""A fifth of them is."""

GIVEN, HELD_BACK = "given", "held back from calibration"
NONE = "no data"
TOO_FEW = "the calibration data: too few to hold some back"


@dataclass(frozen=True)
class Parts:
    """Data to calibrate on, data to compare on, and in words which that is."""

    calibrated: Feeds | None
    tested: Feeds | None
    basis: str

    @property
    def held_back(self) -> bool:
        """Whether the compared samples are a part of what was given to calibrate on."""
        return self.basis == HELD_BACK


def divided(graph: Graph, data: Feeds | None, evaluation: Feeds | None) -> Parts:
    """The data given for comparison, else the last fifth of what is there to calibrate on.

    A file that gives all of its codes is compiled without any.
    """
    if evaluation is not None:
        return Parts(data, evaluation, GIVEN)
    if data is None:
        return Parts(None, None, NONE)
    count, batch = samples(graph, data), graph.batch if graph.batched else 1
    if graph.states and count < ENOUGH <= length(graph, data):
        return _divided_steps(length(graph, data), data)
    kept = (count - count // PART) // batch * batch
    if count < ENOUGH or not kept:
        return Parts(data, data, TOO_FEW)
    ends = {name: kept if name in graph.batched else kept // batch for name in data}
    return Parts(
        {name: array[: ends[name]] for name, array in data.items()},
        {name: array[ends[name] :] for name, array in data.items()},
        HELD_BACK,
    )


def _divided_steps(count: int, data: Feeds) -> Parts:
    """Few sequences, but long ones: the last fifth of each is a sequence of its own."""
    kept = count - count // PART
    return Parts(
        {name: array[:, :kept] for name, array in data.items()},
        {name: array[:, kept:] for name, array in data.items()},
        HELD_BACK,
    )
