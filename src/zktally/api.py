"""The public API for receipts: prove, wrap, verify. `compile` stands in circuits."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .circuits.arguments import shown as worded
from .circuits.arguments import whole
from .circuits.files import write_atomically
from .circuits.model import CompiledModel
from .display import showing
from .hybrid.chain import Start, Training
from .hybrid.chain import prove as prove_chain
from .prover import (
    Claims,
    HeldOutputs,
    InputVisibility,
    Job,
    OutputVisibility,
    Progress,
    ProverOptions,
    RunState,
    SeedSource,
    Work,
    exported_model,
    prove_in,
    prove_job,
    wrapping_job,
)
from .prover.estimate import FoldEstimate
from .prover.folding import compress as fold_receipt
from .prover.folding import foldable_sections
from .prover.snark.model import SnarkModel
from .prover.workers import Workers
from .prover.workers.options import ALONE, PATIENCE
from .verifier.chain import VerifiedRun, following, refuse_chain, verify_run
from .verifier.dataset import PUBLIC_KEY, root_of
from .verifier.errors import UsageError, ZktallyError
from .verifier.journal import MODES, Journal
from .verifier.notebook import table
from .verifier.pins import Pins
from .verifier.policy import Expectations, Policy
from .verifier.program.checked import load as load_program
from .verifier.receipt import as_receipt, read_receipt, refuse_no_list, split_receipt
from .verifier.snark.judge import refuse_string, verify_snark
from .verifier.snark.receipt import SnarkReceipt, is_snark
from .verifier.snark.verdict import VerifiedSnark
from .verifier.verified import Verified

__all__ = [
    "CompiledModel",
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
]

Backend = Literal["rust", "python"]
MAX_THREADS = 1 << 16
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", as_receipt(self.data))

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
        dataset_root: str | bytes | None = None,
        any_dataset: bool = False,
        audience: str | None = None,
        nonce: bytes | str | None = None,
        follows: Verified | None = None,
        srs: str | bytes | None = None,
        any_srs: bool = False,
        shown: bytes | None = None,
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
            dataset_root=dataset_root,
            any_dataset=any_dataset,
            audience=audience,
            nonce=nonce,
            follows=follows,
            srs=srs,
            any_srs=any_srs,
            shown=shown,
            backend=backend,
            threads=threads,
        )

    def __repr__(self) -> str:
        claims = "; ".join(f"{label} {words}" for label, words in self._claimed()[:3])
        return f"Receipt({len(self.data):,} bytes, unverified; {claims})"

    def _repr_html_(self) -> str:
        size = f"{len(self.data):,} bytes"
        return table("Receipt, unverified: its own claims", [("size", size), *self._claimed()])

    def _claimed(self) -> list[tuple[str, str]]:
        """What it says of itself, for people; bytes that are no receipt say nothing."""
        try:
            if is_snark(self.data):
                claimed = SnarkReceipt.decode(self.data).statement.model_id
                return [("claims", "snark"), ("steps", "1"), ("model", claimed.hex())]
            journal = self.journal
        except ZktallyError as error:
            return [("not readable", error.message)]
        claims = [
            ("claims", MODES[journal.mode]),
            ("steps", f"{journal.steps:,}"),
            ("items", f"{journal.items:,}"),
            ("model", journal.model_id.hex()),
        ]
        if journal.delta_ppm:
            claims.append(("δ", f"{journal.delta_ppm / 1e4:g} %, {journal.bits} bits"))
        return claims


def prove(
    program: CompiledModel | SnarkModel | str | Path,
    inputs: Inputs,
    mode: str = "hybrid",
    *,
    delta: float | None = None,
    delta_step: float | None = None,
    delta_op: float | Literal["usual"] | None = "usual",
    bits: int | None = None,
    exact: Sequence[str] | Literal["all"] = (),
    small: bool = False,
    foldable: bool = False,
    succinct: bool = False,
    work: str | Path | None = None,
    reveal: bool = False,
    visibility: InputVisibility | None = None,
    outputs: OutputVisibility = "published",
    outputs_file: str | Path | None = None,
    audience: str | None = None,
    nonce: bytes | str | None = None,
    state: Mapping[str, np.ndarray] | RunState | str | Path | None = None,
    start: Start | None = None,
    first: int = 0,
    seed: SeedSource | None = None,
    data: Mapping[str, np.ndarray] | None = None,
    data_key: bytes | None = None,
    final_state: str | Path | None = None,
    items: int | None = None,
    processes: int | None = None,
    ray: str | None = None,
    patience: float = PATIENCE,
    progress: Progress | bool | None = None,
) -> Receipt:
    """Run the program on the inputs and make a receipt.

    Args:
        program: a compiled model, or its .zkt file; or one that was set up for SNARK receipts, with
            mode "snark", inputs, labels and nothing else.
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
        exact: names of ops to check in full, or one of them, or "all".
        small: not in fast mode: a smaller receipt for more time and memory.
        foldable: not in fast mode: a receipt whose proofs can be verified inside a proof, for more
            time; as small as with `small`, with which it does not go.
        succinct: not in fast mode: a receipt with one proof however many segments it has: proven
            as a foldable one, which is compressed at the end; with neither of the two.
        work: not in fast mode: a new folder to prove in, so that `resume` can go on if this is
            interrupted, and other processes can help. It holds secrets until the receipt is made.
        reveal: agree that a fast receipt opens weights in the clear; needed there unless the model
            is public.
        visibility: of the inputs: "private" (usual in hybrid), "checkable" (usual in fast: holders
            of the inputs can recompute their root, and anyone can test a guess) or "public".
        outputs: "published" in the statement, or "hidden": the receipt is bound to them, does not
            grow with them, and tells nothing of them; a fast one still opens those that it checks.
        outputs_file: of hidden outputs: a new file from which those of single steps can be shown
            later (`HeldOutputs.load(file).show(receipt, steps)`); it is as secret as they are.
            Without one, nobody can show them.
        audience: bind the receipt to a verifier.
        nonce: bind the receipt to a verifier's challenge, bytes or text (0x and hexadecimal); a
            derived seed follows from it, too.
        state: initial state by tensor name, for programs with state, zero where not given. Or the
            state in which another run ended, or its .zks file: then this one goes on with it, and
            the receipts link.
        start: "declared" to begin as the program declares, "root" to begin with `state`. Without,
            "declared" where the program declares a start, no state is given and `first` is 0.
        first: the step of the run that the chain begins with; of a state that is carried on, the
            one behind it.
        seed: where noise, order of records and drawn start come from: "own", of which nothing is
            claimed, or "derived" from program, data set and nonce; without, what the program needs.
        data: all records of the data set by the names of the program's data tensors, whole numbers
            [records, ...]; which of them a step reads is public arithmetic.
        data_key: of the data set's salts, 32 bytes, from whoever holds it; None for a public one.
        final_state: a new file (.zks) for the state that the chain ends in, to go on or to export;
            it holds the key of the states' salts.
        items: number of steps, for a program without inputs.
        processes: not in fast mode: prove in so many processes of this machine at once.
        ray: not in fast mode: prove on this Ray cluster: "auto", "local" or an address.
            docs/workers.md says what a worker sees.
        patience: seconds in which a worker must use a hundredth of a core (an actor of Ray a
            twentieth); one that does not hangs, and is replaced.
        progress: called as progress(phase, done, total); True for bars or lines on stderr, False
            for nothing; None for bars on a terminal, and a line below the cell of a notebook.

    Raises:
        UsageError: arguments or inputs that do not fit.
        ProveError: a fast receipt would open private weights and `reveal` is off
            (`prove.needs-reveal`).
        UnsupportedReceipt: a mode that this release does not make, or a program that hybrid
            receipts do not cover.
    """
    if isinstance(program, SnarkModel):
        _refuse_others(locals())
        if mode != "snark":
            raise UsageError("the model is set up for SNARKs", expected="snark", received=mode)
        from .prover.snark.prove import prove_snark  # which imports onnx

        with showing(progress) as show:
            made_by_ezkl = prove_snark(
                program,
                inputs,
                audience=audience,
                nonce=nonce,  # type: ignore[arg-type]  # which becomes bytes there
                progress=lambda phase: show(phase, 0, 1),
            )
        return Receipt(made_by_ezkl)
    program = _model(program)
    claims = Claims(
        mode,
        delta=delta,
        delta_step=delta_step,
        delta_op=delta_op,
        bits=bits,
        exact=exact,
        visibility=visibility,
        outputs=outputs,
        audience=audience,
        nonce=nonce,  # type: ignore[arg-type]  # which becomes bytes there
    )
    if items is not None:
        whole(items, "items", 1)
    if isinstance(state, str | Path):
        state = RunState.load(state)
    training = Training(state, start, first, seed, data, data_key, final_state)
    workers = Workers(processes, ray, patience=patience)
    with showing(progress) as show:
        options = ProverOptions(
            small, work, reveal, show, workers, foldable, succinct, outputs_file
        )
        made = prove_chain(program, inputs, claims, options, training=training, items=items)
    return Receipt(made)


OF_SNARKS = ("program", "inputs", "mode", "audience", "nonce", "progress")
"""Arguments of `prove` that say something of a SNARK receipt."""


def _refuse_others(given: Mapping[str, Any]) -> None:
    """Refuse what a SNARK receipt would leave out in silence.

    Raises:
        UsageError: an argument is given that it has no use for.
    """
    defaults = {name: each.default for name, each in inspect.signature(prove).parameters.items()}
    others = [
        name
        for name, value in given.items()
        if name not in OF_SNARKS and repr(value) != repr(defaults[name])
    ]
    if others:
        raise UsageError(
            "arguments that say nothing of a SNARK receipt",
            expected=", ".join(OF_SNARKS),
            received=", ".join(others),
        )


def wrap(
    receipt: Receipt | bytes,
    model: CompiledModel | None = None,
    *,
    small: bool = False,
    foldable: bool = False,
    succinct: bool = False,
    work: str | Path | None = None,
    processes: int | None = None,
    ray: str | None = None,
    patience: float = PATIENCE,
    progress: Progress | bool | None = None,
) -> Receipt:
    """Make a hybrid receipt out of a fast one: its openings are proven instead of shown.

    It needs no model: program and openings stand in the receipt. What the fast receipt showed stays
    public where it was ever handed out; wrapping hides it only from those who never saw it.

    Args:
        receipt: a fast receipt; it is judged first, on its own terms.
        model: the model that it must be about, or None for whichever it names.
        small: a smaller receipt for more time and memory.
        foldable: a receipt whose proofs can be verified inside a proof; see `prove`.
        succinct: a receipt with one proof however many segments it has; see `prove`.
        work: a new folder to prove in; see `prove`.
        processes: see `prove`, as of `ray`, `patience` and `progress`.
        ray: see `prove`.
        patience: see `prove`.
        progress: see `prove`.

    Raises:
        UsageError: it is not a fast receipt, or the folder cannot be used.
        VerificationFailed: the fast receipt is refused.
        MalformedReceipt, UnsupportedReceipt, MalformedProgram, InvalidProgram: it cannot be judged.
    """
    data = _receipt(receipt)
    model = None if model is None else _model(model)
    workers = Workers(processes, ray, patience=patience)
    with showing(progress) as show:
        options = ProverOptions(
            small, work, False, show, workers, foldable=foldable, succinct=succinct
        )
        return Receipt(wrap_fast(data, model, options))


def compress(
    receipt: Receipt | bytes,
    *,
    threads: int = 0,
    processes: int | None = None,
    ray: str | None = None,
    patience: float = PATIENCE,
    progress: Progress | bool | None = None,
) -> Receipt:
    """Make a succinct receipt out of a foldable one, with one proof instead of one a segment.

    That one shows that the proofs of all segments verify; its size does not grow with their number.
    Neither model nor data are needed: whoever holds the receipt can do it. The statement stays the
    same, byte for byte.

    Args:
        receipt: a foldable receipt, of at most 64 segments; it is judged first, on its own terms.
        threads: 0 for all cores; of several processes, of all together.
        processes: prove nodes of the tree over the segments in so many processes at once.
        ray: prove them on this Ray cluster; see `prove`.
        patience: see `prove`.
        progress: see `prove`.

    Raises:
        UsageError: it is not foldable, or has too many segments.
        ProveError: workers were lost too often (`prove.workers-lost`).
        VerificationFailed: it is refused.
        MalformedReceipt, UnsupportedReceipt, MalformedProgram, InvalidProgram: it cannot be judged.
    """
    whole(threads, "threads", 0, MAX_THREADS)
    workers = folding_workers(threads, processes, ray, patience)
    with showing(progress) as show:
        return Receipt(compress_foldable(_receipt(receipt), show, threads, workers=workers))


def folding_workers(
    threads: int, processes: int | None, ray: str | None, patience: float
) -> Workers:
    """Who proves nodes, where so many threads are theirs together; 0 for all cores."""
    each = max(1, threads // (processes or 1)) if threads and ray is None else 0
    return Workers(processes, ray, each, patience)


def compress_foldable(
    receipt: bytes,
    progress: Progress,
    threads: int = 0,
    agree: Callable[[FoldEstimate], None] | None = None,
    workers: Workers = ALONE,
) -> bytes:
    """The succinct receipt of a foldable one; see `compress`.

    `agree` is called once the foldable one is judged; what it raises ends the call.
    """
    foldable_sections(receipt)
    judge_as_claimed(receipt, None)
    return fold_receipt(receipt, agree=agree, progress=progress, threads=threads, workers=workers)


def _model(given: CompiledModel | str | Path) -> CompiledModel:
    """A compiled model, or the one in a file."""
    if isinstance(given, CompiledModel):
        return given
    if isinstance(given, str | Path):
        return load(given)
    raise UsageError(
        "this is no compiled model",
        expected="what zktally.compile returns, or a .zkt file",
        received=worded(given),
    )


def _receipt(given: Receipt | bytes) -> bytes:
    """The bytes of a receipt; a path is none, since verdicts are about what was read."""
    if isinstance(given, Receipt):
        given = given.data
    if isinstance(given, str | Path):
        raise UsageError(
            "a receipt is no path",
            expected="a Receipt or its bytes",
            received=worded(given),
            hint="read it with zktally.Receipt.load(path)",
        )
    return as_receipt(given)


def wrap_fast(
    receipt: bytes,
    model: CompiledModel | None,
    options: ProverOptions,
    agree: Callable[[Job], None] | None = None,
) -> bytes:
    """The hybrid receipt around a fast one; see `wrap`.

    `agree` is called once the fast one is judged; what it raises ends the call.
    """
    job = wrapping_job(receipt, options.profile)
    judge_as_claimed(receipt, model)
    if agree is not None:
        agree(job)
    core = None if model is None else model.core
    return prove_job(job, options.new_folder(), core, options)


def resume(
    work: str | Path,
    *,
    processes: int | None = None,
    ray: str | None = None,
    patience: float = PATIENCE,
    progress: Progress | bool | None = None,
) -> Receipt:
    """Go on with the hybrid proof that `prove` or `wrap` began in a folder, or help with it.

    Args:
        work: the folder. Once the receipt is made it holds nothing else.
        processes: see `prove`, as of `ray`, `patience` and `progress`.
        ray: see `prove`.
        patience: see `prove`.
        progress: see `prove`.

    Raises:
        UsageError: there is no proof in the folder, or it cannot be read or written.
    """
    workers = Workers(processes, ray, patience=patience)
    with showing(progress) as show:
        return Receipt(prove_in(Work(work), options=ProverOptions(progress=show, workers=workers)))


def judge_as_claimed(receipt: bytes, model: CompiledModel | None) -> None:
    """Judge a receipt by what it claims itself; of the model, by what the caller means."""
    journal = Receipt(receipt).journal
    meant = journal.model_id if model is None else model.model_id
    lax = Policy(max_delta=0.5, min_bits=1, outputs_exact=False)
    judge(receipt, Expectations(meant, lax, any_dataset=True, **journal.labels))


def judge(
    receipt: bytes, expectations: Expectations, backend: Backend = "rust", threads: int = 0
) -> Verified:
    """Judge a receipt against what is expected; see `verify`."""
    if is_snark(receipt):
        return _judge_snark(receipt, expectations, backend)
    refuse_string(expectations)
    if backend == "python":
        from .verifier.judge import verify as verify_plainly

        found = verify_plainly(receipt, expectations)
    elif backend == "rust":
        from .native import verify as verify_natively

        found = verify_natively(receipt, expectations, threads)
    else:
        raise UsageError("unknown backend", expected="rust or python", received=backend)
    return Verified.of(*found, backend, Pins.of(receipt, expectations))


def _judge_snark(receipt: bytes, expectations: Expectations, backend: Backend) -> VerifiedSnark:
    if backend == "python":
        return verify_snark(receipt, expectations)
    if backend == "rust":
        from .prover.snark.native import check

        return verify_snark(receipt, expectations, check, backend)
    raise UsageError("unknown backend", expected="rust or python", received=backend)


def verify(
    receipt: Receipt | bytes,
    model_id: str | bytes,
    policy: Policy | None = None,
    *,
    inputs: Inputs | None = None,
    input_root: str | bytes | None = None,
    initial_state: str | bytes | None = None,
    dataset_root: str | bytes | None = None,
    any_dataset: bool = False,
    audience: str | None = None,
    nonce: bytes | str | None = None,
    follows: Verified | None = None,
    srs: str | bytes | None = None,
    any_srs: bool = False,
    shown: bytes | None = None,
    backend: Backend = "rust",
    threads: int = 0,
) -> Verified:
    """Judge a receipt. Every expectation comes from the caller, never from the receipt.

    Args:
        receipt: a receipt, or its bytes.
        model_id: the model that the caller means, 32 bytes or hex.
        policy: what is demanded; safe defaults (any mode, δ ≤ 5 %, 100 bits, outputs exact).
        inputs: the inputs that the caller means, to compare with the committed ones.
        input_root: the digest of all inputs that the caller means, 32 bytes or hex.
        initial_state: the digest of the first state that the caller means, 32 bytes or hex.
        dataset_root: the root of the data set that the caller means, 32 bytes or hex; a receipt
            about a data set is refused without it,
        any_dataset: unless the prover may choose the data set.
        audience: whom the receipt must name; a receipt that names another is refused.
        nonce: the challenge that the receipt must name, likewise.
        follows: the verdict on the receipt that this one must continue; then its final state is
            the state that the caller means.
        srs: of a SNARK receipt: the digest of its structured reference string, 32 bytes or hex; it
            is refused without it,
        any_srs: unless the caller trusts whoever made the string.
        shown: a showing of outputs of some steps, where the receipt hides its outputs.
        backend: "rust", or "python" for the independent verifier.
        threads: for "rust": 0 for all cores.

    Returns:
        What is verified, with outputs and guarantee; outputs that the receipt hides are not among
        them, those that are shown stand in `shown`.

    Raises:
        VerificationFailed: judged and refused.
        MalformedReceipt, UnsupportedReceipt, MalformedProgram, InvalidProgram: cannot be judged.
        UsageError: expectations that make no sense.
    """
    receipt = _receipt(receipt)
    judge_arguments(policy, threads)
    expectations = Expectations.of(
        model_id,
        policy,
        inputs=inputs,
        input_root=input_root,
        initial_state=initial_state,
        dataset_root=dataset_root,
        any_dataset=any_dataset,
        audience=audience,
        nonce=nonce,
        srs=srs,
        any_srs=any_srs,
    )
    if follows is not None:
        if not isinstance(follows, Verified):
            raise UsageError(
                "follows is no verdict", expected="what verify returned", received=worded(follows)
            )
        refuse_chain(follows)
        expectations = following(follows.facts.journal, receipt, expectations)
    verified = judge(receipt, expectations, backend, threads)
    return verified if shown is None else verified.with_shown(receipt, shown)


def judge_arguments(policy: object, threads: object) -> None:
    """Refuse a policy, or a number of threads, that is none."""
    if policy is not None and not isinstance(policy, Policy):
        raise UsageError(
            "policy is no policy",
            expected="zktally.Policy(max_delta=0.05)",
            received=worded(policy),
        )
    whole(threads, "threads", 0, MAX_THREADS)


def dataset_root(
    program: CompiledModel | Receipt, records: Mapping[str, np.ndarray], key: bytes | None = None
) -> bytes:
    """The root by which a verifier names a data set, 32 bytes.

    Args:
        program: a compiled model that reads the data set, or a receipt of one.
        records: all records by the names of the data tensors, [records, ...], as the whole numbers
            that the program reads.
        key: of its salts, 32 bytes; None for a public data set.

    Raises:
        UsageError: `usage.input`, arrays that are not those of the program; or no such key.
    """
    if not isinstance(program, Receipt):
        program = _model(program)
    if isinstance(program, Receipt):
        read = load_program(bytes(split_receipt(program.data).program)).program
    else:
        read = program.checked.program
    return root_of(read, records, PUBLIC_KEY if key is None else key)


def verify_chain(
    receipts: Sequence[Receipt | bytes],
    model_id: str | bytes,
    policy: Policy | None = None,
    *,
    backend: Backend = "rust",
    threads: int = 0,
    **expected: Any,
) -> VerifiedRun:
    """Judge the receipts of one run, in their order: each goes on where the last one has ended.

    Args:
        receipts: one or more.
        model_id: the model that the caller means, 32 bytes or hex.
        policy: what is demanded of each; of all together its `min_bits`, too: the errors of all
            receipts are added up.
        backend: as in `verify`.
        threads: as in `verify`.
        expected: `initial_state`, `dataset_root`, `any_dataset`, `audience`, `nonce` as in
            `verify`; the state is that of the first one.

    Raises:
        ChainBroken: `verify.follows`, they are not of one run, or not in its order.
        VerificationFailed, MalformedReceipt, UnsupportedReceipt, MalformedProgram, InvalidProgram,
            UsageError: as in `verify`.
    """
    judge_arguments(policy, threads)
    expectations = Expectations.of(model_id, policy, **expected)
    if isinstance(receipts, Receipt | bytes):
        receipts = [receipts]
    refuse_no_list(receipts)
    plain = [_receipt(each) for each in receipts]
    return verify_run(plain, expectations, lambda one, of: judge(one, of, backend, threads))
