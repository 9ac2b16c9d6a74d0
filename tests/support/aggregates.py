"""Aggregates by their parts, for tests that take them to pieces and put others together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zktally.verifier.hybrid.aggregate import MAGIC, split_aggregate
from zktally.verifier.reader import Writer


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
