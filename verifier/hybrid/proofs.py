"""The proofs of segments, or the one that stands for them (docs/hybrid.md 7, docs/recursion.md 5).

Step 11 of a verification, and there alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from .. import stark
from ..reader import Reader
from ..recursion.child import Child, child_of, read_points
from ..recursion.layers import verify_layers
from .schedule import Schedule


@dataclass(frozen=True)
class Proofs:
    """What the proofs of the segments of a receipt are about.

    Attributes:
        count: how many segments there are.
        statements: for each in order its schedule and the context of its proof.
        tables: the tables file.
        parameters: of the proof of each segment.
        target: bits that each must show.
        bits: λ of the receipt.
    """

    count: int
    statements: Iterator[tuple[Schedule, bytes]]
    tables: stark.TablesFile
    parameters: stark.Parameters
    target: int
    bits: int

    def judge(self, reader: Reader) -> float:
        """Read and judge all proofs; the least bits of any.

        Raises:
            MalformedReceipt, InvalidProof, InsufficientSecurity, UnsupportedReceipt: see
                `verify_stark` and `judge_bits`.
        """
        least = math.inf
        for schedule, context in self.statements:
            present, bits = self._judge_size(schedule)
            least = min(least, bits)
            used = stark.verify_stark(
                reader.rest,
                context=context,
                tables=self.tables,
                present=present,
                public_terms=schedule.terms,
                parameters=self.parameters,
            )
            reader.take(used)
        return least

    def judge_succinct(self, reader: Reader) -> float:
        """Read and judge one proof in place of theirs; the least bits of any of those.

        Raises:
            MalformedReceipt, InvalidProof, InsufficientSecurity, UnsupportedReceipt: see
                `verify_layers` and `judge_bits`.
        """
        leaves, least = self.leaves(reader)
        verify_layers(leaves, reader, self.bits)
        return least

    def leaves(self, reader: Reader) -> tuple[list[Child], float]:
        """Read the points of all segments; the segments at them, and the least bits of any.

        Raises:
            MalformedReceipt, InvalidProof, InsufficientSecurity, UnsupportedReceipt: see
                `read_points`, `child_of` and `judge_bits`.
        """
        least, found = math.inf, []
        points = [read_points(reader) for _ in range(self.count)]
        for (schedule, context), own in zip(self.statements, points, strict=True):
            present, bits = self._judge_size(schedule)
            least = min(least, bits)
            leaf = child_of(self.tables, present, schedule.terms, self.parameters, context, own)
            found.append(leaf)
        return found, least

    def _judge_size(self, schedule: Schedule) -> tuple[list[stark.PresentTable], float]:
        """The tables of a segment, and the bits that its proof shows at their size."""
        present = schedule.present(self.parameters.hiding_rows)
        statement = stark.Statement(self.tables, present, self.parameters)
        return present, stark.judge_bits(statement, schedule.terms, self.target)
