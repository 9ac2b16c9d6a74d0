"""The hybrid check: sections 7 to 12 of a verification (docs/hybrid.md section 7).

Whatever the bytes are, only errors of `errors` come out, and the first failure is the one reported;
an independent verifier in Rust reports the same code.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise

import numpy as np

from .. import profiles, stark
from ..confidence import headline
from ..errors import InvalidProof, JournalMismatch
from ..facts import Facts, StarkFacts, facts_of
from ..gates import Ints
from ..journal import HYBRID, STRICT, Journal
from ..openings import Trees
from ..policy import Expectations
from ..program.checked import Checked
from ..program.types import Port, Program
from ..quoting import quoted
from ..reader import RECEIPT_CODES, Reader
from ..receipt import Sections
from ..sampling import Counts, Plan, make_plan, sample_seed
from ..stark import params
from ..stark.params import REFERENCE
from ..stark.statement import most_rows
from ..steps import (
    Outputs,
    Statement,
    claimed_outputs,
    compare_inputs,
    judge_origin,
    judge_statement,
    order_of,
    to_caller,
)
from .blocks import count_blocks
from .proofs import Proofs
from .requantise import judge_covered
from .schedule import Claims, Schedule, derive
from .segments import (
    OWN_PROOFS,
    SUCCINCT,
    ItemList,
    Room,
    cut,
    judge_count,
    segment_count,
)


def verify_hybrid(
    receipt: bytes | bytearray | memoryview, expectations: Expectations
) -> tuple[Facts, Outputs]:
    """Judge a hybrid receipt.

    Args:
        receipt: its bytes.
        expectations: what the caller means and demands.

    Returns:
        The facts that are shown, and the outputs by port name: float32 or int64, [items, ...] for
        a port with a batch axis, else [steps, ...].

    Raises:
        MalformedReceipt, UnsupportedReceipt, MalformedProgram, InvalidProgram: it cannot be judged.
        VerificationFailed: it was judged and refused.
        UsageError: the expected inputs do not fit the program, or the receipt is no bytes.
    """
    statement = judge_statement(receipt, expectations, (HYBRID, STRICT))  # 1. to 6.
    return check_hybrid(statement, expectations)


def check_hybrid(statement: Statement, expectations: Expectations) -> tuple[Facts, Outputs]:
    """Sections 7 to 12 for a statement of mode hybrid; see `verify_hybrid`."""
    reader = Reader(statement.sections.proof, RECEIPT_CODES)

    def opened() -> tuple[int, int]:
        return _read_head(reader, _digest(statement)), reader.remaining

    session = Session.of(statement, expectations, opened)
    proofs, succinct = session.proofs, session.profile == profiles.SUCCINCT
    proven_bits = proofs.judge_succinct(reader) if succinct else proofs.judge(reader)  # 11.
    reader.end()  # 12. Nothing follows.
    return session.facts(proven_bits), session.outputs


@dataclass(frozen=True)
class Session:
    """A statement that was judged up to its segments.

    Attributes:
        statement: what is judged.
        plan: its samples.
        profile: of its proofs.
        proofs: of its segments, not judged yet.
        outputs: as `verify_hybrid` returns them.
    """

    statement: Statement
    plan: Plan
    profile: int
    proofs: Proofs
    outputs: Outputs

    @classmethod
    def of(
        cls,
        statement: Statement,
        expectations: Expectations,
        opened: Callable[[], tuple[int, int]],
        most: int | None = None,
    ) -> Session:
        """Sections 7 to 10.

        Args:
            statement: that was judged so far.
            expectations: what the caller means and demands.
            opened: reads what the proofs begin with: the profile, and how many bytes there are.
            most: segments, if fewer than any receipt may have.

        Raises:
            ZktallyError: the codes of these sections.
        """
        journal, checked = statement.journal, statement.checked
        program = checked.program
        plan = make_plan(statement.counts, sample_seed(statement.sections.journal))
        trees = Trees(program, journal.steps, statement.order)  # 7. Plan, head, coverage.
        profile, room = opened()
        judge_covered(checked)
        judge_origin(statement, trees)  # 8. Seed and start.
        compare_inputs(program, journal, trees, None, expectations)  # 9. Inputs, outputs.
        outputs = claimed_outputs(program, journal)
        _judge_outputs(program, journal.published(program.outputs), outputs)
        rule = _room(profile) if most is None else replace(_room(profile), most=most)
        segments = _Segments(checked, plan, trees, Claims(journal, outputs), (room, rule))
        own, count = profiles.of_segments(profile), len(segments)
        parameters = stark.choose(own, REFERENCE, count, journal.bits)
        schedules = segments.schedules(most_rows(parameters))
        proofs = Proofs(
            count=count,
            statements=zip(schedules, _contexts(statement, own, count), strict=True),
            tables=tables_file(),
            parameters=parameters,
            target=params.target(count, journal.bits),
            bits=journal.bits,
        )
        session = cls(statement, plan, profile, proofs, to_caller(program, journal, outputs))
        _judge_bits(session.headline(proofs.target), expectations)  # 10. Bits.
        return session

    def headline(self, proven_bits: float) -> int:
        """What the receipt is worth if each segment shows so many bits."""
        succinct = self.profile == profiles.SUCCINCT
        bits = self.statement.journal.bits
        return headline(bits, proven_bits, self.proofs.count, succinct=succinct)

    def facts(self, proven_bits: float) -> Facts:
        """What is shown once everything is judged."""
        name, tenths = profiles.NAMES[self.profile], math.floor(10 * proven_bits)
        shown = StarkFacts(name, self.proofs.count, tenths / 10)
        size, bits = self.statement.receipt_bytes, self.headline(proven_bits)
        return facts_of(self.plan, size, bits, shown)


@lru_cache
def tables_file() -> stark.TablesFile:
    """The definitions of all tables, as they are installed with this package."""
    return stark.read_tables(files(stark).joinpath("tables.bin").read_bytes())


def _read_head(reader: Reader, journal: bytes) -> int:
    """7. The head: which statement the proof is for, and the profile, which is returned."""
    answered = bytes(reader.take(len(journal)))
    if answered != journal:
        raise JournalMismatch(
            "the proof was made for another statement",
            code="verify.journal-mismatch",
            expected=journal.hex(),
            received=answered.hex(),
        )
    return profiles.read_profile(reader)


def _judge_outputs(program: Program, ports: Sequence[Port], outputs: Mapping[int, Ints]) -> None:
    """9. The statement's outputs lie in their declared ranges, step by step, port by port."""
    failures = []
    for place, port in enumerate(ports):
        tensor = program.tensors[port.tensor]
        values = outputs[port.tensor].reshape(len(outputs[port.tensor]), -1)
        outside = (values.min(1) < tensor.lo) | (values.max(1) > tensor.hi)
        failures += [(int(step), place) for step in np.flatnonzero(outside)[:1]]
    if failures:
        step, place = min(failures)
        port = ports[place]
        tensor = program.tensors[port.tensor]
        raise InvalidProof(
            f"output {quoted(port.name)} is out of its range in step {step}",
            code="verify.range",
            expected=f"[{tensor.lo}, {tensor.hi}]",
        )


