"""Random programs of every kind of op, small and valid, for `zktally bench agree`.

What is drawn is wide on purpose: odd shapes and layouts, strides, flips, pads, zero points, wide
values, tables, noise, states, data sets, declared starts, exports. What the readers then refuse is
drawn again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..verifier.errors import ZktallyError
from ..verifier.program.checked import Checked, check
from ..verifier.program.ranges import ACC_MAX, Q_MAX, WIDE_MAX, abs_max, operand_range
from ..verifier.program.types import (
    ABSENT,
    AxisMap,
    Const,
    ConstantStart,
    Div,
    DivMode,
    Dot,
    DrawnStart,
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
from ..verifier.program.validate import index_range, reads_of

Shape = tuple[int, ...]
Random = np.random.Generator

MANY = 8192
"""More gates than numpy's buffers hold."""

_TRIES = 200
_HIGHEST = (0, 127, 2**15 - 1, 2**23 - 1)
_MULTIPLIER = 2**15 - 1
_SHIFT = 44
_DRAWN = 2**24
_TWO_SEGMENTS = (64, 64, 2048)
"""Rows, columns and products of a matrix product that takes a little more than one segment."""


def draw_program(rng: Random, *, large: bool = False) -> Checked:
    """A valid program; a large one has an op of more than `MANY` gates.

    Raises:
        RuntimeError: none was found, which says that drawing and validation have grown apart.
    """
    for _ in range(_TRIES):
        try:
            return check(_Draft(rng, large).finish())
        except (ZktallyError, _Unlucky):
            continue
    raise RuntimeError(f"no valid program in {_TRIES} draws")


