"""Builds a program: tensors, layouts, tables and ops, one lowering call after the other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from ..verifier.inputs import DTYPES, port_name
from ..verifier.program.ranges import ACC_MAX, Q_MAX
from ..verifier.program.types import (
    ABSENT,
    AxisMap,
    Const,
    ConstantStart,
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
from . import layouts
from .bits import INT8, NARROW, Bits
from .errors import CompileError, RangeOverflow, named
from .graph import Array, Graph, Node
from .maps import along, at, rows
from .quantise import (
    MULT_MAX,
    REACH_MAX,
    REACH_MIN,
    ROOM,
    WEIGHT_MAX,
    Affine,
    Channels,
    Floats,
    Grid,
    Narrow,
    Parameters,
    affine,
    bias_peak,
    channels,
    channels_on,
    clamp,
    coarsened,
    domain,
    entries,
    multiplier,
    power_code,
    quotient_fits,
    score,
    symmetric_code,
    without_error,
)

TABLE_MAX = 2**23 - 1
"""The largest integer of an input that is a table: what a pick compares has no more."""

HEADROOM = 2
"""Columns of a table may be so many times what they were in calibration, if it matters."""

ONE = Const(1)

BYTE_MAX = 255
"""The largest limb of a wide sum."""
COARSER = 1.25
"""So much coarser a code may be to serve a value's other readers, too."""

EXACT = 2.0**-30
"""A ratio of scales is whole where rounding changes less than this share of it."""

Range = tuple[float, float]


@dataclass(frozen=True)
class Value:
    """A network value as the program holds it: a tensor, the shape it is viewed in, its code.

    `near` are integers that stand for reals, so that neighbours are nearly the same.
    """

    tensor: int
    shape: tuple[int, ...]
    code: Affine
    integer: bool = False
    near: bool = False


@dataclass(frozen=True)
class Columns:
    """What is asked of an input's code: the numbers that its columns are compared with.

    `compared`: nothing else is done with them, so that it does not matter how far off they are.
    """

    low: float
    high: float
    compared: bool

    def joined(self, other: Columns) -> Columns:
        """What both ask."""
        ends = (min(self.low, other.low), max(self.high, other.high))
        return Columns(*ends, self.compared and other.compared)


@dataclass(frozen=True)
class Target:
    """What a dot requantises to: the code of q, then the table (if any), then the output's code."""

    pre: Affine
    post: Affine
    table: int | None = None


@dataclass(frozen=True)
class Activation:
    """A node that is fused into the dot before it: a clamp to `bounds`, or a table of `function`.

    Beyond ± `saturation` the function is constant to within half an int8 step.
    """

    node: Node
    bounds: tuple[float, float] | None
    function: Callable[[Floats], Floats] | None
    saturation: float


@dataclass(frozen=True)
class Layer:
    """A compiled node, for the report: what it was, the values it defines, the ops it became."""

    name: str
    op: str
    values: tuple[str, ...]
    ops: tuple[int, ...]


