"""The outputs of a receipt that hides them, held so that single steps can be shown later.

A receipt with hidden outputs is bound to them by its chain root alone. Whoever made it keeps what
it takes to show that: the roots of all trees, values and salts of the outputs. It is as secret as
the outputs are; of other tensors it has no salts, and not the key that salts follow from.

File: `ZKTOUTS`, version byte 1; chain root, 32 bytes; u32 number of steps; of each step the roots
of its input and value tensors, in tensor order, 32 bytes each, then port by port the packed values
and the salts of all leaves (docs/receipt-format.md); then SHA-256 of all that, which finds
accidents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np

from ..circuits.arguments import whole
from ..circuits.files import read_limited, write_atomically
from ..verifier.arrays import distinct
from ..verifier.errors import UsageError
from ..verifier.gates import Ints
from ..verifier.journal import Journal
from ..verifier.kinds import OUTPUTS, what_is
from ..verifier.merkle import tree_roots
from ..verifier.poseidon2 import DIGEST, Elements, compress
from ..verifier.program.codec import decode
from ..verifier.program.types import Program
from ..verifier.receipt import split_receipt
from ..verifier.roots import chain_root, digest_elements, state_digests, step_digests
from ..verifier.shown import MAGIC as SHOWING
from ..verifier.shown import Form, judge_shown, refuse_published
from .errors import BadOutputsFile

MAGIC = b"ZKTOUTS\x01"
SUFFIX = ".outputs"
FILE_MAX = 1 << 34
HASH = 32


@dataclass(frozen=True)
class HeldOutputs:
    """What it takes to show the outputs of the steps of a receipt.

    Attributes:
        chain_root: of the receipt, 32 bytes.
        steps: in it.
        body: step by step roots, values and salts; secret.
    """

    chain_root: bytes
    steps: int
    body: bytes = field(repr=False)

    def save(self, path: str | Path, force: bool = False) -> None:
        """Write the file atomically, for its owner only.

        Raises:
            UsageError: `usage.file-exists` without `force`, `usage.unwritable`.
        """
        write_atomically(path, self.to_bytes(), force=force, private=True)

    @classmethod
    def load(cls, path: str | Path) -> HeldOutputs:
        """Read the file.

        Raises:
            UsageError: `usage.unreadable`.
            BadOutputsFile: it is not what `save` writes.
        """
        return cls.from_bytes(read_limited(path, FILE_MAX))

    def to_bytes(self) -> bytes:
        """The bytes of the file."""
        data = MAGIC + self.chain_root + self.steps.to_bytes(4, "little") + self.body
        return data + hashlib.sha256(data).digest()

    @classmethod
    def from_bytes(cls, data: bytes) -> HeldOutputs:
        """The inverse of `to_bytes`.

        Raises:
            BadOutputsFile: the bytes are not what it writes.
        """
        if data[: len(MAGIC)] != MAGIC:
            _bad("it holds no outputs, or is of another version", OUTPUTS, what_is(data))
        start = len(MAGIC) + HASH
        if len(data) < start + 4 + HASH or hashlib.sha256(data[:-HASH]).digest() != data[-HASH:]:
            _bad("it is truncated or damaged: its checksum is wrong")
        steps = int.from_bytes(data[start : start + 4], "little")
        return cls(data[len(MAGIC) : start], steps, data[start + 4 : -HASH])

    def show(self, receipt: bytes, steps: Iterable[int]) -> bytes:
        """The showing of some steps, which anyone can verify who has the receipt.

        It tells the outputs of these steps, and of no other step anything.

        Args:
            receipt: whose outputs these are, hidden in it.
            steps: their numbers in the run, in any order.

        Raises:
            UsageError: no such steps, or another receipt.
            BadOutputsFile: the outputs are not those that the receipt is bound to.
        """
        sections = split_receipt(receipt)
        program, journal = decode(sections.program), Journal.decode(sections.journal)
        refuse_published(program, journal)
        if self.chain_root != journal.chain_root:
            raise UsageError(
                "these are the outputs of another receipt",
                expected=journal.chain_root.hex(),
                received=self.chain_root.hex(),
            )
        showing = _Chain(self, program, journal).showing(_chosen(steps, journal))
        judge_shown(showing, program, journal)  # what is given away is what was meant
        return showing

    def __repr__(self) -> str:
        return f"HeldOutputs({self.steps} steps of chain {self.chain_root.hex()[:8]}…)"


class _Chain:
    """All steps of a receipt: their records, and the tree over them."""

    def __init__(self, held: HeldOutputs, program: Program, journal: Journal) -> None:
        self._form, self._has_states = Form.of(program), bool(program.states)
        roots_bytes = 4 * DIGEST * len(self._form.stepped)
        size = roots_bytes + self._form.output_bytes
        if held.steps != journal.steps or len(held.body) != held.steps * size:
            _bad("it does not fit the receipt", f"{journal.steps} steps of {size} bytes")
        rows = np.frombuffer(held.body, np.uint8).reshape(held.steps, size)
        self._outputs = rows[:, roots_bytes:]
        words = np.ascontiguousarray(rows[:, :roots_bytes]).view("<u4")
        self._roots: Elements = words.astype(np.uint64).reshape(held.steps, -1, DIGEST)
        self._before, self._digests = self._records(journal)
        root = tree_roots(self._digests[None])[0]
        if chain_root(journal.steps, root) != journal.chain_root:
            _bad("it holds other roots than those of the receipt")
        self._chain_root = journal.chain_root

    def _records(self, journal: Journal) -> tuple[Elements, Elements]:
        """The digests of the states before all steps, and of their records: [steps, 8] each."""
        after = state_digests(self._roots[:, self._form.linked])
        before = np.concatenate([digest_elements(journal.initial_state)[None], after[:-1]])
        positions = np.arange(journal.first, journal.first + journal.steps, dtype=np.int64)
        ids = (journal.program_id, journal.weights_root)
        return before, step_digests(*ids, before, after, self._roots, positions)

    def showing(self, steps: Ints) -> bytes:
        """The bytes for steps by their numbers in the receipt, ascending."""
        others = [self._form.stepped.index(number) for number in self._form.others]
        parts = [SHOWING, self._chain_root, len(steps).to_bytes(4, "little")]
        parts.append(steps.astype("<u4").tobytes())
        for step in steps.tolist():
            before = _bytes(self._before[step]) if self._has_states else b""
            parts += [before, _bytes(self._roots[step, others]), self._outputs[step].tobytes()]
        return b"".join([*parts, _bytes(_siblings(self._digests, steps))])


def _siblings(leaves: Elements, opened: Ints) -> Elements:
    """What openings of a tree need beside the leaves, level by level from these, left to right."""
    found, level, nodes = [np.zeros((0, DIGEST), np.uint64)], leaves, opened
    while len(level) > 1:
        parents = distinct(nodes // 2)
        children = (2 * parents[:, None] + np.arange(2)).ravel()
        missing = children[~np.isin(children, nodes) & (children < len(level))]
        found.append(level[missing])
        if len(level) % 2:
            level = np.concatenate([level, np.zeros_like(level[:1])])
        level, nodes = compress(level[::2], level[1::2]), parents
    return np.concatenate(found)


def _chosen(steps: Iterable[int], journal: Journal) -> Ints:
    """Steps by their numbers in the receipt, ascending."""
    last = journal.first + journal.steps - 1
    numbers = {whole(step, "step", journal.first, last) for step in steps}
    if not numbers:
        raise UsageError("no step is to be shown", expected=f"of {journal.first} to {last}")
    return np.array(sorted(numbers), np.int64) - journal.first


def _bytes(digests: Elements) -> bytes:
    return digests.astype("<u4").tobytes()


def _bad(why: str, expected: str | None = None, received: str | None = None) -> NoReturn:
    raise BadOutputsFile(f"bad outputs file: {why}", expected=expected, received=received)
