"""The constraints at ζ, and the balance of the buses (docs/stark.md sections 2 and 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from ...reader import P
from ...stark.field import K
from ...stark.tables import Lookup, Values, evaluate
from ..child import Child, HeightAt
from ..machine import Cell, Machine
from .transcript import Opened, OpenedChunks, OpenedTable, Transcribed


class Value:
    """A value of an expression: one that is known, or a cell. Its operators write rows."""

    __slots__ = ("_known", "_machine", "cell")

    def __init__(self, machine: Machine, cell: Cell | None, known: int = 0) -> None:
        self._machine, self.cell, self._known = machine, cell, known

    @property
    def known(self) -> int | None:
        """The value, if it is known."""
        return self._known if self.cell is None else None

    def as_cell(self) -> Cell:
        """A cell of it."""
        return self._machine.constant(K.of(self._known)) if self.cell is None else self.cell

    def __add__(self, other: Value) -> Value:
        return self._plus(other, 1)

    def __sub__(self, other: Value) -> Value:
        return self._plus(other, -1)

    def _plus(self, other: Value, sign: int) -> Value:
        machine, a, b = self._machine, self.cell, other.cell
        if a is None and b is None:
            return Value(machine, None, (self._known + sign * other._known) % P)
        if b is None:
            return Value(machine, machine.compute(a, of_a=1, constant=K.of(sign * other._known)))
        if a is None:
            return Value(machine, machine.compute(b, of_a=sign, constant=K.of(self._known)))
        return Value(machine, machine.compute(a, b, of_a=1, of_b=sign))

    def __mul__(self, other: Value) -> Value:
        machine, a, b = self._machine, self.cell, other.cell
        if a is None and b is None:
            return Value(machine, None, self._known * other._known % P)
        if b is None:
            return Value(machine, machine.compute(a, of_a=other._known))
        if a is None:
            return Value(machine, machine.compute(b, of_a=self._known))
        return Value(machine, machine.product(a, b))


@dataclass(frozen=True)
class _Shared:
    """What all tables share: α, the powers of β, the selectors of a height."""

    alpha: Cell
    betas: list[Cell]
    first: Cell
    last: Cell


def check_constraints(machine: Machine, child: Child, said: Transcribed, opened: Opened) -> None:
    """Demand that the buses balance and that all constraints hold."""
    total = machine.total(said.terminals)
    machine.demand(total, constant=-child.public_sum)
    betas = [machine.one()]
    for i in range(child.longest_tuple):
        betas.append(machine.product(betas[i], said.beta))
    for height, chunks in zip(child.heights, opened.chunks, strict=True):
        _check_height(machine, child, said, opened, betas, height, chunks)


def _check_height(
    machine: Machine,
    child: Child,
    said: Transcribed,
    opened: Opened,
    betas: list[Cell],
    height: HeightAt,
    chunks: OpenedChunks,
) -> None:
    first, last = machine.constant(height.first), machine.constant(height.last)
    shared = _Shared(said.alpha, betas, first, last)
    constraints: list[Cell] = []
    for t in child.positions(height.log_rows):
        constraints += _constraints(machine, shared, child, t, opened.tables[t], said.terminals[t])
    total = machine.horner(said.gamma, constraints)
    step = machine.constant(height.step)
    quotient = machine.horner(step, chunks.cells)
    vanishing = machine.constant(height.vanishing)
    machine.demand(total, quotient, vanishing, ab=1)


class _Constants(Sequence[Value]):
    """Public columns at ζ: each becomes a cell where the tables ask for it."""

    def __init__(self, machine: Machine, values: list[K]) -> None:
        self._machine, self._values = machine, values

    def __len__(self) -> int:
        return len(self._values)

    @overload
    def __getitem__(self, index: int) -> Value: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Value]: ...
    def __getitem__(self, index: int | slice) -> Value | Sequence[Value]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return Value(self._machine, self._machine.constant(self._values[index]))


def _constraints(
    machine: Machine,
    shared: _Shared,
    child: Child,
    t: int,
    opened: OpenedTable,
    terminal: Cell,
) -> list[Cell]:
    """The values of all constraints of a table, in order."""
    table = child.tables[t].table

    def value(cell: Cell) -> Value:
        return Value(machine, cell)

    ahead = zip(table.next_columns, map(value, opened.next), strict=True)
    nodes = evaluate(
        table,
        Values(
            public=_Constants(machine, child.publics[t]),
            main=list(map(value, opened.main)),
            next=dict(ahead),
            first=value(shared.first),
            last=value(shared.last),
            of=lambda known: Value(machine, None, known),
        ),
    )
    found = [nodes[number].as_cell() for number in table.constraints]
    for group, fraction in zip(table.groups, opened.fractions, strict=True):
        numerator, denominator = _fraction(machine, shared, group, nodes)
        found.append(machine.compute(fraction, denominator, numerator, ab=1, of_c=-1))
    found.append(machine.product(shared.first, opened.acc))
    total = machine.total(opened.fractions)
    after = machine.sum(opened.acc, total)
    rest = machine.difference(opened.acc_next, after)
    found.append(machine.compute(shared.last, rest, ab=-1, of_b=1))
    found.append(machine.compute(shared.last, after, terminal, ab=1, ac=-1))
    return found


def _fraction(
    machine: Machine, shared: _Shared, group: Sequence[Lookup], nodes: Sequence[Value]
) -> tuple[Cell, Cell]:
    """Numerator and denominator of the fraction of a group."""
    found: tuple[Cell, Cell] | None = None
    for lookup in group:
        own = _denominator(machine, shared, lookup, nodes)
        times = nodes[lookup.multiplicity].as_cell()
        if found is None:
            found = times, own
            continue
        numerator, denominator = found
        added = machine.product(denominator, times)
        found = machine.fused(numerator, own, added), machine.product(denominator, own)
    if found is None:
        raise ValueError("a group has a lookup")
    return found


def _denominator(machine: Machine, shared: _Shared, lookup: Lookup, nodes: Sequence[Value]) -> Cell:
    """`α − (bus + Σ β^i·e_i)`."""
    found = machine.compute(shared.alpha, of_a=1, constant=K.of(-lookup.bus))
    for item, power in zip(lookup.items, shared.betas[1:], strict=False):
        value = nodes[item]
        if value.cell is not None:
            found = machine.compute(power, value.cell, found, ab=-1, of_c=1)
        elif value.known:
            found = machine.compute(power, c=found, of_a=-value.known, of_c=1)
    return found