class _Segments:
    """The segments of a receipt: their number, and in order their schedules."""

    def __init__(
        self,
        checked: Checked,
        plan: Plan,
        trees: Trees,
        claims: Claims,
        room: tuple[int, Room],
    ) -> None:
        """So many bytes hold their proofs, or what stands for them, by this rule.

        Raises:
            UnsupportedReceipt: `verify.too-large`.
            MalformedReceipt: `receipt.truncated`.
        """
        self._checked, self._trees, self._claims = checked, trees, claims
        self._items = ItemList(plan, trees)
        self._bounds = cut(self._items, _count(self._items, plan, trees, room))

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def schedules(self, most: int) -> Iterator[Schedule]:
        """Of each segment in order, whose tables have at most so many rows in use."""
        for bounds in pairwise(self._bounds):
            items = self._items.between(*bounds)
            yield derive(self._checked, self._trees, items, self._claims, most)


def _judge_bits(warranted: int, expectations: Expectations) -> None:
    """10. What λ (0: nothing is sampled) and the parameters warrant, whatever a segment's size."""
    expectations.policy.judge_bits(warranted)


def _room(profile: int) -> Room:
    return SUCCINCT if profile == profiles.SUCCINCT else OWN_PROOFS


def _count(items: ItemList, plan: Plan, trees: Trees, room: tuple[int, Room]) -> int:
    judge_count(segment_count(items, 0), *room)
    count = segment_count(items, count_blocks(plan, trees, *room))
    judge_count(count, *room)
    return count


def count_segments(sections: Sections, journal: Journal, checked: Checked) -> int:
    """How many proofs a statement asks for, whatever the proof section holds.

    Args:
        sections: of a receipt that is not fast.
        journal: its statement.
        checked: its program.

    Raises:
        UnsupportedReceipt: `verify.too-large`.
        MalformedReceipt: `receipt.truncated`, the proof section is too short for so many.
    """
    room = len(sections.proof), _room(profiles.claimed_profile(sections.proof))
    return count_within(room, sections, journal, checked)


def count_within(
    room: tuple[int, Room], sections: Sections, journal: Journal, checked: Checked
) -> int:
    """The same where so many bytes hold the proofs, or what stands for them, by this rule."""
    plan = make_plan(Counts(checked, journal), sample_seed(sections.journal))
    trees = Trees(checked.program, journal.steps, order_of(checked.program, journal))
    return _count(ItemList(plan, trees), plan, trees, room)


def _contexts(statement: Statement, profile: int, segments: int) -> Iterator[bytes]:
    """What the proof of each segment is bound to."""
    known = b"zktally hybrid v2\0" + _digest(statement) + bytes([profile])
    for number in range(segments):
        ends = number.to_bytes(4, "little") + segments.to_bytes(4, "little")
        yield hashlib.sha256(known + ends).digest()


def _digest(statement: Statement) -> bytes:
    """Of the journal: what a proof says that it is for."""
    return hashlib.sha256(statement.sections.journal).digest()
