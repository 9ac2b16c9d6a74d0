"""The numbers of quantisation: pure functions from float ranges to integers.

int8 activations are asymmetric, and 0.0 is always one of their values (so that padding is exact);
int8 weights are symmetric with a scale per output channel; biases are 24 bits in accumulator units.
A multiplier m and a shift s are chosen *before* a channel's weights are rounded, and the weight
scale is then what m and s say. Requantisation itself thus adds no error of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..verifier.program.ranges import Q_MAX
from .errors import RangeOverflow, named

INT8_MIN, INT8_MAX = -128, 127
WEIGHT_MAX = 127
BIAS_MAX = 2**23 - 1
MULT_MAX = 2**15 - 1
SHIFT_MAX = 44
PRE_BITS = range(11, 15)
"""Bits of the domain of a fused non-linearity's table: 11, so that its input does not limit it, and
more where the function is steep. 14 leave room for accumulators that reach
512 times what calibration saw (their quotient has 24 bits). Where the output has more, so has
the domain."""
PRE_JUMP = 2
"""Between neighbours of the domain the output moves by so many of its steps, if 14 bits allow."""

ROOM = 2.0
NOTHING = 2.0**-40
"""The scale of a symmetric code for what was always 0: whatever comes in use stays near that."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Affine:
    """real = (q - zero)·scale, with q in [lo, hi]."""

    scale: float
    zero: int
    lo: int = INT8_MIN
    hi: int = INT8_MAX

    @property
    def wide(self) -> bool:
        """Whether it has more than 8 bits."""
        return self.hi - self.lo > INT8_MAX - INT8_MIN

    @property
    def width(self) -> int:
        """Bytes of a tensor that holds these integers."""
        peak = max(-self.lo - 1, self.hi)
        return 1 if peak < 2**7 else 2 if peak < 2**15 else 3

    def quantise(self, values: npt.ArrayLike) -> Ints:
        """Nearest integers (ties to even), clamped to [lo, hi]; int64 of the shape of `values`."""
        steps = np.rint(np.asarray(values, dtype=np.float64) / self.scale) + self.zero
        clamped: Ints = np.clip(steps, self.lo, self.hi).astype(np.int64)
        return clamped

    def dequantise(self, values: npt.ArrayLike) -> Floats:
        """The reals that integers stand for; float64 of the shape of `values`."""
        return (np.asarray(values, dtype=np.float64) - self.zero) * self.scale


def affine(low: float, high: float, lo: int = INT8_MIN, hi: int = INT8_MAX) -> Affine:
    """The finest affine code on [lo, hi] that covers the reals [low, high] and has 0.0 exactly."""
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    if low == high:
        return Affine(1.0, 0, lo, hi)
    scale = (high - low) / (hi - lo)
    if low < 0.0 < high:  # rounding the zero point must not push either end out of range
        zero = min(max(round(lo - low / scale), lo + 1), hi - 1)
        scale = max(high / (hi - zero), low / (lo - zero))
    else:
        zero = lo if low == 0.0 else hi
    return Affine(scale, zero, lo, hi)


def symmetric_code(low: float, high: float, bits: int, *, signed: bool = False) -> Affine:
    """The code of `bits` bits around zero that covers [low, high].

    It covers `ROOM` times as much: of so many bits one is well spent on values beyond calibration.
    It holds no negative integers where there are no negative reals, unless it must be `signed`; of
    [0, 0] it holds nothing else worth telling.
    """
    peak = 2 ** (bits - 1) - 1
    reach = max(-low, high)
    if reach == 0.0:
        return Affine(NOTHING, 0, -1, 1)
    return Affine(ROOM * reach / peak, 0, 0 if low >= 0.0 and not signed else -peak, peak)


def clamp(code: Affine, low: float, high: float) -> Affine:
    """The code with its integers narrowed to those of the reals [low, high]."""
    bounds = np.clip([low, high], -1e30, 1e30)
    lo, hi = (int(value) for value in code.quantise(bounds))
    return replace(code, lo=lo, hi=hi)


