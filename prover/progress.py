"""How long jobs report what they have done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

Progress = Callable[[str, int, int], None]
"""Called with the phase, how much is done, and how much there is."""

SEGMENTS = "prove segments"
"""The phase whose units can take minutes each."""


FOLDING = "fold proofs"
"""The phase that makes one proof of those of segments: a unit is a node, or the outer proof."""

PACED = (SEGMENTS, FOLDING)
"""Phases whose pace is shown."""


@runtime_checkable
class Paced(Protocol):
    """A progress that shows something between two reports, too."""

    def expect(self, seconds: float) -> None:
        """Be told about how long a unit takes from here on, on this machine or one like it."""


def silent(phase: str, done: int, total: int) -> None:
    """Report nothing."""
