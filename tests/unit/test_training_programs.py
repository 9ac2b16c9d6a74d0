"""What a training step has beyond other programs: data tensors, starts of states, exports.

Its bytes are of version 2, and exactly if it has some of that; each rule has a program that breaks
only that one.
"""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from support import programs, training
from support.programs import layout, port
from support.training import LABEL, MOMENTUM, RATE, SCALE, SCORE, W, X
from zktally.verifier.errors import InvalidProgram, MalformedProgram
from zktally.verifier.program.checked import check
from zktally.verifier.program.codec import decode, encode, version_of
from zktally.verifier.program.types import (
    ConstantStart,
    DrawnStart,
    Layout,
    Program,
    Role,
    Start,
    Tensor,
)
from zktally.verifier.reader import P

LEARNER = training.learner()[0]
PLAIN = programs.running_average()[0]


def with_tensor(number: int, **changes: object) -> Program:
    tensors = list(LEARNER.tensors)
    tensors[number] = replace(tensors[number], **changes)
    return replace(LEARNER, tensors=tuple(tensors))


def starting(*starts: Start | None) -> Program:
    links = zip(LEARNER.states, starts, strict=True)
    states = tuple(replace(link, start=start) for link, start in links)
    return replace(LEARNER, states=states)


# Bytes.


def test_decoding_then_encoding_is_the_identity() -> None:
    data = encode(LEARNER)
    assert data[:8] == b"ZKTPROG\x02"
    assert decode(data) == LEARNER
    assert encode(decode(data)) == data


def test_the_new_fields_stand_where_the_page_says() -> None:
    data = encode(LEARNER)
    records = b"\x01\0x\x05\x01" + struct.pack("<ii", -128, 127)
    records += b"\x03" + struct.pack("<3I", 3, 2, 4) + b"\0\x02\x01" + b"\x01"
    assert records + struct.pack("<II", 2, 7) in data
    links = struct.pack("<H", 2)
    links += struct.pack("<HHBIii", W, training.NEXT, 2, 21, -400, 500)
    links += struct.pack("<HHBi", MOMENTUM, training.MOVED, 1, -2)
    assert data.endswith(links + struct.pack("<HHH", 2, W, SCALE))


def test_without_any_of_it_bytes_are_those_of_version_1() -> None:
    assert encode(PLAIN)[:8] == b"ZKTPROG\x01"
    assert encode(PLAIN).endswith(struct.pack("<HHH", 1, 1, 2))


@pytest.mark.parametrize(
    "program",
    [
        replace(PLAIN, exports=(1,)),
        replace(PLAIN, states=(replace(PLAIN.states[0], start=ConstantStart(0)),)),
        LEARNER,
    ],
)
def test_each_part_makes_it_version_2(program: Program) -> None:
    assert version_of(program) == 2
    assert decode(encode(program)) == program


def test_version_2_without_any_of_it_is_malformed() -> None:
    plain = encode(PLAIN)
    links = struct.pack("<HHHB", 1, 1, 2, 0) + b"\0\0"
    with pytest.raises(MalformedProgram, match="another version than its own"):
        decode(b"ZKTPROG\x02" + plain[8:-6] + links)


def test_version_1_with_a_data_tensor_is_malformed() -> None:
    shape = LEARNER.tensors[X].shape
    tensor = Tensor("x", Role.DATA, 1, 0, 1, shape, layout=layout(shape), records=7)
    only = encode(replace(LEARNER, tensors=(tensor,), states=(), exports=()))
    with pytest.raises(MalformedProgram, match="another version than its own"):
        decode(b"ZKTPROG\x01" + only[8:-2])


@pytest.mark.parametrize("version", [0, 3, 255])
def test_other_versions_are_malformed(version: int) -> None:
    with pytest.raises(MalformedProgram, match="a program of another version"):
        decode(b"ZKTPROG" + bytes([version]) + encode(LEARNER)[8:])


def test_an_unknown_start_is_malformed() -> None:
    data = encode(LEARNER)
    at = data.rindex(struct.pack("<HHB", MOMENTUM, training.MOVED, 1)) + 4
    with pytest.raises(MalformedProgram, match="start of a state"):
        decode(data[:at] + b"\x03" + data[at + 1 :])


def test_no_prefix_and_no_longer_string_is_a_program() -> None:
    data = encode(LEARNER)
    for wrong in (*(data[:end] for end in range(len(data))), data + b"\0"):
        with pytest.raises(MalformedProgram):
            decode(wrong)


# Rules.

PIECES = Layout((0, 1), 1, 1)

