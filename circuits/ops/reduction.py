"""What reductions and normalisations share: lines of values, their roots of squares, their logs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...verifier.program.types import AxisMap, Const, PickMode, Read, Term
from ..builder import Builder, Value
from ..graph import Graph, Node
from ..maps import along, at, over, rows
from ..operator import constants
from ..quantise import Affine, Floats

VALUES_MAX = 2**20
"""Products of one gate (docs/protocol.md section 1)."""
SQUARES_MAX = 2**14 - 1
"""So many squares of 9 bits fit an accumulator."""
WIDE = 2**23 - 1
"""The largest number of three bytes."""
LIMBS_MAX = 2**14 - 8
"""So many products of bytes fit an accumulator."""
CLOSE_MAX = 16
"""Squares of 16 bits of which small sums are kept apart: those of spectra and of colours."""
PART = 2**13
ROOT_BITS = 14
EXP_MAX = 2**15 - 1
EXP_COUNT, EXP_LONG = 2**9, 2**20
"""Beyond so many values those that 15 bits round to 0 could add up; they get 20 bits."""
LOG_STEPS, LOG_STEPS_WIDE = 2**11, 2**15 - 1
"""Finer steps would get a coarser factor beside the value to which the logarithm is added, unless
that has as fine ones."""
WIDE_BITS = 15


@dataclass(frozen=True)
class Reduction:
    """A tensor of this shape as lines of values along `axes`, one line for each other index."""

    shape: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def count(self) -> int:
        """Values of a line."""
        return math.prod(self.window)

    @property
    def window(self) -> tuple[int, ...]:
        """Sizes of the axes of a line."""
        return tuple(self.shape[axis] for axis in self.axes)

    @property
    def lines(self) -> tuple[int, ...]:
        """Sizes of the other axes; a single line has one axis, too."""
        return tuple(self.shape[axis] for axis in self._kept) or (1,)

    @property
    def across(self) -> tuple[AxisMap, ...]:
        """Maps of the tensor in the space of the lines: the window runs over a line."""
        kept = self._kept
        return tuple(
            over(self.axes.index(axis)) if axis in self.axes else along(kept.index(axis))
            for axis in range(len(self.shape))
        )

    @property
    def each(self) -> tuple[AxisMap, ...]:
        """Maps of one number a line in the space of the tensor."""
        return tuple(along(axis) for axis in self._kept) or (at(),)

    @property
    def _kept(self) -> tuple[int, ...]:
        return tuple(axis for axis in range(len(self.shape)) if axis not in self.axes)


def given_axes(node: Node, graph: Graph) -> list[int]:
    """The axes that a node names: an attribute, or its second input since opset 13 or 18."""
    array = graph.constant(node.input(1))
    if array is None:
        return [int(axis) for axis in node.attributes.get("axes") or []]
    return [int(axis) for axis in array.reshape(-1)]


def reduction(node: Node, graph: Graph) -> Reduction:
    """The lines of a Reduce node: all of its input where it names no axes."""
    shape = graph.shapes[node.inputs[0]]
    axes = given_axes(node, graph)
    if not axes and not node.attributes.get("noop_with_empty_axes", 0):
        axes = list(range(len(shape)))
    return Reduction(shape, tuple(sorted(axis % len(shape) for axis in axes)))


def fits(node: Node, graph: Graph, limit: int = VALUES_MAX) -> str | None:
    """Constant axes, lines of up to so many values."""
    reason = constants(node, graph, 1)
    if reason is None and reduction(node, graph).count > limit:
        return f"it runs over more than {limit} values"
    return reason


def reach(code: Affine) -> int:
    """The largest distance of an integer from the zero."""
    return max(code.hi - code.zero, code.zero - code.lo)


def magnitudes(builder: Builder, x: Value, shape: Sequence[int], read: Read) -> Value:
    """|x| at each point of a space."""
    code = Affine(x.code.scale, 0, 0, reach(x.code))
    numbers = range(x.code.lo, x.code.hi + 1)
    table = builder.integer_table(
        "magnitudes", x.code.lo, tuple(abs(q - x.code.zero) for q in numbers)
    )
    out = builder.temporary("magnitudes", tuple(shape), code, 2)
    builder.dot(out, shape, [Term((), read, Const(1))], table=table, suffix="magnitudes")
    return out


def root_of_squares(
    builder: Builder,
    lines: tuple[int, ...],
    window: tuple[int, ...],
    reads: Sequence[tuple[Value, Read]],
) -> tuple[Value, ...]:
    """√Σx² of each line as a sum of values, all of one scale, as are those that are read.

    The sum of squares has 24 bits, its root 14 and more. Of a few values of 16 bits, whose squares
    lie farther apart, small ones have squares of their own, which are not rounded: their root, and
    how much more the root of the rounded squares is, which is rounded down.
    """
    scale = reads[0][0].code.scale
    count = math.prod(window) * len(reads)
    largest = math.prod(window) * sum(reach(value.code) ** 2 for value, _ in reads)
    shift = max(0, (largest // WIDE).bit_length())
    close = shift > 0 and count <= CLOSE_MAX and all(value.code.wide for value, _ in reads)
    shift += shift % 2 if close else 0

    def squares(name: str, terms: Sequence[Read], shift: int, most: int) -> Value:
        unit = Affine(scale**2 * 2.0**shift, 0, 0, min(most >> shift, WIDE - 1) + 1)
        made = builder.temporary(name, lines, unit, 3)
        down = Const(-(2 ** (shift - 1))) if close and shift else None
        dots = [Term(window, read, read) for read in terms]
        builder.dot(made, lines, dots, shift=shift, bias=down, suffix=name)
        return made

    far = squares("squares", [read for _, read in reads], shift, largest)
    rooted = root(builder, far, 2**ROOT_BITS)
    if not close:
        return (rooted,)
    end = math.isqrt(WIDE // count)
    held = [_held(builder, value, read, end, number) for number, (value, read) in enumerate(reads)]
    near = root(
        builder,
        squares("small squares", held, 0, count * end**2),
        2 ** (ROOT_BITS - shift),
        "small root",
    )
    more = builder.temporary("more", lines, Affine(near.code.scale, 0, 0, rooted.code.hi), 3)
    each = tuple(along(axis) for axis in range(len(lines)))
    terms = [
        Term((), builder.read(value, each), Const(sign))
        for value, sign in ((rooted, 1), (near, -1))
    ]
    builder.dot(more, lines, terms, suffix="more")
    return near, more


def _held(builder: Builder, value: Value, read: Read, end: int, number: int) -> Read:
    """A read of the value between ± end, as another read has it."""
    shape = value.shape or (1,)
    made = builder.temporary(f"small {number}", shape, Affine(value.code.scale, 0, -end, end), 2)
    here = builder.read(value, tuple(along(axis) for axis in range(len(shape))))
    builder.dot(made, shape, [Term((), here, Const(1))], suffix=f"small {number}")
    pad = None if read.pad is None else 0
    return replace(read, tensor=made.tensor, zero=0, pad=pad)


def root(builder: Builder, squares: Value, factor: int, name: str = "root") -> Value:
    """√(factor·squares), rounded down."""
    scale, hi = math.sqrt(squares.code.scale / factor), math.isqrt(squares.code.hi * factor)
    out = builder.temporary(name, squares.shape, Affine(scale, 0, 0, hi), 3)
    maps = tuple(along(axis) for axis in range(len(squares.shape)))
    builder.root(out, squares.shape, factor, builder.read(squares, maps), suffix=name)
    return out


@dataclass(frozen=True)
class Exponentials:
    """exp(x - m) of each value, their sum of each line, and m, the largest value of each line.

    The sum counts in units of 2^shift of the powers.
    """

    largest: Value
    power: Value
    total: Value
    shift: int


def exponentials(builder: Builder, x: Value, lines: Reduction) -> Exponentials:
    """The largest value, the powers by a table, their sum."""
    space = lines.shape
    largest = builder.temporary("max", lines.lines, x.code)
    across = builder.read(x, lines.across, view=space, raw=True)
    builder.pick(largest, lines.lines, across, mode=PickMode.MAX, window=lines.window, suffix="max")

    peak = EXP_MAX if lines.count <= EXP_COUNT else EXP_LONG
    # What lies farther below is 0.
    span = min(x.code.hi - x.code.lo, math.ceil(math.log(2.0 * peak) / x.code.scale) + 1)
    difference = np.arange(-span, 1)
    powers = np.rint(np.exp(difference * x.code.scale) * peak)
    table = builder.integer_table("exp", -span, powers)
    power = builder.temporary("exp", space, Affine(1.0 / peak, 0, 0, peak))
    terms = [
        Term((), builder.read(x, rows(len(space)), view=space, raw=True), Const(1)),
        Term((), builder.read(largest, lines.each, raw=True), Const(-1)),
    ]
    builder.dot(power, space, terms, table=table, suffix="exp")

    total, shift = _total(builder, power, lines)
    return Exponentials(largest, power, total, shift)


def _total(builder: Builder, power: Value, lines: Reduction) -> tuple[Value, int]:
    """The sums of lines, in units of 2^shift; those of long lines by sums of their parts."""
    shift, most = 0, power.code.hi * lines.count
    across: Read = builder.read(power, lines.across)
    window = lines.window
    if lines.count > LIMBS_MAX:
        (axis,) = lines.axes
        parts, shift = _parts(builder, power, lines, axis)
        window = parts.shape[-1:]
        most = parts.code.hi * window[0]
        across = builder.read(parts, (*rows(len(lines.lines)), over(0)))
    more = (most // WIDE).bit_length()
    shift += more
    code = Affine(power.code.scale * 2.0**shift, 0, power.code.hi >> shift, (most >> more) + 1)
    total = builder.temporary("sum", lines.lines, code, 3)
    builder.dot(total, lines.lines, [Term(window, across, Const(1))], shift=more, suffix="sum")
    return total, shift


def _parts(builder: Builder, power: Value, lines: Reduction, axis: int) -> tuple[Value, int]:
    """Sums of up to 2^13 neighbours in a line, [*lines, parts], in units of 2^shift."""
    last = len(lines.lines)
    largest = power.code.hi * PART
    shift = (largest // WIDE).bit_length()
    shape = (*lines.lines, -(-lines.count // PART))
    code = Affine(power.code.scale * 2.0**shift, 0, 0, (largest >> shift) + 1)
    parts = builder.temporary("parts", shape, code, 3)
    maps = list(lines.across)
    maps[axis] = AxisMap(i_axis=last, a=PART, k_axis=0, b=1)
    source = builder.read(power, maps, pad=0)
    builder.dot(parts, shape, [Term((PART,), source, Const(1))], shift=shift, suffix="parts")
    return parts, shift


def log_sum_exp(builder: Builder, x: Value, lines: Reduction) -> tuple[Value, Value]:
    """The largest value m of each line, and log Σ exp(x − m), which is 0 to log(count).

    The logarithm is a table over the root of the sum: its argument is then as fine where one value
    outweighs all others as where all are alike.
    """
    found = exponentials(builder, x, lines)
    fine = (x.code.hi - x.code.lo).bit_length() >= WIDE_BITS
    return found.largest, _log(builder, found.total, LOG_STEPS_WIDE if fine else LOG_STEPS)


def _log(builder: Builder, total: Value, steps: int) -> Value:
    """log(total) for totals from 1 on, in so many steps."""
    factor = max(2 ** (2 * ROOT_BITS) // total.code.hi, 1)
    rooted = root(builder, total, factor)
    least, most = (math.isqrt(end * factor) for end in (total.code.lo, total.code.hi))
    code = Affine(math.log(max(most / least, 1.5)) * 2 / steps, 0, 0, steps)

    def log(roots: Floats) -> Floats:
        return 2.0 * np.log((roots + 0.5) * rooted.code.scale)

    entries = code.quantise(log(np.arange(least, most + 1, dtype=np.float64)))
    table = builder.integer_table("log", least, entries)
    out = builder.temporary("log", total.shape, code, 2)
    source = builder.read(rooted, tuple(along(axis) for axis in range(len(total.shape))))
    builder.dot(out, total.shape, [Term((), source, Const(1))], table=table, suffix="log")
    return out
