"""The transcript: what was sent binds every later challenge (docs/stark.md section 3)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from ..reader import P
from .field import DEGREE, Ints, K
from .judge import demand

_POW_TAG = 0x20
_MASK = 0x7FFFFFFF


class Transcript:
    """A state of 32 bytes: `absorb` mixes data in, the others draw challenges from it."""

    def __init__(self) -> None:
        self._state = hashlib.sha256(b"zktally stark v1\0").digest()

    def absorb(self, tag: int, data: bytes | memoryview) -> None:
        """Mix in data under a tag."""
        head = self._state + bytes([tag]) + len(data).to_bytes(8, "little")
        self._state = hashlib.sha256(head + bytes(data)).digest()

    def element(self) -> K:
        """One squeeze: an element of K."""
        words = (word & _MASK for word in self._words())
        below = (word for word in words if word < P)
        found = K([next(below) for _ in range(DEGREE)])
        self._step()
        return found

    def indices(self, count: int, size: int) -> Ints:
        """One squeeze: `count` indices below `size`, in the order drawn, int64 [count]."""
        words = self._words()
        found = np.array([next(words) % size for _ in range(count)], np.int64)
        self._step()
        return found

    def pow(self, bits: int, nonce: int) -> None:
        """Demand that the prover has ground this nonce.

        Raises:
            InvalidProof: `verify.stark`, a low bit of the hash is not zero.
        """
        if bits == 0:
            return
        self.absorb(_POW_TAG, nonce.to_bytes(8, "little"))
        found = int.from_bytes(hashlib.sha256(self._state + b"\xfd").digest()[:8], "little")
        demand(found % (1 << bits) == 0, "a proof of work")

    def _words(self) -> Iterator[int]:
        block = 0
        while True:
            data = hashlib.sha256(self._state + b"\xff" + block.to_bytes(8, "little")).digest()
            yield from (int.from_bytes(data[at : at + 4], "little") for at in range(0, 32, 4))
            block += 1

    def _step(self) -> None:
        self._state = hashlib.sha256(self._state + b"\xfe").digest()
