"""GridSample, RoiAlign, Col2Im: weighted sums of elements at places that are constants.

A gather brings the elements of each sum beside each other; a dot weighs them.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from ...verifier.program.types import Const, Operand, Term
from ..builder import Builder
from ..errors import named
from ..graph import Graph, Node
from ..maps import along, at, over
from ..operator import Operator, computed, constants, first
from ..quantise import Floats, Ints, multiplier, symmetric
from .interpolation import Rule, filtered
from .reduction import reach

ACC_BITS, WEIGHT_BITS = 29, 14
"""A sum of products stays below 2^29; weights have 14 bits where that allows it."""

MODES = {
    "bilinear": "linear",
    "linear": "linear",
    "nearest": "nearest",
    "bicubic": "cubic",
    "cubic": "cubic",
}


CUBIC = Rule("cubic", "", "")


def weigh(
    node: Node,
    builder: Builder,
    planes: tuple[int, int, int],
    index: Ints,
    weight: Floats,
    *,
    shared: bool = False,
) -> None:
    """The node's output: of each plane [n, c] of the input, Σ weight[q, k]·plane[index[q, k]].

    `planes` is (n, c, elements of a plane); `index` and `weight` are [n or 1, places, taps].
    `shared`: all n of them are those of the only item of the input.
    """
    x = builder.values[node.inputs[0]]
    count, places, taps = index.shape
    space = (*planes[:2], places)
    view = (1, *planes[1:]) if shared else planes
    item = at() if shared else along(0)
    maps = (along(0) if count > 1 else at(), along(2), along(3))
    peak = max(planes[2] - 1, 1)
    chosen = builder.weight("index", index, peak, maps, signed=False)
    source = builder.read(x, (item, along(1), at()), view=view, raw=True)
    if taps == 1 and (weight == 1.0).all():
        out = builder.define_like(node, x)
        builder.gather(out, (*space, 1), source, 2, chosen)
        return
    beside = builder.temporary("taps", (*space, taps), x.code, builder.width(x))
    builder.gather(beside, (*space, taps), source, 2, chosen, suffix="taps")
    limit = 2**ACC_BITS // (taps * reach(x.code))
    numbers, scale = symmetric(weight, min(2**WEIGHT_BITS, max(limit, 1)))
    target = builder.target(node)
    ratio = x.code.scale * scale / target.pre.scale
    mult, shift = multiplier(node.name, ratio)
    maps = (along(0) if count > 1 else at(), along(2), over(0))
    by: Operand = builder.weight("weight", numbers, int(np.abs(numbers).max()), maps)
    read = builder.read(beside, (along(0), along(1), along(2), over(0)))
    terms = [Term((taps,), read, by)]
    builder.requantised(node, space, terms, target, mult=Const(mult), shift=shift)


# GridSample


def support_grid(node: Node, graph: Graph) -> str | None:
    """A constant grid; modes nearest, linear, cubic (of images); all paddings."""
    reason = first(computed(node, graph), constants(node, graph, 1))
    if reason is not None:
        return reason
    mode = node.attributes.get("mode", "bilinear")
    if mode not in MODES:
        return f"mode {mode!r}"
    if MODES[mode] == "cubic" and len(graph.shapes[node.inputs[0]]) != 4:
        return "mode cubic is for images only"
    return None


def lower_grid(node: Node, builder: Builder) -> None:
    """Taps of each axis, and their products."""
    shape, grid = builder.graph.shapes[node.inputs[0]], builder.graph.constants[node.inputs[1]]
    dims = shape[2:]
    points = grid.astype(np.float64).reshape(len(grid), -1, len(dims))
    if (points == points[:1]).all():
        points = points[:1]
    # The last number of a point is that of the first axis.
    axes = [_taps(node, points[..., len(dims) - 1 - n], dim) for n, dim in enumerate(dims)]
    index, weight = [], []
    for chosen in itertools.product(*(range(len(places)) for places, _ in axes)):
        each = [places[tap] for (places, _), tap in zip(axes, chosen, strict=True)]
        index.append(np.ravel_multi_index(tuple(each), dims))
        weight.append(
            math.prod((by[tap] for (_, by), tap in zip(axes, chosen, strict=True)), start=1.0)
        )
    planes = (shape[0], shape[1], math.prod(dims))
    weigh(node, builder, planes, np.stack(index, -1), np.stack(weight, -1))


def _taps(node: Node, points: Floats, dim: int) -> tuple[list[Ints], list[Floats]]:
    """Places on an axis, and their weights, for points in [-1, 1]."""
    aligned = bool(node.attributes.get("align_corners", 0))
    padding = node.attributes.get("padding_mode", "zeros")
    mode = MODES[node.attributes.get("mode", "bilinear")]
    real = (points + 1) / 2 * (dim - 1) if aligned else ((points + 1) * dim - 1) / 2
    ends = (0.0, dim - 1.0) if aligned else (-0.5, dim - 0.5)
    if mode == "nearest":
        real = np.rint(real)
    if padding == "border" and mode != "cubic":
        real = np.clip(real, 0, dim - 1)
    elif padding == "reflection" and mode != "cubic":
        real = _reflected(real, ends)
    low = np.floor(real)
    rest = real - low
    if mode == "nearest":
        taps, weights = [real], [np.ones_like(real)]
    elif mode == "linear":
        taps, weights = [low, low + 1], [1 - rest, rest]
    else:
        taps = [low + n for n in range(-1, 3)]
        weights = [filtered(rest - n, CUBIC) for n in range(-1, 3)]
    for number, tap in enumerate(taps):
        if padding == "reflection":
            tap = np.trunc(_reflected(tap, ends))
        outside = (tap < 0) | (tap > dim - 1)
        if padding == "zeros":
            weights[number] = np.where(outside, 0.0, weights[number])
        taps[number] = np.clip(tap, 0, dim - 1)
    return [tap.astype(np.int64) for tap in taps], weights


def _reflected(real: Floats, ends: tuple[float, float]) -> Floats:
    """Points beyond the ends mirrored at them, as often as it takes."""
    low, span = ends[0], ends[1] - ends[0]
    if span == 0.0:
        return np.full_like(real, low)
    turned = np.mod(real - low, 2 * span)
    inside = (real >= ends[0]) & (real <= ends[1])
    found: Floats = np.where(inside, real, low + np.where(turned > span, 2 * span - turned, turned))
    return found


# Col2Im


def support_columns(node: Node, graph: Graph) -> str | None:
    """Constant shapes of image and block."""
    return first(computed(node, graph), constants(node, graph, 1, 2))


def lower_columns(node: Node, builder: Builder) -> None:
    """Each place of the image is the sum of the block elements that lie on it."""
    graph = builder.graph
    dims, block = (
        [int(size) for size in graph.constants[node.inputs[n]].reshape(-1)] for n in (1, 2)
    )
    shape, rank = graph.shapes[node.inputs[0]], len(dims)
    get = node.attributes.get
    strides, dilations = (get(name) or [1] * rank for name in ("strides", "dilations"))
    pads = get("pads") or [0] * (2 * rank)
    lies = [
        _lying(*each, pads[n], pads[n + rank])
        for n, each in enumerate(zip(dims, block, strides, dilations, strict=True))
    ]
    taps: list[list[int]] = [[] for _ in range(math.prod(dims))]
    blocks = [range(size) for size in block]
    counts = [len(line[0]) for line in lies]
    for number, inside in enumerate(itertools.product(*blocks)):
        for step, where in enumerate(itertools.product(*(range(count) for count in counts))):
            place = [lies[n][inside[n]][where[n]] for n in range(rank)]
            if all(0 <= at_ < dim for at_, dim in zip(place, dims, strict=True)):
                spot = int(np.ravel_multi_index(tuple(place), tuple(dims)))
                taps[spot].append(number * shape[2] + step)
    most = max(max(map(len, taps)), 1)
    index = np.array([each + [0] * (most - len(each)) for each in taps])
    weight = np.array([[1.0] * len(each) + [0.0] * (most - len(each)) for each in taps])
    size = math.prod(block)
    planes = (shape[0], shape[1] // size, size * shape[2])
    weigh(node, builder, planes, index[None], weight[None])


def _lying(
    dim: int, block: int, stride: int, dilation: int, begin: int, end: int
) -> list[list[int]]:
    """For each element of a block on an axis, where it lies in each of the block's places."""
    count = (dim + begin + end - dilation * (block - 1) - 1) // stride + 1
    return [[at_ * stride - begin + n * dilation for at_ in range(count)] for n in range(block)]


