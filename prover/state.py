"""The state in which a run ended, and the .zks file that holds it: for whoever goes on, or exports.

The next receipt begins in that state under the salts with which the last one committed to it; so
the roots are equal, and anyone sees that the two belong together. The key of the salts is secret:
with it the states of all steps of the run can be guessed from what its receipts show.

File: `ZKSTATE`, version byte 1; program id, weights root, data set root (zero without one) and key,
32 bytes each; u32 position; a byte that is 1 for a derived seed; u8 length and a seed of one's own;
u8 length and the nonce of a derived one; u16 number of states, each a str of its name, u8 width, u8
rank, u32 dims, packed values (docs/protocol.md section 4); then SHA-256 of all that, which finds
accidents.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np

from ..circuits.files import read_limited, write_atomically
from ..circuits.keys import is_key
from ..circuits.model import CompiledModel, Salt
from ..verifier.errors import UsageError
from ..verifier.inputs import DTYPES, Array, pack_values, unpack_values
from ..verifier.journal import MAX_POSITION
from ..verifier.kinds import STATE, what_is
from ..verifier.program.types import Program, Role
from ..verifier.quoting import listed, quoted
from .errors import BadStateFile

MAGIC = b"ZKSTATE\x01"
FILE_MAX = 1 << 33
HASH = 32


@dataclass(frozen=True, eq=False)
class RunState:
    """The state after some steps of a run, and what going on takes.

    Attributes:
        program_id, weights_root: of the model that ran, 32 bytes each.
        dataset_root: of what it read, 32 bytes; zero without data tensors.
        key: of the salts of the run's states, 8 field elements; secret.
        position: steps of the run so far.
        derived: whether the seed follows from program, data set and nonce.
        prf_seed: the seed of one's own where there is one, 32 bytes; secret.
        nonce: of a derived seed.
        names: of the state tensors, in tensor order.
        arrays: their values, int8, int16 or int32 by width.
    """

    program_id: bytes
    weights_root: bytes
    dataset_root: bytes
    key: bytes
    position: int
    derived: bool
    prf_seed: bytes | None
    nonce: bytes | None
    names: tuple[str, ...]
    arrays: tuple[Array, ...]

    @property
    def source(self) -> Literal["own", "derived"]:
        """Where the seed comes from."""
        return "derived" if self.derived else "own"

    def by_name(self) -> dict[str, Array]:
        """The values of all states by the names of their tensors."""
        return dict(zip(self.names, self.arrays, strict=True))

    def save(self, path: str | Path, force: bool = False) -> None:
        """Write the .zks file atomically, for its owner only.

        Raises:
            UsageError: `usage.file-exists` without `force`, `usage.unwritable`.
        """
        write_atomically(path, self.to_bytes(), force=force, private=True)

    @classmethod
    def load(cls, path: str | Path) -> RunState:
        """Read a .zks file.

        Raises:
            UsageError: `usage.unreadable`.
            BadStateFile: it is not what `save` writes.
        """
        return from_bytes(read_limited(path, FILE_MAX))

    def to_bytes(self) -> bytes:
        """The bytes of the .zks file."""
        parts = [MAGIC, self.program_id, self.weights_root, self.dataset_root, self.key]
        parts.append(struct.pack("<IB", self.position, self.derived))
        for optional in (self.prf_seed, self.nonce):
            parts.append(struct.pack("<B", len(optional or b"")) + (optional or b""))
        parts.append(struct.pack("<H", len(self.arrays)))
        for name, array in self.by_name().items():
            width = next(width for width, dtype in DTYPES.items() if array.dtype == dtype)
            text = name.encode("ascii")
            parts.append(struct.pack("<H", len(text)) + text)
            parts.append(struct.pack(f"<BB{array.ndim}I", width, array.ndim, *array.shape))
            parts.append(pack_values(array, width))
        body = b"".join(parts)
        return body + hashlib.sha256(body).digest()

    def check(self, model: CompiledModel) -> None:
        """Refuse a state that is not one of this model's.

        Raises:
            UsageError: of another program, of other weights, or of tensors that it has not.
        """
        for what, own, given in (
            ("program", self.program_id, model.program_id),
            ("weights", self.weights_root, model.weights_root),
        ):
            if own != given:
                raise UsageError(
                    f"the state is one of a run of another {what}",
                    expected=own.hex(),
                    received=given.hex(),
                )
        program = model.checked.program
        tensors = [program.tensors[number] for number in program.of_role(Role.STATE)]
        forms = [(tensor.name, tensor.shape) for tensor in tensors]
        held = [(name, array.shape) for name, array in zip(self.names, self.arrays, strict=True)]
        if held != forms:
            raise UsageError(
                "the state is one of other tensors than the model's",
                expected=listed(name for name, _ in forms),
                received=listed(self.names),
            )

    def __repr__(self) -> str:
        return f"RunState(after {self.position} steps of program {self.program_id.hex()[:8]}…)"


def from_bytes(data: bytes) -> RunState:
    """The inverse of `RunState.to_bytes`.

    Raises:
        BadStateFile: the bytes are not what it writes.
    """
    if data[: len(MAGIC)] != MAGIC:
        _bad("it is not the state of a run, or of another version", STATE, what_is(data))
    body, digest = data[:-HASH], data[-HASH:]
    if hashlib.sha256(body).digest() != digest:
        _bad("it is truncated or damaged: its checksum is wrong")
    try:
        state = _read(_Cursor(body, len(MAGIC)))
    except (struct.error, ValueError, KeyError) as error:
        raise BadStateFile(f"bad state file: it cannot be read: {error}") from error
    if state.to_bytes() != data:
        _bad("it is not in its one form")
    return state


class _Cursor:
    """Bytes that are read from left to right."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise ValueError("it ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def numbers(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self.take(struct.calcsize(form)))


