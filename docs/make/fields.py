"""Bytes of programs and receipts as named fields, read by docs/receipt-format.md alone.

What the example needs: dot ops, no tables; a fast proof whose leaves are all opened.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

ROLES = ("input", "weight", "state", "prf", "value", "data")
NONE = 255


@dataclass(frozen=True)
class Field:
    """Where a field is, its bytes, its name, and what it says."""

    offset: int
    data: bytes
    name: str
    value: str


class Cursor:
    """Reads on, and remembers where a field began."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._start = data, 0, 0

    @property
    def is_done(self) -> bool:
        """Whether nothing follows."""
        return self._at == len(self._data)

    def take(self, count: int) -> bytes:
        """The next bytes."""
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, kind: str) -> int:
        """The next integer: a letter of `struct`."""
        value: int = self.numbers(kind)[0]
        return value

    def numbers(self, kinds: str) -> tuple[int, ...]:
        """The next integers, packed."""
        return struct.unpack("<" + kinds, self.take(struct.calcsize("<" + kinds)))

    def string(self) -> str:
        """A u16 length and so many bytes."""
        return self.take(self.number("H")).decode()

    def dims(self) -> tuple[int, ...]:
        """A u8 rank and so many u32."""
        return self.numbers(f"{self.number('B')}I")

    def field(self, name: str, value: object = "") -> Field:
        """Everything since the last field, under a name."""
        start, self._start = self._start, self._at
        return Field(start, self._data[start : self._at], name, str(value))


def journal_fields(data: bytes) -> Iterator[Field]:
    """The fields of a journal."""
    c = Cursor(data)
    yield c.field("version", c.number("H"))
    yield c.field("mode", f"{c.number('B')}: fast")
    for name in ("program id", "weights root", "data set root"):
        value = c.take(32)
        yield c.field(name, "" if any(value) else "zero: no data tensors")
    for name in ("first", "steps", "items", "delta_ppm", "delta_step_ppm", "delta_op_ppm"):
        yield c.field(name, c.number("I"))
    yield c.field("bits", c.number("H"))
    yield c.field("exact", f"{c.number('H')} ops")
    names = ("chain root", "input root", "initial state", "final state", "exported root")
    for name in (*names, "prf seed commitment"):
        value = c.take(32)
        yield c.field(name, "" if any(value) else "zero: there is none")
    yield c.field("seed", f"{c.number('B')}: the prover's own")
    yield c.field("start", f"{c.number('B')}: a root")
    yield c.field("input key: there is one", c.number("B"))
    c.take(32)
    yield c.field("input key", "")
    yield c.field("inputs: there are some", c.number("B"))
    size = c.number("I")
    yield c.field("length of the inputs", size)
    c.take(size)
    yield c.field("inputs", "")
    size = c.number("I")
    yield c.field("length of the outputs", size)
    c.take(size)
    yield c.field("outputs", "")
    yield c.field("audience: there is one", c.number("B"))
    yield c.field("audience", c.string())
    yield c.field("nonce: there is one", c.number("B"))
    yield c.field("nonce", f"{c.number('H')} bytes: {c.take(2).hex()}")
    if not c.is_done:
        raise ValueError("the journal of the example does not end here")


def program_fields(data: bytes) -> Iterator[Field]:
    """The fields of a program of dot ops."""
    c = Cursor(data)
    magic = c.take(7).decode()
    yield c.field("magic, version", f"{magic}, {c.number('B')}")
    yield c.field("name", c.string())
    yield c.field("tensors", count := c.number("H"))
    for number in range(count):
        yield from _tensor(c, number)
    yield c.field("tables", c.number("H"))
    yield c.field("ops", count := c.number("H"))
    for _ in range(count):
        yield from _dot(c)
    for kind in ("input", "output"):
        yield c.field(f"{kind} ports", count := c.number("H"))
        for _ in range(count):
            yield from _port(c)
    yield c.field("states", c.number("H"))
    if not c.is_done:
        raise ValueError("the program of the example does not end here")


