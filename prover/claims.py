"""What a prover claims in a receipt, checked before any work is done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..verifier.errors import UnsupportedReceipt, UsageError
from ..verifier.journal import FAST, STRICT, ZERO_DIGEST, Journal
from ..verifier.policy import parts_per_million
from ..verifier.program.checked import Checked
from ..verifier.sampling import Counts

InputVisibility = Literal["private", "checkable", "public"]
USUAL_DELTA = 0.05
USUAL_BITS = {"fast": 128, "hybrid": 102, "strict": 0}
"""λ by mode where the caller names none: with the STARK's error beside it, 100 bits are left; a
strict receipt samples nothing."""

USUAL_DELTA_OP = (10_000, 20_000, 50_000, 100_000, 200_000, 500_000)
"""Bounds on single ops that are claimed where the caller names none: the first that costs at most
as many checks again as all other claims together, in parts per million (ADR 18)."""


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


def usual_visibility(mode: str) -> InputVisibility:
    """Visibility of the inputs where the caller names none: what can be hidden is."""
    return "checkable" if mode == "fast" else "private"


@dataclass(frozen=True)
class Claims:
    """The claims of a receipt.

    Args:
        delta: claimed bound on the wrong fraction of the chain's compute, 1e-6 to 0.5.
        delta_step: the same for every single step, or None.
        bits: λ, confidence of the sampling in bits, 1 to 256.
        exact: names of ops whose every gate is checked, beyond those the program flags; or "all".
        inputs: "private" publishes only the root of the inputs; "checkable" also the key of their
            salts, so that whoever has the inputs can recompute the root; "public" also the values.
        audience: who the receipt is for (1 to 256 bytes of UTF-8), or None.
        nonce: a challenge of the verifier (1 to 64 bytes), or None.
        delta_op: claimed bound on the wrong gates of any single op, 1e-6 to 0.5, or None; "usual"
            is the strongest of 1, 2, 5, 10, 20 and 50 % that at most doubles the checks, if any.

    A strict receipt checks everything: of these only `inputs`, `audience` and `nonce` count there.

    Raises:
        UsageError: a value is out of its range.
    """

    delta: float = USUAL_DELTA
    delta_step: float | None = None
    bits: int = USUAL_BITS["fast"]
    exact: Sequence[str] | Literal["all"] = ()
    inputs: InputVisibility = "checkable"
    audience: str | None = None
    nonce: bytes | None = None
    delta_op: float | Literal["usual"] | None = "usual"

    def __post_init__(self) -> None:
        for name in ("delta", "delta_step", "delta_op"):
            value = getattr(self, name)
            if value not in (None, "usual") and not 1 <= parts_per_million(value, name) <= 500_000:
                raise UsageError(f"{name} is out of range", expected="1e-6 to 0.5", received=value)
        if not 1 <= self.bits <= 256:
            raise UsageError("bits is out of range", expected="1 to 256", received=self.bits)
        if self.inputs not in ("private", "checkable", "public"):
            raise UsageError(
                "unknown visibility of inputs",
                expected="private, checkable or public",
                received=self.inputs,
            )
        if self.audience is not None and not 1 <= len(self.audience.encode()) <= 256:
            raise UsageError(
                "audience has a wrong length", expected="1 to 256 bytes", received=self.audience
            )
        if self.nonce is not None and not 1 <= len(self.nonce) <= 64:
            raise UsageError(
                "nonce has a wrong length", expected="1 to 64 bytes", received=len(self.nonce)
            )

    def draft(self, checked: Checked, items: int, mode: int = FAST) -> Journal:
        """The statement of these claims about `items` items, without commitments and values.

        Raises:
            UsageError: `exact` names no op of the program.
        """
        strict = mode == STRICT
        statement = Journal(
            mode=mode,
            program_id=checked.id,
            weights_root=ZERO_DIGEST,
            steps=math.ceil(items / checked.program.batch),
            items=items,
            delta_ppm=0 if strict else parts_per_million(self.delta, "delta"),
            delta_step_ppm=0 if strict else _optional_ppm(self.delta_step, "delta_step"),
            delta_op_ppm=0,
            bits=0 if strict else self.bits,
            exact=() if strict else self.exact_ops(checked),
            chain_root=ZERO_DIGEST,
            input_root=ZERO_DIGEST,
            initial_state=ZERO_DIGEST,
            final_state=ZERO_DIGEST,
            prf_seed=ZERO_DIGEST,
            input_key=None,
            inputs=None,
            outputs=b"",
            audience=self.audience,
            nonce=self.nonce,
        )
        if strict:
            return statement
        if self.delta_op == "usual":
            return _with_usual_delta_op(statement, checked)
        return replace(statement, delta_op_ppm=_optional_ppm(self.delta_op, "delta_op"))

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
                f"no such op: {', '.join(unknown)}",
                expected=f"one of {', '.join(numbers)}",
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
