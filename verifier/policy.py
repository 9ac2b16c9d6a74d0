"""What a caller demands of a receipt, and what it must be about; never taken from the receipt."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import UsageError
from .journal import MAX_AUDIENCE, MAX_BITS, MAX_NONCE, MAX_PPM, MODES

MILLION = 10**6
_ROUNDING = 1e-9

Inputs = np.ndarray[Any, np.dtype[Any]] | Mapping[str, np.ndarray[Any, np.dtype[Any]]]


def parts_per_million(value: float, name: str) -> int:
    """A fraction as the whole number of parts per million that goes on the wire.

    `value · 10^6` must lie within 1e-9 of a whole number, so that nothing is rounded in silence:
    0.05 is 50,000, and 1e-7 is refused.

    Raises:
        UsageError: it is not such a number, or not finite.
    """
    scaled = _real(value, name) * MILLION
    if not math.isfinite(scaled) or abs(scaled - round(scaled)) > _ROUNDING * max(1.0, abs(scaled)):
        raise UsageError(
            f"{name} is not a whole number of parts per million",
            expected="a multiple of 1e-6",
            received=value,
        )
    return round(scaled)


@dataclass(frozen=True)
class Policy:
    """What a receipt must claim at least.

    Args:
        max_delta: largest acceptable bound on the wrong fraction of the chain's compute, (0, 0.5].
        min_bits: smallest acceptable confidence in bits, 1 to 256.
        modes: acceptable modes, out of "fast", "hybrid", "strict".
        max_delta_step: largest acceptable bound per step, or None where none is demanded.
        max_delta_op: largest acceptable bound on the wrong gates of any single op, likewise.
        outputs_exact: whether every gate of every op that defines an output must be checked.

    Raises:
        UsageError: a field is out of its range.
    """

    max_delta: float = 0.05
    min_bits: int = 100
    modes: tuple[str, ...] = MODES
    max_delta_step: float | None = None
    max_delta_op: float | None = None
    outputs_exact: bool = True

    def __post_init__(self) -> None:
        for name in ("max_delta", "max_delta_step", "max_delta_op"):
            value = getattr(self, name)
            if value is None and name != "max_delta":
                continue
            if not 1 <= parts_per_million(value, name) <= MAX_PPM:
                raise UsageError(f"{name} is out of range", expected="1e-6 to 0.5", received=value)
            object.__setattr__(self, name, float(value))
        object.__setattr__(self, "min_bits", _whole(self.min_bits, "min_bits"))
        if not 1 <= self.min_bits <= MAX_BITS:
            raise UsageError(
                "min_bits is out of range", expected=f"1 to {MAX_BITS}", received=self.min_bits
            )
        if not self.modes or not set(self.modes) <= set(MODES):
            raise UsageError(
                "modes are unknown", expected=f"some of {', '.join(MODES)}", received=self.modes
            )

    @property
    def max_delta_ppm(self) -> int:
        """`max_delta` in parts per million."""
        return parts_per_million(self.max_delta, "max_delta")

    @property
    def max_delta_step_ppm(self) -> int | None:
        """`max_delta_step` in parts per million, or None."""
        return _optional_ppm(self.max_delta_step, "max_delta_step")

    @property
    def max_delta_op_ppm(self) -> int | None:
        """`max_delta_op` in parts per million, or None."""
        return _optional_ppm(self.max_delta_op, "max_delta_op")


def _optional_ppm(value: float | None, name: str) -> int | None:
    return None if value is None else parts_per_million(value, name)


@dataclass(frozen=True)
class Expectations:
    """Everything that the caller knows before looking at a receipt.

    Args:
        model_id: of the model that the caller means, 32 bytes.
        policy: what is demanded.
        audience, nonce: what the receipt must name; None: it must name none.
        initial_state, input_root: digests of 32 bytes; None: any.
        inputs: arrays by port name, or one array, that the committed inputs must be; None: any.

    Raises:
        UsageError: a field cannot be what it stands for.
    """

    model_id: bytes
    policy: Policy = field(default_factory=Policy)
    audience: str | None = None
    nonce: bytes | None = None
    initial_state: bytes | None = None
    input_root: bytes | None = None
    inputs: Inputs | None = None

    def __post_init__(self) -> None:
        for name in ("model_id", "initial_state", "input_root"):
            value = getattr(self, name)
            if value is not None and len(value) != 32:
                raise UsageError(
                    f"{name} has a wrong length",
                    expected="32 bytes (64 hexadecimal digits)",
                    received=f"{len(value)} bytes",
                )
        if self.audience is not None and not (
            1 <= len(_text(self.audience, "audience")) <= MAX_AUDIENCE
        ):
            raise UsageError(
                "audience has a wrong length",
                expected=f"1 to {MAX_AUDIENCE} bytes of UTF-8",
                received=self.audience,
            )
        if self.nonce is not None:
            object.__setattr__(self, "nonce", _bytes(self.nonce, "nonce"))
        if self.nonce is not None and not 1 <= len(self.nonce) <= MAX_NONCE:
            raise UsageError(
                "nonce has a wrong length",
                expected=f"1 to {MAX_NONCE} bytes",
                received=f"{len(self.nonce)} bytes",
            )

    @classmethod
    def of(
        cls,
        *,
        model_id: str | bytes,
        policy: Policy | None = None,
        inputs: Inputs | None = None,
        input_root: str | bytes | None = None,
        initial_state: str | bytes | None = None,
        audience: str | None = None,
        nonce: bytes | None = None,
    ) -> Expectations:
        """Expectations from what a caller has at hand: digests as 32 bytes or as hexadecimal text.

        Raises:
            UsageError: a field cannot be what it stands for.
        """
        return cls(
            model_id=as_digest(model_id, "model_id"),
            policy=policy or Policy(),
            audience=audience,
            nonce=nonce,
            initial_state=None
            if initial_state is None
            else as_digest(initial_state, "initial_state"),
            input_root=None if input_root is None else as_digest(input_root, "input_root"),
            inputs=inputs,
        )


def as_digest(value: str | bytes, name: str) -> bytes:
    """32 bytes, from bytes or hexadecimal text.

    Raises:
        UsageError: the text is not hexadecimal, or it is neither.
    """
    if isinstance(value, str):
        try:
            return bytes.fromhex(value)
        except ValueError as error:
            raise UsageError(
                f"{name} is not hexadecimal", expected="64 hexadecimal digits", received=value
            ) from error
    return _bytes(value, name)


def _real(value: object, name: str) -> float:
    try:
        if isinstance(value, numbers.Real):
            return float(value)
    except OverflowError:
        pass
    raise UsageError(f"{name} is no number", expected="a real number", received=repr(value))


def _whole(value: object, name: str) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise UsageError(
            f"{name} is no whole number", expected="an integer", received=repr(value)
        ) from error


def _bytes(value: object, name: str) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise UsageError(f"{name} is not bytes", expected="bytes", received=type(value).__name__)
    return bytes(value)


def _text(value: object, name: str) -> bytes:
    """The UTF-8 of a text."""
    try:
        if isinstance(value, str):
            return value.encode()
    except UnicodeEncodeError:
        pass
    raise UsageError(f"{name} is no text", expected="UTF-8", received=repr(value))
