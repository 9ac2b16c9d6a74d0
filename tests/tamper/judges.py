"""Both verifiers, asked the same question: the verdict is a code, or `ACCEPTED`."""

from __future__ import annotations

from zktally.native import verify as verify_natively
from zktally.verifier.errors import ZktallyError
from zktally.verifier.judge import verify as verify_plainly
from zktally.verifier.policy import Expectations

ACCEPTED = "accepted"


def rust(receipt: bytes, expectations: Expectations, threads: int = 1) -> str:
    """The verdict of the Rust verifier; anything but a typed error is let through.

    A panic in the core is refused as a bad proof; here it counts as a crash.
    """
    try:
        verify_natively(receipt, expectations, threads)
    except ZktallyError as error:
        if error.message == "internal check failed":
            raise AssertionError("the Rust verifier panicked") from error
        return error.code
    return ACCEPTED


def python(receipt: bytes, expectations: Expectations) -> str:
    """The verdict of the Python verifier; anything but a typed error is let through."""
    try:
        verify_plainly(receipt, expectations)
    except ZktallyError as error:
        return error.code
    return ACCEPTED


def both(receipt: bytes, expectations: Expectations) -> tuple[str, str]:
    """The verdicts of both, Rust first."""
    return rust(receipt, expectations), python(receipt, expectations)
