"""The batched quotients G of each height at the queries (docs/stark.md section 5)."""

from __future__ import annotations

import numpy as np

from ..reader import P
from .field import (
    BASIS,
    DEGREE,
    SHIFT,
    Base,
    Elements,
    Ints,
    K,
    add,
    dot,
    inverse,
    mul,
    positions_to_points,
    powers,
    root_of_unity,
    sub,
)
from .proof import Openings
from .statement import Statement


def combine(
    statement: Statement,
    zeta: K,
    eta: K,
    opened: Elements,
    openings: Openings,
    indices: Ints,
) -> dict[int, Elements]:
    """By log of the domain, `G_k` at the queries, uint64 [queries, 5].

    `G_k(x) = Σ_z 1/(x − z)·Σ_j η^{e_j}(f_j(x) − v_j)`, and the mask at the tallest height with the
    power after the last.

    Args:
        statement: of the proof.
        zeta: the point of the openings.
        eta: the challenge of the batch.
        opened: all opened values, uint64 [openings, 5].
        openings: of the trees.
        indices: positions in the tallest domain, int64 [queries].
    """
    # A power for each opening and for the mask: each column is bound by itself (batching).
    weights = powers(eta, len(opened) + 1)
    weights, of_mask = weights[:-1], weights[-1:]
    weighted = mul(weights, opened)
    found = {}
    for log_rows in statement.log_heights:
        level = log_rows + statement.log_blowup
        at = indices >> (statement.log_domain - level)
        trees = (openings.main, openings.aux, openings.quotient)
        rows = np.concatenate([tree.rows[level].at(at) for tree in trees], axis=1)
        points = positions_to_points(at) * np.uint64(SHIFT) % np.uint64(P)
        columns = statement.openings_of(log_rows)
        ahead = K.of(root_of_unity(log_rows)) * zeta
        found[level] = add(
            _quotients(rows, columns.here, columns.digit, weights, weighted, points, zeta),
            _quotients(rows, columns.ahead, columns.digit, weights, weighted, points, ahead),
        )
        if level == statement.log_domain:
            found[level] = add(found[level], mul(of_mask, rows[:, -DEGREE:]))
    return found


def _quotients(
    rows: Base,
    numbers: Ints,
    digits: Ints,
    weights: Elements,
    weighted: Elements,
    points: Base,
    z: K,
) -> Elements:
    """`1/(x − z)·Σ_j η^{e_j}(f_j(x) − v_j)` at these points x, [n, 5].

    A word that is a coefficient of X^i within an element of K has the weight η^e·X^i.
    """
    words = np.flatnonzero(numbers >= 0)
    number, digit = numbers[words], digits[words]
    sums = dot(rows[:, words], mul(weights[number], BASIS[digit]))
    values = weighted[number[digit == 0]].sum(axis=0) % np.uint64(P)
    apart = np.repeat(sub(np.zeros(DEGREE, np.uint64), z.array())[None], len(points), axis=0)
    apart[:, 0] = add(apart[:, 0], points)
    return mul(sub(sums, values), inverse(apart))
