"""Weights of gates (protocol section 3), against values worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support import programs
from support.programs import dot, i, k, port, read, tensor
from zktally.verifier.errors import InvalidProgram
from zktally.verifier.program.checked import check
from zktally.verifier.program.operands import slots
from zktally.verifier.program.types import (
    AxisMap,
    Const,
    Gather,
    Op,
    Pick,
    PickMode,
    Program,
    Read,
    Role,
    StateLink,
    Term,
)
from zktally.verifier.program.weights import gate_weights


def test_a_cheap_op_weighs_what_it_feeds() -> None:
    """Three values feed ten gates of three products, half of which rest on the weights: 15 / 3."""
    tensors = (
        tensor("x", Role.INPUT, (3,)),
        tensor("h", Role.VALUE, (3,)),
        tensor("w", Role.WEIGHT, (10, 3)),
        tensor("y", Role.VALUE, (10,)),
    )
    ops = (
        dot("cheap", 1, (3,), Term((), read(0, (3,), i(0)), Const(1))),
        dot("costly", 3, (10,), Term((3,), read(1, (3,), k(0)), read(2, (10, 3), i(0), k(0)))),
    )
    program = Program("p", tensors, (), ops, (port("x", 0),), (port("y", 3),))
    weights = gate_weights(program)
    assert weights.own == (1, 3)
    assert weights.weight == (5, 3)
    assert weights.macs == (1, 3)
    assert weights.step_weight == 3 * 5 + 10 * 3
    assert weights.step_macs == 3 + 30


def test_what_flows_up_is_divided_among_the_tensors_that_a_gate_reads() -> None:
    """Own 5: of the two terms and the bias, which counts for a whole gate, 2, 3 and 5 of 10."""
    tensors = (
        tensor("x", Role.INPUT, (4,)),
        tensor("bias", Role.VALUE, (4,)),
        tensor("some", Role.VALUE, (4,)),
        tensor("y", Role.VALUE, (7,)),
    )
    ops = (
        dot("bias", 1, (4,), Term((), read(0, (4,), i(0)), Const(1))),
        dot("some", 2, (4,), Term((), read(0, (4,), i(0)), Const(1))),
        dot(
            "sum",
            3,
            (7,),
            Term((2,), read(2, (4,), k(0)), Const(1)),
            Term((3,), read(0, (4,), k(0)), Const(1)),
            bias=read(1, (4,), AxisMap()),
        ),
    )
    program = Program("p", tensors, (), ops, (port("x", 0),), (port("y", 3),))
    # bias: ceil(ceil(7·5·5 / 10) / 4) = ceil(18 / 4) = 5; some: ceil(7·5·2 / 10) / 4 = 7 / 4
    assert gate_weights(program).weight == (5, 2, 5)


def test_operands_of_a_pick_and_of_a_gather_share_what_they_carry() -> None:
    tensors = (
        tensor("x", Role.INPUT, (2,), lo=0, hi=1),
        tensor("a", Role.VALUE, (2,), lo=0, hi=1),
        tensor("b", Role.VALUE, (2,), lo=0, hi=1),
        tensor("c", Role.VALUE, (8,), lo=0, hi=1),
        tensor("y", Role.VALUE, (8,), lo=0, hi=1),
    )
    x, a, b = (read(t, (2,), AxisMap()) for t in range(3))
    ops = (
        dot("a", 1, (2,), Term((), read(0, (2,), i(0)), Const(1))),
        dot("b", 2, (2,), Term((), read(0, (2,), i(0)), Const(1))),
        Pick("c", 3, False, (8,), PickMode.EQUAL, (), (a, x)),
        Gather("y", 4, False, (8,), 0, read(3, (8,), AxisMap()), b),
    )
    program = Program("p", tensors, (), ops, (port("x", 0),), (port("y", 4),))
    # y: own 1. c: own 2, fed (8·1/2) / 8. b: (8·1/2) / 2 = 2. a: (8·2/2) / 2 = 4.
    assert gate_weights(program).weight == (4, 2, 2, 1)
    assert gate_weights(program).macs == (1, 1, 0, 0)


def test_a_state_carries_its_weight_back_once() -> None:
    """The next step reads the state with 6 products a gate; each value of the state feeds 12."""
    tensors = (
        tensor("x", Role.INPUT, (3,)),
        tensor("s", Role.STATE, (3,)),
        tensor("s'", Role.VALUE, (3,)),
        tensor("y", Role.VALUE, (6,)),
    )
    ops = (
        dot("keep", 2, (3,), Term((), read(0, (3,), i(0)), Const(1))),
        dot("use", 3, (6,), Term((2, 3), read(1, (3,), k(1)), Const(1))),
    )
    program = Program("p", tensors, (), ops, (port("x", 0),), (port("y", 3),), (StateLink(1, 2),))
    # use: 6 gates of weight 6 that read nothing but 3 values: 12 each, carried to s'.
    assert gate_weights(program).weight == (12, 6)
    assert gate_weights(replace(program, states=())).weight == (1, 6)


def _copies(count: int) -> Program:
    """Copies of one value in front of 2^47 products: all that they feed rests on each of them."""
    tensors = [tensor("x", Role.INPUT, (1,))]
    ops: list[Op] = []
    for number in range(count):
        tensors.append(tensor(f"c{number}", Role.VALUE, (1,)))
        source = (read(number, (1,), AxisMap()),)
        ops.append(Pick(f"c{number}", number + 1, False, (1,), PickMode.COPY, (), source))
    space = (1 << 11, 1 << 16)
    tensors.append(tensor("y", Role.VALUE, space))
    ops.append(dot("y", count + 1, space, Term((1 << 20,), read(count, (1,), AxisMap()), Const(1))))
    ports = (port("x", 0),), (port("y", count + 1),)
    return Program("p", tuple(tensors), (), tuple(ops), *ports)


def test_the_weight_of_a_step_is_below_2_to_the_55() -> None:
    assert gate_weights(_copies(254)).step_weight == 255 << 47
    with pytest.raises(InvalidProgram, match="weight of a step"):
        gate_weights(_copies(255))


def test_constants_get_no_share_of_what_flows_up() -> None:
    """A scaled copy carries all that it feeds, however many constants scale it."""
    tensors = (
        tensor("x", Role.INPUT, (3,)),
        tensor("h", Role.VALUE, (3,)),
        tensor("y", Role.VALUE, (10,)),
    )
    ops = (
        dot("scaled", 1, (3,), Term((), read(0, (3,), i(0)), Const(5)), bias=Const(3)),
        dot("sums", 2, (10,), Term((3,), read(1, (3,), k(0)), Const(1)), bias=Const(1)),
    )
    program = Program("p", tensors, (), ops, (port("x", 0),), (port("y", 2),))
    assert gate_weights(program).weight == (10, 3)


@pytest.mark.parametrize("depth", [1, 10, 300])
def test_weights_do_not_grow_with_depth(depth: int) -> None:
    """x·g(x) and x + f(x), again and again: the sum of weights stays in proportion to the MACs."""
    tensors = [tensor("x", Role.INPUT, (4,)), tensor("w", Role.WEIGHT, (4, 4))]
    ops: list[Op] = []

    def append(name: str, *terms: Term) -> int:
        tensors.append(tensor(name, Role.VALUE, (4,)))
        ops.append(dot(name, len(tensors) - 1, (4,), *terms))
        return len(tensors) - 1

    def whole(number: int) -> Read:
        return read(number, (4,), i(0))

    last = 0
    for block in range(depth):
        a = read(last, (4,), k(0))
        summed = append(f"sum{block}", Term((4,), a, read(1, (4, 4), i(0), k(0))))
        gate = append(f"gate{block}", Term((), whole(summed), Const(1)))
        gated = append(f"gated{block}", Term((), whole(summed), whole(gate)))
        added = Term((), whole(gated), Const(1)), Term((), whole(last), Const(1))
        last = append(f"added{block}", *added)
    ports = (port("x", 0),), (port("y", last),)
    weights = gate_weights(Program("p", tuple(tensors), (), tuple(ops), *ports))
    assert weights.step_weight <= 3 * weights.step_macs


def test_only_live_gates_count_as_compute() -> None:
    """The pool of `conv` (16 gates) reads 4 of 5 rows: 64 of 80 gates of 27 products."""
    conv = check(programs.conv()[0])
    assert conv.live == (64, 16)
    assert (conv.live_macs, conv.weights.step_macs) == (64 * 27, 80 * 27)


def test_without_a_dot_every_product_counts() -> None:
    conv, _ = programs.conv()
    pool = replace(conv.ops[1], out=1)
    tensors = (replace(conv.tensors[2], role=Role.INPUT), conv.tensors[3])
    operand = replace(pool.operands[0], tensor=0)
    ports = (replace(conv.inputs[0], tensor=0),), (replace(conv.outputs[0], tensor=1),)
    program = Program("p", tensors, (), (replace(pool, operands=(operand,)),), *ports)
    assert gate_weights(program).macs == (4,)
    assert check(program).live_macs == 16 * 4


def test_a_diagonal_read_marks_the_diagonal_only() -> None:
    tensors = (
        tensor("x", Role.INPUT, (3, 3)),
        tensor("h", Role.VALUE, (3, 3)),
        tensor("y", Role.VALUE, (3,)),
    )
    ops = (
        dot("h", 1, (3, 3), Term((), read(0, (3, 3), i(0), i(1)), Const(1))),
        dot("y", 2, (3,), Term((), read(1, (3, 3), i(0), i(0)), Const(1))),
    )
    program = Program("p", tensors, (), ops, (port("x", 0),), (port("y", 2),))
    assert check(program).live == (3, 3)


def test_slots_follow_the_encoding() -> None:
    program, _ = programs.every_kind()
    wide = next(op for op in program.ops if op.name == "wide")
    assert [slot.label for slot in slots(wide)] == [
        "a of term 0",
        "b of term 0",
        "a of term 1",
        "b of term 1",
        "multiplier",
        "shift",
        "rounding",
    ]
    assert [slot.count for slot in slots(wide)] == [1, 1, 1, 1, 2, 2, 2]
