"""Numbers as people say them; what bounds an error is never rounded in its favour."""

from __future__ import annotations

import math

_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"))


def spoken(count: int) -> str:
    """A count: in full up to a million, above with three digits."""
    for size, name in _SCALES:
        if count >= size:
            return f"{count / size:.3g} {name}" if count < 999.5 * size else f"{count:.2e}"
    return f"{count:,}"


def exact(count: int) -> str:
    """A count in full, and as it is said, where that is shorter."""
    short = spoken(count)
    return f"{count:,}" if short == f"{count:,}" else f"{count:,} (about {short})"


def chance(probability: float) -> str:
    """A probability in percent, rounded down: of being seen it must not promise too much."""
    if probability >= 1:
        return "100 %"
    if probability > 0.9999:
        return "more than 99.99 %"
    shown = probability * 100
    if shown <= 0:
        return "0 %"
    digits = 2 if shown > 99 else max(0, 1 - math.floor(math.log10(shown)))
    floor = math.floor(shown * 10**digits) / 10**digits
    return f"{floor:.{digits}f} %"


def odds(bits: int) -> str:
    """2^-bits in words: 1 in a power of ten that is not too large."""
    if bits < 10:
        return f"1 in {2**bits}"
    return f"1 in 10{str(math.floor(bits * math.log10(2))).translate(_RAISED)}"
