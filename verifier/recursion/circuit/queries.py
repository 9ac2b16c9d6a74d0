"""The queries: opened rows lead to roots, words fold to the final polynomial (docs/stark.md 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...reader import P
from ...stark.field import DEGREE, SHIFT, K, root_of_unity
from ..child import Child, HeightAt
from ..machine import Bit, Bits, Block, Cell, Machine
from .batch import Batch, OfHeight, OfRow
from .transcript import Transcribed

_ROW = 0x40
"""Domain of the hashes of rows."""

_HALF = (P + 1) // 2


def check_queries(machine: Machine, child: Child, said: Transcribed, batch: Batch) -> None:
    """Demand of every query what stands in docs/stark.md section 6."""
    joins = []
    for each, (_, beta) in zip(child.rounds, said.rounds, strict=True):
        power = beta
        for _ in range(each.log_arity):
            power = machine.product(power, power)
        joins.append(power)
    query = _Query(machine, child, said, batch, joins)
    machine.repeat(len(said.indices), lambda number: query.check(said.indices[number]))


def climb(machine: Machine, bits: Sequence[Bit], joined: Mapping[int, Block], root: Block) -> None:
    """Climb from a row to a root, a bit for each level; digests of rows join by their level."""
    for i, bit in enumerate(bits):
        machine.ascend(bit)
        digest = joined.get(len(bits) - 1 - i)
        if digest is not None:
            machine.join(digest)
    machine.arrive(root)


@dataclass(frozen=True)
class _Query:
    """What all queries share; `joins` are of each round β to the power of its arity."""

    machine: Machine
    child: Child
    said: Transcribed
    batch: Batch
    joins: list[Cell]

    @property
    def _top(self) -> int:
        """Log of the tallest domain."""
        return self.child.statement.log_domain

    @property
    def _bottom(self) -> int:
        """Log of the domain of the final polynomial."""
        return self.child.log_blowup + self.child.statement.parameters.profile.log_final

    def check(self, bits: Bits) -> None:
        """Write the rows of one query."""
        rows = [self._open(tree, bits) for tree in range(3)]
        opened = [self._open_round(number, bits) for number in range(len(self.child.rounds))]
        self._fold(bits, rows, opened)

    def _open(self, tree: int, bits: Bits) -> list[Block]:
        """The first blocks of a tree's rows, tallest first."""
        machine, firsts, digests = self.machine, [], {}
        heights = list(zip(self.child.heights, self.batch.heights, strict=True))
        # The tallest row comes last: the path goes on with it.
        for number, (height, of_height) in reversed(list(enumerate(heights))):
            length = of_height.lengths[tree]
            sponge = machine.sponge(_ROW, None, length, path=number == 0)
            firsts.append(sponge.first)
            if sponge.digest is not None:
                digests[height.log_rows + self.child.log_blowup] = sponge.digest
        climb(machine, bits.bits[: self._top], digests, self.said.roots[tree])
        return firsts[::-1]

    def _open_round(self, number: int, bits: Bits) -> Block:
        """The first block of the row of a round."""
        each = self.child.rounds[number]
        sponge = self.machine.sponge(_ROW, None, DEGREE << each.log_arity, path=True)
        folded = self._top - each.log_rows
        root, _ = self.said.rounds[number]
        climb(self.machine, bits.bits[folded : self._top], {}, root)
        return sponge.first

    def _fold(self, bits: Bits, rows: list[list[Block]], opened: list[Block]) -> None:
        """The words of the heights, folded through all rounds, are the final polynomial's."""
        machine, child = self.machine, self.child
        # x^(2^k) for all sizes.
        points = [bits.point]
        for k in range(self._top - self._bottom):
            points.append(machine.product(points[k], points[k]))
        words = {}
        for i, height in enumerate(child.heights):
            point = points[child.heights[0].log_rows - height.log_rows]
            own = [of_tree[i] for of_tree in rows]
            level = height.log_rows + child.log_blowup
            words[level] = self._word(height, self.batch.heights[i], own, point)
        value = words[self._top]
        for number, first in enumerate(opened):
            each = child.rounds[number]
            point = points[self._top - each.log_size]
            value = self._fold_round(number, bits, first, point, value)
            if each.log_rows in words:
                value = machine.fused(self.joins[number], words[each.log_rows], value)
        lowest, *rest = self.said.last
        x = points[self._top - self._bottom]
        machine.demand(value, machine.horner(x, rest), x, lowest, ab=1, of_c=1)

    def _word(self, height: HeightAt, of: OfHeight, rows: list[Block], point: Cell) -> Cell:
        """The batched word of a height at the query."""
        machine = self.machine

        def parts(coefficients: Sequence[OfRow]) -> list[tuple[Block, int]]:
            return [
                (first + place, number)
                for first, row in zip(rows, coefficients, strict=True)
                for place, number in row
            ]

        def quotient(z: K, total: Cell, value: Cell) -> Cell:
            apart = machine.compute(point, of_a=SHIFT, constant=-z)
            inverse = machine.invert(apart)
            return machine.compute(inverse, total, value, ab=1, ac=-1)

        here, ahead = machine.dot(parts(of.here)), machine.dot(parts(of.ahead))
        found = [
            quotient(self.child.points.zeta, here, of.value_here),
            quotient(height.next, ahead, of.value_ahead),
        ]
        if of.mask:
            found.append(machine.dot(parts([[], [], of.mask])))
        return machine.total(found)

    def _fold_round(self, number: int, bits: Bits, first: Block, point: Cell, value: Cell) -> Cell:
        """Demand that the opened row holds the value, and fold it."""
        machine, each = self.machine, self.child.rounds[number]
        lowest = self._top - each.log_size
        chosen = bits.cells[lowest : lowest + each.log_arity]
        values = machine.unpack(first, 1 << each.log_arity)
        choose(machine, values, chosen, value)
        # The point of the row's first element: that of the query without its low bits.
        base = point
        for m, bit in enumerate(chosen):
            base = machine.compute(base, bit, ab=_inverse(root_of_unity(m + 1)) - 1, of_a=1)
        inverse = machine.invert(base)
        _, beta = self.said.rounds[number]
        factor = machine.product(beta, inverse)
        for level in range(each.log_arity):
            if level > 0:
                factor = machine.product(factor, factor)
            order = each.log_arity - level
            omega = _inverse(root_of_unity(order))
            folded = []
            for i, (low, high) in enumerate(_pairs(values)):
                k = pow(omega, _reverse(i, order - 1), P) * _HALF % P
                folded.append(
                    machine.compute(factor, low, high, ab=k, ac=-k, of_b=_HALF, of_c=_HALF)
                )
            values = folded
        return values[0]


def choose(machine: Machine, values: list[Cell], bits: Sequence[Cell], value: Cell) -> None:
    """Demand that of these values the one that the bits choose is this."""
    *lower, top = bits
    for bit in lower:
        values = [
            machine.compute(bit, high, low, ab=1, ac=-1, of_c=1) for low, high in _pairs(values)
        ]
    low, high = values
    machine.demand(value, top, high, low, ab=1, ac=-1, of_c=1)


def _pairs(values: list[Cell]) -> zip[tuple[Cell, Cell]]:
    return zip(values[0::2], values[1::2], strict=True)


def _reverse(number: int, bits: int) -> int:
    """The lowest bits of a number in the other order."""
    return sum((number >> i & 1) << (bits - 1 - i) for i in range(bits))


def _inverse(x: int) -> int:
    return pow(x, -1, P)
