"""What callers pass where another type is meant: taken where it is clear, else refused in words."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Iterable, Mapping
from typing import Any

from ..verifier.errors import UsageError
from ..verifier.quoting import quoted


def names_of(value: object, name: str) -> tuple[str, ...]:
    """Names as a tuple; a single text is one name, and not its letters.

    Raises:
        UsageError: it is neither.
    """
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Iterable) and not isinstance(value, bytes | Mapping):
        found = tuple(value)
        if all(isinstance(each, str) for each in found):
            return found
    raise UsageError(f"{name} are no names", expected="names", received=shown(value))


def whole(value: object, name: str, least: int | None = None, most: int | None = None) -> int:
    """A whole number within its bounds.

    Raises:
        UsageError: it is none, or beyond them.
    """
    try:
        found = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        found = None
    beyond = found is not None and (
        (least is not None and found < least) or (most is not None and found > most)
    )
    if found is None or isinstance(value, bool) or beyond:
        low = "" if least is None else f" of {least:,} or more"
        high = "" if most is None else f", at most {most:,}"
        raise UsageError(
            f"{name} is {'out of range' if beyond else 'no whole number'}",
            expected=f"a whole number{low}{high}",
            received=shown(value),
        )
    return found


def real(value: object, name: str) -> float:
    """A finite number.

    Raises:
        UsageError: it is none.
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise UsageError(f"{name} is no number", expected="a finite number", received=shown(value))


def mapping(value: Any, name: str, of: str) -> Mapping[str, Any]:
    """A mapping by name.

    Raises:
        UsageError: it is none.
    """
    if isinstance(value, Mapping):
        return value
    raise UsageError(f"{name} is no mapping", expected=of, received=shown(value))


def shown(value: object) -> str:
    """A value in a message: cut short, whatever it is."""
    return f"{type(value).__name__} {quoted(repr(value), 60)}"
