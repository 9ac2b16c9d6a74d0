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

from ..verifier.inputs import DTYPES
from ..verifier.program.ranges import Q_MAX
from .errors import RangeOverflow, named

INT8_MIN, INT8_MAX = -128, 127
WEIGHT_MAX = 127
BIAS_MAX = 2**23 - 1
MULT_MAX = 2**15 - 1
MULT_NEAR = 2**9
"""A multiplier from here on is within 0.1 % of what it is rounded from."""
SHIFT_MAX = 44
PRE_BITS = range(11, 15)
"""Bits of the domain of a fused non-linearity's table: 11, so that its input does not limit it, and
more where the function is steep. 14 leave room for accumulators that reach
512 times what calibration saw (their quotient has 24 bits). Where the output has more, so has
the domain."""
PRE_MIN = 8
"""Fewest bits of such a domain."""
COARSEST = 3
"""Bits of an output that its bound may cost."""
PRE_JUMP = 2
"""Between neighbours of the domain the output moves by so many of its steps, if 14 bits allow."""

SCORE_STEP = 2.0**-8
"""A step of a Softmax's input: its rounding leaves the shares more than 55 dB."""
SCORE_BITS = 12
"""Bits of such a value; more of them as the step asks for it."""
SCORE_MOST = 14
"""The most of them, for the reason above."""
GIVEN_MOST = 22
"""The most of them where it is an input: no accumulator has to reach it."""
SLICE = 1 << 20
"""Elements of a constant that are worked on at once: copies in float64 are eight times an int8."""

ROOM = 2.0
LEAST_ROOM = 1.25
NOTHING = 2.0**-40
"""The scale of a symmetric code for what was always 0: whatever comes in use stays near that."""