def _read(r: _Cursor) -> RunState:
    program, weights, data, key = (r.take(HASH) for _ in range(4))
    position, derived = r.numbers("<IB")
    seed, nonce = (r.take(r.numbers("<B")[0]) or None for _ in range(2))
    (count,) = r.numbers("<H")
    states = list(_arrays(r, count))
    keys = [key] if seed is None else [key, seed]
    if not all(is_key(each) for each in keys) or position > MAX_POSITION or derived > 1:
        raise ValueError("a key, position or seed that is none")
    return RunState(
        program,
        weights,
        data,
        key,
        position,
        bool(derived),
        seed,
        nonce,
        tuple(name for name, _ in states),
        tuple(array for _, array in states),
    )


def _arrays(r: _Cursor, count: int) -> Iterator[tuple[str, Array]]:
    for _ in range(count):
        name = r.take(r.numbers("<H")[0]).decode("ascii")
        width, rank = r.numbers("<BB")
        shape = r.numbers(f"<{rank}I")
        size = 1
        for dim in shape:
            size *= dim
        packed = np.frombuffer(r.take(size * width), np.uint8)
        yield name, unpack_values(packed, width).reshape(shape).astype(DTYPES[width])


def exported_model(trained: CompiledModel, state: RunState, served: CompiledModel) -> CompiledModel:
    """The model that is served with what a run has learnt.

    Its weights root is the exported root of the run's last receipt. Its file holds the key of the
    states of the run.

    Args:
        trained: the model of the training steps, whose program lists its exports.
        state: in which the run ended.
        served: compiled from the network that is served; its weights are replaced, one by one, by
            the exported tensors.

    Raises:
        UsageError: a state of another model, or exports that are not of the form of the weights.
    """
    state.check(trained)
    program = trained.checked.program
    states, weights = program.of_role(Role.STATE), program.of_role(Role.WEIGHT)
    arrays, salts = [], []
    for number in program.exports:
        if number in states:
            arrays.append(state.arrays[states.index(number)])
            salts.append(Salt(state.key, state.position, number))
        else:
            arrays.append(trained.weights[weights.index(number)])
            salts.append(trained.salt_of(number))
    _judge_forms(program, served.checked.program)
    return CompiledModel(
        served.checked, tuple(arrays), b"", served.record, served.report, tuple(salts)
    )


def _judge_forms(trained: Program, served: Program) -> None:
    """Refuse weights that are committed in another form than what is exported."""
    exported = [trained.tensors[number] for number in trained.exports]
    wanted = [served.tensors[number] for number in served.of_role(Role.WEIGHT)]
    if len(exported) != len(wanted):
        raise UsageError(
            "the served program has another number of weights than are exported",
            expected=len(wanted),
            received=len(exported),
        )
    for export, weight in zip(exported, wanted, strict=True):
        forms = [(t.width, t.lo, t.hi, t.shape, t.layout) for t in (weight, export)]
        if forms[0] != forms[1]:
            raise UsageError(
                f"weight {quoted(weight.name)} has another form than {quoted(export.name)}",
                expected=forms[0],
                received=forms[1],
            )


def _bad(why: str, expected: str | None = None, received: str | None = None) -> NoReturn:
    raise BadStateFile(f"bad state file: {why}", expected=expected, received=received)
