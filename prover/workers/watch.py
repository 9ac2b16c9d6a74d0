"""Tell a worker that hangs from one that is slow: by the processor time that it uses."""

from __future__ import annotations

PATIENCE = 300.0
"""Seconds: far longer than a machine that swaps, or starves a process, keeps it from all work."""

LOOKS = 10
"""How often a worker is looked at before it is given up."""
LEAST = 0.01
"""Of the time until then, what it must have used of one core not to be given up."""


class Watch:
    """What is known of one worker.

    Looks are counted, not seconds: a machine or a coordinator that slept loses no worker.

    Args:
        patience: seconds without work after which a worker hangs.
        least: what of a core is work.
    """

    def __init__(self, patience: float, least: float = LEAST) -> None:
        self.every = patience / LOOKS
        self._enough = patience * least
        self._looks, self._mark = 0, float("-inf")

    def begin(self) -> None:
        """It was given work."""
        self._looks = 0

    def heard(self, spent: float) -> None:
        """It says what it has used of processors since it was started, in seconds."""
        if spent - self._mark >= self._enough:
            self._looks, self._mark = 0, spent

    def hangs(self) -> bool:
        """Whether it does; to be asked every `every` seconds while it works."""
        self._looks += 1
        return self._looks > LOOKS

    def words(self) -> str:
        """What it did, or did not."""
        return f"it used less than {self._enough:g} s of a core in {self.every * LOOKS:g} s"
