"""Every rule of protocol section 1, each with a program that breaks only that one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from support import programs
from support.programs import dot, i, k, layout, port, read, tensor
from zktally.verifier.errors import InvalidProgram
from zktally.verifier.program.checked import check
from zktally.verifier.program.types import (
    AxisMap,
    Const,
    Gather,
    Layout,
    Op,
    Pick,
    PickMode,
    Program,
    Role,
    StateLink,
    Tensor,
    Term,
)

DENSE = programs.dense()[0]
CONV = programs.conv()[0]
AVERAGE = programs.running_average()[0]
KINDS = programs.every_kind()[0]
X, W, BIAS, MULT, Y = range(5)


def with_tensor(program: Program, number: int, **changes: object) -> Program:
    tensors = list(program.tensors)
    tensors[number] = replace(tensors[number], **changes)
    return replace(program, tensors=tuple(tensors))


def with_op(program: Program, number: int, **changes: object) -> Program:
    ops = list(program.ops)
    ops[number] = replace(ops[number], **changes)
    return replace(program, ops=tuple(ops))


def copy(shape: tuple[int, ...], **form: object) -> Program:
    """A program that copies one tensor of this shape."""
    tensors = (
        replace(tensor("x", Role.INPUT, shape), **form),
        replace(tensor("y", Role.VALUE, shape), **form),
    )
    op = Pick(
        "copy",
        1,
        False,
        shape,
        PickMode.COPY,
        (),
        (read(0, shape, *(i(axis) for axis in range(len(shape)))),),
    )
    return Program("copy", tensors, (), (op,), (port("x", 0),), (port("y", 1),))


def dense_reading(**changes: object) -> Program:
    """`dense` with its read of x changed."""
    term = DENSE.ops[0].terms[0]
    return with_op(DENSE, 0, terms=(replace(term, a=replace(term.a, **changes)),))


def more(program: Program, t: Tensor, *ops: Op) -> Program:
    """The program with one more tensor and more ops."""
    return replace(program, tensors=(*program.tensors, t), ops=(*program.ops, *ops))


def relay(name: str, source: int, out: int) -> Op:
    """A copy of [2, 4] values."""
    return dot(name, out, (2, 4), Term((), read(source, (2, 4), i(0), i(1)), Const(1)))


def prf_program(lo: int, hi: int, width: int = 3) -> Program:
    noise = Tensor("noise", Role.PRF, width, lo, hi, (2, 4), domain=1)
    out = tensor("z", Role.VALUE, (2, 4))
    op = dot("use", 6, (2, 4), Term((), read(5, (2, 4), i(0), i(1)), Const(0)))
    program = replace(DENSE, tensors=(*DENSE.tensors, noise, out), ops=(*DENSE.ops, op))
    return replace(program, outputs=(*DENSE.outputs, port("z", 6)))


def chain(length: int) -> Program:
    """`dense` and so many relays behind it."""
    values = [tensor(f"v{n}", Role.VALUE, (2, 4)) for n in range(length)]
    ops = [relay(f"r{n}", Y + n, Y + n + 1) for n in range(length)]
    last = port("last", Y + length, 0)
    program = replace(DENSE, outputs=(last,), ops=(*DENSE.ops, *ops))
    return replace(program, tensors=(*DENSE.tensors, *values))


GATHER = next(number for number, op in enumerate(KINDS.ops) if isinstance(op, Gather))
WIDE_STATE = tensor("s", Role.STATE, (5,), width=2, lo=-3000, hi=3000)

VALID = {
    "dense": DENSE,
    "conv": CONV,
    "running average": AVERAGE,
    "every kind": KINDS,
    "full prf range": prf_program(-(2**23), 2**23 - 1),
    "pieces of 2^16": copy((2**16 + 1,), layout=Layout((0,), 1, 2**16)),
    "4,096 tensors": chain(4091),
    "a second output": more(
        replace(DENSE, outputs=(*DENSE.outputs, port("z", 5, 0))),
        tensor("z", Role.VALUE, (2, 4)),
        relay("relay", Y, 5),
    ),
}

INVALID: dict[str, tuple[Callable[[], Program], str]] = {
    # 1. names
    "two tensors of a name": (lambda: with_tensor(DENSE, W, name="x"), "two tensors"),
    "two ops of a name": (lambda: with_op(CONV, 1, name="conv"), "two ops"),
    "two input ports of a name": (
        lambda: replace(KINDS, inputs=tuple(replace(p, name="x") for p in KINDS.inputs)),
        "two input ports",
    ),
    "two output ports of a name": (
        lambda: replace(KINDS, outputs=tuple(replace(p, name="y") for p in KINDS.outputs)),
        "two output ports",
    ),
    # tensors
    "width 0": (lambda: with_tensor(DENSE, Y, width=0), "no such width"),
    "width 4": (lambda: with_tensor(DENSE, Y, width=4), "no such width"),
    "range beyond the width": (lambda: with_tensor(DENSE, X, hi=128), "outside its width"),
    "range below the width": (lambda: with_tensor(DENSE, X, lo=-129), "outside its width"),
    "empty range": (lambda: with_tensor(DENSE, Y, lo=1, hi=0), "empty"),
    "empty piece": (lambda: with_tensor(DENSE, X, layout=layout((2, 6), piece=7)), "longer"),
    "piece 0": (lambda: with_tensor(DENSE, X, layout=Layout((0, 1), 1, 0)), "empty"),
    "prf domain beyond the field": (
        lambda: more(DENSE, Tensor("z", Role.PRF, 1, 0, 1, (2, 4), domain=2**31 - 2**24 + 1)),
        "is no field element",
    ),
    "2^30 elements in one tensor, and some more": (
        lambda: copy((2**30,), layout=Layout((0,), 1, 2**16)),
        "elements of all tensors",
    ),
    "2^28 elements in all values, and some more": (
        lambda: copy((2**14, 2**14 + 1)),
        "elements of all value tensors",
    ),
    "prf range of 3 values": (lambda: prf_program(0, 2), r"2\^b values"),
    "prf range of 1 value": (lambda: prf_program(0, 0), r"2\^b values"),
    # 2. and 3. definitions
    "read before it is defined": (
        lambda: replace(CONV, ops=CONV.ops[::-1]),
        "before an op defines it",
    ),
    "reads its own output": (
        lambda: more(
            replace(DENSE, outputs=(port("z", 5),)),
            tensor("z", Role.VALUE, (2, 4)),
            relay("loop", 5, 5),
        ),
        "before an op defines it",
    ),
    "value defined twice": (
        lambda: replace(DENSE, ops=(*DENSE.ops, replace(DENSE.ops[0], name="again"))),
        "a second time",
    ),
    "value never defined": (
        lambda: more(
            replace(DENSE, outputs=(*DENSE.outputs, port("z", 5))),
            tensor("z", Role.VALUE, (2, 4)),
        ),
        "output of no op",
    ),
    "op writes a weight": (
        lambda: more(DENSE, tensor("z", Role.WEIGHT, (2, 4)), relay("write", Y, 5)),
        "no value tensor",
    ),
    "op writes nothing that exists": (lambda: with_op(DENSE, 0, out=5), "no such tensor"),
    # 4. nothing dead
    "dead op": (
        lambda: more(DENSE, tensor("z", Role.VALUE, (2, 4)), relay("dead", Y, 5)),
        "reaches no output",
    ),
    "weight that nobody reads": (
        lambda: more(DENSE, tensor("z", Role.WEIGHT, (2, 4))),
        "read by no op",
    ),
    "input that nobody reads": (
        lambda: more(
            replace(DENSE, inputs=(*DENSE.inputs, port("z", 5))), tensor("z", Role.INPUT, (2, 4))
        ),
        "read by no op",
    ),
    "prf that nobody reads": (
        lambda: more(DENSE, Tensor("z", Role.PRF, 1, 0, 1, (2, 4), domain=0)),
        "read by no op",
    ),
    "state that nobody reads": (
        lambda: with_op(AVERAGE, 0, terms=AVERAGE.ops[0].terms[1:]),
        "read by no op",
    ),
    # 5. ports and states
    "input without a port": (
        lambda: replace(KINDS, inputs=KINDS.inputs[:1]),
        "in no input port",
    ),
    "input in two ports": (
        lambda: replace(DENSE, inputs=(*DENSE.inputs, replace(DENSE.inputs[0], name="again"))),
        "two ports name one tensor",
    ),
    "output in two ports": (
        lambda: replace(DENSE, outputs=(*DENSE.outputs, replace(DENSE.outputs[0], name="again"))),
        "two ports name one tensor",
    ),
    "input port of a weight": (
        lambda: replace(DENSE, inputs=(*DENSE.inputs, port("w", W))),
        "another role",
    ),
    "output port of an input": (
        lambda: replace(DENSE, outputs=(*DENSE.outputs, port("x", X))),
        "another role",
    ),
    "port of no tensor": (
        lambda: replace(DENSE, outputs=(*DENSE.outputs, port("z", 9))),
        "no such tensor",
    ),
    "neither output nor state": (
        lambda: Program("p", (), (), (), (), ()),
        "neither an output port nor a state",
    ),
    "batches that differ": (
        lambda: replace(KINDS, outputs=tuple(replace(p, batch=0) for p in KINDS.outputs)),
        "its batch differs",
    ),
    "state without a link": (
        lambda: replace(AVERAGE, states=()),
        "in no state link",
    ),
    "state in two links": (
        lambda: replace(AVERAGE, states=AVERAGE.states * 2),
        "two links name one state",
    ),
    "value in two links": (
        lambda: more(
            replace(
                with_op(
                    AVERAGE,
                    1,
                    terms=(*AVERAGE.ops[1].terms, Term((), read(4, (5,), i(0)), Const(1))),
                ),
                states=(*AVERAGE.states, StateLink(4, 2)),
            ),
            WIDE_STATE,
        ),
        "two links name one value",
    ),
    "link from a value": (
        lambda: replace(AVERAGE, states=(*AVERAGE.states, StateLink(3, 2))),
        "not a state tensor and a value tensor",
    ),
    "link to nothing": (
        lambda: replace(AVERAGE, states=(StateLink(1, 9),)),
        "no such tensor",
    ),
    "linked widths differ": (lambda: with_tensor(AVERAGE, 1, width=3), "they differ"),
    "linked ranges differ": (lambda: with_tensor(AVERAGE, 1, hi=2999), "they differ"),
    "linked shapes differ": (
        lambda: with_tensor(AVERAGE, 1, shape=(1, 5), layout=layout((1, 5))),
        "they differ",
    ),
    "linked layouts differ": (
        lambda: with_tensor(AVERAGE, 1, layout=layout((5,), piece=4)),
        "they differ",
    ),
    # 6. index maps
    "map of an unknown space axis": (
        lambda: dense_reading(maps=(i(2, a=0), k(0))),
        "its space does not have",
    ),
    "map of an unknown window axis": (
        lambda: dense_reading(maps=(i(0), k(1, b=0))),
        "its window does not have",
    ),
    "bias with a window axis": (
        lambda: with_op(DENSE, 0, bias=read(BIAS, (4,), k(0, b=0))),
        "its window does not have",
    ),
    "view of another size": (
        lambda: dense_reading(view=(2, 7)),
        "the view has not the size",
    ),
    "view of no tensor": (lambda: dense_reading(tensor=5), "no such tensor"),
    "index past the end": (lambda: dense_reading(maps=(i(0), k(0, c=1))), "out of range"),
    "index before the start": (lambda: dense_reading(maps=(i(0), k(0, c=-1))), "out of range"),
    "negative factor past the start": (
        lambda: dense_reading(maps=(i(0), k(0, b=-1, c=4))),
        "out of range",
    ),
    "divisor without a pad": (
        lambda: dense_reading(maps=(i(0), AxisMap(k_axis=0, b=2, d=2))),
        "divides and has no pad",
    ),
    "pad outside the width": (
        lambda: dense_reading(pad=-129),
        "the pad is outside the width",
    ),
    "gather over no axis": (lambda: with_op(KINDS, GATHER, axis=2), "has no axis 2"),
    "space of another size": (lambda: with_op(DENSE, 0, space=(2, 5)), "not the size of its out"),
    "copy with a window": (
        lambda: with_op(copy((4,)), 0, window=(2,)),
        "a copy has a window",
    ),
    "table that does not exist": (lambda: with_op(DENSE, 0, table=0), "no such table"),
    # 8. limits
    "view dimension of 2^31": (lambda: dense_reading(view=(2**31, 6)), "a dimension"),
    "tensor dimension of 2^31": (lambda: copy((2**31,)), "tensor 'x': a dimension"),
    "space dimension of 2^31": (
        lambda: with_op(DENSE, 0, space=(2**31, 4)),
        "op 'dense': a dimension",
    ),
    "window dimension of 2^31": (
        lambda: with_op(DENSE, 0, terms=(Term((2**31,), Const(0), Const(0)),)),
        "a of term 0: a dimension",
    ),
    "more than 4,096 ops": (
        lambda: replace(DENSE, ops=DENSE.ops * 4097),
        "the number of ops",
    ),
    "tensor of 2^30 + 1": (lambda: copy((2**30 + 1,)), "the number of elements"),
    "leaves beyond 2^26": (
        lambda: copy((2**26 + 1,), layout=Layout((0,), 1, 1)),
        "the number of leaves",
    ),
    "piece beyond 2^16": (
        lambda: copy((2**17,), layout=Layout((0,), 1, 2**16 + 1)),
        "the length of a piece",
    ),
    "window beyond 2^20": (
        lambda: with_op(
            DENSE,
            0,
            terms=(*DENSE.ops[0].terms, Term((2**20 - 5,), Const(0), Const(0))),
        ),
        "products of a gate",
    ),
    "more than 4,096 tensors": (lambda: chain(4092), "the number of tensors"),
    "more than 256 tables": (
        lambda: replace(KINDS, tables=KINDS.tables * 257),
        "the number of tables",
    ),
}


@pytest.mark.parametrize("what", VALID)
def test_a_valid_program_passes(what: str) -> None:
    check(VALID[what])


@pytest.mark.parametrize("what", INVALID)
def test_a_program_that_breaks_one_rule_is_refused(what: str) -> None:
    make, message = INVALID[what]
    with pytest.raises(InvalidProgram, match=message):
        check(make())
