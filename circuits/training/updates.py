"""Optimisers in integers: how the states of a step become those of the next.

Every sum counts in units in which its products are whole, so that a state's unit is a power of two
of them; its last bits are rounded stochastically, and small steps are not lost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...verifier.program.ranges import ACC_MAX, Q_MAX
from ...verifier.program.types import Const, Operand, StateLink, Term
from ..builder import ONE, Range, Value
from ..graph import Node
from ..maps import at, rows
from ..quantise import Affine, multiplier
from .integers import MARGIN, MASTER, Slope, StepBuilder
from .layers import Statistic
from .optimisers import DECAY, RATE, SGD, Adam, Optimiser, state_name

VELOCITY = 2**15 - 1
KEPT_BITS, KEPT_MOST = range(5, 9), 14
"""Bits of a factor such as 0.9. A velocity counts in so much coarser units than its gradients, so
there are no more of them than its range or its factor asks for."""
FINER, SUM_MOST = KEPT_BITS[-1], 2**26
"""So many bits are put behind a gradient that is no product, which has none to lose, if the sum
stays below that."""
KEPT_NEAR = 0.02
"""A factor may be off by this share of what it is less than 1."""
AVERAGE_BITS = range(5, 15)
"""Bits of the share that a running statistic keeps."""
RATE_PEAK = 2**22
RATE_MOST, RATE_LEAST = 16000, 256
"""What a learning rate is multiplied by has so many steps at most, and at the highest rate so many
at least: else the sum is taken in bytes, where there is room for more."""
DIRECT, FINEST = 7, 20
"""Bits that a master gets behind its own in a sum: in an accumulator, and in bytes."""
MOVED_MOST = (Q_MAX - MASTER) // 2 - 4
"""A step moves a master by so many of its units at most, by each of two sums."""
GRADIENT_BITS = 12
"""Of what is squared."""
SQUARE = 2**22
ROOT_FACTOR, ROOT_ZERO = 64, 8
"""r = √(64·square) + 8: the 8 keep quotients finite, as epsilon does."""
QUOTIENT = 256
RATIO_MOST = 4.0
"""|mean| / √square is at most 2.3 for Adam's usual factors."""


@dataclass(frozen=True)
class Updated:
    """The states of a step: links, and the code of each state by name."""

    links: tuple[StateLink, ...]
    codes: Mapping[str, Affine]


