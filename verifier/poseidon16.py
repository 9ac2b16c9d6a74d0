"""Poseidon2 of width 16 over KoalaBear on Python's integers, one state at a time.

For hashes of which each needs the one before: numpy, which poseidon2.py uses, takes several times
as long for a single state.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from .poseidon2 import DIGEST, RATE16, round_constants
from .reader import P

_WIDTH = 16


def sponge(domain: int, elements: Sequence[int]) -> list[int]:
    """`S(domain, elements)` of at least one element: the 8 elements of a digest."""
    state = [0] * _WIDTH
    state[RATE16], state[RATE16 + 1] = len(elements), domain
    for start in range(0, len(elements), RATE16):
        block = elements[start : start + RATE16]
        state = permute([*block, *[0] * (RATE16 - len(block)), *state[RATE16:]])
    return state[:DIGEST]


def compress(left: Sequence[int], right: Sequence[int]) -> list[int]:
    """`C(left, right)` of two digests."""
    mixed = permute([*left, *right])
    return [(a + b) % P for a, b in zip(mixed, left, strict=False)]


def permute(state: list[int]) -> list[int]:
    """`P16` of 16 elements, values below p."""
    initial, partial, final, diagonal = _constants()
    s = _external_layer(state)
    for keys in initial:
        s = _external_layer([_cube(x + key) for x, key in zip(s, keys, strict=True)])
    for key in partial:
        s[0] = _cube(s[0] + key)
        total = sum(s)
        s = [(total + x * v) % P for x, v in zip(s, diagonal, strict=True)]
    for keys in final:
        s = _external_layer([_cube(x + key) for x, key in zip(s, keys, strict=True)])
    return [x % P for x in s]


def _cube(x: int) -> int:
    return x * x % P * x % P


def _external_layer(s: Sequence[int]) -> list[int]:
    """circ(2·M4, M4, …), M4 = circ(2, 3, 1, 1) on groups of four; sums are not reduced."""
    mixed: list[int] = []
    for at in range(0, _WIDTH, 4):
        a, b, c, d = s[at : at + 4]
        total = a + b + c + d
        mixed += (total + a + 2 * b, total + b + 2 * c, total + c + 2 * d, total + d + 2 * a)
    sums = [sum(mixed[place::4]) for place in range(4)]
    return [x + sums[place % 4] for place, x in enumerate(mixed)]


@lru_cache
def _constants() -> tuple[list[list[int]], list[int], list[list[int]], list[int]]:
    """Of the full rounds before, the partial rounds, the full rounds after; the diagonal."""
    of = round_constants(_WIDTH)
    initial, final = (each[:, :, 0].tolist() for each in (of.initial, of.final))
    return initial, of.partial.tolist(), final, of.diagonal[:, 0].tolist()
