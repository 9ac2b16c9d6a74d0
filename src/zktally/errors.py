"""The errors of all parts, to be caught by name; docs/errors.md says what each code means.

The core raises by way of `error_for` as it stands here: whoever has imported this module has
defined every class that a code can stand for.
"""

from __future__ import annotations

from .circuits.errors import (
    BadModelFile,
    BadState,
    CalibrationMismatch,
    CompileError,
    Inaccurate,
    MixesItems,
    NotTrainable,
    RangeOverflow,
    UnsupportedOp,
)
from .prover.errors import BadOutputsFile, BadStateFile, ClusterError, ProveError
from .verifier.errors import (
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
    error_for,
)

__all__ = [
    "BadModelFile",
    "BadOutputsFile",
    "BadState",
    "BadStateFile",
    "CalibrationMismatch",
    "ChainBroken",
    "ClusterError",
    "CompileError",
    "ErrorBoundExceeded",
    "Inaccurate",
    "InsufficientSecurity",
    "InvalidProgram",
    "InvalidProof",
    "InvalidShowing",
    "JournalMismatch",
    "MalformedProgram",
    "MalformedReceipt",
    "MixesItems",
    "NotTrainable",
    "ParametersMismatch",
    "ProgramMismatch",
    "ProveError",
    "RangeOverflow",
    "UnsupportedOp",
    "UnsupportedReceipt",
    "UsageError",
    "VerificationFailed",
    "ZktallyError",
    "error_for",
]