RULES: dict[str, tuple[Program, str]] = {
    "one axis": (with_tensor(LABEL, shape=(3,), layout=layout((3,), piece=1)), "has one axis"),
    "another axis first": (
        with_tensor(LABEL, layout=Layout((1, 0), 1, 1)),
        "reaches across records",
    ),
    "rows over records": (
        with_tensor(LABEL, layout=Layout((0, 1), 2, 1)),
        "reaches across records",
    ),
    "fewer records than slots": (with_tensor(X, records=2), "more records than there are"),
    "no records": (with_tensor(X, records=0), "more records than there are"),
    "too many records": (with_tensor(X, records=2**31), "number of records exceeds"),
    "other records": (with_tensor(LABEL, records=8), "other records"),
    "other slots": (
        replace(LEARNER, tensors=(*LEARNER.tensors, training.data("more", (4, 1), PIECES))),
        "has other records than 'x', or other slots",
    ),
    "too many leaves": (with_tensor(LABEL, records=2**26 + 1), "number of leaves exceeds"),
    "too many elements": (with_tensor(X, records=2**28), "number of elements exceeds"),
    "some starts": (starting(ConstantStart(0), None), "others do not"),
    "a constant below its state": (
        starting(ConstantStart(-9001), ConstantStart(0)),
        "outside the range of the state",
    ),
    "a constant above its state": (
        starting(ConstantStart(9001), ConstantStart(0)),
        "outside the range of the state",
    ),
    "drawn below its state": (
        starting(DrawnStart(1, -9001, 0), ConstantStart(0)),
        "outside the range of the state",
    ),
    "drawn above its state": (
        starting(DrawnStart(1, 0, 9001), ConstantStart(0)),
        "outside the range of the state",
    ),
    "drawn from nothing": (
        starting(DrawnStart(1, 1, 0), ConstantStart(0)),
        "its range is empty",
    ),
    "drawn from too many": (
        starting(DrawnStart(1, -(2**24), 0), ConstantStart(0)),
        "values to draw from exceeds",
    ),
    "a domain that is no element": (
        starting(DrawnStart(P, 0, 1), ConstantStart(0)),
        "its domain is no field element",
    ),
    "one domain twice": (
        starting(DrawnStart(5, 0, 1), DrawnStart(5, 0, 2)),
        "drawn under one domain",
    ),
    "an export that does not exist": (replace(LEARNER, exports=(99,)), "an export: no such tensor"),
    "an export of an input": (replace(LEARNER, exports=(RATE,)), "neither a state nor a weight"),
    "an export of a value": (replace(LEARNER, exports=(SCORE,)), "neither a state nor a weight"),
    "an export of data": (replace(LEARNER, exports=(X,)), "neither a state nor a weight"),
    "an export twice": (replace(LEARNER, exports=(W, SCALE, W)), "exported twice"),
    "data in a port": (
        replace(LEARNER, inputs=(*LEARNER.inputs, port("x", X))),
        "its tensor 'x' has another role",
    ),
    "data that nothing reads": (
        replace(LEARNER, tensors=(*LEARNER.tensors, training.data("more", (3, 1), PIECES))),
        "read by no op",
    ),
}


def test_the_program_itself_is_valid() -> None:
    checked = check(LEARNER)
    assert (LEARNER.records, LEARNER.data_slots, LEARNER.data) == (7, 3, [X, LABEL])
    assert checked.program.tensors[X].tree_shape == (7, 2, 4)
    assert checked.program.tensors[W].tree_shape == (4, 8)


@pytest.mark.parametrize("name", RULES)
def test_a_program_that_breaks_one_rule_is_invalid(name: str) -> None:
    program, message = RULES[name]
    with pytest.raises(InvalidProgram, match=message):
        check(program)


def test_all_elements_are_counted_with_all_records() -> None:
    """Each alone is small enough; a second tensor of the same records is not."""
    wide = Layout((0, 1), 1, 16)
    more = (training.data(name, (3, 16), wide) for name in ("a", "b"))
    tensors = (*LEARNER.tensors, *(replace(tensor, records=2**25 + 1) for tensor in more))
    with pytest.raises(InvalidProgram, match="elements of all tensors"):
        check(replace(LEARNER, tensors=tensors))


def test_records_and_a_batch_do_not_go_together() -> None:
    program = programs.dense()[0]
    tensors = (
        *program.tensors,
        training.data("bias of the slot", (2, 1), PIECES),
    )
    op = program.ops[0]
    extra = programs.Term((), programs.read(5, (2, 1), programs.i(0), programs.FIRST), op.shift)
    ops = (replace(op, terms=(*op.terms, extra)),)
    with pytest.raises(InvalidProgram, match="a program with data tensors has a port"):
        check(replace(program, tensors=tensors, ops=ops))


def test_starts_may_be_anything_in_range() -> None:
    for start in (DrawnStart(P - 1, -9000, 9000), ConstantStart(-9000), ConstantStart(9000)):
        assert check(starting(start, DrawnStart(0, 0, 0))).program.states[0].start == start
