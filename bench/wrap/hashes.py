"""What three hashes take as a circuit computes them: for rows, nodes and the transcript."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from .shape import DEGREE

Operations = Counter[str]

_DIGEST = 8
"""Words of a digest of SHA-256 or of Poseidon2."""


class Hash(Protocol):
    """A hash of trees and transcript as a circuit computes it.

    Attributes:
        numbers: of a circuit's field in a digest.
    """

    numbers: int

    def row(self, words: int, salted: bool) -> Operations:
        """Hash a row of words that nothing is known of, and show that they are words."""

    def node(self, with_row: bool) -> Operations:
        """Hash two nodes, and the digest of a row."""

    def digest(self) -> Operations:
        """Take a digest that the prover names."""

    def absorb(self, words: int) -> Operations:
        """Into the transcript."""

    def element(self) -> Operations:
        """One squeeze: an element of K."""

    def indices(self, count: int) -> Operations:
        """One squeeze: indices."""

    def pow(self) -> Operations:
        """A proof of work: its nonce in, zeros out."""


class _Sha256:
    """As the outer proof has it: docs/stark.md sections 3 and 4."""

    numbers = _DIGEST

    def _blocks(self, count: int) -> Operations:
        # A message's words are cut to bits or pieces in any case: that is their range check.
        return Counter(sha256=count, sha256_message=count)

    def _bytes(self, length: int) -> Operations:
        return self._blocks(-(-(length + 9) // 64))

    def row(self, words: int, salted: bool) -> Operations:
        return self._bytes(1 + 4 * words + 16 * salted)

    def node(self, with_row: bool) -> Operations:
        return self._bytes(1 + 64 + 32 * with_row)

    def digest(self) -> Operations:
        return Counter()

    def absorb(self, words: int) -> Operations:
        return self._bytes(32 + 9 + 4 * words)

    def element(self) -> Operations:
        return self._blocks(2) + Counter(word=DEGREE)

    def indices(self, count: int) -> Operations:
        return self._blocks(-(-count // _DIGEST) + 1) + Counter(word=count)

    def pow(self) -> Operations:
        return self.absorb(2) + self._blocks(1) + Counter(word=1)


class _Poseidon2:
    """Over KoalaBear: a sponge of width 24 for rows and transcript, width 16 for nodes."""

    numbers = _DIGEST
    _RATE, _SALT = 16, 8

    def _absorbed(self, words: int) -> Operations:
        return Counter(p24=-(-words // self._RATE))

    def row(self, words: int, salted: bool) -> Operations:
        salt = self._SALT * salted
        return self._absorbed(words + salt) + Counter(word=words + salt)

    def node(self, with_row: bool) -> Operations:
        return Counter(p16=1 + with_row)

    def digest(self) -> Operations:
        return Counter(word=_DIGEST)

    def absorb(self, words: int) -> Operations:
        return self._absorbed(words)

    def element(self) -> Operations:
        return self._absorbed(DEGREE)

    def indices(self, count: int) -> Operations:
        return self._absorbed(count)

    def pow(self) -> Operations:
        return self._absorbed(2) + Counter(word=1)


class _Poseidon:
    """Over the circuit's own field, width 3, eight words of 31 bits in a number."""

    numbers = 1
    _RATE, _PACKED, _INDICES = 2, 8, 10

    def _absorbed(self, words: int, more: int = 0) -> Operations:
        numbers = -(-words // self._PACKED) + more
        return Counter(poseidon=-(-numbers // self._RATE))

    def row(self, words: int, salted: bool) -> Operations:
        return self._absorbed(words, more=int(salted)) + Counter(word=words)

    def node(self, with_row: bool) -> Operations:
        return Counter(poseidon=1 + with_row)

    def digest(self) -> Operations:
        return Counter()

    def absorb(self, words: int) -> Operations:
        return self._absorbed(words)

    def element(self) -> Operations:
        return Counter(poseidon=1, word=self._PACKED)

    def indices(self, count: int) -> Operations:
        numbers = -(-count // self._INDICES)
        return Counter(poseidon=numbers, word=self._PACKED * numbers)

    def pow(self) -> Operations:
        return Counter(poseidon=1, word=self._PACKED)


HASHES: Mapping[str, Hash] = {
    "SHA-256": _Sha256(),
    "Poseidon2, KoalaBear": _Poseidon2(),
    "Poseidon, BN254": _Poseidon(),
}
