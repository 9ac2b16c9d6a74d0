"""A showing: outputs of single steps of a receipt whose statement hides them.

What binds hidden outputs is the chain root: it commits to the record of each step, and that one to
the roots of all trees of the step, those of the outputs among them. A showing has, for some steps,
the values and salts of the output tensors, what else the records hold, and the way up to the chain
root (docs/protocol.md section 7; its bytes: docs/receipt-format.md, Showing).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import InvalidShowing, UsageError
from .files import read_limited
from .gates import Ints
from .inputs import dequantise, port_labels, unpack_values
from .journal import Journal
from .keys import SALT
from .kinds import what_is
from .layout import leaf_count
from .merkle import Openings, opened_roots, plan_openings
from .openings import layout_of
from .poseidon2 import DIGEST, Elements
from .program.codec import decode
from .program.types import ABSENT, Port, Program, Role, Tensor
from .quoting import quoted, steps_text
from .reader import Codes, P, Reader
from .receipt import split_receipt
from .roots import chain_root, salted_roots, state_digests, step_digests
from .snark.receipt import is_snark

Array = np.ndarray[Any, np.dtype[Any]]

MAGIC = b"ZKTSHOW\x01"
SHOWN_CODES = Codes(*3 * ("shown.malformed",))
MAX_SHOWING = 1 << 26
"""Bytes of a showing, of which judging takes twenty times as many; several can show more steps."""

_DIGEST_BYTES = 4 * DIGEST
_SALT_BYTES = 4 * SALT
_BYTES = 1 << 24
"""Bytes of steps that are looked at together."""


@dataclass(frozen=True)
class Shown:
    """Outputs of single steps that were shown to be those of a verified receipt.

    Attributes:
        steps: their numbers in the run, ascending.
        outputs: arrays by the names that the ONNX model has, float32 or int64: [items, ...] of all
            items in these steps, or [steps, ...]; padding is left out.
        codes: the integers of the program behind them, int64, likewise.
        rows: number of each row, int64 [n]: of the item in the receipt, of the step in the run.
        units: what a row stands for, "item" or "step".
    """

    steps: tuple[int, ...]
    outputs: Mapping[str, Array]
    codes: Mapping[str, Ints]
    rows: Mapping[str, Ints]
    units: Mapping[str, str]

    def __repr__(self) -> str:
        arrays = ", ".join(f"{quoted(name)} {list(a.shape)}" for name, a in self.outputs.items())
        return f"Shown(steps {steps_text(self.steps)}: {arrays})"


@dataclass(frozen=True)
class Form:
    """What is held of each step, by the program alone.

    Attributes:
        program: of the receipt.
        stepped: the tensors with a root in the record of a step, in tensor order.
    """

    program: Program
    stepped: tuple[int, ...]

    @classmethod
    def of(cls, program: Program) -> Form:
        """The form of a program."""
        return cls(program, tuple(program.of_role(Role.INPUT, Role.VALUE)))

    @property
    def outputs(self) -> list[int]:
        """The tensors of the output ports, in the order of these."""
        return [port.tensor for port in self.program.outputs]

    @property
    def others(self) -> list[int]:
        """The other tensors of a step, of which a showing has the roots."""
        return [number for number in self.stepped if number not in self.outputs]

    @property
    def linked(self) -> list[int]:
        """Of each state, where the tensor that it becomes stands among these."""
        links = {link.state: link.value for link in self.program.states}
        return [self.stepped.index(links[state]) for state in self.program.of_role(Role.STATE)]

    @property
    def head_bytes(self) -> int:
        """Before the outputs: the state before the step, where there are states, and roots."""
        return _DIGEST_BYTES * (bool(self.program.states) + len(self.others))

    @property
    def output_bytes(self) -> int:
        """Of the outputs of a step: port by port values, then salts."""
        tensors = [self.program.tensors[number] for number in self.outputs]
        return sum(_value_bytes(t) + _SALT_BYTES * leaves_of(t) for t in tensors)

    def fields(self) -> Iterator[tuple[int, slice, slice]]:
        """Of each output tensor, where its values and its salts stand among these bytes."""
        start = 0
        for number in self.outputs:
            tensor = self.program.tensors[number]
            salts = start + _value_bytes(tensor)
            end = salts + _SALT_BYTES * leaves_of(tensor)
            yield number, slice(start, salts), slice(salts, end)
            start = end


def leaves_of(tensor: Tensor) -> int:
    """Leaves of a committed tensor."""
    return leaf_count(layout_of(tensor), tensor.shape)


def judge_shown(showing: bytes, program: Program, journal: Journal) -> Shown:
    """Judge a showing against a statement that was found good.

    Args:
        showing: its bytes.
        program: of the receipt.
        journal: its statement.

    Returns:
        What is shown.

    Raises:
        InvalidShowing: `shown.malformed`, the bytes are no showing for this program;
            `shown.mismatch`, they are not about this chain; `shown.range`, a value leaves the
            declared range of its tensor.
        UsageError: the statement has no hidden outputs.
    """
    refuse_published(program, journal)
    form = Form.of(program)
    parsed = _Showing.parse(showing, form, journal)
    parsed.judge_chain()
    arrays = parsed.values()
    for port in program.outputs:
        _judge_range(port, program.tensors[port.tensor], arrays[port.tensor])
    return _to_caller(program, journal, parsed.steps, arrays)


def shown_of(receipt: bytes, showing: bytes) -> Shown:
    """What a showing shows of a receipt that was found good.

    Raises:
        InvalidShowing, UsageError: see `judge_shown`; the showing is no bytes.
    """
    if not isinstance(showing, bytes | bytearray | memoryview):
        raise UsageError("a showing is bytes", received=f"a {type(showing).__name__}")
    if is_snark(receipt):
        raise UsageError("a SNARK receipt publishes its outputs", expected="no showing")
    sections = split_receipt(receipt)
    program, journal = decode(sections.program), Journal.decode(sections.journal)
    return judge_shown(bytes(showing), program, journal)


def read_showing(path: str | os.PathLike[str], max_size: int = MAX_SHOWING) -> bytes:
    """The bytes of a showing, from its file.

    Raises:
        UsageError: `usage.unreadable`, it cannot be read or is too large.
    """
    return read_limited(os.fspath(path), min(max_size, MAX_SHOWING))


def refuse_published(program: Program, journal: Journal) -> None:
    """Refuse a receipt of which nothing is to be shown.

    Raises:
        UsageError: it publishes its outputs, or there are none.
    """
    if not program.outputs or journal.publishes:
        raise UsageError(
            "the receipt has no hidden outputs to show",
            expected="a receipt made with --outputs hidden",
            received="one that publishes them" if program.outputs else "a program without outputs",
        )


@dataclass(frozen=True)
class _Showing:
    """The bytes of a showing, cut into fields: of the right length, its elements below p.

    Attributes:
        form: of its steps.
        journal: the statement that it is held against.
        steps: numbers of the steps in the receipt, int64 [k], ascending.
        openings: of the tree over the steps.
        heads: of each step what stands before the outputs, uint64 [k, digests, 8].
        packed: values and salts of each step, uint8 [k, bytes].
        siblings: in the tree over the steps, uint64 [m, 8].
    """

    form: Form
    journal: Journal
    steps: Ints
    openings: Openings
    heads: Elements
    packed: np.ndarray[Any, np.dtype[np.uint8]]
    siblings: Elements

    @classmethod
    def parse(cls, data: bytes, form: Form, journal: Journal) -> _Showing:
        """Read a showing; what it holds follows from program, statement and its list of steps.

        Raises:
            InvalidShowing: `shown.malformed`; `shown.mismatch` where it names another chain.
        """
        if len(data) > MAX_SHOWING:
            raise InvalidShowing(
                "a showing is too large",
                code="shown.malformed",
                expected=f"at most {MAX_SHOWING} bytes",
                received=len(data),
                hint="show fewer steps at once",
            )
        if not data.startswith(MAGIC):
            raise InvalidShowing(
                "this is no showing of outputs, or one of another version",
                code="shown.malformed",
                expected="what `zktally outputs` writes",
                received=what_is(data),
            )
        r = Reader(data, SHOWN_CODES)
        r.take(len(MAGIC))
        named = bytes(r.take(_DIGEST_BYTES))
        _same_chain(named, journal.chain_root)
        count, size = r.u32(), form.head_bytes + form.output_bytes
        if not 0 < count <= r.remaining // (4 + size):
            raise r.bad("it has no room for its steps", f"{4 + size} bytes a step", r.remaining)
        steps = np.frombuffer(r.take(4 * count), "<u4").astype(np.int64)
        if (np.diff(steps) <= 0).any() or steps[-1] >= journal.steps:
            raise r.bad("its steps do not ascend within the receipt", f"below {journal.steps}")
        openings = plan_openings(
            np.array([journal.steps], np.int64), np.zeros(count, np.int64), steps
        )
        body = np.frombuffer(r.take(count * size), np.uint8).reshape(count, size)
        siblings = _digests(r.take(_DIGEST_BYTES * int(openings.sibling_counts[0])))
        r.end()
        heads = _digests(body[:, : form.head_bytes]).reshape(count, -1, DIGEST)
        packed = body[:, form.head_bytes :]
        parsed = cls(form, journal, steps, openings, heads, packed, siblings)
        parsed._judge_elements(r)
        return parsed

    def _judge_elements(self, r: Reader) -> None:
        """Refuse elements that are not below p, and so have another form."""
        salts = (_words(self.packed[:, of]) for _, _, of in self.form.fields())
        for elements in (self.heads, self.siblings, *salts):
            if elements.size and int(elements.max()) >= P:
                raise r.bad("an element is not below p", received=int(elements.max()))

    def judge_chain(self) -> None:
        """The records of these steps, with the roots of these values, stand in the chain.

        Raises:
            InvalidShowing: `shown.mismatch`.
        """
        at_once = max(1, _BYTES // (self.form.head_bytes + self.form.output_bytes))
        starts = range(0, len(self.steps), at_once)
        digests = [self._digests_of(slice(start, start + at_once)) for start in starts]
        tree = opened_roots(self.openings, np.concatenate(digests), self.siblings)[0]
        _same_chain(chain_root(self.journal.steps, tree), self.journal.chain_root)

    def _digests_of(self, part: slice) -> Elements:
        """The digests [steps, 8] of the records of some of the steps."""
        program, journal = self.form.program, self.journal
        heads, steps = self.heads[part], self.steps[part]
        roots = np.zeros((len(steps), len(self.form.stepped), DIGEST), np.uint64)
        place = {tensor: at for at, tensor in enumerate(self.form.stepped)}
        before = np.zeros((len(steps), DIGEST), np.uint64)
        if program.states:
            before, heads = heads[:, 0], heads[:, 1:]
        roots[:, [place[number] for number in self.form.others]] = heads
        for number, values, salts in self.form.fields():
            tensor = program.tensors[number]
            arrays = _arrays(tensor, self.packed[part, values])
            salted = _words(self.packed[part, salts]).reshape(len(steps), -1, SALT)
            roots[:, place[number]] = salted_roots(tensor, arrays, salted)
        return step_digests(
            journal.program_id,
            journal.weights_root,
            before,
            state_digests(roots[:, self.form.linked]),
            roots,
            journal.first + steps,
        )

    def values(self) -> dict[int, Ints]:
        """The values of the output tensors, int64 [k, *shape] each."""
        tensors = self.form.program.tensors
        return {
            number: _arrays(tensors[number], self.packed[:, values])
            for number, values, _ in self.form.fields()
        }


def _same_chain(found: bytes, expected: bytes) -> None:
    if found != expected:
        raise InvalidShowing(
            "the showing is not about the chain of this receipt",
            code="shown.mismatch",
            expected=expected.hex(),
            received=found.hex(),
        )


def _judge_range(port: Port, tensor: Tensor, values: Ints) -> None:
    if values.min() < tensor.lo or values.max() > tensor.hi:
        raise InvalidShowing(
            f"a value of output {quoted(port.name)} is out of its range",
            code="shown.range",
            expected=f"[{tensor.lo}, {tensor.hi}]",
            received=f"{values.min()} to {values.max()}",
        )


def _to_caller(
    program: Program, journal: Journal, steps: Ints, arrays: Mapping[int, Ints]
) -> Shown:
    """The values as the caller knows them: by the names of the ports, without padding."""
    labels = port_labels(port.name for port in program.outputs)
    positions = journal.first + steps
    codes, rows, outputs, units = {}, {}, {}, {}
    for port in program.outputs:
        name, array, row = labels[port.name], arrays[port.tensor], positions
        if port.batch != ABSENT:
            array = array.reshape(-1, *array.shape[2:])
            row = (steps[:, None] * program.batch + np.arange(program.batch)).reshape(-1)
            array, row = array[row < journal.items], row[row < journal.items]
        codes[name], rows[name], outputs[name] = array, row, dequantise(port, array)
        units[name] = "step" if port.batch == ABSENT else "item"
    return Shown(tuple(positions.tolist()), outputs, codes, rows, units)


def _value_bytes(tensor: Tensor) -> int:
    return tensor.size * tensor.width


def _arrays(tensor: Tensor, packed: np.ndarray[Any, np.dtype[np.uint8]]) -> Ints:
    """Packed values [k, bytes] as int64 [k, *shape]."""
    values = unpack_values(np.ascontiguousarray(packed), tensor.width)
    arrays: Ints = values.reshape(len(packed), *tensor.shape).astype(np.int64)
    return arrays


def _digests(data: memoryview | np.ndarray[Any, np.dtype[np.uint8]]) -> Elements:
    """Digests one after the other, uint64 [n, 8]."""
    plain = np.frombuffer(data, np.uint8) if isinstance(data, memoryview) else data
    return _words(plain.reshape(-1, _DIGEST_BYTES))


def _words(data: np.ndarray[Any, np.dtype[np.uint8]]) -> Elements:
    """Rows of bytes as rows of little-endian 32-bit words."""
    return np.ascontiguousarray(data).view("<u4").astype(np.uint64)
