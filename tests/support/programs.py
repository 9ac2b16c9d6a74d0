"""Small programs that tests share, each with its weights: `(Program, {tensor number: array})`.

`EVERY` lists all of them; `step` gives random inputs and states for one, and prf values.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from zktally.verifier.inputs import DTYPES
from zktally.verifier.program.types import (
    ABSENT,
    AxisMap,
    Const,
    Div,
    DivMode,
    Dot,
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
    StateLink,
    Table,
    Tensor,
    Term,
)

Array = NDArray[np.integer]
Weights = dict[int, Array]


def layout(shape: tuple[int, ...], piece: int | None = None, trailing: int | None = None) -> Layout:
    """Axes in order, the last `trailing` (all but the first) in a row, pieces of a row or less."""
    rank = len(shape)
    trailing = trailing or max(1, rank - 1)
    return Layout(tuple(range(rank)), trailing, piece or math.prod(shape[-trailing:]))


def tensor(
    name: str,
    role: Role,
    shape: tuple[int, ...],
    width: int = 1,
    lo: int | None = None,
    hi: int | None = None,
    cut: Layout | None = None,
) -> Tensor:
    """A committed tensor; without a range, the full one of its width."""
    half = 1 << (8 * width - 1)
    lo = -half if lo is None else lo
    hi = half - 1 if hi is None else hi
    return Tensor(name, role, width, lo, hi, shape, layout=cut or layout(shape))


def i(axis: int, a: int = 1, c: int = 0) -> AxisMap:
    """Index a·i[axis] + c."""
    return AxisMap(i_axis=axis, a=a, c=c)


def k(axis: int, b: int = 1, c: int = 0) -> AxisMap:
    """Index b·k[axis] + c."""
    return AxisMap(k_axis=axis, b=b, c=c)


def ik(i_axis: int, a: int, k_axis: int, b: int, c: int = 0, d: int = 1) -> AxisMap:
    """Index (a·i + b·k + c) / d."""
    return AxisMap(i_axis, a, k_axis, b, c, d)


FIRST = AxisMap()
"""Index 0."""


def read(
    number: int, shape: tuple[int, ...], *maps: AxisMap, zero: int = 0, pad: int | None = None
) -> Read:
    """A read of tensor `number` through a view of this shape."""
    return Read(number, shape, maps, zero, pad)


def dot(
    name: str,
    out: int,
    space: tuple[int, ...],
    *terms: Term,
    bias: Operand | None = None,
    mult: Operand = Const(1),  # noqa: B008
    shift: Operand = Const(0),  # noqa: B008
    rounding: Operand | None = None,
    out_zero: int = 0,
    table: int | None = None,
    exact: bool = False,
) -> Dot:
    """A dot with the identity as its default requantisation."""
    return Dot(name, out, exact, space, terms, bias, mult, shift, rounding, out_zero, table)


def pick(name: str, out: int, space: tuple[int, ...], mode: PickMode, *operands: Operand) -> Pick:
    """A pick without a window."""
    return Pick(name, out, False, space, mode, (), operands)


def port(name: str, number: int, batch: int = ABSENT) -> Port:
    """An integer port."""
    return Port(name, number, batch, PortKind.INTEGER)


def random_array(t: Tensor, rng: np.random.Generator) -> Array:
    """Values drawn from the declared range."""
    return rng.integers(t.lo, t.hi + 1, t.shape).astype(DTYPES[t.width])


def random_records(t: Tensor, rng: np.random.Generator) -> Array:
    """All records of a data tensor, drawn from the declared range."""
    return rng.integers(t.lo, t.hi + 1, t.tree_shape).astype(DTYPES[t.width])


def step(program: Program, seed: int = 0) -> dict[str, object]:
    """Arguments `inputs`, `state` and `prf` of `reference.run`, random within ranges."""
    rng = np.random.default_rng(seed)
    prf: Callable[[Tensor], Array] = lambda t: random_array(t, rng)  # noqa: E731
    return {
        "inputs": {t: random_array(program.tensors[t], rng) for t in program.of_role(Role.INPUT)},
        "state": {t: random_array(program.tensors[t], rng) for t in program.of_role(Role.STATE)},
        "prf": prf,
    }


def random_weights(program: Program, seed: int = 1) -> Weights:
    rng = np.random.default_rng(seed)
    return {t: random_array(program.tensors[t], rng) for t in program.of_role(Role.WEIGHT)}


def dense() -> tuple[Program, Weights]:
    """[2, 6] floats through a 6-to-4 layer with bias, a multiplier per channel and a ReLU."""
    tensors = (
        tensor("x", Role.INPUT, (2, 6)),
        tensor("w", Role.WEIGHT, (4, 6), cut=layout((4, 6), piece=4)),
        tensor("bias", Role.WEIGHT, (4,), width=2),
        tensor("mult", Role.WEIGHT, (4,), width=2, lo=1),
        tensor("y", Role.VALUE, (2, 4), lo=0),
    )
    op = dot(
        "dense",
        4,
        (2, 4),
        Term((6,), read(0, (2, 6), i(0), k(0), zero=3), read(1, (4, 6), i(1), k(0))),
        bias=read(2, (4,), i(1)),
        mult=read(3, (4,), i(1)),
        shift=Const(24),
    )
    program = Program(
        name="dense",
        tensors=tensors,
        tables=(),
        ops=(op,),
        inputs=(Port("x", 0, 0, PortKind.FLOAT, 0.05, 3),),
        outputs=(Port("y", 4, 0, PortKind.FLOAT, 0.1, 0),),
    )
    return program, random_weights(program)


def conv() -> tuple[Program, Weights]:
    """[2, 3, 9, 6] through a 3x3 convolution (stride 2, pad 1, dilation 1 and 2), then a 2x2 pool.

    The pool leaves the last row of the convolution out: its gates are dead.
    """
    x, w, c, p = (2, 3, 9, 6), (4, 3, 3, 3), (2, 4, 5, 2), (2, 4, 2, 1)
    tensors = (
        tensor("x", Role.INPUT, x, cut=Layout((0, 2, 3, 1), 2, 5)),
        tensor("w", Role.WEIGHT, w),
        tensor("c", Role.VALUE, c, cut=Layout((0, 2, 3, 1), 1, 4)),
        tensor("p", Role.VALUE, p, cut=layout(p, piece=3)),
    )
    convolve = dot(
        "conv",
        2,
        c,
        Term(
            (3, 3, 3),
            read(0, x, i(0), k(0), ik(2, 2, 1, 1, -1), ik(3, 2, 2, 2, -1), zero=-2, pad=-2),
            read(1, w, i(1), k(0), k(1), k(2)),
        ),
        mult=Const(20001),
        shift=Const(22),
        out_zero=1,
    )
    pool = Pick(
        "pool",
        3,
        False,
        p,
        PickMode.MAX,
        (2, 2),
        (read(2, c, i(0), i(1), ik(2, 2, 0, 1), ik(3, 2, 1, 1)),),
    )
    program = Program(
        name="conv",
        tensors=tensors,
        tables=(),
        ops=(convolve, pool),
        inputs=(port("x", 0, 0),),
        outputs=(port("p", 3, 0),),
    )
    return program, random_weights(program)


def running_average() -> tuple[Program, Weights]:
    """A state of 5 values: avg' = (15·avg + 16·x) / 16, and an output avg' / 4."""
    shape = (5,)
    tensors = (
        tensor("x", Role.INPUT, shape),
        tensor("avg", Role.STATE, shape, width=2, lo=-3000, hi=3000),
        tensor("next", Role.VALUE, shape, width=2, lo=-3000, hi=3000),
        tensor("y", Role.VALUE, shape),
    )
    ops = (
        dot(
            "average",
            2,
            shape,
            Term((), read(1, shape, i(0)), Const(15)),
            Term((), read(0, shape, i(0)), Const(16)),
            shift=Const(4),
        ),
        dot("scale", 3, shape, Term((), read(2, shape, i(0)), Const(1)), shift=Const(2)),
    )
    program = Program(
        name="running average",
        tensors=tensors,
        tables=(),
        ops=ops,
        inputs=(port("x", 0),),
        outputs=(port("y", 3),),
        states=(StateLink(1, 2),),
    )
    return program, random_weights(program)


class _Builder:
    """Collects the parts of a program in order."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []

    def add(self, t: Tensor) -> int:
        self.tensors.append(t)
        return len(self.tensors) - 1

    def value(self, name: str, shape: tuple[int, ...], width: int = 1, **form: int) -> int:
        return self.add(tensor(name, Role.VALUE, shape, width, **form))


