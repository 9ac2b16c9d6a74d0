"""What a prover claims in a receipt, checked before any work is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..verifier.errors import UnsupportedReceipt, UsageError
from ..verifier.policy import parts_per_million
from ..verifier.program.checked import Checked

InputVisibility = Literal["private", "checkable", "public"]
USUAL_BITS = {"fast": 128, "hybrid": 102}
"""λ by mode where the caller names none: with the STARK's error beside it, 100 bits are left."""


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
    """Visibility of the inputs where the caller names none: a hybrid receipt hides what it can."""
    return "private" if mode == "hybrid" else "checkable"


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

    Raises:
        UsageError: a value is out of its range.
    """

    delta: float = 0.05
    delta_step: float | None = None
    bits: int = USUAL_BITS["fast"]
    exact: Sequence[str] | Literal["all"] = ()
    inputs: InputVisibility = "checkable"
    audience: str | None = None
    nonce: bytes | None = None

    def __post_init__(self) -> None:
        for name, value in (("delta", self.delta), ("delta_step", self.delta_step)):
            if value is not None and not 1 <= parts_per_million(value, name) <= 500_000:
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

    @property
    def delta_ppm(self) -> int:
        """δ in parts per million."""
        return parts_per_million(self.delta, "delta")

    @property
    def delta_step_ppm(self) -> int:
        """δ per step in parts per million, 0 if none is claimed."""
        return 0 if self.delta_step is None else parts_per_million(self.delta_step, "delta_step")

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