# RoiAlign


def support_regions(node: Node, graph: Graph) -> str | None:
    """One image, constant regions; the mode avg."""
    reason = first(computed(node, graph), constants(node, graph, 1, 2))
    if reason is not None:
        return reason
    if graph.shapes[node.inputs[0]][0] != 1:
        return "it reads more than one image"
    mode = node.attributes.get("mode", "avg")
    return None if mode == "avg" else f"mode {named(mode)}; only avg is"


def lower_regions(node: Node, builder: Builder) -> None:
    """Each place is the mean of some points in its part of a region, each between four pixels."""
    graph, get = builder.graph, node.attributes.get
    shape, regions = graph.shapes[node.inputs[0]], graph.constants[node.inputs[1]]
    dims, size = shape[2:], (get("output_height", 1), get("output_width", 1))
    half = get("coordinate_transformation_mode", "half_pixel") == "half_pixel" and graph.opset >= 16
    ends = regions.astype(np.float64) * get("spatial_scale", 1.0) - (0.5 if half else 0.0)
    lines = [
        [
            _samples(region[1 - n], region[3 - n], size[n], dims[n], get("sampling_ratio", 0), half)
            for n in range(2)
        ]
        for region in ends
    ]
    taps = max(rows[0].shape[1] * columns[0].shape[1] for rows, columns in lines)
    index = np.zeros((len(lines), math.prod(size), taps), np.int64)
    weight = np.zeros(index.shape)
    for number, ((rows, by_row), (columns, by_column)) in enumerate(lines):
        each = rows[:, None, :, None] * dims[1] + columns[None, :, None, :]
        by = by_row[:, None, :, None] * by_column[None, :, None, :]
        count = each.shape[2] * each.shape[3]
        index[number, :, :count] = each.reshape(-1, count)
        weight[number, :, :count] = by.reshape(-1, count)
    weigh(node, builder, (len(lines), shape[1], math.prod(dims)), index, weight, shared=True)


def _samples(
    start: float, end: float, count: int, dim: int, ratio: int, half: bool
) -> tuple[Ints, Floats]:
    """Places on an axis and their weights, [parts of the region, taps]; outside of it is 0."""
    length = end - start if half else max(end - start, 1.0)
    points = ratio or max(math.ceil(length / count), 0)
    if points == 0:  # of nothing the mean is 0
        return np.zeros((count, 1), np.int64), np.zeros((count, 1))
    steps = (np.arange(points) + 0.5) / points
    real = start + (np.arange(count)[:, None] + steps) * length / count
    inside = (real >= -1.0) & (real <= dim)
    low = np.clip(np.floor(real), 0, dim - 1)
    rest = np.clip(real - low, 0.0, 1.0) * (low < dim - 1)
    taps = np.concatenate([low, np.minimum(low + 1, dim - 1)], 1).astype(np.int64)
    return taps, np.concatenate([(1 - rest) * inside, rest * inside], 1) / points


OPERATORS = (
    Operator(("RoiAlign",), lower_regions, support_regions, takes_activation=True),
    Operator(("GridSample",), lower_grid, support_grid, takes_activation=True),
    Operator(("Col2Im",), lower_columns, support_columns, takes_activation=True),
)
