"""The tables of the one segment of a hybrid receipt, for the example: sizes, and first rows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from zktally.verifier import stark
from zktally.verifier.hybrid import verify as hybrid
from zktally.verifier.hybrid.schedule import COLUMNS, Schedule, Table
from zktally.verifier.hybrid.segments import OWN_PROOFS, ItemList
from zktally.verifier.journal import Journal
from zktally.verifier.openings import Trees
from zktally.verifier.program.checked import load
from zktally.verifier.reader import RECEIPT_CODES, P, Reader
from zktally.verifier.receipt import split_receipt
from zktally.verifier.sampling import Counts, make_plan, sample_seed
from zktally.verifier.steps import claimed_outputs

SHOWN = (
    Table.SPONGE,
    Table.NODE,
    Table.SPREAD,
    Table.WIDE,
    Table.READ_DOT,
    Table.GATE,
    Table.DIGEST,
    Table.RECORD,
)
_WIDEST = 4
"""Columns of one name that are shown before the rest is counted."""


@dataclass(frozen=True)
class Segment:
    """A segment: its statement, its items, its schedule, the parameters of its proof."""

    journal: Journal
    items: ItemList
    schedule: Schedule
    parameters: stark.Parameters

    @classmethod
    def of(cls, receipt: bytes) -> Segment:
        """The segment of a receipt that has one."""
        sections = split_receipt(receipt)
        journal, checked = Journal.decode(sections.journal), load(bytes(sections.program))
        plan = make_plan(Counts(checked, journal), sample_seed(sections.journal))
        trees, reader = Trees(checked.program, journal.steps), Reader(sections.proof, RECEIPT_CODES)
        digest = hashlib.sha256(sections.journal).digest()
        profile = hybrid._read_head(reader, digest)
        claims = hybrid.Claims(journal, claimed_outputs(checked.program, journal))
        room = reader.remaining, OWN_PROOFS
        segments = hybrid._Segments(checked, plan, trees, claims, room)
        parameters = stark.choose(profile, hybrid.REFERENCE, len(segments), journal.bits)
        [schedule] = segments.schedules(hybrid.most_rows(parameters))
        return cls(journal, ItemList(plan, trees), schedule, parameters)

    @property
    def counts(self) -> stark.Counts:
        """What the security of its proof depends on."""
        present = self.schedule.present(self.parameters.hiding_rows)
        statement = stark.Statement(hybrid.tables_file(), present, self.parameters)
        return statement.counts(self.schedule.terms)

    def present(self) -> str:
        """What the transcript absorbs of the tables: their number, index and log rows of each."""
        tables = self.schedule.present(self.parameters.hiding_rows)
        return ", ".join([str(len(tables)), *(f"{t.index}, {t.log_rows}" for t in tables)])

    def text(self) -> str:
        """Items, costs and sizes."""
        hiding = self.parameters.hiding_rows
        rows = ["| table | used rows | rows |", "|---|---|---|"]
        for table in self.schedule.present(hiding):
            name, used = Table(table.index).name.lower(), table.publics.shape[1]
            rows.append(f"| {table.index} {name} | {used:,} | 2^{table.log_rows} |")
        items, blocks = self.items, self.schedule.words[Table.SPONGE].shape[1]
        size = f"{len(items)} items of cost {items.cost:,} and {blocks} blocks, so one segment"
        return "\n".join([f"It has {size}; every table has {hiding} hiding rows.", "", *rows])

    def rows(self) -> str:
        """The first rows of some tables."""
        found = ["| table | first row |", "|---|---|"]
        for table in SHOWN:
            first = np.array(self.schedule.words[table][:, 0:1], np.int64)[:, 0]
            cells = []
            for name, at in COLUMNS[table].at.items():
                values = np.atleast_1d(first[at])
                if values.any():
                    cells.append(f"{name} {_shown(values)}")
            parts = [", ".join(cells[at : at + 5]) for at in range(0, len(cells), 5)]
            label = f"{int(table)} {table.name.lower()}"
            found += [f"| {label if not n else ''} | {part} |" for n, part in enumerate(parts)]
        return "\n".join(found)


def _shown(values: np.ndarray) -> str:
    signed = [int(v) - P if v > P // 2 else int(v) for v in values]
    if len(signed) == 1:
        return str(signed[0])
    kept = " ".join(map(str, signed[:_WIDEST]))
    return f"[{kept} …]" if len(signed) > _WIDEST else f"[{kept}]"
