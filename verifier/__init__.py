"""The verifier in plain Python and numpy: receipts judged offline, every line readable.

It is installed alone as `zktally-verifier` and inside zktally as `zktally.verifier`.

from zktally_verifier import Policy, verify

verified = verify("run.receipt", model_id, policy=Policy(max_delta=0.01), inputs="x.npz")
verified.outputs, verified.guarantee

A receipt that is refused raises `VerificationFailed`; docs/errors.md lists all errors. To read on,
start with `fast.verify_fast`, which is docs/protocol.md section 6 line by line; `hybrid.verify` is
docs/hybrid.md section 7, and `judge.verify` judges a receipt of any mode.

Names are imported when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import inspect, verify, verify_aggregate, verify_chain
    from .chain import VerifiedRun
    from .errors import (
        ChainBroken,
        ErrorBoundExceeded,
        InsufficientSecurity,
        InvalidProgram,
        InvalidProof,
        InvalidShowing,
        JournalMismatch,
        MalformedProgram,
        MalformedReceipt,
        ParametersMismatch,
        ProgramMismatch,
        UnsupportedReceipt,
        UsageError,
        VerificationFailed,
        ZktallyError,
    )
    from .policy import Policy
    from .shown import Shown
    from .verified import Guarantee, Verified

__version__ = "0.2.0"

_HOMES = {
    ".api": ("inspect", "verify", "verify_aggregate", "verify_chain"),
    ".chain": ("VerifiedRun",),
    ".errors": (
        "ChainBroken",
        "ErrorBoundExceeded",
        "InsufficientSecurity",
        "InvalidProgram",
        "InvalidProof",
        "InvalidShowing",
        "JournalMismatch",
        "MalformedProgram",
        "MalformedReceipt",
        "ParametersMismatch",
        "ProgramMismatch",
        "UnsupportedReceipt",
        "UsageError",
        "VerificationFailed",
        "ZktallyError",
    ),
    ".policy": ("Policy",),
    ".shown": ("Shown",),
    ".verified": ("Guarantee", "Verified"),
}
"""The module that each name stands in."""

__all__ = [
    "ChainBroken",
    "ErrorBoundExceeded",
    "Guarantee",
    "InsufficientSecurity",
    "InvalidProgram",
    "InvalidProof",
    "InvalidShowing",
    "JournalMismatch",
    "MalformedProgram",
    "MalformedReceipt",
    "ParametersMismatch",
    "Policy",
    "ProgramMismatch",
    "Shown",
    "UnsupportedReceipt",
    "UsageError",
    "VerificationFailed",
    "Verified",
    "VerifiedRun",
    "ZktallyError",
    "__version__",
    "inspect",
    "verify",
    "verify_aggregate",
    "verify_chain",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            found = globals()[name] = getattr(import_module(home, __name__), name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
