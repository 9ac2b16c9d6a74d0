"""The words of a program: tensors, operands, ops, ports (docs/protocol.md section 1).

Plain frozen data without behaviour beyond sizes. `codec` reads and writes the canonical bytes,
`validate` judges a program, `ranges` derives its bounds, `weights` the weights of its gates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

ABSENT = 255
"""Axis number that means: no such axis."""


class Role(IntEnum):
    """Who fixes the values of a tensor."""

    INPUT = 0
    WEIGHT = 1
    STATE = 2
    PRF = 3
    VALUE = 4
    DATA = 5


class PickMode(IntEnum):
    """What a pick op does with its operands."""

    MAX = 0
    ARGMAX = 1
    COPY = 2
    GREATER = 3
    EQUAL = 4
    SELECT = 5


class DivMode(IntEnum):
    """What a div op computes."""

    QUOTIENT = 0
    SQRT = 1


class PortKind(IntEnum):
    """Whether the caller's values are floats (scaled) or integers (taken as they are)."""

    FLOAT = 0
    INTEGER = 1


@dataclass(frozen=True)
class Layout:
    """How a tensor is cut into Merkle leaves: axis order, axes merged into a row, piece length."""

    order: tuple[int, ...]
    trailing: int
    piece: int


@dataclass(frozen=True)
class Tensor:
    """An integer tensor: `width` bytes a value, values in [lo, hi].

    `layout` is None and `domain` set for prf tensors, the other way round for all others. `records`
    is set for data tensors: of so many a step reads as many as axis 0 has slots.
    """

    name: str
    role: Role
    width: int
    lo: int
    hi: int
    shape: tuple[int, ...]
    layout: Layout | None = None
    domain: int | None = None
    records: int | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def tree_shape(self) -> tuple[int, ...]:
        """The shape of what its tree is over: of a data tensor all records, not those of a step."""
        return self.shape if self.records is None else (self.records, *self.shape[1:])


@dataclass(frozen=True)
class Table:
    """A lookup table over the domain [lo, lo + len(entries) - 1]."""

    name: str
    lo: int
    entries: tuple[int, ...]


@dataclass(frozen=True)
class AxisMap:
    """index = (a·i[i_axis] + b·k[k_axis] + c) / d."""

    i_axis: int = ABSENT
    a: int = 0
    k_axis: int = ABSENT
    b: int = 0
    c: int = 0
    d: int = 1


@dataclass(frozen=True)
class Const:
    """A constant operand."""

    value: int


@dataclass(frozen=True)
class Read:
    """A tensor operand: read through `view`, one map per view axis; value = read - zero.

    Where an index is no integer in range the read gives `pad`; with pad None that cannot happen.
    """

    tensor: int
    view: tuple[int, ...]
    maps: tuple[AxisMap, ...]
    zero: int = 0
    pad: int | None = None


Operand = Const | Read


@dataclass(frozen=True)
class Term:
    """One sum of products of a dot: over the window, a·b."""

    window: tuple[int, ...]
    a: Operand
    b: Operand

    @property
    def size(self) -> int:
        """Number of products of one gate."""
        return math.prod(self.window)


@dataclass(frozen=True)
class Dot:
    """y = act(requantise(bias + Σ terms))."""

    name: str
    out: int
    exact: bool
    space: tuple[int, ...]
    terms: tuple[Term, ...]
    bias: Operand | None
    mult: Operand
    shift: Operand
    rounding: Operand | None = None
    out_zero: int = 0
    table: int | None = None


@dataclass(frozen=True)
class Pick:
    """max, argmax, copy, greater, equal or select."""

    name: str
    out: int
    exact: bool
    space: tuple[int, ...]
    mode: PickMode
    window: tuple[int, ...]
    operands: tuple[Operand, ...]


@dataclass(frozen=True)
class Gather:
    """A copy through an index that is itself a value."""

    name: str
    out: int
    exact: bool
    space: tuple[int, ...]
    axis: int
    source: Read
    index: Operand


@dataclass(frozen=True)
class Div:
    """A rounded quotient, or the floor of a square root."""

    name: str
    out: int
    exact: bool
    space: tuple[int, ...]
    mode: DivMode
    scale: int
    num: Operand
    den: Operand | None
    out_zero: int = 0


Op = Dot | Pick | Gather | Div


@dataclass(frozen=True)
class Port:
    """A named input or output; `batch` is 0, or ABSENT where the tensor has no batch axis."""

    name: str
    tensor: int
    batch: int
    kind: PortKind
    scale: float = 1.0
    zero: int = 0


@dataclass(frozen=True)
class ConstantStart:
    """A state starts with this value everywhere."""

    value: int


@dataclass(frozen=True)
class DrawnStart:
    """A state starts with values drawn evenly from [lo, hi], from the seed under this domain."""

    domain: int
    lo: int
    hi: int


Start = ConstantStart | DrawnStart


@dataclass(frozen=True)
class StateLink:
    """A state tensor, and the value tensor that the next step reads in its place.

    `start` is what a run from the beginning starts with, where the program declares that.
    """

    state: int
    value: int
    start: Start | None = None


@dataclass(frozen=True)
class Program:
    """A whole program; ops in topological order, tensors and ops named by their positions."""

    name: str
    tensors: tuple[Tensor, ...]
    tables: tuple[Table, ...]
    ops: tuple[Op, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    states: tuple[StateLink, ...] = ()
    exports: tuple[int, ...] = ()
    """State and weight tensors that are, in this order, the weights of the model that is served."""

    def of_role(self, *roles: Role) -> list[int]:
        """Numbers of the tensors with one of these roles, ascending."""
        return [t for t, tensor in enumerate(self.tensors) if tensor.role in roles]

    @property
    def data(self) -> list[int]:
        """Numbers of the data tensors, ascending."""
        return self.of_role(Role.DATA)

    @property
    def records(self) -> int:
        """`R`: records of the data set, 0 without one."""
        return next((self.tensors[t].records or 0 for t in self.data), 0)

    @property
    def data_slots(self) -> int:
        """Records that a step reads, 0 without a data set."""
        return next((self.tensors[t].shape[0] for t in self.data), 0)

    def epochs_begun(self, steps: int) -> int:
        """How many epochs of its data set so many steps of a run begin; 0 without a data set."""
        return epochs_begun(self.records, self.data_slots, steps)

    @property
    def declares_start(self) -> bool:
        """Whether it says what its states start with."""
        return any(link.start is not None for link in self.states)

    @property
    def draws_start(self) -> bool:
        """Whether some state starts with values that are drawn from the seed."""
        return any(isinstance(link.start, DrawnStart) for link in self.states)

    @property
    def itemised(self) -> bool:
        """Whether a port has a batch axis; otherwise the unit is the step."""
        return any(port.batch != ABSENT for port in (*self.inputs, *self.outputs))

    @property
    def batch(self) -> int:
        """Item slots of one step (1 if no port has a batch axis)."""
        for port in (*self.inputs, *self.outputs):
            if port.batch != ABSENT:
                return self.tensors[port.tensor].shape[port.batch]
        return 1


def epochs_begun(records: int, slots: int, steps: int) -> int:
    """How many epochs so many steps begin that read this many records each; 0 where they do not.

    The last records of an epoch that fill no batch are left out of it.
    """
    return -(-steps * slots // (records // slots * slots)) if slots else 0


def gates(op: Op) -> int:
    """Number of gates of an op: the size of its space."""
    return math.prod(op.space)
