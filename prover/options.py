"""How a receipt is made: nothing of it shows in what the receipt claims."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..verifier.errors import UsageError
from ..verifier.profiles import FOLDABLE, NAMES, SMALL, STANDARD, SUCCINCT
from .progress import Progress, silent
from .work import Work
from .workers.options import ALONE, Workers


def profile_of(small: bool, foldable: bool, succinct: bool = False) -> int:
    """The profile of the proofs, by number (docs/stark.md section 8).

    Raises:
        UsageError: several are asked for.
    """
    chosen = {SMALL: small, FOLDABLE: foldable, SUCCINCT: succinct}
    asked = [profile for profile, wanted in chosen.items() if wanted]
    if len(asked) > 1:
        raise UsageError(
            "a receipt has one profile",
            expected="one of small, foldable and succinct",
            received=" and ".join(NAMES[profile] for profile in asked),
            hint="foldable is about as small as small, and succinct is made of foldable",
        )
    return asked[0] if asked else STANDARD


@dataclass(frozen=True)
class ProverOptions:
    """What the maker of a receipt chooses beside its claims.

    Attributes:
        small: not in fast mode: a smaller receipt for more time and memory.
        foldable: not in fast mode: a receipt whose proofs can be verified inside a proof, for more
            time; not with `small`, which it is besides.
        succinct: not in fast mode: a foldable receipt, folded at the end: one proof that all its
            proofs verify; with neither of the two.
        work: not in fast mode: a new folder to prove in, so that the proof can be resumed.
        reveal: agree that a fast receipt opens private weights and records in the clear.
        progress: called as progress(phase, done, total).
        workers: not in fast mode: who proves the segments.
        outputs_file: of a receipt that hides its outputs: a file for what it takes to show those of
            single steps later; without one, nobody can.
    """

    small: bool = False
    work: str | Path | None = None
    reveal: bool = False
    progress: Progress = silent
    workers: Workers = ALONE
    foldable: bool = False
    succinct: bool = False
    outputs_file: str | Path | None = None

    def __post_init__(self) -> None:
        profile_of(self.small, self.foldable, self.succinct)

    @property
    def profile(self) -> int:
        """Of the proofs, by number."""
        return profile_of(self.small, self.foldable, self.succinct)

    def new_folder(self) -> Work | None:
        """The folder to prove in, where there shall be one.

        Raises:
            UsageError: it cannot be made, or is not empty.
        """
        return None if self.work is None else Work.create(self.work)


DEFAULTS = ProverOptions()
