"""How accurate a program must be, and the fewest values of 16 bits with which it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from ..verifier.errors import UsageError
from ..verifier.quoting import quoted
from .bits import INT8, Bits
from .errors import Inaccurate
from .evaluate import Fidelity
from .fit import widened
from .sensitivity import Rounding
from .wording import counted, floored

Precision = Literal["int8", "int16", "auto"]
PRECISIONS = ("int8", "int16", "auto")

MIN_SQNR = 20.0
"""dB of an output: errors of a tenth of what the output says."""

MIN_AGREEMENT = 0.8
"""Equal classes. Networks that classify keep far more; what is below answers another question."""

MARGIN = 3.0
"""dB by which the search for bits aims higher: held-back samples are few, and others are worse."""

LISTED = 5
"""Layers that a refusal names."""

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """What a caller of `compile` wants of accuracy.

    Raises:
        UsageError: an unknown precision, a number outside its range.
    """

    precision: Precision = "auto"
    target_sqnr: float | None = None
    max_drop: float | None = None
    min_sqnr: float = MIN_SQNR
    min_agreement: float = MIN_AGREEMENT
    force: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError("unknown precision", expected=PRECISIONS, received=self.precision)
        _ = self.goal  # judges the numbers

    @property
    def goal(self) -> Goal:
        """What bits are added for."""
        sqnr = self.min_sqnr if self.target_sqnr is None else self.target_sqnr
        return Goal(max(sqnr, self.min_sqnr), self.min_agreement, self.max_drop)

    def refuse_untestable(self, found: Fidelity) -> None:
        """Refuse a limit for what the model does not have.

        Raises:
            UsageError: points may be lost, but no output has classes.
        """
        if self.max_drop is not None and found.top1 is None and found.accuracy is None:
            raise UsageError(
                "a largest drop is given, but no output of the model has classes",
                expected="an output of class indices, or of scores along a last axis of at least "
                "two",
                hint="ask for dB by target_sqnr",
            )


@dataclass(frozen=True)
class Goal:
    """What integers must reach on the data that they are compared with floats on.

    Args:
        sqnr: least dB of every output of floats, its variance over the noise.
        agreement: least share of equal classes of every output that has classes, but for one row.
        drop: most points that the accuracy may lose, where labels are given, or that the agreement
            may lack to 100 %, where not; None: any.

    Raises:
        UsageError: a number outside its range.
    """

    sqnr: float = MIN_SQNR
    agreement: float = MIN_AGREEMENT
    drop: float | None = None

    def __post_init__(self) -> None:
        drop = 0.0 if self.drop is None else self.drop
        if math.isnan(self.sqnr) or not 0.0 <= self.agreement <= 1.0 or not 0.0 <= drop <= 100.0:
            raise UsageError(
                "the accuracy asked for is out of range",
                expected="a number of dB, an agreement between 0 and 1, points from 0 to 100",
                received=self,
            )

    def raised(self) -> Goal:
        """With `MARGIN` more dB."""
        return replace(self, sqnr=self.sqnr + MARGIN)

    def holds(self, found: Fidelity) -> bool:
        """Whether these figures reach it."""
        return not self.missed(found)

    def missed(self, found: Fidelity) -> list[str]:
        """What these figures lack, in words."""
        lacking = []
        if found.output_sqnr < self.sqnr:
            lacking.append(
                f"an output has {floored(found.output_sqnr, 1)} dB, not {self.sqnr:g} dB"
            )
        for name, share in found.agreement.items():
            if share + 1 / max(found.samples, 1) < self.agreement:
                lacking.append(
                    f"output {quoted(name)} has {floored(share, 4):.2%} of the floats' classes, "
                    f"not {self.agreement:.0%}"
                )
        lost = self._lost(found)
        if self.drop is not None and lost > self.drop / 100 + 1e-12:
            lacking.append(f"{100 * lost:.2f} points are lost, not {self.drop:g} at most")
        return lacking

    def _lost(self, found: Fidelity) -> float:
        if found.accuracy is not None:
            return found.accuracy[0] - found.accuracy[1]
        return 0.0 if found.top1 is None else 1.0 - found.top1


@dataclass(frozen=True)
class Tried(Generic[T]):
    """A program with these bits, and how close it is."""

    bits: Bits
    made: T
    fidelity: Fidelity


def search(
    first: Tried[T],
    goal: Goal,
    attempt: Callable[[Bits], Tried[T]],
    order: Callable[[], Sequence[Rounding]],
) -> Tried[T]:
    """The first program if it is close enough, else one with the fewest values of 16 bits that is.

    The worst roundings come first, so only their number is searched for, by halving. If even 16
    bits everywhere do not reach the goal, the closest program that was tried is returned.
    """
    if goal.holds(first.fidelity):
        return first
    roundings = order()
    best = all_wide = attempt(prefix(roundings, len(roundings)))
    goal = goal.raised()
    if not goal.holds(all_wide.fidelity):
        closer = all_wide.fidelity.output_sqnr > first.fidelity.output_sqnr
        return all_wide if closer else first
    low, high, middle = 0, len(roundings), _guess(roundings, goal)
    while high - low > 1 + len(roundings) // 64:
        if not low < middle < high:
            middle = (low + high) // 2
        tried = attempt(prefix(roundings, middle))
        if goal.holds(tried.fidelity):
            best, high = tried, middle
        else:
            low = middle
        middle = (low + high) // 2
    return best


def prefix(roundings: Sequence[Rounding], count: int) -> Bits:
    """16 bits for what is rounded worst."""
    if not count:
        return INT8
    chosen = roundings[:count]
    return widened(
        (each.name for each in chosen if not each.weights),
        (each.name for each in chosen if each.weights),
    )


def _guess(roundings: Sequence[Rounding], goal: Goal) -> int:
    """After so many the noise that is left should be below the goal, if noises add up."""
    left, most = sum(each.noise for each in roundings), 10.0 ** (-goal.sqnr / 10)
    for count, each in enumerate(roundings):
        if left <= most:
            return count
        left -= each.noise
    return len(roundings)


def refuse(goal: Goal, found: Fidelity, basis: str) -> None:
    """Raise where figures do not reach the goal.

    Raises:
        Inaccurate: `compile.inaccurate`, with the worst layers.
    """
    missed = goal.missed(found)
    if not missed:
        return
    noisy = sorted(found.sqnr.items(), key=lambda item: item[1])[:LISTED]
    layers = [f"layer {quoted(name)} has {floored(noise, 1)} dB" for name, noise in noisy]
    clipped = sorted(found.saturated.items(), key=lambda item: -item[1])[:LISTED]
    layers += [
        f"{share:.2%} of the values of {quoted(name)} lie outside of its calibrated range"
        for name, share in clipped
        if share >= 0.001
    ]
    raise Inaccurate(
        f"on {counted(found.samples)} ({basis}) the integers do not do what the floats do: "
        + "; ".join(missed)
        + "".join(f"\n  {line}" for line in layers),
        expected=f"outputs of {goal.sqnr:g} dB and {goal.agreement:.0%} of equal classes",
        hint="calibrate on more data of the kind that is used, try --method mse, or say what is "
        "accepted with --min-sqnr and --min-agreement; --force compiles it as it is",
    )
