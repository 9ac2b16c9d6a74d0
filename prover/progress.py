"""How long jobs report what they have done."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with the phase, how much is done, and how much there is."""


def silent(phase: str, done: int, total: int) -> None:
    """Report nothing."""
