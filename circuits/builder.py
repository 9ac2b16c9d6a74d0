"""Builds a program: tensors, layouts, tables and ops, one lowering call after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from onnx import TensorProto

from ..verifier.inputs import port_name
from ..verifier.program.ranges import ACC_MAX
from ..verifier.program.types import (
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
    INT8_MAX,
    INT8_MIN,
    MULT_MAX,
    ROOM,
    WEIGHT_MAX,
    Affine,
    Floats,
    Ints,
    affine,
    bias_peak,
    channels,
    clamp,
    domain,
    entries,
    symmetric_code,
)

REACH_MIN, REACH_MAX = 1e-60, 1e60
"""Magnitude of calibrated values: far beyond any float32, and no arithmetic on scales overflows."""

BYTE_SQUARED = 255**2
"""The largest product of two bytes, into which wide sums are split."""

ONE = Const(1)

Range = tuple[float, float]


@dataclass(frozen=True)
class Value:
    """A network value as the program holds it: a tensor, the shape it is viewed in, its code."""

    tensor: int
    shape: tuple[int, ...]
    code: Affine
    integer: bool = False


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
    """A compiled node, for the report: what it was, the value it defines, the ops it became."""

    name: str
    op: str
    value: str
    ops: tuple[int, ...]


class Builder:
    """The program under construction; it knows nothing of operators, whose lowerings call it.

    Args:
        graph: what is lowered.
        ranges: the calibrated range of every float value that needs one.
        shown: values that an output only views, or is: each with that output's name.
        images: values of which W×C runs are read.
        exact: nodes whose ops are all flagged exact (ops that decide outputs are in any case).
        bits: how many bits values and weights have.
    """

    def __init__(
        self,
        graph: Graph,
        ranges: Mapping[str, Range],
        shown: Mapping[str, str],
        images: Collection[str],
        exact: Collection[str],
        bits: Bits = INT8,
    ) -> None:
        self.graph = graph
        self.values: dict[str, Value] = {}
        self.weights: list[Ints] = []
        self.layers: list[Layer] = []
        self._ranges = ranges
        self._shown = shown
        self._images = images
        self._exact = exact
        self._bits = bits
        self.coded: dict[str, None] = {}
        self.weighed: dict[str, None] = {}
        self._tensors: list[Tensor] = []
        self._tables: list[Table] = []
        self._ops: list[Op] = []
        self._names: set[tuple[str, str]] = set()
        self._transposed: dict[tuple[int, tuple[int, ...]], Value] = {}
        self._node: Node | None = None
        self._activation: Activation | None = None
        for name in graph.inputs:
            self._input(name)

    # What lowerings ask for

    def code(self, name: str, *, signed: bool = False) -> Affine:
        """The code of a float value, from its calibrated range.

        `signed`: with a negative integer for each positive one.
        """
        return self._of(name, *self.range(name), signed=signed)

    def _of(self, name: str, low: float, high: float, *, signed: bool = False) -> Affine:
        bits = self.bits(name)
        if bits > NARROW:
            return symmetric_code(low, high, bits, signed=signed)
        return affine(low, high, -INT8_MAX if signed else INT8_MIN)

    def bits(self, name: str) -> int:
        """Bits of a value that has a code of its own; `coded` remembers that it has."""
        self.coded[name] = None
        return self._bits.value(name)

    def peak(self, node: Node) -> int:
        """The largest integer of a node's constant factors; `weighed` remembers who has some."""
        self.weighed[node.name] = None
        return int(2 ** (self._bits.weight(node.name) - 1) - 1)

    def shape(self, node: Node) -> tuple[int, ...]:
        """Shape of a node's output."""
        return self.graph.shapes[node.output]

    def target(self, node: Node) -> Target:
        """Where the dot of a node requantises to, with the activation that is fused into it."""
        post = self.code(node.output)
        fused = self._activation
        if fused is None:
            return Target(post, post)
        if fused.bounds is not None:
            clamped = clamp(post, *fused.bounds)
            return Target(clamped, clamped)
        assert fused.function is not None
        low, high = self.range(fused.node.inputs[0])
        limit, room = fused.saturation, ROOM if post.wide else 1.0
        pre = domain(fused.function, max(room * low, -limit), min(room * high, limit), post)
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

    def weight(
        self,
        name: str,
        values: Ints,
        peak: int,
        maps: Sequence[AxisMap],
        view: Sequence[int] | None = None,
        *,
        signed: bool = True,
    ) -> Read:
        """A new weight tensor, declared [-peak, peak] (unsigned: [0, peak]), and a read of it."""
        array = values if values.ndim else values.reshape(1)
        width = 1 if peak < 2**7 else 2 if peak < 2**15 else 3
        tensor = self._tensor(
            Role.WEIGHT,
            f"{self._prefix()}/{name}",
            array.shape,
            Affine(1.0, 0, -peak if signed else 0, peak),
            width,
            layouts.weight(array.shape, width),
        )
        self.weights.append(array)
        return Read(tensor, tuple(array.shape if view is None else view), tuple(maps))

    def table(
        self, name: str, function: Callable[[Floats], Floats], pre: Affine, post: Affine
    ) -> int:
        """A new table of a float function from the integers of `pre` to those of `post`."""
        return self.integer_table(name, pre.lo, entries(function, pre, post))

    def integer_table(self, name: str, lo: int, values: tuple[int, ...]) -> int:
        """A new table with these entries."""
        self._tables.append(Table(self._unique(name), lo, values))
        return len(self._tables) - 1

    # What lowerings define

    def view(self, node: Node, of: Value) -> None:
        """The node's output is its input, seen in another shape."""
        self.values[node.output] = replace(of, shape=self.shape(node))

    def define(
        self, node: Node, code: Affine, *, integer: bool = False, width: int | None = None
    ) -> Value:
        """The tensor of a node's output, as wide as its code if nothing else is said.

        It has the shape of the output that only views it, if there is one: no copy is needed then.
        """
        name, shape, width = node.output, self.shape(node), width or code.width
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
        """A tensor inside a node, as wide as its code; shape [items, ...] is row-major."""
        width = width or code.width
        layout = layouts.matrix(shape, width, batched=shape[:1] == (self.graph.batch,))
        full = f"{self._prefix()}/{name}"
        return Value(self._tensor(Role.VALUE, full, shape, code, width, layout), shape, code)

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
        if self._reach(terms, bias) > ACC_MAX:
            parts = [part for term in terms for part in _without_zeros(term)]
            if sum(part.size for part in parts) * BYTE_SQUARED <= ACC_MAX:
                terms = parts
        self._append(
            Dot(
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
        )

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
    ) -> None:
        """A dot of a value (its read and scale) with float weights [C, ...] and bias [C].

        `weight_read` and `channel_read` are (view, maps) of the weights and of vectors [C].
        """
        operand, scale = source
        target, peak = self.target(node), self.peak(node)
        if operand.zero:  # sums beyond a field element would need twice as many products
            room = ACC_MAX // 2 // (math.prod(window) * self._most(operand))
            peak = min(peak, max(room, WEIGHT_MAX))
        fine = peak > WEIGHT_MAX or target.post.wide
        numbers = channels(node.name, weight, bias, scale, target.pre.scale, peak, fine=fine)
        view, maps = channel_read
        weights = self.weight("weight", numbers.weight, peak, weight_read[1], weight_read[0])
        terms: list[Term] = [Term(tuple(window), operand, weights)]
        added: Operand | None = None
        if numbers.bias is not None:
            reach = self._reach(terms, None)
            most = bias_peak(numbers.bias.numbers, reach, numbers.shift, target.pre.zero)
            read = self.weight("bias", numbers.bias.numbers, most, maps, view)
            added, more = scaled(read, numbers.bias.power)
            terms += more
        mult = self.weight("multiplier", numbers.mult, MULT_MAX, maps, view, signed=False)
        self.requantised(node, space, terms, target, mult=mult, shift=numbers.shift, bias=added)

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
            copy = self.temporary("transposed", shape, value.code)
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
            defined = next(name for name in node.outputs if name in self.values)
            self.layers.append(Layer(node.name, op, defined, made))
        self._node = self._activation = None

    def program(self) -> Program:
        """The program, once every node is lowered."""
        inputs = tuple(self._port("input", name) for name in self.graph.inputs)
        outputs = self._outputs()
        self._flag({port.tensor for port in outputs})
        return Program(
            name=port_name(self.graph.name) or "model",
            tensors=tuple(self._tensors),
            tables=tuple(self._tables),
            ops=tuple(self._ops),
            inputs=inputs,
            outputs=outputs,
        )

    def _outputs(self) -> tuple[Port, ...]:
        ports: list[Port] = []
        for name in self.graph.outputs:
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
        code = self._whole(name, low, high) if integer else self._of(name, low, high)
        held, shape = code.quantise(array).reshape(array.shape or (1,)), array.shape
        layout = layouts.weight(held.shape, code.width)
        number = self._tensor(Role.WEIGHT, name, held.shape, code, code.width, layout)
        self.weights.append(held)
        self.values[name] = Value(number, shape, code, integer)
        return self.values[name]

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
        self.layers.append(Layer(op_name, "copy", name, (len(self._ops) - 1,)))
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

    def _reach(self, terms: Sequence[Term], bias: Operand | None) -> int:
        """The bound of a sum of products (docs/protocol.md section 2)."""
        return sum(
            (term.size * self._most(term.a) * self._most(term.b) for term in terms),
            0 if bias is None else self._most(bias),
        )

    def _most(self, operand: Operand) -> int:
        if isinstance(operand, Const):
            return abs(operand.value)
        tensor = self._tensors[operand.tensor]
        ends = [tensor.lo, tensor.hi] + ([] if operand.pad is None else [operand.pad])
        return max(abs(end - operand.zero) for end in ends)

    def _port(self, kind: str, name: str) -> Port:
        """The port of an input or output; two names that read alike in ASCII stay two."""
        value, batch = self.values[name], 0 if name in self.graph.batched else ABSENT
        called = self._unique(name, kind)
        if value.integer:
            return Port(called, value.tensor, batch, PortKind.INTEGER)
        return Port(called, value.tensor, batch, PortKind.FLOAT, value.code.scale, value.code.zero)

    def _input(self, name: str) -> None:
        integer, shape = not self.graph.is_float(name), self.graph.shapes[name]
        code = self._integers(name) if integer else self.code(name)
        layout = self._value_layout(name, shape or (1,), code.width)
        tensor = self._tensor(Role.INPUT, name, shape or (1,), code, code.width, layout)
        self.values[name] = Value(tensor, shape, code, integer)

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

    def range(self, name: str) -> Range:
        """The recorded range of a value; a stranger may have recorded anything."""
        low, high = self._ranges.get(name, (math.inf, -math.inf))
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


def _without_zero(operand: Operand) -> list[Operand]:
    """What an operand is the sum of."""
    if isinstance(operand, Const) or not operand.zero:
        return [operand]
    return [replace(operand, zero=0), Const(-operand.zero)]


def _without_zeros(term: Term) -> list[Term]:
    """The same sum by operands whose zeros are 0, as sums beyond a field element need."""
    left, right = map(_without_zero, (term.a, term.b))
    return [Term(term.window, a, b) for a in left for b in right]


def _rows_chosen(node: Node, graph: Graph) -> int | None:
    """The rows of the table in which a Gather looks, if it is one."""
    if node.op != "Gather":
        return None
    shape = graph.shapes[node.inputs[0]]
    return shape[int(node.attributes.get("axis", 0))] if shape else None
