"""Lines of values brought to mean 0 and deviation 1, or to norm 1: what normalisations share.

Deviations from the mean have 7 bits below the input's step, so that neither they nor their squares
add to its error; a line's norm is a root (to 14 bits and more), and each value is divided by it.
The quotients have 15 bits: of n values none can be farther from 0 than √n deviations.

The sum of squares has 24 bits, in which the largest possible one has its place: that of a line
which deviates by less than half a step of the input's code is coarse, as is that line itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...verifier.program.ranges import Q_MAX
from ...verifier.program.types import AxisMap, Const, Operand, Read, Term
from ..builder import Builder, Value
from ..errors import RangeOverflow, named
from ..graph import Array, Node
from ..maps import rows
from ..quantise import BIAS_MAX, SHIFT_MAX, Affine, multiplier
from .reduction import SQUARES_MAX, WIDE, Reduction, magnitudes, reach

FINE_BITS, FINE_MAX = 7, 15
QUOTIENT_MAX = 2**14 - 1
FACTOR_MAX = 2**15 - 1
GAIN_MAX = 2**13 - 1
"""Gains have 14 bits: their products with quotients of 15 bits are far inside an accumulator."""


@dataclass(frozen=True)
class Norm:
    """How long a line is: √(mean of squares + epsilon), √Σx², or Σ|x| (`power` 1)."""

    mean: bool
    epsilon: float = 0.0
    power: int = 2


def deviations(builder: Builder, x: Value, lines: Reduction) -> Value:
    """X less the mean of its line, in steps of 2^-7 of its own."""
    span = x.code.hi - x.code.lo
    ends = ((x.code.lo - x.code.zero) * lines.count, (x.code.hi - x.code.zero) * lines.count)
    bits = (max(map(abs, ends)) // WIDE).bit_length()
    code = Affine(x.code.scale * 2.0**bits, 0, ends[0] >> bits, (ends[1] >> bits) + 1)
    total = builder.temporary("sum", lines.lines, code, 3)
    source = builder.read(x, lines.across, view=lines.shape)
    terms = [Term(lines.window, source, Const(1))]
    builder.dot(total, lines.lines, terms, shift=bits, suffix="sum")
    out = _fine(builder, x, lines, "deviation", span)
    terms = [
        Term((), _here(builder, x, lines), Const(lines.count)),
        Term((), builder.read(total, lines.each), Const(-(1 << bits))),
    ]
    mult, shift = multiplier("deviation", x.code.scale / out.code.scale / lines.count)
    builder.dot(out, lines.shape, terms, mult=Const(mult), shift=shift, suffix="deviation")
    return out


def magnified(builder: Builder, x: Value, lines: Reduction) -> Value:
    """X itself in steps of 2^-7 of its own (one that has 16 bits: in its own)."""
    out = _fine(builder, x, lines, "magnified", reach(x.code))
    by = round(x.code.scale / out.code.scale)
    terms = [Term((), _here(builder, x, lines), Const(by))]
    builder.dot(out, lines.shape, terms, suffix="magnified")
    return out


def _fine(builder: Builder, x: Value, lines: Reduction, name: str, peak: int) -> Value:
    """A tensor of 16 bits for up to `peak` steps of x, as fine as they allow, 2^-7 at most."""
    bits = min(FINE_BITS, FINE_MAX - peak.bit_length())
    peak = math.floor(peak * 2.0**bits)
    code = Affine(x.code.scale / 2.0**bits, 0, -peak, peak)
    return builder.temporary(name, lines.shape, code, 2)


def _here(builder: Builder, x: Value, lines: Reduction) -> Read:
    return builder.read(x, rows(len(lines.shape)), view=lines.shape)


def standardised(node: Node, builder: Builder, x: Value, lines: Reduction, norm: Norm) -> Value:
    """X divided by the norm of its line, of the shape of the lines' tensor."""
    most = math.sqrt(lines.count) if norm.mean else 1.0
    if norm.epsilon:
        most = min(most, reach(x.code) * x.code.scale / math.sqrt(norm.epsilon))
    most = most or 1.0  # all lines are constant, and what is divided is 0
    code = Affine(most / QUOTIENT_MAX, 0, -QUOTIENT_MAX, QUOTIENT_MAX)
    if norm.power == 1:
        divisor = _sum_of_magnitudes(builder, x, lines)
    else:
        squares = _squares(node, builder, x, lines, norm)
        divisor = _rooted(builder, squares, x, x.code.scale / code.scale)
    factor = _factor(x.code.scale / code.scale, divisor.code.scale)
    out = builder.temporary("quotient", lines.shape, code, 2)
    den = builder.read(divisor, lines.each)
    num = _here(builder, x, lines)
    builder.quotient(out, lines.shape, factor, num, den, suffix="quotient")
    return out


def _factor(ratio: float, scale: float) -> int:
    """What numerators are multiplied by: `ratio` is of their scale and the quotients'."""
    return min(max(round(ratio / scale), 1), FACTOR_MAX)


def _least(x: Value, factor: int, high: int) -> int:
    """The least divisor for which the quotient's bound (protocol section 2) holds."""
    return (2 * reach(x.code) * factor + high) // (2 * (Q_MAX - 2)) + 1


