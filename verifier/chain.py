"""Several receipts of one run: each goes on where the one before it has ended.

The links are equal roots. A receipt that continues a run begins with the step and the state that
the other ended with, under the same program, weights, data set, seed and nonce.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from .errors import ChainBroken, UsageError
from .journal import Journal
from .notebook import table
from .policy import Expectations
from .receipt import as_receipt, split_receipt
from .snark.verdict import VerifiedSnark
from .verified import BEGINS, Verified, counted, percent

Judge = Callable[[bytes, Expectations], Verified]

SAME = ("program_id", "weights_root", "dataset_root", "seed", "prf_seed", "nonce")
"""Fields of a statement that are the same in all receipts of a run."""


@dataclass(frozen=True)
class VerifiedRun:
    """Receipts that were judged and found good, each of which goes on where the last one ended.

    Attributes:
        receipts: the verdict on each.
    """

    receipts: tuple[Verified, ...]

    @property
    def first(self) -> int:
        """The step of the run that the first receipt begins with."""
        return self.receipts[0].facts.journal.first

    @property
    def steps(self) -> int:
        """Steps of all receipts."""
        return sum(each.facts.journal.steps for each in self.receipts)

    @property
    def bits(self) -> int:
        """Confidence in all receipts together: their errors are added up."""
        return bits_together([each.facts.headline_bits for each in self.receipts])

    @property
    def delta(self) -> float:
        """Bound on the wrong part of the compute of all steps: the largest of the receipts'."""
        return max(each.guarantee.delta for each in self.receipts)

    @property
    def final_state(self) -> str | None:
        """The digest of the state that the run ends in, in hexadecimal; None without states."""
        journal = self.receipts[-1].facts.journal
        return None if "final_state" in journal.absent else journal.final_state.hex()

    @property
    def start(self) -> str | None:
        """What the first receipt begins with (`verified.Run`); None where there are no states."""
        run = self.receipts[0].guarantee.run
        return None if run is None else run.start

    def sentence(self) -> str:
        """The verdict in one line."""
        last = self.first + self.steps - 1
        bound = f"wrong compute ≤ {percent(self.delta)} of that of all steps"
        if all(each.guarantee.complete for each in self.receipts):
            bound = "every gate of every step was checked"
        return (
            f"steps {self.first:,} to {last:,} in {counted(len(self.receipts), 'receipt')}, model "
            f"{self.receipts[0].facts.model_id.hex()[:8]}…, {BEGINS[self.start]}, {bound} "
            f"({counted(self.bits, 'bit')} for all receipts together)"
        )

    def __repr__(self) -> str:
        return f"VerifiedRun({self.sentence()})"

    def _repr_html_(self) -> str:
        rows = [("run", self.sentence()), ("final state", self.final_state or "none")]
        for number, each in enumerate(self.receipts):
            rows.append((f"receipt {number}", each.sentence()))
        return table("Verified run", rows)

    def to_json(self, most: int | None = None) -> dict[str, Any]:
        """Everything as one JSON-ready object; `most`: see `Verified.to_json`."""
        return {
            "first": self.first,
            "steps": self.steps,
            "bits": self.bits,
            "delta": self.delta,
            "start": self.start,
            "final_state": self.final_state,
            "sentence": self.sentence(),
            "receipts": [each.to_json(most) for each in self.receipts],
        }


def bits_together(bits: Sequence[int]) -> int:
    """The bits of claims of which none may fail: `−log2` of the sum of their errors, rounded down.

    >>> bits_together([100]), bits_together([100, 100]), bits_together([100, 120])
    (100, 99, 99)
    """
    error = sum(Fraction(1, 2**each) for each in bits)
    return max(0, (error.denominator // error.numerator).bit_length() - 1) if error < 1 else 0


def verify_run(receipts: Sequence[bytes], expectations: Expectations, judge: Judge) -> VerifiedRun:
    """Judge the receipts of one run, in their order.

    Args:
        receipts: one or more.
        expectations: what the caller means and demands of all of them: `initial_state` and the
            policy's `start` of the first one, the policy's `min_bits` of all together, too.
        judge: of a single receipt.

    Raises:
        ChainBroken: `verify.follows`, one does not go on where the one before has ended.
        UsageError: there are none, or inputs are expected of several.
        ZktallyError: what judging one of them raises.
    """
    if not receipts:
        raise UsageError("there are no receipts", expected="at least one", received=0)
    if len(receipts) > 1 and not (expectations.inputs is None and expectations.input_root is None):
        raise UsageError(
            "inputs of several receipts cannot be compared at once",
            expected="inputs of one receipt",
            received=f"{len(receipts)} receipts",
            hint="verify each of them by itself with its inputs, then all of them without",
        )
    verdicts: list[Verified] = []
    for receipt in receipts:
        expected = expectations
        if verdicts:
            expected = following(verdicts[-1].facts.journal, receipt, expectations)
        verdict = judge(receipt, expected)
        if isinstance(verdict, VerifiedSnark):
            raise UsageError(
                "a SNARK receipt is of one run and no chain",
                expected="receipts that go on with a state",
                received="a SNARK receipt",
                hint="verify it by itself",
            )
        verdicts.append(verdict)
    found = VerifiedRun(tuple(verdicts))
    expectations.policy.judge_bits(found.bits)
    return found


def following(before: Journal, receipt: bytes, expectations: Expectations) -> Expectations:
    """What is expected of a receipt that goes on where a verified one has ended.

    Args:
        before: the statement of the verified one.
        receipt: that goes on.
        expectations: of the run.

    Raises:
        ChainBroken: `verify.follows`; the message names what does not fit.
        MalformedReceipt, UnsupportedReceipt: it cannot be read.
        UsageError: another state is expected at its beginning.
    """
    journal = Journal.decode(split_receipt(as_receipt(receipt)).journal)
    _demand("first step", before.first + before.steps, journal.first)
    _demand("initial state", before.final_state, journal.initial_state)
    for name in SAME:
        _demand(name.replace("_", " "), getattr(before, name), getattr(journal, name))
    policy = replace(expectations.policy, start="any")
    return replace(expectations, policy=policy, initial_state=before.final_state, follows=True)


def _demand(what: str, expected: object, received: object) -> None:
    if expected != received:
        raise ChainBroken(
            f"a receipt does not go on where the one before has ended: another {what}",
            code="verify.follows",
            expected=_shown(expected),
            received=_shown(received),
            hint="give the receipts of one run in their order, without a gap",
        )


def _shown(value: object) -> object:
    if value is None:
        return "none"
    return value.hex() if isinstance(value, bytes) else value