class Builder:
    """The program under construction; it knows nothing of operators, whose lowerings call it.

    Args:
        graph: what is lowered.
        ranges: the calibrated range of every float value that needs one.
        shown: values that an output only views, or is: each with that output's name.
        images: values of which W×C runs are read.
        exact: nodes whose ops are all flagged exact (ops that decide outputs are in any case).
        tables: inputs that are columns of a table, with what their codes must reach.
        turned: by node of trees, its conditions that take a value on a threshold's place of the
            grid for one on the other side.
        scores: values that only Softmax reads, with the most bits of the code of each.
        bits: how many bits other values and weights have.
        displayed: joins that nothing computes with: they only come to outputs.
        ends: values that have the code of a state, each with its name.
        means: by node, the mean of each channel of what it multiplies by rounded weights: its bias
            makes up for what they add to the mean.
        sketched: only what reads what matters, and weights of the right sizes will do.
    """

    def __init__(
        self,
        graph: Graph,
        ranges: Mapping[str, Range],
        shown: Mapping[str, str],
        images: Collection[str],
        exact: Collection[str],
        tables: Mapping[str, Columns] | None = None,
        turned: Mapping[str, Collection[int]] | None = None,
        scores: Mapping[str, int] | None = None,
        bits: Bits = INT8,
        displayed: Collection[str] = (),
        ends: Mapping[str, str] | None = None,
        means: Mapping[str, Sequence[float]] | None = None,
        *,
        sketched: bool = False,
    ) -> None:
        self.graph = graph
        self.displayed = displayed
        self.values: dict[str, Value] = {}
        self.weights: list[Narrow] = []
        self.layers: list[Layer] = []
        self._ranges = ranges
        self._shown = shown
        self._images = images
        self._exact = exact
        self._tables_of_columns = tables or {}
        self._turned = turned or {}
        self.scores = dict(scores or {})
        self._bits = bits
        self._sketched = sketched
        self.coded: dict[str, None] = {}
        self.weighed: dict[str, None] = {}
        self._tensors: list[Tensor] = []
        self._tables: list[Table] = []
        self._known_tables: dict[tuple[int, tuple[int, ...]], int] = {}
        self._ops: list[Op] = []
        self._names: set[tuple[str, str]] = set()
        self._transposed: dict[tuple[int, tuple[int, ...]], Value] = {}
        self._node: Node | None = None
        self._activation: Activation | None = None
        self._wishes = {
            node.inputs[0]: graph.codes[node.output].code
            for node in graph.nodes
            if node.op == "QuantizeLinear" and node.output in graph.codes
        }
        self._ends = dict(ends or {})
        self._means = means or {}
        for name in graph.inputs:
            if name in graph.states:
                self._carried(name)
            else:
                self._input(name)

    # What lowerings ask for

    def code(self, name: str) -> Affine:
        """The code of a float value: the one that the file gives it, or one over its range.

        That has 8 bits or more, of a score more. Where the value is also quantised by the file, it
        has that code if its range fits in it.
        """
        given = self.given(name)
        if given is not None:
            return given
        name = self._ends.get(name, name)
        low, high = self.range(name)
        if name in self.graph.states:
            return power_code(low, high, self.bits(name))
        if name in self.scores:
            return score(low, high, self.scores[name])
        bits = self.bits(name)
        if bits > NARROW:
            return symmetric_code(low, high, bits)
        found = affine(low, high)
        wish = self._wishes.get(name)
        return wish if wish is not None and _holds(wish, low, high, found) else found

    def coarsen(self, name: str) -> bool:
        """Whether a value has a coarser code from now on: a score that has bits to spare."""
        if self.scores.get(name, 0) <= NARROW:
            return False
        self.scores[name] -= 1
        return True

    def may_coarsen(self, name: str) -> bool:
        """Whether `coarsen` may be asked: what a lowering did is then undone by an error."""
        return name in self.scores

    def bits(self, name: str) -> int:
        """Bits of a value that has a code of its own; `coded` remembers that it has."""
        name = self._ends.get(name, name)
        self.coded[name] = None
        return self._bits.value(name)

    def peak(self, node: Node) -> int:
        """The largest integer of a node's constant factors; `weighed` remembers who has some."""
        self.weighed[node.name] = None
        return int(2 ** (self._bits.weight(node.name) - 1) - 1)

    def given(self, name: str) -> Affine | None:
        """The code that the file gives a float value, if it is one that is quantised already."""
        coded = self.graph.codes.get(name)
        return None if coded is None else coded.code

    def range(self, name: str) -> Range:
        """The recorded range of a value; a stranger may have recorded anything.

        Both ends of a state have that of both, and of what it starts with.
        """
        name = self._ends.get(name, name)
        low, high = self._ranges.get(name, (math.inf, -math.inf))
        carried = self.graph.states.get(name)
        if carried is not None:
            tied = (name, *(end for end, state in self._ends.items() if state == name))
            seen = [self._ranges[each] for each in tied if each in self._ranges]
            low = min((carried.start, *(span[0] for span in seen)))
            high = max((carried.start, *(span[1] for span in seen)))
        reach = max(abs(low), abs(high))
        if not low <= high or not (reach == 0.0 or REACH_MIN <= reach <= REACH_MAX):
            raise CompileError(
                f"value {named(name)} has no usable calibrated range",
                code="compile.calibration",
                expected=f"low ≤ high, the larger of both 0 or {REACH_MIN:g} to {REACH_MAX:g}",
                received=self._ranges.get(name),
                hint="calibrate again; has the model changed since these ranges were recorded?",
            )
        return low, high

    def shape(self, node: Node) -> tuple[int, ...]:
        """Shape of a node's output."""
        return self.graph.shapes[node.output]

    def turned(self, node: Node) -> Collection[int]:
        """The numbers of a node's conditions that are turned."""
        return frozenset(self._turned.get(node.name, ()))

    def target(self, node: Node, fits: Callable[[Affine], bool] | None = None) -> Target:
        """Where the dot of a node requantises to, with the activation that is fused into it.

        The code before a table is coarsened until it `fits`, where it can be; so is one of 8 bits.
        """
        post = self.code(node.output)
        fused = self._activation
        linear = fused is None or fused.bounds is not None
        if linear and fits is not None and not post.wide and self.given(node.output) is None:
            post = coarsened(post, fits)
        if fused is None:
            return Target(post, post)
        if fused.bounds is not None:
            clamped = clamp(post, *fused.bounds)
            return Target(clamped, clamped)
        assert fused.function is not None
        low, high = self.range(fused.node.inputs[0])
        limit, room = fused.saturation, ROOM if post.wide else 1.0
        low, high = max(room * low, -limit), min(room * high, limit)
        pre = domain(fused.function, low, high, post, fits)
        return Target(pre, post, self.table(fused.node.name, fused.function, pre, post))

    def read(
        self,
        value: Value,
        maps: Sequence[AxisMap],
        *,
        view: Sequence[int] | None = None,
        pad: int | None = None,
        raw: bool = False,
    ) -> Read:
        """A read of a value through `view` (its own shape by default); raw: without the zero."""
        shape = tuple(value.shape if view is None else view) or (1,)
        zero = 0 if raw else value.code.zero
        return Read(value.tensor, shape, tuple(maps) or (at(),), zero, pad)

    def reach(self, operand: Operand) -> int:
        """The largest magnitude of what is read."""
        if isinstance(operand, Const):
            return abs(operand.value)
        tensor = self._tensors[operand.tensor]
        ends = (tensor.lo, tensor.hi, operand.zero if operand.pad is None else operand.pad)
        return max(abs(end - operand.zero) for end in ends)

    def weight(
        self,
        name: str,
        values: Narrow,
        peak: int,
        maps: Sequence[AxisMap],
        view: Sequence[int] | None = None,
        *,
        signed: bool = True,
    ) -> Read:
        """A new weight tensor, declared [-peak, peak] (unsigned: [0, peak]), and a read of it."""
        code = Affine(1.0, 0, -peak if signed else 0, peak)
        return self.weight_in(name, values, code, maps, view)

    def weight_in(
        self,
        name: str,
        values: Narrow,
        code: Affine,
        maps: Sequence[AxisMap],
        view: Sequence[int] | None = None,
    ) -> Read:
        """A new weight tensor with the range of a code, and a read of it that takes its zero."""
        array = values if values.ndim else values.reshape(1)
        layout = layouts.weight(array.shape, code.width)
        full = f"{self._prefix()}/{name}"
        tensor = self._tensor(Role.WEIGHT, full, array.shape, code, code.width, layout)
        self.weights.append(array.astype(DTYPES[code.width], copy=False))
        shape = tuple(array.shape if view is None else view)
        return Read(tensor, shape, tuple(maps) or (at(),), code.zero)

    def rows_of(self, code: Affine, table: Array) -> Narrow:
        """The integers of a constant [rows, ...]; of a sketch, the first row throughout."""
        if self._sketched and len(table):
            return np.broadcast_to(code.narrow(table[:1]), table.shape)
        return code.narrow(table)

    def table(
        self, name: str, function: Callable[[Floats], Floats], pre: Affine, post: Affine
    ) -> int:
        """A table of a float function from the integers of `pre` to those of `post`."""
        return self.integer_table(name, pre.lo, entries(function, pre, post))

    def integer_table(self, name: str, lo: int, values: npt.ArrayLike) -> int:
        """A table with these entries, integers of any type: a new one, unless one is equal."""
        held = tuple(np.asarray(values).astype(np.int64).tolist())
        key = (lo, held)
        if key not in self._known_tables:
            self._known_tables[key] = len(self._tables)
            self._tables.append(Table(self._unique(name), lo, held))
        return self._known_tables[key]

    # What lowerings define

    def view(self, node: Node, of: Value) -> None:
        """The node's output is its input, seen in another shape."""
        self.values[node.output] = replace(of, shape=self.shape(node))

    def define(
        self, node: Node, code: Affine, *, integer: bool = False, width: int | None = None
    ) -> Value:
        """The tensor of a node's output, as wide as its code by default.

        It has the shape of the output that only views it, if there is one: no copy is needed then.
        """
        name, shape = node.output, self.shape(node)
        width = max(width or 1, code.width)
        output = self._shown.get(name)
        held = (shape if output is None else self.graph.shapes[output]) or (1,)
        layout = layouts.flat(held) if output is not None else self._value_layout(name, held, width)
        tensor = self._tensor(Role.VALUE, name, held, code, width, layout)
        value = Value(tensor, shape, code, integer)
        self.values[name] = value
        return value

    def define_like(self, node: Node, value: Value) -> Value:
        """The tensor of a node's output whose elements are some of those of a value."""
        return self.define(node, value.code, integer=value.integer, width=self.width(value))

    def width(self, value: Value) -> int:
        """Bytes of an element of a value."""
        return self._tensors[value.tensor].width

    def temporary(
        self, name: str, shape: tuple[int, ...], code: Affine, width: int | None = None
    ) -> Value:
        """A tensor inside a node, as wide as its code at least; [items, ...] is row-major."""
        width = max(width or 1, code.width)
        layout = layouts.matrix(shape, width, batched=shape[:1] == (self.graph.batch,))
        full = f"{self._prefix()}/{name}"
        return Value(self._tensor(Role.VALUE, full, shape, code, width, layout), shape, code)

    def addend(
        self, value: Value, unit: float, view: Sequence[int], maps: Sequence[AxisMap]
    ) -> Term | None:
        """A value as part of a sum that counts in this unit; None where it does not fit as it is.

        It does where its own unit is a whole number of those, and the sum has room for it.
        """
        ratio = value.code.scale / unit
        factor = round(ratio)
        read = self.read(value, maps, view=view)
        exact = factor >= 1 and abs(ratio - factor) <= EXACT * factor
        if not exact or self.reach(read) * factor > ACC_MAX // 2:
            return None
        return Term((), read, Const(factor))

    def dot(
        self,
        out: Value,
        space: Sequence[int],
        terms: Sequence[Term],
        *,
        mult: Operand = ONE,
        shift: int = 0,
        bias: Operand | None = None,
        zero: int | None = None,
        table: int | None = None,
        suffix: str = "",
    ) -> None:
        """Append a dot op that defines `out`; `zero` is the out_zero (default: that of `out`)."""
        terms, bias = self._without_zeros(terms, bias)
        made = Dot(
            name=self._op_name(suffix),
            out=out.tensor,
            exact=self._prefix() in self._exact,
            space=tuple(space),
            terms=tuple(terms),
            bias=bias,
            mult=mult,
            shift=Const(shift),
            out_zero=out.code.zero if zero is None else zero,
            table=table,
        )
        if self._node is not None and self._node.output in self.scores:
            self._refuse_fine(made, shift)
        self._append(made)

    def _reach_of_sum(self, terms: Sequence[Term], bias: Operand | None) -> int:
        """The bound of a sum of products (protocol section 2)."""
        products = (term.size * self.reach(term.a) * self.reach(term.b) for term in terms)
        return sum(products, 0 if bias is None else self.reach(bias))

    def _refuse_fine(self, made: Dot, shift: int) -> None:
        """Refuse steps so fine that the quotient's bound (protocol section 2) does not hold."""
        reach = self._reach_of_sum(made.terms, made.bias) * self.reach(made.mult)
        quotient = (reach >> shift) + 1 + abs(made.out_zero)
        if quotient > Q_MAX:
            raise RangeOverflow(
                f"op {made.name!r}: the bound of its quotient is too large",
                expected=f"at most {Q_MAX}",
                received=quotient,
            )

    def _without_zeros(
        self, terms: Sequence[Term], bias: Operand | None
    ) -> tuple[Sequence[Term], Operand | None]:
        """A sum beyond a field element: zero points have terms of their own, and constants a bias.

        It is checked in bytes (protocol section 2), and what is read has no zero point there.
        """
        if self._reach_of_sum(terms, bias) <= ACC_MAX:
            return terms, bias
        split, total = [], 0
        for term in terms:
            for a, b in itertools.product(_apart(term.a), _apart(term.b)):
                if isinstance(a, Const) and isinstance(b, Const):
                    total += term.size * a.value * b.value
                else:
                    split.append(Term(term.window, a, b))
        if sum(term.size for term in split) * BYTE_MAX**2 > ACC_MAX:
            return terms, bias  # it is too long for that, and refused as it is
        if total == 0:
            return split, bias
        constant = 0 if bias is None else bias.value if isinstance(bias, Const) else None
        if constant is None or abs(total + constant) >= 2**31:
            return terms, bias
        return split, Const(total + constant)

    def requantised(
        self,
        node: Node,
        space: Sequence[int],
        terms: Sequence[Term],
        target: Target,
        *,
        mult: Operand,
        shift: int,
        bias: Operand | None = None,
    ) -> None:
        """The dot of a node's output, with its activation."""
        out = self.define(node, target.post)
        zero, table = target.pre.zero, target.table
        self.dot(out, space, terms, mult=mult, shift=shift, bias=bias, zero=zero, table=table)

    def weighted(
        self,
        node: Node,
        space: Sequence[int],
        window: Sequence[int],
        source: tuple[Read, float],
        weight: Array,
        bias: Array | None,
        weight_read: tuple[Sequence[int], Sequence[AxisMap]],
        channel_read: tuple[Sequence[int], Sequence[AxisMap]],
        grid: Grid | None = None,
    ) -> None:
        """A dot of a value (its read and scale) with float weights [C, ...] and bias [C].

        `weight_read` and `channel_read` are (view, maps) of the weights and of vectors [C]; `grid`
        is that of weights which the file has as integers.
        """
        operand, scale = source
        size = math.prod(window) * self.reach(operand)
        peak = WEIGHT_MAX if grid is not None else self.peak(node)
        if operand.zero:  # sums beyond a field element would need twice as many products
            peak = min(peak, max(ACC_MAX // 2 // size, WEIGHT_MAX))
        parameters, fine = (weight, bias), peak > WEIGHT_MAX or self._is_wide(node)

        def fits(pre: Affine) -> bool:
            return quotient_fits(node.name, parameters, scale, pre, size * peak, peak, fine=fine)

        target = self.target(node, fits if grid is None else None)
        if grid is None:
            numbers = self._channels(node, parameters, scale, target.pre.scale, peak, fine=fine)
        else:
            numbers = channels_on(node.name, grid, weight, bias, scale, target.pre.scale)
        terms, mult, added = self.linear(
            numbers, window, operand, weight_read, channel_read, target.pre.zero
        )
        shift = numbers.shift
        self.requantised(node, space, terms, target, mult=mult, shift=shift, bias=added)

    def _is_wide(self, node: Node) -> bool:
        """Whether a node's output has more than 8 bits, and is no score."""
        name = node.output
        return name not in self.scores and self.given(name) is None and self.code(name).wide

    def linear(
        self,
        numbers: Channels,
        window: Sequence[int],
        operand: Read,
        weight_read: tuple[Sequence[int], Sequence[AxisMap]],
        channel_read: tuple[Sequence[int], Sequence[AxisMap]],
        zero: int = 0,
    ) -> tuple[list[Term], Read, Operand | None]:
        """The sum of products, the multipliers and the bias of a dot with integer weights.

        `zero` is that of the quotients' code; see `weighted` for the others.
        """
        view, maps = channel_read
        code = Affine(1.0, numbers.zero, numbers.lo, numbers.hi)
        weights = self.weight_in("weight", numbers.weight, code, weight_read[1], weight_read[0])
        terms: list[Term] = [Term(tuple(window), operand, weights)]
        added: Operand | None = None
        if numbers.bias is not None:
            reach = math.prod(window) * self.reach(operand) * numbers.reach
            peak = bias_peak(numbers.bias.numbers, reach, numbers.shift, zero)
            read = self.weight("bias", numbers.bias.numbers, peak, maps, view)
            added, more = scaled(read, numbers.bias.power)
            terms += more
        mult = self.weight("multiplier", numbers.mult, MULT_MAX, maps, view, signed=False)
        return terms, mult, added

    def _channels(
        self,
        node: Node,
        parameters: Parameters,
        in_scale: float,
        out_scale: float,
        peak: int,
        *,
        fine: bool,
    ) -> Channels:
        """The integers of a dot; of a sketch, each channel holds its first one throughout."""
        weight, bias = parameters
        name, mean = node.name, self._means.get(node.name)
        if not self._sketched:
            numbers = channels(name, weight, bias, in_scale, out_scale, peak, fine=fine)
            if mean is None:
                return numbers
            code, group = self.values[node.inputs[0]].code, node.attributes.get("group", 1)
            inside = np.clip(np.array(mean), *code.dequantise([code.lo, code.hi]))  # or it is none
            return without_error(numbers, parameters, in_scale, out_scale, inside, group)
        first = weight[(slice(None), *[slice(1)] * (weight.ndim - 1))]
        numbers = channels(name, first, bias, in_scale, out_scale, peak, fine=fine)
        return replace(numbers, weight=np.broadcast_to(numbers.weight, weight.shape))

    def pick(
        self,
        out: Value,
        space: Sequence[int],
        *operands: Operand,
        mode: PickMode = PickMode.COPY,
        window: Sequence[int] = (),
        suffix: str = "",
    ) -> None:
        """Append a pick op that defines `out`."""
        name, exact = self._op_name(suffix), self._prefix() in self._exact
        self._append(Pick(name, out.tensor, exact, tuple(space), mode, tuple(window), operands))

    def gather(
        self,
        out: Value,
        space: Sequence[int],
        source: Read,
        axis: int,
        index: Operand,
        *,
        suffix: str = "",
    ) -> None:
        """Append a gather op that defines `out`: the index on the source's view axis is a value."""
        name, exact = self._op_name(suffix), self._prefix() in self._exact
        self._append(Gather(name, out.tensor, exact, tuple(space), axis, source, index))

    def quotient(
        self, out: Value, space: Sequence[int], scale: int, num: Read, den: Read, suffix: str = ""
    ) -> None:
        """Append a div op that defines `out` = round(scale·num/den) + zero."""
        name, exact = self._op_name(suffix), self._prefix() in self._exact
        mode, zero = DivMode.QUOTIENT, out.code.zero
        self._append(Div(name, out.tensor, exact, tuple(space), mode, scale, num, den, zero))

    def root(
        self, out: Value, space: Sequence[int], scale: int, num: Read, suffix: str = ""
    ) -> None:
        """Append a div op that defines `out` = floor(√(scale·num))."""
        name, exact = self._op_name(suffix), self._prefix() in self._exact
        mode = DivMode.SQRT
        self._append(Div(name, out.tensor, exact, tuple(space), mode, scale, num, None))

    def transposed(self, value: Value) -> Value:
        """A copy with the last two axes swapped, so that columns are read as rows."""
        key = (value.tensor, value.shape)
        if key not in self._transposed:
            rank = len(value.shape)
            axes = (*range(rank - 2), rank - 1, rank - 2)
            shape = tuple(value.shape[axis] for axis in axes)
            copy = self.temporary("transposed", shape, value.code, self.width(value))
            maps = [along(axes.index(axis)) for axis in range(rank)]
            self.pick(copy, shape, self.read(value, maps, raw=True), suffix="transposed")
            self._transposed[key] = copy
        return self._transposed[key]

    # The whole

    @contextmanager
    def layer(self, node: Node, activation: Activation | None) -> Iterator[None]:
        """What is defined within belongs to this node, into which the activation is fused."""
        self._node, self._activation = node, activation
        before = len(self._ops)
        yield
        made = tuple(range(before, len(self._ops)))
        if made:
            op = node.op if activation is None else f"{node.op}+{activation.node.op}"
            defined = tuple(name for name in node.outputs if name in self.values)
            self.layers.append(Layer(node.name, op, defined, made))
        self._node = self._activation = None

    @contextmanager
    def undone_by_errors(self, node: Node) -> Iterator[None]:
        """Where a code may be coarsened: an error leaves nothing behind."""
        held: list[list[Any]] = [self._tensors, self._tables, self._ops, self.weights]
        lengths, kept = [len(part) for part in held], self.may_coarsen(node.output)
        state = self._names, self._transposed, self._known_tables
        before = (set(state[0]), dict(state[1]), dict(state[2])) if kept else None
        try:
            yield
        except RangeOverflow:
            if before is not None:
                for part, length in zip(held, lengths, strict=True):
                    del part[length:]
                self._names, self._transposed, self._known_tables = before
            raise

    def program(self) -> Program:
        """The program, once every node is lowered."""
        inputs = tuple(self._port("input", name) for name in self.graph.given)
        outputs = self._outputs()
        states = self._links()
        self._flag({port.tensor for port in outputs})
        return Program(
            name=port_name(self.graph.name) or "model",
            tensors=tuple(self._tensors),
            tables=tuple(self._tables),
            ops=tuple(self._ops),
            inputs=inputs,
            outputs=outputs,
            states=states,
        )

    def _links(self) -> tuple[StateLink, ...]:
        """The states, each with the value that the next step reads in its place."""
        links: list[StateLink] = []
        for name, carried in self.graph.states.items():
            state, out = self.values[name], carried.output
            end = self.values[out] if out in self.values else self._known(out)
            forms = [
                replace(self._tensors[n], name="", layout=None) for n in (state.tensor, end.tensor)
            ]
            same = replace(forms[0], role=Role.VALUE) == forms[1] and state.code == end.code
            if not same or end.tensor in [link.value for link in links]:
                end = self._handed_on(name, out, end, state)
            layout = self._tensors[end.tensor].layout
            self._tensors[state.tensor] = replace(self._tensors[state.tensor], layout=layout)
            start = ConstantStart(int(state.code.quantise([carried.start])[0]))
            links.append(StateLink(state.tensor, end.tensor, start))
        return tuple(links)

    def _handed_on(self, name: str, out: str, end: Value, state: Value) -> Value:
        """What a step leaves in the form of the state: with its code, in a tensor of its own."""
        shape = self._tensors[state.tensor].shape
        node = Node(f"state {name}", "Carry", (out,), (out,))
        with self.layer(node, None):
            copy = self.temporary(out, shape, state.code)
            read = self.read(end, rows(len(shape)), view=shape, raw=end.code == state.code)
            if end.code == state.code:
                self.pick(copy, shape, read)
            else:
                ratio = end.code.scale / state.code.scale
                mult, shift = multiplier(node.name, ratio)
                self.dot(copy, shape, [Term((), read, ONE)], mult=Const(mult), shift=shift)
            self.values[out] = replace(copy, shape=end.shape)
        return copy

    def _outputs(self) -> tuple[Port, ...]:
        ports: list[Port] = []
        for name in self.graph.published:
            value = self.values[name] if name in self.values else self._known(name)
            tensor = self._tensors[value.tensor]
            taken = value.tensor in [port.tensor for port in ports]
            if taken or tensor.role != Role.VALUE or tensor.shape != (value.shape or (1,)):
                value = self._copied(name, value)
            ports.append(self._port("output", name))
        return tuple(ports)

    def _known(self, name: str) -> Value:
        """A constant that is an output, as a weight; its copy is the output."""
        array = self.graph.constants[name]
        integer = not self.graph.is_float(name)
        low, high = float(array.min()), float(array.max())
        code = self._whole(name, low, high) if integer else self._shown_code(name, low, high)
        held, shape = code.quantise(array).reshape(array.shape or (1,)), array.shape
        layout = layouts.weight(held.shape, code.width)
        number = self._tensor(Role.WEIGHT, name, held.shape, code, code.width, layout)
        self.weights.append(held.astype(DTYPES[code.width]))
        self.values[name] = Value(number, shape, code, integer)
        return self.values[name]

    def _shown_code(self, name: str, low: float, high: float) -> Affine:
        """The code of a constant that is an output."""
        bits = self.bits(name)
        return symmetric_code(low, high, bits) if bits > NARROW else affine(low, high)

    def _copied(self, name: str, value: Value) -> Value:
        """A view of an input, or of another output, needs a tensor of its own."""
        shape = value.shape or (1,)
        width = self._tensors[value.tensor].width
        tensor = self._tensor(
            Role.VALUE, f"output {name}", shape, value.code, width, layouts.flat(shape)
        )
        source = self.read(value, rows(len(shape)), raw=True)
        op_name = self._unique(f"output {name}", "op")
        self._append(Pick(op_name, tensor, False, shape, PickMode.COPY, (), (source,)))
        self.layers.append(Layer(op_name, "copy", (name,), (len(self._ops) - 1,)))
        self.values[name] = replace(value, tensor=tensor)
        return self.values[name]

    def _flag(self, tensors: set[int]) -> None:
        """Flag the ops that decide these tensors exact: those that define one, and what these copy.

        An op that only puts values in another order decides none of them, so the op behind it is
        flagged too; one that takes a part of them leaves it sampled, which may be far larger.
        """
        for number, op in reversed(list(enumerate(self._ops))):
            if op.out in tensors:
                self._ops[number] = replace(op, exact=True)
                if isinstance(op, Pick) and op.mode is PickMode.COPY:
                    (source,) = op.operands
                    assert isinstance(source, Read)
                    if self._tensors[source.tensor].size == self._tensors[op.out].size:
                        tensors.add(source.tensor)

    def _port(self, kind: str, name: str) -> Port:
        """The port of an input or output; two names that read alike in ASCII stay two."""
        value, batch = self.values[name], 0 if name in self.graph.batched else ABSENT
        called = self._unique(name, kind)
        if value.integer:
            return Port(called, value.tensor, batch, PortKind.INTEGER)
        return Port(called, value.tensor, batch, PortKind.FLOAT, value.code.scale, value.code.zero)

    def _input(self, name: str) -> None:
        integer, shape = not self.graph.is_float(name), self.graph.shapes[name]
        code = self._integers(name) if integer else self._reals(name)
        width = code.width
        layout = self._value_layout(name, shape or (1,), width)
        tensor = self._tensor(Role.INPUT, name, shape or (1,), code, width, layout)
        self.values[name] = Value(tensor, shape, code, integer)

    def _carried(self, name: str) -> None:
        """An input that is a state of a chain; its layout is that of the value which follows it."""
        code, shape = self.code(name), self.graph.shapes[name]
        layout = layouts.flat(shape or (1,))
        tensor = self._tensor(Role.STATE, name, shape or (1,), code, code.width, layout)
        self.values[name] = Value(tensor, shape, code)

    def _reals(self, name: str) -> Affine:
        """The code of an input of floats.

        A table has columns of unlike size in one code, which therefore has 24 bits; it reaches past
        all that they are compared with, so that what saturates is compared rightly, too.
        """
        if name not in self._tables_of_columns:
            return self.code(name)
        table, seen = self._tables_of_columns[name], max(map(abs, self.range(name)))
        reach = seen if table.compared else seen * HEADROOM
        most = max(reach, abs(table.low), abs(table.high)) * (1 + 2**-20)
        return Affine((most or 1.0) / TABLE_MAX, 0, -TABLE_MAX, TABLE_MAX)

    def least(self, name: str) -> float:
        """The least value seen in calibration."""
        return self.range(name)[0]

    def spread(self, name: str, peak: int) -> Affine:
        """The code on [-peak, peak] of a float value, from its calibrated range."""
        return Affine((max(map(abs, self.range(name))) or 1.0) / peak, 0, -peak, peak)

    def _integers(self, name: str) -> Affine:
        """What an input of integers may hold.

        All that its type can, if that is a byte; the rows of a table, where it only chooses among
        them; otherwise what it held in calibration.
        """
        kind = self.graph.types[name]
        if kind in BYTES:
            return Affine(1.0, 0, *BYTES[kind])
        readers = self.graph.consumers(name)
        tables = [_rows_chosen(node, self.graph) for node in readers if node.input(1) == name]
        if readers and len(tables) == len(readers) and all(tables):
            return Affine(1.0, 0, 0, min(rows for rows in tables if rows) - 1)
        return self._whole(name, *self.range(name))

    def _whole(self, name: str, low: float, high: float) -> Affine:
        if max(abs(low), abs(high)) >= 2**23:
            raise RangeOverflow(
                f"value {named(name)} holds integers that are too large",
                expected="integers below 2^23",
                received=[low, high],
            )
        return Affine(1.0, 0, int(low), int(high))

    def _value_layout(self, name: str, shape: tuple[int, ...], width: int) -> Layout:
        batched = shape[0] == self.graph.batch
        if len(shape) > 2 and name in self._images:
            return layouts.image(shape, width, batched=batched)
        return layouts.matrix(shape, width, batched=batched)

    def _tensor(
        self,
        role: Role,
        name: str,
        shape: tuple[int, ...],
        code: Affine,
        width: int,
        layout: Layout,
    ) -> int:
        unique = self._unique(name)
        self._tensors.append(Tensor(unique, role, width, code.lo, code.hi, shape, layout))
        return len(self._tensors) - 1

    def _append(self, op: Op) -> None:
        self._ops.append(op)

    def _prefix(self) -> str:
        assert self._node is not None
        return self._node.name

    def _op_name(self, suffix: str) -> str:
        name = f"{self._prefix()}/{suffix}" if suffix else self._prefix()
        return self._unique(name, "op")

    def _unique(self, name: str, kind: str = "") -> str:
        """A printable name that no other tensor or table (or op, or port of a kind) has."""
        base = port_name(name) or "unnamed"
        unique, count = base, 1
        while (kind, unique) in self._names:
            count += 1
            unique = f"{base[:120]}#{count}"
        self._names.add((kind, unique))
        return unique


BYTES: Mapping[int, tuple[int, int]] = {
    TensorProto.BOOL: (0, 1),
    TensorProto.INT8: (-128, 127),
    TensorProto.UINT8: (0, 255),
}
"""Element types all of whose values an input may hold."""


def scaled(read: Read, power: int) -> tuple[Operand | None, list[Term]]:
    """A read times 2^power as what is added to a sum: its bias, or a term where a bias is small."""
    return (read, []) if power == 0 else (None, [Term((), read, Const(2**power))])


def _apart(operand: Operand) -> list[Operand]:
    """What is read as it is, and its zero point."""
    if isinstance(operand, Const) or operand.zero == 0:
        return [operand]
    return [replace(operand, zero=0), Const(-operand.zero)]


def _holds(wish: Affine, low: float, high: float, found: Affine) -> bool:
    """Whether a code limits no value in a range, and is about as fine as the one found for it."""
    least, most = (float(end) for end in wish.dequantise([wish.lo - 0.5, wish.hi + 0.5]))
    return least <= low and high <= most and wish.scale <= COARSER * found.scale


def _rows_chosen(node: Node, graph: Graph) -> int | None:
    """The rows of the table in which a Gather looks, if it is one."""
    if node.op != "Gather":
        return None
    shape = graph.shapes[node.inputs[0]]
    return shape[int(node.attributes.get("axis", 0))] if shape else None
