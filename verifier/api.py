"""The calls of whoever verifies in Python with this package alone; the command line makes them too.

zktally has the same calls, with the verifier in Rust behind them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from .aggregates import describe_aggregate, expectations_of, refuse_of_one, verdicts
from .chain import VerifiedRun, following, refuse_chain, verify_run
from .describe import describe_receipt
from .files import read_arrays
from .hybrid.aggregate import verify_aggregate as judge_aggregated
from .judge import verify as judge_receipt
from .kinds import is_aggregate
from .pins import Pins
from .policy import Expectations, Inputs, Policy
from .receipt import as_receipt, read_receipt, refuse_no_list
from .shown import read_showing
from .snark.judge import refuse_string, verify_snark
from .snark.receipt import is_snark
from .verified import Verified

Receipt = bytes | bytearray | memoryview | str | os.PathLike[str]
"""The bytes of a receipt, or the path of its file."""


def verify(
    receipt: Receipt,
    model_id: str | bytes,
    policy: Policy | None = None,
    *,
    inputs: Inputs | str | os.PathLike[str] | None = None,
    input_root: str | bytes | None = None,
    initial_state: str | bytes | None = None,
    dataset_root: str | bytes | None = None,
    any_dataset: bool = False,
    audience: str | None = None,
    nonce: bytes | None = None,
    follows: Verified | None = None,
    srs: str | bytes | None = None,
    any_srs: bool = False,
    shown: bytes | str | os.PathLike[str] | None = None,
) -> Verified:
    """Judge a receipt. Every expectation comes from the caller, never from the receipt.

    Args:
        receipt: its bytes, or the path of its file (at most 1 GiB).
        model_id: the model that the caller means, 32 bytes or 64 hexadecimal digits.
        policy: what is demanded; without one, safe defaults (any mode, δ ≤ 5 %, 100 bits, outputs
            exact).
        inputs: the inputs that the caller means, to compare with the committed ones: arrays by
            name, one array, or the path of an .npz or .npy file. Shapes are [items, ...] or
            [steps, ...]; the receipt must be one of checkable or public inputs.
        input_root: the digest of all inputs that the caller means, 32 bytes or hexadecimal.
        initial_state: the digest of the first state that the caller means, likewise.
        dataset_root: the root of the data set that the caller means, likewise; a receipt about a
            data set is refused without it,
        any_dataset: unless the prover may choose the data set.
        audience: whom the receipt must name; a receipt that names another is refused.
        nonce: the challenge that the receipt must name, likewise.
        follows: the verdict on the receipt that this one must continue.
        srs: the digest of the structured reference string that the caller trusts; a SNARK receipt
            is refused without it,
        any_srs: unless any string will do, one that the prover made among them.
        shown: a showing of outputs of some steps, where the receipt hides its outputs; its bytes,
            or the path of its file.

    Returns:
        What is verified: `outputs` (float32 or int64 arrays by name, [items, ...] or [steps, ...]),
        `guarantee`, and every fact of the statement; outputs that the receipt hides are not among
        them, those that are shown stand in `shown`.

    Raises:
        VerificationFailed: it was judged and refused.
        MalformedReceipt, UnsupportedReceipt, MalformedProgram, InvalidProgram: cannot be judged.
        UsageError: a file cannot be read, or the expectations make no sense.
    """
    expectations = Expectations.of(
        model_id,
        policy,
        inputs=read_arrays(inputs) if isinstance(inputs, str | os.PathLike) else inputs,
        input_root=input_root,
        initial_state=initial_state,
        dataset_root=dataset_root,
        any_dataset=any_dataset,
        audience=audience,
        nonce=nonce,
        srs=srs,
        any_srs=any_srs,
    )
    data = bytes_of(receipt)
    if follows is not None:
        refuse_chain(follows)
        expectations = following(follows.facts.journal, data, expectations)
    verified = judge(data, expectations)
    if shown is None:
        return verified
    showing = read_showing(shown) if isinstance(shown, str | os.PathLike) else shown
    return verified.with_shown(data, showing)


def verify_chain(
    receipts: Sequence[Receipt],
    model_id: str | bytes,
    policy: Policy | None = None,
    **expected: Any,
) -> VerifiedRun:
    """Judge the receipts of one run, in their order: each goes on where the last one has ended.

    Args:
        receipts: one or more, bytes or paths.
        model_id: the model that the caller means, 32 bytes or hexadecimal.
        policy: what is demanded of all of them; `min_bits` of all together.
        **expected: as `verify` takes it; `initial_state` is that of the first receipt, and inputs
            can be expected of one receipt only.

    Raises:
        ChainBroken: `verify.follows`, one does not go on where the one before has ended.
        ZktallyError: what `verify` raises.
    """
    refuse_no_list(receipts)
    expectations = Expectations.of(model_id, policy, **expected)
    return verify_run([bytes_of(receipt) for receipt in receipts], expectations, judge)


def verify_aggregate(
    aggregate: Receipt,
    model_ids: Sequence[str | bytes],
    policy: Policy | None = None,
    **expected: Any,
) -> list[Verified]:
    """Judge the receipts of an aggregate: several in one file, under one proof.

    Args:
        aggregate: its bytes, or the path of its file (at most 1 GiB).
        model_ids: the models that the caller means, each 32 bytes or hexadecimal. Every receipt is
            about one of them.
        policy: what is demanded of each receipt.
        **expected: of each receipt as `verify` takes it: `initial_state`, `dataset_root`,
            `any_dataset`, `audience`, `nonce`.

    Returns:
        The verdict on each receipt, in their order in the file.

    Raises:
        ZktallyError: what `verify` raises; the message says which receipt it is about.
    """
    return judge_aggregate(bytes_of(aggregate), expectations_of(model_ids, policy, **expected))


def inspect(receipt: Receipt) -> dict[str, Any]:
    """What a receipt, or an aggregate, claims, as one JSON-ready object. Nothing is verified.

    Raises:
        MalformedReceipt, UnsupportedReceipt, MalformedProgram, InvalidProgram: it cannot be read.
        ProgramMismatch: its statement is about another program than it holds.
        UsageError: the file cannot be read.
    """
    return describe(bytes_of(receipt))[0]


def describe(data: bytes) -> tuple[dict[str, Any], str]:
    """What a receipt, or an aggregate, claims, as JSON and as text; see `inspect`."""
    return describe_aggregate(data) if is_aggregate(data) else describe_receipt(data)


def judge(receipt: bytes, expectations: Expectations) -> Verified:
    """Judge a receipt against what is expected, with what follows for its reader."""
    if is_snark(receipt):
        return verify_snark(receipt, expectations)
    refuse_string(expectations)
    found = judge_receipt(receipt, expectations)
    return Verified.of(*found, "python", Pins.of(receipt, expectations))


def judge_aggregate(aggregate: bytes, expectations: Sequence[Expectations]) -> list[Verified]:
    """Judge an aggregate against what is expected of each model, with what follows."""
    refuse_of_one(expectations)
    found = judge_aggregated(aggregate, expectations)
    return verdicts(aggregate, expectations, found, "python")


def bytes_of(receipt: Receipt) -> bytes:
    """The bytes of a receipt, or of its file.

    Raises:
        UsageError: it is neither, or the file cannot be read.
        MalformedReceipt: the file is too large.
    """
    if isinstance(receipt, str | os.PathLike):
        return read_receipt(os.fspath(receipt))
    return as_receipt(receipt)
