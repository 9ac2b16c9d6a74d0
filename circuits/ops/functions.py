"""Mathematical functions of one value without attributes, each a table.

A function is not defined everywhere: the table gives points outside its domain the value of the
nearest one inside (`quantise.tabulated`), and infinities the end of the output's range.

Where a function jumps (Floor, Ceil, Round, Sign) the table is exact for what a float of 32 bits
holds of each argument on the code's grid. One that was rounded to the grid may fall on the other
side of the jump: then the result is off by its height, however fine its own code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from ..graph import Node
from ..operator import Operator
from ..quantise import Floats
from ..tape import Tape
from .elementwise import activation


def erf(x: Floats) -> Floats:
    """The error function (numpy has none)."""
    return np.array([math.erf(value) for value in x], dtype=np.float64)


FUNCTIONS: Mapping[str, Callable[[Floats], Floats]] = {
    "Abs": np.abs,
    "Acos": np.arccos,
    "Acosh": np.arccosh,
    "Asin": np.arcsin,
    "Asinh": np.arcsinh,
    "Atan": np.arctan,
    "Atanh": np.arctanh,
    "Ceil": np.ceil,
    "Cos": np.cos,
    "Cosh": np.cosh,
    "Erf": erf,
    "Exp": np.exp,
    "Floor": np.floor,
    "Log": np.log,
    "Neg": np.negative,
    "Reciprocal": np.reciprocal,
    "Round": np.rint,
    "Sign": np.sign,
    "Sin": np.sin,
    "Sinh": np.sinh,
    "Sqrt": np.sqrt,
    "Tan": np.tan,
}
"""By ONNX name; Round takes halves to the even neighbour, as `rint` does."""


JUMPS = ("Ceil", "Floor", "Round", "Sign")
"""Functions that jump where their argument is a whole number, or 0."""


def _on_grid(function: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    """Of reals as floats of 32 bits hold them: a whole number on the grid is one, then."""
    return lambda x: function(x.astype(np.float32)).astype(np.float64)


def _of_x(rule: Callable[[Tape, str], str]) -> Callable[[Node, Tape], str]:
    return lambda node, tape: rule(tape, node.inputs[0])


def _of_y(rule: Callable[[Tape, str], str]) -> Callable[[Node, Tape], str]:
    return lambda node, tape: rule(tape, node.output)


def _bell(tape: Tape, x: str) -> str:
    """2/√π·exp(−x²)."""
    power = tape.unary("Exp", tape.negative(tape.mul(x, x)))
    return tape.scaled(power, 2.0 / math.sqrt(math.pi))


SLOPES: Mapping[str, Callable[[Node, Tape], str]] = {
    "Abs": _of_x(lambda tape, x: tape.unary("Sign", x)),
    "Atan": _of_x(lambda tape, x: tape.unary("Reciprocal", tape.plus(tape.mul(x, x), 1.0))),
    "Cos": _of_x(lambda tape, x: tape.negative(tape.unary("Sin", x))),
    "Erf": _of_x(_bell),
    "Exp": _of_y(lambda tape, y: y),
    "Log": _of_x(lambda tape, x: tape.unary("Reciprocal", x)),
    "Neg": lambda node, tape: tape.constant(-1.0),
    "Reciprocal": _of_y(lambda tape, y: tape.negative(tape.mul(y, y))),
    "Sin": _of_x(lambda tape, x: tape.unary("Cos", x)),
    "Sqrt": _of_y(lambda tape, y: tape.scaled(tape.unary("Reciprocal", y), 0.5)),
}
"""Derivatives by ONNX name; a function that is not here cannot be trained through."""


def _table(name: str, function: Callable[[Floats], Floats]) -> Operator:
    return activation(name, function=lambda node, graph: function, slope=SLOPES.get(name))


OPERATORS = tuple(
    _table(name, _on_grid(function) if name in JUMPS else function)
    for name, function in FUNCTIONS.items()
)
