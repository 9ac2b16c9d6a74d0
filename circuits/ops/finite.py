"""IsNaN and IsInf: false, since every value that a program holds is a finite number."""

from __future__ import annotations

from ...verifier.program.types import Const, Term
from ..builder import Builder
from ..graph import Node
from ..maps import rows
from ..operator import Operator, computed
from .comparisons import TRUTH


def lower(node: Node, builder: Builder) -> None:
    """A product by 0."""
    space = builder.shape(node) or (1,)
    source = builder.read(builder.values[node.inputs[0]], rows(len(space)), view=space, raw=True)
    out = builder.define(node, TRUTH, integer=True)
    builder.dot(out, space, [Term((), source, Const(0))])


OPERATOR = Operator(("IsNaN", "IsInf"), lower, computed)
