"""The public API: compile, prove, verify."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from .circuits.assemble import assemble
from .circuits.check import check_model
from .circuits.compile import compile
from .circuits.files import write_atomically
from .circuits.model import CompiledModel
from .hybrid.chain import Progress, prove_chain, silent
from .prover import Claims, InputVisibility
from .verifier.errors import ProveError, UnsupportedReceipt, UsageError
from .verifier.journal import Journal
from .verifier.policy import Expectations, Policy
from .verifier.receipt import read_receipt, split_receipt
from .verifier.verified import Verified

__all__ = [
    "CompiledModel",
    "Receipt",
    "assemble",
    "check_model",
    "compile",
    "load",
    "prove",
    "verify",
]

Backend = Literal["rust", "python"]
Inputs = np.ndarray | Mapping[str, np.ndarray]


def load(path: str | Path) -> CompiledModel:
    """Read a compiled model (.zkt).

    Raises:
        UsageError: the file cannot be read.
        BadModelFile: it is not a compiled model.
    """
    return CompiledModel.load(path)


@dataclass(frozen=True)
class Receipt:
    """A receipt as it is written to disk. Nothing in it is to be believed before `verify`."""

    data: bytes

    @classmethod
    def load(cls, path: str | Path) -> Receipt:
        """Read a receipt file (at most 1 GiB).

        Raises:
            UsageError: the file cannot be read.
            MalformedReceipt: it is too large.
        """
        return cls(read_receipt(str(path)))

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the receipt atomically.

        Raises:
            UsageError: the file exists and `force` is off, or it cannot be written.
        """
        write_atomically(Path(path), self.data, force=force)

    @property
    def journal(self) -> Journal:
        """The statement as claimed, unverified.

        Raises:
            MalformedReceipt, UnsupportedReceipt: the bytes are not a receipt.
        """
        return Journal.decode(split_receipt(self.data).journal)

    def verify(
        self,
        model_id: str | bytes,
        policy: Policy | None = None,
        *,
        inputs: Inputs | None = None,
        input_root: str | bytes | None = None,
        initial_state: str | bytes | None = None,
        audience: str | None = None,
        nonce: bytes | None = None,
        backend: Backend = "rust",
        threads: int = 0,
    ) -> Verified:
        """Judge the receipt against what the caller expects; see `verify`."""
        return verify(
            self.data,
            model_id,
            policy,
            inputs=inputs,
            input_root=input_root,
            initial_state=initial_state,
            audience=audience,
            nonce=nonce,
            backend=backend,
            threads=threads,
        )

    def __repr__(self) -> str:
        return f"Receipt({len(self.data):,} bytes, unverified)"


def prove(
    program: CompiledModel,
    inputs: Inputs,
    mode: str = "fast",
    *,
    delta: float = 0.05,
    delta_step: float | None = None,
    bits: int = 128,
    exact: Sequence[str] | Literal["all"] = (),
    reveal: bool = False,
    visibility: InputVisibility = "checkable",
    audience: str | None = None,
    nonce: bytes | None = None,
    state: Mapping[str, np.ndarray] | None = None,
    items: int | None = None,
    progress: Progress | None = None,
) -> Receipt:
    """Run the program on the inputs and make a receipt.

    Args:
        program: a compiled model.
        inputs: float32/float64 (or integer) arrays by input name, or one array; items along the
            batch axis. N batches make a chain of N steps; the last one is padded.
        mode: "fast" (the only mode of this release).
        delta: at most this fraction of the chain's compute is wrong, 1e-6 to 0.5.
        delta_step: the same for every step, or None.
        bits: λ: a prover beyond the bound passes with probability 2^-bits per attempt.
        exact: names of ops to check in full, or "all".
        reveal: agree that a fast receipt opens weights in the clear; needed unless the model is
            public.
        visibility: of the inputs: "private", "checkable" or "public".
        audience: bind the receipt to a verifier.
        nonce: bind the receipt to a verifier's challenge.
        state: initial state by tensor name, for programs with state.
        items: number of steps, for a program without inputs.
        progress: called as progress(phase, done, total).

    Raises:
        UsageError: arguments or inputs that do not fit.
        ProveError: weights are private and `reveal` is off (`prove.needs-reveal`).
        UnsupportedReceipt: a mode that this release does not make.
    """
    if mode != "fast":
        raise UnsupportedReceipt(
            f"mode {mode} cannot be proven by this release",
            code="receipt.unsupported-mode",
            expected="fast",
            received=mode,
        )
    if not (program.public or reveal):
        raise ProveError(
            "a fast receipt opens weights in the clear, and this model's weights are private",
            code="prove.needs-reveal",
            hint="pass --reveal (reveal=True) to publish the sampled rows for good, "
            "or compile with --public",
        )
    claims = Claims(delta, delta_step, bits, exact, visibility, audience, nonce)
    return Receipt(
        prove_chain(
            program.core,
            program.checked,
            inputs,
            claims,
            state=state,
            items=items,
            progress=progress or silent,
        )
    )


def verify(
    receipt: bytes,
    model_id: str | bytes,
    policy: Policy | None = None,
    *,
    inputs: Inputs | None = None,
    input_root: str | bytes | None = None,
    initial_state: str | bytes | None = None,
    audience: str | None = None,
    nonce: bytes | None = None,
    backend: Backend = "rust",
    threads: int = 0,
) -> Verified:
    """Judge a receipt. Every expectation comes from the caller, never from the receipt.

    Args:
        receipt: its bytes.
        model_id: the model that the caller means, 32 bytes or hex.
        policy: what is demanded; safe defaults (δ ≤ 5 %, 100 bits, outputs exact).
        inputs: the inputs that the caller means, to compare with the committed ones.
        input_root: the digest of all inputs that the caller means, 32 bytes or hex.
        initial_state: the digest of the first state that the caller means, 32 bytes or hex.
        audience: whom the receipt must name; a receipt that names another is refused.
        nonce: the challenge that the receipt must name, likewise.
        backend: "rust", or "python" for the independent verifier.
        threads: for "rust": 0 for all cores.

    Returns:
        What is verified, with outputs and guarantee.

    Raises:
        VerificationFailed: judged and refused.
        MalformedReceipt, UnsupportedReceipt, MalformedProgram, InvalidProgram: cannot be judged.
        UsageError: expectations that make no sense.
    """
    expectations = Expectations.of(
        model_id=model_id,
        policy=policy or Policy(),
        inputs=inputs,
        input_root=input_root,
        initial_state=initial_state,
        audience=audience,
        nonce=nonce,
    )
    if backend == "python":
        from .verifier.fast import verify_fast

        facts, outputs = verify_fast(receipt, expectations)
    elif backend == "rust":
        from .native import verify_fast as verify_natively

        facts, outputs = verify_natively(receipt, expectations, threads)
    else:
        raise UsageError("unknown backend", expected="rust or python", received=backend)
    return Verified.of(facts, outputs, backend)
