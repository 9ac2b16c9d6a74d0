"""GlobalAveragePool: the mean over all spatial axes."""

from __future__ import annotations

import math

from ...verifier.program.types import Const, Term
from ..builder import Builder
from ..graph import Node
from ..maps import along, over
from ..operator import Operator, computed
from ..quantise import multiplier
from ..tape import Tape, of_first


def lower(node: Node, builder: Builder) -> None:
    """One dot with the constant 1, space [N, C], the window is the image."""
    x = builder.values[node.inputs[0]]
    dims = x.shape[2:]
    target = builder.target(node)
    mult, shift = multiplier(node.name, x.code.scale / target.pre.scale / math.prod(dims))
    maps = (along(0), along(1), *(over(axis) for axis in range(len(dims))))
    terms = [Term(dims, builder.read(x, maps), Const(1))]
    builder.requantised(node, x.shape[:2], terms, target, mult=Const(mult), shift=shift)


def _back(node: Node, tape: Tape, dy: str) -> str:
    shape = tape.shape(node.inputs[0])
    return tape.expand(tape.scaled(dy, 1.0 / math.prod(shape[2:])), shape)


OPERATOR = Operator(
    ("GlobalAveragePool",),
    lower,
    computed,
    takes_activation=True,
    spatial=True,
    gradient=of_first(_back),
)
