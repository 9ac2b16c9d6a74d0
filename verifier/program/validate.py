"""The rules of protocol section 1: is this a program at all?

Every check names the op, tensor or port and the rule that it breaks. What the encoding already
excludes (unknown codes, ranks, a dimension of 0) is not asked again; the rules of ranges are in
`ranges`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ..errors import InvalidProgram
from ..layout import leaf_count, row_length
from ..reader import P
from .operands import products, slots
from .types import (
    ABSENT,
    AxisMap,
    ConstantStart,
    Dot,
    DrawnStart,
    Gather,
    Op,
    Pick,
    PickMode,
    Port,
    Program,
    Read,
    Role,
    StateLink,
    Tensor,
    gates,
)

MAX_TENSORS = 4096
MAX_OPS = 4096
MAX_TABLES = 256
MAX_DIM = 2**31 - 1
MAX_SIZE = 2**30
MAX_VALUES = 2**28
MAX_LEAVES = 2**26
MAX_PIECE = 2**16
MAX_PRODUCTS = 2**20
MAX_PRF_BITS = 24
MAX_RECORDS = 2**31 - 1


def validate(program: Program) -> None:
    """Judge a program by the rules of protocol section 1.

    Raises:
        InvalidProgram: the first rule broken, with what breaks it.
    """
    _counts(program)
    _names(program)
    for tensor in program.tensors:
        _tensor(tensor)
    # Readers keep something per element, so tensors have a limit together, too.
    elements = sum(math.prod(t.tree_shape) for t in program.tensors)
    _at_most("the number of elements of all tensors", elements, MAX_SIZE)
    values = sum(program.tensors[t].size for t in program.of_role(Role.VALUE))
    _at_most("the number of elements of all value tensors", values, MAX_VALUES)
    for op in program.ops:
        _op(program, op)
    _ports(program)
    _data(program)
    _states(program)
    _starts(program)
    _exports(program)
    _order(program)
    _nothing_dead(program)


def _require(holds: bool, message: str, expected: object = None, received: object = None) -> None:
    if not holds:
        raise InvalidProgram(message, expected=expected, received=received)


def _at_most(what: str, value: int, limit: int) -> None:
    _require(value <= limit, f"{what} exceeds the limit", f"at most {limit}", value)


def _counts(program: Program) -> None:
    _at_most("the number of tensors", len(program.tensors), MAX_TENSORS)
    _at_most("the number of ops", len(program.ops), MAX_OPS)
    _at_most("the number of tables", len(program.tables), MAX_TABLES)


def _names(program: Program) -> None:
    for what, items in (
        ("tensors", program.tensors),
        ("ops", program.ops),
        ("input ports", program.inputs),
        ("output ports", program.outputs),
    ):
        seen: set[str] = set()
        for item in items:
            _require(item.name not in seen, f"two {what} have the name {item.name!r}")
            seen.add(item.name)


def _dims(what: str, dims: Iterable[int]) -> None:
    for dim in dims:
        _at_most(f"{what}: a dimension", dim, MAX_DIM)


# Tensors.


def _tensor(tensor: Tensor) -> None:
    what = f"tensor {tensor.name!r}"
    _require(tensor.width in (1, 2, 3), f"{what}: no such width", "1, 2 or 3", tensor.width)
    half = 1 << (8 * tensor.width - 1)
    _require(
        -half <= tensor.lo <= tensor.hi < half,
        f"{what}: the declared range is empty or outside its width",
        f"inside [{-half}, {half - 1}]",
        f"[{tensor.lo}, {tensor.hi}]",
    )
    _dims(what, tensor.shape)
    if tensor.records is not None:
        _records(what, tensor, tensor.records)
    _at_most(f"{what}: the number of elements", math.prod(tensor.tree_shape), MAX_SIZE)
    if tensor.layout is None:
        _require(
            tensor.domain is not None and tensor.domain < P,
            f"{what}: its prf domain is no field element",
            f"below {P}",
            tensor.domain,
        )
        count = tensor.hi - tensor.lo + 1
        _require(
            count & (count - 1) == 0 and 2 <= count <= 1 << MAX_PRF_BITS,
            f"{what}: the range of a prf tensor has not 2^b values, 1 ≤ b ≤ {MAX_PRF_BITS}",
            received=count,
        )
        return
    row = row_length(tensor.layout, tensor.shape)
    _require(
        1 <= tensor.layout.piece <= row,
        f"{what}: a piece is empty or longer than a row",
        f"1 to {row}",
        tensor.layout.piece,
    )
    _at_most(f"{what}: the length of a piece", tensor.layout.piece, MAX_PIECE)
    leaves = leaf_count(tensor.layout, tensor.tree_shape)
    _at_most(f"{what}: the number of leaves", leaves, MAX_LEAVES)


def _records(what: str, tensor: Tensor, records: int) -> None:
    """A leaf of a data tensor lies within one record, and records follow each other."""
    _at_most(f"{what}: the number of records", records, MAX_RECORDS)
    _require(len(tensor.shape) >= 2, f"{what}: a data tensor has one axis", "at least 2", 1)
    _require(
        records >= tensor.shape[0],
        f"{what}: a step reads more records than there are",
        f"at most {records}",
        tensor.shape[0],
    )
    if tensor.layout is not None:
        _require(
            tensor.layout.order[0] == 0 and tensor.layout.trailing < len(tensor.shape),
            f"{what}: a row of a data tensor reaches across records",
            "axis 0 first, and no part of a row",
            tensor.layout,
        )


def _tensor_at(program: Program, number: int, what: str) -> Tensor:
    _require(number < len(program.tensors), f"{what}: no such tensor", len(program.tensors), number)
    return program.tensors[number]


# Ops.


def _op(program: Program, op: Op) -> None:
    what = f"op {op.name!r}"
    out = _tensor_at(program, op.out, what)
    _require(out.role is Role.VALUE, f"{what}: its output {out.name!r} is no value tensor")
    _dims(what, op.space)
    _require(
        gates(op) == out.size,
        f"{what}: its space has not the size of its output",
        out.size,
        gates(op),
    )
    _windows(what, op)
    for slot in slots(op):
        if isinstance(slot.operand, Read):
            _read(program, f"{what}, {slot.label}", slot.operand, op.space, slot.window)
    if isinstance(op, Dot) and op.table is not None:
        _require(
            op.table < len(program.tables), f"{what}: no such table", len(program.tables), op.table
        )
    if isinstance(op, Gather):
        _require(op.axis < len(op.source.view), f"{what}: its source has no axis {op.axis}")


def _windows(what: str, op: Op) -> None:
    for slot in slots(op):
        _dims(f"{what}, {slot.label}", slot.window)
    if isinstance(op, Pick) and op.mode not in (PickMode.MAX, PickMode.ARGMAX):
        size = math.prod(op.window)
        _require(size == 1, f"{what}: a {op.mode.name.lower()} has a window", 1, size)
    _at_most(f"{what}: the number of products of a gate", products(op), MAX_PRODUCTS)


def _read(
    program: Program, what: str, read: Read, space: tuple[int, ...], window: tuple[int, ...]
) -> None:
    tensor = _tensor_at(program, read.tensor, what)
    _dims(what, read.view)
    _require(
        math.prod(read.view) == tensor.size,
        f"{what}: the view has not the size of {tensor.name!r}",
        tensor.size,
        math.prod(read.view),
    )
    half = 1 << (8 * tensor.width - 1)
    _require(
        read.pad is None or -half <= read.pad < half,
        f"{what}: the pad is outside the width of {tensor.name!r}",
        f"inside [{-half}, {half - 1}]",
        read.pad,
    )
    for axis, (dim, m) in enumerate(zip(read.view, read.maps, strict=True)):
        _axis(what, axis, m, space, window)
        if read.pad is None:
            _without_pad(what, axis, dim, m, space, window)


def _axis(
    what: str, axis: int, m: AxisMap, space: tuple[int, ...], window: tuple[int, ...]
) -> None:
    for number, dims, of in ((m.i_axis, space, "space"), (m.k_axis, window, "window")):
        _require(
            number == ABSENT or number < len(dims),
            f"{what}: the map of axis {axis} names an axis that its {of} does not have",
            f"below {len(dims)}",
            number,
        )


def _without_pad(
    what: str, axis: int, dim: int, m: AxisMap, space: tuple[int, ...], window: tuple[int, ...]
) -> None:
    _require(m.d == 1, f"{what}: the map of axis {axis} divides and has no pad", 1, m.d)
    lo, hi = index_range(m, space, window)
    _require(
        lo >= 0 and hi < dim,
        f"{what}: an index on axis {axis} is out of range and has no pad",
        f"[0, {dim - 1}]",
        f"[{lo}, {hi}]",
    )


def index_range(m: AxisMap, space: Sequence[int], window: Sequence[int]) -> tuple[int, int]:
    """Least and greatest value of a·i + b·k + c over the whole space and window."""
    ends = [0, 0]
    for axis, factor, dims in ((m.i_axis, m.a, space), (m.k_axis, m.b, window)):
        last = 0 if axis == ABSENT else factor * (dims[axis] - 1)
        ends[0] += min(0, last)
        ends[1] += max(0, last)
    return ends[0] + m.c, ends[1] + m.c


# The program as a whole.


def _ports(program: Program) -> None:
    for ports, role in ((program.inputs, Role.INPUT), (program.outputs, Role.VALUE)):
        for port in ports:
            tensor = _tensor_at(program, port.tensor, f"port {port.name!r}")
            _require(
                tensor.role is role,
                f"port {port.name!r}: its tensor {tensor.name!r} has another role",
                role.name.lower(),
                tensor.role.name.lower(),
            )
        _distinct([port.tensor for port in ports], "two ports name one tensor")
    missing = set(program.of_role(Role.INPUT)) - {port.tensor for port in program.inputs}
    _all_named(program, missing, "an input tensor stands in no input port")
    _require(bool(program.outputs or program.states), "there is neither an output port nor a state")
    _batch(program, (*program.inputs, *program.outputs))


def _batch(program: Program, ports: Sequence[Port]) -> None:
    for port in ports:
        if port.batch != ABSENT:
            extent = program.tensors[port.tensor].shape[port.batch]
            _require(
                extent == program.batch,
                f"port {port.name!r}: its batch differs from that of an earlier port",
                program.batch,
                extent,
            )


def _states(program: Program) -> None:
    for link in program.states:
        state = _tensor_at(program, link.state, "a state link")
        value = _tensor_at(program, link.value, "a state link")
        what = f"the state link of {state.name!r} and {value.name!r}"
        _require(
            (state.role, value.role) == (Role.STATE, Role.VALUE),
            f"{what}: not a state tensor and a value tensor",
        )
        _require(_form(state) == _form(value), f"{what}: they differ", _form(state), _form(value))
    _distinct([link.state for link in program.states], "two links name one state tensor")
    _distinct([link.value for link in program.states], "two links name one value tensor")
    missing = set(program.of_role(Role.STATE)) - {link.state for link in program.states}
    _all_named(program, missing, "a state tensor stands in no state link")


def _data(program: Program) -> None:
    """All data tensors hold parts of the same records."""
    first = next(iter(program.data), None)
    if first is None:
        return
    expected = program.records, program.data_slots
    for number in program.data:
        tensor = program.tensors[number]
        _require(
            (tensor.records, tensor.shape[0]) == expected,
            f"data tensor {tensor.name!r} has other records than "
            f"{program.tensors[first].name!r}, or other slots",
            expected,
            (tensor.records, tensor.shape[0]),
        )


def _starts(program: Program) -> None:
    """All states declare how they start, or none does."""
    declared = [link for link in program.states if link.start is not None]
    _require(
        len(declared) in (0, len(program.states)),
        "some states declare how they start, and others do not",
    )
    for link in declared:
        _start(program, link)
    drawn = [link.start.domain for link in declared if isinstance(link.start, DrawnStart)]
    _distinct(drawn, "two states are drawn under one domain")


def _start(program: Program, link: StateLink) -> None:
    state, start = program.tensors[link.state], link.start
    what = f"the start of {state.name!r}"
    if isinstance(start, ConstantStart):
        low = high = start.value
    elif isinstance(start, DrawnStart):
        low, high = start.lo, start.hi
        _require(start.domain < P, f"{what}: its domain is no field element", P, start.domain)
        _require(low <= high, f"{what}: its range is empty", received=f"[{low}, {high}]")
        _at_most(f"{what}: the number of values to draw from", high - low + 1, 1 << MAX_PRF_BITS)
    else:
        return
    _require(
        state.lo <= low and high <= state.hi,
        f"{what}: it is outside the range of the state",
        f"inside [{state.lo}, {state.hi}]",
        f"[{low}, {high}]",
    )


def _exports(program: Program) -> None:
    for number in program.exports:
        tensor = _tensor_at(program, number, "an export")
        _require(
            tensor.role in (Role.STATE, Role.WEIGHT),
            f"export {tensor.name!r}: it is neither a state nor a weight",
            received=tensor.role.name.lower(),
        )
    _distinct(program.exports, "a tensor is exported twice")


def _form(tensor: Tensor) -> tuple[object, ...]:
    return tensor.width, tensor.lo, tensor.hi, tensor.shape, tensor.layout


def _distinct(numbers: Sequence[int], message: str) -> None:
    _require(len(set(numbers)) == len(numbers), message, received=sorted(numbers))


def _all_named(program: Program, missing: set[int], message: str) -> None:
    _require(not missing, message, received=sorted(program.tensors[t].name for t in missing))


def _order(program: Program) -> None:
    """Rules 2 and 3: values are defined once, and before they are read."""
    defined = {t for t, tensor in enumerate(program.tensors) if tensor.role is not Role.VALUE}
    for op in program.ops:
        for tensor in reads_of(op):
            _require(
                tensor in defined,
                f"op {op.name!r} reads {program.tensors[tensor].name!r} before an op defines it",
            )
        _require(
            op.out not in defined,
            f"op {op.name!r} defines {program.tensors[op.out].name!r} a second time",
        )
        defined.add(op.out)
    missing = set(range(len(program.tensors))) - defined
    _all_named(program, missing, "a value tensor is the output of no op")


def _nothing_dead(program: Program) -> None:
    """Rule 4: what reaches no output and no state would dilute the sampling."""
    live = {port.tensor for port in program.outputs} | {link.value for link in program.states}
    for op in reversed(program.ops):
        _require(op.out in live, f"op {op.name!r} reaches no output port and no state")
        live.update(reads_of(op))
    dead = set(range(len(program.tensors))) - live
    _all_named(program, dead, "a tensor is read by no op")


def reads_of(op: Op) -> list[int]:
    """Numbers of the tensors that an op reads, once per operand, in operand order."""
    return [s.operand.tensor for s in slots(op) if isinstance(s.operand, Read)]
