"""A small program that learns: data, declared starts, noise and exports, for tests to share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from zktally.verifier.program.types import (
    Const,
    ConstantStart,
    DrawnStart,
    Layout,
    PickMode,
    Port,
    PortKind,
    Program,
    Read,
    Role,
    StateLink,
    Tensor,
    Term,
)

from .programs import (
    FIRST,
    Weights,
    dot,
    i,
    k,
    layout,
    pick,
    port,
    random_weights,
    read,
    running_average,
    tensor,
)

SLOTS, RECORDS = 3, 7

X, LABEL, RATE, W, MOMENTUM, SCALE, NOISE, SCORE, WRONG, MOVED, NEXT, LOSS, SEEN = range(13)
"""Tensors of `learner`."""


def data(name: str, shape: tuple[int, ...], cut: Layout, **form: int) -> Tensor:
    """A data tensor of `RECORDS` records, bytes unless the form says otherwise."""
    form = {"lo": -128, "hi": 127, "width": 1, **form}
    return Tensor(name, Role.DATA, shape=shape, layout=cut, records=RECORDS, **form)


def learner() -> tuple[Program, Weights]:
    """Three records of seven a step: scores, errors against labels, momentum and weights."""
    x_at = (SLOTS, 2, 4)
    tensors = (
        data("x", x_at, Layout((0, 2, 1), 1, 2)),
        data("label", (SLOTS, 1), Layout((0, 1), 1, 1), lo=0, hi=3),
        tensor("rate", Role.INPUT, (1,), width=2, lo=1, hi=3000),
        tensor("w", Role.STATE, (4, 8), width=2, lo=-9000, hi=9000),
        tensor("momentum", Role.STATE, (4, 8), width=2, cut=layout((4, 8), piece=3)),
        tensor("scale", Role.WEIGHT, (4,)),
        Tensor("noise", Role.PRF, 2, 0, 2**7 - 1, (4, 8), domain=9),
        tensor("score", Role.VALUE, (SLOTS, 4), width=2),
        tensor("wrong", Role.VALUE, (SLOTS, 4), width=1),
        tensor("momentum'", Role.VALUE, (4, 8), width=2, cut=layout((4, 8), piece=3)),
        tensor("w'", Role.VALUE, (4, 8), width=2, lo=-9000, hi=9000),
        tensor("loss", Role.VALUE, (1,), width=3),
        tensor("seen", Role.VALUE, (SLOTS, 1), lo=0, hi=3),
    )
    ops = (
        dot(
            "score",
            SCORE,
            (SLOTS, 4),
            Term((8,), _pixel(i(0), k(0)), read(W, (4, 8), i(1), k(0))),
            shift=Const(8),
        ),
        dot(
            "wrong",
            WRONG,
            (SLOTS, 4),
            Term((), read(SCORE, (SLOTS, 4), i(0), i(1)), read(SCALE, (4,), i(1))),
            Term((), read(LABEL, (SLOTS, 1), i(0), FIRST), Const(700)),
            shift=Const(9),
        ),
        dot(
            "move",
            MOVED,
            (4, 8),
            Term((), read(MOMENTUM, (4, 8), i(0), i(1)), Const(224)),
            Term((SLOTS,), read(WRONG, (SLOTS, 4), k(0), i(0)), _pixel(k(0), i(1))),
            shift=Const(8),
            rounding=read(NOISE, (4, 8), i(0), i(1)),
        ),
        dot(
            "step",
            NEXT,
            (4, 8),
            Term((), read(W, (4, 8), i(0), i(1)), Const(1024)),
            Term((), read(MOVED, (4, 8), i(0), i(1)), read(RATE, (1,), FIRST)),
            shift=Const(10),
        ),
        dot(
            "loss",
            LOSS,
            (1,),
            Term((SLOTS, 4), *[read(WRONG, (SLOTS, 4), k(0), k(1))] * 2),
            exact=True,
        ),
        pick("seen", SEEN, (SLOTS, 1), PickMode.COPY, read(LABEL, (SLOTS, 1), i(0), i(1))),
    )
    program = Program(
        name="learner",
        tensors=tensors,
        tables=(),
        ops=ops,
        inputs=(Port("rate", RATE, 255, PortKind.FLOAT, 2.0**-10),),
        outputs=(port("loss", LOSS), port("seen", SEEN)),
        states=(
            StateLink(W, NEXT, DrawnStart(21, -400, 500)),
            StateLink(MOMENTUM, MOVED, ConstantStart(-2)),
        ),
        exports=(W, SCALE),
    )
    return program, random_weights(program)


def _pixel(slot: object, place: object) -> Read:
    """A record as 8 values in a row."""
    return read(X, (SLOTS, 8), slot, place)


def drawn_average() -> tuple[Program, Weights]:
    """`running_average` from a drawn state: no data, no noise, and yet a seed."""
    program, weights = running_average()
    (link,) = program.states
    return replace(program, states=(replace(link, start=DrawnStart(4, -900, 900)),)), weights


EVERY: dict[str, Callable[[], tuple[Program, Weights]]] = {
    "learner": learner,
    "drawn average": drawn_average,
}
