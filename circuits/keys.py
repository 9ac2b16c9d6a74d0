"""Keys of salts, and the files that keep them.

The key of a data set salts its trees as it is, because whoever holds the data gives it to others,
who compute the root again. The key of weights is a master key: the leaves of two models have salts
in common only if the models are the same, since each model's salts follow from it, the program and
the integer weights (docs/tutorials/private.md).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from collections.abc import Iterable

from ..verifier.errors import UsageError
from ..verifier.reader import P

KEY_BYTES = 32
PUBLIC_KEY = bytes(KEY_BYTES)
OF_DATA, OF_WEIGHTS = "a data set", "a model"
"""What a key is of, as its file says."""

_LABEL = b"zktally weights key v1\0"
_MARK = "# key of "
_ELEMENTS = struct.Struct("<8I")


def new_key() -> bytes:
    """8 uniform field elements from the operating system: a key of data, of runs, or of weights."""
    return _elements(iter(lambda: os.urandom(KEY_BYTES), b""))


def is_key(key: bytes) -> bool:
    """Whether these are 8 canonical field elements."""
    return len(key) == KEY_BYTES and all(e < P for e in _ELEMENTS.unpack(key))


def master_key(key: bytes | None, public: bool) -> bytes:
    """The key that the salts of a model follow from: zero for a public one, given, or a new one.

    Raises:
        UsageError: a key that is not 32 bytes, or zero; or one for a public model.
    """
    if public:
        if key not in (None, PUBLIC_KEY):
            raise UsageError("a public model has no weights key", hint="drop one of the two")
        return PUBLIC_KEY
    if key is None:
        return os.urandom(KEY_BYTES)
    if not isinstance(key, bytes) or len(key) != KEY_BYTES or key == PUBLIC_KEY:
        raise UsageError(
            "weights_key is not a key",
            expected="32 random bytes, as secrets.token_bytes(32) draws them",
            received=f"{len(key)} bytes" if isinstance(key, bytes) else type(key).__name__,
        )
    return key


def salting_key(master: bytes, program_id: bytes, weights: Iterable[bytes]) -> bytes:
    """The key that salts the weights of one model; a public one has no other than zero.

    HMAC-SHA-256 under the master key of a label, the program id, the SHA-256 of all packed weights
    and a counter; of the words of 31 bits the first 8 that are field elements.

    Args:
        master: as `master_key` gives it.
        program_id: 32 bytes; with it number, width and shape of the tensors are fixed.
        weights: integers of all weight tensors in their order, packed (protocol.md section 4).
    """
    if master == PUBLIC_KEY:
        return PUBLIC_KEY
    digest = hashlib.sha256()
    for packed in weights:
        digest.update(packed)
    named = _LABEL + program_id + digest.digest()
    blocks = (
        hmac.digest(master, named + counter.to_bytes(4, "little"), "sha256")
        for counter in range(1 << 32)
    )
    return _elements(blocks)


def _elements(blocks: Iterable[bytes]) -> bytes:
    """8 field elements out of blocks of 8 words, by rejection."""
    found: list[int] = []
    for block in blocks:
        words = (word & (2**31 - 1) for word in _ELEMENTS.unpack(block))
        found += [word for word in words if word < P]
        if len(found) >= 8:
            break
    return _ELEMENTS.pack(*found[:8])


def key_text(key: bytes, of: str) -> bytes:
    """What stands in the file of a key: its digits, and a line that says what it is of."""
    return f"{key.hex()}\n{_MARK}{of}\n".encode("ascii")


def key_in(data: bytes) -> tuple[bytes | None, str | None]:
    """The key in the bytes of a file, None if there is none; and what it is of, where it says so.

    It is 32 bytes, or 64 hexadecimal digits in the first line.
    """
    if len(data) == KEY_BYTES:
        return data, None
    try:
        digits, *more = data.decode("ascii").strip().split("\n")
        key = bytes.fromhex(digits)
    except ValueError:
        return None, None
    marked = [line.removeprefix(_MARK).strip() for line in more if line.startswith(_MARK)]
    fits = len(key) == KEY_BYTES and len(marked) == len(more) <= 1
    return (key if fits else None), (marked[0] if fits and marked else None)
