"""Lowers the gradients of a training step: codes in powers of two, noise where errors are rounded.

The states are master copies of 24 bits. What products read of a parameter is a working copy of 8
bits (or 16), made anew in every step.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ...verifier.inputs import port_name
from ...verifier.program.ranges import ACC_MAX
from ...verifier.program.types import (
    AxisMap,
    Const,
    Dot,
    Layout,
    Operand,
    Program,
    Read,
    Role,
    StateLink,
    Tensor,
    Term,
)
from .. import layouts
from ..bits import NARROW, Bits
from ..builder import BYTE_MAX, ONE, Builder, Value
from ..graph import Graph, Node
from ..maps import at, broadcast, rows
from ..quantise import Affine
from ..tape import PREFIX
from .layers import DRAW_BITS
from .ranges import Ranges
from .widths import factors

MASTER = 2**22
"""Masters are in ±2^22: a quotient of 24 bits leaves so much."""
MASTER_BITS = 23
STATISTIC, STATISTIC_MARGIN = 2**21, 4.0
"""Running statistics are in ±2^21, so that a sum has room for 8 bits behind them; and they reach so
many times what the rehearsal saw."""
MARGIN = 2.0
"""Codes reach so many times what the rehearsal saw."""
LEAST = 2.0**-7
"""Every parameter can become this share of the largest one, be its gradient 0 in the rehearsal."""
ERROR_REACH = 16.0
"""Codes of errors reach so many times their root of mean squares: they shrink in training, and what
is cut off of a few matters less than what is rounded off all."""
FINEST = 24
"""Codes of what is 0 throughout a rehearsal have so many bits behind the point."""
PART_MAX = 2**22
"""Parts of a long sum are below that."""
COARSEST = 60
"""So often a code may be made twice as coarse."""
NOISE_BITS = 8
"""Random bits of a stochastic rounding; fewer where less is rounded away."""
LOSS = "loss"
"""Name of the output of a step."""
HELD = -1
"""Tensor number of a gradient that is not made, but summed where it is used."""


def exponent(reach: float, peak: int) -> int:
    """The largest e with reach ≤ peak·2^-e; of nothing, one that nobody will notice."""
    return math.floor(math.log2(peak / reach)) if reach > 0.0 else FINEST


def power_code(low: float, reach: float, bits: int) -> Affine:
    """The finest code of a power of two around zero that reaches so far."""
    peak = 2 ** (bits - 1) - 1
    scale = 2.0 ** -exponent(reach, peak)
    return Affine(scale, 0, 0 if low >= 0.0 else -peak, peak)


@dataclass(frozen=True)
class Slope:
    """A gradient: a value, or the sum of products (in units of `unit`) that nobody rounded yet."""

    unit: float
    terms: tuple[Term, ...]
    reach: int
    """The bound of the sum."""


class StepBuilder(Builder):
    """A program of a step under construction.

    Args:
        graph: loss and gradients; its inputs are data, labels and parameters.
        ranges: of all its values, from a rehearsal.
        error: the gradient of the loss, which is never cut off: its sums over classes are 0.
        images: values of which W×C runs are read.
        widths: bits by value; of a parameter, those of its working copy.
        parameters: names of the inputs that are parameters.
        held: gradients that are summed where they are used.
        statistics: names of the inputs, or states, that are running statistics: with the range of
            what they are the average of.
        draws: names of the inputs that hold random numbers.
        records: of the data set from which data and labels are read; None: they are inputs.
        served: parameters are constants: this is the model that was trained, not a step.

    Attributes:
        masters: of the parameters, by name.
        slopes: gradients that are held, by name.
        decisive: tensors of few elements on which a whole step hangs: their ops are exact.
    """

    def __init__(
        self,
        graph: Graph,
        ranges: Ranges,
        error: str,
        images: Collection[str],
        widths: Mapping[str, int],
        parameters: Collection[str],
        held: Collection[str] = (),
        *,
        statistics: Mapping[str, str] | None = None,
        draws: Collection[str] = (),
        records: int | None = None,
        served: bool = False,
    ) -> None:
        self.masters: dict[str, Value] = {}
        self.slopes: dict[str, Slope] = {}
        self.decisive: set[int] = set()
        self._parameters = frozenset(parameters)
        self._held = frozenset(held)
        self._statistics, self._draws = dict(statistics or {}), frozenset(draws)
        self._records, self._served = records, served
        self._noisy = _behind_gradients(graph)
        self._sizes, self._error = ranges.sizes, error
        self._errors = _errors(graph, error)
        self._domain = 0
        self._coarser: dict[str, int] = {}
        spans = {**ranges.values, **ranges.whole}
        super().__init__(graph, spans, {}, images, (), bits=Bits(values=widths))

    # Codes

    def code(self, name: str) -> Affine:
        """A power of two, symmetric; a given number of bits."""
        name = self._chosen(name)
        low, high = self.range(name)
        bits, reach = self.bits(name), max(-low, high) * (1.0 if name == self._error else MARGIN)
        if name in self._errors and bits == NARROW:
            reach = min(reach, ERROR_REACH * self._sizes[name])
        reach = reach or 2.0 ** (bits - 1 - FINEST)  # that of nothing can become coarser, too
        return power_code(low, reach * 2.0 ** self._coarser.get(name, 0), bits)

    def _chosen(self, name: str) -> str:
        """The value whose code a value has: that of the choice which alone reads it."""
        readers = self.graph.consumers(name)
        while len(readers) == 1 and readers[0].op == "Where" and name in readers[0].inputs[1:]:
            name = readers[0].output
            readers = self.graph.consumers(name)
        return name

    def coarsen(self, name: str) -> bool:
        """A gradient that is 0 but for roundings would get units that no sum can tell apart."""
        name = self._chosen(name)
        self._coarser[name] = self._coarser.get(name, 0) + 1
        return self._coarser[name] <= COARSEST

    def may_coarsen(self, name: str) -> bool:
        """Every value that has a code of its own."""
        return name not in self._held

    def _input(self, name: str) -> None:
        if name in self._draws:
            self._draw(name)
            return
        if name in self._statistics:
            code = self.statistic_code(name)
            self.masters[name] = self.state(name, self.graph.shapes[name], code)
            self.values[name] = self.masters[name]
            return
        if name not in self._parameters:
            if self._records is None:
                super()._input(name)
            else:
                self._data(name, self._records)
            return
        reaches = [max(map(abs, self.range(each))) for each in self._parameters]
        reach = max(max(map(abs, self.range(name))), LEAST * max(reaches))
        scale = 2.0 ** -exponent(MARGIN * reach, MASTER)
        code = Affine(scale, 0, -MASTER, MASTER)
        self.masters[name] = self.state(name, self.graph.shapes[name], code)
        self.values[name] = self.masters[name]

    def statistic_code(self, name: str) -> Affine:
        """The code of a running statistic: as wide as its batches' own may become."""
        spans = [self._ranges[each] for each in (name, self._statistics[name])]
        reach = STATISTIC_MARGIN * max(max(-low, high) for low, high in spans)
        return Affine(2.0 ** -exponent(reach, STATISTIC), 0, -STATISTIC, STATISTIC)

    def _draw(self, name: str) -> None:
        """An input of random numbers: other ones in each step."""
        shape = self.graph.shapes[name]
        top = 2**DRAW_BITS - 1
        number = self._random(name, tuple(shape) or (1,), 2, top)
        self.values[name] = Value(number, shape, Affine(1.0, 0, 0, top), integer=True)

    def _random(self, name: str, shape: tuple[int, ...], width: int, top: int) -> int:
        self._domain += 1
        unique = self._unique(name)
        self._tensors.append(Tensor(unique, Role.PRF, width, 0, top, shape, None, self._domain))
        return len(self._tensors) - 1

    def _data(self, name: str, records: int) -> None:
        """An input [slots, ...] as the records of a data set that a step reads."""
        whole, shape = not self.graph.is_float(name), self.graph.shapes[name]
        code = self._integers(name) if whole else self.code(name)
        held = shape if len(shape) > 1 else (*shape, 1)
        spatial = len(held) > 2 and name in self._images
        layout = layouts.record(held, code.width, spatial=spatial)
        number = self._tensor(Role.DATA, name, held, code, code.width, layout)
        self._tensors[number] = replace(self._tensors[number], records=records)
        self.values[name] = Value(number, shape, code, whole)

    def state(self, name: str, shape: Sequence[int], code: Affine) -> Value:
        """A new state tensor; a weight of the same form where the model is served."""
        return self._state(Role.WEIGHT if self._served else Role.STATE, name, shape, code)

    def following(self, name: str, shape: Sequence[int], code: Affine) -> Value:
        """A new value tensor that the next step reads as a state of this code and shape."""
        return self._state(Role.VALUE, name, shape, code)

    def _state(self, role: Role, name: str, shape: Sequence[int], code: Affine) -> Value:
        """What both ends of a state link are: tensors of one form."""
        held = tuple(shape) or (1,)
        number = self._tensor(role, name, held, code, code.width, state_layout(held, code.width))
        return Value(number, tuple(shape), code)

    def scalar(self, name: str, code: Affine) -> Value:
        """A new input of one number a step."""
        number = self._tensor(Role.INPUT, name, (1,), code, code.width, layouts.flat((1,)))
        self.values[name] = Value(number, (), code)
        return self.values[name]

    def tensor_name(self, value: Value) -> str:
        """The name of a value's tensor."""
        return self._tensors[value.tensor].name

    def copies(self) -> None:
        """Make the working copies of all parameters that somebody reads as more than a bias.

        A variance is far less than the one that it starts with: what epsilon is added to is as
        fine as the master.
        """
        for name in sorted(self.masters):
            readers = self.graph.consumers(name)
            fine = name in self._statistics and all(node.op == "Add" for node in readers)
            if not fine and any(_reads(node, name) for node in readers):
                self.values[name] = self._copy(name, self.bits(name))

    def _copy(self, name: str, bits: int) -> Value:
        master = self.masters[name]
        shift = MASTER_BITS - bits
        peak = 2 ** (bits - 1) - 1
        code = Affine(master.code.scale * 2.0**shift, 0, -peak, peak)
        with self.layer(Node(f"copy {name}", "copy", (name,), (name,)), None):
            copy = self.temporary("working", master.shape, code)
            self.rounded(copy, [(master, 1)], shift)
        return copy

    def rounded(
        self, out: Value, parts: Sequence[tuple[Value, int]], shift: int, suffix: str = ""
    ) -> None:
        """Out = Σ factor·value / 2^shift, element by element."""
        space = out.shape or (1,)
        terms = [
            Term((), self.read(value, broadcast(value.shape, len(space))), Const(by))
            for value, by in parts
        ]
        self.dot(out, space, terms, shift=shift, suffix=suffix)

    # Sums

    def slope(self, name: str) -> Slope:
        """The gradient named so, as a sum: one that is held, or that of one value."""
        if name in self.slopes:
            return self.slopes[name]
        return self.slope_of(self.values[name])

    def slope_of(self, value: Value) -> Slope:
        """A value as the sum of itself alone."""
        read = self.read(value, rows(len(value.shape)))
        return Slope(value.code.scale, (Term((), read, ONE),), self.reach(read))

    def addend(
        self, value: Value, unit: float, view: Sequence[int], maps: Sequence[AxisMap]
    ) -> Term | None:
        """As of `Builder`; a master that is finer than the unit is rounded to it."""
        ratio = value.code.scale / unit
        if ratio < 1.0 and value in self.masters.values():
            shift = round(-math.log2(ratio))
            if ratio == 2.0**-shift:
                peak = max(MASTER >> shift, 1)
                code = Affine(unit, 0, -peak, peak)
                copy = self.temporary("bias", value.shape, code)
                self.rounded(copy, [(value, 1)], shift, "bias")
                value = copy
        return super().addend(value, unit, view, maps)

    def define(
        self, node: Node, code: Affine, *, integer: bool = False, width: int | None = None
    ) -> Value:
        """As of `Builder`; a gradient that is held gets no tensor."""
        if node.output not in self._held:
            return super().define(node, code, integer=integer, width=width)
        self.values[node.output] = Value(HELD, self.shape(node), code)
        return self.values[node.output]

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
        """As of `Builder`; by the least shift, and with noise where the output is an error."""
        if bias is None:
            terms, shift = self._shortened(terms, space, shift)
            terms, mult, shift = reduced(terms, mult, shift)
        if out.tensor == HELD:
            self._hold(out, terms, mult, shift, bias)
            return
        super().dot(
            out, space, terms, mult=mult, shift=shift, bias=bias, zero=zero, table=table,
            suffix=suffix,
        )  # fmt: skip
        node = self._node
        if node is None or out != self.values.get(node.output):
            return
        if table is None and self.may_coarsen(node.output):
            made = self._ops[-1]
            assert isinstance(made, Dot)
            self._refuse_fine(made, shift)
        if node.name in self._noisy:
            self.noise()

    def _shortened(
        self, terms: Sequence[Term], space: Sequence[int], shift: int
    ) -> tuple[Sequence[Term], int]:
        """A sum that no accumulator holds as one of parts, each rounded to 24 bits by itself."""
        bytewise = sum(term.size for term in terms) * BYTE_MAX**2
        if self._reach_of_sum(terms, None) <= ACC_MAX or bytewise <= ACC_MAX:
            return terms, shift
        most = [
            max(ACC_MAX // max(self.reach(t.a) * self.reach(t.b), 1), ACC_MAX // BYTE_MAX**2)
            for t in terms
        ]
        parts = [part for t, n in zip(terms, most, strict=True) for part in pieces(t, n)]
        reaches = [self._reach_of_sum([part], None) for part in parts]
        bits = max((reach // PART_MAX).bit_length() for reach in reaches)
        summed = []
        for part, reach in zip(parts, reaches, strict=True):
            peak = (reach >> bits) + 1
            out = self.temporary("part", tuple(space), Affine(1.0, 0, -peak, peak))
            super().dot(out, space, [part], shift=bits, suffix="part")
            if self._node is not None and self._node.name in self._noisy:
                self.noise()
            read = self.read(out, rows(len(space)))
            summed.append(Term((), read, Const(2 ** max(bits - shift, 0))))
        return summed, max(shift - bits, 0)

    def _hold(
        self, out: Value, terms: Sequence[Term], mult: Operand, shift: int, bias: Operand | None
    ) -> None:
        assert self._node is not None
        assert isinstance(mult, Const)
        assert bias is None
        unit = out.code.scale * mult.value * 2.0**-shift
        self.slopes[self._node.output] = Slope(unit, tuple(terms), self._reach_of_sum(terms, None))

    def step_program(
        self, loss: str, scalars: Sequence[str], links: Sequence[StateLink]
    ) -> Program:
        """The program: rates (and data that is no data set's) in, the loss out."""
        data = [] if self._records is not None else self.graph.inputs
        names = [name for name in data if name not in self._parameters | self._draws]
        inputs = tuple(self._port("input", name) for name in (*names, *scalars))
        value = self.values[loss]
        if self._tensors[value.tensor].shape != (value.shape or (1,)):
            value = self._copied(loss, value)
        outputs = (replace(self._port("output", loss), name=LOSS),)
        self._flag({value.tensor, *self.decisive})
        return Program(
            name=port_name(self.graph.name) or "training step",
            tensors=tuple(self._tensors),
            tables=tuple(self._tables),
            ops=tuple(self._ops),
            inputs=inputs,
            outputs=outputs,
            states=tuple(sorted(links, key=lambda link: link.state)),
        )

    def served_program(self) -> Program:
        """The program of the model that was trained."""
        own = self._parameters.union(self._statistics)
        data = [name for name in self.graph.inputs if name not in own]
        outputs = self._outputs()
        self._flag({port.tensor for port in outputs})
        return Program(
            name=port_name(self.graph.name) or "model",
            tensors=tuple(self._tensors),
            tables=tuple(self._tables),
            ops=tuple(self._ops),
            inputs=tuple(self._port("input", name) for name in data),
            outputs=outputs,
        )

    def noise(self) -> None:
        """Round the last op stochastically: its fractions become chances."""
        op = self._ops[-1]
        assert isinstance(op, Dot)
        assert isinstance(op.shift, Const)
        bits = min(op.shift.value, NOISE_BITS)
        if op.table is not None or bits == 0:
            return
        held = tuple(op.space) or (1,)
        width = 1 if bits < NOISE_BITS else 2
        number = self._random(f"{op.name}/noise", held, width, 2**bits - 1)
        read = Read(number, held, rows(len(held)) if op.space else (at(),))
        self._ops[-1] = replace(op, rounding=read)


def pieces(term: Term, most: int) -> list[Term]:
    """Terms of at most so many products whose sum is this one."""
    if term.size <= most:
        return [term]
    axis = max(range(len(term.window)), key=lambda n: term.window[n])
    first = term.window[axis] // 2
    sizes = (first, term.window[axis] - first)
    halves = []
    for start, size in zip((0, first), sizes, strict=True):
        window = (*term.window[:axis], size, *term.window[axis + 1 :])
        halves.append(Term(window, *(_from(side, axis, start) for side in (term.a, term.b))))
    return [piece for half in halves for piece in pieces(half, most)]


def _from(operand: Operand, axis: int, start: int) -> Operand:
    """An operand whose window begins at this place of an axis."""
    if isinstance(operand, Const):
        return operand
    maps = tuple(
        replace(each, c=each.c + each.b * start) if each.k_axis == axis else each
        for each in operand.maps
    )
    return replace(operand, maps=maps)


def reduced(
    terms: Sequence[Term], mult: Operand, shift: int
) -> tuple[Sequence[Term], Operand, int]:
    """The same dot by the least shift: powers of two that all products have are not multiplied.

    The rounding stays the same: (2^t·acc + 2^(s−1)) >> s is (acc + 2^(s−t−1)) >> (s−t).
    """
    if isinstance(mult, Const) and mult.value:
        common = min(_twos(mult.value), shift)
        mult, shift = Const(mult.value >> common), shift - common
    factors_of = [term.b.value for term in terms if isinstance(term.b, Const)]
    if len(factors_of) == len(terms) and all(factors_of):
        common = min(shift, *(_twos(value) for value in factors_of))
        shift -= common
        terms = [
            replace(term, b=Const(value >> common))
            for term, value in zip(terms, factors_of, strict=True)
        ]
    return terms, mult, shift


def _twos(value: int) -> int:
    """How often two divides a number other than 0."""
    return (value & -value).bit_length() - 1


def state_layout(shape: tuple[int, ...], width: int) -> Layout:
    """States are read element by element: short leaves, each a few sponge blocks."""
    return layouts.matrix(shape, width)


def _reads(node: Node, name: str) -> bool:
    """Whether a node reads a parameter as more than its bias."""
    own = node.inputs[:2] if factors(node) else node.inputs
    return name in own


def _errors(graph: Graph, error: str) -> set[str]:
    """The values that follow from the gradient of the loss."""
    found = {error}
    for node in graph.nodes:
        if not found.isdisjoint(node.inputs):
            found.update(node.outputs)
    return found - {error}


def _behind_gradients(graph: Graph) -> set[str]:
    """Names of the nodes of the backward pass: gradients of parameters follow from them."""
    wanted, found = set(graph.outputs[1:]), set()
    for node in reversed(graph.nodes):
        if wanted.intersection(node.outputs):
            wanted.update(node.inputs)
            if node.name.startswith(PREFIX):
                found.add(node.name)
    return found
