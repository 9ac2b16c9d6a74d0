"""Item slots: which tensors carry the batch, and that no op mixes its slots (protocol section 1).

A tensor carries the batch with `inner` elements between neighbouring slots: element e belongs to
slot (e div inner) mod B. An op is blind across slots if each of its gates reads tensors that carry
the batch at its own slot only, and shared tensors alike in every slot; then its output carries the
batch, too. What is derived from shared tensors alone is shared. So every slot does and costs the
same, and padding changes no output.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import InvalidProgram
from .operands import slots
from .types import ABSENT, AxisMap, Gather, Op, Port, Program, Read, Role


@dataclass(frozen=True)
class Mixing:
    """Why an op, or an output port (then `op` is None), mixes items."""

    op: int | None
    reason: str


class _Mixes(Exception):
    """The reason why a read mixes items."""


def judge_items(program: Program) -> None:
    """Rule 9 of protocol section 1: no op mixes item slots.

    Raises:
        InvalidProgram: one does, or a program with state or with data has a batch.
    """
    if program.states and program.itemised:
        raise InvalidProgram(
            "a program with state has a port with a batch axis",
            hint="the unit of a program with state is the step",
        )
    if program.data and program.itemised:
        raise InvalidProgram(
            "a program with data tensors has a port with a batch axis",
            hint="the unit of a program that reads records is the step",
        )
    for found in mixing(program):
        where = "" if found.op is None else f"op {program.ops[found.op].name!r}: "
        raise InvalidProgram(
            f"{where}item slots mix: {found.reason}",
            hint="without batch axes on its ports, the whole batch of a program is one item",
        )


def mixing(program: Program) -> list[Mixing]:
    """Everything that mixes item slots, in op order; after the first, as if it were shared."""
    found: list[Mixing] = []
    batch = program.batch
    if batch == 1:
        return found
    inner = {
        port.tensor: program.tensors[port.tensor].size // batch
        for port in program.inputs
        if port.batch != ABSENT
    }
    for number, op in enumerate(program.ops):
        try:
            of_output = _inner_of_output(program, op, inner, batch)
        except _Mixes as reason:
            found.append(Mixing(number, str(reason)))
            continue
        if of_output is not None:
            inner[op.out] = of_output
    reasons = (_of_port(program, port, inner) for port in program.outputs)
    return found + [Mixing(None, reason) for reason in reasons if reason is not None]


def _of_port(program: Program, port: Port, inner: Mapping[int, int]) -> str | None:
    """The reason against an output port: slots on its batch axis, or no slots and no such axis."""
    outermost = program.tensors[port.tensor].size // program.batch
    expected = None if port.batch == ABSENT else outermost
    if inner.get(port.tensor) == expected:
        return None
    if port.batch == ABSENT:
        return f"output port {port.name!r} has no batch axis, but its tensor has slots"
    if port.tensor not in inner:
        return f"output port {port.name!r} has a batch axis, but its tensor has no slots"
    return f"output port {port.name!r} has its slots on another axis than its batch"


def _inner_of_output(program: Program, op: Op, inner: Mapping[int, int], batch: int) -> int | None:
    """`inner` of the op's output, or None where it is shared."""
    reads = [(s, s.operand) for s in slots(op) if isinstance(s.operand, Read)]
    found: tuple[int, int] | None = None
    for slot, read in reads:
        if read.tensor in inner:
            carried = _carried(read, inner[read.tensor], batch, op.space, slot.window, slot.label)
            if found not in (None, carried):
                raise _Mixes(f"its operands carry the slots on different axes ({slot.label})")
            found = carried
    if found is None:
        return None
    i_axis, of_output = found
    for slot, read in reads:
        if read.tensor not in inner and any(m.i_axis == i_axis and m.a for m in read.maps):
            raise _Mixes(f"what a gate reads of {slot.label} depends on the number of its slot")
    if isinstance(op, Gather) and op.source.tensor not in inner:
        _not_computed(program, op.source)
    return of_output


def _not_computed(program: Program, source: Read) -> None:
    """Rows that are computed once for all slots cost what they like: none of them is chosen."""
    if program.tensors[source.tensor].role is Role.VALUE:
        raise _Mixes("each slot chooses what it needs of a computation that all slots share")


def _carried(
    read: Read,
    inner: int,
    batch: int,
    space: Sequence[int],
    window: Sequence[int],
    label: str,
) -> tuple[int, int]:
    """The space axis of the slots and `inner` of the output, as far as this read goes."""
    axis, per_slot = _axis_of_slots(read.view, inner, batch, label)
    m = read.maps[axis]
    if m.i_axis == ABSENT or m.a < 1:
        raise _Mixes(f"gates of all slots read the same elements of {label}")
    low, high = _offsets(m, window)
    gates_per_slot, rest = divmod(m.d * per_slot, m.a)
    if rest or low < 0 or high >= m.a:
        raise _Mixes(f"a gate reads {label} at other slots than its own")
    if space[m.i_axis] % (gates_per_slot * batch):
        raise _Mixes(f"the space has not as many slots as {label}")
    others = (other for number, other in enumerate(read.maps) if number != axis)
    if any(other.i_axis == m.i_axis and other.a for other in others):
        raise _Mixes(f"what a gate reads of {label} depends on the number of its slot")
    return m.i_axis, math.prod(space[m.i_axis + 1 :]) * gates_per_slot


def _axis_of_slots(view: Sequence[int], inner: int, batch: int, label: str) -> tuple[int, int]:
    """The view axis on which slots are told apart, and how many of its indices a slot has."""
    stride = 1
    for axis in reversed(range(len(view))):
        per_slot, rest = divmod(inner, stride)
        if per_slot and not rest and view[axis] % (per_slot * batch) == 0:
            return axis, per_slot
        stride *= view[axis]
    raise _Mixes(f"the view of {label} has no axis that tells its slots apart")


def _offsets(m: AxisMap, window: Sequence[int]) -> tuple[int, int]:
    """Least and greatest value of b·k + c."""
    last = 0 if m.k_axis == ABSENT else m.b * (window[m.k_axis] - 1)
    return m.c + min(0, last), m.c + max(0, last)
