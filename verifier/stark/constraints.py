"""The constraints at ζ against the quotients (docs/stark.md sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..reader import P
from .field import (
    DEGREE,
    ONE,
    ZERO,
    Base,
    Elements,
    Ints,
    K,
    base_inverse,
    base_powers,
    conjugates,
    dot,
    elements,
    root_of_unity,
)
from .judge import demand
from .logup import lookup_constraints
from .proof import OpenedTable
from .statement import MASK_ROWS, Statement, TableShape, mask_columns
from .tables import Values, evaluate

_P = np.uint64(P)
_AT_ONCE = 1 << 14
"""Rows whose basis is worked out together: what a product takes stays in a cache."""


@dataclass(frozen=True)
class Challenges:
    """The verifier's elements of K, in the order drawn."""

    alpha: K
    beta: K
    gamma: K
    zeta: K


@dataclass(frozen=True)
class Point:
    """What the rows of one height stand for at ζ: Lagrange basis of the first rows, selectors."""

    basis: Elements
    first: K
    last: K


def check_constraints(
    statement: Statement,
    challenges: Challenges,
    terminals: list[K],
    opened: list[OpenedTable],
    chunks: list[list[K]],
) -> None:
    """Demand, height by height, that the quotient is what the constraints give at ζ.

    Raises:
        InvalidProof: `verify.stark`.
    """
    zeta = challenges.zeta
    for log_rows, pieces in zip(statement.log_heights, chunks, strict=True):
        point = point_of(statement, log_rows, zeta)
        total, weight = ZERO, ONE
        for one, values, terminal in zip(statement.tables, opened, terminals, strict=True):
            if one.log_rows != log_rows:
                continue
            # One power of γ for each constraint: a false one shows in the sum (constraints).
            for value in _constraints(statement, one, values, terminal, point, challenges):
                total = total + weight * value
                weight = weight * challenges.gamma
        # As polynomials they are Z times the quotient; ζ tells if they are not (out of domain).
        quotient = _quotient(pieces, zeta ** ((1 << log_rows) - statement.hiding))
        hidden = hidden_rows(log_rows, statement.hiding, zeta)
        zeros = zeta ** (1 << log_rows) - ONE
        demand(zeros * quotient == hidden * total, f"the constraints at 2^{log_rows} rows")


def lagrange(log_rows: int, rows: Ints, zeta: K) -> Elements:
    """The Lagrange basis over `⟨ω_k⟩` of these rows, int64 [n], at ζ: uint64 [n, 5].

    `L_i(ζ) = ω^i/(ζ − ω^i)·(ζ^(2^k) − 1)/2^k`, and `1/(ζ − x) = q(x)/m(x)` where q(X) is the
    product of `ζ' − X` over the four conjugates ζ' of ζ: `m(X) = (ζ − X)·q(X)` is over F.
    """
    size = 1 << log_rows
    others = [ONE]
    for conjugate in conjugates(zeta):
        others = _times_linear(others, conjugate)
    norm = [coefficient.words[0] for coefficient in _times_linear(others, zeta)]
    common = (zeta**size - ONE) * K.of(pow(size, -1, P))
    matrix = np.array([(coefficient * common).words for coefficient in others], np.uint64)
    powers = base_powers(root_of_unity(log_rows), int(rows.max()) + 1)
    basis = np.empty((len(rows), DEGREE), np.uint64)
    for start in range(0, len(rows), _AT_ONCE):
        x = powers[rows[start : start + _AT_ONCE]]
        basis[start : start + _AT_ONCE] = _over_norm(x, norm, matrix)
    return basis


def _times_linear(coefficients: list[K], root: K) -> list[K]:
    """A polynomial times `root − X`."""
    return [
        root * own - below
        for own, below in zip([*coefficients, ZERO], [ZERO, *coefficients], strict=True)
    ]


def _over_norm(x: Base, norm: list[int], matrix: Elements) -> Elements:
    """`x·q(x)/m(x)` at points x [n]: of m the coefficients, of q those of K as rows [5, 5]."""
    bottom = np.full(len(x), norm[-1], np.uint64)
    for coefficient in reversed(norm[:-1]):
        bottom = (bottom * x + np.uint64(coefficient)) % _P
    powers = np.empty((len(x), DEGREE), np.uint64)
    powers[:, 0] = x * base_inverse(bottom) % _P
    for power in range(1, DEGREE):
        powers[:, power] = powers[:, power - 1] * x % _P
    # Four products below p² are below 2^64.
    most = powers[:, :4] @ matrix[:4] % _P
    basis: Elements = (most + powers[:, 4:] * matrix[4]) % _P
    return basis


def point_of(statement: Statement, log_rows: int, zeta: K) -> Point:
    """What the rows of that height stand for at ζ."""
    tables = statement.of_height(log_rows)
    used = max(one.present.publics.shape[1] for one in tables)
    used = max(used, MASK_ROWS * len(statement.tables))
    last = (1 << log_rows) - statement.hiding - 1
    basis = lagrange(log_rows, np.append(np.arange(used, dtype=np.int64), last), zeta)
    first, final = elements(basis[[0, -1]])
    return Point(basis[:-1], first, final)


def _constraints(
    statement: Statement,
    shape: TableShape,
    opened: OpenedTable,
    terminal: K,
    point: Point,
    challenges: Challenges,
) -> Iterator[K]:
    """The values at ζ of all constraints of a table, in order."""
    table = shape.table
    nodes = evaluate(
        table,
        Values(
            public=publics_at(statement, shape, point),
            main=opened.main,
            next=dict(zip(table.next_columns, opened.next, strict=True)),
            first=point.first,
            last=point.last,
            of=K.of,
        ),
    )
    yield from (nodes[constraint] for constraint in table.constraints)
    yield from lookup_constraints(
        table,
        nodes,
        opened,
        terminal,
        point.first,
        point.last,
        (challenges.alpha, challenges.beta),
    )


def publics_at(statement: Statement, shape: TableShape, point: Point) -> list[K]:
    """The public columns of a table at ζ, the masks first."""
    found = []
    for columns in (mask_columns(statement, shape), shape.present.publics):
        found += elements(dot(columns, point.basis[: columns.shape[1]]))
    return found


def _quotient(chunks: list[K], step: K) -> K:
    """`Σ_i step^i·chunk_i`."""
    total = ZERO
    for chunk in reversed(chunks):
        total = total * step + chunk
    return total


def hidden_rows(log_rows: int, hiding: int, zeta: K) -> K:
    """`Π_{i≥n} (ζ − ω_k^i)`: the hiding rows, of which the constraints say nothing."""
    root, product = root_of_unity(log_rows), ONE
    for row in range((1 << log_rows) - hiding, 1 << log_rows):
        product = product * (zeta - K.of(pow(root, row, P)))
    return product