def _squares(node: Node, builder: Builder, x: Value, lines: Reduction, norm: Norm) -> Value:
    """The sum, or mean, of the squares of each line, and epsilon."""
    largest = lines.count * reach(x.code) ** 2
    count = lines.count if norm.mean else 1
    added = count * norm.epsilon / x.code.scale**2
    shift = max(math.ceil(math.log2((largest + added) / (WIDE - 2))), 0)
    if shift > SHIFT_MAX:
        raise RangeOverflow(
            f"node {named(node.name)}: its values are too small beside epsilon",
            expected=f"values of the order of {math.sqrt(norm.epsilon):.4g}",
            received=f"at most {reach(x.code) * x.code.scale:.4g}",
            hint="calibrate on data that covers the ranges seen in use",
        )
    unit = x.code.scale**2 * 2.0**shift
    offset = round(added / 2.0**shift)
    code = Affine(unit / count, 0, max(offset, 1), (largest >> shift) + 1 + offset)
    squares = builder.temporary("squares", lines.lines, code, 3)
    term, bits = _square_term(builder, x, lines)
    builder.dot(squares, lines.lines, [term], shift=shift - bits, zero=offset, suffix="squares")
    return squares


def _square_term(builder: Builder, x: Value, lines: Reduction) -> tuple[Term, int]:
    """Σx² of a line, in units of 2^bits; of a long one by sums over its last axes."""
    if lines.count <= SQUARES_MAX:
        source = builder.read(x, lines.across, view=lines.shape)
        return Term(lines.window, source, source), 0
    inner = Reduction(lines.shape, inner_axes(lines))
    largest = inner.count * reach(x.code) ** 2
    bits = (largest // WIDE).bit_length()
    code = Affine(x.code.scale**2 * 2.0**bits, 0, 0, (largest >> bits) + 1)
    parts = builder.temporary("parts", inner.lines, code, 3)
    source = builder.read(x, inner.across, view=lines.shape)
    builder.dot(
        parts, inner.lines, [Term(inner.window, source, source)], shift=bits, suffix="parts"
    )
    kept = [axis for axis in range(len(lines.shape)) if axis not in inner.axes]
    outer = Reduction(inner.lines, tuple(kept.index(axis) for axis in lines.axes if axis in kept))
    return Term(outer.window, builder.read(parts, outer.across), Const(1)), bits


def inner_axes(lines: Reduction) -> tuple[int, ...]:
    """The last of a line's axes, as many as one sum of squares takes; none if that is none."""
    axes: tuple[int, ...] = ()
    for axis in reversed(lines.axes):
        if math.prod(lines.shape[n] for n in (axis, *axes)) > SQUARES_MAX:
            break
        axes = (axis, *axes)
    return axes


def _rooted(builder: Builder, squares: Value, x: Value, ratio: float) -> Value:
    """The root, as fine as a factor of 15 bits of the division by it allows."""
    finest = (FACTOR_MAX / ratio) ** 2 * squares.code.scale
    under = int(min(max(finest, 1.0), FACTOR_MAX))
    scale, high = math.sqrt(squares.code.scale / under), math.isqrt(squares.code.hi * under)
    low = max(math.isqrt(squares.code.lo * under), _least(x, _factor(ratio, scale), high))
    out = builder.temporary("norm", squares.shape, Affine(scale, 0, low, max(low, high)), 3)
    source = builder.read(squares, rows(len(squares.shape)))
    builder.root(out, squares.shape, under, source, suffix="norm")
    return out


def _sum_of_magnitudes(builder: Builder, x: Value, lines: Reduction) -> Value:
    source = builder.read(x, rows(len(lines.shape)), view=lines.shape, raw=True)
    sizes = magnitudes(builder, x, lines.shape, source)
    high = lines.count * sizes.code.hi
    code = Affine(x.code.scale, 0, _least(x, QUOTIENT_MAX, high), high)
    out = builder.temporary("norm", lines.lines, code, 3)
    terms = [Term(lines.window, builder.read(sizes, lines.across), Const(1))]
    builder.dot(out, lines.lines, terms, zero=0, suffix="norm")
    return out


def affine_output(
    node: Node,
    builder: Builder,
    value: Value,
    gain: Array | None,
    bias: Array | None,
    maps: Sequence[AxisMap],
) -> None:
    """The node's output: value·gain + bias, both read by these maps in the output's space."""
    space, target = builder.shape(node), builder.target(node)
    by: Operand = Const(1)
    added: Operand | None = None
    unit = value.code.scale
    if gain is not None:
        # A bias beyond 24 bits of this unit makes it coarser: the gains then matter as little.
        peaks = [0.0 if array is None else float(np.abs(array).max()) for array in (gain, bias)]
        unit = max(unit * peaks[0] / GAIN_MAX, peaks[1] / BIAS_MAX) or unit
        numbers = np.rint(gain * (value.code.scale / unit)).astype(np.int64)
        by = builder.weight("gain", numbers, GAIN_MAX, maps)
    if bias is not None:
        numbers = np.rint(bias.astype(np.float64) / unit).astype(np.int64)
        added = builder.weight("bias", numbers, BIAS_MAX, maps)
    mult, shift = multiplier(node.name, unit / target.pre.scale)
    terms = [Term((), builder.read(value, rows(len(space)), view=space), by)]
    builder.requantised(node, space, terms, target, mult=Const(mult), shift=shift, bias=added)
