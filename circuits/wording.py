"""Numbers of reports in words."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal


def floored(value: float, digits: int) -> Decimal | float:
    """The number to so many decimals, never above it: what was reached is not rounded up.

    By way of its shortest decimal, so that a share of exactly 0.57 stays that.
    """
    if not abs(value) < 1e15:
        return value
    return Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-digits), ROUND_FLOOR)


def counted(samples: int) -> str:
    """The number of samples in words."""
    return f"{samples} sample{'' if samples == 1 else 's'}"
