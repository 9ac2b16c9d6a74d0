"""Program bytes: one encoding per program, everything else malformed."""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import replace

import pytest

from support import programs
from zktally.verifier.errors import InvalidProgram, MalformedProgram, ZktallyError
from zktally.verifier.program.checked import load
from zktally.verifier.program.codec import decode, encode, program_id
from zktally.verifier.program.types import (
    ABSENT,
    AxisMap,
    Const,
    Gather,
    Layout,
    PortKind,
    Program,
)
from zktally.verifier.reader import RECEIPT_CODES, P, Reader, Writer


@pytest.mark.parametrize("name", programs.EVERY)
def test_decoding_then_encoding_is_the_identity(name: str) -> None:
    program, _ = programs.EVERY[name]()
    data = encode(program)
    assert decode(data) == program
    assert encode(decode(data)) == data


@pytest.mark.parametrize("name", programs.EVERY)
def test_no_prefix_and_no_longer_string_is_a_program(name: str) -> None:
    data = encode(programs.EVERY[name]()[0])
    for wrong in (*(data[:end] for end in range(len(data))), data + b"\0"):
        with pytest.raises(MalformedProgram):
            decode(wrong)


@pytest.mark.parametrize("name", ["dense", "every_kind"])
def test_a_flipped_bit_is_refused_or_another_program(name: str) -> None:
    """Never the same program from other bytes, never anything but a typed error."""
    program, _ = programs.EVERY[name]()
    data = encode(program)
    for at in range(0, len(data), 3):
        flipped = bytearray(data)
        flipped[at] ^= 1 << (at % 8)
        try:
            other = load(bytes(flipped)).program
        except (MalformedProgram, InvalidProgram):
            continue
        assert other != program


def test_the_id_is_a_hash_of_the_bytes_under_their_domain() -> None:
    assert program_id(b"bytes") == hashlib.sha256(b"zktally program v1\0bytes").digest()


def test_the_first_bytes_of_an_encoding_are_as_documented() -> None:
    expected = (
        b"ZKTPROG\x01" + b"\x05\0dense" + b"\x05\0"  # five tensors
        b"\x01\0x" + b"\0\x01" + struct.pack("<ii", -128, 127)  # name, role, width, range
        + b"\x02" + struct.pack("<2I", 2, 6)  # shape
        + b"\0\x01" + b"\x01" + struct.pack("<I", 6)  # order, trailing, piece
    )  # fmt: skip
    assert encode(programs.dense()[0]).startswith(expected)


def _tensor(program: Program, number: int, **changes: object) -> Program:
    tensors = list(program.tensors)
    tensors[number] = replace(tensors[number], **changes)
    return replace(program, tensors=tuple(tensors))


def _op(program: Program, number: int, **changes: object) -> Program:
    ops = list(program.ops)
    ops[number] = replace(ops[number], **changes)
    return replace(program, ops=tuple(ops))


def _port(program: Program, **changes: object) -> Program:
    return replace(program, inputs=(replace(program.inputs[0], **changes),))


def _read_map(program: Program, axis_map: AxisMap) -> Program:
    term = program.ops[0].terms[0]
    read = replace(term.a, maps=(axis_map, *term.a.maps[1:]))
    return _op(program, 0, terms=(replace(term, a=read),))


DENSE = programs.dense()[0]
KINDS = programs.every_kind()[0]
GATHER = next(number for number, op in enumerate(KINDS.ops) if isinstance(op, Gather))

