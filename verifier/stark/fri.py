"""FRI: the rounds, and one query's way through them (docs/stark.md section 6).

All functions work on all queries at once. A position is that of a vector in bit-reversed order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .field import (
    Elements,
    Ints,
    K,
    add,
    base_inverse,
    half,
    mul,
    positions_to_points,
    scale,
    sub,
)
from .judge import demand
from .tree import Opening


@dataclass(frozen=True)
class Round:
    """A round: it folds a vector of size 2^log_size, 2^log_arity elements into one."""

    log_size: int
    log_arity: int

    @property
    def log_rows(self) -> int:
        """Log of the rows of its tree, which is the size of the folded vector."""
        return self.log_size - self.log_arity


def plan_rounds(log_domains: Sequence[int], log_folding: int, log_final: int) -> list[Round]:
    """The rounds from the tallest of these domains, which descend, to the final size."""
    stops = [*log_domains[1:], log_final]
    size, rounds = log_domains[0], []
    for stop in stops:
        while size > stop:
            arity = min(log_folding, size - stop)
            rounds.append(Round(size, arity))
            size -= arity
    return rounds


def fold(values: Elements, rows: Ints, beta: K) -> Elements:
    """Fold rows of 2^a elements, [q, 2^a, 5], the rows' numbers being int64 [q]: [q, 5].

    A pair (v0, v1) at ±X becomes (v0 + v1)/2 + β(v0 − v1)/(2X); then β is squared.
    """
    while values.shape[1] > 1:
        first, second = values[:, 0::2], values[:, 1::2]
        pairs = first.shape[1]
        positions = 2 * (rows[:, None] * pairs + np.arange(pairs, dtype=np.int64))
        odd = scale(sub(first, second), base_inverse(positions_to_points(positions)))
        values = half(add(add(first, second), mul(odd, beta.array())))
        beta = beta * beta
    return values[:, 0]


def check_queries(
    rounds: Sequence[Round],
    openings: Sequence[Opening],
    betas: Sequence[K],
    combined: Mapping[int, Elements],
    final: Elements,
    indices: Ints,
) -> None:
    """Follow all queries from the codewords to the final polynomial.

    Args:
        rounds: of this proof, at least one.
        openings: of their trees.
        betas: their challenges.
        combined: by log of its domain, G of each height at the queries, uint64 [queries, 5].
        final: coefficients of the final polynomial, uint64 [length, 5].
        indices: positions in the tallest domain, int64 [queries].

    Raises:
        InvalidProof: `verify.stark`, a value is not what the one before it folds to.
    """
    values, at = combined[rounds[0].log_size], indices
    for number, (each, opening, beta) in enumerate(zip(rounds, openings, betas, strict=True)):
        rows, place = at >> each.log_arity, at & (1 << each.log_arity) - 1
        row = opening.rows[each.log_rows].at(rows).reshape(len(at), 1 << each.log_arity, -1)
        # The committed word of the round is the batched one at first, then the fold of the last.
        same = bool((row[np.arange(len(at)), place] == values).all())
        demand(same, f"a query at round {number} of the folding")
        values, at = fold(row, rows, beta), rows
        # A height of this size joins with a power of β that the fold itself has not (folding).
        if each.log_rows in combined:
            weight = beta ** (1 << each.log_arity)
            values = add(values, mul(combined[each.log_rows], weight.array()))
    # What is left is a polynomial of low degree, sent whole.
    demand(bool((values == _evaluate(final, at)).all()), "a query at the final polynomial")


def _evaluate(coefficients: Elements, positions: Ints) -> Elements:
    """A polynomial at the points of these positions, [n, 5]."""
    points = positions_to_points(positions)
    value = np.zeros((len(positions), coefficients.shape[1]), np.uint64)
    for coefficient in coefficients[::-1]:
        value = add(scale(value, points), coefficient)
    return value
