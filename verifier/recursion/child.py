"""A proof that is verified inside: what the verifier works out of it (docs/recursion.md 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..reader import Reader
from ..stark import Parameters, PresentTable, PublicTerms, Statement, TablesFile
from ..stark.constraints import hidden_rows, point_of, publics_at
from ..stark.field import DEGREE, ONE, K, elements, inverse, root_of_unity
from ..stark.fri import Round, plan_rounds
from ..stark.logup import public_sum
from ..stark.params import Hashing
from ..stark.statement import TableShape
from ..stark.transcript import Poseidon2Transcript
from ..stark.tree import read_words
from ..stark.verify import judge_point

POINTS = 3
POINTS_BYTES = 4 * DEGREE * POINTS


@dataclass(frozen=True)
class Points:
    """The challenges without which public columns cannot be worked out."""

    alpha: K
    beta: K
    zeta: K

    def to_bytes(self) -> bytes:
        """As they stand in a receipt, 60 bytes."""
        return self.alpha.to_bytes() + self.beta.to_bytes() + self.zeta.to_bytes()


def read_points(reader: Reader) -> Points:
    """Read the points of one proof.

    Raises:
        MalformedReceipt: `receipt.truncated`, `receipt.non-canonical`.
    """
    words = read_words(reader, DEGREE * POINTS)
    return Points(*elements(words.reshape(POINTS, DEGREE)))


@dataclass(frozen=True)
class HeightAt:
    """What a height is at ζ.

    Attributes:
        log_rows: of its tables.
        first, last: the selectors.
        vanishing: of the active rows.
        step: ζ to the power of the active rows.
        next: ζ one row on.
    """

    log_rows: int
    first: K
    last: K
    vanishing: K
    step: K
    next: K


@dataclass(frozen=True)
class Child:
    """A proof that is verified inside, as far as its verifier knows it.

    Attributes:
        statement: its shape: tables and heights, without what stands in public columns.
        longest_tuple: elements of the longest one of its lookups and public terms.
        start: its transcript's state before the first message, 8 elements.
        points: its challenges.
        publics: by table, its public columns at ζ.
        heights: tallest first.
        public_sum: of the public terms.
    """

    statement: Statement
    longest_tuple: int
    start: tuple[int, ...]
    points: Points
    publics: list[list[K]]
    heights: list[HeightAt]
    public_sum: K

    @property
    def log_blowup(self) -> int:
        """Log of a codeword's length over a column's."""
        return self.statement.log_blowup

    @property
    def tables(self) -> list[TableShape]:
        """All tables in order."""
        return self.statement.tables

    @cached_property
    def rounds(self) -> list[Round]:
        """Of folding."""
        domains = [height.log_rows + self.log_blowup for height in self.heights]
        profile = self.statement.parameters.profile
        return plan_rounds(domains, profile.log_folding, self.log_blowup + profile.log_final)

    def positions(self, log_rows: int) -> list[int]:
        """The positions of the tables of a height."""
        return [t for t, one in enumerate(self.tables) if one.log_rows == log_rows]


def child_of(
    tables: TablesFile,
    present: Sequence[PresentTable],
    terms: PublicTerms,
    parameters: Parameters,
    context: bytes,
    points: Points,
) -> Child:
    """Work out what the verifier adds at these points to the proof of a statement.

    Raises:
        InvalidProof: `verify.stark`, points at which nothing can be verified.
        ValueError: the proof is not a foldable one, or there is no such statement.
    """
    if parameters.profile.hashing is not Hashing.POSEIDON2:
        raise ValueError("only a foldable proof can be verified inside another")
    statement = Statement(tables, present, parameters)
    judge_point(points.zeta)
    publics: dict[int, list[K]] = {}
    heights = []
    for log_rows in statement.log_heights:
        at = point_of(statement, log_rows, points.zeta)
        heights.append(_height(statement, log_rows, points.zeta, at.first, at.last))
        for one in statement.of_height(log_rows):
            publics[one.present.index] = publics_at(statement, one, at)
    transcript = Poseidon2Transcript(context, parameters.encode(), statement.encode())
    hollow = [
        replace(one, publics=np.zeros((one.publics.shape[0], 0), np.uint32)) for one in present
    ]
    return Child(
        statement=Statement(tables, hollow, parameters),
        longest_tuple=statement.counts(terms).longest_tuple,
        start=transcript.state,
        points=points,
        publics=[publics[one.present.index] for one in statement.tables],
        heights=heights,
        public_sum=public_sum(terms, (points.alpha, points.beta)),
    )


def _height(statement: Statement, log_rows: int, zeta: K, first: K, last: K) -> HeightAt:
    rows = 1 << log_rows
    hidden = hidden_rows(log_rows, statement.hiding, zeta)
    (per_hidden,) = elements(inverse(hidden.array()[None]))
    return HeightAt(
        log_rows=log_rows,
        first=first,
        last=last,
        vanishing=(zeta**rows - ONE) * per_hidden,
        step=zeta ** (rows - statement.hiding),
        next=zeta * K.of(root_of_unity(log_rows)),
    )