UNENCODABLE = {
    "empty name": replace(DENSE, name=""),
    "long name": replace(DENSE, name="n" * 129),
    "control character in a name": replace(DENSE, name="a\n"),
    "name beyond ASCII": replace(DENSE, name="é"),
    "rank 0 tensor": _tensor(DENSE, 0, shape=()),
    "rank 9 space": _op(DENSE, 0, space=(1,) * 7 + (2, 4)),
    "empty dimension": _tensor(DENSE, 0, shape=(2, 0)),
    "dimension beyond u32": _tensor(DENSE, 0, shape=(2, 2**32)),
    "range beyond i32": _tensor(DENSE, 0, hi=2**31),
    "order with a repeated axis": _tensor(DENSE, 0, layout=Layout((0, 0), 1, 6)),
    "order with an unknown axis": _tensor(DENSE, 0, layout=Layout((0, 2), 1, 6)),
    "row of no axes": _tensor(DENSE, 0, layout=Layout((0, 1), 0, 6)),
    "row of too many axes": _tensor(DENSE, 0, layout=Layout((0, 1), 3, 6)),
    "committed tensor with a domain": _tensor(DENSE, 0, domain=1),
    "committed tensor without a layout": _tensor(DENSE, 0, layout=None),
    "table without entries": replace(KINDS, tables=(replace(KINDS.tables[0], entries=()),)),
    "table too long": replace(
        KINDS, tables=(replace(KINDS.tables[0], entries=(0,) * (2**16 + 1)),)
    ),
    "list in place of a tuple": _op(DENSE, 0, space=[2, 4]),
    "fraction in place of an integer": _op(DENSE, 0, out_zero=0.5),
    "dot without terms": _op(DENSE, 0, terms=()),
    "dot with 65 terms": _op(DENSE, 0, terms=DENSE.ops[0].terms * 65),
    "factor of an absent space axis": _read_map(DENSE, AxisMap(ABSENT, 1)),
    "factor of an absent window axis": _read_map(DENSE, AxisMap(k_axis=ABSENT, b=1)),
    "division by zero": _read_map(DENSE, AxisMap(0, 1, d=0)),
    "gather of a constant": _op(KINDS, GATHER, source=Const(1)),
    "gather through a mapped axis": _op(
        KINDS,
        GATHER,
        source=replace(KINDS.ops[GATHER].source, maps=(AxisMap(0), AxisMap(2, 1, c=-1))),
    ),
    "pick with too many operands": _op(KINDS, 4, operands=KINDS.ops[4].operands * 2),
    "batch on axis 1": _port(DENSE, batch=1),
    "scale zero": _port(DENSE, scale=0.0),
    "scale negative": _port(DENSE, scale=-1.0),
    "scale infinite": _port(DENSE, scale=math.inf),
    "scale not a number": _port(DENSE, scale=math.nan),
    "integer port with a scale": _port(DENSE, kind=PortKind.INTEGER, zero=0),
    "integer port with a zero": _port(DENSE, kind=PortKind.INTEGER, scale=1.0),
}


@pytest.mark.parametrize("what", UNENCODABLE)
def test_what_has_no_canonical_form_is_not_encoded(what: str) -> None:
    with pytest.raises(MalformedProgram):
        encode(UNENCODABLE[what])


def test_unknown_codes_are_malformed() -> None:
    data = encode(DENSE)
    role = data.index(b"\x01\0x") + 3
    kind = data.index(b"\x05\0dense", 20) - 1
    exact = kind + 1 + 7 + 2
    port_kind = data.rindex(b"\x01\0y") + 3 + 2 + 1
    for at, code in ((role, 5), (kind, 4), (exact, 2), (port_kind, 2), (7, 2)):
        wrong = data[:at] + bytes([code]) + data[at + 1 :]
        with pytest.raises(MalformedProgram):
            decode(wrong)


def test_a_reader_reports_with_the_codes_it_was_given() -> None:
    def refuses(data: bytes, read: object, code: str) -> None:
        with pytest.raises(ZktallyError) as caught:
            read(Reader(data, RECEIPT_CODES))
        assert caught.value.code == code

    digest = struct.pack("<8I", *range(7), P)
    refuses(b"\1\2\3", Reader.u32, "receipt.truncated")
    refuses(b"\5\0ab", Reader.string, "receipt.truncated")
    refuses(b"\0", Reader.end, "receipt.trailing-bytes")
    refuses(b"\2", Reader.flag, "receipt.non-canonical")
    refuses(digest, Reader.digest, "receipt.non-canonical")
    assert Reader(struct.pack("<8I", *range(7), P - 1), RECEIPT_CODES).digest()[7] == P - 1


def test_a_writer_writes_what_a_reader_reads() -> None:
    w = Writer()
    w.u8(255)
    w.u16(65535)
    w.u32(2**32 - 1)
    w.u64(2**64 - 1)
    w.i32(-(2**31))
    w.f64(-0.5)
    w.flag(True)
    w.blob(b"blob")
    w.string(b"str")
    w.dims((3, 1))
    w.digest(tuple(range(8)))
    r = Reader(w.getvalue(), RECEIPT_CODES)
    assert (r.u8(), r.u16(), r.u32(), r.u64()) == (255, 65535, 2**32 - 1, 2**64 - 1)
    assert (r.i32(), r.f64(), r.flag(), bytes(r.blob()), r.string()) == (
        -(2**31), -0.5, True, b"blob", b"str",
    )  # fmt: skip
    assert (r.dims(1, 8), r.digest()) == ((3, 1), tuple(range(8)))
    r.end()
