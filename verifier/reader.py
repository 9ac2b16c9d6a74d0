"""Canonical bytes, read and written field by field (docs/receipt-format.md).

Integers are little-endian and of fixed width. A `Reader` refuses everything that a `Writer` would
not have written; which code it refuses with is the choice of whoever opens it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import ZktallyError, error_for

P = 2**31 - 2**24 + 1
"""The KoalaBear prime."""

_I32 = struct.Struct("<i")
_F64 = struct.Struct("<d")
_DIGEST = struct.Struct("<8I")


@dataclass(frozen=True)
class Codes:
    """The codes for bytes that end too early, bytes left over, and anything else not canonical."""

    truncated: str
    trailing: str
    bad: str


PROGRAM_CODES = Codes("program.malformed", "program.malformed", "program.malformed")
RECEIPT_CODES = Codes("receipt.truncated", "receipt.trailing-bytes", "receipt.non-canonical")


class Reader:
    """A cursor over bytes; every method consumes what it returns or raises a typed error."""

    def __init__(self, data: bytes | memoryview, codes: Codes) -> None:
        self._data = memoryview(data)
        self._codes = codes
        self._at = 0

    @property
    def position(self) -> int:
        """Bytes consumed so far."""
        return self._at

    @property
    def remaining(self) -> int:
        """Bytes not consumed yet."""
        return len(self._data) - self._at

    @property
    def rest(self) -> memoryview:
        """The bytes not consumed yet, not copied; they stay to be read."""
        return self._data[self._at :]

    def bad(self, message: str, expected: object = None, received: object = None) -> ZktallyError:
        """The error for input that is well delimited but not canonical; the caller raises it."""
        text = f"{message} (before byte {self._at})"
        return error_for(self._codes.bad, text, expected=expected, received=received)

    def take(self, count: int) -> memoryview:
        """The next `count` bytes, not copied."""
        start, end = self._at, self._at + count
        if end > len(self._data):
            raise error_for(
                self._codes.truncated,
                f"the bytes end inside a field at byte {self._at}",
                expected=f"{count} bytes",
                received=f"{self.remaining} bytes",
            )
        self._at = end
        return self._data[start:end]

    def end(self) -> None:
        """Refuse bytes left over."""
        if self.remaining:
            raise error_for(
                self._codes.trailing,
                "bytes follow the last field",
                expected="0 bytes",
                received=f"{self.remaining} bytes",
            )

    def _unsigned(self, width: int) -> int:
        return int.from_bytes(self.take(width), "little")

    def u8(self) -> int:
        """An unsigned byte."""
        return self._unsigned(1)

    def u16(self) -> int:
        """An unsigned 16-bit integer."""
        return self._unsigned(2)

    def u32(self) -> int:
        """An unsigned 32-bit integer."""
        return self._unsigned(4)

    def u64(self) -> int:
        """An unsigned 64-bit integer."""
        return self._unsigned(8)

    def i32(self) -> int:
        """A signed 32-bit integer."""
        return int(_I32.unpack(self.take(4))[0])

    def f64(self) -> float:
        """An IEEE double of any value."""
        return float(_F64.unpack(self.take(8))[0])

    def flag(self) -> bool:
        """A byte that is 0 or 1: a truth value, or whether an optional field follows."""
        byte = self.u8()
        if byte > 1:
            raise self.bad("a flag is neither 0 nor 1", received=byte)
        return byte == 1

    def blob(self) -> memoryview:
        """A u32 length and that many bytes, not copied."""
        return self.take(self.u32())

    def string(self) -> bytes:
        """A u16 length and that many bytes; what they may be is the caller's rule."""
        return bytes(self.take(self.u16()))

    def dims(self, min_rank: int, max_rank: int) -> tuple[int, ...]:
        """A u8 rank within the bounds and so many u32, each at least 1."""
        rank = self.u8()
        if not min_rank <= rank <= max_rank:
            raise self.bad(
                "a rank is out of bounds", expected=f"{min_rank} to {max_rank}", received=rank
            )
        dims = struct.unpack(f"<{rank}I", self.take(4 * rank))
        if 0 in dims:
            raise self.bad("a dimension is 0", received=dims)
        return dims

    def digest(self) -> tuple[int, ...]:
        """8 field elements, each below p."""
        elements: tuple[int, ...] = _DIGEST.unpack(self.take(32))
        if max(elements) >= P:
            raise self.bad("an element of a digest is not below p", received=max(elements))
        return elements


class Writer:
    """The inverse of `Reader`. Raises OverflowError where a number does not fit its field."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def getvalue(self) -> bytes:
        """Everything written so far."""
        return bytes(self._bytes)

    def raw(self, data: bytes | memoryview) -> None:
        """Bytes as they are."""
        self._bytes += data

    def _integer(self, value: int, width: int, signed: bool) -> None:
        self._bytes += int(value).to_bytes(width, "little", signed=signed)

    def u8(self, value: int) -> None:
        """An unsigned byte."""
        self._integer(value, 1, False)

    def u16(self, value: int) -> None:
        """An unsigned 16-bit integer."""
        self._integer(value, 2, False)

    def u32(self, value: int) -> None:
        """An unsigned 32-bit integer."""
        self._integer(value, 4, False)

    def u64(self, value: int) -> None:
        """An unsigned 64-bit integer."""
        self._integer(value, 8, False)

    def i32(self, value: int) -> None:
        """A signed 32-bit integer."""
        self._integer(value, 4, True)

    def i32s(self, values: Sequence[int]) -> None:
        """Signed 32-bit integers, one after the other: tables have 65,536."""
        try:
            self._bytes += struct.pack(f"<{len(values)}i", *values)
        except struct.error as error:
            raise OverflowError(str(error)) from error

    def f64(self, value: float) -> None:
        """An IEEE double."""
        self._bytes += _F64.pack(value)

    def flag(self, value: bool) -> None:
        """A byte 0 or 1."""
        self.u8(int(value))

    def blob(self, data: bytes | memoryview) -> None:
        """A u32 length and the bytes."""
        self.u32(len(data))
        self.raw(data)

    def string(self, data: bytes) -> None:
        """A u16 length and the bytes."""
        self.u16(len(data))
        self.raw(data)

    def dims(self, dims: tuple[int, ...]) -> None:
        """A u8 rank and so many u32."""
        self.u8(len(dims))
        for dim in dims:
            self.u32(dim)

    def digest(self, elements: tuple[int, ...]) -> None:
        """8 field elements as u32."""
        for element in elements:
            self.u32(element)