@dataclass(frozen=True)
class Addend:
    """What is added to a sum of products: numbers of 24 bits, times 2^power."""

    numbers: Ints
    power: int = 0


@dataclass(frozen=True)
class Channels:
    """Integer weights [C, ...], bias [C] or None, multipliers [C], and their one shift."""

    weight: Ints
    bias: Addend | None
    mult: Ints
    shift: int


def channels(
    name: str,
    weight: npt.NDArray[Any],
    bias: npt.NDArray[Any] | None,
    in_scale: float,
    out_scale: float,
    peak: int = WEIGHT_MAX,
    *,
    fine: bool = False,
) -> Channels:
    """Quantise weights [C, ...] and bias [C] of a dot from `in_scale` to `out_scale`.

    Channel c has the weight scale m_c·2^-s·out_scale/in_scale, with m_c the smallest for which
    the weights are at most `peak` and the bias has 24 bits (`fine`: and a power of two). The
    shift is shared and as large as m < 2^15 allows.
    """
    real = weight.astype(np.float64)
    unit = out_scale / in_scale
    least = np.abs(real.reshape(len(real), -1)).max(axis=1) / peak / unit
    if bias is not None:
        # Half of the power's unit is then a quarter of an output's step at most.
        power = max(_shift(name, float(least.max()), MULT_MAX) - 16, 0) if fine else 0
        room = BIAS_MAX * 2.0**power * out_scale
        least = np.maximum(least, np.abs(bias.astype(np.float64)) / room)
    shift = _shift(name, float(least.max()), MULT_MAX)
    mult = np.maximum(np.ceil(least * 2.0**shift), 1.0)
    step = mult * 2.0**-shift * unit
    column = step.reshape(-1, *[1] * (real.ndim - 1))
    rounded = np.clip(np.rint(real / column), -peak, peak)
    return Channels(
        weight=rounded.astype(np.int64),
        bias=None if bias is None else addend(bias, step * in_scale),
        mult=mult.astype(np.int64),
        shift=shift,
    )


def bias_peak(bias: Ints, reach: int, shift: int, zero: int) -> int:
    """The range to declare for a bias whose dot has sums of products up to `reach`.

    All 24 bits, so that it tells nothing about the bias; less only where the quotient's bound
    (protocol section 2) asks for it and the bias allows it.
    """
    room = (Q_MAX - abs(zero) - 1 << shift) // MULT_MAX - reach
    peak = 2 ** max(room + 1, 1).bit_length() // 2 - 1
    return min(peak, BIAS_MAX) if np.abs(bias).max() <= peak else BIAS_MAX


def multiplier(name: str, ratio: float) -> tuple[int, int]:
    """M and s with m·2^-s nearest to a positive `ratio`, m < 2^15 as large as possible."""
    shift = _shift(name, ratio, MULT_MAX)
    return min(max(round(ratio * 2.0**shift), 1), MULT_MAX), shift


def coefficients(
    name: str,
    ratios: Sequence[float],
    out_scale: float,
    added: npt.NDArray[Any] | None = None,
    *,
    fine: bool = False,
) -> tuple[list[int], int, Addend | None]:
    """Integers c_t and a shift s with c_t·2^-s nearest to the ratios, |c_t| < 2^15.

    `added` (reals) comes back in units of 2^-s·out_scale, 24 bits; `fine`: s does not depend on it.
    """
    peak = max(abs(ratio) for ratio in ratios)
    shift = _shift(name, peak, MULT_MAX)
    if added is not None and added.size and not fine:
        peak = float(np.abs(added.astype(np.float64)).max()) / out_scale
        shift = min(shift, _shift(name, peak, BIAS_MAX))
    numbers = [round(ratio * 2.0**shift) for ratio in ratios]
    bias = None if added is None else addend(added, np.float64(out_scale * 2.0**-shift))
    return numbers, shift, bias


