"""Add with broadcasting."""

from __future__ import annotations

from ..builder import Builder
from ..graph import Node
from ..operator import Operator
from .sum import lower_sum, support


def lower(node: Node, builder: Builder) -> None:
    """One dot of two terms, or one term and a bias."""
    lower_sum(node, builder, (1, 1))


OPERATOR = Operator(("Add",), lower, support, takes_activation=True)