def two_segments(rng: Random) -> Checked:
    """A product of two matrices whose hybrid proof has two segments."""
    rows, columns, inner = _TWO_SEGMENTS

    def tensor(name: str, role: Role, shape: Shape) -> Tensor:
        piece = int(rng.integers(shape[1] // 2, shape[1] + 1))
        return Tensor(name, role, 1, -128, 127, shape, layout=Layout((0, 1), 1, piece))

    def read(number: int, axis: int, dim: int) -> Read:
        return Read(number, (dim, inner), (AxisMap(i_axis=axis, a=1), AxisMap(k_axis=0, b=1)))

    product = Dot(
        name="product",
        out=2,
        exact=True,
        space=(rows, columns),
        terms=(Term((inner,), read(0, 0, rows), read(1, 1, columns)),),
        bias=None,
        mult=Const(1),
        shift=Const(18),
    )
    program = Program(
        name="two segments",
        tensors=(
            tensor("x", Role.INPUT, (rows, inner)),
            tensor("w", Role.WEIGHT, (columns, inner)),
            tensor("y", Role.VALUE, (rows, columns)),
        ),
        tables=(),
        ops=(product,),
        inputs=(Port("x", 0, ABSENT, PortKind.INTEGER),),
        outputs=(Port("y", 2, ABSENT, PortKind.INTEGER),),
    )
    return check(program)


def draw_array(tensor: Tensor, rng: Random) -> np.ndarray:
    """Values of the declared range: anywhere, or at its ends and around zero, where it hurts."""
    ends = [v for v in (tensor.lo, tensor.hi, 0, -1, 1) if tensor.lo <= v <= tensor.hi]
    anywhere = rng.integers(tensor.lo, tensor.hi + 1, tensor.shape)
    extreme = rng.choice(ends, tensor.shape)
    chosen = np.where(rng.random(tensor.shape) < rng.choice([0, 0.5, 1]), extreme, anywhere)
    return chosen.astype((np.int8, np.int16, np.int32)[tensor.width - 1])


class _Unlucky(Exception):
    """This draft leads nowhere."""


@dataclass
class _Draft:
    """A program in the making.

    Attributes:
        rng: what it is drawn from.
        large: whether one op must have more than `MANY` gates.
        batch: item slots, or None for a program without items, which may have states.
        readable: numbers of the tensors that ops may read; of inputs, states and values.
    """

    rng: Random
    large: bool
    batch: int | None = None
    tensors: list[Tensor] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    readable: list[int] = field(default_factory=list)
    links: list[StateLink] = field(default_factory=list)

    def finish(self) -> Program:
        """Draw everything."""
        self.batch = self._int(1, 3) if self._chance(0.5) else None
        states = [] if self.batch or self._chance(0.4) else self._states()
        data = [] if self.batch or self._chance(0.5) else self._data()
        inputs = self._int(1 - bool(states or data), 3)
        for number in range(inputs):
            self._source(f"in{number}", Role.INPUT, batched=number == 0 or self._chance(0.8))
        if self.large:
            self._lucky(self._draw_dot, self._big_shape())
        for _ in range(self._int(1, 2 if self.large else 6)):
            self._lucky(self._draw_op)
        for state in states:
            self._lucky(self._link, state)
        self._read_the_unread()
        return Program(
            name="drawn",
            tensors=tuple(self.tensors),
            tables=tuple(self.tables),
            ops=tuple(replace(op, exact=self._chance(0.2)) for op in self.ops),
            inputs=tuple(self._port(t) for t, x in enumerate(self.tensors)
                         if x.role is Role.INPUT),
            outputs=self._outputs(),
            states=self._started(),
            exports=self._exports(),
        )  # fmt: skip

    def _lucky(self, draw: Callable[..., object], *args: object) -> None:
        """Draw something, again and again until its bounds hold."""
        lists: tuple[list[Any], ...] = (
            self.tensors, self.tables, self.ops, self.readable, self.links
        )  # fmt: skip
        before = [len(each) for each in lists]
        for _ in range(_TRIES):
            try:
                draw(*args)
                return
            except _Unlucky:
                for each, length in zip(lists, before, strict=True):
                    del each[length:]
        raise _Unlucky

    # numbers, shapes, tensors

    def _int(self, lo: int, hi: int) -> int:
        """From `lo` to `hi`, both included."""
        return int(self.rng.integers(lo, hi + 1))

    def _chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def _choice(self, *options: int) -> int:
        return int(self.rng.choice(options))

    def _rest(self) -> Shape:
        """A shape without its batch axis."""
        sizes = (1, 2, 3, 4, 5, 7, 8, 16)
        return tuple(self._choice(*sizes) for _ in range(self._int(1, 2)))

    def _shape(self, batched: bool = True) -> Shape:
        return ((self.batch,) if self.batch and batched else ()) + self._rest()

    def _big_shape(self) -> Shape:
        rest = (self._int(20, 40), self._int(5, 9))
        slots = self.batch or 1
        first = MANY // (slots * math.prod(rest)) + self._int(1, 40)
        return ((self.batch,) if self.batch else ()) + (first, *rest)

    def _layout(self, shape: Shape) -> Layout:
        rank = len(shape)
        order = tuple(self.rng.permutation(rank).tolist())
        trailing = self._int(1, rank)
        row = math.prod(shape[axis] for axis in order[rank - trailing :])
        # Small pieces of a large tensor would be more leaves than a quick trial can hash.
        least = 1 if math.prod(shape) < 999 else max(1, row // 3)
        piece = row if self._chance(0.5) else self._int(min(least, row), row)
        return Layout(order, trailing, min(piece, 2**16))

    def _range(self, width: int) -> tuple[int, int]:
        half = 1 << 8 * width - 1
        if self._chance(0.5):
            return -half, half - 1
        ends = sorted((self._int(-half, half - 1), self._int(-half, half - 1)))
        return ends[0], ends[1]

    def _add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _source(self, name: str, role: Role, batched: bool) -> int:
        width = self._choice(1, 1, 1, 2, 3)
        lo, hi = self._range(width)
        if self._chance(0.2):
            width, lo, hi = 1, 0, self._int(0, 9)
        shape = self._shape(batched)
        number = self._add(Tensor(name, role, width, lo, hi, shape, layout=self._layout(shape)))
        self.readable.append(number)
        return number

    def _value(
        self, shape: Shape, width: int, lo: int, hi: int, layout: Layout | None = None
    ) -> int:
        name = f"v{len(self.tensors)}"
        layout = layout or self._layout(shape)
        return self._add(Tensor(name, Role.VALUE, width, lo, hi, shape, layout=layout))

    def _weight(self, shape: Shape, width: int, lo: int, hi: int) -> int:
        name = f"w{len(self.tensors)}"
        return self._add(
            Tensor(name, Role.WEIGHT, width, lo, hi, shape, layout=self._layout(shape))
        )

    def _prf(self, shape: Shape, bits: int, lo: int = 0) -> int:
        domain = self._int(0, 2**31 - 2**24)
        width = 1 if bits < 8 else 2 if bits < 16 else 3
        tensor = Tensor(f"p{len(self.tensors)}", Role.PRF, width, lo, lo + 2**bits - 1, shape,
                        domain=domain)  # fmt: skip
        return self._add(tensor)

    # reads

    def _operand(
        self, space: Shape, window: Shape, *, pad: bool = True, zero: bool = True
    ) -> Operand:
        """A constant, a weight, noise, or something that is there already."""
        kind = self.rng.random()
        if kind < 0.1 or not self.readable:
            return Const(self._int(-300, 300))
        if kind < 0.35:
            width = self._choice(1, 1, 1, 2)
            source = self._weight(self._rest(), width, *self._range(width))
        elif kind < 0.42:
            source = self._prf(self._rest(), self._int(1, 12), self._int(-3, 0))
        else:
            source = self.readable[self._int(0, len(self.readable) - 1)]
        return self._read(source, space, window, pad=pad, zero=zero)

    def _read(
        self, number: int, space: Shape, window: Shape, *, pad: bool = True, zero: bool = True
    ) -> Read:
        tensor = self.tensors[number]
        carries = bool(self.batch) and self._carries(number)
        view = tensor.shape
        if self._chance(0.2):
            head = view[:1] if carries else ()
            view = (*head, tensor.size // math.prod(head))
        padding = pad and self._chance(0.3)
        maps = [
            AxisMap(i_axis=0, a=1)
            if carries and axis == 0
            else self._map(dim, space, window, padding)
            for axis, dim in enumerate(view)
        ]
        half = 1 << 8 * tensor.width - 1
        fill = self._int(max(-half, -99), min(half - 1, 99)) if padding else None
        offset = self._int(-9, 9) if zero and self._chance(0.4) else 0
        return Read(number, view, tuple(maps), offset, fill)

    def _carries(self, number: int) -> bool:
        """Whether a tensor has a slot for each item; all values of a batched program do."""
        tensor = self.tensors[number]
        return tensor.role is Role.VALUE or number in self._batched_inputs()

    def _batched_inputs(self) -> set[int]:
        return {
            t
            for t, tensor in enumerate(self.tensors)
            if tensor.role is Role.INPUT and tensor.shape[0] == self.batch and len(tensor.shape) > 1
        }

    def _map(self, dim: int, space: Shape, window: Shape, padding: bool) -> AxisMap:
        """One axis: inside the tensor, or with a pad also over its ends and in steps."""
        first = 1 if self.batch else 0
        i_axes = [*range(first, len(space)), ABSENT]
        k_axes = [*range(len(window)), ABSENT, ABSENT]
        i_axis, k_axis = self._choice(*i_axes), self._choice(*k_axes)
        if padding:
            a = 0 if i_axis == ABSENT else self._choice(1, 1, 2, -1)
            b = 0 if k_axis == ABSENT else self._choice(1, 1, -1, 3)
            return AxisMap(i_axis, a, k_axis, b, self._int(-2, dim), self._choice(1, 1, 2, 3))
        room, factors = dim - 1, []
        for axis, dims in ((i_axis, space), (k_axis, window)):
            last = 0 if axis == ABSENT else dims[axis] - 1
            most = room // last if last else 3
            factor = self._int(0 if self._chance(0.2) else min(1, most), min(most, 3))
            factor = 0 if axis == ABSENT else factor
            factor = -factor if self._chance(0.2) else factor
            room -= abs(factor) * last
            factors.append(factor)
        plain = AxisMap(i_axis, factors[0], k_axis, factors[1], 0)
        lo, _ = index_range(plain, space, window)
        return replace(plain, c=self._int(0, room) - lo)

    # ops

    def _draw_op(self) -> None:
        kinds = (self._draw_dot, self._draw_dot, self._draw_dot, self._draw_pick,
                 self._draw_pick, self._draw_gather, self._draw_div)  # fmt: skip
        kinds[self._int(0, len(kinds) - 1)]()

    def _draw_dot(self, shape: Shape | None = None, out: int | None = None) -> int:
        """A dot into a new value tensor, or into one that is there."""
        if out is None:
            width = self._choice(1, 1, 1, 2, 3)
            shape = shape or self._shape()
            out = self._value(shape, width, *self._range(width))
        space = self._space(self.tensors[out].shape)
        wide = self._chance(0.3)
        terms = tuple(self._term(space, wide) for _ in range(self._choice(1, 1, 2, 3)))
        bias = self._operand(space, ()) if self._chance(0.4) else None
        op = Dot(f"dot{len(self.ops)}", out, False, space, terms, bias, Const(1), Const(0))
        return self._admit(self._requantised(op))

    def _term(self, space: Shape, wide: bool) -> Term:
        long = self._chance(0.1) and math.prod(space) < 300
        window = self._window(self._choice(24, 48, 96) if long else None)
        a = self._operand(space, window, zero=not wide)
        b = a if self._chance(0.1) else self._operand(space, window, zero=not wide)
        return Term(window, a, b)

    def _window(self, size: int | None = None) -> Shape:
        if size is not None:
            return (size,)
        return tuple(self._choice(1, 2, 3, 4) for _ in range(self._int(0, 2)))

    def _space(self, shape: Shape) -> Shape:
        """Another shape of as many gates, by chance; items stay on the first axis."""
        if self._chance(0.8):
            return shape
        head = shape[:1] if self.batch else ()
        return (*head, math.prod(shape) // math.prod(head))

    def _requantised(self, op: Dot) -> Dot:
        """Multiplier, shift, rounding and table that keep the bounds."""
        acc = self._accumulator(op)
        if acc > WIDE_MAX or (acc > ACC_MAX and self._has_zeros(op)):
            raise _Unlucky
        out = self.tensors[op.out]
        most = self._choice(1, 3, 100, 20_001, _MULTIPLIER)
        top = max(abs(out.lo), abs(out.hi), 1).bit_length() + self._int(-2, 4)
        shift = (acc * most).bit_length() - max(1, min(top, 21))
        shift = max(0, min(shift, _SHIFT))
        if ((acc * most + (1 << shift)) >> shift) + 9 > Q_MAX:
            raise _Unlucky
        mult: Operand = Const(most)
        if self._chance(0.3) and most > 1:
            channels = self._weight((op.space[-1],), 2, self._int(0, most), most)
            mult = Read(channels, (op.space[-1],), (AxisMap(i_axis=len(op.space) - 1, a=1),))
        rounding = self._rounding(op.space, shift) if shift and self._chance(0.2) else None
        zero = self._int(-5, 5) if self._chance(0.4) else 0
        moved: Operand = Const(shift)
        if rounding is None and 0 < shift < _SHIFT and self._chance(0.08):
            moved = Read(self._weight((1,), 1, shift, shift + 1), (1,), (AxisMap(),))
        table = self._table(out) if self._chance(0.25) else None
        return replace(op, mult=mult, shift=moved, rounding=rounding, out_zero=zero, table=table)

    def _rounding(self, space: Shape, shift: int) -> Operand:
        noise = self._prf((max(2, space[-1]),), self._int(1, min(shift, 20)))
        maps = (AxisMap(i_axis=len(space) - 1, a=1),)
        return Read(noise, self.tensors[noise].shape, maps)

    def _table(self, out: Tensor) -> int:
        size = self._choice(1, 2, 17, 256)
        entries = self.rng.integers(out.lo, out.hi + 1, size).tolist()
        self.tables.append(Table(f"t{len(self.tables)}", self._int(-200, 50), tuple(entries)))
        return len(self.tables) - 1

    def _accumulator(self, op: Dot) -> int:
        sketch = Program("", tuple(self.tensors), (), (), (), ())

        def top(operand: Operand) -> int:
            return abs_max(operand_range(sketch, operand))

        sums = sum(term.size * top(term.a) * top(term.b) for term in op.terms)
        return sums + (0 if op.bias is None else top(op.bias))

    def _has_zeros(self, op: Dot) -> bool:
        operands = [operand for term in op.terms for operand in (term.a, term.b)]
        return any(isinstance(operand, Read) and operand.zero for operand in operands)

    def _clamped(self, shape: Shape, lo: int, hi: int) -> int:
        """A value tensor of this range, by a dot that clamps to it."""
        width = 1 if lo >= -128 and hi <= 127 else 2 if lo >= -(2**15) and hi < 2**15 else 3
        return self._draw_dot(out=self._value(shape, width, lo, hi))

    def _bounds(self, operand: Operand) -> tuple[int, int]:
        return operand_range(Program("", tuple(self.tensors), (), (), (), ()), operand)

    def _holding(self, shape: Shape, *ranges: tuple[int, int]) -> int:
        """A value tensor whose range holds these."""
        lo, hi = min(r[0] for r in ranges), max(r[1] for r in ranges)
        width = next((w for w in (1, 2, 3) if -_HIGHEST[w] - 1 <= lo and hi <= _HIGHEST[w]), None)
        if width is None:
            raise _Unlucky
        if self._chance(0.3):
            lo, hi = -_HIGHEST[width] - 1, _HIGHEST[width]
        return self._value(shape, width, lo, hi)

    def _draw_pick(self) -> int:
        shape = self._shape()
        space = self._space(shape)
        mode = PickMode(self._int(0, 5))
        windowed = mode in (PickMode.MAX, PickMode.ARGMAX)
        window = self._window() if windowed else ()
        count = {PickMode.SELECT: 3, PickMode.GREATER: 2, PickMode.EQUAL: 2}.get(mode, 1)
        operands = tuple(self._operand(space, window) for _ in range(count))
        ranges = [self._bounds(operand) for operand in operands]
        if mode is PickMode.SELECT:
            ranges = ranges[1:]
        elif mode is PickMode.ARGMAX:
            ranges = [(0, math.prod(window) - 1)]
        elif mode in (PickMode.GREATER, PickMode.EQUAL):
            ranges = [(0, 1)]
        out = self._holding(shape, *ranges)
        return self._admit(Pick(f"pick{len(self.ops)}", out, False, space, mode, window, operands))

    def _draw_gather(self) -> int:
        """Rows of a weight, or of a value within its own slot, by an index that is computed."""
        shape = self._shape()
        space = self._space(shape)
        rows = self._int(2, 9)
        if self._chance(0.6) or not self.readable:
            source = self._weight((rows, self._int(1, 6)), 1, *self._range(1))
        else:
            source = self.readable[self._int(0, len(self.readable) - 1)]
        read = self._read(source, space, (), zero=False)
        axis = len(read.view) - 1 if self._chance(0.5) else 0
        if axis == 0 and self.batch and self._carries(source):
            axis = len(read.view) - 1
        maps = list(read.maps)
        maps[axis] = AxisMap()
        read = replace(read, maps=tuple(maps))
        chosen = self._clamped(self._shape(), 0, read.view[axis] - 1)
        index = self._read(chosen, space, (), pad=False, zero=False)
        out = self._holding(shape, self._bounds(read))
        name = f"gather{len(self.ops)}"
        return self._admit(Gather(name, out, False, space, axis, read, index))

    def _draw_div(self) -> int:
        shape = self._shape()
        space = self._space(shape)
        scale = self._choice(1, 2, 255, 30_000)
        den: Operand | None = None
        if self._chance(0.5):
            num = self._operand(space, ())
            least = self._int(1, 9)
            below = self._clamped(self._shape(), least, least + self._choice(0, 5, 2000, 2**20))
            den = self._read(below, space, (), pad=False, zero=False)
        else:
            above = self._clamped(self._shape(), 0, self._choice(1, 127, 2**15 - 1, 2**23 - 1))
            num = self._read(above, space, (), pad=False, zero=False)
        width = self._choice(1, 2, 3)
        out = self._value(shape, width, *self._range(width))
        mode = DivMode.SQRT if den is None else DivMode.QUOTIENT
        zero = self._int(-4, 4)
        name = f"div{len(self.ops)}"
        return self._admit(Div(name, out, False, space, mode, scale, num, den, zero))

    def _admit(self, op: Op) -> int:
        """Take an op in; its number among the tensors."""
        self.ops.append(op)
        self.readable.append(op.out)
        return op.out

    # the whole

    def _states(self) -> list[int]:
        return [
            self._source(f"state{number}", Role.STATE, batched=False)
            for number in range(self._int(1, 2))
        ]

    def _data(self) -> list[int]:
        """One or two data tensors of the same records; a leaf lies within a record."""
        slots, numbers = self._int(1, 4), range(self._int(1, 2))
        records = slots + self._choice(0, 1, 2, 5, 30)
        found = []
        for number in numbers:
            rest = self._rest()
            within = self._layout(rest)
            order = (0, *(axis + 1 for axis in within.order))
            layout = Layout(order, within.trailing, within.piece)
            width = self._choice(1, 1, 2)
            lo, hi = self._range(width)
            tensor = Tensor(
                f"data{number}", Role.DATA, width, lo, hi, (slots, *rest), layout=layout,
                records=records,
            )  # fmt: skip
            found.append(self._add(tensor))
        self.readable += found
        return found

    def _started(self) -> tuple[StateLink, ...]:
        """The links, by chance with what their states start with."""
        if self._chance(0.4):
            return tuple(self.links)
        domains = self.rng.permutation(50)
        links = []
        for number, link in enumerate(self.links):
            state = self.tensors[link.state]
            if self._chance(0.3):
                start: ConstantStart | DrawnStart = ConstantStart(self._int(state.lo, state.hi))
            else:
                low = self._int(state.lo, state.hi)
                high = self._int(low, min(state.hi, low + _DRAWN - 1))
                start = DrawnStart(int(domains[number]), low, high)
            links.append(replace(link, start=start))
        return tuple(links)

    def _exports(self) -> tuple[int, ...]:
        """States and weights in any order, by chance."""
        if self._chance(0.6):
            return ()
        some = [
            number
            for number, tensor in enumerate(self.tensors)
            if tensor.role in (Role.STATE, Role.WEIGHT) and self._chance(0.6)
        ]
        return tuple(int(number) for number in self.rng.permutation(some))

    def _link(self, state: int) -> None:
        """What the next step reads in the place of a state: a dot, most often of the state too."""
        form = self.tensors[state]
        out = self._value(form.shape, form.width, form.lo, form.hi, form.layout)
        self._draw_dot(out=out)
        self.links.append(StateLink(state, out))

    def _read_the_unread(self) -> None:
        """One more op for each input, state or other source that no op reads yet."""
        seen = {tensor for op in self.ops for tensor in reads_of(op)}
        for number, tensor in enumerate(list(self.tensors)):
            if number in seen or tensor.role is Role.VALUE:
                continue
            shape = self._shape()
            if tensor.role is Role.INPUT and self.batch and number not in self._batched_inputs():
                raise _Unlucky
            read = self._read(number, shape, ())
            out = self._holding(shape, self._bounds(read))
            self._admit(Pick(f"pick{len(self.ops)}", out, False, shape, PickMode.COPY, (), (read,)))

    def _port(self, number: int) -> Port:
        tensor = self.tensors[number]
        carries = bool(self.batch) and self._carries(number)
        axis = 0 if carries else ABSENT
        if self._chance(0.5):
            return Port(tensor.name, number, axis, PortKind.INTEGER)
        scale = float(np.float32(self.rng.uniform(0.001, 2)))
        return Port(tensor.name, number, axis, PortKind.FLOAT, scale, self._int(-9, 9))

    def _outputs(self) -> tuple[Port, ...]:
        """Ports for what nothing reads, and for some other values."""
        seen = {tensor for op in self.ops for tensor in reads_of(op)}
        seen |= {link.value for link in self.links}
        return tuple(
            self._port(number)
            for number, tensor in enumerate(self.tensors)
            if tensor.role is Role.VALUE and (number not in seen or self._chance(0.15))
        )
