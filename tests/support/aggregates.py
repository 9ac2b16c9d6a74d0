"""Aggregates by their parts, for tests that take them to pieces and put others together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zktally.prover.claims import usual_bits
from zktally.verifier.hybrid.aggregate import MAGIC, split_aggregate
from zktally.verifier.journal import HYBRID
from zktally.verifier.reader import Writer
from zktally.verifier.receipt import split_receipt
from zktally.verifier.recursion import layers

from .foldable import points
from .receipts import Prover

OUTER = 70_000
"""Bytes of what stands for an outer proof."""


def joined(
    programs: Sequence[bytes], receipts: Sequence[tuple[int, bytes]], proof: bytes = b"proof"
) -> bytes:
    """The bytes of an aggregate: receipts name their programs by number."""
    writer = Writer()
    writer.raw(MAGIC + b"\1")
    writer.u16(len(programs))
    for program in programs:
        writer.blob(program)
    writer.u16(len(receipts))
    for number, journal in receipts:
        writer.u16(number)
        writer.blob(journal)
    writer.blob(proof)
    return writer.getvalue()


@dataclass(frozen=True)
class Parts:
    """Program and journal of each receipt, and the proof."""

    receipts: tuple[tuple[bytes, bytes], ...]
    proof: bytes

    @classmethod
    def of(cls, data: bytes) -> Parts:
        found = split_aggregate(data)
        own = tuple((bytes(each.program), bytes(each.journal)) for each in found.receipts)
        return cls(own, bytes(found.proof))

    def join(self) -> bytes:
        """The aggregate of these, in the one encoding that it has."""
        programs = list(dict.fromkeys(program for program, _ in self.receipts))
        named = [(programs.index(program), journal) for program, journal in self.receipts]
        return joined(programs, named, self.proof)


class Run:
    """A run whose receipt is made to stand in an aggregate."""

    def __init__(self, name: str, mode: int = HYBRID) -> None:
        self.prover = Prover(name, steps=2, bits=usual_bits("hybrid")).commit()
        self.program = bytes(split_receipt(self.prover.receipt()).program)
        self.prover.change(mode=mode)
        self.journal = self.prover.journal.encode()
        self.expected = self.prover.expectations()
        # Another statement about the same model: a shorter run.
        shorter = Prover(name, steps=1, bits=usual_bits("hybrid")).commit()
        shorter.change(mode=mode)
        self.journals = [self.journal, shorter.journal.encode()]


def together(
    runs: Sequence[Run], order: Sequence[int] = (0, 1, 0), rest: bytes | None = None
) -> bytes:
    """An aggregate of receipts of one segment each, with points and no outer proof to speak of."""
    every = range(len(order) + sum(layers.layers(len(order))))
    own = b"".join(points(str(number)).to_bytes() for number in every) + bytes(OUTER)
    receipts = [
        (number, runs[number].journals[order[:i].count(number)]) for i, number in enumerate(order)
    ]
    return joined([run.program for run in runs], receipts, own if rest is None else rest)
