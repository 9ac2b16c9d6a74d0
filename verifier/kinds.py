"""What a file is, by how it begins: whoever passes the wrong one is told which it is.

It names kinds and judges nothing: a file that is called a receipt here can still be a bad one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

HEAD = 1 << 12
"""Bytes at the beginning of a file that are looked at."""

RECEIPT, MODEL, STATE = "a receipt", "a compiled model (.zkt)", "a state file (.zks)"
OUTPUTS, SHOWING = "the outputs of a receipt, held to be shown", "a showing of outputs"
AGGREGATE, AGGREGATED = "an aggregate of several receipts", b"ZKTMANY"
ONNX, EMPTY = "an ONNX file", "an empty file"
NPZ, NPY = "arrays by name (.npz)", "one array (.npy)"

_BEGINNINGS = (
    (b"ZKTALLY", RECEIPT),
    (AGGREGATED, AGGREGATE),
    (b"ZKTMODEL", MODEL),
    (b"ZKSTATE", STATE),
    (b"ZKTOUTS", OUTPUTS),
    (b"ZKTSHOW", SHOWING),
    (b"ZKSNARK", "a receipt of a SNARK (mode snark)"),
    (b"ZKTWORK", "the job of a work folder, not its receipt"),
    (b"ZKTSTEPS", "the program of a training run"),
    (b"\x93NUMPY", NPY),
    (b"\x89PNG\r\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"%PDF-", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x7fELF", "a program of this machine"),
)
"""First bytes, and what begins so."""

_ONNX_FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
"""Fields of an ONNX `ModelProto`: the wire type of each (0 a number, 2 bytes of a length)."""

_GRAPH = 7
_TEXT_CONTROLS = {9, 10, 12, 13}


def what_is(data: bytes | bytearray | memoryview) -> str:
    """What these bytes are, in words, such as "a receipt", "an ONNX file" or "a text".

    Args:
        data: a file, or its beginning.
    """
    head = bytes(data[:HEAD])
    if not head:
        return EMPTY
    for beginning, kind in _BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if head.startswith(b"PK\x03\x04"):
        return _archive(head)
    if _is_onnx(head):
        return ONNX
    text = _text(head)
    return "bytes of no known kind" if text is None else _kind_of_text(text)


def is_aggregate(data: bytes | bytearray | memoryview) -> bool:
    """Whether bytes begin as an aggregate does."""
    return bytes(data[: len(AGGREGATED)]) == AGGREGATED


def what_is_at(path: str | os.PathLike[str]) -> str:
    """What stands at a path, in words; "nothing" where nothing can be read."""
    where = Path(path)
    try:
        if where.is_dir():
            return "a folder"
        with where.open("rb") as file:
            return what_is(file.read(HEAD))
    except OSError:
        return "nothing that can be read"


def _archive(head: bytes) -> str:
    """A zip archive, by the name of its first file."""
    length = int.from_bytes(head[26:28], "little")
    name = head[30 : 30 + length]
    if name.endswith(b".npy"):
        return NPZ
    return "a torch file" if name.endswith(b"data.pkl") else "a zip archive"


def _is_onnx(head: bytes) -> bool:
    """Whether the bytes are fields of an ONNX model, up to its graph or to the end of them."""
    seen = set()
    for field, wire in _fields(head):
        if _ONNX_FIELDS.get(field) != wire:
            return False
        seen.add(field)
        if field == _GRAPH:
            break
    return bool(seen & {1, _GRAPH})


def _fields(head: bytes) -> Iterator[tuple[int, int]]:
    """The fields of a protobuf message: number and wire type; a wrong one is (0, 0)."""
    at = 0
    while at < len(head):
        tag, at = _varint(head, at)
        field, wire = tag >> 3, tag & 7
        yield (field, wire) if wire in (0, 2) else (0, 0)
        value, at = _varint(head, at)
        at += value if wire == 2 else 0


def _varint(head: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(head):
        value |= (head[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if head[at - 1] < 128:
            break
    return value, at


def _text(head: bytes) -> str | None:
    """The bytes as text, None where they are none; a cut character at the end is left out."""
    for cut in range(4):
        try:
            text = head[: len(head) - cut].decode("utf-8-sig")
        except UnicodeDecodeError:
            if len(head) < HEAD:
                return None
            continue
        control = any(ord(c) < 32 and ord(c) not in _TEXT_CONTROLS for c in text)
        return None if control else text
    return None


def _kind_of_text(text: str) -> str:
    start = text.lstrip()
    if start[:1] in ("{", "["):
        return "a JSON text" if start[:1] == "{" else "a text"
    if start[:9].lower() == "<!doctype" or start[:5].lower() == "<html":
        return "an HTML page"
    lines = [line for line in text.splitlines() if line.strip()][:3]
    for separator in ",;\t":
        counts = {line.count(separator) for line in lines[:2]}
        if len(lines) > 1 and len(counts) == 1 and counts != {0}:
            return "a table (.csv)"
    return "a text"