def _tensor(c: Cursor, number: int) -> Iterator[Field]:
    yield c.field(f"tensor {number}: name", c.string())
    role, width, lo, hi = c.numbers("BBii")
    yield c.field("role, width, lo, hi", f"{ROLES[role]}, {width}, {lo}, {hi}")
    yield c.field("shape", shape := c.dims())
    order = list(c.take(len(shape)))
    trailing, piece = c.numbers("BI")
    yield c.field("order, trailing, piece", f"{order}, {trailing}, {piece}")


def _operand(c: Cursor, name: str) -> Field:
    if not c.number("B"):
        return c.field(name, f"constant {c.number('i')}")
    tensor, view = c.number("H"), c.dims()
    maps = ", ".join(_map(*c.numbers("BiBiiI")) for _ in view)
    zero = c.number("i")
    pad = c.number("i") if c.number("B") else "none"
    return c.field(name, f"tensor {tensor} as {view} at {maps}; zero {zero}, pad {pad}")


def _map(i_axis: int, a: int, k_axis: int, b: int, c: int, d: int) -> str:
    parts = [f"{a}·i[{i_axis}]"] * (i_axis != NONE) + [f"{b}·k[{k_axis}]"] * (k_axis != NONE)
    if d != 1:
        raise ValueError("the example has no map that divides")
    return " + ".join([*parts, *([str(c)] if c or not parts else [])]).replace("1·", "")


def _dot(c: Cursor) -> Iterator[Field]:
    if c.number("B"):
        raise ValueError("the example has dot ops alone")
    yield c.field("op 0: kind, name", f"dot, {c.string()}")
    out, exact = c.numbers("HB")
    yield c.field("out, exact", f"tensor {out}, {exact}")
    yield c.field("space", c.dims())
    yield c.field("terms", count := c.number("B"))
    for _ in range(count):
        yield c.field("window", c.dims())
        yield _operand(c, "a")
        yield _operand(c, "b")
    yield c.field("bias: there is one", c.number("B"))
    yield _operand(c, "bias")
    yield _operand(c, "mult")
    yield _operand(c, "shift")
    yield c.field("rounding: there is none", c.number("B"))
    yield c.field("out_zero", c.number("i"))
    yield c.field("table: there is none", c.number("B"))


def _port(c: Cursor) -> Iterator[Field]:
    name = c.string()
    tensor, batch, kind, scale, zero = c.numbers("HBBdi")
    words = f"{name}, tensor {tensor}, batch axis {batch}, {('float', 'integer')[kind]}"
    yield c.field("port", f"{words}, {scale}, {zero}")


def proof_fields(data: bytes) -> Iterator[Field]:
    """The fields of the fast proof of the example, of each tree its first leaf alone."""
    c = Cursor(data)
    c.take(32)
    yield c.field("seed", "that the openings answer")
    stepped = [f"{name} of step {step}" for step in range(2) for name in "xy"]
    for name in ("w", "bias", "mult", *stepped):
        c.take(32)
        yield c.field(f"root of {name}", "")
    leaves = {"w": [4, 2] * 4, "bias": [8], "mult": [8]} | {
        name: [6, 6] if name.startswith("x") else [4, 4] for name in stepped
    }
    for name, (first, *rest) in leaves.items():
        values = list(c.take(first))
        width = 2 if name in ("bias", "mult") else 1
        yield c.field(f"{name}, leaf 0: values", _values(bytes(values), width))
        c.take(20)
        yield c.field(f"{name}, leaf 0: salt", "5 elements")
        if rest:
            c.take(sum(rest) + 20 * len(rest))
            plural = "leaf" if len(rest) == 1 else "leaves"
            yield c.field(f"{name}: {len(rest)} more {plural}", "values, salt")
    if not c.is_done:
        raise ValueError("the proof of the example does not end here")


def _values(packed: bytes, width: int) -> str:
    parts = [packed[at : at + width] for at in range(0, len(packed), width)]
    half = 1 << 8 * width - 1
    return ", ".join(str(int.from_bytes(part, "little") - half) for part in parts)
