"""zktally: receipts for what a neural network did.

program = zktally.compile("model.onnx", calibration=x)
receipt = zktally.prove(program, x, delta=0.05)
verified = receipt.verify(program.model_id, policy=zktally.Policy(max_delta=0.05))
verified.outputs, verified.guarantee

Names are imported when they are first asked for: whoever verifies waits for no compiler.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .processor import check as _check_processor

if TYPE_CHECKING:
    from .aggregates import Aggregate, aggregate, verify_aggregate
    from .api import (
        HeldOutputs,
        Receipt,
        RunState,
        compress,
        dataset_root,
        exported_model,
        load,
        prove,
        resume,
        verify,
        verify_chain,
        wrap,
    )
    from .circuits.assemble import assemble
    from .circuits.check import ModelCheck, Tolerances, check_model
    from .circuits.columns import columns, split_columns
    from .circuits.compile import compile
    from .circuits.model import CompiledModel
    from .errors import (
        BadModelFile,
        BadOutputsFile,
        BadState,
        BadStateFile,
        CalibrationMismatch,
        ChainBroken,
        ClusterError,
        CompileError,
        ErrorBoundExceeded,
        Inaccurate,
        InsufficientSecurity,
        InvalidProgram,
        InvalidProof,
        InvalidShowing,
        JournalMismatch,
        MalformedProgram,
        MalformedReceipt,
        MixesItems,
        NotTrainable,
        ParametersMismatch,
        ProgramMismatch,
        ProveError,
        RangeOverflow,
        UnsupportedOp,
        UnsupportedReceipt,
        UsageError,
        VerificationFailed,
        ZktallyError,
    )
    from .prover.snark.model import SnarkModel
    from .prover.snark.setup import SnarkSetUp, snark_setup
    from .training import SGD, Adam, AdamW, TrainingRun, train
    from .verifier.chain import VerifiedRun
    from .verifier.policy import Policy
    from .verifier.shown import Shown
    from .verifier.snark.verdict import VerifiedSnark
    from .verifier.verified import Guarantee, Verified

__version__ = "0.2.0"

_check_processor()

_HOMES = {
    ".aggregates": ("Aggregate", "aggregate", "verify_aggregate"),
    ".api": (
        "HeldOutputs",
        "Receipt",
        "RunState",
        "compress",
        "dataset_root",
        "exported_model",
        "load",
        "prove",
        "resume",
        "verify",
        "verify_chain",
        "wrap",
    ),
    ".circuits.assemble": ("assemble",),
    ".circuits.check": ("ModelCheck", "Tolerances", "check_model"),
    ".circuits.columns": ("columns", "split_columns"),
    ".circuits.compile": ("compile",),
    ".circuits.model": ("CompiledModel",),
    ".errors": (
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
    ),
    ".prover.snark.model": ("SnarkModel",),
    ".prover.snark.setup": ("SnarkSetUp", "snark_setup"),
    ".training": ("SGD", "Adam", "AdamW", "TrainingRun", "train"),
    ".verifier.chain": ("VerifiedRun",),
    ".verifier.policy": ("Policy",),
    ".verifier.shown": ("Shown",),
    ".verifier.snark.verdict": ("VerifiedSnark",),
    ".verifier.verified": ("Guarantee", "Verified"),
}
"""The module that each name stands in."""

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Aggregate",
    "BadModelFile",
    "BadOutputsFile",
    "BadState",
    "BadStateFile",
    "CalibrationMismatch",
    "ChainBroken",
    "ClusterError",
    "CompileError",
    "CompiledModel",
    "ErrorBoundExceeded",
    "Guarantee",
    "HeldOutputs",
    "Inaccurate",
    "InsufficientSecurity",
    "InvalidProgram",
    "InvalidProof",
    "InvalidShowing",
    "JournalMismatch",
    "MalformedProgram",
    "MalformedReceipt",
    "MixesItems",
    "ModelCheck",
    "NotTrainable",
    "ParametersMismatch",
    "Policy",
    "ProgramMismatch",
    "ProveError",
    "RangeOverflow",
    "Receipt",
    "RunState",
    "Shown",
    "SnarkModel",
    "SnarkSetUp",
    "Tolerances",
    "TrainingRun",
    "UnsupportedOp",
    "UnsupportedReceipt",
    "UsageError",
    "VerificationFailed",
    "Verified",
    "VerifiedRun",
    "VerifiedSnark",
    "ZktallyError",
    "__version__",
    "aggregate",
    "assemble",
    "check_model",
    "columns",
    "compile",
    "compress",
    "dataset_root",
    "exported_model",
    "load",
    "prove",
    "resume",
    "snark_setup",
    "split_columns",
    "train",
    "verify",
    "verify_aggregate",
    "verify_chain",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module(".errors", __name__)
    for home, names in _HOMES.items():
        if name in names:
            found = globals()[name] = getattr(import_module(home, __name__), name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
