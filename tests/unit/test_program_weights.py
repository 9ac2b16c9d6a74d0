"""Weights of gates (protocol section 3), against values worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import programs
import pytest
from programs import dot, i, k, port, read, tensor

from zktally.verifier.errors import InvalidProgram
from zktally.verifier.program.checked import check
from zktally.verifier.program.operands import slots
from zktally.verifier.program.types import (
    AxisMap,
    Const,
    Gather,
    Pick,
    PickMode,
    Program,
    Role,
    StateLink,
    Term,
)
from zktally.verifier.program.weights import gate_weights


def test_a_cheap_op_weighs_what_it_feeds() -> None:
    """Of three values each feeds ten gates of three products: 30 · 3 / 3 = 30."""
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
    assert weights.weight == (10, 3)
    assert weights.macs == (1, 3)
    assert weights.step_weight == 3 * 10 + 10 * 3
    assert weights.step_macs == 3 + 30


def test_a_part_of_a_gate_carries_its_share_and_a_side_operand_the_whole() -> None:
    """Own 5: the term with window 2 carries 2/5, the bias all; both rounded up."""
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
    # bias: ceil(7·5 / 4) = 9; some: ceil(ceil(7·5·2 / 5) / 4) = ceil(14 / 4) = 4
    assert gate_weights(program).weight == (9, 4, 5)


def test_operands_of_a_pick_share_its_products_and_a_gathers_do_not() -> None:
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
    # y: own 1. c: own 2, fed 8/8. b: ceil(8·1 / 2) = 4. a: 8·2·(1/2) / 2 = 4.
    assert gate_weights(program).weight == (4, 4, 2, 1)
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
    # use: 6 gates of weight 6, spread over 3 values: 12 each, carried to s'.
    assert gate_weights(program).weight == (12, 6)
    assert gate_weights(replace(program, states=())).weight == (1, 6)


def test_the_weight_of_a_step_is_below_2_to_the_55() -> None:
    def relays(doublings: int) -> Program:
        """Each relay reads the one before 2^20 times a gate, so weights grow by 2^20 a layer."""
        tensors = [tensor("x", Role.INPUT, (1,))]
        ops = []
        for layer in range(doublings):
            tensors.append(tensor(f"v{layer}", Role.VALUE, (1,)))
            source = read(layer, (1,), AxisMap())
            terms = [Term((), source, Const(0))] * 64
            bias = source
            ops.append(dot(f"r{layer}", layer + 1, (1,), *terms, bias=bias))
        last = port("y", doublings)
        return Program("p", tuple(tensors), (), tuple(ops), (port("x", 0),), (last,))

    # Layer n from the end weighs 64·2^n (64 terms of 1/64 each, and the bias carries the whole).
    assert check(relays(48)).weights.step_weight == 64 * (2**48 - 1)
    check(relays(49))
    with pytest.raises(InvalidProgram, match="weight of a step"):
        check(relays(50))


def test_live_is_the_share_of_weight_that_reaches_an_output() -> None:
    """The pool of `conv` (16 gates of 4) reads 4 of 5 rows: 64 of 80 gates of weight 27."""
    assert check(programs.conv()[0]).live == 1024 * (64 * 27 + 64) // (80 * 27 + 64)
    assert check(programs.dense()[0]).live == 1024


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
    assert check(program).live == 1024 * 6 // 12


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
