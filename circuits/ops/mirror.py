"""Minima by maxima: a pick knows only the larger of two values, so codes are mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...verifier.program.types import Const, Term
from ..builder import Builder, Value
from ..maps import rows
from ..quantise import Affine


def mirrored(code: Affine) -> Affine:
    """The code of −x in which −1 − q stands for what q stands for in `code`; it is as wide."""
    return replace(code, zero=-1 - code.zero, lo=-1 - code.hi, hi=-1 - code.lo)


def mirror(builder: Builder, value: Value, out: Value, shape: Sequence[int], suffix: str) -> None:
    """Define `out`, whose code is the mirrored one, as −1 − q; both are seen in this shape."""
    space = tuple(shape) or (1,)
    source = builder.read(value, rows(len(space)), view=space, raw=True)
    builder.dot(out, space, [Term((), source, Const(-1))], zero=-1, suffix=suffix)
