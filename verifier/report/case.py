"""What the page is about: one receipt, or those of a run; no receipt speaks for another one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from ..chain import VerifiedRun
from ..facts import STATUSES
from ..quoting import listed
from ..values import Values, inputs_of, outputs_of
from ..verified import Guarantee, Verified
from .exposure import Exposure


@dataclass(frozen=True)
class Case:
    """What the sections speak of: the receipts of a run, judged and found good.

    What is said of all of them holds of the worst one.
    """

    names: tuple[str, ...]
    run: VerifiedRun
    exposures: tuple[Exposure, ...]
    outputs: list[Values]
    inputs: list[Values]

    @classmethod
    def of(cls, receipts: Sequence[bytes], names: tuple[str, ...], run: VerifiedRun) -> Case:
        """From receipts and the verdicts on them."""
        return cls(
            names,
            run,
            tuple(map(Exposure.of, receipts)),
            outputs_of(receipts, run.receipts),
            inputs_of(receipts),
        )

    @property
    def first(self) -> Verified:
        """The verdict on the first receipt; what is the same in all is read from it."""
        return self.run.receipts[0]

    @property
    def guarantees(self) -> tuple[Guarantee, ...]:
        """What each receipt promises."""
        return tuple(each.guarantee for each in self.run.receipts)

    @property
    def itemised(self) -> bool:
        """Whether the program, which is the same in all, has items."""
        return self.first.guarantee.itemised

    @property
    def modes(self) -> list[str]:
        """The modes of the receipts, each once."""
        return list(dict.fromkeys(each.facts.mode for each in self.run.receipts))

    @property
    def statuses(self) -> list[str]:
        """Of the outputs, each once, from the best to the worst."""
        found = {each.status for each in self.outputs}
        if not self.publishes:
            found = {status for each in self.guarantees for status in each.outputs.values()}
        return [status for status in STATUSES if status in found]

    @property
    def publishes(self) -> bool:
        """Whether all receipts state their outputs."""
        return all(each.outputs_public for each in self.guarantees)

    @property
    def delta_step(self) -> float | None:
        """Bound that holds for every single step of all receipts."""
        return _largest([each.delta_step for each in self.guarantees])

    @property
    def delta_op(self) -> float | None:
        """Bound that holds for every single op of each receipt."""
        return _largest([each.delta_op for each in self.guarantees])

    @property
    def chosen(self) -> list[str]:
        """What the prover chose in any of the receipts."""
        return list(dict.fromkeys(n for each in self.guarantees for n in each.pins.prover_chosen))

    def alike(self, of: Callable[[Verified], Hashable]) -> list[tuple[str, Verified]]:
        """The receipts, those of which something is the same taken together.

        Returns:
            For each kind the names of its files, empty where all are of one; and one of them.
        """
        kinds: dict[Hashable, list[int]] = {}
        for number, each in enumerate(self.run.receipts):
            kinds.setdefault(of(each), []).append(number)
        named = len(kinds) > 1
        return [
            (listed(self.names[n] for n in numbers) if named else "", self.run.receipts[numbers[0]])
            for numbers in kinds.values()
        ]

    @property
    def several(self) -> bool:
        """Whether there are more receipts than one."""
        return len(self.run.receipts) > 1

    @property
    def complete(self) -> bool:
        """Whether every value of every step was checked."""
        return all(each.complete for each in self.exposures)

    @property
    def work(self) -> int:
        """Multiply-accumulates that count, of all receipts."""
        return int(sum(each.work for each in self.exposures))

    @property
    def unit(self) -> str:
        """What the work is counted in."""
        return "multiply-accumulates" if self.exposures[0].multiplies else "operations"

    @property
    def items(self) -> int:
        """Real items of all receipts."""
        return sum(each.guarantee.items for each in self.run.receipts)


def _largest(bounds: Sequence[float | None]) -> float | None:
    """The largest of the bounds; none where one is missing."""
    known = [bound for bound in bounds if bound is not None]
    return max(known) if len(known) == len(bounds) else None
