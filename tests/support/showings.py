"""Hidden outputs of the plain prover, held and shown; and showings taken apart."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from support.receipts import Prover
from zktally.prover.outputs import HeldOutputs
from zktally.verifier.inputs import pack_values
from zktally.verifier.merkle import plan_openings
from zktally.verifier.program.types import Program, Role
from zktally.verifier.roots import digest_bytes
from zktally.verifier.shown import MAGIC, Form

HEAD = len(MAGIC) + 32 + 4


def held_of(prover: Prover) -> HeldOutputs:
    """What the prover keeps of its outputs, built tree by tree."""
    program, parts = prover.program, []
    for step, arrays in enumerate(prover.trace):
        for tensor in program.of_role(Role.INPUT, Role.VALUE):
            parts.append(digest_bytes(prover.trees[step, tensor].root))
        for port in program.outputs:
            parts.append(pack_values(arrays[port.tensor], program.tensors[port.tensor].width))
            parts.append(prover.trees[step, port.tensor].salts.astype("<u4").tobytes())
    return HeldOutputs(prover.journal.chain_root, prover.steps, b"".join(parts))


@dataclass(frozen=True)
class Cut:
    """A showing in its parts.

    Attributes:
        chain: the root that it names.
        steps: their numbers in the receipt.
        entries: of each step.
        siblings: of the tree over the steps.
        count: of steps as it is written, where it is not their number.
    """

    chain: bytes
    steps: tuple[int, ...]
    entries: tuple[bytes, ...]
    siblings: bytes
    magic: bytes = field(default=MAGIC)
    count: int | None = None

    @classmethod
    def of(cls, data: bytes, program: Program) -> Cut:
        form, count = Form.of(program), int.from_bytes(data[HEAD - 4 : HEAD], "little")
        size, start = form.head_bytes + form.output_bytes, HEAD + 4 * count
        end = start + count * size
        return cls(
            data[len(MAGIC) : HEAD - 4],
            tuple(np.frombuffer(data[HEAD:start], "<u4").tolist()),
            tuple(data[at : at + size] for at in range(start, end, size)),
            data[end:],
        )

    def encode(self) -> bytes:
        count = len(self.steps) if self.count is None else self.count
        head = self.magic + self.chain + count.to_bytes(4, "little")
        steps = np.array(self.steps, "<u4").tobytes()
        return b"".join([head, steps, *self.entries, self.siblings])

    def changed(self, step: int, at: int, flip: int = 1) -> Cut:
        """One byte of an entry is another."""
        entries = list(self.entries)
        entry = bytearray(entries[step])
        entry[at] ^= flip
        entries[step] = bytes(entry)
        return replace(self, entries=tuple(entries))


def sibling_count(leaves: int, steps: tuple[int, ...]) -> int:
    """Siblings of an opening of a tree."""
    opened = np.array(steps, np.int64)
    plan = plan_openings(np.array([leaves], np.int64), np.zeros(len(steps), np.int64), opened)
    return int(plan.sibling_counts[0])
