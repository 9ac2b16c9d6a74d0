"""What δ means for one receipt, in numbers: how much, and with which probability it would be seen.

All of it follows from the statement and the rules of docs/protocol.md section 5; docs/soundness.md
says why. Samples count as uniform and independent, as the seed makes them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from ..journal import Journal
from ..program.checked import load
from ..program.types import Dot, gates
from ..receipt import split_receipt
from ..sampling import MILLION, Counts

SHARES = (Fraction(1), Fraction(1, 10), Fraction(1, 100), Fraction(1, 1000))
"""Parts of δ for which the probability to be seen is told."""


@dataclass(frozen=True)
class OpExposure:
    """One op of the program, over all steps of a receipt.

    Attributes:
        name: of the op.
        values: how many values it gives in all steps, padding among them.
        checked: how many different ones are recomputed, in expectation; all where `complete`.
        complete: whether all of them are.
        single: probability that a single wrong value of it is seen, wherever it stands; the least
            of all steps.
    """

    name: str
    values: int
    checked: float
    complete: bool
    single: float


@dataclass(frozen=True)
class Exposure:
    """What can be wrong in a receipt, and what is seen of it."""

    counts: Counts

    @classmethod
    def of(cls, receipt: bytes) -> Exposure:
        """The exposure of a receipt that was judged and found good."""
        sections = split_receipt(receipt)
        journal = Journal.decode(sections.journal)
        return cls(Counts(load(bytes(sections.program)), journal))

    @property
    def journal(self) -> Journal:
        """The statement."""
        return self.counts.claim

    @property
    def complete(self) -> bool:
        """Whether every value of every step is checked."""
        return all(self.counts.enumerated)

    @property
    def multiplies(self) -> bool:
        """Whether δ counts multiply-accumulates; otherwise what a gate reads is one operation."""
        return any(isinstance(op, Dot) for op in self.counts.checked.program.ops)

    @property
    def work(self) -> Fraction:
        """Multiply-accumulates that count, in all steps: the share of the real items of a step."""
        return Fraction(
            self.journal.items * self.counts.checked.live_macs, self.counts.checked.program.batch
        )

    @property
    def most_wrong(self) -> int:
        """Of these, how many can be wrong within δ."""
        return 0 if self.complete else math.floor(self.work * self.delta)

    @property
    def delta(self) -> Fraction:
        """δ of the whole chain."""
        return Fraction(self.journal.delta_ppm, MILLION)

    def seen(self, share: Fraction) -> float:
        """Least probability that so large a wrong part of the work is seen, from 0 to 1.

        A wrong part f of the work carries at least the share f·M·items/(W·slots) of the weight, and
        each of the s draws by weight falls into it with that probability.
        """
        if self.complete:
            return 1.0
        weight = self.counts.slots * self.counts.checked.weights.step_weight
        part = share * self.journal.items * self.counts.checked.live_macs / weight
        return _some(self.counts.samples, part)

    @cached_property
    def ops(self) -> tuple[OpExposure, ...]:
        """Every op of the program."""
        return tuple(map(self._op, range(len(self.counts.checked.program.ops))))

    @property
    def single(self) -> tuple[float, float]:
        """Probability that one wrong value is seen, where only samples are taken: least, most."""
        found = [op.single for op in self.ops if not op.complete]
        return (min(found), max(found)) if found else (1.0, 1.0)

    def _op(self, number: int) -> OpExposure:
        op, steps = self.counts.checked.program.ops[number], self.journal.steps
        count, complete = gates(op), self.counts.enumerated[number]
        last = self.seen_once(number, last=True)
        other = self.seen_once(number, last=False) if steps > 1 else last
        return OpExposure(
            name=op.name,
            values=steps * count,
            checked=count * ((steps - 1) * other + last),
            complete=complete,
            single=min(other, last),
        )

    def seen_once(self, number: int, *, last: bool) -> float:
        """Probability that a given gate of an op is checked, in the last step or in another one.

        It is drawn by its weight out of the chain, by its weight out of its step where a bound per
        step is claimed, and evenly out of all gates of its op.
        """
        counts = self.counts
        if counts.enumerated[number]:
            return 1.0
        steps, op = self.journal.steps, counts.checked.program.ops[number]
        weight = counts.checked.weights.weight[number]
        step_weight = counts.checked.weights.step_weight
        in_step = counts.samples_of_last_step if last else counts.samples_per_step
        return _any(
            (counts.samples, Fraction(weight, steps * step_weight)),
            (in_step, Fraction(weight, step_weight)),
            (counts.even[number], Fraction(1, steps * gates(op))),
        )


def _some(draws: int, part: Fraction) -> float:
    return _any((draws, part))


def _any(*drawn: tuple[int, Fraction]) -> float:
    """Probability that one of so many draws at least hits, each with its own probability."""
    missed = 0.0
    for draws, part in drawn:
        if draws and part >= 1:
            return 1.0
        missed += draws * math.log1p(-float(part))
    return -math.expm1(missed)
