"""The public columns of a segment: which rows its tables have (docs/hybrid.md section 4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from ..arrays import distinct
from ..gates import Ints
from ..journal import Journal
from ..openings import Trees
from ..program.checked import Checked
from ..program.types import Program
from ..roots import digest_elements
from ..stark import PresentTable, PublicTerms
from ..stark.columns import Columns, canonical
from ..stark.statement import MAX_LOG_ROWS, log_rows
from .addresses import (
    BITS_COLUMNS,
    NOISE_COLUMNS,
    SPREAD_COLUMNS,
    WIDE_COLUMNS,
    Reads,
    SpreadRows,
    noise_rows,
    wide_bytes,
    wide_rows,
)
from .factors import References
from .gates import (
    DIV_COLUMNS,
    GATE_COLUMNS,
    LIMBS_COLUMNS,
    PICK_COLUMNS,
    SCAN_COLUMNS,
    GateTables,
)
from .hashing import (
    NODE_COLUMNS,
    RANGE_COLUMNS,
    SPONGE_COLUMNS,
    SpongeRows,
    node_rows,
    range_count,
    range_rows,
)
from .leaves import Leaves, opened_keys
from .records import DIGEST_COLUMNS, RECORD_COLUMNS, Digests, RecordRows, Records
from .rows import Portions, Rows, Words
from .segments import Items, judge_rows
from .streams import READ_DOT_COLUMNS, ROW_DOT_COLUMNS, ReadDotRows
from .terms import output_bytes, public_terms


class Table(IntEnum):
    """Tables by their index in the tables file."""

    SPONGE = 0
    NODE = 1
    SPREAD = 2
    WIDE = 3
    ROW_DOT = 4
    READ_DOT = 5
    LIMBS = 6
    GATE = 7
    PICK = 8
    SCAN = 9
    DIV = 10
    NOISE = 11
    BITS = 12
    DIGEST = 13
    RECORD = 14
    ACT = 15
    RANGE = 16


ACT_COLUMNS = Columns("on table x y")

COLUMNS: Mapping[Table, Columns] = {
    Table.SPONGE: SPONGE_COLUMNS,
    Table.NODE: NODE_COLUMNS,
    Table.SPREAD: SPREAD_COLUMNS,
    Table.WIDE: WIDE_COLUMNS,
    Table.ROW_DOT: ROW_DOT_COLUMNS,
    Table.READ_DOT: READ_DOT_COLUMNS,
    Table.LIMBS: LIMBS_COLUMNS,
    Table.GATE: GATE_COLUMNS,
    Table.PICK: PICK_COLUMNS,
    Table.SCAN: SCAN_COLUMNS,
    Table.DIV: DIV_COLUMNS,
    Table.NOISE: NOISE_COLUMNS,
    Table.BITS: BITS_COLUMNS,
    Table.DIGEST: DIGEST_COLUMNS,
    Table.RECORD: RECORD_COLUMNS,
    Table.ACT: ACT_COLUMNS,
    Table.RANGE: RANGE_COLUMNS,
}
"""The public columns of each table, named where its rows are made."""


@dataclass(frozen=True)
class Claims:
    """What a receipt says in the clear, as far as the proofs of its segments are about it.

    Attributes:
        journal: the statement.
        outputs: those that it names by tensor, [steps, *shape].
    """

    journal: Journal
    outputs: Mapping[int, Ints]


@dataclass(frozen=True)
class Schedule:
    """The used rows of all tables of a segment, by table, and the public terms."""

    words: Mapping[Table, Words | Portions]
    terms: PublicTerms

    def present(self, hiding: int) -> list[PresentTable]:
        """The tables of the proof, with so many hiding rows each.

        Raises:
            UnsupportedReceipt: `verify.too-large`, a table has too many rows.
        """
        return [
            PresentTable(int(table), log_rows(words.shape[1], hiding), words)
            for table, words in self.words.items()
        ]


def derive(
    checked: Checked,
    trees: Trees,
    items: Items,
    claims: Claims,
    most: int = 1 << MAX_LOG_ROWS,
) -> Schedule:
    """The schedule of a segment, of whose tables none can have more than `most` rows in use.

    Raises:
        UnsupportedReceipt: `verify.too-large`.
    """
    keys = opened_keys(trees, items)
    judge_rows(len(keys), most)
    leaves = Leaves(trees, keys)
    records = Records(trees, claims.journal, distinct(leaves.tree), items.records)
    judge_rows(leaves.block_count + records.block_count, most)
    judge_rows(range_count(checked.program), most)
    gates = GateTables(checked, References(leaves))
    for run in items.runs:
        gates.add(run)
    collected: dict[Table, Rows | ReadDotRows] = {
        Table.ROW_DOT: gates.streams.row_dot,
        Table.READ_DOT: gates.streams.read_dot,
        Table.LIMBS: gates.limbs,
        Table.GATE: gates.gate,
        Table.PICK: gates.pick,
        Table.SCAN: gates.scan,
        Table.DIV: gates.div,
    }

    judge_rows(_act_count(checked.program, gates.tables), most)

    def references() -> Iterator[Ints]:
        return (column for rows in collected.values() for column in rows.references())

    reads = Reads.of(checked.program, references(), gates.streams.ranged)
    blocks = leaves.block_count
    sponge = blocks + records.block_count + (1 if len(reads.prf) else 0)
    wide = wide_rows(checked.program, leaves, reads, sponge)
    noise = noise_rows(checked.program, reads, sponge, claims.journal.first)
    outputs = output_bytes(leaves, items.outputs, claims.outputs)
    spread = SpreadRows([*references(), *wide_bytes(wide), outputs[0]], blocks)
    reads.resolve(references(), sponge)

    nodes = node_rows(leaves, records, most)
    seed_node = nodes.after if len(reads.prf) else None
    states, numbers = records.states()
    digests = Digests.of(
        records,
        np.concatenate([nodes.names, states]),
        np.concatenate([nodes.roots, len(leaves) + numbers]),
    )
    uses = np.zeros(sponge, np.int64)
    uses[blocks : blocks + records.block_count] = 1
    blocks_read = [gates.streams.row_dot.column(name) for name in ("block_a", "block_b")]
    blocks_read.append(noise.noise[NOISE_COLUMNS["seed_block"]])
    for block in (spread.block, *blocks_read):
        uses += np.bincount(block, minlength=sponge)
    found = {
        Table.SPONGE: SpongeRows(leaves, records, uses, seed_node),
        Table.NODE: _words(nodes.columns),
        Table.SPREAD: spread,
        Table.WIDE: _words(wide),
        **{table: rows.words() for table, rows in collected.items()},
        Table.NOISE: _words(noise.noise),
        Table.BITS: _words(noise.bits),
        Table.DIGEST: _words(digests.columns),
        Table.RECORD: RecordRows(records, digests, blocks),
        Table.ACT: _words(_act_rows(checked.program, sorted(gates.tables))),
        Table.RANGE: _words(range_rows(checked.program)),
    }
    claimed = [(len(leaves) + number, digest) for number, digest in records.claims()]
    if seed_node is not None:
        seed = digest_elements(claims.journal.prf_seed)
        claimed.append((seed_node, seed.astype(np.int64)))
    terms = public_terms(claimed, outputs)
    return Schedule({table: words for table, words in found.items() if words.shape[1]}, terms)


def _act_count(program: Program, tables: Iterable[int]) -> int:
    """How many entries lookup tables have."""
    return sum(len(program.tables[number].entries) for number in tables)


def _act_rows(program: Program, tables: list[int]) -> Ints:
    """The entries of lookup tables."""
    found = [np.zeros((ACT_COLUMNS.count, 0), np.int64)]
    for number in tables:
        entries = np.array(program.tables[number].entries, np.int64)
        x = program.tables[number].lo + np.arange(len(entries), dtype=np.int64)
        found.append(ACT_COLUMNS.table(len(x), on=1, table=number, x=x, y=entries))
    return np.concatenate(found, axis=1)


def _words(columns: Ints) -> Words:
    """Canonical words, column by column: a copy of all of it would be as large again."""
    found = np.empty(columns.shape, np.uint32)
    for words, column in zip(found, columns, strict=True):
        words[:] = canonical(column)
    return found
