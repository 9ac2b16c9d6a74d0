"""The canonical bytes of a program (docs/receipt-format.md, section Program).

`decode` accepts exactly what `encode` writes: one encoding per program. Whether the program makes
sense is for `validate` and `ranges` to say.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TypeVar

from ..errors import MalformedProgram
from ..reader import PROGRAM_CODES, Reader, Writer
from .types import (
    ABSENT,
    AxisMap,
    Const,
    ConstantStart,
    Div,
    DivMode,
    Dot,
    DrawnStart,
    Gather,
    Layout,
    Op,
    Operand,
    Pick,
    PickMode,
    Port,
    PortKind,
    Program,
    Read,
    Role,
    Start,
    StateLink,
    Table,
    Tensor,
    Term,
)

MAGIC = b"ZKTPROG"
VERSIONS = (1, 2)
"""Version 2 has data tensors, starts of states and exports; version 1 is what has none of them."""

MAX_RANK = 8
MAX_NAME = 128
MAX_TERMS = 64
MAX_ENTRIES = 2**16

OPERANDS = {
    PickMode.MAX: 1,
    PickMode.ARGMAX: 1,
    PickMode.COPY: 1,
    PickMode.GREATER: 2,
    PickMode.EQUAL: 2,
    PickMode.SELECT: 3,
}
"""Number of operands of each mode of pick."""

_DOT, _PICK, _GATHER, _DIV = range(4)
_NO_START, _CONSTANT, _DRAWN = range(3)
_ID_DOMAIN = b"zktally program v1\0"

_T = TypeVar("_T")
_E = TypeVar("_E", bound=IntEnum)


def program_id(data: bytes) -> bytes:
    """SHA-256 of program bytes under their domain, 32 bytes (protocol section 4, Identities)."""
    return hashlib.sha256(_ID_DOMAIN + data).digest()


def decode(data: bytes | memoryview) -> Program:
    """Read the bytes of a program.

    Raises:
        MalformedProgram: the bytes are not the canonical encoding of any program.
    """
    r = Reader(data, PROGRAM_CODES)
    if r.take(len(MAGIC)) != MAGIC:
        raise r.bad("this is not a program", expected=MAGIC)
    version = r.u8()
    if version not in VERSIONS:
        raise r.bad("a program of another version", expected="1 or 2", received=version)
    program = Program(
        name=_name(r),
        tensors=_list16(r, _tensor),
        tables=_list16(r, _table),
        ops=_list16(r, _op),
        inputs=_list16(r, _port),
        outputs=_list16(r, _port),
        states=_list16(r, _link if version == 1 else _starting_link),
        exports=() if version == 1 else _list16(r, Reader.u16),
    )
    r.end()
    if version_of(program) != version:
        raise r.bad(
            "a program of another version than its own", version_of(program), received=version
        )
    return program


def version_of(program: Program) -> int:
    """The one version that the bytes of a program have."""
    return 2 if program.data or program.declares_start or program.exports else 1


def encode(program: Program) -> bytes:
    """Write the canonical bytes of a program.

    Raises:
        MalformedProgram: a number or name does not fit its field, or a field breaks a rule of the
            encoding, so that no reader would take the bytes back.
    """
    return encode_and_read(program)[0]


def encode_and_read(program: Program) -> tuple[bytes, Program]:
    """The canonical bytes of a program, and the program that a reader finds in them.

    Raises:
        MalformedProgram: as `encode`.
    """
    try:
        data = _encode(program)
    except (OverflowError, UnicodeEncodeError) as error:
        raise MalformedProgram(f"the program has no encoding: {error}") from error
    found = decode(data)
    if found != program:
        raise MalformedProgram("the program is not in its one canonical form")
    return data, found


# Reading.


def _list16(r: Reader, item: Callable[[Reader], _T]) -> tuple[_T, ...]:
    return tuple([item(r) for _ in range(r.u16())])


def _optional(r: Reader, item: Callable[[Reader], _T]) -> _T | None:
    return item(r) if r.flag() else None


def _code(r: Reader, kind: type[_E]) -> _E:
    code = r.u8()
    try:
        return kind(code)
    except ValueError:
        raise r.bad(f"unknown code of {kind.__name__}", received=code) from None


def _name(r: Reader) -> str:
    name = r.string()
    printable = all(0x20 <= byte <= 0x7E for byte in name)
    if not (printable and 1 <= len(name) <= MAX_NAME):
        what = f"a name is not 1 to {MAX_NAME} printable ASCII bytes"
        raise r.bad(what, received=name[:MAX_NAME])
    return name.decode("ascii")


def _tensor(r: Reader) -> Tensor:
    name, role, width, lo, hi = _name(r), _code(r, Role), r.u8(), r.i32(), r.i32()
    shape = r.dims(1, MAX_RANK)
    if role is Role.PRF:
        return Tensor(name, role, width, lo, hi, shape, domain=r.u32())
    layout = _layout(r, len(shape))
    records = r.u32() if role is Role.DATA else None
    return Tensor(name, role, width, lo, hi, shape, layout=layout, records=records)


def _layout(r: Reader, rank: int) -> Layout:
    order = tuple(r.take(rank))
    if sorted(order) != list(range(rank)):
        raise r.bad("the axis order of a layout is not a permutation", received=order)
    trailing = r.u8()
    if not 1 <= trailing <= rank:
        raise r.bad("the row of a layout has no such number of axes", received=trailing)
    return Layout(order, trailing, r.u32())


def _table(r: Reader) -> Table:
    name, lo, count = _name(r), r.i32(), r.u32()
    if not 1 <= count <= MAX_ENTRIES:
        raise r.bad(f"a table has not 1 to {MAX_ENTRIES} entries", received=count)
    return Table(name, lo, struct.unpack(f"<{count}i", r.take(4 * count)))


def _operand(r: Reader) -> Operand:
    if not r.flag():
        return Const(r.i32())
    tensor, view = r.u16(), r.dims(1, MAX_RANK)
    maps = tuple([_map(r) for _ in view])
    return Read(tensor, view, maps, zero=r.i32(), pad=_optional(r, Reader.i32))


def _map(r: Reader) -> AxisMap:
    result = AxisMap(r.u8(), r.i32(), r.u8(), r.i32(), r.i32(), r.u32())
    if (result.i_axis == ABSENT and result.a) or (result.k_axis == ABSENT and result.b):
        raise r.bad("an absent axis has a factor", received=result)
    if result.d == 0:
        raise r.bad("an axis map divides by 0")
    return result


def _op(r: Reader) -> Op:
    kind = r.u8()
    if kind > _DIV:
        raise r.bad("unknown kind of op", received=kind)
    name, out, exact, space = _name(r), r.u16(), r.flag(), r.dims(0, MAX_RANK)
    body = (_dot, _pick, _gather, _div)[kind]
    return body(r, name, out, exact, space)


def _dot(r: Reader, name: str, out: int, exact: bool, space: tuple[int, ...]) -> Dot:
    count = r.u8()
    if not 1 <= count <= MAX_TERMS:
        raise r.bad(f"a dot has not 1 to {MAX_TERMS} terms", received=count)
    return Dot(
        name,
        out,
        exact,
        space,
        terms=tuple([Term(r.dims(0, MAX_RANK), _operand(r), _operand(r)) for _ in range(count)]),
        bias=_optional(r, _operand),
        mult=_operand(r),
        shift=_operand(r),
        rounding=_optional(r, _operand),
        out_zero=r.i32(),
        table=_optional(r, Reader.u16),
    )


def _pick(r: Reader, name: str, out: int, exact: bool, space: tuple[int, ...]) -> Pick:
    mode, window = _code(r, PickMode), r.dims(0, MAX_RANK)
    operands = tuple([_operand(r) for _ in range(OPERANDS[mode])])
    return Pick(name, out, exact, space, mode, window, operands)


def _gather(r: Reader, name: str, out: int, exact: bool, space: tuple[int, ...]) -> Gather:
    axis, source, index = r.u8(), _operand(r), _operand(r)
    if not isinstance(source, Read):
        raise r.bad("the source of a gather is a constant")
    if axis < len(source.maps) and source.maps[axis] != AxisMap():
        raise r.bad("the source of a gather maps the axis that the index chooses")
    return Gather(name, out, exact, space, axis, source, index)


def _div(r: Reader, name: str, out: int, exact: bool, space: tuple[int, ...]) -> Div:
    mode, scale, num = _code(r, DivMode), r.i32(), _operand(r)
    den = _operand(r) if mode is DivMode.QUOTIENT else None
    return Div(name, out, exact, space, mode, scale, num, den, out_zero=r.i32())


def _port(r: Reader) -> Port:
    name, tensor, batch, kind = _name(r), r.u16(), r.u8(), _code(r, PortKind)
    if batch not in (0, ABSENT):
        raise r.bad("the batch axis of a port is neither 0 nor absent", received=batch)
    scale, zero = r.f64(), r.i32()
    if not (math.isfinite(scale) and scale > 0):
        raise r.bad("the scale of a port is not positive and finite", received=scale)
    if kind is PortKind.INTEGER and (scale, zero) != (1.0, 0):
        raise r.bad("an integer port has a scale or a zero point", received=(scale, zero))
    return Port(name, tensor, batch, kind, scale, zero)


def _link(r: Reader) -> StateLink:
    return StateLink(r.u16(), r.u16())


def _starting_link(r: Reader) -> StateLink:
    return StateLink(r.u16(), r.u16(), _start(r))


def _start(r: Reader) -> Start | None:
    code = r.u8()
    if code == _NO_START:
        return None
    if code == _CONSTANT:
        return ConstantStart(r.i32())
    if code == _DRAWN:
        return DrawnStart(r.u32(), r.i32(), r.i32())
    raise r.bad("unknown code of the start of a state", received=code)


# Writing, in the same order.


def _encode(program: Program) -> bytes:
    w = Writer()
    version = version_of(program)
    w.raw(MAGIC)
    w.u8(version)
    _put_name(w, program.name)
    _put_list16(w, program.tensors, _put_tensor)
    _put_list16(w, program.tables, _put_table)
    _put_list16(w, program.ops, _put_op)
    _put_list16(w, program.inputs, _put_port)
    _put_list16(w, program.outputs, _put_port)
    _put_list16(w, program.states, _put_link if version == 1 else _put_starting_link)
    if version > 1:
        _put_list16(w, program.exports, Writer.u16)
    return w.getvalue()


def _put_list16(w: Writer, items: Sequence[_T], put: Callable[[Writer, _T], None]) -> None:
    w.u16(len(items))
    for item in items:
        put(w, item)


def _put_optional(w: Writer, item: int | Operand | None, put: Callable[..., None]) -> None:
    w.flag(item is not None)
    if item is not None:
        put(w, item)


def _put_name(w: Writer, name: str) -> None:
    w.string(name.encode("ascii"))


def _put_tensor(w: Writer, tensor: Tensor) -> None:
    _put_name(w, tensor.name)
    w.u8(tensor.role)
    w.u8(tensor.width)
    w.i32s((tensor.lo, tensor.hi))
    w.dims(tensor.shape)
    if tensor.domain is not None:
        w.u32(tensor.domain)
    if tensor.layout is not None:
        for axis in (*tensor.layout.order, tensor.layout.trailing):
            w.u8(axis)
        w.u32(tensor.layout.piece)
    if tensor.records is not None:
        w.u32(tensor.records)


def _put_table(w: Writer, table: Table) -> None:
    _put_name(w, table.name)
    w.i32(table.lo)
    w.u32(len(table.entries))
    w.i32s(table.entries)


def _put_operand(w: Writer, operand: Operand) -> None:
    w.flag(isinstance(operand, Read))
    if isinstance(operand, Const):
        w.i32(operand.value)
        return
    w.u16(operand.tensor)
    w.dims(operand.view)
    for m in operand.maps:
        w.u8(m.i_axis)
        w.i32(m.a)
        w.u8(m.k_axis)
        w.i32s((m.b, m.c))
        w.u32(m.d)
    w.i32(operand.zero)
    _put_optional(w, operand.pad, Writer.i32)


def _put_op(w: Writer, op: Op) -> None:
    w.u8({Dot: _DOT, Pick: _PICK, Gather: _GATHER, Div: _DIV}[type(op)])
    _put_name(w, op.name)
    w.u16(op.out)
    w.flag(op.exact)
    w.dims(op.space)
    match op:
        case Dot():
            _put_dot(w, op)
        case Pick():
            w.u8(op.mode)
            w.dims(op.window)
            for operand in op.operands:
                _put_operand(w, operand)
        case Gather():
            w.u8(op.axis)
            _put_operand(w, op.source)
            _put_operand(w, op.index)
        case Div():
            w.u8(op.mode)
            w.i32(op.scale)
            _put_operand(w, op.num)
            if op.den is not None:
                _put_operand(w, op.den)
            w.i32(op.out_zero)


def _put_dot(w: Writer, op: Dot) -> None:
    w.u8(len(op.terms))
    for term in op.terms:
        w.dims(term.window)
        _put_operand(w, term.a)
        _put_operand(w, term.b)
    _put_optional(w, op.bias, _put_operand)
    _put_operand(w, op.mult)
    _put_operand(w, op.shift)
    _put_optional(w, op.rounding, _put_operand)
    w.i32(op.out_zero)
    _put_optional(w, op.table, Writer.u16)


def _put_port(w: Writer, port: Port) -> None:
    _put_name(w, port.name)
    w.u16(port.tensor)
    w.u8(port.batch)
    w.u8(port.kind)
    w.f64(port.scale)
    w.i32(port.zero)


def _put_link(w: Writer, link: StateLink) -> None:
    w.u16(link.state)
    w.u16(link.value)


def _put_starting_link(w: Writer, link: StateLink) -> None:
    _put_link(w, link)
    match link.start:
        case None:
            w.u8(_NO_START)
        case ConstantStart(value):
            w.u8(_CONSTANT)
            w.i32(value)
        case DrawnStart(domain, lo, hi):
            w.u8(_DRAWN)
            w.u32(domain)
            w.i32s((lo, hi))
