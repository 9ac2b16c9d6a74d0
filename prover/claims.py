"""What a prover claims in a receipt, checked before any work is done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..circuits.arguments import names_of, shown, whole
from ..verifier.errors import UnsupportedReceipt, UsageError
from ..verifier.journal import MAX_BITS, MAX_PPM, MODES, OWN, ROOT, ZERO_DIGEST, Journal
from ..verifier.labels import Labels
from ..verifier.policy import parts_per_million
from ..verifier.program.checked import Checked
from ..verifier.quoting import listed
from ..verifier.sampling import Counts

InputVisibility = Literal["private", "checkable", "public"]
OutputVisibility = Literal["published", "hidden"]
USUAL_DELTA = 0.05
USUAL_BITS = {"fast": 128, "hybrid": 102, "strict": 0}
"""λ by mode where the caller names none: with the STARK's error beside it, 100 bits are left; a
strict receipt samples nothing."""

USUAL_DELTA_OP = (10_000, 20_000, 50_000, 100_000, 200_000, 500_000)
"""Bounds on single ops that are claimed where the caller names none: the first that costs at most
as many checks again as all other claims together, in parts per million (ADR 18)."""


STATED = b"\0"
"""What stands in a draft for outputs that are not known yet."""


def usual_bits(mode: str) -> int:
    """λ of a receipt of this mode where the caller names none.

    Raises:
        UnsupportedReceipt: a mode that this release does not make.
    """
    if mode not in USUAL_BITS:
        raise UnsupportedReceipt(
            f"mode {mode} cannot be proven by this release",
            code="receipt.unsupported-mode",
            expected=" or ".join(USUAL_BITS),
            received=mode,
        )
    return USUAL_BITS[mode]


@dataclass(frozen=True)
class Claims(Labels):
    """What the prover of a receipt states.

    A strict receipt checks every gate: it has no claims about samples.

    Args:
        mode: "fast", "hybrid" or "strict".
        delta: bound on the wrong fraction of the chain's compute, 1e-6 to 0.5; None for 5 %.
        delta_step: the same for every single step, or None for no such bound.
        delta_op: bound on the wrong gates of any single op, 1e-6 to 0.5, or None; "usual" is the
            strongest of 1, 2, 5, 10, 20 and 50 % that at most doubles the checks, if any.
        bits: λ, confidence of the sampling in bits, 1 to 256; None for what is usual in the mode.
        exact: names of ops whose every gate is checked, beyond those the program flags; or "all".
        visibility: of the inputs. "private" publishes only their root; "checkable" also the key of
            their salts, so that whoever has the inputs can recompute the root; "public" also the
            values. None for what is usual in the mode.
        outputs: "published" in the statement, or "hidden": then the chain root alone binds them.

    Raises:
        UsageError: a value is out of its range, or a strict receipt is asked to sample.
        UnsupportedReceipt: there is no such mode.
    """

    mode: str
    delta: float | None = None
    delta_step: float | None = None
    delta_op: float | Literal["usual"] | None = "usual"
    bits: int | None = None
    exact: Sequence[str] | Literal["all"] = ()
    visibility: InputVisibility | None = None
    outputs: OutputVisibility = "published"

    def __post_init__(self) -> None:
        if not isinstance(self.mode, str):
            raise UsageError(
                "mode is no name", expected=" or ".join(USUAL_BITS), received=shown(self.mode)
            )
        usual_bits(self.mode)
        if self.exact != "all":
            object.__setattr__(self, "exact", names_of(self.exact, "exact"))
        if self.mode == "strict":
            self._judge_unsampled()
        for name in ("delta", "delta_step", "delta_op"):
            value = getattr(self, name)
            if value not in (None, "usual") and not 1 <= parts_per_million(value, name) <= MAX_PPM:
                raise UsageError(f"{name} is out of range", expected="1e-6 to 0.5", received=value)
        if self.bits is not None:
            object.__setattr__(self, "bits", whole(self.bits, "bits", 1, MAX_BITS))
        if self.visibility not in (None, "private", "checkable", "public"):
            raise UsageError(
                "unknown visibility of inputs",
                expected="private, checkable or public",
                received=self.visibility,
            )
        if self.outputs not in ("published", "hidden"):
            raise UsageError(
                "unknown visibility of outputs",
                expected="published or hidden",
                received=shown(self.outputs),
            )
        self.judge_labels()

    def _judge_unsampled(self) -> None:
        optional = ("delta", "delta_step", "bits")
        given = [name for name in optional if getattr(self, name) is not None]
        given += ["exact"] if self.exact else []
        given += ["delta_op"] if self.delta_op not in (None, "usual") else []
        if given:
            raise UsageError(
                "a strict receipt checks every gate: there is nothing to sample or to choose",
                expected="none of delta, delta_step, delta_op, bits, exact",
                received=", ".join(given),
            )

    @property
    def publishes(self) -> InputVisibility:
        """The visibility of the inputs; where none is named, what can be hidden is."""
        return self.visibility or ("checkable" if self.mode == "fast" else "private")

    def counts(self, checked: Checked, items: int) -> Counts:
        """What these claims about `items` items ask for.

        Raises:
            UsageError: `exact` names no op of the program.
        """
        return Counts(checked, self.draft(checked, items))

    def draft(self, checked: Checked, items: int) -> Journal:
        """The statement of these claims about `items` items, without commitments and values.

        Where outputs are published, a single byte stands for them.

        Raises:
            UsageError: `exact` names no op of the program.
        """
        statement = Journal(
            mode=MODES.index(self.mode),
            program_id=checked.id,
            weights_root=ZERO_DIGEST,
            dataset_root=ZERO_DIGEST,
            first=0,
            steps=math.ceil(items / checked.program.batch),
            items=items,
            delta_ppm=0,
            delta_step_ppm=0,
            delta_op_ppm=0,
            bits=0,
            exact=(),
            chain_root=ZERO_DIGEST,
            input_root=ZERO_DIGEST,
            initial_state=ZERO_DIGEST,
            final_state=ZERO_DIGEST,
            exported_root=ZERO_DIGEST,
            prf_seed=ZERO_DIGEST,
            seed=OWN,
            start=ROOT,
            input_key=None,
            inputs=None,
            outputs=STATED if self.outputs == "published" and checked.program.outputs else b"",
            **self.labels,
        )
        return statement if self.mode == "strict" else self._sampled(statement, checked)

    def _sampled(self, statement: Journal, checked: Checked) -> Journal:
        """The statement with what it claims about samples."""
        delta_op = None if self.delta_op == "usual" else self.delta_op
        statement = replace(
            statement,
            delta_ppm=_optional_ppm(USUAL_DELTA if self.delta is None else self.delta, "delta"),
            delta_step_ppm=_optional_ppm(self.delta_step, "delta_step"),
            delta_op_ppm=_optional_ppm(delta_op, "delta_op"),
            bits=usual_bits(self.mode) if self.bits is None else self.bits,
            exact=self.exact_ops(checked),
        )
        return _with_usual_delta_op(statement, checked) if self.delta_op == "usual" else statement

    def exact_ops(self, checked: Checked) -> tuple[int, ...]:
        """Numbers of the ops named by `exact` that the program does not flag already, ascending.

        Raises:
            UsageError: a name is no op of the program.
        """
        ops = checked.program.ops
        names = [op.name for op in ops] if self.exact == "all" else list(self.exact)
        numbers = {op.name: number for number, op in enumerate(ops)}
        unknown = [name for name in names if name not in numbers]
        if unknown:
            raise UsageError(
                f"no such op: {listed(unknown)}",
                expected=f"one of {listed(numbers)}",
                hint="`zktally inspect model.zkt` lists the ops",
            )
        return tuple(sorted(numbers[n] for n in set(names) if not ops[numbers[n]].exact))


def _optional_ppm(value: float | None, name: str) -> int:
    """Parts per million, 0 where nothing is claimed."""
    return 0 if value is None else parts_per_million(value, name)


def _with_usual_delta_op(statement: Journal, checked: Checked) -> Journal:
    """The strongest usual bound on single ops that at most doubles the checks, or none."""
    most = 2 * Counts(checked, statement).expected_checks
    for ppm in USUAL_DELTA_OP:
        claimed = replace(statement, delta_op_ppm=ppm)
        if Counts(checked, claimed).expected_checks <= most:
            return claimed
    return statement
