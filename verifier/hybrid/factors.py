"""What gates read: factors and references (docs/hybrid.md section 2, Factors).

A *reference* stands for an address that is not known before everything that is read is: of a byte
it is the address itself, of a wide value or of a prf value it says which one. `NONE` reads nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..gates import Ints
from ..gates.operand import Points, locate_apart
from ..program.types import Const, Operand, Program, Read, Role
from ..sums import Sums
from .leaves import Addresses, Leaves

NONE = -1
WIDE = 1 << 40
"""Added to the address of the first byte of a value of width 2 or 3 that is read whole."""

PRF = 1 << 62
"""Added to step, rank of the tensor and index of a prf value."""

_INDEX_BITS = 30
_RANK_BITS = 12
_TOP_LIMB = 128

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Factors:
    """Factors `r·v + k`, arrays broadcastable to [G, K]: x a reference, NONE where r is 0."""

    x: Ints
    r: Mask
    k: Ints


@dataclass(frozen=True)
class Limb:
    """One limb of an operand: its factors, and where it exists (None: everywhere)."""

    where: Mask | None
    factors: Factors


class References:
    """Makes references of reads."""

    def __init__(self, leaves: Leaves) -> None:
        self.leaves = leaves
        self.program = leaves.trees.program
        self.prf_tensors = prf_order(self.program)
        self._rank = {number: rank for rank, number in enumerate(self.prf_tensors)}

    def of(self, tensor: int, steps: Ints, offsets: Sums) -> Ints:
        """References of [G, K] elements: steps [G], offsets of them."""
        t = self.program.tensors[tensor]
        if t.layout is None:
            place = steps << _RANK_BITS | self._rank[tensor]
            return PRF + (place[:, None] << _INDEX_BITS | offsets.full())
        address = self.leaves.addresses(tensor, steps, offsets).full()
        return address if t.width == 1 else WIDE + address

    def addresses(self, read: Read, at: Points, steps: Ints) -> Addresses:
        """Where bytes are read at these points, none of which reads a pad."""
        return self.leaves.addresses(read.tensor, steps, locate_apart(read, at)[0])

    def written(self, tensor: int, steps: Ints, gates: Ints) -> Ints:
        """References of what gates [G] define."""
        found: Ints = self.of(tensor, steps, Sums.of(gates[:, None]))[:, 0]
        return found

    def factors(self, operand: Operand, at: Points, steps: Ints) -> Factors:
        """The factors of an operand at these points."""
        if isinstance(operand, Const):
            return constant(operand.value)
        offsets, inside = locate_apart(operand, at)
        x = self.of(operand.tensor, steps, offsets)
        if inside is None:
            return Factors(x, np.ones((1, 1), bool), _one(-operand.zero))
        k = np.where(inside, -operand.zero, (operand.pad or 0) - operand.zero)
        return Factors(np.where(inside, x, NONE), inside, k)

    def limbs(self, operand: Operand, at: Points, steps: Ints) -> list[Limb]:
        """The limbs of an operand of a wide accumulator, the lowest first."""
        if isinstance(operand, Const):
            return [Limb(None, constant(limb)) for limb in integer_limbs(operand.value)]
        offsets, inside = locate_apart(operand, at)
        address = self.leaves.addresses(operand.tensor, steps, offsets).full()
        width = self.program.tensors[operand.tensor].width
        pad = integer_limbs(operand.pad or 0)
        return [
            _read_limb(address, inside, number, width, pad)
            for number in range(width if inside is None else max(width, len(pad)))
        ]


def prf_order(program: Program) -> list[int]:
    """The prf tensors by domain."""
    tensors = program.of_role(Role.PRF)
    return sorted(tensors, key=lambda t: (program.tensors[t].domain or 0, t))


def prf_place(references: Ints) -> tuple[Ints, Ints, Ints]:
    """Step, rank of the tensor and index of prf values."""
    place = references - PRF
    index = place & (1 << _INDEX_BITS) - 1
    place = place >> _INDEX_BITS
    return place >> _RANK_BITS, place & (1 << _RANK_BITS) - 1, index


def integer_limbs(value: int) -> list[int]:
    """`sign(c)·byte_i(|c|)`."""
    size = max(1, -(-abs(value).bit_length() // 8))
    sign = -1 if value < 0 else 1
    return [sign * byte for byte in abs(value).to_bytes(size, "little")]


def constant(value: int) -> Factors:
    """The factors of a constant."""
    return Factors(_one(NONE), np.zeros((1, 1), bool), _one(value))


def _read_limb(address: Ints, inside: Mask | None, number: int, width: int, pad: list[int]) -> Limb:
    """One limb of a read: a byte where it reads, a constant where it reads a pad."""
    k = 0 if number == width - 1 else _TOP_LIMB
    if inside is None:
        return Limb(None, Factors(address + number, np.ones((1, 1), bool), _one(k)))
    reads = inside & (number < width)
    of_pad = pad[number] if number < len(pad) else 0
    factors = Factors(np.where(reads, address + number, NONE), reads, np.where(reads, k, of_pad))
    exists = reads if number >= len(pad) else reads | ~inside
    return Limb(exists, factors)


def _one(value: int) -> Ints:
    return np.full((1, 1), value, np.int64)
