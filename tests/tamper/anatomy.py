"""A receipt taken apart into the fields of docs/receipt-format.md, and put together again.

What is opened follows from the journal, so taking apart runs the plan; putting together does not.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

import numpy as np

from zktally.verifier.journal import Journal
from zktally.verifier.openings import Proof, Trees
from zktally.verifier.program.checked import load
from zktally.verifier.receipt import split_receipt, version_of
from zktally.verifier.sampling import Counts, make_plan, sample_seed
from zktally.verifier.steps import order_of

MAGIC = b"ZKTALLY\x03"
"""Of a fast receipt."""

FIELDS = {
    "version": (0, 2),
    "mode": (2, 1),
    "program id": (3, 32),
    "weights root": (35, 32),
    "dataset root": (67, 32),
    "first": (99, 4),
    "steps": (103, 4),
    "items": (107, 4),
    "delta": (111, 4),
    "delta per step": (115, 4),
    "delta per op": (119, 4),
    "lambda": (123, 2),
    "exact": (125, 2),
    "chain root": (127, 32),
    "input root": (159, 32),
    "initial state": (191, 32),
    "final state": (223, 32),
    "exported root": (255, 32),
    "prf seed": (287, 32),
    "seed": (319, 1),
    "start": (320, 1),
    "input key flag": (321, 1),
    "input key": (322, 32),
    "inputs flag": (354, 1),
    "inputs length": (355, 4),
}
"""Offset and length of the fields of a journal without exact ops, and with published inputs."""


@dataclass
class Opening:
    """What is sent of one tree."""

    name: str
    leaves: list[bytes] = field(default_factory=list)
    salts: list[bytes] = field(default_factory=list)
    siblings: list[bytes] = field(default_factory=list)


@dataclass
class Parts:
    """All fields of a receipt, to be changed at will; the seed in its proof follows."""

    program: bytes
    journal: bytes
    roots: dict[str, bytes]
    seed: bytes
    openings: dict[str, Opening]

    @property
    def sections(self) -> list[bytes]:
        """Program, journal, proof."""
        proof = sample_seed(self.journal) + b"".join(self.roots.values()) + self.seed
        for tree in self.openings.values():
            pairs = zip(tree.leaves, tree.salts, strict=True)
            proof += b"".join(leaf + salt for leaf, salt in pairs) + b"".join(tree.siblings)
        return [self.program, self.journal, proof]

    def encode(self) -> bytes:
        """The receipt."""
        return join(*self.sections)

    def overwrite(self, name: str, data: bytes) -> bytes:
        """The receipt with one field of the journal overwritten."""
        start, length = FIELDS[name]
        if len(data) != length:
            raise ValueError(f"{name} has {length} bytes")
        return self.restated(self.journal[:start] + data + self.journal[start + length :])

    def restated(self, journal: bytes) -> bytes:
        """The receipt with another statement, which the same openings claim to answer."""
        return replace(self, journal=journal).encode()


def join(*sections: bytes) -> bytes:
    """A receipt of any sections, whatever is in them; its version is that of the statement."""
    magic = MAGIC[:-1] + bytes([version_of(sections[1])])
    return magic + b"".join(struct.pack("<I", len(part)) + part for part in sections)


def dissect(receipt: bytes) -> Parts:
    """Take a good receipt apart."""
    sections = split_receipt(receipt)
    journal = Journal.decode(sections.journal)
    checked = load(bytes(sections.program))
    seed = sample_seed(sections.journal)
    plan = make_plan(Counts(checked, journal), seed)
    trees = Trees(checked.program, journal.steps, order_of(checked.program, journal))
    proof = Proof.parse(sections.proof[len(seed) :], trees, plan)
    names = [trees.describe(tree).replace(chr(34), "") for tree in range(len(trees))]
    openings: dict[str, Opening] = {}
    for row, tree in enumerate(proof.tree):
        opening = openings.setdefault(names[tree], Opening(names[tree]))
        length = int(proof.lengths[row])
        opening.leaves.append(proof.packed(np.array([row]), length)[0].tobytes())
        opening.salts.append(proof.salts[row].astype("<u4").tobytes())
    siblings = [digest.astype("<u4").tobytes() for digest in proof.siblings]
    for tree, count in enumerate(proof.openings.sibling_counts):
        if count:
            openings[names[tree]].siblings = [siblings.pop(0) for _ in range(count)]
    return Parts(
        program=bytes(sections.program),
        journal=bytes(sections.journal),
        roots=dict(zip(names, (root.astype("<u4").tobytes() for root in proof.roots), strict=True)),
        seed=b"" if proof.prf_seed is None else proof.prf_seed.astype("<u4").tobytes(),
        openings=openings,
    )