REACH_MIN, REACH_MAX = 1e-60, 1e60
"""Magnitude of calibrated values: far beyond any float32, and no arithmetic on scales overflows."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Narrow = npt.NDArray[Any]
"""Integers in the narrowest type that a tensor of theirs may have."""


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
        return width_of(self.lo, self.hi)

    @property
    def reach(self) -> float:
        """The largest magnitude of the reals that it stands for."""
        return max(self.zero - self.lo, self.hi - self.zero) * self.scale

    def quantise(self, values: npt.ArrayLike) -> Ints:
        """Nearest integers (ties to even), clamped to [lo, hi]; int64 of the shape of `values`."""
        steps = np.rint(np.asarray(values, dtype=np.float64) / self.scale) + self.zero
        clamped: Ints = np.clip(steps, self.lo, self.hi).astype(np.int64)
        return clamped

    def narrow(self, values: npt.NDArray[Any]) -> Narrow:
        """The same in the integers that hold them, slice by slice: without large copies."""
        numbers = np.empty(values.shape, DTYPES[self.width])
        for part in _slices(values):
            numbers[part] = self.quantise(values[part])
        return numbers

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


def score(low: float, high: float, most: int) -> Affine:
    """The code of a value that only Softmax reads: the coarsest that is fine enough.

    It has `most` bits at most. Its ends are symmetric, as those of constants are.
    """
    peaks = (2 ** (bits - 1) - 1 for bits in range(min(SCORE_BITS, most), most + 1))
    codes = [affine(low, high, -peak, peak) for peak in peaks]
    return next((code for code in codes if code.scale <= SCORE_STEP), codes[-1])


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


def power_code(low: float, high: float, bits: int) -> Affine:
    """The code around zero that covers [low, high] and some more, its scale a power of two.

    It reaches 1.25 to 2.5 times as far. Values of two such codes differ by a shift, which rounds
    nothing where a value is handed on a thousand times.
    """
    peak, reach = 2 ** (bits - 1) - 1, max(-low, high)
    if reach == 0.0:
        return Affine(NOTHING, 0, -1, 1)
    scale = 2.0 ** math.ceil(math.log2(LEAST_ROOM * reach / peak))
    return Affine(scale, 0, -peak, peak)


def clamp(code: Affine, low: float, high: float) -> Affine:
    """The code with its integers narrowed to those of the reals [low, high]."""
    bounds = np.clip([low, high], -1e30, 1e30)
    lo, hi = (int(value) for value in code.quantise(bounds))
    return replace(code, lo=lo, hi=hi)


@dataclass(frozen=True)
class Grid:
    """Where the elements of a constant lie that a file has as integers: real = (q - zero)·scale.

    Scale and zero broadcast to the constant; q is in [lo, hi].
    """

    scale: Floats
    zero: Ints
    lo: int
    hi: int

    def transposed(self, axes: Sequence[int]) -> Grid:
        """The grid of the constant with its axes in this order."""
        rank = len(axes)
        scale, zero = (_ranked(part, rank).transpose(axes) for part in (self.scale, self.zero))
        return replace(self, scale=scale, zero=zero)

    @property
    def code(self) -> Affine | None:
        """The code of all elements, unsigned ones made signed; None where they have several."""
        if self.scale.size != 1 or (self.zero != self.zero.flat[0]).any():
            return None
        if not self.scale.item() > 0.0:  # a constant of zeros may have any
            return None
        shift = unsigned(self.lo, self.hi)
        zero = int(self.zero.flat[0]) - shift
        return Affine(float(self.scale.item()), zero, self.lo - shift, self.hi - shift)

    def steps(self, channels: int, rank: int) -> Floats | None:
        """The scale of each of the channels on axis 0; None where one has several."""
        scale = _ranked(self.scale, rank)
        if scale.size != len(scale):
            return None
        return np.broadcast_to(scale.reshape(-1), (channels,))


def _ranked(array: npt.NDArray[Any], rank: int) -> npt.NDArray[Any]:
    return array.reshape(*[1] * (rank - array.ndim), *array.shape)


@dataclass(frozen=True)
class Addend:
    """What is added to a sum of products: numbers of 24 bits, times 2^power."""

    numbers: Ints
    power: int = 0


@dataclass(frozen=True)
class Channels:
    """Integer weights [C, ...], bias [C] or None, multipliers [C], and their one shift.

    A weight stands for itself minus `zero`, and is declared [lo, hi].
    """

    weight: Narrow
    bias: Addend | None
    mult: Ints
    shift: int
    lo: int = -WEIGHT_MAX
    hi: int = WEIGHT_MAX
    zero: int = 0

    @property
    def reach(self) -> int:
        """The largest absolute value of a factor."""
        return max(self.hi - self.zero, self.zero - self.lo)


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
    mult, shift = multipliers(
        name, _required(name, (weight, bias), in_scale, out_scale, peak, fine=fine)
    )
    step: Floats = mult.astype(np.float64) * (2.0**-shift * (out_scale / in_scale))
    return Channels(
        weight=_in_steps(weight, step, -peak, peak),
        bias=None if bias is None else addend(bias, step * in_scale),
        mult=mult,
        shift=shift,
        lo=-peak,
        hi=peak,
    )


def multipliers(name: str, ratios: Floats) -> tuple[Ints, int]:
    """The least m_c and their one shift s with m_c·2^-s not below the ratios, m_c < 2^15."""
    shift = _shift(name, float(ratios.max()), MULT_MAX)
    return np.maximum(np.ceil(ratios * 2.0**shift), 1.0).astype(np.int64), shift


def channels_on(
    name: str,
    grid: Grid,
    weight: npt.NDArray[Any],
    bias: npt.NDArray[Any] | None,
    in_scale: float,
    out_scale: float,
) -> Channels:
    """As `channels`, of weights that a file has as integers: these are the program's.

    Channel c has the multiplier that is nearest to step_c·in_scale/out_scale·2^s. Where it is too
    small to be near, or the bias is too large for 24 bits, the channel (which is all but silent)
    is quantised anew; so are all where a channel has several scales.
    """
    step = grid.steps(len(weight), weight.ndim)
    if step is None:
        return channels(name, weight, bias, in_scale, out_scale)
    ratio = step * in_scale / out_scale
    peak = _required(name, (weight, bias), in_scale, out_scale)
    wide = np.zeros(len(weight), bool)
    if bias is not None:
        wide = np.abs(bias.astype(np.float64)) > BIAS_MAX * step * in_scale
    shift = _shift(name, float(np.where(wide, peak, ratio).max()), MULT_MAX)
    anew = wide | (ratio * 2.0**shift < MULT_NEAR)
    mult = np.where(anew, np.ceil(peak * 2.0**shift), np.rint(ratio * 2.0**shift))
    mult = np.clip(mult, 1, MULT_MAX)
    unit = np.where(anew, mult * 2.0**-shift * out_scale / in_scale, step)
    code = None if anew.any() else replace(grid, scale=np.ones(1)).code
    if code is None:
        lo, hi = grid.lo - int(grid.zero.max()), grid.hi - int(grid.zero.min())
        code = Affine(1.0, 0, min(lo, -WEIGHT_MAX), max(hi, WEIGHT_MAX))
    return Channels(
        weight=_in_steps(weight, unit, code.lo, code.hi, code.zero),
        bias=None if bias is None else addend(bias, unit * in_scale),
        mult=mult.astype(np.int64),
        shift=shift,
        lo=code.lo,
        hi=code.hi,
        zero=code.zero,
    )


def without_error(
    numbers: Channels,
    parameters: Parameters,
    in_scale: float,
    out_scale: float,
    mean: Floats,
    group: int = 1,
) -> Channels:
    """The same with a bias that makes up for rounded weights, where the K inputs are `mean` [K].

    Weights are [C, K/group, ...]; a dot without a bias gets one if there is something to make up.
    """
    weight, bias = parameters
    step = numbers.mult.astype(np.float64) * (2.0**-numbers.shift * (out_scale / in_scale))
    rows = weight.reshape(len(weight), weight.shape[1], -1)
    held = numbers.weight.reshape(rows.shape)
    own, groups = mean.reshape(group, -1), np.arange(len(weight)) * group // len(weight)
    added = np.zeros(len(weight))
    for part in _slices(rows):
        errors = held[part].astype(np.float64) * step[part, None, None] - rows[part]
        added[part] = np.einsum("cki,ck->c", errors, own[groups[part]])
    if bias is None and not np.rint(added / (step * in_scale)).any():
        return numbers
    known = np.zeros(len(weight)) if bias is None else bias.astype(np.float64)
    return replace(numbers, bias=addend(known - added, step * in_scale))


def code_of(values: npt.NDArray[Any], grid: Grid | None, peak: int = WEIGHT_MAX) -> Affine:
    """The code of a constant: that of its grid, if it has one, or one of integers up to `peak`."""
    own = None if grid is None else grid.code
    if own is not None:
        return own
    return Affine(symmetric(values, peak)[1], 0, -peak, peak)


def unsigned(lo: int, hi: int) -> int:
    """What is taken from integers in [0, 2^b) so that they fit b bits with a sign; else 0."""
    return (hi + 1) // 2 if lo == 0 else 0


Parameters = tuple[npt.NDArray[Any], npt.NDArray[Any] | None]
"""Weights [C, ...] and bias [C]."""


def _required(
    name: str,
    parameters: Parameters,
    in_scale: float,
    out_scale: float,
    peak: int = WEIGHT_MAX,
    *,
    fine: bool = False,
) -> Floats:
    """What each channel's multiplier and shift must reach, see `channels`."""
    weight, bias = parameters
    largest = np.concatenate([_peaks(weight[part]) for part in _slices(weight)])
    least: Floats = largest / peak / (out_scale / in_scale)
    if bias is not None:
        # Half of the power's unit is then a quarter of an output's step at most.
        power = max(_shift(name, float(least.max()), MULT_MAX) - 16, 0) if fine else 0
        room = BIAS_MAX * 2.0**power * out_scale
        least = np.maximum(least, np.abs(bias.astype(np.float64)) / room)
    return least


