"""A training program as a file, so that a run goes on with what it began with.

`ZKTSTEPS`, version byte 1; four sections, each a u64 length and its bytes: what its states and data
stand for (JSON), the program of a step and the model that is served (both as .zkt files), the first
states (.npz); then SHA-256 of all that, which finds accidents.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...verifier.errors import UsageError, ZktallyError
from ..graph import Array
from ..model import CompiledModel, from_bytes
from ..quantise import Affine
from .program import Data, Served, TrainingProgram

MAGIC = b"ZKTSTEPS\x01"
_UNREADABLE = (
    ValueError, LookupError, TypeError, AttributeError, EOFError, struct.error, zipfile.BadZipFile,
    ZktallyError,
)  # fmt: skip
"""What the parts of a file that says something else can raise."""
DIGEST = 32


def encode(program: TrainingProgram) -> bytes:
    """The bytes of the file.

    Raises:
        UsageError: a program without a data set, which is for trials.
    """
    if program.served is None:
        raise UsageError("only a training program that reads a data set has a file")
    head = {
        "codes": {name: _code(code) for name, code in program.codes.items()},
        "data": [
            {"name": data.name, "code": _code(data.code), "whole": data.whole}
            for data in program.data
        ],
        "exports": list(program.served.exports),
        "loss": program.loss,
    }
    start = io.BytesIO()
    np.savez(start, *program.start)
    sections = (
        json.dumps(head, sort_keys=True).encode(),
        program.model.to_bytes(),
        program.served.model.to_bytes(),
        start.getvalue(),
    )
    body = MAGIC + b"".join(struct.pack("<Q", len(part)) + part for part in sections)
    return body + hashlib.sha256(body).digest()


def decode(data: bytes) -> TrainingProgram:
    """The inverse of `encode`.

    Raises:
        UsageError: `usage.unreadable`, the bytes are not what it writes.
    """
    body, digest = data[:-DIGEST], data[-DIGEST:]
    if not body.startswith(MAGIC) or hashlib.sha256(body).digest() != digest:
        raise _damaged("it is no training program of this release, or damaged")
    try:
        head, model, served, start = _sections(body[len(MAGIC) :])
        return _program(json.loads(head), from_bytes(model), from_bytes(served), _arrays(start))
    except _UNREADABLE as error:
        raise _damaged(f"it is damaged: {error}") from error


def _program(
    head: dict[str, Any], model: CompiledModel, served: CompiledModel, start: tuple[Array, ...]
) -> TrainingProgram:
    tensors = {tensor.name: tensor for tensor in model.checked.program.tensors}
    data = tuple(
        Data(each["name"], tensors[each["name"]], Affine(*each["code"]), bool(each["whole"]))
        for each in head["data"]
    )
    return TrainingProgram(
        model,
        {name: Affine(*code) for name, code in head["codes"].items()},
        start,
        str(head["loss"]),
        data,
        Served(served, tuple(head["exports"])),
    )


def _code(code: Affine) -> list[float | int]:
    return [code.scale, code.zero, code.lo, code.hi]


def _sections(data: bytes) -> Iterator[bytes]:
    while data:
        (length,) = struct.unpack_from("<Q", data)
        yield data[8 : 8 + length]
        data = data[8 + length :]


def _arrays(data: bytes) -> tuple[Array, ...]:
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        return tuple(held[f"arr_{number}"] for number in range(len(held.files)))


def _damaged(message: str) -> UsageError:
    return UsageError(f"cannot read the training program: {message}", code="usage.unreadable")
