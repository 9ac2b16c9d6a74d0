"""zktally: receipts for what a neural network did.

program = zktally.compile("model.onnx", calibration=x)
receipt = zktally.prove(program, x, delta=0.05)
verified = receipt.verify(program.model_id, policy=zktally.Policy(max_delta=0.05))
verified.outputs, verified.guarantee
"""

from __future__ import annotations

from .api import Receipt, assemble, check_model, compile, load, prove, resume, verify, wrap
from .circuits.check import ModelCheck, Tolerances
from .circuits.columns import columns, split_columns
from .circuits.model import CompiledModel
from .errors import ZktallyError
from .verifier.policy import Policy
from .verifier.verified import Guarantee, Verified

__version__ = "0.1.0"

__all__ = [
    "CompiledModel",
    "Guarantee",
    "ModelCheck",
    "Policy",
    "Receipt",
    "Tolerances",
    "Verified",
    "ZktallyError",
    "__version__",
    "assemble",
    "check_model",
    "columns",
    "compile",
    "load",
    "prove",
    "resume",
    "split_columns",
    "verify",
    "wrap",
]
