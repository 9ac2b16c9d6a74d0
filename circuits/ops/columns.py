"""The columns of an input, each divided by a power of two of its own (see `circuits.columns`)."""

from __future__ import annotations

import numpy as np

from ...verifier.program.types import Term
from ..bits import NARROW
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, rows
from ..operator import Operator
from ..quantise import MULT_MAX, affine, channels, symmetric_code

NAME = "Columns"
"""No ONNX operator has this name."""

FACTOR_MAX = 2**15 - 1


def support(node: Node, graph: Graph) -> str | None:
    """A file cannot hold one: only `columns.divided_by` makes them."""
    if "exponents" in node.attributes and node.output not in graph.source.arrays:
        return None
    return "this operator does not compile; express it by others or run it outside the model"


def lower(node: Node, builder: Builder) -> None:
    """One dot of one product, with a factor and a multiplier a column; all reals are in ± 1."""
    x, bits = builder.values[node.inputs[0]], builder.bits(node.output)
    code = affine(-1.0, 1.0) if bits == NARROW else symmetric_code(-1.0, 1.0, bits)
    factors = 2.0 ** -np.array(node.attributes["exponents"], np.float64)
    numbers = channels(node.name, factors, None, x.code.scale, code.scale, FACTOR_MAX)
    maps, space = (along(1),), builder.shape(node)
    by = builder.weight("factor", numbers.weight, FACTOR_MAX, maps)
    mult = builder.weight("multiplier", numbers.mult, MULT_MAX, maps, signed=False)
    out = builder.define(node, code)
    terms = [Term((), builder.read(x, rows(2)), by)]
    builder.dot(out, space, terms, mult=mult, shift=numbers.shift)


OPERATOR = Operator((NAME,), lower, support)
