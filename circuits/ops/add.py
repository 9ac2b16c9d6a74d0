"""Add with broadcasting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..builder import Builder
from ..graph import Node
from ..operator import Operator
from ..tape import Tape, broadcast_back
from .sum import lower_sum, support


def lower(node: Node, builder: Builder) -> None:
    """One dot of two terms, or one term and a bias."""
    lower_sum(node, builder, (1, 1))


def gradient(node: Node, tape: Tape, given: Sequence[str | None]) -> Mapping[int, str]:
    """Each side gets the gradient, summed over what was broadcast."""
    dy = given[0]
    return {} if dy is None else {n: broadcast_back(node, tape, n, dy) for n in (0, 1)}


OPERATOR = Operator(("Add",), lower, support, takes_activation=True, gradient=gradient)