def entries(function: Callable[[Floats], Floats], pre: Affine, post: Affine) -> tuple[int, ...]:
    """The table of a function: for each q of `pre`, the `post` integer of function(real of q)."""
    domain = pre.dequantise(np.arange(pre.lo, pre.hi + 1))
    return tuple(int(value) for value in post.quantise(tabulated(function, domain)))


def tabulated(function: Callable[[Floats], Floats], domain: Floats) -> Floats:
    """The function at all points of an ascending domain.

    Where it is not defined (the root of a negative number) no calibrated value lies, but a code
    reaches: there it has the value of the nearest point where it is.
    """
    with np.errstate(all="ignore"):
        values = function(domain)
    known = np.flatnonzero(~np.isnan(values))
    if known.size in (0, values.size):
        return np.nan_to_num(values, posinf=np.inf, neginf=-np.inf)
    middles = (known[1:] + known[:-1] + 1) // 2
    return values[known[np.searchsorted(middles, np.arange(values.size), side="right")]]


def domain(function: Callable[[Floats], Floats], low: float, high: float, post: Affine) -> Affine:
    """The code of the table's argument on [low, high]: the coarsest that does not limit it."""
    most = max(PRE_BITS[-1], (post.hi - post.lo).bit_length())
    code = _domain(low, high, PRE_BITS[0])
    if _jump(function, low, high, code, post) <= PRE_JUMP:
        return code
    limit = max(_jump(function, low, high, _domain(low, high, most), post), PRE_JUMP)
    codes = (_domain(low, high, bits) for bits in range(PRE_BITS[0], most + 1))
    return next(code for code in codes if _jump(function, low, high, code, post) <= limit)


def _domain(low: float, high: float, bits: int) -> Affine:
    return affine(low, high, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _jump(
    function: Callable[[Floats], Floats], low: float, high: float, code: Affine, post: Affine
) -> int:
    """The most steps of `post` between neighbours of `code` in [low, high]."""
    reals = code.dequantise(np.arange(code.lo, code.hi + 1))
    inside = reals[(reals >= low) & (reals <= high)]
    if inside.size < 2:
        return 0
    return int(np.abs(np.diff(post.quantise(tabulated(function, inside)))).max())


def symmetric(values: npt.NDArray[Any], peak: int) -> tuple[Ints, float]:
    """Integers in [-peak, peak] and the scale that stands for `values`."""
    real = values.astype(np.float64)
    scale = float(np.abs(real).max(initial=0.0)) / peak or 1.0
    return np.rint(real / scale).astype(np.int64), scale


def addend(reals: npt.NDArray[Any], unit: Floats | np.float64) -> Addend:
    """The reals in this unit, or the least power of two of it in which they have 24 bits."""
    numbers = reals.astype(np.float64) / unit
    peak = float(np.abs(numbers).max(initial=0.0)) / (BIAS_MAX + 0.5)
    power = max(math.ceil(math.log2(peak)), 0) if peak > 0.0 else 0
    rounded = np.clip(np.rint(numbers / 2.0**power), -BIAS_MAX, BIAS_MAX)
    return Addend(rounded.astype(np.int64), power)


NO_RATIO_SHIFT = 22
"""Where all values are zero: no sum of int8 products, below 2^30, leaves the quotient's bound."""


def _shift(name: str, ratio: float, peak: int) -> int:
    """The largest shift with ceil(ratio·2^shift) ≤ peak."""
    if ratio <= 0.0:
        return NO_RATIO_SHIFT
    shift = min(math.floor(math.log2(peak / ratio)), SHIFT_MAX)
    while shift >= 0 and math.ceil(ratio * 2.0**shift) > peak:
        shift -= 1
    if shift < 0:
        raise RangeOverflow(
            f"op {named(name)}: the scale of its output is too fine for its operands",
            expected=f"a rescaling of at most {peak}",
            received=f"{ratio:.4g}",
            hint="calibrate on data that covers the ranges seen in use",
        )
    return shift