def every_kind() -> tuple[Program, Weights]:
    """Every kind, mode and option of an op, over two rows; with state, so without items."""
    b = _Builder()
    x = b.add(tensor("x", Role.INPUT, (2, 8)))
    word = b.add(tensor("word", Role.INPUT, (2, 3), lo=0, hi=6))
    w = b.add(tensor("w", Role.WEIGHT, (4, 8), cut=Layout((1, 0), 1, 3)))
    master = b.add(tensor("master", Role.WEIGHT, (2, 4), width=3))
    mult = b.add(tensor("mult", Role.WEIGHT, (4,), width=2, lo=0, hi=3000))
    shift = b.add(tensor("shift", Role.WEIGHT, (4,), lo=17, hi=20))
    embedding = b.add(tensor("embedding", Role.WEIGHT, (7, 4), cut=layout((7, 4), piece=3)))
    momentum = b.add(tensor("momentum", Role.STATE, (2, 4), width=2))
    noise = b.add(Tensor("noise", Role.PRF, 2, 0, 2**12 - 1, (2, 4), domain=9))

    # Two terms (one against a constant), zero points, a bias, multiplier and shift per channel.
    h = b.value("h", (2, 4))
    b.ops.append(
        dot(
            "mixed",
            h,
            (2, 4),
            Term((8,), read(x, (2, 8), i(0), k(0), zero=5), read(w, (4, 8), i(1), k(0), zero=-1)),
            Term((2,), read(x, (2, 2, 4), i(0), k(0), i(1)), Const(7)),
            bias=read(embedding, (28,), i(1, a=7)),
            mult=read(mult, (4,), i(1)),
            shift=read(shift, (4,), i(1)),
            out_zero=-3,
        )
    )
    # A table that does not cover the quotients: both ends clamp.
    act = b.value("act", (2, 4), lo=-10, hi=90)
    b.ops.append(
        dot(
            "table",
            act,
            (2, 4),
            Term((), read(h, (2, 4), i(0), i(1)), Const(2)),
            shift=Const(1),
            table=0,
        )
    )
    # Wide: 16 by 24 bits, rounded by the prf, into the state.
    momentum_next = b.value("momentum'", (2, 4), width=2)
    b.ops.append(
        dot(
            "wide",
            momentum_next,
            (2, 4),
            Term((), read(momentum, (2, 4), i(0), i(1)), read(master, (2, 4), i(0), i(1))),
            Term((), read(act, (2, 4), i(0), i(1)), Const(-70000)),
            mult=Const(3),
            shift=Const(24),
            rounding=read(noise, (2, 4), i(0), i(1)),
            exact=True,
        )
    )
    # A transposed convolution: stride 2 by a divisor, holes and borders read the pad.
    spread = b.value("spread", (2, 8))
    b.ops.append(
        dot(
            "transpose",
            spread,
            (2, 8),
            Term(
                (3,),
                read(act, (2, 4), i(0), ik(1, 1, 0, -1, 1, 2), zero=1, pad=1),
                read(w, (32,), k(0, b=5, c=2)),
            ),
            mult=Const(301),
            shift=Const(13),
        )
    )
    _picks(b, x, h, spread)
    # An embedding: the word chooses the row; with a pad on the other axis.
    rows = b.value("rows", (2, 3, 4))
    b.ops.append(
        Gather(
            "gather",
            rows,
            False,
            (2, 3, 4),
            0,
            read(embedding, (7, 4), FIRST, i(2, c=-1), zero=0, pad=-7),
            read(word, (2, 3), i(0), i(1)),
        )
    )
    # Normalisation: a sum of squares, its root, and a rounded quotient by it.
    energy = b.value("energy", (2, 3), width=3, lo=1)
    row = read(rows, (2, 3, 4), i(0), i(1), k(0))
    b.ops.append(dot("energy", energy, (2, 3), Term((4,), row, row), bias=Const(1)))
    root = b.value("root", (2, 3), width=2, lo=1)
    b.ops.append(
        Div(
            "root",
            root,
            False,
            (2, 3),
            DivMode.SQRT,
            25,
            read(energy, (2, 3), i(0), i(1)),
            None,
            out_zero=1,
        )
    )
    unit = b.value("unit", (2, 3, 4))
    b.ops.append(
        Div(
            "quotient",
            unit,
            False,
            (2, 3, 4),
            DivMode.QUOTIENT,
            500,
            read(rows, (2, 3, 4), i(0), i(1), i(2)),
            read(root, (2, 3), i(0), i(1)),
            out_zero=2,
        )
    )
    names = {t.name: number for number, t in enumerate(b.tensors)}
    outputs = ("best", "chosen", "same", "unit")
    program = Program(
        name="every kind",
        tensors=tuple(b.tensors),
        tables=(Table("clipped ramp", -20, tuple(range(-10, 91))),),
        ops=tuple(b.ops),
        inputs=(Port("x", x, ABSENT, PortKind.FLOAT, 0.125, 5), port("word", word)),
        outputs=(
            *(port(name, names[name]) for name in outputs),
            port("flipped", names["flipped"]),
        ),
        states=(StateLink(momentum, momentum_next),),
    )
    return program, random_weights(program)


