"""The public columns of a machine's rows, and its public terms (docs/recursion.md section 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..gates import Ints
from ..reader import P
from ..stark import PresentTable, PublicTerms, TermGroup
from ..stark.statement import log_rows
from .machine import GIVE, TAKE, Block, Machine
from .tables import REFERENCES, Bus, Reference, Table, column


def present_tables(machine: Machine, hiding: int) -> list[PresentTable]:
    """All tables with so many hiding rows each, at the least height that holds the rows of any.

    A proof of one height has one word to fold, and is shorter than the rows that short tables
    would save are worth.

    Raises:
        UnsupportedReceipt: `verify.too-large`, a table of more than 2^22 rows.
    """
    rows = {table: machine.rows(table) for table in Table}
    uses = _uses(machine, rows)
    height = log_rows(max(map(len, rows.values())), hiding)
    found = []
    for table, own in rows.items():
        _count_gifts(table, own, uses)
        words = np.ascontiguousarray((own % P).astype(np.uint32).T)
        found.append(PresentTable(int(table), height, words))
    return found


def known_terms(known: Sequence[tuple[Block, Sequence[int]]]) -> PublicTerms:
    """The blocks that the verifier knows, with their elements."""
    tuples = [[block, *elements] for block, elements in known]
    return PublicTerms((TermGroup(int(Bus.BLOCK), 1, np.array(tuples, np.uint32)),))


def _uses(machine: Machine, rows: Mapping[Table, Ints]) -> dict[Bus, Ints]:
    """How often each number is taken: by rows, and blocks by public terms."""
    found = {bus: np.zeros(machine.made[bus], np.int64) for bus in Bus}
    for block, _ in machine.known:
        found[Bus.BLOCK][block] += 1
    for table, own in rows.items():
        for reference in REFERENCES[table]:
            at, times = _columns(table, reference)
            taken = own[own[:, times] == TAKE, at] + reference.ahead
            uses = found[reference.bus]
            uses += np.bincount(taken, minlength=len(uses))
    return found


def _count_gifts(table: Table, rows: Ints, uses: Mapping[Bus, Ints]) -> None:
    """Say of everything that is given how often it is taken, in place of `GIVE`."""
    for reference in REFERENCES[table]:
        at, times = _columns(table, reference)
        given = rows[:, times] == GIVE
        rows[given, times] = -uses[reference.bus][rows[given, at]]


def _columns(table: Table, reference: Reference) -> tuple[int, int]:
    """The columns of a number and of its multiplicity."""
    at, times = (column(table, name, reference.index) for name in (reference.at, reference.times))
    return at, times
