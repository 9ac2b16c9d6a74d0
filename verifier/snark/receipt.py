"""The envelope of a SNARK receipt: key, statement, proof (docs/snark.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MalformedReceipt, UnsupportedReceipt, UsageError
from ..labels import Labels, read_labels, write_labels
from ..quoting import quoted
from ..reader import RECEIPT_CODES, Reader, Writer
from .curve import R
from .key import Key, Port

MAGIC = b"ZKSNARK"
VERSION = 1
MAX_KEY, MAX_JOURNAL, MAX_PROOF = 16 << 20, 16 << 20, 1 << 20

Values = NDArray[np.int64]
Array = NDArray[Any]


def is_snark(data: bytes) -> bool:
    """Whether bytes begin like a SNARK receipt."""
    return data[: len(MAGIC)] == MAGIC


@dataclass(frozen=True)
class Statement(Labels):
    """What a SNARK receipt claims; with its labels it goes through the circuit as a digest.

    Attributes:
        model_id: of the circuit, 32 bytes.
        inputs: whole numbers, port by port, where the circuit publishes them, else empty.
        outputs: likewise.
    """

    model_id: bytes
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def encode(self) -> bytes:
        """The canonical bytes."""
        w = Writer()
        w.u16(VERSION)
        w.raw(self.model_id)
        for values in (self.inputs, self.outputs):
            w.blob(np.asarray(values, dtype="<i8").tobytes())
        write_labels(w, self.labels)
        return w.getvalue()

    @classmethod
    def decode(cls, data: bytes | memoryview) -> Statement:
        """Read the canonical bytes.

        Raises:
            MalformedReceipt: they are not canonical, end too early or do not end.
            UnsupportedReceipt: a version that this release does not read.
        """
        r = Reader(data, RECEIPT_CODES)
        _expect_version(r.u16())
        model_id = bytes(r.take(32))
        inputs, outputs = _values(r), _values(r)
        labels = read_labels(r)
        r.end()
        return cls(model_id=model_id, inputs=inputs, outputs=outputs, **labels)

    @property
    def parts(self) -> list[int]:
        """The digest of it as the circuit carries it, 16 bits each."""
        digest = hashlib.sha256(b"zktally snark statement v1\0" + self.encode()).digest()
        return [int(each) for each in np.frombuffer(digest, dtype=">u2")]

    def instances(self) -> list[int]:
        """The public values of the proof: published inputs, outputs, and the digest with each."""
        parts = self.parts
        inputs = [*self.inputs, *parts] if self.inputs else []
        return [each % R for each in (*inputs, *self.outputs, *parts)]


@dataclass(frozen=True)
class SnarkReceipt:
    """Its three sections, read."""

    key: Key
    statement: Statement
    proof: bytes

    def encode(self) -> bytes:
        """The canonical bytes."""
        w = Writer()
        w.raw(MAGIC)
        w.u8(VERSION)
        for section in (self.key.encode(), self.statement.encode(), self.proof):
            w.blob(section)
        return w.getvalue()

    @classmethod
    def decode(cls, data: bytes) -> SnarkReceipt:
        """Read the canonical bytes.

        Raises:
            MalformedReceipt: they are not canonical, or the sections do not go together.
            UnsupportedReceipt: a version that this release does not read.
        """
        r = Reader(data, RECEIPT_CODES)
        if bytes(r.take(min(len(MAGIC), r.remaining))) != MAGIC:
            raise MalformedReceipt("no SNARK receipt", code="receipt.bad-magic", expected=MAGIC)
        _expect_version(r.u8())
        key = _section(r, "key", MAX_KEY)
        journal = _section(r, "statement", MAX_JOURNAL)
        proof = _section(r, "proof", MAX_PROOF)
        r.end()
        found = cls(Key.decode(key), Statement.decode(journal), bytes(proof))
        found._judge(r)
        return found

    def _judge(self, r: Reader) -> None:
        key, statement = self.key, self.statement
        inputs = sum(port.size for port in key.inputs[:-1]) if key.public else 0
        wanted = (inputs, sum(port.size for port in key.outputs[:-1]), key.circuit.proof_bytes)
        held = (len(statement.inputs), len(statement.outputs), len(self.proof))
        if wanted != held:
            raise r.bad("values or proof do not go with the key", wanted, held)


def quantised(port: Port, array: Array) -> Values:
    """The whole numbers that stand for an array, as ezkl makes them: half is rounded away from 0.

    Args:
        port: float ports read v as v·2^scale; whole ones as it is.
        array: of the port's shape.

    Raises:
        UsageError: `usage.input`, one is beyond 64 bits: it would stand for another value.
    """
    if port.kind in ("Int", "Bool"):
        whole = np.asarray(array).ravel()
    else:
        with np.errstate(over="ignore"):  # what overflows is infinite, and refused
            values = np.asarray(array, dtype=np.float32 if port.kind == "F32" else np.float64)
            scaled = np.ldexp(values.astype(np.float64).ravel(), port.scale)
        whole = np.trunc(scaled)
        with np.errstate(invalid="ignore"):
            whole = whole + np.where(np.abs(scaled - whole) >= 0.5, np.sign(scaled), 0)
    if whole.dtype.kind != "i" and not ((whole >= -(2.0**63)) & (whole < 2.0**63)).all():
        raise UsageError(
            f"input {quoted(port.name)} holds a value that is too large",
            code="usage.input",
            expected="whole numbers of 64 bits, after scaling",
        )
    return whole.astype(np.int64)


def split(ports: tuple[Port, ...], values: tuple[int, ...]) -> dict[str, list[int]]:
    """The whole numbers of each port, by name."""
    found, start = {}, 0
    for port in ports:
        found[port.name] = list(values[start : start + port.size])
        start += port.size
    return found


def real(ports: tuple[Port, ...], values: tuple[int, ...]) -> Mapping[str, Array]:
    """The arrays that whole numbers stand for, by name: float64, or int64 of ports of integers."""
    found: dict[str, Array] = {}
    for port, part in zip(ports, split(ports, values).values(), strict=True):
        array: Array = np.asarray(part, dtype=np.int64).reshape(port.shape)
        if port.kind in ("F32", "F64") or port.scale:
            array = np.ldexp(array.astype(np.float64), -port.scale)
        found[port.name] = array
    return found


def _values(r: Reader) -> tuple[int, ...]:
    data = r.blob()
    if len(data) % 8:
        raise r.bad("values are cut off")
    return tuple(np.frombuffer(data, dtype="<i8").tolist())


def _expect_version(version: int) -> None:
    if version != VERSION:
        raise UnsupportedReceipt(
            "a SNARK receipt of another version",
            code="receipt.unsupported-version",
            expected=VERSION,
            received=version,
        )


def _section(r: Reader, name: str, limit: int) -> memoryview:
    length = r.u32()
    if length > limit:
        raise MalformedReceipt(
            f"the {name} is too large",
            code="receipt.too-large",
            expected=f"at most {limit} bytes",
            received=f"{length} bytes",
        )
    return r.take(length)
