"""Hybrid receipts of honest runs, taken apart, and put together otherwise.

The prover proves no lie (`prove.witness`). So a liar has the proofs of honest runs, its own ones
among them, any statement, and bytes of any kind.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from unittest.mock import patch

import numpy as np
from anatomy import join
from forger import receipt_of

import zktally as api
from support import programs
from zktally.prover import Job, prove_job, wrapping_job
from zktally.verifier import stark
from zktally.verifier.errors import ZktallyError
from zktally.verifier.hybrid.verify import tables_file
from zktally.verifier.journal import HYBRID, Journal
from zktally.verifier.judge import verify as verify_plainly
from zktally.verifier.policy import Expectations, Policy
from zktally.verifier.program.types import Program, Role, Term
from zktally.verifier.reader import RECEIPT_CODES, Reader
from zktally.verifier.receipt import split_receipt
from zktally.verifier.stark import fri, proof, verify
from zktally.verifier.stark.statement import Statement

STANDARD, SMALL, FOLDABLE = 0, 1, 2
KNOWN = 32
"""Bytes of the digest of the statement, with which a proof begins."""

ROOT = 32
HEAD = 33
"""Bytes before the first segment."""


def proven(fast: bytes, profile: int = STANDARD) -> bytes:
    """The hybrid receipt of a fast one, with fresh masks at every call."""
    return prove_job(wrapping_job(fast, profile))


@cache
def hybrid_of(name: str, profile: int = STANDARD) -> bytes:
    """A hybrid receipt of an honest run of `forger.RUNS`."""
    return proven(receipt_of(name), profile)


@dataclass
class Hybrid:
    """All parts of a hybrid receipt, to be changed at will; without `answered`, that follows."""

    program: bytes
    journal: bytes
    profile: int
    segments: list[bytes]
    answered: bytes | None = None

    @property
    def head(self) -> bytes:
        """What the proof section begins with."""
        answered = self.answered or hashlib.sha256(self.journal).digest()
        return answered + bytes([self.profile])

    @property
    def proof(self) -> bytes:
        """The proof section."""
        return self.head + b"".join(self.segments)

    def encode(self) -> bytes:
        """The receipt."""
        return join(self.program, self.journal, self.proof)

    def with_proof(self, data: bytes) -> bytes:
        """The receipt with another proof section."""
        return join(self.program, self.journal, data)

    def restated(self, **fields: object) -> Hybrid:
        """The same proofs under a statement with other words."""
        journal = replace(Journal.decode(self.journal), **fields).encode()
        return replace(self, journal=journal)


@dataclass(frozen=True)
class Judged:
    """What the Python verifier gives its engine for one segment, and where its proof lies."""

    start: int
    length: int
    context: bytes
    present: list[stark.PresentTable]
    public_terms: stark.PublicTerms
    parameters: stark.Parameters

    @property
    def statement(self) -> Statement:
        """Its sizes."""
        return Statement(tables_file(), self.present, self.parameters)


def judged_segments(receipt: bytes, expectations: Expectations) -> list[Judged]:
    """The segments of a good receipt, as the Python verifier sees them; starts in the proof."""
    found: list[Judged] = []
    whole = len(split_receipt(receipt).proof)
    judge = stark.verify_stark

    def watch(data: memoryview, *, tables: object, **given: object) -> int:
        used = judge(data, tables=tables, **given)
        found.append(Judged(start=whole - len(data), length=used, **given))
        return used

    with patch.object(stark, "verify_stark", watch):
        verify_plainly(receipt, expectations)
    return found


def dissect(receipt: bytes, segments: list[Judged] | None = None) -> Hybrid:
    """Take a hybrid receipt apart; without segments as judged, all its proofs are one."""
    parts = split_receipt(receipt)
    data = bytes(parts.proof)
    proofs = [data[HEAD:]]
    if segments is not None:
        proofs = [data[one.start : one.start + one.length] for one in segments]
    return Hybrid(bytes(parts.program), bytes(parts.journal), data[KNOWN], proofs)


def parts_of(name: str, profile: int = STANDARD) -> Hybrid:
    """A hybrid receipt of an honest run, taken apart."""
    return copy.deepcopy(_parts_of(name, profile))


@cache
def _parts_of(name: str, profile: int) -> Hybrid:
    return dissect(hybrid_of(name, profile))


def head_of(fast: bytes) -> Hybrid:
    """The statement of a fast receipt, as a hybrid one without a proof."""
    parts = split_receipt(fast)
    journal = replace(Journal.decode(parts.journal), mode=HYBRID)
    return Hybrid(bytes(parts.program), journal.encode(), STANDARD, [])


def spliced(fast: bytes, name: str) -> bytes:
    """The statement of any run, and the proofs of an honest one."""
    return replace(head_of(fast), segments=parts_of(name).segments).encode()


def refusal(fast: bytes) -> str:
    """The code with which the prover declines to prove these openings."""
    try:
        proven(fast)
    except ZktallyError as error:
        return error.code
    return "proven"


# A run of two segments.


def _matrix() -> Program:
    """A product of two matrices, 64 by 2048 each: few leaves, many products."""
    rows, columns, inner = 64, 64, 2048
    tensor, layout, read = programs.tensor, programs.layout, programs.read
    product = programs.dot(
        "product",
        2,
        (rows, columns),
        Term(
            (inner,),
            read(0, (rows, inner), programs.i(0), programs.k(0)),
            read(1, (columns, inner), programs.i(1), programs.k(0)),
        ),
        shift=programs.Const(18),
        exact=True,
    )
    return Program(
        name="matrix",
        tensors=(
            tensor("x", Role.INPUT, (rows, inner)),
            tensor("w", Role.WEIGHT, (columns, inner)),
            tensor("y", Role.VALUE, (rows, columns), cut=layout((rows, columns))),
        ),
        tables=(),
        ops=(product,),
        inputs=(programs.port("x", 0),),
        outputs=(programs.port("y", 2),),
    )


@dataclass(frozen=True)
class Long:
    """A run of two segments: its receipt, and what a caller expects."""

    job: Job
    receipt: bytes
    expectations: Expectations
    _parts: Hybrid

    @property
    def parts(self) -> Hybrid:
        """The receipt, taken apart."""
        return copy.deepcopy(self._parts)


@cache
def _long_job(seed: int) -> tuple[Job, Expectations]:
    program = _matrix()
    rng = np.random.default_rng(1)
    model = api.assemble(program, {1: programs.random_array(program.tensors[1], rng)})
    inputs = np.random.default_rng(seed).integers(-128, 128, (1, 64, 2048))
    fast = api.prove(model, inputs, "fast", bits=102, visibility="private", reveal=True)
    return wrapping_job(fast.data, STANDARD), Expectations.of(
        model_id=model.model_id, policy=Policy()
    )


@cache
def long(seed: int, again: int = 0) -> Long:
    """The run on random inputs of this seed; `again` numbers proofs of the same statement."""
    job, expectations = _long_job(seed)
    receipt = prove_job(job)
    parts = dissect(receipt, judged_segments(receipt, expectations))
    return Long(job, receipt, expectations, parts)


# The fields of the proof of a segment.


def fields_of(data: bytes, one: Judged) -> Iterator[tuple[str, int, int]]:
    """Name, start and length of every field of a proof, in order; `data` begins with the proof."""
    statement, profile = one.statement, one.parameters.profile
    domains = [log_rows + profile.log_blowup for log_rows in statement.log_heights]
    rounds = fri.plan_rounds(domains, profile.log_folding, profile.log_blowup + profile.log_final)
    reader = Reader(memoryview(data), RECEIPT_CODES)
    head = proof.read_head(reader, statement, rounds)
    at = 0

    def field(name: str, length: int) -> tuple[str, int, int]:
        nonlocal at
        at += length
        return name, at - length, length

    yield field("main root", ROOT)
    yield field("auxiliary root", ROOT)
    for table in statement.tables:
        yield field(f"terminal of {table.table.name}", 20)
    yield field("quotient root", ROOT)
    for number in range(statement.opening_count):
        yield field(f"opened value {number}", 20)
    yield field("batch nonce", 8)
    for number in range(len(rounds)):
        yield field(f"root of round {number}", ROOT)
        yield field(f"nonce of round {number}", 8)
    for number in range(1 << profile.log_final):
        yield field(f"final coefficient {number}", 20)
    yield field("query nonce", 8)
    drawn = verify._draw(statement, one.context, head)
    openings = proof.read_openings(reader, statement, rounds, drawn.indices)
    trees = {"main": openings.main, "auxiliary": openings.aux, "quotient": openings.quotient}
    trees |= {f"round {number}": opening for number, opening in enumerate(openings.rounds)}
    for name, opening in trees.items():
        salt = 0 if name.startswith("round") else 16
        for level, rows in opening.rows.items():
            for position, raw in zip(rows.positions.tolist(), rows.raw, strict=True):
                yield field(f"{name} row {level}.{position}", raw.nbytes - salt)
                if salt:
                    yield field(f"{name} salt {level}.{position}", salt)
        for number in range(len(opening.siblings)):
            yield field(f"{name} sibling {number}", ROOT)
    if at != one.length:
        raise AssertionError(f"{at} bytes of fields in a proof of {one.length}")