def quotient_fits(
    name: str,
    parameters: Parameters,
    in_scale: float,
    out: Affine,
    reach: int,
    peak: int = WEIGHT_MAX,
    *,
    fine: bool = False,
) -> bool:
    """Whether the quotient of such a dot is within its bound (protocol section 2).

    `reach` is what its sums of products may come to; the others are those of `channels`.
    """
    required = _required(name, parameters, in_scale, out.scale, peak, fine=fine)
    shift, bias = _shift(name, float(required.max()), MULT_MAX), parameters[1]
    most = 0
    if bias is not None:
        held = addend(bias, MULT_MAX * 2.0**-shift * out.scale)
        most = bias_peak(held.numbers, reach, shift, out.zero) << held.power
    return ((reach + most) * MULT_MAX >> shift) + 1 + abs(out.zero) <= Q_MAX


def _in_steps(weight: npt.NDArray[Any], step: Floats, lo: int, hi: int, zero: int = 0) -> Narrow:
    """Each channel's weights in its step, from a zero point, clamped."""
    column = step.reshape(-1, *[1] * (weight.ndim - 1))
    numbers = np.empty(weight.shape, DTYPES[width_of(lo, hi)])
    for part in _slices(weight):
        rounded = np.rint(weight[part].astype(np.float64) / column[part])
        numbers[part] = np.clip(rounded + zero, lo, hi)
    return numbers


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


