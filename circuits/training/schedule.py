"""Learning rates over a run: pure functions of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...verifier.errors import UsageError

KINDS = ("constant", "step", "cosine")


@dataclass(frozen=True)
class Schedule:
    """The rate of each of `steps` steps.

    Args:
        rate: the highest.
        kind: `constant`, `step` (times `factor` after every `every` steps), `cosine` (to 0).
        warmup: so many steps rise in a line from 0 first.

    Raises:
        UsageError: no such kind.
    """

    rate: float
    steps: int
    kind: str = "constant"
    warmup: int = 0
    every: int = 1
    factor: float = 0.1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError("no such schedule", expected=KINDS, received=self.kind)

    def at(self, step: int) -> float:
        """The rate of step 0, 1, ..."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        done, whole = step - self.warmup, max(self.steps - self.warmup, 1)
        match self.kind:
            case "constant":
                return self.rate
            case "step":
                return self.rate * float(self.factor ** (done // self.every))
        return self.rate * 0.5 * (1.0 + math.cos(math.pi * done / whole))
