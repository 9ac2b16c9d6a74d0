"""Pow: by one constant a table; of any two values exp(y·log x), where x is not negative.

The logarithm has 15 bits; the exponential is the table of the product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...verifier.program.types import Const, Operand, Term
from ..builder import Builder
from ..errors import UnsupportedOp, named
from ..graph import Graph, Node
from ..maps import broadcast, rows
from ..operator import first
from ..quantise import Affine, Floats, domain, multiplier, symmetric
from ..tape import Tape, not_trainable
from .elementwise import activation
from .whole import some_computed

LOG_MAX = 2**14 - 1
NOTHING = 2.0**-4
"""The logarithm of 0 is that of this part of a step."""


def support(node: Node, graph: Graph) -> str | None:
    """One constant exponent; any other where the base is not negative."""
    base = graph.constant(node.input(0))
    negative = base is not None and bool((base <= 0).any())
    reason = "its base holds constants that are not above 0" if negative else None
    return first(some_computed(node, graph), reason)


def by_one(node: Node, graph: Graph) -> bool:
    """Whether the exponent is one constant."""
    exponent = graph.constant(node.input(1))
    return exponent is not None and exponent.size == 1


def function(node: Node, graph: Graph) -> Callable[[Floats], Floats]:
    """X to the node's exponent."""
    exponent = float(graph.constants[node.inputs[1]].item())
    return lambda x: np.power(x, exponent)


def lower(node: Node, builder: Builder) -> None:
    """A table, or two: of the logarithm, and of the product with the exponent."""
    if by_one(node, builder.graph):
        _TABLE.lower(node, builder)
        return
    space = builder.shape(node) or (1,)
    log, log_scale = _logarithm(node, builder, len(space))
    exponent, scale = _exponent(node, builder, len(space))
    post = builder.code(node.output)
    low, high = np.log(post.scale / 4), np.log(max(post.dequantise([post.hi])[0], post.scale))
    pre = domain(np.exp, float(low), float(high), post)
    table = builder.table(node.name, np.exp, pre, post)
    mult, shift = multiplier(node.name, log_scale * scale / pre.scale)
    out, terms = builder.define(node, post), [Term((), log, exponent)]
    builder.dot(out, space, terms, mult=Const(mult), shift=shift, zero=pre.zero, table=table)


def _logarithm(node: Node, builder: Builder, rank: int) -> tuple[Operand, float]:
    base = builder.graph.constant(node.inputs[0])
    if base is not None:
        numbers, scale = symmetric(np.log(base.astype(np.float64)), LOG_MAX)
        maps = broadcast(numbers.shape, rank)
        return builder.weight("logarithm", numbers, LOG_MAX, maps), scale
    x = builder.values[node.inputs[0]]
    if x.code.zero > x.code.lo:
        raise UnsupportedOp(
            f"node {named(node.name)} (Pow): its base may be negative",
            expected="a base of at least 0, or one constant exponent",
            received=f"{x.code.dequantise([x.code.lo])[0]:.4g} on the calibration data",
            hint="calibrate on data that covers the ranges seen in use",
        )
    reals = x.code.dequantise(np.arange(x.code.lo, x.code.hi + 1))
    logs = np.log(np.maximum(reals, x.code.scale * NOTHING))
    code = Affine(float(np.abs(logs).max()) / LOG_MAX or 1.0, 0, -LOG_MAX, LOG_MAX)
    table = builder.integer_table(f"{node.name}/log", x.code.lo, code.quantise(logs))
    shape = x.shape or (1,)
    out = builder.temporary("log", shape, code, 2)
    terms = [Term((), builder.read(x, rows(len(shape)), raw=True), Const(1))]
    builder.dot(out, shape, terms, zero=0, table=table, suffix="log")
    value = replace(out, shape=x.shape)
    return builder.read(value, broadcast(x.shape, rank)), code.scale


def _exponent(node: Node, builder: Builder, rank: int) -> tuple[Operand, float]:
    known = builder.graph.constant(node.inputs[1])
    if known is not None:
        numbers, scale = symmetric(known, LOG_MAX)
        return builder.weight("exponent", numbers, LOG_MAX, broadcast(known.shape, rank)), scale
    y = builder.values[node.inputs[1]]
    return builder.read(y, broadcast(y.shape, rank)), y.code.scale


def slope(node: Node, tape: Tape) -> str:
    """The exponent times x to the exponent less 1."""
    known = tape.graph.constant(node.inputs[1])
    if known is None or known.size != 1:
        raise not_trainable(node, "its exponent is no single constant")
    exponent = float(known.item())
    if exponent == 2.0:
        return tape.scaled(node.inputs[0], 2.0)
    power = tape.emit(
        "Pow", (node.inputs[0], tape.constant(exponent - 1.0)), tape.shape(node.output)
    )
    return tape.scaled(power, exponent)


_TABLE = activation("Pow", function=function, slope=slope)

OPERATOR = replace(_TABLE, lower=lower, support=support, takes_integers=True)
