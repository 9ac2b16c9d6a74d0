"""What is derived from keys: class keys, salts of leaves, prf tensors (protocol.md section 4).

A key is 8 field elements, uint64 [8].
"""

from __future__ import annotations

import hashlib
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import counted
from .poseidon2 import DIGEST, Domain, Elements, keyed
from .reader import P

SALT = 5
"""Elements of a salt."""

_SALTS_PER_CALL = 3
_PRF_PER_CALL = 16
_DRAWN_BITS = 24

START_POSITION = 2**30
"""Where what states start with is drawn: behind the last step that a run can have."""


class Class(IntEnum):
    """What a class key salts."""

    INPUTS = 0
    VALUES = 1
    STATES = 2


def class_key(run_key: Elements, number: Class) -> Elements:
    """The key of a class, `F(run_key ‖ KEY, class, 0, …)[0..8]`."""
    return _keyed(run_key, Domain.KEY, int(number))[0, :DIGEST]


def salts(key: Elements, positions: ArrayLike, tensor: int, leaves: int) -> Elements:
    """The salts of all leaves of a tensor at each position: uint64 [positions, leaves, 5]."""
    positions = np.atleast_1d(positions)
    groups = -(-leaves // _SALTS_PER_CALL)
    group = np.tile(np.arange(groups), len(positions))
    drawn = _keyed(key, Domain.SALT, np.repeat(positions, groups), tensor, group)
    used = drawn[:, : _SALTS_PER_CALL * SALT].reshape(len(positions), -1, SALT)
    return used[:, :leaves]


def salts_between(key: Elements, position: int, tensor: int, first: int, end: int) -> Elements:
    """The salts of some leaves of a tensor in a row: uint64 [end - first, 5]."""
    start = first // _SALTS_PER_CALL
    group = np.arange(start, -(-end // _SALTS_PER_CALL), dtype=np.int64)
    drawn = _keyed(key, Domain.SALT, position, tensor, group)
    used = drawn[:, : _SALTS_PER_CALL * SALT].reshape(-1, SALT)
    skipped = _SALTS_PER_CALL * start
    return used[first - skipped : end - skipped]


def derived_seed(program_id: bytes, dataset_root: bytes, nonce: bytes | None) -> Elements:
    """The seed of a run that nobody chooses, uint64 [8].

    Args:
        program_id: 32 bytes.
        dataset_root: 32 bytes, zero without a data set.
        nonce: that all receipts of the run name.
    """
    head = hashlib.sha256(b"zktally training seed v1\0" + program_id + dataset_root)
    named = b"\0" if nonce is None else b"\1" + len(nonce).to_bytes(2, "little") + nonce
    head.update(named)
    found: list[int] = []
    counter = 0
    while len(found) < DIGEST:
        block = head.copy()
        block.update(counter.to_bytes(4, "little"))
        words = np.frombuffer(block.digest(), "<u4") & np.uint32(2**31 - 1)
        found += [word for word in words.tolist() if word < P]
        counter += 1
    return np.array(found[:DIGEST], np.uint64)


def drawn_start(
    seed: Elements, domain: int, offsets: NDArray[np.int64], lo: int, hi: int
) -> NDArray[np.int64]:
    """What a state starts with that is drawn evenly from [lo, hi], shaped like `offsets`.

    Args:
        seed: uint64 [8].
        domain: of the start.
        offsets: row-major element numbers, int64.
        lo: of the range drawn from.
        hi: of that range, hi - lo below 2^24.
    """
    words = _prf_words(seed, START_POSITION, domain, offsets).astype(np.int64)
    return lo + ((words & (1 << _DRAWN_BITS) - 1) * (hi - lo + 1) >> _DRAWN_BITS)


def prf_values(
    seed: Elements, step: int, domain: int, offsets: NDArray[np.int64], lo: int, hi: int
) -> NDArray[np.int64]:
    """Elements of a prf tensor of range [lo, hi], hi = lo + 2^b - 1, shaped like `offsets`.

    Args:
        seed: uint64 [8].
        step: of the run.
        domain: of the tensor.
        offsets: row-major element numbers, int64.
        lo: of the declared range.
        hi: of the declared range.
    """
    words = _prf_words(seed, step, domain, offsets)
    return lo + (words & np.uint64(hi - lo)).astype(np.int64)


def _prf_words(seed: Elements, step: int, domain: int, offsets: NDArray[np.int64]) -> Elements:
    """Words of the keyed function under the seed, shaped like `offsets`."""
    group, place = np.divmod(offsets, _PRF_PER_CALL)
    calls, _ = counted(group.ravel())
    drawn = _keyed(seed, Domain.PRF, step, domain, calls)
    found: Elements = drawn[np.searchsorted(calls, group), place]
    return found


def _keyed(key: Elements, domain: Domain, *numbers: ArrayLike) -> Elements:
    """`F(key ‖ domain, numbers, 0, …)`, one row [16] per tuple of numbers."""
    columns = np.broadcast_arrays(*(np.atleast_1d(number) for number in numbers))
    x = np.zeros((len(columns[0]), 16), np.uint64)
    x[:, :DIGEST] = key
    x[:, DIGEST] = int(domain)
    for place, column in enumerate(columns, start=DIGEST + 1):
        x[:, place] = column
    return keyed(x)
