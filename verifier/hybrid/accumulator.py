"""Which accumulators of dot ops are direct (docs/protocol.md section 2)."""

from __future__ import annotations

from ..program.checked import Checked
from ..program.ranges import ACC_MAX


def bound(checked: Checked, c: int) -> int:
    """`A` of a dot op."""
    return next(b.bound for b in checked.bounds if b.op == c and b.identity == "accumulator")


def is_direct(checked: Checked, c: int) -> bool:
    """Whether the accumulator of a dot op is direct."""
    return bound(checked, c) <= ACC_MAX
