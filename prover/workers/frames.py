"""Messages between a process and its worker: a byte that says what, a length, the bytes."""

from __future__ import annotations

from typing import IO

PROVEN, FAILED, BEAT = b"P", b"F", b"B"
LENGTH = 8


def write_frame(stream: IO[bytes], kind: bytes, data: bytes) -> None:
    """Send a message.

    Raises:
        OSError: nobody reads.
    """
    stream.write(kind + len(data).to_bytes(LENGTH, "little"))
    stream.write(data)
    stream.flush()


def read_frame(stream: IO[bytes], limit: int) -> tuple[bytes, bytes]:
    """The next message: its kind and bytes.

    Raises:
        EOFError: the other side has ended.
        ValueError: the message is longer than the limit.
    """
    head = _exactly(stream, 1 + LENGTH)
    length = int.from_bytes(head[1:], "little")
    if length > limit:
        raise ValueError(f"a message of {length} bytes, at most {limit} are taken")
    return head[:1], _exactly(stream, length)


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if data is None or len(data) < count:
        raise EOFError("the other side has ended")
    return data
