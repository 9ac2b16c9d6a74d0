"""Item slots never mix (protocol section 1, rule 9): both readers, by hand and by brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import programs
from support.programs import dot, i, ik, k, port, read, tensor
from zktally import _core
from zktally.verifier.errors import InvalidProgram
from zktally.verifier.gates import reads
from zktally.verifier.program.checked import check
from zktally.verifier.program.codec import encode
from zktally.verifier.program.items import mixing
from zktally.verifier.program.types import (
    AxisMap,
    Const,
    Dot,
    Gather,
    Op,
    Pick,
    PickMode,
    Program,
    Read,
    Role,
    Tensor,
    Term,
    gates,
)

B = 4


def both_accept(program: Program) -> None:
    check(program)
    _core.Program(encode(program))


def both_refuse(program: Program, message: str) -> None:
    with pytest.raises(InvalidProgram, match=message):
        check(program)
    with pytest.raises(InvalidProgram):
        _core.Program(encode(program))


def copy(operand: Read, out: int, space: tuple[int, ...], name: str = "copy") -> Op:
    return Pick(name, out, False, space, PickMode.COPY, (), (operand,))


def one_op(
    x: tuple[int, ...], y: tuple[int, ...], op: Op, *, batches: tuple[int, int] = (0, 0)
) -> Program:
    tensors = (tensor("x", Role.INPUT, x), tensor("y", Role.VALUE, y))
    ports = (port("x", 0, batches[0]),), (port("y", 1, batches[1]),)
    return Program("p", tensors, (), (op,), *ports)


FINE = {
    "rows": one_op((B, 3), (B, 3), copy(read(0, (B, 3), i(0), i(1)), 1, (B, 3))),
    "rows seen as one": one_op((B, 3), (B, 3), copy(read(0, (12,), i(0)), 1, (12,))),
    "items merged with an axis": one_op(
        (B, 2, 3), (B, 2, 3), copy(read(0, (8, 3), i(0), i(1)), 1, (8, 3))
    ),
    "merged, then split": one_op(
        (B, 2, 3), (B, 3), copy(read(0, (8, 3), i(0, a=2, c=1), i(1)), 1, (B, 3))
    ),
    "a sum over what is inside": one_op(
        (B, 6), (B,), dot("sum", 1, (B,), Term((6,), read(0, (B, 6), i(0), k(0)), Const(1)))
    ),
    "a window over what is merged": one_op(
        (B, 6), (B,), dot("sum", 1, (B,), Term((6,), read(0, (24,), ik(0, 6, 0, 1)), Const(1)))
    ),
    "spread by a divisor": one_op(
        (B, 2),
        (B, 4),
        copy(read(0, (8,), AxisMap(i_axis=0, a=1, d=2), pad=0), 1, (16,)),
    ),
    "a convolution with pads": programs.conv()[0],
    "weights and biases": programs.dense()[0],
    "one slot mixes with nobody": one_op(
        (1, 3), (1, 3), copy(read(0, (1, 3), i(0), i(1, -1, 2)), 1, (1, 3))
    ),
    "no batch at all": one_op(
        (B, 3),
        (B, 3),
        copy(read(0, (B, 3), i(0, -1, B - 1), i(1)), 1, (B, 3)),
        batches=(255, 255),
    ),
}


@pytest.mark.parametrize("what", FINE)
def test_ops_that_keep_to_their_slot_pass(what: str) -> None:
    both_accept(FINE[what])


def mixed(y: tuple[int, ...], op: Op, *, x: tuple[int, ...] = (B, 3)) -> Program:
    return one_op(x, y, op)


def padded(operand: Read) -> Read:
    return replace(operand, pad=0)


MIXING = {
    "the next slot": (
        mixed((B, 3), copy(padded(read(0, (B, 3), i(0, c=1), i(1))), 1, (B, 3))),
        "other slots",
    ),
    "slots in reverse": (
        mixed((B, 3), copy(read(0, (B, 3), i(0, -1, B - 1), i(1)), 1, (B, 3))),
        "same elements",
    ),
    "one slot for all": (
        mixed((B, 3), copy(read(0, (B, 3), AxisMap(c=2), i(1)), 1, (B, 3))),
        "same elements",
    ),
    "a sum over the batch": (
        mixed(
            (B, 3),
            dot("sum", 1, (B, 3), Term((B,), read(0, (B, 3), k(0), i(1)), Const(1))),
        ),
        "same elements",
    ),
    "neighbours in a window": (
        mixed(
            (B, 3),
            dot(
                "sum",
                1,
                (B, 3),
                Term((2,), padded(read(0, (B, 3), ik(0, 1, 0, 1), i(1))), Const(1)),
            ),
        ),
        "other slots",
    ),
    "a window that leaves the merged slot": (
        mixed(
            (B,),
            dot("sum", 1, (B,), Term((4,), padded(read(0, (12,), ik(0, 3, 0, 1))), Const(1))),
        ),
        "other slots",
    ),
    "a window that runs backwards": (
        mixed(
            (B,),
            dot("sum", 1, (B,), Term((4,), padded(read(0, (12,), ik(0, 3, 0, -1, 2))), Const(1))),
        ),
        "other slots",
    ),
    "a negative offset": (
        mixed((B, 3), copy(padded(read(0, (B, 3), i(0, c=-1), i(1))), 1, (B, 3))),
        "other slots",
    ),
    "strides over slots": (
        mixed((B, 3), copy(padded(read(0, (B, 3), i(0, a=2), i(1))), 1, (B, 3))),
        "other slots|not as many",
    ),
    "a transposed copy that is read as rows": (
        mixed((B, B), copy(read(0, (B, B), i(1), i(0)), 1, (B, B)), x=(B, B)),
        "another axis than its batch",
    ),
    "a view that cuts slots apart": (
        mixed((B, 3), copy(read(0, (2, 6), i(0), i(1)), 1, (2, 6)), x=(B, 3)),
        "no axis that tells",
    ),
    "a diagonal": (
        mixed((B,), copy(read(0, (B, B), i(0), i(0)), 1, (B,)), x=(B, B)),
        "number of its slot",
    ),
    "two slots to one gate": (
        mixed((B,), copy(padded(read(0, (B * 2,), i(0, c=1))), 1, (B,)), x=(B, 2)),
        "other slots|not as many",
    ),
}


@pytest.mark.parametrize("what", MIXING)
def test_ops_that_mix_slots_are_refused(what: str) -> None:
    program, message = MIXING[what]
    both_refuse(program, message)


def test_an_index_that_a_gather_chooses_is_not_the_slot() -> None:
    tensors = (
        tensor("x", Role.INPUT, (B, 3)),
        tensor("by", Role.INPUT, (B,), lo=0, hi=2),
        tensor("y", Role.VALUE, (B,)),
    )
    ports = (port("x", 0, 0), port("by", 1, 0)), (port("y", 2, 0),)

    def program(axis: int, *maps: AxisMap) -> Program:
        op = Gather("gather", 2, False, (B,), axis, read(0, (B, 3), *maps), read(1, (B,), i(0)))
        return Program("p", tensors, (), (op,), *ports)

    both_accept(program(1, i(0), AxisMap()))
    both_refuse(program(0, AxisMap(), AxisMap()), "same elements")


def test_operands_carry_the_slots_on_one_axis() -> None:
    tensors = (tensor("x", Role.INPUT, (B, B)), tensor("y", Role.VALUE, (B, B)))
    here, there = read(0, (B, B), i(0), i(1)), read(0, (B, B), i(1), i(0))
    op = Pick("same", 1, False, (B, B), PickMode.EQUAL, (), (here, there))
    ports = (port("x", 0, 0),), (port("y", 1, 0),)
    both_refuse(Program("p", tensors, (), (op,), *ports), "different axes")


def test_slots_may_lie_inside_of_another_axis_but_not_across_the_view() -> None:
    """Two slots of three elements, twice: [2, B, 3] as (2·B, 3) is fine, as (6, 2) it is not."""
    tensors = (
        tensor("x", Role.INPUT, (2, 2, 3)),
        tensor("t", Role.VALUE, (2, 2, 3)),
        tensor("y", Role.VALUE, (2, 2, 3)),
    )
    shape = (2, 2, 3)
    there = copy(read(0, shape, i(1), i(0), i(2)), 1, shape, "there")

    def program(back: Read, space: tuple[int, ...]) -> Program:
        again = copy(back, 2, space, "back")
        ports = (port("x", 0, 0),), (port("y", 2, 0),)
        return Program("p", tensors, (), (there, again), *ports)

    both_accept(program(read(1, shape, i(1), i(0), i(2)), shape))
    both_refuse(program(read(1, (6, 2), i(0), i(1)), (6, 2)), "no axis that tells")
    both_refuse(program(read(1, (4, 3), i(0), i(1)), (4, 3)), "another axis than its batch")


def test_the_slots_may_wander_to_another_axis_and_back() -> None:
    tensors = (
        tensor("x", Role.INPUT, (B, 3)),
        tensor("t", Role.VALUE, (3, B)),
        tensor("y", Role.VALUE, (B, 3)),
    )
    ops = (
        copy(read(0, (B, 3), i(1), i(0)), 1, (3, B), "there"),
        copy(read(1, (3, B), i(1), i(0)), 2, (B, 3), "back"),
    )
    program = Program("p", tensors, (), ops, (port("x", 0, 0),), (port("y", 2, 0),))
    both_accept(program)
    out = (port("t", 1, 0),)
    refused = replace(program, tensors=tensors[:2], ops=ops[:1], outputs=out)
    with pytest.raises(InvalidProgram):
        check(refused)  # its port has another batch: 3
    both_refuse(
        replace(program, outputs=(port("y", 2, 0), port("t", 1))), "no batch axis, but its tensor"
    )


def with_shared(role: Role, shape: tuple[int, ...], *maps: AxisMap) -> Program:
    """Y = x · c for items x, where c is shared: copied from a weight, or of another role itself."""
    c = tensor("c", role, shape)
    if role is Role.PRF:
        c = Tensor("c", role, 1, 0, 63, shape, domain=1)
    tensors = (tensor("x", Role.INPUT, (B, 4)), c, tensor("y", Role.VALUE, (B, 4)))
    term = Term((), read(0, (B, 4), i(0), i(1)), read(1, shape, *maps))
    ops: tuple[Op, ...] = (dot("y", 2, (B, 4), term),)
    if role is Role.VALUE:
        whole = read(3, shape, *(i(axis) for axis in range(len(shape))))
        tensors = (*tensors, tensor("w", Role.WEIGHT, shape))
        ops = (copy(whole, 1, shape, "constant"), *ops)
    inputs = (port("x", 0, 0), *((port("c", 1),) if role is Role.INPUT else ()))
    return Program("p", tensors, (), ops, inputs, (port("y", 2, 0),))


@pytest.mark.parametrize("role", [Role.VALUE, Role.WEIGHT, Role.INPUT, Role.PRF])
def test_what_all_slots_share_they_read_alike(role: Role) -> None:
    """A row of its own for each slot could cost unequal, or mask what does."""
    both_accept(with_shared(role, (4,), i(1)))
    both_refuse(with_shared(role, (B, 4), i(0), i(1)), "number of its slot")
    both_refuse(with_shared(role, (B,), i(0)), "number of its slot")
    program = with_shared(role, (4,), i(1))
    dot_op = program.ops[-1]
    assert isinstance(dot_op, Dot)
    late = replace(read(1, (4,), i(0, c=-(B - 1))), pad=0)
    hidden = replace(dot_op, terms=(replace(dot_op.terms[0], b=late),))
    both_refuse(replace(program, ops=(*program.ops[:-1], hidden)), "number of its slot")


@pytest.mark.parametrize("role", [Role.VALUE, Role.WEIGHT, Role.INPUT])
def test_no_slot_chooses_among_what_is_computed_for_all(role: Role) -> None:
    """An embedding is chosen from; rows that gates compute could cost unequal."""
    tensors = (
        tensor("by", Role.INPUT, (B,), lo=0, hi=2),
        tensor("w", Role.WEIGHT, (3,)),
        tensor("c", role, (3,)),
        tensor("y", Role.VALUE, (B,)),
    )
    gather = Gather("y", 3, False, (B,), 0, read(2, (3,), AxisMap()), read(0, (B,), i(0)))
    ops: tuple[Op, ...] = (gather,)
    inputs = (port("by", 0, 0),)
    if role is Role.VALUE:
        ops = (copy(read(1, (3,), i(0)), 2, (3,), "computed"), gather)
    else:
        tensors = (tensors[0], tensors[2], tensors[3])
        source = read(1, (3,), AxisMap())
        ops = (replace(gather, out=2, source=source),)
        inputs = (*inputs, *((port("c", 1),) if role is Role.INPUT else ()))
    program = Program("p", tensors, (), ops, inputs, (port("y", len(tensors) - 1, 0),))
    if role is Role.VALUE:
        both_refuse(program, "each slot chooses")
    else:
        both_accept(program)


@pytest.mark.parametrize("where", ["inputs", "outputs"])
def test_a_program_with_state_has_no_batch_on_either_side(where: str) -> None:
    average = programs.running_average()[0]
    ports = tuple(replace(p, batch=0) for p in getattr(average, where))
    both_refuse(replace(average, **{where: ports}), "with state")


def test_a_port_with_a_batch_axis_shows_slots() -> None:
    """Rows that are computed once for all slots could cost unequal."""
    tensors = (
        tensor("x", Role.INPUT, (B, 3)),
        tensor("w", Role.WEIGHT, (B, 3)),
        tensor("c", Role.VALUE, (B, 3)),
        tensor("y", Role.VALUE, (B, 3)),
    )
    ops = (
        copy(read(1, (B, 3), i(0), i(1)), 2, (B, 3), "constant"),
        copy(read(0, (B, 3), i(0), i(1)), 3, (B, 3), "items"),
    )
    ports = (port("x", 0, 0),), (port("y", 3, 0), port("c", 2))
    program = Program("p", tensors, (), ops, *ports)
    both_accept(program)
    both_refuse(replace(program, outputs=(port("y", 3, 0), port("c", 2, 0))), "has no slots")


def test_a_program_with_state_has_no_batch() -> None:
    average = programs.running_average()[0]
    both_accept(average)
    one = average.tensors[average.inputs[0].tensor].shape[0]
    assert average.batch == 1 != one
    batched = tuple(replace(p, batch=0) for p in average.inputs)
    both_refuse(replace(average, inputs=batched), "with state")


def touched_slots(program: Program) -> bool:
    """Brute force: does any gate reach an input at another slot, followed through all ops?"""
    batch = program.batch
    owners: dict[int, np.ndarray] = {}
    for p in program.inputs:
        size = program.tensors[p.tensor].size
        owners[p.tensor] = np.repeat(1 << np.arange(batch), size // batch)
    for op in program.ops:
        found = np.zeros(gates(op), np.int64)
        for gate in range(gates(op)):
            for t, offsets in reads(program, op, np.array([gate])):
                for offset in offsets:
                    found[gate] |= owners[t][offset]
        owners[op.out] = found
    output = program.outputs[0].tensor
    size = program.tensors[output].size
    mine = np.repeat(1 << np.arange(batch), size // batch)
    return bool((owners[output] & ~mine).any())


@st.composite
def maps_of_a_copy(draw: st.DrawFn) -> Program:
    """A copy of [3, 4] values with any maps, views and pads, into [3, 4]."""
    batch, row = 3, 4
    size = batch * row
    views = st.sampled_from([(batch, row), (size,), (row, batch), (batch, 2, 2), (6, 2)])
    view, space = draw(views), draw(views)
    numbers = st.integers(-3, 4)
    axes = st.sampled_from([255, *range(len(space))])
    found = []
    for _ in view:
        i_axis = draw(axes)
        a = 0 if i_axis == 255 else draw(st.sampled_from([1, 1, 1, 0, 2, 4, -1]))
        c, d = draw(st.sampled_from([0, 0, 0, draw(numbers)])), draw(st.sampled_from([1, 1, 2]))
        found.append(AxisMap(i_axis=i_axis, a=a, c=c, d=d))
    op = copy(Read(0, view, tuple(found), 0, 0), 1, space)
    return one_op((batch, row), (batch, row), op)


def _refused_natively(program: Program) -> bool:
    """Whether the other reader says that slots mix; dead ops are another matter."""
    try:
        _core.Program(encode(program))
    except InvalidProgram as error:
        return "no gate" not in str(error)
    return False


@settings(max_examples=400, deadline=None)
@given(maps_of_a_copy())
def test_what_is_accepted_never_touches_another_slot(program: Program) -> None:
    """Both readers agree, and whatever they accept is blind across slots by literal reading."""
    refused = bool(mixing(program))
    if not refused:
        assert not touched_slots(program)
    assert _refused_natively(program) == refused
