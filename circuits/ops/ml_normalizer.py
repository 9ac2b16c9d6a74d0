"""Normalizer: rows divided by their norm: the sum of magnitudes, the root of squares, the maximum.

Rows have 15 bits, and quotients 14. A row whose norm is below 1/500 of the largest that its code
holds is divided by that instead (a quotient is bounded, protocol section 2).
"""

from __future__ import annotations

import math
from dataclasses import replace

from ...verifier.program.ranges import Q_MAX
from ...verifier.program.types import Const, PickMode, Term
from ..builder import Builder, Value
from ..errors import UnsupportedOp, named
from ..graph import Graph, Node
from ..maps import along, at, over
from ..operator import Operator, first, uncompared
from ..quantise import Affine
from .ml_columns import DOMAIN, is_table, joined, width
from .reduction import SQUARES_MAX, WIDE, magnitudes, reach, root

NORMS = ("MAX", "L1", "L2")
QUOTIENT_MAX = 2**14 - 1
ROOT_FACTOR = 2**6
"""The root of 24 bits times 2^6 has 15 bits."""


def support(node: Node, graph: Graph) -> str | None:
    """A table of up to 2^14 columns."""
    norm = node.attributes.get("norm", "MAX")
    return first(
        is_table(node, graph),
        None if norm in NORMS else f"its norm {norm} is not known",
        f"it has more than {SQUARES_MAX:,} columns"
        if is_table(node, graph) is None and width(node, graph) > SQUARES_MAX
        else None,
    )


def lower(node: Node, builder: Builder) -> None:
    """The norm of each row, and the quotients."""
    x = joined(node, builder, "columns")
    norm = str(node.attributes.get("norm", "MAX"))
    least = reach(x.code) * QUOTIENT_MAX // (Q_MAX - 2) + 2
    if norm == "L2":
        divisor = _root(builder, x, least)
    elif norm == "L1":
        divisor = _sum(builder, x, least)
    else:
        divisor = _largest(node, builder, x, least)
    step = x.code.scale / divisor.code.scale / QUOTIENT_MAX
    most = math.ceil(1.0 / step) + 1
    out = builder.define(node, Affine(step, 0, -most, most), width=2 if most < 2**15 else 3)
    den = builder.read(divisor, (along(0), at()), view=(x.shape[0], 1), raw=True)
    num = builder.read(x, (along(0), along(1)))
    builder.quotient(out, x.shape, QUOTIENT_MAX, num, den, suffix="quotient")


def _sum(builder: Builder, x: Value, least: int) -> Value:
    """Σ|x| of each row."""
    sizes = magnitudes(builder, x, x.shape, builder.read(x, (along(0), along(1)), raw=True))
    most = x.shape[1] * reach(x.code)
    shift = (most // WIDE).bit_length()
    code = Affine(x.code.scale * 2.0**shift, 0, max(least >> shift, 1), (most >> shift) + 1)
    code = replace(code, hi=max(code.hi, code.lo))
    out = builder.temporary("sum", x.shape[:1], code, 3)
    source = builder.read(sizes, (along(0), over(0)))
    builder.dot(
        out, x.shape[:1], [Term((x.shape[1],), source, Const(1))], shift=shift, suffix="sum"
    )
    return out


def _root(builder: Builder, x: Value, least: int) -> Value:
    """√Σx² of each row."""
    most = x.shape[1] * reach(x.code) ** 2
    shift = (most // WIDE).bit_length()
    unit = Affine(x.code.scale**2 * 2.0**shift, 0, 0, (most >> shift) + 1)
    squares = builder.temporary("squares", x.shape[:1], unit, 3)
    source = builder.read(x, (along(0), over(0)))
    terms = [Term((x.shape[1],), source, source)]
    builder.dot(squares, x.shape[:1], terms, shift=shift, suffix="squares")
    rooted = root(builder, squares, ROOT_FACTOR)
    code = replace(rooted.code, lo=max(least, 1), hi=max(rooted.code.hi, least))
    out = builder.temporary("norm", x.shape[:1], code, 3)
    builder.dot(
        out, x.shape[:1], [Term((), builder.read(rooted, (along(0),)), Const(1))], suffix="norm"
    )
    return out


def _largest(node: Node, builder: Builder, x: Value, least: int) -> Value:
    """The largest value of each row, which must not be negative.

    Raises:
        UnsupportedOp: values were negative in calibration.
    """
    if min(builder.least(name) for name in node.inputs) < 0:
        raise UnsupportedOp(
            f"node {named(node.name)} ({node.op}): it divides by a maximum of negative values",
            hint="use the norm L1 or L2, or values from 0 on",
        )
    code = Affine(x.code.scale, 0, least, max(x.code.hi, least))
    most = builder.temporary("max", x.shape[:1], x.code, builder.width(x))
    source = builder.read(x, (along(0), over(0)), raw=True)
    builder.pick(most, x.shape[:1], source, mode=PickMode.MAX, window=(x.shape[1],), suffix="max")
    out = builder.temporary("norm", x.shape[:1], code, 3)
    builder.dot(
        out, x.shape[:1], [Term((), builder.read(most, (along(0),)), Const(1))], suffix="norm"
    )
    return out


OPERATOR = Operator(
    (f"{DOMAIN}Normalizer",), lower, support, columns=uncompared, takes_integers=True
)
