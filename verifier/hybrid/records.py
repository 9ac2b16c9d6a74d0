"""The records of a segment: what the roots of trees are hashed to, up to the journal's digests.

docs/hybrid.md sections 2 and 4, tables 13 and 14. An element of a record is *held* to something: to
a public value (a number from 0 on), to an element of a digest (from `TAKEN` on), or to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..arrays import counted, distinct
from ..gates import Ints
from ..journal import Journal
from ..merkle import byte_elements
from ..openings import Trees
from ..poseidon2 import DIGEST, RATE, Domain
from ..program.types import Role
from ..roots import digest_elements
from ..stark.columns import Columns
from .record_sizes import ID, blocks_of, step_elements
from .rows import Portions, Words

DIGEST_COLUMNS = Columns("node has at uses")
RECORD_COLUMNS = Columns(f"on block taken:{RATE} fixed:{RATE} at:{RATE}")

TAKEN = 1 << 40
"""Behind it, 8·name + i stands for element i of a digest."""

_FREE = -1
_AT_ONCE = 1 << 18
"""Elements of records that are looked at together."""


@dataclass(frozen=True)
class Kind:
    """Records that differ in their step only.

    Attributes:
        domain, aux: of their hash.
        steps: of each, ascending; of a record that stands once, one that says nothing.
        elements: of each.
        held: from steps [n] what the elements are held to, [n, elements].
        claimed: the digest [8] of the journal that the record of a step must have, if any.
    """

    domain: Domain
    aux: int
    steps: Ints
    elements: int
    held: Callable[[Ints], Ints]
    claimed: Callable[[int], Ints | None]

    @property
    def blocks(self) -> int:
        """Sponge blocks of each record."""
        return blocks_of(self.elements)

    def parts(self) -> Iterator[Ints]:
        """What all elements are held to, in parts of a bounded size."""
        size = max(1, _AT_ONCE // max(1, self.elements))
        for start in range(0, len(self.steps), size):
            yield self.held(self.steps[start : start + size])


class Records:
    """The records of a segment, in order.

    A digest has a *name*: that of a tree's root is the tree's number; behind the trees comes the
    state after each step, then the roots of the trees over the digests of steps and of inputs.

    Args:
        trees: of the receipt.
        journal: its statement.
        opened: the trees of which the segment opens leaves, ascending.
        items: the steps whose records are items of the segment, ascending.
    """

    def __init__(self, trees: Trees, journal: Journal, opened: Ints, items: Ints) -> None:
        self.trees, self._journal = trees, journal
        self._states = len(trees)
        self.chain, self.inputs = self._states + trees.steps, self._states + trees.steps + 1
        self._once = len(trees) - trees.steps * len(trees.stepped)
        self.items = items
        self.steps = self._opened_steps(opened, items)
        self.kinds = [kind for kind in self._every_kind(opened) if len(kind.steps)]
        lengths = [np.full(len(kind.steps), kind.blocks, np.int64) for kind in self.kinds]
        blocks = np.concatenate([np.zeros(0, np.int64), *lengths])
        self.kind = np.repeat(np.arange(len(lengths)), [len(part) for part in lengths])
        self.first_block: Ints = np.cumsum(blocks) - blocks
        self.block_count = int(blocks.sum())

    def __len__(self) -> int:
        return len(self.first_block)

    def numbers(self, domain: Domain) -> Ints:
        """The numbers of the records of a domain; of two kinds of a domain those of the last."""
        kinds = [k for k, kind in enumerate(self.kinds) if kind.domain == domain]
        found: Ints = np.flatnonzero(self.kind == kinds[-1]) if kinds else np.zeros(0, np.int64)
        return found

    def claims(self) -> list[tuple[int, Ints]]:
        """Numbers and digests of the records whose digest the journal says."""
        found, first = [], 0
        for kind in self.kinds:
            last = len(kind.steps) - 1
            digest = kind.claimed(int(kind.steps[last]))
            if digest is not None:
                found.append((first + last, digest))
            first += len(kind.steps)
        return found

    def after(self, steps: Ints) -> Ints:
        """Names of the states that steps end in."""
        names: Ints = self._states + steps
        return names

    def states(self) -> tuple[Ints, Ints]:
        """Names and numbers of the states after steps that are hashed here."""
        steps = self.items if self.trees.states else self.items[:0]
        numbers = self.numbers(Domain.STATE) if len(steps) else steps
        return self.after(steps), numbers

    # Which there are.

    def _opened_steps(self, opened: Ints, items: Ints) -> Ints:
        width = max(1, len(self.trees.stepped))
        found = [(opened[opened >= self._once] - self._once) // width, items]
        if self.trees.states:
            found.append(items[items > 0] - 1)
        return distinct(np.concatenate(found))

    def _every_kind(self, opened: Ints) -> Iterator[Kind]:
        trees, journal, program = self.trees, self._journal, self.trees.program
        data = len(trees.weights)
        initial = data + len(trees.data)
        first = bool(len(self.items)) and self.items[0] == 0
        last = bool(len(self.items)) and self.items[-1] == trees.steps - 1
        exports = program.exports if last else ()

        def once(present: object) -> Ints:
            return np.zeros(int(bool(present)), np.int64)

        def has(low: int, high: int) -> bool:
            return bool(((opened >= low) & (opened < high)).any())

        def states_at(step: int) -> Ints:
            return np.array([trees.number(t, step) for t in trees.states], np.int64)

        yield self._fixed_kind(
            Domain.WEIGHTS,
            len(trees.weights),
            once(has(0, data) or first or exports),
            _taken(np.arange(data, dtype=np.int64)),
            journal.weights_root,
        )
        yield self._fixed_kind(
            Domain.DATASET,
            len(trees.data),
            once(trees.data and (has(data, initial) or first)),
            _counted(program.records, np.arange(data, initial, dtype=np.int64)),
            journal.dataset_root,
        )
        yield self._fixed_kind(
            Domain.STATE,
            0,
            once(trees.states and (has(initial, self._once) or first)),
            _taken(states_at(0)),
            journal.initial_state,
        )
        size = step_elements(trees)
        yield Kind(Domain.STEP, 0, self.steps, size, self._of_steps, lambda step: None)
        states = self.items if trees.states else once(False)
        yield Kind(
            Domain.STATE,
            0,
            states,
            DIGEST * len(trees.states),
            self._of_states,
            lambda step: _digest(journal.final_state) if step == trees.steps - 1 else None,
        )
        size = 1 + DIGEST * len(program.inputs)
        yield Kind(Domain.INPUT, 0, self.items, size, self._of_inputs, lambda step: None)
        exported = np.array([trees.number(t, trees.steps) for t in exports], np.int64)
        yield self._fixed_kind(
            Domain.WEIGHTS, len(exports), once(exports), _taken(exported), journal.exported_root
        )
        for domain, name, steps, digest in (
            (Domain.CHAIN, self.chain, self.steps, journal.chain_root),
            (Domain.INPUTS, self.inputs, self.items, journal.input_root),
        ):
            held = _counted(trees.steps, np.array([name], np.int64))
            yield self._fixed_kind(domain, 0, once(len(steps)), held, digest)

    @staticmethod
    def _fixed_kind(domain: Domain, aux: int, once: Ints, held: Ints, claimed: bytes) -> Kind:
        """A record that stands once."""
        digest = _digest(claimed)
        rows = lambda steps: np.broadcast_to(held, (len(steps), len(held)))  # noqa: E731
        return Kind(domain, aux, once, len(held), rows, lambda step: digest)

    # What they hold.

    def _of_steps(self, steps: Ints) -> Ints:
        trees, journal = self.trees, self._journal
        held = np.empty((len(steps), step_elements(trees)), np.int64)
        program_id = np.frombuffer(journal.program_id, np.uint8)[None]
        held[:, :ID] = byte_elements(program_id)
        held[:, ID] = journal.first + steps
        held[:, 12:20] = _digest(journal.weights_root)
        held[:, 20:36] = 0
        if trees.states:
            held[:, 20:28] = _taken_rows(self.after(steps - 1)[:, None])
            held[:, 28:36] = _taken_rows(self.after(steps)[:, None])
            held[steps == 0, 20:28] = _digest(journal.initial_state)
            held[steps == trees.steps - 1, 28:36] = _digest(journal.final_state)
        stepped = np.arange(len(trees.stepped), dtype=np.int64)
        first = self._once + steps[:, None] * len(trees.stepped)
        held[:, 36:] = _taken_rows(first + stepped)
        return held

    def _of_states(self, steps: Ints) -> Ints:
        names = [self.trees.numbers(t, steps + 1) for t in self.trees.states]
        return _taken_rows(np.stack(names, axis=1))

    def _of_inputs(self, steps: Ints) -> Ints:
        held = np.empty((len(steps), 1 + DIGEST * len(self.trees.program.inputs)), np.int64)
        held[:, 0] = self._journal.first + steps
        names = [self.trees.numbers(t, steps) for t in self.trees.program.of_role(Role.INPUT)]
        if names:
            held[:, 1:] = _taken_rows(np.stack(names, axis=1))
        return held


@dataclass(frozen=True)
class Digests:
    """The digest table.

    Attributes:
        names: of the digests, ascending.
        columns: [4, rows].
    """

    names: Ints
    columns: Ints

    @classmethod
    def of(cls, records: Records, known: Ints, nodes: Ints) -> Digests:
        """Digests that are hashed in the segment, or taken more than once.

        Args:
            records: of the segment.
            known: names of the digests that are hashed there.
            nodes: their numbers on the digest bus.
        """
        order = np.argsort(known)
        known, nodes = known[order], nodes[order]
        taken = [np.zeros(0, np.int64)]
        for kind in records.kinds:
            for held in kind.parts():
                first = held[(held >= TAKEN) & ((held - TAKEN) % DIGEST == 0)]
                taken.append((first - TAKEN) // DIGEST)
        names, uses = counted(np.concatenate(taken))
        at = np.minimum(np.searchsorted(known, names), max(0, len(known) - 1))
        has = known[at] == names if len(known) else np.zeros(len(names), bool)
        keep = has | (uses > 1)
        names, uses, has, at = names[keep], uses[keep], has[keep], at[keep]
        columns = DIGEST_COLUMNS.table(
            len(names),
            node=np.where(has, nodes[at], 0) if len(known) else 0,
            has=has,
            at=DIGEST * np.arange(len(names), dtype=np.int64),
            uses=uses,
        )
        return cls(names, columns)

    def addresses(self, held: Ints) -> Ints:
        """Where taken elements stand on their bus; −1 of those that no row gives."""
        name, element = np.divmod(held - TAKEN, DIGEST)
        row = np.minimum(np.searchsorted(self.names, name), max(0, len(self.names) - 1))
        found = self.names[row] == name if len(self.names) else np.zeros(held.shape, bool)
        addresses: Ints = np.where(found, DIGEST * row + element, _FREE)
        return addresses


class RecordRows(Portions):
    """The record table: a row for each block; `leaf_blocks` blocks stand before them."""

    def __init__(self, records: Records, digests: Digests, leaf_blocks: int) -> None:
        self._records, self._digests, self._before = records, digests, leaf_blocks

    @property
    def shape(self) -> tuple[int, int]:
        """Columns and rows."""
        return RECORD_COLUMNS.count, self._records.block_count

    def part(self, first: int, end: int) -> Words:
        """Some rows, block by block."""
        found = np.zeros((self.shape[0], end - first), np.uint32)
        if first == end:
            return found
        at = RECORD_COLUMNS
        found[at["on"]] = 1
        found[at["block"]] = self._before + np.arange(first, end, dtype=np.int64)
        held = self._held(first, end)
        taken = held >= TAKEN
        held[taken] = self._digests.addresses(held[taken])
        taken &= held >= 0
        found[at["taken"]] = taken.T
        found[at["fixed"]] = ((held >= 0) & ~taken).T
        found[at["at"]] = np.maximum(held, 0).T
        return found

    def _held(self, first: int, end: int) -> Ints:
        """What the elements of some blocks are held to, [rows, 16]."""
        records = self._records
        blocks = np.arange(first, end, dtype=np.int64)
        record = np.searchsorted(records.first_block, blocks, side="right") - 1
        held = np.empty((end - first, RATE), np.int64)
        for k in distinct(records.kind[record]).tolist():
            kind, mine = records.kinds[k], records.kind[record] == k
            of_kind = record[mine] - int(np.searchsorted(records.kind, k))
            low, high = int(of_kind[0]), int(of_kind[-1]) + 1
            filled = np.full((high - low, RATE * kind.blocks), _FREE, np.int64)
            filled[:, : kind.elements] = kind.held(kind.steps[low:high])
            within = blocks[mine] - records.first_block[record[mine]]
            held[mine] = filled.reshape(-1, kind.blocks, RATE)[of_kind - low, within]
        return held


def _digest(data: bytes) -> Ints:
    found: Ints = digest_elements(data).astype(np.int64)
    return found


def _taken(names: Ints) -> Ints:
    """What the elements of digests are held to, [8·names]."""
    row: Ints = _taken_rows(names[None])[0]
    return row


def _taken_rows(names: Ints) -> Ints:
    """The same of rows of names [n, k], [n, 8·k]."""
    held = TAKEN + DIGEST * names[:, :, None] + np.arange(DIGEST, dtype=np.int64)
    rows: Ints = held.reshape(len(names), -1)
    return rows


def _counted(count: int, names: Ints) -> Ints:
    """A number, then digests."""
    return np.concatenate([np.array([count], np.int64), _taken(names)])
