"""How long both verifiers take over a receipt of a benchmark."""

from __future__ import annotations

import statistics
from typing import Any

from ..api import Backend, verify
from ..circuits.model import CompiledModel
from ..verifier.policy import Policy
from ..verifier.verified import Verified
from .process import Row
from .timing import timed


def judged(
    receipt: bytes,
    program: CompiledModel,
    policy: Policy | None = None,
    *,
    repeat: int = 3,
    threads: int = 0,
    **expected: Any,
) -> tuple[Verified, Row]:
    """The verdict, and seconds: the median of the Rust verifier, one run of the Python one.

    Args:
        receipt: its bytes.
        program: the model that it is about.
        policy: what is demanded.
        repeat: runs of the Rust verifier.
        threads: of the Rust verifier, 0 for all cores.
        expected: what else is, by the names that `verify` has.

    Raises:
        ZktallyError: the receipt is refused, which no receipt of a benchmark is.
    """
    model_id = program.model_id  # hashed before the clock runs

    def judge(backend: Backend) -> float:
        return timed(
            lambda: verify(receipt, model_id, policy, backend=backend, threads=threads, **expected)
        )[1]

    verified = verify(receipt, model_id, policy, threads=threads, **expected)
    return verified, {
        "verify_rust": statistics.median(judge("rust") for _ in range(repeat)),
        "verify_python": judge("python"),
    }
