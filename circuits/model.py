"""A compiled model, and the .zkt file that holds it.

File: `ZKTMODEL`, version byte 1; four sections, each a u64 length and its bytes: the program, all
weights packed as in docs/protocol.md section 4, the weights key, the record (JSON, sorted keys);
then SHA-256 of all that, which finds accidents (it authenticates nothing: the model id does).
Version byte 2 is of a model whose weights have salts of their own, because a run has trained them:
in place of the weights key stand, for each weight, a key, a u32 position and a u32 number.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from ..verifier.errors import ZktallyError
from ..verifier.inputs import DTYPES, pack_values, unpack_values
from ..verifier.journal import model_id
from ..verifier.kinds import MODEL, what_is
from ..verifier.notebook import rows_of, table
from ..verifier.program import checked as programs
from ..verifier.program.checked import Checked
from ..verifier.program.types import Role, Tensor
from .bits import NARROW, WIDEST
from .errors import BadModelFile, named
from .files import read_limited, write_atomically
from .keys import PUBLIC_KEY, is_key, salting_key
from .report import Report

if TYPE_CHECKING:
    from .. import _core
    from .graph import Array

MAGIC = b"ZKTMODEL\x01"
SALTED = b"ZKTMODEL\x02"
"""Of a model whose weights have salts of their own."""

FILE_MAX = 1 << 33
RECORD_MAX = 1 << 26
EXPONENT_MAX = 200
"""Of a column's divisor: calibrated values are between 1e-60 and 1e60."""


@dataclass(frozen=True)
class Record:
    """All choices that, with the ONNX model, determine the program and its weights.

    `bits` and `weight_bits` name the values, and the nodes whose constant factors, have more than 8
    bits; `columns` the inputs whose columns are divided by powers of two, with their exponents.
    `states` names the inputs that a chain carries, with the outputs that follow them, and `initial`
    what they start with. `means` are those of the channels of what nodes read (`corrections`).
    """

    name: str
    batch: int
    method: str
    percentile: float
    exact: tuple[str, ...]
    ranges: Mapping[str, tuple[float, float]]
    dims: Mapping[str, int] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int | str | None, ...]] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    turned: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    bits: Mapping[str, int] = field(default_factory=dict)
    weight_bits: Mapping[str, int] = field(default_factory=dict)
    columns: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    states: Mapping[str, str] = field(default_factory=dict)
    initial: Mapping[str, float] = field(default_factory=dict)
    means: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


class Salt(NamedTuple):
    """What salts the leaves of one weight: a key of 32 bytes, a position and a number."""

    key: bytes
    position: int
    number: int


_SALT = struct.Struct("<32sII")
_SALT_MAX = 1 << 31


