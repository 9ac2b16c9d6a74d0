"""What is derived from keys: class keys, salts of leaves, prf tensors (protocol.md section 4).

A key is 8 field elements, uint64 [8].
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import counted
from .poseidon2 import DIGEST, Domain, Elements, keyed

SALT = 5
"""Elements of a salt."""

_SALTS_PER_CALL = 3
_PRF_PER_CALL = 16


class Class(IntEnum):
    """What a class key salts."""

    INPUTS = 0
    VALUES = 1
    STATES = 2


def class_key(run_key: Elements, number: Class) -> Elements:
    """The key of a class, `F(ρ ‖ KEY, class, 0, …)[0..8]`."""
    return _keyed(run_key, Domain.KEY, int(number))[0, :DIGEST]


def salts(key: Elements, positions: ArrayLike, tensor: int, leaves: int) -> Elements:
    """The salts of all leaves of a tensor at each position: uint64 [positions, leaves, 5]."""
    positions = np.atleast_1d(positions)
    groups = -(-leaves // _SALTS_PER_CALL)
    group = np.tile(np.arange(groups), len(positions))
    drawn = _keyed(key, Domain.SALT, np.repeat(positions, groups), tensor, group)
    used = drawn[:, : _SALTS_PER_CALL * SALT].reshape(len(positions), -1, SALT)
    return used[:, :leaves]


def prf_values(
    seed: Elements, step: int, domain: int, offsets: NDArray[np.int64], lo: int, hi: int
) -> NDArray[np.int64]:
    """Elements of a prf tensor of range [lo, hi], hi = lo + 2^b - 1, shaped like `offsets`.

    Args:
        seed: uint64 [8].
        step: of the chain.
        domain: of the tensor.
        offsets: row-major element numbers, int64.
        lo: of the declared range.
        hi: of the declared range.
    """
    group, place = np.divmod(offsets, _PRF_PER_CALL)
    calls, _ = counted(group.ravel())
    drawn = _keyed(seed, Domain.PRF, step, domain, calls)
    mask = np.uint64(hi - lo)
    return lo + (drawn[np.searchsorted(calls, group), place] & mask).astype(np.int64)


def _keyed(key: Elements, domain: Domain, *numbers: ArrayLike) -> Elements:
    """`F(key ‖ domain, numbers, 0, …)`, one row [16] per tuple of numbers."""
    columns = np.broadcast_arrays(*(np.atleast_1d(number) for number in numbers))
    x = np.zeros((len(columns[0]), 16), np.uint64)
    x[:, :DIGEST] = key
    x[:, DIGEST] = int(domain)
    for place, column in enumerate(columns, start=DIGEST + 1):
        x[:, place] = column
    return keyed(x)
