"""The transcript: what was sent binds every later challenge (docs/stark.md section 3)."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import chain, count, islice

import numpy as np

from ..poseidon16 import compress, sponge
from ..reader import P
from .field import DEGREE, Ints, K
from .judge import demand
from .params import Hashing

_POW_TAG = 0x20
_POW_CHECK = 0xFD
_NEXT = 0xFE
_SQUEEZE = 0xFF
_MASK = 0x7FFFFFFF
_START = 0x41
"""The domain of Poseidon2's first state; those of messages are their tags."""


def begin(hashing: Hashing, context: bytes, parameters: bytes, tables: bytes) -> Transcript:
    """A transcript that has absorbed all that both sides know before a proof: steps 0 to 2.

    Args:
        hashing: which of the two configurations.
        context: 32 bytes that the proof is bound to.
        parameters: their 10 bytes.
        tables: the digest of the tables file, the number of tables, index and height of each.
    """
    if hashing is Hashing.SHA256:
        return Sha256Transcript(context, parameters, tables)
    return Poseidon2Transcript(context, parameters, tables)


class Transcript(ABC):
    """A state: `absorb` mixes messages in, the others draw challenges from it."""

    @abstractmethod
    def absorb(self, tag: int, data: bytes | memoryview) -> None:
        """Mix in a message under a tag: whole words, as they are on the wire."""

    @abstractmethod
    def element(self) -> K:
        """One squeeze: an element of K."""

    @abstractmethod
    def indices(self, number: int, size: int) -> Ints:
        """One squeeze: so many indices below `size`, in the order drawn, int64 [number]."""

    def pow(self, bits: int, nonce: int) -> None:
        """Demand that the prover has ground this nonce.

        Raises:
            InvalidProof: `verify.stark`, a low bit of the hash is not zero.
        """
        if bits:
            found = self._work(nonce)
            demand(found % (1 << bits) == 0, "a proof of work")

    @abstractmethod
    def _work(self, nonce: int) -> int:
        """Mix in a nonce; the number of which it shall make low bits zero."""


class Sha256Transcript(Transcript):
    """Its state are 32 bytes."""

    def __init__(self, context: bytes, parameters: bytes, tables: bytes) -> None:
        self._state = hashlib.sha256(b"zktally stark v1\0").digest()
        for tag, data in enumerate((context, parameters, tables), 1):
            self.absorb(tag, data)

    def absorb(self, tag: int, data: bytes | memoryview) -> None:
        """Hash state, tag, length and message."""
        head = self._state + bytes([tag]) + len(data).to_bytes(8, "little")
        self._state = hashlib.sha256(head + bytes(data)).digest()

    def element(self) -> K:
        """Five words of 31 bits that are below p; others are skipped."""
        words = (word & _MASK for word in self._words())
        below = (word for word in words if word < P)
        found = K([next(below) for _ in range(DEGREE)])
        self._step()
        return found

    def indices(self, number: int, size: int) -> Ints:
        """So many words, modulo the size."""
        words = self._words()
        found = np.array([next(words) % size for _ in range(number)], np.int64)
        self._step()
        return found

    def _work(self, nonce: int) -> int:
        self.absorb(_POW_TAG, nonce.to_bytes(8, "little"))
        found = hashlib.sha256(self._state + bytes([_POW_CHECK])).digest()
        return int.from_bytes(found[:8], "little")

    def _words(self) -> Iterator[int]:
        for block in count():
            ends = bytes([_SQUEEZE]) + block.to_bytes(8, "little")
            data = hashlib.sha256(self._state + ends).digest()
            yield from (int.from_bytes(data[at : at + 4], "little") for at in range(0, 32, 4))

    def _step(self) -> None:
        self._state = hashlib.sha256(self._state + bytes([_NEXT])).digest()


class Poseidon2Transcript(Transcript):
    """Its state is a digest; messages are elements below p, as they were read."""

    def __init__(self, context: bytes, parameters: bytes, tables: bytes) -> None:
        known = b"zktally stark poseidon2 v1\0" + context + parameters + tables
        seed = hashlib.sha256(known).digest()
        elements = [int.from_bytes(seed[at : at + 3], "little") for at in range(0, 32, 3)]
        self._state = sponge(_START, elements)

    @property
    def state(self) -> tuple[int, ...]:
        """The digest that all later challenges depend on, 8 elements."""
        return tuple(self._state)

    def absorb(self, tag: int, data: bytes | memoryview) -> None:
        """Hash state and message under the tag as domain."""
        self._mix(tag, np.frombuffer(data, "<u4").tolist())

    def element(self) -> K:
        """The first elements of a digest."""
        found = K(self._squeezed(0, _SQUEEZE)[:DEGREE])
        self._step()
        return found

    def indices(self, number: int, size: int) -> Ints:
        """The elements of so many digests as it takes, modulo the size."""
        words = chain.from_iterable(self._squeezed(i, _SQUEEZE) for i in count())
        found = np.array([word % size for word in islice(words, number)], np.int64)
        self._step()
        return found

    def _work(self, nonce: int) -> int:
        self._mix(_POW_TAG, [nonce])
        return self._squeezed(0, _POW_CHECK)[0]

    def _mix(self, tag: int, elements: Sequence[int]) -> None:
        self._state = sponge(tag, [*self._state, *elements])

    def _squeezed(self, i: int, purpose: int) -> list[int]:
        return compress(self._state, [i, purpose, 0, 0, 0, 0, 0, 0])

    def _step(self) -> None:
        self._state = self._squeezed(0, _NEXT)
