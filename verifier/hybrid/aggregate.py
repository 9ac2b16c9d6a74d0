"""Several receipts in one file, with one proof for all of them (docs/recursion.md section 6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ..errors import (
    MalformedReceipt,
    ProgramMismatch,
    UnsupportedReceipt,
    UsageError,
    ZktallyError,
    error_for,
)
from ..facts import Facts
from ..journal import HYBRID, STRICT, Journal
from ..kinds import AGGREGATED as MAGIC
from ..kinds import is_aggregate, what_is
from ..policy import Expectations
from ..profiles import SUCCINCT
from ..program.checked import Checked
from ..reader import RECEIPT_CODES, Reader
from ..receipt import (
    MAX_JOURNAL,
    MAX_PROGRAM,
    MAX_PROOF,
    Sections,
    as_receipt,
    judge_length,
    read_section,
)
from ..recursion.child import Child
from ..recursion.layers import verify_layers
from ..steps import Outputs, judge_sections
from .segments import SUCCINCT as ROOM_INSIDE
from .segments import Room
from .verify import Session

VERSION = 1
MODES_IN_ONE = (HYBRID, STRICT)
"""Of receipts whose proofs can be aggregated."""
MAX_SEGMENTS = 256
MAX_DRAWS = 1 << 26
"""Of all receipts together."""


@dataclass(frozen=True)
class Aggregate:
    """The parts of an aggregate, views of its bytes; the receipts have no proofs of their own."""

    receipts: tuple[Sections, ...]
    proof: memoryview

    @property
    def room(self) -> tuple[int, Room]:
        """Bytes for the proofs of any receipt, and the rule by which they bound its segments."""
        return len(self.proof), replace(ROOM_INSIDE, most=MAX_SEGMENTS)


def verify_aggregate(
    data: bytes | bytearray | memoryview, expectations: Sequence[Expectations]
) -> list[tuple[Facts, Outputs]]:
    """Judge every receipt of an aggregate, then the proof of all.

    Args:
        data: its bytes.
        expectations: each receipt is held against the first that names its model, or against the
            first of all where none does.

    Returns:
        Facts and outputs of each receipt, as of `verify_hybrid`; the size is that of the file.

    Raises:
        UsageError: nothing is expected, or the data are no bytes.
        MalformedReceipt, UnsupportedReceipt, MalformedProgram, InvalidProgram: it cannot be judged.
        VerificationFailed: it was judged and refused.
    """
    _judge_expectations(expectations)
    data = as_receipt(data)
    aggregate = split_aggregate(data)
    reader = Reader(aggregate.proof, RECEIPT_CODES)
    leaves: list[Child] = []
    judged: list[tuple[Facts, Outputs]] = []
    programs: dict[bytes, Checked] = {}
    drawn = bits = 0
    for number, sections in enumerate(aggregate.receipts):
        with numbered(number, aggregate, expectations):
            expected = expected_of(sections, expectations)
            statement = judge_sections(sections, len(data), expected, MODES_IN_ONE, programs)
            left = MAX_SEGMENTS - len(leaves)
            session = Session.of(statement, expected, lambda: (SUCCINCT, reader.remaining), left)
            bits = max(bits, statement.journal.bits)
            drawn += session.plan.drawn
            _judge_drawn(drawn)
            own, least = session.proofs.leaves(reader)
            leaves += own
            judged.append((session.facts(least), session.outputs))
    verify_layers(leaves, reader, bits)
    reader.end()
    _judge_all_meant(aggregate, expectations)
    return judged


def _judge_expectations(expectations: Sequence[Expectations]) -> None:
    """Every model that is expected is named once, and what holds of one receipt is not expected.

    Raises:
        UsageError: nothing is expected, a model twice, or inputs.
    """
    models = {one.model_id for one in expectations}
    if not models or len(models) < len(expectations):
        raise UsageError(
            "every model that is expected is named once",
            expected="at least one model",
            received=len(expectations),
        )
    if any(one.inputs is not None for one in expectations):
        raise UsageError(
            "inputs are expected of receipts in an aggregate",
            hint="judge the receipts one by one, or name input roots",
        )


def _judge_drawn(drawn: int) -> None:
    """All receipts together have no more samples than one may have."""
    if drawn > MAX_DRAWS:
        raise UnsupportedReceipt(
            "the receipts have too many samples together",
            code="verify.too-large",
            expected=f"at most {MAX_DRAWS}",
            received=drawn,
        )


def _judge_all_meant(aggregate: Aggregate, expectations: Sequence[Expectations]) -> None:
    """There is a receipt about each model that is expected."""
    found = {Journal.decode(sections.journal).model_id for sections in aggregate.receipts}
    for one in expectations:
        if one.model_id not in found:
            raise ProgramMismatch(
                "no receipt is about a model that is expected",
                code="verify.model-mismatch",
                expected=one.model_id.hex(),
            )


@contextmanager
def numbered(
    number: int, aggregate: Aggregate, expectations: Sequence[Expectations]
) -> Iterator[None]:
    """Let a refusal name the receipt that it is about; and all models that could have been meant.

    Args:
        number: of the receipt, from 0 on; people count from 1.
        aggregate: that it is in.
        expectations: one for each model.
    """
    try:
        yield
    except ZktallyError as error:
        expected = error.expected
        if error.code == "verify.model-mismatch" and len(expectations) > 1:
            expected = f"one of {', '.join(one.model_id.hex() for one in expectations)}"
        raise error_for(
            error.code,
            f"receipt {number + 1} of {len(aggregate.receipts)}: {error.message}",
            expected=expected,
            received=error.received,
            hint=error.hint,
        ) from None


def split_aggregate(data: bytes) -> Aggregate:
    """Cut an aggregate into its parts.

    Raises:
        MalformedReceipt: no aggregate, truncated, a part too large, programs that do not stand once
            in the order in which receipts first name them, or bytes follow.
        UnsupportedReceipt: another version.
    """
    judge_length("aggregate", len(data))
    reader = Reader(data, RECEIPT_CODES)
    if not is_aggregate(data):
        raise MalformedReceipt(
            "these are no aggregated receipts",
            code="receipt.bad-magic",
            expected="an aggregate, which begins with ZKTMANY",
            received=what_is(data),
        )
    reader.take(len(MAGIC))
    version = reader.u8()
    if version != VERSION:
        raise UnsupportedReceipt(
            "an aggregate of another version",
            code="receipt.unsupported-version",
            expected=VERSION,
            received=version,
        )
    programs = [read_section(reader, "program", MAX_PROGRAM) for _ in range(reader.u16())]
    named = [
        (reader.u16(), read_section(reader, "journal", MAX_JOURNAL)) for _ in range(reader.u16())
    ]
    proof = read_section(reader, "proof", MAX_PROOF)
    _judge_order(reader, programs, [number for number, _ in named])
    _judge_once(reader, named)
    reader.end()
    none = memoryview(b"")
    return Aggregate(tuple(Sections(programs[i], journal, none) for i, journal in named), proof)


def _judge_order(reader: Reader, programs: Sequence[memoryview], named: Sequence[int]) -> None:
    """Programs stand once, each where a receipt first names it: there is one encoding."""
    seen = 0
    for number in named:
        if number > seen or number >= len(programs):
            raise reader.bad("programs do not stand in the order of their first receipts")
        seen = max(seen, number + 1)
    if not named or seen != len(programs) or len(set(map(bytes, programs))) < seen:
        raise reader.bad("a program stands twice, or without a receipt")


def _judge_once(reader: Reader, named: Sequence[tuple[int, memoryview]]) -> None:
    """A statement counts once, however many proofs of it there are."""
    if len({(number, bytes(journal)) for number, journal in named}) < len(named):
        raise reader.bad("a statement stands twice")


def expected_of(sections: Sections, expectations: Sequence[Expectations]) -> Expectations:
    """The expectations for the model of a receipt."""
    model = Journal.decode(sections.journal).model_id
    return next((one for one in expectations if one.model_id == model), expectations[0])