class Updates:
    """Appends the optimiser to a step.

    Args:
        builder: of the step, its gradients lowered.
        optimiser: which one.
        ranges: by the optimiser's state, and by gradient, from the rehearsal.
        rates: the highest learning rate of a run (bias correction included), the highest decay.
    """

    def __init__(
        self,
        builder: StepBuilder,
        optimiser: Optimiser,
        ranges: Mapping[str, Range],
        rates: tuple[float, float],
    ) -> None:
        self._builder, self._optimiser, self._ranges = builder, optimiser, ranges
        self._rate = self._scalar(RATE, rates[0])
        self._decay = self._scalar(DECAY, rates[1]) if _decays(optimiser) else None
        self._factors: dict[tuple[str, float], Operand] = {}
        self._links: list[StateLink] = []
        self._codes: dict[str, Affine] = {}

    def _scalar(self, name: str, most: float) -> Value:
        return self._builder.scalar(name, Affine((most or 1.0) / RATE_PEAK, 0, 0, RATE_PEAK))

    def all(self, gradients: Mapping[str, str], statistics: Sequence[Statistic] = ()) -> Updated:
        """Every parameter by its gradient, and the running statistics."""
        for each in statistics:
            node = Node(f"average {each.name}", "average", (each.batch,), (each.name,))
            with self._builder.layer(node, None):
                self._average(each)
        for parameter, gradient in gradients.items():
            node = Node(f"update {parameter}", "update", (parameter, gradient), (parameter,))
            with self._builder.layer(node, None):
                if isinstance(self._optimiser, Adam):
                    self._adam(self._optimiser, parameter, gradient)
                else:
                    assert isinstance(self._optimiser, SGD)
                    self._sgd(self._optimiser, parameter, gradient)
        return Updated(tuple(self._links), dict(self._codes))

    def _average(self, statistic: Statistic) -> None:
        """R' = kept·r + (1 − kept)·batch, by factors whose sum is 1."""
        builder, name, shape = self._builder, statistic.name, statistic.start.shape
        batch = builder.values[statistic.batch]
        code = builder.statistic_code(name)
        before, after = self._linked(name, shape, code)
        bits = next((n for n in AVERAGE_BITS if _near(statistic.kept, n)), AVERAGE_BITS[-1])
        factor = min(round(statistic.kept * 2**bits), 2**bits - 1)
        finer = round(math.log2(batch.code.scale / code.scale))
        more = max(-finer, 0)
        terms = [
            Term((), builder.read(before, rows(1)), Const(factor << more)),
            Term(
                (),
                builder.read(batch, rows(1), view=shape),
                Const((2**bits - factor) << (more + finer)),
            ),
        ]
        builder.dot(after, shape, terms, shift=bits + more, suffix="averaged")
        builder.noise()

    # Gradient descent

    def _sgd(self, sgd: SGD, parameter: str, gradient: str) -> None:
        slope = self._builder.slope(gradient)
        if sgd.weight_decay:
            slope = self._decayed(sgd.weight_decay, parameter, slope)
        if not sgd.momentum:
            self._move(parameter, [(self._held(parameter, gradient, slope), 1.0)])
            return
        pulls: list[tuple[Value, float]] = []
        if sgd.nesterov or slope.reach > ACC_MAX // 2:
            held = self._held(parameter, gradient, slope)
            slope = self._builder.slope_of(held)
            pulls = [(held, 1.0)]
        velocity, by = self._velocity(sgd.momentum, parameter, "velocity", slope)
        if sgd.nesterov:
            self._move(parameter, [*pulls, (velocity, sgd.momentum * by)])
        else:
            self._move(parameter, [(velocity, by)])

    def _velocity(
        self, kept: float, parameter: str, kind: str, slope: Slope
    ) -> tuple[Value, float]:
        """V' = kept·V + slope; and what makes up for a factor that is not quite that."""
        slope = finer(slope)
        name, builder = state_name(parameter, kind), self._builder
        reach = MARGIN * _reach(self._ranges[name])
        least = math.log2(reach / (VELOCITY * slope.unit)) if reach > 0.0 else 0.0
        shift = min(max(math.ceil(least), kept_bits(kept)), KEPT_MOST)
        factor = min(round(kept * 2**shift), 2**shift - 1)
        unit = slope.unit * 2.0**shift
        peak = min(VELOCITY, (ACC_MAX - slope.reach) // factor, self._most(parameter, unit))
        code = Affine(unit, 0, -peak, peak)
        shape = builder.graph.shapes[parameter]
        before, after = self._linked(name, shape, code)
        own = Term((), builder.read(before, rows(len(shape))), Const(factor))
        builder.dot(after, shape or (1,), [*slope.terms, own], shift=shift, suffix=kind)
        builder.noise()
        return after, (1.0 - factor * 2.0**-shift) / (1.0 - kept)

    def _most(self, parameter: str, unit: float) -> int:
        """The largest integer of this unit by which a parameter can move at the highest rate."""
        ratio = unit * self._rate.code.reach / self._builder.masters[parameter].code.scale
        return max(math.floor(MOVED_MOST / ratio), 1)

    def _decayed(self, decay: float, parameter: str, slope: Slope) -> Slope:
        """The slope with decay·parameter added, in its own units."""
        builder, master = self._builder, self._builder.masters[parameter]
        ratio = decay * master.code.scale / slope.unit
        peak = math.ceil(MASTER * ratio) + 1
        part = builder.temporary("decay", master.shape, Affine(slope.unit, 0, -peak, peak))
        number, shift = multiplier(parameter, ratio)
        builder.rounded(part, [(master, number)], shift, "decay")
        builder.noise()
        term = Term((), builder.read(part, rows(len(part.shape))), ONE)
        return Slope(slope.unit, (*slope.terms, term), slope.reach + peak)

    def _held(self, parameter: str, gradient: str, slope: Slope) -> Value:
        """The slope as a value of 16 bits."""
        builder, shape = self._builder, self._builder.graph.shapes[parameter]
        (term,) = slope.terms[:1]
        if len(slope.terms) == 1 and not term.window and term.b == ONE:
            return Value(_tensor_of(slope), shape, Affine(slope.unit, 0, -1, 1))
        span = MARGIN * _reach(self._ranges[gradient]) / (VELOCITY * slope.unit)
        fits = max(math.ceil(math.log2(span)) if span > 0.0 else 0, 0)
        shift = max(fits, (slope.reach // (Q_MAX - 1)).bit_length())
        unit = slope.unit * 2.0**shift
        peak = min(VELOCITY, self._most(parameter, unit))
        code = Affine(unit, 0, -peak, peak)
        out = builder.temporary("slope", shape, code)
        builder.dot(out, shape or (1,), slope.terms, shift=shift, suffix="slope")
        builder.noise()
        return out

    # Adam

    def _adam(self, adam: Adam, parameter: str, gradient: str) -> None:
        builder, shape = self._builder, self._builder.graph.shapes[parameter]
        held = self._held(parameter, gradient, builder.slope(gradient))
        slope = builder.slope_of(held)
        mean, more = self._velocity(adam.beta1, parameter, "mean", slope)
        square = self._square(adam.beta2, parameter, gradient, held)
        each, space = rows(len(shape)), shape or (1,)
        top = math.isqrt(square.code.hi * ROOT_FACTOR) + ROOT_ZERO
        root = builder.temporary("root", shape, Affine(1.0, ROOT_ZERO, ROOT_ZERO, top))
        builder.root(root, space, ROOT_FACTOR, builder.read(square, each), suffix="root")
        scale = mean.code.scale / math.sqrt(square.code.scale) * math.sqrt(ROOT_FACTOR)
        factor = QUOTIENT
        while factor > 1 and RATIO_MOST * factor / scale > VELOCITY:
            factor //= 2
        peak = min(max(math.ceil(RATIO_MOST * factor / scale), 1), VELOCITY)
        ratio = builder.temporary("ratio", shape, Affine(scale / factor, 0, -peak, peak))
        below = builder.read(root, each, raw=True)
        builder.quotient(ratio, space, factor, builder.read(mean, each), below, "ratio")
        by = more * (1.0 - adam.beta1) / math.sqrt(1.0 - adam.beta2)
        self._move(parameter, [(ratio, by)], self._lost(parameter) if adam.weight_decay else None)

    def _square(self, kept: float, parameter: str, gradient: str, held: Value) -> Value:
        """S' = kept·S + g², g of 12 bits."""
        builder, shape = self._builder, held.shape
        name, space, each = state_name(parameter, "square"), shape or (1,), rows(len(shape))
        peak = 2 ** (GRADIENT_BITS - 1) - 1
        reach = MARGIN * _reach(self._ranges[gradient])
        more = max(math.ceil(math.log2(reach / (peak * held.code.scale))) if reach else 0, 0)
        code = Affine(held.code.scale * 2.0**more, 0, -peak, peak)
        coarse = builder.temporary("coarse", shape, code)
        builder.dot(
            coarse, space, [Term((), builder.read(held, each), ONE)], shift=more, suffix="coarse"
        )
        builder.noise()
        shift = max(math.ceil(-math.log2(1.0 - kept)), 1)
        factor = min(round(kept * 2**shift), 2**shift - 1)
        unit = Affine(code.scale**2 * 2.0**shift, 0, 0, SQUARE)
        before, after = self._linked(name, shape, unit)
        source = builder.read(coarse, each)
        terms = [
            Term((), source, source),
            Term((), builder.read(before, each), Const(factor)),
        ]
        builder.dot(after, space, terms, shift=shift, suffix="square")
        builder.noise()
        return after

    def _lost(self, parameter: str) -> Value:
        """What of a parameter decays in this step, in its own units."""
        builder, master = self._builder, self._builder.masters[parameter]
        assert self._decay is not None
        most = self._decay.code.reach
        peak = min(math.ceil(MASTER * most) + 1, MASTER)
        part = builder.temporary("decay", master.shape, Affine(master.code.scale, 0, -peak, peak))
        each, space = rows(len(master.shape)), master.shape or (1,)
        shift = max(math.floor(math.log2(RATE_MOST / most)), 0) if most > 0.0 else 14
        by = self._factor(self._decay, 2.0**shift)
        builder.dot(
            part, space, [Term((), builder.read(master, each), by)], shift=shift, suffix="decay"
        )
        builder.noise()
        return part

    # What both end with

    def _move(
        self, parameter: str, pulls: list[tuple[Value, float]], lost: Value | None = None
    ) -> None:
        """P' = p − rate·Σ by·value (and what is lost); `pulls` are the values, each with its by."""
        builder, master = self._builder, self._builder.masters[parameter]
        each, shape = rows(len(master.shape)), master.shape
        most = self._rate.code.reach
        ratios = [by * value.code.scale / master.code.scale for value, by in pulls]
        bits = _bits(most * max(ratios))
        terms = [Term((), builder.read(master, each), Const(2**bits))]
        for (value, _), ratio in zip(pulls, ratios, strict=True):
            factor = self._factor(self._rate, ratio * 2.0**bits)
            terms.append(Term((), builder.read(value, each), factor))
        if lost is not None:
            terms.append(Term((), builder.read(lost, each), Const(-(2**bits))))
        before, after = master, builder.following(f"next {parameter}", shape, master.code)
        self._link(parameter, before, after)
        builder.dot(after, shape or (1,), terms, shift=bits, suffix="moved")
        builder.noise()

    def _factor(self, rate: Value, ratio: float) -> Operand:
        """−ratio·rate as an integer, made once for all parameters that need the same."""
        key = self._builder.tensor_name(rate), ratio
        if key not in self._factors:
            builder = self._builder
            peak = math.ceil(rate.code.reach * ratio) + 1
            out = builder.temporary("rate", (1,), Affine(1.0 / ratio, 0, -peak, 0))
            number, shift = multiplier("rate", ratio * rate.code.scale)
            builder.dot(
                out, (1,), [Term((), builder.read(rate, (at(),)), Const(-number))], shift=shift,
                suffix="rate",
            )  # fmt: skip
            builder.decisive.add(out.tensor)
            self._factors[key] = builder.read(out, (at(),))
        return self._factors[key]

    def _linked(self, name: str, shape: tuple[int, ...], code: Affine) -> tuple[Value, Value]:
        before = self._builder.state(name, shape, code)
        after = self._builder.following(f"next {name}", shape, code)
        self._link(name, before, after)
        return before, after

    def _link(self, name: str, before: Value, after: Value) -> None:
        self._links.append(StateLink(before.tensor, after.tensor))
        self._codes[name] = before.code


def finer(slope: Slope) -> Slope:
    """The same sum in finer units, where all that is summed is multiplied by constants."""
    factors = [term.b.value for term in slope.terms if isinstance(term.b, Const)]
    if len(factors) < len(slope.terms):
        return slope
    bits = min(FINER, max((SUM_MOST // max(slope.reach, 1)).bit_length() - 1, 0))
    terms = tuple(
        replace(term, b=Const(factor * 2**bits))
        for term, factor in zip(slope.terms, factors, strict=True)
    )
    return Slope(slope.unit * 2.0**-bits, terms, slope.reach * 2**bits)


def kept_bits(kept: float) -> int:
    """The fewest bits of a factor below 1 that are near it."""
    return next((bits for bits in KEPT_BITS if _near(kept, bits)), KEPT_BITS[-1])


def _near(kept: float, bits: int) -> bool:
    return bool(abs(round(kept * 2**bits) * 2.0**-bits - kept) <= KEPT_NEAR * (1.0 - kept))


def _bits(largest: float) -> int:
    """Bits behind a master's own: so many that rates are fine, and no more than there is room."""
    room = [bits for bits in range(FINEST + 1) if largest * 2.0**bits <= RATE_MOST]
    direct = min(max(room, default=0), DIRECT)
    return direct if largest * 2.0**direct >= RATE_LEAST else max(room, default=0)


def _decays(optimiser: Optimiser) -> bool:
    return isinstance(optimiser, Adam) and optimiser.weight_decay > 0.0


def _reach(span: Range) -> float:
    return max(-span[0], span[1])


def _tensor_of(slope: Slope) -> int:
    (term,) = slope.terms
    assert not isinstance(term.a, Const)
    return term.a.tensor