def _picks(b: _Builder, x: int, h: int, spread: int) -> None:
    """Max over overlapping, padded windows; argmax, greater, select, equal; a flipped copy."""
    peak = b.value("peak", (2, 4))
    b.ops.append(
        Pick(
            "peak",
            peak,
            False,
            (2, 4),
            PickMode.MAX,
            (3,),
            (read(spread, (2, 8), i(0), ik(1, 2, 0, 1, -1), pad=-128),),
        )
    )
    best = b.value("best", (2,), lo=0, hi=7)
    b.ops.append(
        Pick("best", best, False, (2,), PickMode.ARGMAX, (4, 2), (_grid(spread, i(0), k(0), k(1)),))
    )
    here, there = read(peak, (2, 4), i(0), i(1)), read(h, (2, 4), i(0), i(1))
    more = b.value("more", (2, 4), lo=0, hi=1)
    b.ops.append(pick("more", more, (2, 4), PickMode.GREATER, here, there))
    chosen = b.value("chosen", (2, 4))
    condition = read(more, (2, 4), i(0), i(1))
    b.ops.append(pick("chosen", chosen, (2, 4), PickMode.SELECT, condition, here, Const(-1)))
    same = b.value("same", (2, 4), lo=0, hi=1)
    kept = read(chosen, (2, 4), i(0), i(1))
    b.ops.append(pick("same", same, (2, 4), PickMode.EQUAL, kept, there))
    flipped = b.value("flipped", (8, 2))
    flip = read(x, (2, 8), i(1), i(0, a=-1, c=7))
    b.ops.append(pick("flipped", flipped, (8, 2), PickMode.COPY, flip))


def _grid(number: int, *maps: AxisMap) -> Read:
    return read(number, (2, 4, 2), *maps)


EVERY: dict[str, Callable[[], tuple[Program, Weights]]] = {
    "dense": dense,
    "conv": conv,
    "running_average": running_average,
    "every_kind": every_kind,
}