@dataclass(frozen=True, eq=False)
class CompiledModel:
    """A program with its weights: what `compile` returns.

    `weights` has one int8, int16 or int32 array per weight tensor, in tensor order. `key` salts the
    leaves of the weight trees (8 elements, 32 bytes); it is secret unless the model is public.
    Where a run has trained the weights, `salts` has what each is salted with, and `key` is empty.
    """

    checked: Checked
    weights: tuple[Array, ...]
    key: bytes
    record: Record
    report: Report
    salts: tuple[Salt, ...] = ()

    @classmethod
    def of(
        cls,
        checked: Checked,
        weights: tuple[Array, ...],
        master: bytes,
        record: Record,
        report: Report,
    ) -> CompiledModel:
        """A model whose salts follow from a master key (`keys.master_key`)."""
        key = salting_key(master, checked.id, _packed(checked, weights))
        return cls(checked, weights, key, record, report)

    def salt_of(self, number: int) -> Salt:
        """What salts the weight tensor of this number."""
        if not self.salts:
            return Salt(self.key, 0, number)
        return self.salts[self.checked.program.of_role(Role.WEIGHT).index(number)]

    @property
    def public(self) -> bool:
        """Whether the key is zero, so that anyone who has the weights can recompute their root."""
        return self.key == PUBLIC_KEY

    @property
    def program_id(self) -> bytes:
        """The 32 bytes that name the program."""
        return self.checked.id

    @cached_property
    def core(self) -> _core.Model:
        """The same model in the Rust core, committed: hashes all weights when first asked for."""
        from .. import _core

        salts = list(self.salts) or self.key
        return _core.Model(self.checked.data, list(self.weights), salts)

    @property
    def weights_root(self) -> bytes:
        """The 32 bytes of the root of all weights under the key."""
        return bytes(self.core.weights_root)

    @property
    def model_id(self) -> bytes:
        """The 32 bytes that a verifier pins: program id and weights root, hashed (section 4)."""
        return model_id(self.program_id, self.weights_root)

    def to_bytes(self) -> bytes:
        """The bytes of the .zkt file."""
        record = {
            "record": vars(self.record),
            "report": self.report.to_json(),
        }
        packed = _packed(self.checked, self.weights)
        keys = b"".join(_SALT.pack(*salt) for salt in self.salts) or self.key
        sections = (self.checked.data, b"".join(packed), keys, _json(record))
        body = (SALTED if self.salts else MAGIC) + b"".join(
            struct.pack("<Q", len(part)) + part for part in sections
        )
        return body + hashlib.sha256(body).digest()

    def save(self, path: str | Path, force: bool = False) -> None:
        """Write the .zkt file atomically; for its owner only, unless the model is public.

        Raises:
            UsageError: `usage.file-exists` without `force`, `usage.unwritable`.
        """
        write_atomically(path, self.to_bytes(), force=force, private=not self.public)

    @classmethod
    def load(cls, path: str | Path) -> CompiledModel:
        """Read a .zkt file.

        Raises:
            UsageError: `usage.unreadable`.
            BadModelFile: it is not what `save` writes.
        """
        return from_bytes(read_limited(path, FILE_MAX))

    def __repr__(self) -> str:
        kind = "public" if self.public else "secret"
        claimed = "report, in the words of whoever compiled it:"
        head = f"CompiledModel {named(self.record.name)}, {kind} weights"
        return f"<{head}\n{claimed}\n{self.report.text()}>"

    def _repr_html_(self) -> str:
        kind = "public" if self.public else "secret"
        title = f"Compiled model {named(self.record.name)}: report of whoever compiled it"
        rows = [("model id", self.model_id.hex()), ("weights", kind)]
        return table(title, [*rows, *rows_of(self.report.text())])


