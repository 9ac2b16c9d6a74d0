"""Where each element of a resized axis comes from: an index, or weights over the input's elements.

Coordinates are computed in float32, in onnxruntime's order of operations: on a tie of `nearest` the
last bit decides which element is meant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..moves import OUTSIDE
from ..quantise import Floats, Ints

Coordinates = npt.NDArray[np.float32]

_F = np.float32


@dataclass(frozen=True)
class Axis:
    """An axis to be resized: sizes, the scale that was asked for, the part that is cropped."""

    size: int
    out: int
    scale: float
    crop: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Rule:
    """How a node resizes all its axes; `nearest_mode` "simple" is that of opsets before 11."""

    mode: str
    transformation: str
    nearest_mode: str
    cubic_a: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False


def coordinates(axis: Axis, transformation: str) -> Coordinates:
    """The position in the input of each element of the output; float32 [out]."""
    x = np.arange(axis.out, dtype=_F)
    scale, half = _F(axis.scale), _F(0.5)
    last_in, last_out = _F(axis.size - 1), _F(axis.out - 1)
    if transformation == "asymmetric":
        return x / scale
    if transformation == "align_corners":
        return x * last_in / last_out if axis.out > 1 else np.zeros_like(x)
    if transformation == "tf_crop_and_resize":
        start, end = map(_F, axis.crop)
        if axis.out > 1:
            return start * last_in + x * (end - start) * last_in / last_out
        return np.full_like(x, half * (start + end) * last_in)
    if transformation == "pytorch_half_pixel" and axis.out == 1:
        return np.zeros_like(x)
    position = (x + half) / scale - half
    if transformation == "half_pixel_symmetric":
        adjustment = _F(axis.out) / (scale * _F(axis.size))
        position = _F(axis.size) / _F(2) * (_F(1) - adjustment) + position
    return position.astype(_F)


TRANSFORMATIONS = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)

_ROUNDED: Mapping[str, Callable[[Axis, Coordinates], npt.NDArray[np.float32]]] = {
    "round_prefer_floor": lambda axis, x: np.ceil(x - _F(0.5)),
    "round_prefer_ceil": lambda axis, x: np.floor(x + _F(0.5)),
    "floor": lambda axis, x: np.floor(x),
    "ceil": lambda axis, x: np.ceil(x),
    "simple": lambda axis, x: np.ceil(x) if axis.scale < 1 else np.floor(x),
}
NEAREST_MODES = tuple(_ROUNDED)


def nearest(axis: Axis, rule: Rule) -> Ints:
    """The index of each element of the output, `OUTSIDE` where a crop leaves the input."""
    x = coordinates(axis, rule.transformation)
    index = np.clip(_ROUNDED[rule.nearest_mode](axis, x), 0, axis.size - 1).astype(np.int64)
    return np.where(_outside(axis, rule, x), OUTSIDE, index)


def matrix(axis: Axis, rule: Rule) -> Floats:
    """The weights [out, size] of all elements; rows of 0 where a crop leaves the input."""
    x = coordinates(axis, rule.transformation)
    if rule.mode == "nearest":
        index = nearest(axis, rule)
        one_hot: Floats = (index[:, None] == np.arange(axis.size)).astype(np.float64)
        return one_hot
    rows: Floats = np.stack([_row(axis, rule, float(at)) for at in x])
    rows[_outside(axis, rule, x)] = 0.0
    return rows


def _outside(axis: Axis, rule: Rule, x: Coordinates) -> npt.NDArray[np.bool_]:
    crops = rule.transformation == "tf_crop_and_resize"
    return ((x < 0) | (x > axis.size - 1)) & crops


def _row(axis: Axis, rule: Rule, at: float) -> Floats:
    """The weights of one element: a filter around its position, stretched where it averages."""
    stretch = min(axis.scale, 1.0) if rule.antialias else 1.0
    reach = (1 if rule.mode == "linear" else 2) / stretch
    taps = np.arange(math.floor(at - reach) + 1, math.ceil(at + reach))
    weights = filtered(np.float64(stretch) * (taps - at), rule)
    inside = (taps >= 0) & (taps < axis.size)
    if rule.exclude_outside:
        weights = np.where(inside, weights, 0.0)
    row: Floats = np.zeros(axis.size)
    np.add.at(row, np.clip(taps, 0, axis.size - 1), weights)
    normal: Floats = row / row.sum()
    return normal


def filtered(distance: npt.NDArray[Any], rule: Rule) -> Floats:
    """The weight of an element at this distance: linear, or the cubic kernel."""
    d, a = np.abs(distance), rule.cubic_a
    if rule.mode == "linear":
        linear: Floats = np.maximum(1.0 - d, 0.0)
        return linear
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    cubic: Floats = np.where(d <= 1, near, np.where(d < 2, far, 0.0))
    return cubic
