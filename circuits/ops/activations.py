"""Activations of one value, each a table (Relu, LeakyRelu, Sigmoid, Tanh have their own files)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..graph import Graph, Node
from ..quantise import Floats
from ..tape import Tape
from .elementwise import activation
from .functions import erf
from .sigmoid import sigmoid

SELU = {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}


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


def _logistic(tape: Tape, x: str) -> str:
    return tape.unary("Sigmoid", x)


def _above(tape: Tape, x: str, limit: float = 0.0) -> str:
    return tape.compare("Greater", x, tape.constant(limit))


def _elu_slope(node: Node, tape: Tape) -> str:
    """Gamma above 0; below, gamma·alpha·exp(x / alpha of Celu)."""
    defaults = {"Elu": (1.0, 1.0), "Celu": (1.0, 1.0), "Selu": (SELU["alpha"], SELU["gamma"])}
    alpha, gamma = defaults[node.op]
    alpha = float(node.attributes.get("alpha", alpha))
    gamma = float(node.attributes.get("gamma", gamma)) if node.op == "Selu" else 1.0
    x = node.inputs[0]
    if node.op == "Celu":
        below = tape.unary("Exp", tape.scaled(x, 1.0 / alpha))
    else:
        below = tape.scaled(tape.unary("Exp", x), gamma * alpha)
    return tape.where(_above(tape, x), tape.constant(gamma), below)


def _gelu_slope(node: Node, tape: Tape) -> str:
    """Φ(x) + x·φ(x), or the derivative of its approximation by tanh."""
    x = node.inputs[0]
    square = tape.mul(x, x)
    if node.attributes.get("approximate", "none") == "tanh":
        by = math.sqrt(2.0 / math.pi)
        inner = tape.mul(x, tape.plus(tape.scaled(square, 0.044715 * by), by))
        high = tape.unary("Tanh", inner)
        steep = tape.sub(tape.constant(1.0), tape.mul(high, high))
        rise = tape.plus(tape.scaled(square, 3 * 0.044715 * by), by)
        both = tape.add(tape.plus(high, 1.0), tape.mul(x, tape.mul(steep, rise)))
        return tape.scaled(both, 0.5)
    share = tape.scaled(tape.plus(tape.unary("Erf", tape.scaled(x, 1 / math.sqrt(2.0))), 1.0), 0.5)
    density = tape.unary("Exp", tape.scaled(square, -0.5))
    return tape.add(share, tape.scaled(tape.mul(x, density), 1.0 / math.sqrt(2.0 * math.pi)))


def _swish_slope(node: Node, tape: Tape) -> str:
    """With s the sigmoid of alpha·x: s·(1 + alpha·x·(1 − s))."""
    x, alpha = node.inputs[0], float(node.attributes.get("alpha", 1.0))
    line = tape.scaled(x, alpha)
    s = _logistic(tape, line)
    rest = tape.mul(line, tape.sub(tape.constant(1.0), s))
    return tape.mul(s, tape.plus(rest, 1.0))


def _mish_slope(node: Node, tape: Tape) -> str:
    """With t the tanh of softplus, s the sigmoid: t + x·s·(1 − t²)."""
    x = node.inputs[0]
    t = tape.unary("Tanh", tape.unary("Softplus", x))
    steep = tape.sub(tape.constant(1.0), tape.mul(t, t))
    return tape.add(t, tape.mul(x, tape.mul(_logistic(tape, x), steep)))


def _softsign_slope(node: Node, tape: Tape) -> str:
    below = tape.plus(tape.unary("Abs", node.inputs[0]), 1.0)
    return tape.unary("Reciprocal", tape.mul(below, below))


def _between(tape: Tape, x: str, low: float, high: float) -> str:
    """1 between two limits, else 0."""
    under = tape.compare("Less", x, tape.constant(high))
    return tape.mul(tape.as_float(_above(tape, x, low)), tape.as_float(under))


def _hard_sigmoid_slope(node: Node, tape: Tape) -> str:
    alpha = float(node.attributes.get("alpha", 0.2))
    beta = float(node.attributes.get("beta", 0.5))
    inside = _between(tape, node.inputs[0], -beta / alpha, (1.0 - beta) / alpha)
    return tape.scaled(inside, alpha)


def _hard_swish_slope(node: Node, tape: Tape) -> str:
    """Within ± 3 it is x / 3 + 1/2, above 1."""
    x = node.inputs[0]
    line = tape.plus(tape.scaled(x, 1.0 / 3.0), 0.5)
    above = tape.as_float(_above(tape, x, 3.0))
    return tape.add(tape.mul(line, _between(tape, x, -3.0, 3.0)), above)


def _threshold_slope(node: Node, tape: Tape) -> str:
    alpha = float(node.attributes.get("alpha", 1.0))
    return tape.as_float(_above(tape, node.inputs[0], alpha))


# Attributes have the names that ONNX gives them.
OPERATORS = (
    activation("Elu", function=_with(elu, alpha=1.0), slope=_elu_slope),
    activation("Selu", function=_with(selu, **SELU), slope=_elu_slope),
    activation("Celu", function=_with(celu, alpha=1.0), slope=_elu_slope),
    activation("Mish", function=_with(lambda x: x * np.tanh(softplus(x))), slope=_mish_slope),
    activation(
        "Softplus",
        function=_with(softplus),
        slope=lambda node, tape: _logistic(tape, node.inputs[0]),
    ),
    activation("Softsign", function=_with(lambda x: x / (1.0 + np.abs(x))), slope=_softsign_slope),
    activation(
        "HardSigmoid",
        function=_with(hard_sigmoid, alpha=0.2, beta=0.5),
        slope=_hard_sigmoid_slope,
    ),
    activation(
        "HardSwish",
        function=_with(lambda x: x * hard_sigmoid(x, 1.0 / 6.0, 0.5)),
        slope=_hard_swish_slope,
    ),
    activation("Gelu", function=_with(gelu, approximate="none"), slope=_gelu_slope),
    activation(
        "Swish",
        function=_with(lambda x, alpha: x * sigmoid(alpha * x), alpha=1.0),
        slope=_swish_slope,
    ),
    activation(
        "ThresholdedRelu",
        function=_with(lambda x, alpha: np.where(x > alpha, x, 0.0), alpha=1.0),
        slope=_threshold_slope,
    ),
    activation("Shrink", function=_with(shrink, lambd=0.5, bias=0.0)),
)
