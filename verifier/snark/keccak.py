"""Keccak-256 as Ethereum has it: SHA-3's permutation, another padding (https://keccak.team)."""

from __future__ import annotations

_MASK = (1 << 64) - 1
_RATE = 136
"""Bytes that one permutation absorbs."""


def _round_constants() -> list[int]:
    """From the shift register of the specification, x^8 + x^6 + x^5 + x^4 + 1."""
    state, found = 1, []
    for _ in range(24):
        constant = 0
        for j in range(7):
            constant |= (state & 1) << ((1 << j) - 1)
            state <<= 1
            if state & 0x100:
                state ^= 0x171
        found.append(constant)
    return found


_CONSTANTS = _round_constants()


def _rotations() -> list[tuple[int, int, int]]:
    """For each step of ρ and π: from where, to where, by how much; lanes are x + 5y."""
    x, y, found = 1, 0, []
    for t in range(24):
        to = y + 5 * ((2 * x + 3 * y) % 5)
        found.append((x + 5 * y, to, (t + 1) * (t + 2) // 2 % 64))
        x, y = y, (2 * x + 3 * y) % 5
    return found


_ROTATIONS = _rotations()


def _rotated(lane: int, by: int) -> int:
    return (lane << by | lane >> (64 - by)) & _MASK


def _permuted(a: list[int]) -> list[int]:
    for constant in _CONSTANTS:
        c = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
        d = [c[x - 1] ^ _rotated(c[(x + 1) % 5], 1) for x in range(5)]
        a = [lane ^ d[i % 5] for i, lane in enumerate(a)]
        b = list(a)
        for origin, target, by in _ROTATIONS:
            b[target] = _rotated(a[origin], by)
        a = [
            b[i] ^ (~b[i - i % 5 + (i + 1) % 5] & b[i - i % 5 + (i + 2) % 5]) & _MASK
            for i in range(25)
        ]
        a[0] ^= constant
    return a


def keccak256(data: bytes) -> bytes:
    """The digest, 32 bytes.

    >>> keccak256(b"").hex()[:16]
    'c5d2460186f7233c'
    """
    padded = bytearray(data) + b"\x01" + bytes(-(len(data) + 1) % _RATE)
    padded[-1] |= 0x80
    state = [0] * 25
    for start in range(0, len(padded), _RATE):
        for lane in range(_RATE // 8):
            at = start + 8 * lane
            state[lane] ^= int.from_bytes(padded[at : at + 8], "little")
        state = _permuted(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state[:4])
