"""Poseidon2 over KoalaBear in numpy: the sponge, the compression and the keyed function.

protocol.md section 4. Everything works on many inputs at once: field elements are uint64 arrays
with values below p, one hash per row. Round constants are derived from the Grain LFSR of the
Poseidon2 reference at first use, so that none has to be believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from .reader import P

Elements = NDArray[np.uint64]
"""Field elements below p."""

RATE = 16
RATE16 = 8
"""Elements that `S`, on the permutation of width 16, takes in at a time."""
DIGEST = 8

_PRIME = np.uint64(P)
_PRIME_BITS = 31
_FULL_ROUNDS = 8
_PARTIAL_ROUNDS = {16: 20, 24: 23}
_BLOCK = 1024
"""States permuted together: 24 × 1024 words stay in the second-level cache."""


class Domain(IntEnum):
    """What a hash is for; no two purposes share a number."""

    LEAF = 1
    WEIGHTS = 3
    INPUT = 4
    STATE = 5
    STEP = 6
    INPUTS = 7
    CHAIN = 8
    SALT = 9
    KEY = 10
    PRF = 11
    SEED = 12
    DATASET = 13


def sponge(domain: Domain, aux: int, elements: Elements) -> Elements:
    """`H(domain, aux, row)` of each row: elements [n, length] to digests [n, 8]."""
    count, length = elements.shape
    state = np.zeros((count, 24), np.uint64)
    state[:, 16:19] = length, int(domain), aux
    for start in range(0, max(length, 1), RATE):
        block = elements[:, start : start + RATE]
        state[:, : block.shape[1]] = block
        state[:, block.shape[1] : RATE] = 0
        state = permute(state)
    return state[:, :DIGEST]


def compress(left: Elements, right: Elements) -> Elements:
    """`C(l, r) = P16(l ‖ r)[0..8] + l` of digests [n, 8] and [n, 8]."""
    mixed = permute(np.concatenate([left, right], axis=1))
    return _reduce(mixed[:, :DIGEST] + left)


def keyed(x: Elements) -> Elements:
    """`F(x) = P16(x) + x` of inputs [n, 16], the key in the first 8 elements."""
    return _reduce(permute(x) + x)


def permute(states: Elements) -> Elements:
    """`P16` of [n, 16] or `P24` of [n, 24]; a new array with values below p."""
    width = states.shape[1]
    rounds = round_constants(width)
    out = np.empty_like(states)
    for start in range(0, len(states), _BLOCK):
        columns = np.ascontiguousarray(states[start : start + _BLOCK].T)
        out[start : start + _BLOCK] = _permute_columns(columns, rounds).T
    return out


def sponge16(domain: int, elements: Elements) -> Elements:
    """`S(domain, row)` of each row: elements [n, length], length ≥ 1, to digests [n, 8].

    Domain numbers are those of the STARK (docs/stark.md sections 3 and 4).
    """
    count, length = elements.shape
    state = np.zeros((count, 16), np.uint64)
    state[:, RATE16 : RATE16 + 2] = length, domain
    for start in range(0, length, RATE16):
        block = elements[:, start : start + RATE16]
        state[:, : block.shape[1]] = block
        state[:, block.shape[1] : RATE16] = 0
        state = permute(state)
    return state[:, :DIGEST]


@dataclass(frozen=True)
class Rounds:
    """Constants for columns: initial, final [4, width, 1]; partial [R_P]; diagonal [width, 1]."""

    initial: Elements
    partial: Elements
    final: Elements
    diagonal: Elements


def _permute_columns(s: Elements, rounds: Rounds) -> Elements:
    """One column per state. Every value is below p between rounds, and below 2^64 within one."""
    s = _external_layer(s)
    for constants in rounds.initial:
        s = _external_layer(_cube(s + constants))
    for constant in rounds.partial:
        s[0] = _cube(s[0] + constant)
        total = s.sum(axis=0)
        s *= rounds.diagonal
        s += total
        s = _reduce(s)
    for constants in rounds.final:
        s = _external_layer(_cube(s + constants))
    return s


def _external_layer(s: Elements) -> Elements:
    """circ(2·M4, M4, …), M4 = circ(2, 3, 1, 1) on groups of four: sums of at most 49 elements."""
    a, b, c, d = groups = s.reshape(-1, 4, s.shape[1]).transpose(1, 0, 2)
    total = a + b + c + d
    mixed = np.empty_like(groups)
    mixed[0] = total + a + 2 * b
    mixed[1] = total + b + 2 * c
    mixed[2] = total + c + 2 * d
    mixed[3] = total + d + 2 * a
    mixed += mixed.sum(axis=1, keepdims=True)
    return _reduce(mixed.transpose(1, 0, 2).reshape(s.shape))


def _cube(x: Elements) -> Elements:
    """x³ for x below 2p, which is below 2^32: each product fits 64 bits."""
    return _reduce(_reduce(x * x) * x)


def _reduce(x: Elements) -> Elements:
    """Rest of x modulo p; numpy divides by a constant with multiplications, but not so for `%`."""
    return x - x // _PRIME * _PRIME


@lru_cache
def round_constants(width: int) -> Rounds:
    """The constants of the permutation of width 16 or 24."""
    partial = _PARTIAL_ROUNDS[width]
    half = _FULL_ROUNDS // 2 * width
    drawn = np.fromiter(
        islice(_grain(width, partial), 2 * half + partial), np.uint64, 2 * half + partial
    )
    return Rounds(
        initial=drawn[:half].reshape(-1, width, 1),
        partial=drawn[half : half + partial],
        final=drawn[half + partial :].reshape(-1, width, 1),
        diagonal=_diagonal(width),
    )


def _grain(width: int, partial: int) -> Iterator[int]:
    """Field elements of the Grain LFSR in self-shrinking mode, seeded with the parameters.

    The seed is, from the most significant bit: field type 1 (2 bits), S-box 0 for x^α (4),
    bits of the prime (12), width (12), full rounds (10), partial rounds (10), ones (30).
    """
    fields = ((1, 2), (0, 4), (_PRIME_BITS, 12), (width, 12), (_FULL_ROUNDS, 10), (partial, 10))
    seed = "".join(f"{value:0{bits}b}" for value, bits in fields) + "1" * 30
    bits = islice(_register(int(seed[::-1], 2)), 160, None)
    # Of each pair the second bit counts, if the first one is set.
    kept = (second for first, second in zip(bits, bits, strict=False) if first)
    while True:
        element = 0
        for bit in islice(kept, _PRIME_BITS):
            element = 2 * element + bit
        if element < P:
            yield element


def _register(bits: int) -> Iterator[int]:
    """The bits that a register of 80, bit 0 the oldest, takes in: 18 at a time.

    The last tap is at 62, so none of these bits follows from another of them.
    """
    while True:
        fresh = 0
        for tap in (0, 13, 23, 38, 51, 62):
            fresh ^= bits >> tap
        fresh &= (1 << 18) - 1
        yield from (fresh >> place & 1 for place in range(18))
        bits = bits >> 18 | fresh << 62


def _diagonal(width: int) -> Elements:
    """V of the internal layer 1 + Diag(V): small numbers and inverse powers of two (e: ±2^-e)."""
    plus, minus = {
        16: ((8, 3, 24), (8, 3, 4, 24)),
        24: ((8, 2, 3, 4, 5, 6, 24), (8, 3, 4, 5, 6, 7, 9, 24)),
    }[width]
    half = pow(2, -1, P)
    head = [-2, 1, 2, half, 3, 4, -half, -3, -4]
    tail = [pow(2, -e, P) for e in plus] + [-pow(2, -e, P) for e in minus]
    return np.array([v % P for v in head + tail], np.uint64).reshape(width, 1)
