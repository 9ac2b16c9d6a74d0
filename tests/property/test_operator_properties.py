"""Random operators, shapes, axes, scales and offsets: integers are what onnxruntime gives.

Inputs are rounded to their codes first, so that a step of the output's code is nearly all that an
operator may lose. `make nightly` draws many more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest

from support.compared import network, node, steps_off

Rng = np.random.Generator
SIZES = (1, 2, 3, 5, 7, 13, 31)
ROWS = 20


@dataclass
class Drawn:
    """One node on inputs x (and z), [rows, dims]."""

    op: str
    dims: tuple[int, ...]
    feeds: dict[str, np.ndarray]
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    opset: int = 18

    def network(self) -> onnx.ModelProto:
        names = " ".join([*self.feeds, *self.constants])
        shapes = {name: ("n", *array.shape[1:]) for name, array in self.feeds.items()}
        nodes = [node(self.op, names, "y", **self.attributes)]
        return network(nodes, shapes, self.constants, opset=self.opset)


def reals(rng: Rng, *shape: int, scale: float = 1.0, offset: float = 0.0) -> np.ndarray:
    return (rng.normal(0, 1, shape) * scale + offset).astype(np.float32)


def magnitude(rng: Rng, decades: float) -> float:
    return float(10 ** rng.uniform(-decades, decades))


def axis_of(rng: Rng, drawn: Drawn) -> int:
    """Any axis but that of the batch, counted from either end."""
    axis = int(rng.integers(1, len(drawn.dims) + 1))
    return axis - len(drawn.dims) - 1 if rng.random() < 0.5 else axis


def reduced(rng: Rng, drawn: Drawn) -> None:
    count = len(drawn.dims)
    chosen = rng.choice(np.arange(1, count + 1), rng.integers(1, count + 1), replace=False)
    drawn.constants["a"] = chosen
    drawn.attributes["keepdims"] = int(rng.integers(0, 2))


def along_axis(rng: Rng, drawn: Drawn) -> None:
    drawn.attributes["axis"] = axis_of(rng, drawn)


def summed(rng: Rng, drawn: Drawn) -> None:
    drawn.constants["a"] = np.array(axis_of(rng, drawn))
    drawn.attributes |= {"reverse": int(rng.integers(0, 2)), "exclusive": int(rng.integers(0, 2))}


def layer(rng: Rng, drawn: Drawn) -> None:
    """Of some values at least: one alone is a sign, and all is lost where it is near zero."""
    drawn.dims = (*drawn.dims, int(rng.choice([5, 13])))
    drawn.feeds["x"] = reals(rng, ROWS, *drawn.dims, scale=magnitude(rng, 3))
    axis = axis_of(rng, drawn)
    shape = drawn.dims[axis - 1 if axis > 0 else axis :]
    drawn.attributes["axis"] = axis
    drawn.constants["g"] = reals(rng, *shape, scale=magnitude(rng, 2))
    if drawn.op == "LayerNormalization" and rng.random() < 0.5:
        drawn.constants["b"] = reals(rng, *shape, scale=magnitude(rng, 3))
    drawn.opset = 23


def instance(rng: Rng, drawn: Drawn) -> None:
    """Of some values at least: onnxruntime takes the mean off after the division by √epsilon."""
    drawn.dims = (*drawn.dims, int(rng.choice([5, 13])))
    drawn.feeds["x"] = reals(rng, ROWS, *drawn.dims, scale=magnitude(rng, 3))
    drawn.constants |= {name: reals(rng, drawn.dims[0]) for name in "gb"}


def beside(rng: Rng, drawn: Drawn) -> None:
    """Another value of another scale, in a shape that is broadcast."""
    dims = [int(rng.choice([1, dim])) for dim in drawn.dims]
    scale = float(np.abs(drawn.feeds["x"]).max()) * magnitude(rng, 2)
    other = reals(rng, ROWS, *dims, scale=scale)
    least = 0.02 * float(np.abs(other).max())  # of a divisor
    drawn.feeds["z"] = np.where(other < 0, np.minimum(other, -least), np.maximum(other, least))


DETAILS: dict[str, Callable[[Rng, Drawn], None]] = {
    **dict.fromkeys(
        ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceSumSquare"], reduced
    ),
    **dict.fromkeys(["ReduceL1", "ReduceL2", "ReduceLogSumExp"], reduced),
    **dict.fromkeys(["LpNormalization", "LogSoftmax"], along_axis),
    **dict.fromkeys(["LayerNormalization", "RMSNormalization"], layer),
    **dict.fromkeys(["Max", "Min", "Sum", "Mean", "Div"], beside),
    "InstanceNormalization": instance,
    "CumSum": summed,
}


def draw(rng: Rng) -> Drawn:
    op = str(rng.choice(list(DETAILS)))
    dims = tuple(int(size) for size in rng.choice(SIZES, rng.integers(1, 4)))
    while math.prod(dims) >= 2**14:  # a sum of exponentials takes no more
        dims = dims[1:]
    scale = magnitude(rng, 3)
    x = reals(rng, ROWS, *dims, scale=scale, offset=scale * float(rng.choice([0, 0, 1, 5])))
    drawn = Drawn(op, dims, {"x": x})
    DETAILS[op](rng, drawn)
    return drawn


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(n, marks=pytest.mark.nightly) for n in range(4, 200))]
)
def test_an_operator_loses_a_step_at_most(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(50):
        drawn = draw(rng)
        some = {name: array[:3] for name, array in drawn.feeds.items()}
        assert steps_off(drawn.network(), drawn.feeds, some) < 0.7, drawn
