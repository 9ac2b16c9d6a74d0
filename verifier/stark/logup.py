"""LogUp: the constraints of a table's fractions, and the public terms (docs/stark.md section 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..reader import P
from .field import ONE, ZERO, Elements, K, add, dot, inverse, powers, scale, sub
from .judge import demand
from .proof import OpenedTable
from .statement import PublicTerms
from .tables import Lookup, Table


def lookup_constraints(
    table: Table,
    nodes: Sequence[K],
    opened: OpenedTable,
    terminal: K,
    first: K,
    last: K,
    challenges: tuple[K, K],
) -> Iterator[K]:
    """The values at ζ of a table's group constraints, then of the three of acc.

    Args:
        table: the table.
        nodes: values of its nodes at ζ.
        opened: its opened values.
        terminal: its terminal.
        first: the selector of its first row at ζ.
        last: the selector of its last active row at ζ.
        challenges: α and β.
    """
    # Each fraction is that of its lookups.
    total = opened.acc
    for group, fraction in zip(table.groups, opened.fractions, strict=True):
        top, bottom = ZERO, ONE
        for lookup in group:
            each = denominator(lookup, nodes, challenges)
            top = top * each + nodes[lookup.multiplicity] * bottom
            bottom = bottom * each
        yield fraction * bottom - top
        total = total + fraction
    # They are summed from zero on, row by row, to the terminal, which the buses' balance takes.
    yield first * opened.acc
    yield (ONE - last) * (opened.acc_next - total)
    yield last * (total - terminal)


def denominator(lookup: Lookup, nodes: Sequence[K], challenges: tuple[K, K]) -> K:
    """`α − (bus + Σ β^i·e_i)`."""
    alpha, beta = challenges
    key = ZERO
    for item in reversed(lookup.items):
        key = (key + nodes[item]) * beta
    return alpha - K.of(lookup.bus) - key


def public_sum(terms: PublicTerms, challenges: tuple[K, K]) -> K:
    """The sum of all public terms.

    Raises:
        InvalidProof: `verify.stark`, the denominator of a term is zero.
    """
    alpha, beta = challenges
    total = ZERO.array()
    for group in terms.groups:
        weights = powers(beta, group.tuples.shape[1] + 1)[1:]
        start = (alpha - K.of(group.bus)).array()
        bottoms: Elements = sub(start, dot(group.tuples, weights))
        # Else the term would have any value.
        demand(bool(bottoms.any(axis=1).all()), "a public term has no inverse")
        fractions = inverse(bottoms).sum(axis=0) % np.uint64(P)
        total = add(total, scale(fractions, np.array(group.multiplicity % P, np.uint64)))
    return K(total.tolist())
