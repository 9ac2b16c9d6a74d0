"""The functions that gates of recurrent operators apply, by their names in ONNX.

Inside such an operator no value is calibrated: what a function reads is limited to where it still
changes (beyond that a table says the same), or to what its operands can reach.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..graph import Node
from ..quantise import Affine, Floats
from .activations import elu, hard_sigmoid, softplus
from .sigmoid import sigmoid

BITS, UNBOUNDED_BITS = 14, 15
"""Bits of a table's argument; one more where no saturation limits it."""

OF_CELL = 2
"""The third function of an LSTM is that of its cell, which onnxruntime does not clip."""

SIGMOID_END, TANH_END = 10.5, 5.6
"""Beyond, both are constant to within half a step of 2^-14."""


@dataclass(frozen=True)
class GateFunction:
    """A function of a gate: constant beyond ± `end`, its values in [low, high]."""

    function: Callable[[Floats], Floats]
    end: float = math.inf
    low: float = -math.inf
    high: float = math.inf
    is_relu: bool = False

    @property
    def peak(self) -> float:
        """The largest magnitude of its values."""
        return max(-self.low, self.high)

    def complement(self) -> GateFunction:
        """1 less the function."""
        of = self.function
        return GateFunction(lambda x: 1.0 - of(x), self.end, 1.0 - self.high, 1.0 - self.low)

    def negative(self) -> GateFunction:
        """The function with the opposite sign."""
        of = self.function
        return GateFunction(lambda x: -of(x), self.end, -self.high, -self.low)

    def clipped(self, bound: float) -> GateFunction:
        """The function of what is clipped to ± `bound`."""
        if bound >= self.end:
            return self
        of = self.function
        ends = of(np.array([-bound, 0.0, bound]))
        return GateFunction(
            lambda x: of(np.clip(x, -bound, bound)), bound, float(ends.min()), float(ends.max())
        )

    @property
    def bits(self) -> int:
        """Bits of a table's argument."""
        return UNBOUNDED_BITS if math.isinf(self.end) else BITS

    def domain(self, reach: float, bits: int | None = None) -> Affine:
        """The code of an argument that stays within ± `reach`."""
        peak = 2 ** ((bits or self.bits) - 1) - 1
        return Affine((min(self.end, reach) or 1.0) / peak, 0, -peak, peak)


def _relu() -> GateFunction:
    return GateFunction(lambda x: np.maximum(x, 0.0), low=0.0, is_relu=True)


def _scaled_tanh(alpha: float, beta: float) -> GateFunction:
    end = TANH_END / abs(beta) if beta else 0.0
    return GateFunction(lambda x: alpha * np.tanh(beta * x), end, -abs(alpha), abs(alpha))


def _hard_sigmoid(alpha: float, beta: float) -> GateFunction:
    end = max(abs(beta), abs(1.0 - beta)) / abs(alpha) if alpha else 0.0
    return GateFunction(partial(hard_sigmoid, alpha=alpha, beta=beta), end, 0.0, 1.0)


_MAKERS: dict[str, tuple[Callable[..., GateFunction], dict[str, float | None]]] = {
    "affine": (
        lambda alpha, beta: GateFunction(lambda x: alpha * x + beta),
        {"alpha": None, "beta": None},
    ),
    "elu": (lambda alpha: GateFunction(partial(elu, alpha=alpha)), {"alpha": 1.0}),
    "hardsigmoid": (_hard_sigmoid, {"alpha": 0.2, "beta": 0.5}),
    "leakyrelu": (
        lambda alpha: GateFunction(lambda x: np.where(x < 0.0, alpha * x, x)),
        {"alpha": 0.01},
    ),
    "relu": (_relu, {}),
    "scaledtanh": (_scaled_tanh, {"alpha": None, "beta": None}),
    "sigmoid": (lambda: GateFunction(sigmoid, SIGMOID_END, 0.0, 1.0), {}),
    "softplus": (lambda: GateFunction(softplus, low=0.0), {}),
    "softsign": (lambda: GateFunction(lambda x: x / (1.0 + np.abs(x)), low=-1.0, high=1.0), {}),
    "tanh": (lambda: GateFunction(np.tanh, TANH_END, -1.0, 1.0), {}),
    "thresholdedrelu": (
        lambda alpha: GateFunction(lambda x: np.where(x > alpha, x, 0.0), low=0.0),
        {"alpha": None},
    ),
}
"""By name in lower case (ONNX does not tell cases apart): the function of its parameters, and their
defaults; None where runtimes do not agree on one."""


def gate_functions(node: Node, defaults: Sequence[str], directions: int) -> list[GateFunction]:
    """The functions of a node, one for each of `defaults` in each direction.

    Parameters stand in two lists, each with entries for those functions alone that have one.

    Raises:
        ValueError: what is wrong with them.
    """
    names = node.attributes.get("activations") or list(defaults) * directions
    if len(names) != len(defaults) * directions:
        raise ValueError(f"it has {len(names)} activations, not {len(defaults) * directions}")
    left = {kind: list(node.attributes.get(f"activation_{kind}", [])) for kind in ("alpha", "beta")}
    clip = float(node.attributes.get("clip") or math.inf)
    return [
        _named(_text(name), left, math.inf if number % len(defaults) == OF_CELL else clip)
        for number, name in enumerate(names)
    ]


def _named(name: str, left: dict[str, list[Any]], clip: float) -> GateFunction:
    """The function of this name; it takes its parameters off the lists."""
    if name.lower() not in _MAKERS:
        raise ValueError(f"its activation {name[:40]!r} is none of ONNX")
    given: dict[str, float] = {}
    for kind, default in _MAKERS[name.lower()][1].items():
        value = float(left[kind].pop(0)) if left[kind] else default
        if value is None:
            raise ValueError(f"its activation {name} has no {kind}")
        given[kind] = value
    return _made(name.lower(), tuple(given.items()), clip)


@functools.cache
def _made(name: str, parameters: tuple[tuple[str, float], ...], clip: float) -> GateFunction:
    """Cached, so that directions with the same functions are known to have the same."""
    return _MAKERS[name][0](**dict(parameters)).clipped(clip)


def _text(name: str | bytes) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name
