"""Live gates: marked exactly, in bounded memory, and not at all where that is too much work."""

from __future__ import annotations

import numpy as np
import pytest

from support import programs
from support.programs import i, ik, port, read, tensor
from zktally.verifier.errors import InvalidProgram
from zktally.verifier.gates import reads
from zktally.verifier.program import liveness
from zktally.verifier.program.liveness import live_gates, marking_work
from zktally.verifier.program.types import (
    AxisMap,
    Gather,
    Layout,
    Pick,
    PickMode,
    Program,
    Role,
    gates,
)
from zktally.verifier.program.validate import validate


def every_pair(rows):
    """A copy of x, then a max whose one map names the space and a window of the same size."""
    cut = Layout((0,), 1, min(rows, 2**16))
    tensors = (
        tensor("x", Role.INPUT, (rows,), cut=cut),
        tensor("y", Role.VALUE, (rows,), cut=cut),
        tensor("z", Role.VALUE, (rows,), cut=cut),
    )
    ops = (
        Pick("y", 1, False, (rows,), PickMode.COPY, (), (read(0, (rows,), i(0)),)),
        Pick(
            "z",
            2,
            False,
            (rows,),
            PickMode.MAX,
            (rows,),
            (read(1, (rows,), ik(0, 1, 0, 1), pad=-128),),
        ),
    )
    return Program("p", tensors, (), ops, (port("x", 0),), (port("z", 2),))


def gathered(rows, picked):
    """A copy of x, of which five rows are gathered."""
    tensors = (
        tensor("x", Role.INPUT, (rows, 3)),
        tensor("y", Role.VALUE, (rows, 3)),
        tensor("by", Role.INPUT, (picked,), lo=0, hi=rows - 1),
        tensor("z", Role.VALUE, (picked, 3)),
    )
    shape = (rows, 3)
    ops = (
        Pick("y", 1, False, shape, PickMode.COPY, (), (read(0, shape, i(0), i(1)),)),
        Gather(
            "z",
            3,
            False,
            (picked, 3),
            0,
            read(1, shape, AxisMap(), i(1)),
            read(2, (picked,), i(0)),
        ),
    )
    return Program("p", tensors, (), ops, (port("x", 0), port("by", 2)), (port("z", 3),))


def marked_by_reads(program):
    """`L_c` from what the gates themselves say that they read."""
    live = {t: np.zeros(program.tensors[t].size, bool) for t in range(len(program.tensors))}
    for t in [p.tensor for p in program.outputs] + [link.value for link in program.states]:
        live[t][:] = True
    for op in reversed(program.ops):
        for t, offsets in reads(program, op, np.flatnonzero(live[op.out])):
            live[t][offsets] = True
    return [int(live[op.out].sum()) for op in program.ops]


CASES = {name: make()[0] for name, make in programs.EVERY.items()} | {
    "every pair": every_pair(40),
    "gathered": gathered(20, 5),
}


@pytest.mark.parametrize("block", [1, 7, 2**20])
@pytest.mark.parametrize("name", CASES)
def test_marks_are_what_gates_read_and_stay_in_blocks(name, block, monkeypatch):
    monkeypatch.setattr(liveness, "_BLOCK", block)
    index, sizes = liveness._index, []

    def watched(axis_map, dim, a, b):
        sizes.append(a.size * b.size)
        return index(axis_map, dim, a, b)

    monkeypatch.setattr(liveness, "_index", watched)
    assert list(live_gates(CASES[name])) == marked_by_reads(CASES[name])
    assert max(sizes, default=0) <= block


def test_the_work_of_marking_follows_from_sizes():
    assert marking_work(every_pair(300)) == 300**2 + 300 + 300
    assert marking_work(gathered(20, 5)) == 20 * 3 + 60 + 15  # the axis, and the other map's
    assert marking_work(CASES["dense"]) == 0  # reads no value
    conv = CASES["conv"]
    assert marking_work(conv) == gates(conv.ops[1]) * 4 + 80 + 16


def test_too_much_work_is_refused_before_any(monkeypatch):
    assert marking_work(every_pair(65_535)) == 2**32 - 1
    program = every_pair(65_536)
    validate(program)
    monkeypatch.setattr(liveness, "_mark", None)
    monkeypatch.setattr(liveness.np, "full", None)
    with pytest.raises(InvalidProgram, match="too much work"):
        live_gates(program)
