"""zktally: receipts for what a neural network did.

program = zktally.compile("model.onnx", calibration=x)
receipt = zktally.prove(program, x, delta=0.05)
verified = receipt.verify(program.model_id, policy=zktally.Policy(max_delta=0.05))
verified.outputs, verified.guarantee
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .api import (
    Receipt,
    RunState,
    assemble,
    check_model,
    compile,
    dataset_root,
    exported_model,
    load,
    prove,
    resume,
    verify,
    verify_chain,
    wrap,
)
from .circuits.check import ModelCheck, Tolerances
from .circuits.columns import columns, split_columns
from .circuits.model import CompiledModel
from .errors import ZktallyError
from .verifier.chain import VerifiedRun
from .verifier.policy import Policy
from .verifier.verified import Guarantee, Verified

if TYPE_CHECKING:
    from .training import SGD, Adam, AdamW, TrainingRun, train

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "CompiledModel",
    "Guarantee",
    "ModelCheck",
    "Policy",
    "Receipt",
    "RunState",
    "Tolerances",
    "TrainingRun",
    "Verified",
    "VerifiedRun",
    "ZktallyError",
    "__version__",
    "assemble",
    "check_model",
    "columns",
    "compile",
    "dataset_root",
    "exported_model",
    "load",
    "prove",
    "resume",
    "split_columns",
    "train",
    "verify",
    "verify_chain",
    "wrap",
]

_TRAINING = frozenset({"SGD", "Adam", "AdamW", "TrainingRun", "train"})


def __getattr__(name: str) -> Any:
    """What is about training is imported when it is asked for."""
    if name not in _TRAINING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import training

    return getattr(training, name)
