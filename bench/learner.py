"""One step of a small gated learner, by hand: each kind of cheap op that heavy ones lean on.

scale = table of the peak of x          h = scale · x W^T         gate = clamp(2 h)
gated = h · gate                        W' = W + gated^T x        loss = sums of gated^2
"""

from __future__ import annotations

import numpy as np

from ..circuits.assemble import assemble
from ..circuits.model import CompiledModel
from ..verifier.program.types import (
    ABSENT,
    AxisMap,
    Const,
    Dot,
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
    Tensor,
    Term,
)

ROWS, INNER, OUTER = 8, 32, 24
PEAK, SCALE, H, GATE, GATED, COPIED, GRADIENT, UPDATE, LOSS = range(9)
"""The numbers of its ops."""

_X, _W = 0, 1
_FIRST_VALUE = 2


def _i(axis: int) -> AxisMap:
    return AxisMap(i_axis=axis, a=1)


def _k(axis: int) -> AxisMap:
    return AxisMap(k_axis=axis, b=1)


def _tensor(
    name: str, role: Role, shape: tuple[int, ...], width: int = 1, lo: int | None = None
) -> Tensor:
    hi = (1 << (8 * width - 1)) - 1
    layout = Layout(tuple(range(len(shape))), 1, shape[-1])
    return Tensor(name, role, width, -hi if lo is None else lo, hi, shape, layout)


def _dot(op: int, space: tuple[int, ...], *terms: Term, mult: Operand, shift: int) -> Dot:
    name, exact = f"op{op}", op == LOSS
    return Dot(name, _FIRST_VALUE + op, exact, space, terms, None, mult, Const(shift))


def program() -> Program:
    """The step; 8 rows of 32 values in, a weight matrix of [24, 32] as state, 8 losses out."""
    shapes = {
        PEAK: (1,), SCALE: (1,), H: (ROWS, OUTER), GATE: (ROWS, OUTER), GATED: (ROWS, OUTER),
        COPIED: (OUTER, ROWS), GRADIENT: (OUTER, INNER), UPDATE: (OUTER, INNER), LOSS: (ROWS,),
    }  # fmt: skip
    wide = {SCALE: 2, LOSS: 3}
    values = [
        _tensor(f"t{op}", Role.VALUE, shape, wide.get(op, 1), 0 if op in (SCALE, GATE) else None)
        for op, shape in shapes.items()
    ]
    x = _tensor("x", Role.INPUT, (ROWS, INNER))
    tensors = (x, _tensor("w", Role.STATE, (OUTER, INNER)), *values)
    return Program(
        name="gated learner",
        tensors=tensors,
        tables=(),
        ops=tuple(_ops(shapes)),
        inputs=(Port("x", _X, ABSENT, PortKind.INTEGER),),
        outputs=(Port("loss", _FIRST_VALUE + LOSS, ABSENT, PortKind.INTEGER),),
        states=(StateLink(_W, _FIRST_VALUE + UPDATE),),
    )


def _ops(shapes: dict[int, tuple[int, ...]]) -> list[Op]:
    def read(op: int, *maps: AxisMap) -> Read:
        return Read(_FIRST_VALUE + op, shapes[op], maps)

    def x(*maps: AxisMap) -> Read:
        return Read(_X, (ROWS, INNER), maps)

    def w(*maps: AxisMap) -> Read:
        return Read(_W, (OUTER, INNER), maps)

    def pick(op: int, mode: PickMode, window: tuple[int, ...], operand: Read) -> Pick:
        return Pick(f"op{op}", _FIRST_VALUE + op, False, shapes[op], mode, window, (operand,))

    one = Const(1)
    rows, columns = (ROWS, OUTER), (OUTER, INNER)
    here = _i(0), _i(1)
    loss = read(GATED, _i(0), _k(0))
    return [
        pick(PEAK, PickMode.MAX, (ROWS, INNER), x(_k(0), _k(1))),
        _dot(SCALE, (1,), Term((), read(PEAK, _i(0)), Const(64)), mult=one, shift=0),
        _dot(
            H,
            rows,
            Term((INNER,), x(_i(0), _k(0)), w(_i(1), _k(0))),
            mult=read(SCALE, AxisMap()),
            shift=20,
        ),
        _dot(GATE, rows, Term((), read(H, *here), Const(2)), mult=one, shift=0),
        _dot(GATED, rows, Term((), read(H, *here), read(GATE, *here)), mult=one, shift=7),
        pick(COPIED, PickMode.COPY, (), read(GATED, _i(1), _i(0))),
        _dot(
            GRADIENT,
            columns,
            Term((ROWS,), read(COPIED, _i(0), _k(0)), x(_k(0), _i(1))),
            mult=one,
            shift=8,
        ),
        _dot(
            UPDATE,
            columns,
            Term((), w(*here), Const(128)),
            Term((), read(GRADIENT, *here), Const(-3)),
            mult=one,
            shift=7,
        ),
        _dot(LOSS, (ROWS,), Term((OUTER,), loss, loss), mult=one, shift=0),
    ]


def model() -> CompiledModel:
    """The program as a model; it has no weights but its state."""
    return assemble(program(), public=True)


def inputs(steps: int, seed: int) -> list[list[np.ndarray]]:
    """One input a step, in tensor order."""
    rng = np.random.default_rng(seed)
    return [[rng.integers(-127, 128, (ROWS, INNER)).astype(np.int8)] for _ in range(steps)]


def first_state(seed: int) -> list[np.ndarray]:
    """The weights before the first step."""
    rng = np.random.default_rng(seed)
    return [rng.integers(-60, 61, (OUTER, INNER)).astype(np.int8)]
