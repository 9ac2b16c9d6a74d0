"""A model that is quantised already keeps its codes and its weights (docs/import.md).

`qoperators` leaves three kinds of its nodes. QuantizeLinear: a value in the code that the file
gives it; nothing where its producer took it. DequantizeLinear: integers seen as the reals they
stand for. AsIntegers (no ONNX operator): reals seen as their integers. All others are written by
float operators, or refused.
"""

from __future__ import annotations

from dataclasses import replace

from ...verifier.program.types import Const, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import rows
from ..operator import Operator
from ..qdq import REFUSED
from ..qoperators import HANDLERS
from ..quantise import Affine, coefficients
from . import view


def quantise(node: Node, builder: Builder) -> None:
    """A view where the value has the code, else a dot of one product."""
    x, code = builder.values[node.inputs[0]], builder.code(node.output)
    inside = code.lo <= x.code.lo and x.code.hi <= code.hi
    if inside and (x.code.scale, x.code.zero) == (code.scale, code.zero):
        view.lower(node, builder)
        return
    (number,), shift, _ = coefficients(node.name, [x.code.scale / code.scale], code.scale)
    space = builder.shape(node) or (1,)
    terms = [Term((), builder.read(x, rows(len(space))), Const(number))]
    builder.dot(builder.define(node, code), space, terms, shift=shift)


def dequantise(node: Node, builder: Builder) -> None:
    """A view of another code; integers that a caller gives are those of the file."""
    view.lower(node, builder)
    value, code = builder.values[node.output], node.attributes.get("code")
    if code is not None:
        code = Affine(code.scale, code.zero, value.code.lo, value.code.hi)
        builder.values[node.output] = replace(value, code=code, integer=False)


def as_integers(node: Node, builder: Builder) -> None:
    """A view, or a sum where the file's integers are greater by an offset."""
    view.lower(node, builder)
    value, offset = builder.values[node.output], int(node.attributes["offset"])
    whole = Affine(1.0, 0, value.code.lo + offset, value.code.hi + offset)
    if not offset:
        builder.values[node.output] = replace(value, code=whole, integer=True, near=True)
        return
    space = builder.shape(node) or (1,)
    terms = [Term((), builder.read(value, rows(len(space)), raw=True), Const(1))]
    out = builder.define(node, whole, integer=True)
    builder.values[node.output] = replace(out, near=True)
    builder.dot(out, space, terms, zero=offset)


def support(node: Node, graph: Graph) -> str | None:
    """Constant scales and zero points, one for each value; weights may have one a channel."""
    reason: str | None = node.attributes.get(REFUSED)
    return reason


def support_dynamic(node: Node, graph: Graph) -> str | None:
    """Before MatMulInteger or ConvInteger by constants, or DequantizeLinear; it is calibrated."""
    return support(node, graph)


def support_integers(node: Node, graph: Graph) -> str | None:
    """After DynamicQuantizeLinear, and scaled by a Mul; else integers below 2^23, exactly."""
    return support(node, graph)


def _rewritten(node: Node, builder: Builder) -> None:
    raise AssertionError(f"{node.op} is written by other operators")


_OWN = ("QuantizeLinear", "DequantizeLinear")
_SUPPORT = {
    "DynamicQuantizeLinear": support_dynamic,
    "MatMulInteger": support_integers,
    "ConvInteger": support_integers,
}

OPERATORS = (
    Operator(("QuantizeLinear",), quantise, support, is_view=True, takes_integers=True),
    Operator(("DequantizeLinear",), dequantise, support, is_view=True, takes_integers=True),
    Operator(("AsIntegers",), as_integers, support, is_view=True, takes_integers=True),
    *(
        Operator((name,), _rewritten, _SUPPORT.get(name, support), takes_integers=True)
        for name in HANDLERS
        if name not in _OWN
    ),
)
