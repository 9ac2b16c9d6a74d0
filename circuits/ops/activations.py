"""Activations of one value, each a table (Relu, LeakyRelu, Sigmoid, Tanh have their own files)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..graph import Graph, Node
from ..quantise import Floats
from .elementwise import activation
from .functions import erf
from .sigmoid import sigmoid


def elu(x: Floats, alpha: float) -> Floats:
    """X above 0, alpha·(exp(x) − 1) below."""
    return np.where(x > 0.0, x, alpha * np.expm1(x))


def selu(x: Floats, alpha: float, gamma: float) -> Floats:
    """Elu, scaled so that activations keep mean and variance."""
    return gamma * elu(x, alpha)


def celu(x: Floats, alpha: float) -> Floats:
    """Elu with a derivative of 1 at 0 for any alpha."""
    return np.maximum(x, 0.0) + np.minimum(alpha * np.expm1(x / alpha), 0.0)


def softplus(x: Floats) -> Floats:
    """log(1 + exp(x)), in the form that cannot overflow."""
    return np.logaddexp(x, 0.0)


def hard_sigmoid(x: Floats, alpha: float, beta: float) -> Floats:
    """A line of slope alpha, clamped to [0, 1]."""
    line: Floats = np.clip(alpha * x + beta, 0.0, 1.0)
    return line


def gelu(x: Floats, approximate: str) -> Floats:
    """X times the normal distribution function of x, or times its approximation by tanh."""
    if approximate == "tanh":
        return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1.0 + erf(x / math.sqrt(2.0)))


def shrink(x: Floats, lambd: float, bias: float) -> Floats:
    """0 within ± lambd; beyond, bias nearer to 0."""
    return np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0.0))


def _with(
    function: Callable[..., Floats], **defaults: Any
) -> Callable[[Node, Graph], Callable[[Floats], Floats]]:
    """The function of a node, whose attributes have these defaults."""

    def of(node: Node, graph: Graph) -> Callable[[Floats], Floats]:
        given = {name: node.attributes.get(name, value) for name, value in defaults.items()}
        return partial(function, **given)

    return of


# Attributes have the names that ONNX gives them.
OPERATORS = (
    activation("Elu", function=_with(elu, alpha=1.0)),
    activation(
        "Selu",
        function=_with(selu, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    ),
    activation("Celu", function=_with(celu, alpha=1.0)),
    activation("Mish", function=_with(lambda x: x * np.tanh(softplus(x)))),
    activation("Softplus", function=_with(softplus)),
    activation("Softsign", function=_with(lambda x: x / (1.0 + np.abs(x)))),
    activation("HardSigmoid", function=_with(hard_sigmoid, alpha=0.2, beta=0.5)),
    activation("HardSwish", function=_with(lambda x: x * hard_sigmoid(x, 1.0 / 6.0, 0.5))),
    activation("Gelu", function=_with(gelu, approximate="none")),
    activation("Swish", function=_with(lambda x, alpha: x * sigmoid(alpha * x), alpha=1.0)),
    activation(
        "ThresholdedRelu", function=_with(lambda x, alpha: np.where(x > alpha, x, 0.0), alpha=1.0)
    ),
    activation("Shrink", function=_with(shrink, lambd=0.5, bias=0.0)),
)