def is_model_file(path: str | Path) -> bool:
    """Whether a file begins like a compiled model; False where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(MAGIC) - 1) == MAGIC[:-1]
    except OSError:
        return False


def from_bytes(data: bytes) -> CompiledModel:
    """The inverse of `CompiledModel.to_bytes`.

    Raises:
        BadModelFile: the bytes are not what it writes.
    """
    if not data.startswith(MAGIC[:-1]):
        _bad("it is not a compiled zktally model", MODEL, what_is(data))
    magic = data[: len(MAGIC)]
    if magic not in (MAGIC, SALTED):
        _bad("it is of another version", "1 or 2", magic[-1:].hex())
    body, digest = data[:-32], data[-32:]
    if hashlib.sha256(body).digest() != digest:
        _bad("it is truncated or damaged: its checksum is wrong")
    program, packed, key, record = _sections(body)
    try:
        checked = programs.load(program)
    except ZktallyError as error:
        raise BadModelFile(f"bad model file: its program is refused: {error}") from error
    tensors = _weight_tensors(checked)
    salts: tuple[Salt, ...] = ()
    if magic == SALTED:
        salts, key = _read_salts(key, len(tensors)), b""
    elif not is_key(key):
        _bad("its weights key is not 8 field elements")
    weights = _unpack_all(tensors, packed)
    return CompiledModel(checked, weights, key, *_read_record(record), salts)


def _read_salts(data: bytes, count: int) -> tuple[Salt, ...]:
    if not count or len(data) != count * _SALT.size:
        _bad("it does not have salts for each weight", count * _SALT.size, len(data))
    salts = tuple(Salt(*fields) for fields in _SALT.iter_unpack(data))
    if not all(is_key(s.key) and max(s.position, s.number) < _SALT_MAX for s in salts):
        _bad("its salts are none")
    return salts


def _packed(checked: Checked, weights: Sequence[Array]) -> Iterator[bytes]:
    """The weights of each tensor as the file has them."""
    tensors = _weight_tensors(checked)
    return (pack_values(a, t.width) for t, a in zip(tensors, weights, strict=True))


def _weight_tensors(checked: Checked) -> list[Tensor]:
    return [checked.program.tensors[t] for t in checked.program.of_role(Role.WEIGHT)]


def _sections(body: bytes) -> list[bytes]:
    parts, at = [], len(MAGIC)
    for _ in range(4):
        if len(body) - at < 8:
            _bad("a section is missing")
        (length,) = struct.unpack_from("<Q", body, at)
        at += 8
        if length > len(body) - at:
            _bad("a section is longer than the file")
        parts.append(body[at : at + length])
        at += length
    if at != len(body):
        _bad("there are bytes left over")
    return parts


def _unpack_all(tensors: Sequence[Tensor], data: bytes) -> tuple[Array, ...]:
    expected = sum(tensor.size * tensor.width for tensor in tensors)
    if len(data) != expected:
        _bad("its weights do not have the program's size", expected, len(data))
    arrays, at = [], 0
    for tensor in tensors:
        size = tensor.size * tensor.width
        array = unpack_values(np.frombuffer(data, np.uint8, size, at), tensor.width)
        if array.min() < tensor.lo or array.max() > tensor.hi:
            _bad(f"weight {tensor.name!r} leaves its range", f"[{tensor.lo}, {tensor.hi}]")
        arrays.append(array.reshape(tensor.shape).astype(DTYPES[tensor.width]))
        at += size
    return tuple(arrays)


def _json(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def _read_record(data: bytes) -> tuple[Record, Report]:
    if len(data) > RECORD_MAX:
        _bad("its record is too large", RECORD_MAX, len(data))
    try:
        found = json.loads(data)
        fields = dict(found["record"])
        fields["exact"] = tuple(str(name) for name in fields["exact"])
        fields["ranges"] = {
            str(name): (float(low), float(high)) for name, (low, high) in fields["ranges"].items()
        }
        fields["shapes"] = {
            str(name): tuple(axes) for name, axes in fields.get("shapes", {}).items()
        }
        for kind in ("turned", "columns", "means"):
            fields[kind] = {str(name): tuple(each) for name, each in fields.get(kind, {}).items()}
        record, report = Record(**fields), Report.from_json(found["report"])
        _refuse_kinds(record)
        canonical = _json(found) == data
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadModelFile(f"bad model file: its record cannot be read: {error}") from error
    if not canonical:
        _bad("its record is not in canonical form")
    return record, report


def _refuse_kinds(record: Record) -> None:
    """Raise TypeError where a field of the record is not what it should be."""
    texts = all(isinstance(text, str) for text in (record.name, record.method))
    if not texts or type(record.batch) is not int or record.batch < 1:
        raise TypeError("a name, method or batch that is none")
    sizes = [*record.dims.values(), *(size for axes in record.shapes.values() for size in axes)]
    if not all(size is None or type(size) in (int, str) for size in sizes):
        raise TypeError("a size of an axis that is none")
    if not isinstance(record.fixed, dict):
        raise TypeError("values of inputs that are none")
    if not all(type(n) is int for numbers in record.turned.values() for n in numbers):
        raise TypeError("a condition that is no number")
    counts = [*record.bits.values(), *record.weight_bits.values()]
    if not all(type(count) is int and NARROW < count <= WIDEST for count in counts):
        raise TypeError("a number of bits that is none")
    exponents = [each for column in record.columns.values() for each in column]
    if not all(type(each) is int and abs(each) <= EXPONENT_MAX for each in exponents):
        raise TypeError("an exponent that is none")
    if not all(type(output) is str for output in record.states.values()):
        raise TypeError("an output of a state that is no name")
    if not all(type(first) is float for first in record.initial.values()):
        raise TypeError("a first value of a state that is no number")
    if not all(type(mean) is float for each in record.means.values() for mean in each):
        raise TypeError("a mean that is no number")
    if type(record.percentile) is not float:
        raise TypeError("a percentile that is no number")


def _bad(why: str, expected: object = None, received: object = None) -> NoReturn:
    raise BadModelFile(f"bad model file: {why}", expected=expected, received=received)
