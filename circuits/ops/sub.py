"""Sub with broadcasting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..builder import Builder
from ..graph import Node
from ..operator import Operator
from ..tape import Tape, broadcast_back
from .sum import lower_sum, support


def lower(node: Node, builder: Builder) -> None:
    """One dot of two terms, or one term and a bias."""
    lower_sum(node, builder, (1, -1))


def gradient(node: Node, tape: Tape, given: Sequence[str | None]) -> Mapping[int, str]:
    """As of Add, with the sign turned on the right."""
    dy = given[0]
    if dy is None:
        return {}
    right = tape.negative(broadcast_back(node, tape, 1, dy))
    return {0: broadcast_back(node, tape, 0, dy), 1: right}


OPERATOR = Operator(("Sub",), lower, support, takes_activation=True, gradient=gradient)
