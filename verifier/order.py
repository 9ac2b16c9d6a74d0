"""Which record of the data set a slot of a step reads (protocol.md section 4, Order of records).

Public arithmetic: epochs without replacement, each a permutation of all records that a balanced
Feistel network over SHA-256 gives, walked until it ends inside the records. So whoever checks one
slot works out that slot alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .arrays import counted
from .poseidon2 import Elements

Ints = NDArray[np.int64]

MAX_SLOTS = 2**24
"""Slots of the data set, all steps of a receipt together, that are looked up."""

_ROUNDS = 6
_EPOCH, _ROUND, _HALF = 8, 1, 4
"""Bytes of what a round hashes behind the key: epoch, number of the round, half of the place."""

_HALF_BITS = 16
_UNKNOWN = -1
_SLOTS = 1 << 18
"""Slots that are worked out at once."""


def order_key(seed: Elements) -> bytes:
    """The key of the order, 32 bytes, from the seed of the run [8]."""
    return hashlib.sha256(b"zktally order v1\0" + seed.astype("<u4").tobytes()).digest()


def permuted(key: bytes, records: int, epochs: Ints, places: Ints) -> Ints:
    """`π_e(r)` for each epoch and place [n], places below `records` (below 2^31): int64 [n]."""
    half = max(1, -(-(records - 1).bit_length() // 2))
    found = places.astype(np.int64)
    outside = np.arange(len(found), dtype=np.int64)
    while len(outside):
        found[outside] = _network(key, half, epochs[outside], found[outside])
        outside = outside[found[outside] >= records]
    return found


@dataclass(frozen=True)
class Order:
    """The order in which the steps of a receipt read the records.

    Args:
        key: of the order, 32 bytes.
        records: of the data set, below 2^31.
        slots: records that a step reads, at most `records`.
        first: the step of the run that the receipt begins with.
        steps: of the receipt.
    """

    key: bytes
    records: int
    slots: int
    first: int
    steps: int

    @cached_property
    def table(self) -> NDArray[np.int32]:
        """The record in each slot of each step, [steps, slots]."""
        self._find(np.arange(len(self._known), dtype=np.int64))
        return self._known.reshape(self.steps, self.slots)

    @cached_property
    def _known(self) -> NDArray[np.int32]:
        """The record in each slot, all steps one after the other; -1 while nobody asked for it."""
        return np.full(self.steps * self.slots, _UNKNOWN, np.int32)

    def _find(self, at: Ints) -> None:
        """Work out these slots, as far as they are not known: samples are few of all."""
        epoch_slots = self.records // self.slots * self.slots
        missing = at[self._known[at] == _UNKNOWN]
        for start in range(0, len(missing), _SLOTS):
            some, _ = counted(missing[start : start + _SLOTS])
            epochs, places = np.divmod(self.first * self.slots + some, epoch_slots)
            self._known[some] = permuted(self.key, self.records, epochs, places)

    def placed(self, steps: Ints | int, numbers: Ints, per_record: int) -> Ints:
        """Numbers within the records of a step as numbers within the data set.

        Args:
            steps: of the receipt, broadcastable with `numbers`.
            numbers: of elements or leaves, slot · per_record + rest.
            per_record: how many a record has.
        """
        slot, rest = np.divmod(numbers, per_record)
        at = steps * self.slots + slot
        self._find(at.ravel())
        found: Ints = self._known[at].astype(np.int64) * per_record + rest
        return found


def _network(key: bytes, half: int, epochs: Ints, x: Ints) -> Ints:
    """The Feistel network on numbers of 2·half bits."""
    mask = (1 << half) - 1
    left, right = x >> half, x & mask
    for number in range(_ROUNDS):
        left, right = right, left ^ _hashed(key, number, epochs, right) & mask
    return left << half | right


def _hashed(key: bytes, number: int, epochs: Ints, halves: Ints) -> Ints:
    """The first four bytes of the hash of each epoch and half in a round; equal ones once."""
    asked = epochs << _HALF_BITS | halves
    distinct, _ = counted(asked)
    messages = np.zeros((len(distinct), len(key) + _EPOCH + _ROUND + _HALF), np.uint8)
    messages[:, : len(key)] = np.frombuffer(key, np.uint8)
    at = len(key)
    messages[:, at : at + _EPOCH] = _bytes(distinct >> _HALF_BITS)
    messages[:, at + _EPOCH] = number
    half_bytes = _bytes(distinct & (1 << _HALF_BITS) - 1)[:, :_HALF]
    messages[:, at + _EPOCH + _ROUND :] = half_bytes
    data, size = messages.tobytes(), messages.shape[1]
    digests = b"".join(
        hashlib.sha256(data[start : start + size]).digest()[:_HALF]
        for start in range(0, len(data), size)
    )
    words = np.frombuffer(digests, "<u4").astype(np.int64)
    found: Ints = words[np.searchsorted(distinct, asked)]
    return found


def _bytes(numbers: Ints) -> NDArray[np.uint8]:
    """Numbers as 8 little-endian bytes each, [n, 8]."""
    return numbers.astype("<i8").view(np.uint8).reshape(-1, 8)
