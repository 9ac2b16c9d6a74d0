"""Resize and Upsample: nearest elements are a move, weighted sums a dot along each axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...verifier.program.types import AxisMap, Const, Term
from ..builder import Builder, Value
from ..graph import Graph, Node
from ..maps import along, over
from ..moves import OUTSIDE, RANK_MAX, move
from ..operator import Operator, computed, constants, first
from ..quantise import Affine, Floats, Ints, multiplier
from ..tape import Tape, gathered_back, of_first
from .interpolation import (
    NEAREST_MODES,
    TRANSFORMATIONS,
    Axis,
    Rule,
    matrix,
    nearest,
)

ACC_BITS, WEIGHT_BITS = 29, 14
"""A sum of products stays below 2^29; weights are multiples of at least 2^-14, mostly exact."""


def support(node: Node, graph: Graph) -> str | None:
    """Constant scales or sizes; modes nearest, linear, cubic, also antialiased.

    All ways to transform coordinates; a crop may leave the input where it then reads 0.
    """
    reason = first(computed(node, graph), constants(node, graph, 1, 2, 3))
    if reason is not None:
        return reason
    rule = rule_of(node, graph)
    if rule.mode not in ("nearest", "linear", "cubic"):
        return f"mode {rule.mode!r}"
    if rule.transformation not in TRANSFORMATIONS or rule.nearest_mode not in NEAREST_MODES:
        return f"coordinates {rule.transformation!r}, nearest mode {rule.nearest_mode!r}"
    leaves = any((nearest(axis, rule) == OUTSIDE).any() for axis in axes_of(node, graph))
    if leaves and node.attributes.get("extrapolation_value", 0.0):
        return "its crop leaves the input, and extrapolation_value is not 0"
    return None


def rule_of(node: Node, graph: Graph) -> Rule:
    """The attributes; Upsample, and Resize before opset 11, have one rule."""
    get = node.attributes.get
    mode = {"bilinear": "linear"}.get(get("mode", "nearest"), get("mode", "nearest"))
    if node.op == "Upsample" or graph.opset < 11:
        return Rule(mode, "asymmetric", "simple")
    return Rule(
        mode,
        get("coordinate_transformation_mode", "half_pixel"),
        get("nearest_mode", "round_prefer_floor"),
        float(get("cubic_coeff_a", -0.75)),
        bool(get("exclude_outside", 0)),
        bool(get("antialias", 0)),
    )


def axes_of(node: Node, graph: Graph) -> list[Axis]:
    """Every axis, with its scale and crop."""
    shape, out = graph.shapes[node.inputs[0]], graph.shapes[node.output]
    rank = len(shape)
    named = [axis % rank for axis in node.attributes.get("axes") or range(rank)]
    scales, crops = dict(zip(named, _scales(node, graph, named), strict=True)), [(0.0, 1.0)] * rank
    roi = graph.constant(node.input(1)) if node.op == "Resize" and graph.opset >= 11 else None
    if roi is not None and roi.size:
        for n, axis in enumerate(named):
            crops[axis] = (float(roi[n]), float(roi[len(named) + n]))
    return [Axis(shape[n], out[n], scales.get(n, 1.0), crops[n]) for n in range(rank)]


def _scales(node: Node, graph: Graph, named: list[int]) -> list[float]:
    """The scale of each axis that is named."""
    if "scales" in node.attributes:
        return [float(scale) for scale in node.attributes["scales"]]
    new = node.op == "Resize" and graph.opset >= 11
    given = graph.constant(node.input(2 if new else 1))
    if given is not None and given.size:
        return [float(scale) for scale in given]
    sizes = graph.constants[node.inputs[3]]
    shape = graph.shapes[node.inputs[0]]
    each = [float(size) / shape[axis] for size, axis in zip(sizes, named, strict=True)]
    policy = node.attributes.get("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return each
    return [min(each) if policy == "not_larger" else max(each)] * len(each)


def lower(node: Node, builder: Builder) -> None:
    """One move, or one dot along each axis that changes; between them the values have 16 bits."""
    x, rule, axes = builder.values[node.inputs[0]], rule_of(node, builder.graph), []
    found = axes_of(node, builder.graph)
    if rule.mode == "nearest":
        indices = [nearest(axis, rule) for axis in found]
        if all((index != OUTSIDE).all() for index in indices):
            move(node, builder, x, indices)
            return
    for number, axis in enumerate(found):
        weights = matrix(axis, rule)
        if weights.shape[0] != weights.shape[1] or (weights != np.eye(axis.size)).any():
            axes.append((number, banded(weights, RANK_MAX - len(found))))
    # Axes that shrink come first: the others then have less to do.
    axes.sort(key=lambda each: found[each[0]].out / found[each[0]].size)
    for step, (number, band) in enumerate(axes or [(0, banded(np.eye(found[0].size), 0))]):
        following = axes[step + 1][1].window if step + 1 < len(axes) else 0
        x = _along(node, builder, x, number, band, following)


@dataclass(frozen=True)
class Band:
    """A matrix [out, size] as windows: row u·period + v has its weights from u·step + start on."""

    period: int
    step: int
    start: int
    weights: Floats
    size: int

    @property
    def window(self) -> int:
        """Weights of a row."""
        return int(self.weights.shape[1])

    @property
    def leaves(self) -> bool:
        """Whether a window reaches outside the input (its weights there are 0)."""
        last = (len(self.weights) // self.period - 1) * self.step + self.start
        return self.start < 0 or last + self.window > self.size


def banded(weights: Floats, spare: int) -> Band:
    """The narrowest windows; rows may be split by a period only where an axis is to spare."""
    out, size = weights.shape
    bands = []
    for period in (p for p in range(1, out + 1) if out % p == 0):
        if period in (1, out) or spare > 0:
            exact = period * size / out
            bands += [_band(weights, period, s) for s in {math.floor(exact), math.ceil(exact)}]
    return min(bands, key=lambda band: (band.window, -band.period))


def _band(weights: Floats, period: int, step: int) -> Band:
    out, size = weights.shape
    shift = np.arange(out) // period * step
    rows, columns = np.nonzero(weights)
    offsets = columns - shift[rows]
    start, end = (int(offsets.min()), int(offsets.max())) if len(rows) else (0, 0)
    index = shift[:, None] + np.arange(start, end + 1)
    inside = (index >= 0) & (index < size)
    taken = np.take_along_axis(weights, np.clip(index, 0, size - 1), axis=1)
    return Band(period, step, start, np.where(inside, taken, 0.0), size)


def _along(node: Node, builder: Builder, x: Value, axis: int, band: Band, following: int) -> Value:
    """A dot along one axis, to 16 bits if another of `following` products comes, else the last."""
    out = len(band.weights)
    split: tuple[int, ...] = (out // band.period, band.period)
    if 1 in split:
        split = (out,)
    space = (*x.shape[:axis], *split, *x.shape[axis + 1 :])
    shift = len(split) - 1
    maps = [along(n if n < axis else n + shift) for n in range(len(x.shape))]
    maps[axis] = AxisMap(axis, band.step, 0, 1, band.start)
    if band.period == out:
        maps[axis] = AxisMap(k_axis=0, b=1, c=band.start)
    numbers, scale = _integers(band, max(x.code.zero - x.code.lo, x.code.hi - x.code.zero))
    places = tuple(along(axis + n) for n in range(len(split)))
    peak = int(np.abs(numbers).max())
    weight = builder.weight(
        f"axis {axis}", numbers, peak, (*places, over(0)), (*split, band.window)
    )
    source = builder.read(x, maps, pad=x.code.zero if band.leaves else None)
    terms = [Term((band.window,), source, weight)]
    if not following:
        target = builder.target(node)
        mult, shift = multiplier(node.name, x.code.scale * scale / target.pre.scale)
        builder.requantised(node, space, terms, target, mult=Const(mult), shift=shift)
        return builder.values[node.output]
    shape = (*x.shape[:axis], out, *x.shape[axis + 1 :])
    code = _between(x.code, band, following)
    value = builder.temporary(f"along {axis}", shape, code, 2)
    mult, shift = multiplier(node.name, x.code.scale * scale / code.scale)
    builder.dot(value, space, terms, mult=Const(mult), shift=shift, suffix=f"along {axis}")
    return value


def _integers(band: Band, reach: int) -> tuple[Ints, float]:
    """Weights in units of a power of two: those of whole factors are exact, and still sum to 1."""
    largest = float(np.abs(band.weights).max()) or 1.0
    room = 2.0**ACC_BITS / (band.window * reach * largest)
    bits = min(math.floor(math.log2(room)), WEIGHT_BITS)
    return np.rint(band.weights * 2.0**bits).astype(np.int64), 2.0**-bits


def _between(code: Affine, band: Band, following: int) -> Affine:
    """A code for values between two axes, with room for products by the weights that follow."""
    peak = min(2**15 - 1, math.isqrt(2**ACC_BITS // following))
    low, high = (float(code.dequantise(end)) for end in (code.lo, code.hi))
    gain = float(np.abs(band.weights).sum(axis=1).max())
    return Affine(gain * max(-low, high) / peak, 0, -peak, peak)


def _back(node: Node, tape: Tape, dy: str) -> str:
    """Each axis times its matrix, from the other side."""
    rule = rule_of(node, tape.graph)
    for number, axis in enumerate(axes_of(node, tape.graph)):
        if rule.mode == "nearest":
            dy = gathered_back(tape, dy, number, nearest(axis, rule), axis.size)
        elif axis.size != axis.out:
            dy = tape.along(dy, number, matrix(axis, rule))
    return dy


OPERATOR = Operator(("Resize", "Upsample"), lower, support, gradient=of_first(_back))