def entries(function: Callable[[Floats], Floats], pre: Affine, post: Affine) -> Ints:
    """The table of a function: for each q of `pre`, the `post` integer of function(real of q)."""
    domain = pre.dequantise(np.arange(pre.lo, pre.hi + 1))
    return post.quantise(tabulated(function, domain))


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


def domain(
    function: Callable[[Floats], Floats],
    low: float,
    high: float,
    post: Affine,
    fits: Callable[[Affine], bool] | None = None,
) -> Affine:
    """The code of the table's argument on [low, high]: the coarsest that does not limit it.

    A coarser one of at least 8 bits where it does not fit: one weight that is far larger than all
    others can ask for that.
    """
    bits = _domain_bits(function, low, high, post)
    codes = [_domain(low, high, count) for count in range(bits, PRE_MIN - 1, -1)]
    return next((code for code in codes if fits is None or fits(code)), codes[0])


def coarsened(code: Affine, fits: Callable[[Affine], bool]) -> Affine:
    """The code itself, or the finest coarser one that fits, 8 times as coarse at most.

    A weight far above all others asks for it, where calibration saw much less than it allows.
    """
    codes = (replace(code, scale=code.scale * 2 ** (n / 4)) for n in range(4 * COARSEST + 1))
    return next((each for each in codes if fits(each)), code)


def _domain_bits(
    function: Callable[[Floats], Floats], low: float, high: float, post: Affine
) -> int:
    most = max(PRE_BITS[-1], (post.hi - post.lo).bit_length())
    counts = range(PRE_BITS[0], most + 1)
    jumps = (_jump(function, low, high, _domain(low, high, bits), post) for bits in counts)
    first = next(jumps)
    if first <= PRE_JUMP:
        return counts[0]
    found = [first, *jumps]
    return counts[next(at for at, jump in enumerate(found) if jump <= max(found[-1], PRE_JUMP))]


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


def symmetric(values: npt.NDArray[Any], peak: int) -> tuple[Narrow, float]:
    """Integers in [-peak, peak] and the scale that stands for `values`."""
    rows = values.reshape(1) if values.ndim == 0 else values
    parts = _slices(rows)
    scale = max((float(_peaks(rows[part]).max()) for part in parts), default=0.0) / peak or 1.0
    numbers = np.empty(rows.shape, DTYPES[width_of(-peak, peak)])
    for part in parts:
        numbers[part] = np.rint(rows[part].astype(np.float64) / scale)
    return numbers.reshape(values.shape), scale


def width_of(lo: int, hi: int) -> int:
    """Bytes of a tensor that holds integers of this range."""
    peak = max(-lo - 1, hi)
    return 1 if peak < 2**7 else 2 if peak < 2**15 else 3


def _slices(values: npt.NDArray[Any]) -> list[slice]:
    """Ranges of axis 0 of about `SLICE` elements each."""
    if values.size == 0:
        return []
    rows = max(SLICE * len(values) // values.size, 1)
    return [slice(start, start + rows) for start in range(0, len(values), rows)]


def _peaks(values: npt.NDArray[Any]) -> Floats:
    """The largest absolute value of each row."""
    rows = values.reshape(len(values), -1)
    high, low = (ends.astype(np.float64) for ends in (rows.max(axis=1), rows.min(axis=1)))
    peaks: Floats = np.maximum(high, -low)
    return peaks


def addend(reals: npt.NDArray[Any], unit: Floats | float) -> Addend:
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
