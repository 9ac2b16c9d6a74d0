"""The public API for receipts: prove, wrap, verify. `compile` stands in circuits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from .circuits.files import write_atomically
from .circuits.model import CompiledModel
from .hybrid.chain import prove as prove_chain
from .prover import (
    Claims,
    InputVisibility,
    Progress,
    ProverOptions,
    Work,
    prove_in,
    prove_job,
    silent,
    wrapping_job,
)
from .verifier.errors import UsageError
from .verifier.journal import Journal
from .verifier.pins import Pins
from .verifier.policy import Expectations, Policy
from .verifier.receipt import read_receipt, split_receipt
from .verifier.verified import Verified

__all__ = [
    "CompiledModel",
    "Receipt",
    "load",
    "prove",
    "resume",
    "verify",
    "wrap",
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
    mode: str = "hybrid",
    *,
    delta: float | None = None,
    delta_step: float | None = None,
    delta_op: float | Literal["usual"] | None = "usual",
    bits: int | None = None,
    exact: Sequence[str] | Literal["all"] = (),
    small: bool = False,
    work: str | Path | None = None,
    reveal: bool = False,
    visibility: InputVisibility | None = None,
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
            batch axis, or steps apart. N batches make a chain of N steps; the last one is padded.
        mode: "hybrid" proves the sampled checks in zero knowledge; "fast" shows them, which is far
            quicker, but opens sampled weights, inputs and activations in the clear; "strict" proves
            every gate of every step in zero knowledge, and samples nothing.
        delta: at most this fraction of the chain's multiply-accumulates is wrong, 1e-6 to 0.5;
            without one, 5 %.
        delta_step: the same for every step, or None.
        delta_op: the same for the gates of every single op, or None; "usual" is the strongest of 1,
            2, 5, 10, 20 and 50 % that at most doubles the checks, if there is one.
        bits: λ: a prover beyond the bound passes with probability 2^-bits per attempt. Without
            one, 102 in a hybrid receipt and 128 in a fast one.
        exact: names of ops to check in full, or "all".
        small: not in fast mode: a smaller receipt for more time and memory.
        work: not in fast mode: a new folder to prove in, so that `resume` can go on if this is
            interrupted, and other processes can help. It holds secrets until the receipt is made.
        reveal: agree that a fast receipt opens weights in the clear; needed there unless the model
            is public.
        visibility: of the inputs: "private" (usual in hybrid), "checkable" (usual in fast: holders
            of the inputs can recompute their root, and anyone can test a guess) or "public".
        audience: bind the receipt to a verifier.
        nonce: bind the receipt to a verifier's challenge.
        state: initial state by tensor name, for programs with state.
        items: number of steps, for a program without inputs.
        progress: called as progress(phase, done, total).

    Raises:
        UsageError: arguments or inputs that do not fit.
        ProveError: a fast receipt would open private weights and `reveal` is off
            (`prove.needs-reveal`).
        UnsupportedReceipt: a mode that this release does not make, or a program that hybrid
            receipts do not cover.
    """
    claims = Claims(
        mode,
        delta=delta,
        delta_step=delta_step,
        delta_op=delta_op,
        bits=bits,
        exact=exact,
        visibility=visibility,
        audience=audience,
        nonce=nonce,
    )
    options = ProverOptions(small, work, reveal, progress or silent)
    return Receipt(prove_chain(program, inputs, claims, options, state=state, items=items))


def wrap(
    receipt: Receipt | bytes,
    model: CompiledModel | None = None,
    *,
    small: bool = False,
    work: str | Path | None = None,
    progress: Progress | None = None,
) -> Receipt:
    """Make a hybrid receipt out of a fast one: its openings are proven instead of shown.

    It needs no model: program and openings stand in the receipt. What the fast receipt showed stays
    public where it was ever handed out; wrapping hides it only from those who never saw it.

    Args:
        receipt: a fast receipt; it is judged first, on its own terms.
        model: the model that it must be about, or None for whichever it names.
        small: a smaller receipt for more time and memory.
        work: a new folder to prove in; see `prove`.
        progress: called as progress(phase, done, total).

    Raises:
        UsageError: it is not a fast receipt, or the folder cannot be used.
        VerificationFailed: the fast receipt is refused.
        MalformedReceipt, UnsupportedReceipt, MalformedProgram, InvalidProgram: it cannot be judged.
    """
    data = receipt.data if isinstance(receipt, Receipt) else receipt
    return Receipt(wrap_fast(data, model, ProverOptions(small, work, progress=progress or silent)))


def wrap_fast(receipt: bytes, model: CompiledModel | None, options: ProverOptions) -> bytes:
    """The hybrid receipt around a fast one; see `wrap`."""
    job = wrapping_job(receipt, options.profile)
    _judge_as_claimed(receipt, model)
    core = None if model is None else model.core
    return prove_job(job, options.new_folder(), core, options)


def resume(work: str | Path, *, progress: Progress | None = None) -> Receipt:
    """Go on with the hybrid proof that `prove` or `wrap` began in a folder, or help with it.

    Args:
        work: the folder. Once the receipt is made it holds nothing else.
        progress: called as progress(phase, done, total).

    Raises:
        UsageError: there is no proof in the folder, or it cannot be read or written.
    """
    return Receipt(prove_in(Work(work), options=ProverOptions(progress=progress or silent)))


def _judge_as_claimed(receipt: bytes, model: CompiledModel | None) -> None:
    """Judge a receipt by what it claims itself; of the model, by what the caller means."""
    journal = Receipt(receipt).journal
    meant = journal.model_id if model is None else model.model_id
    lax = Policy(max_delta=0.5, min_bits=1, outputs_exact=False)
    judge(receipt, Expectations(meant, lax, **journal.labels))


def judge(
    receipt: bytes, expectations: Expectations, backend: Backend = "rust", threads: int = 0
) -> Verified:
    """Judge a receipt against what is expected; see `verify`."""
    if backend == "python":
        from .verifier.verify import verify as verify_plainly

        found = verify_plainly(receipt, expectations)
    elif backend == "rust":
        from .native import verify as verify_natively

        found = verify_natively(receipt, expectations, threads)
    else:
        raise UsageError("unknown backend", expected="rust or python", received=backend)
    return Verified.of(*found, backend, Pins.of(receipt, expectations))


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
        policy: what is demanded; safe defaults (any mode, δ ≤ 5 %, 100 bits, outputs exact).
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
        model_id,
        policy,
        inputs=inputs,
        input_root=input_root,
        initial_state=initial_state,
        audience=audience,
        nonce=nonce,
    )
    return judge(receipt, expectations, backend, threads)
