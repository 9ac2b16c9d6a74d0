"""The headline of a receipt: what its errors, added, leave (docs/stark.md section 8).

Errors are counted in whole units of 2^-127, each rounded up: no rounding can flatter a receipt, and
the other verifier finds the same.
"""

from __future__ import annotations

import math

HASH_BITS = 124
"""Collision resistance of a digest of 8 elements."""

INSIDE_BITS = 103
"""Of all proofs that stand in for those of segments together (docs/recursion.md section 7)."""

USUAL_LAMBDA = 102
MOST_MORE = 8
"""Bits that a λ above the usual one asks for elsewhere at most: those of 2^8 receipts of a run."""

_LOG_UNIT = 127
TENTHS = (65536, 70240, 75282, 80685, 86476, 92682, 99335, 106464, 114105, 122295)
"""2^(j/10) in units of 2^-16, rounded up."""


def headline(
    sampled_bits: int,
    stark_bits: float = math.inf,
    segments: int = 0,
    *,
    succinct: bool = False,
) -> int:
    """`floor(-log2(2^-λ + segments·2^-stark_bits + 2^-(103 + more) + 2^-124))`, at least 0.

    Args:
        sampled_bits: λ, or 0 where nothing is sampled: every gate is checked.
        stark_bits: proven bits of each segment of a receipt with a STARK; tenths count.
        segments: how many there are; 0 of a fast receipt, which has no STARK.
        succinct: whether one proof stands for theirs; else there is no third term.
    """
    error = _units(1, 10 * HASH_BITS)
    if sampled_bits:
        error += _units(1, 10 * sampled_bits)
    if segments:
        error += _units(segments, max(0, math.floor(10 * stark_bits)))
    if succinct:
        error += _units(1, 10 * (INSIDE_BITS + more_bits(sampled_bits)))
    return max(0, _LOG_UNIT - (error - 1).bit_length())


def more_bits(bits: int) -> int:
    """Bits that this λ asks for in everything else, too; 0, where nothing is sampled, for none."""
    return min(max(bits - USUAL_LAMBDA, 0), MOST_MORE)


def _units(times: int, tenths: int) -> int:
    """`times·2^(-tenths/10)` in units, rounded up."""
    whole, missing = -(-tenths // 10), -tenths % 10
    return -(-(times * TENTHS[missing] << _LOG_UNIT) // (1 << 16 + whole))
