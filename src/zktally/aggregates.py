"""The public API for aggregates: many receipts in one file, under one proof."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .api import (
    MAX_THREADS,
    Backend,
    Receipt,
    folding_workers,
    judge_arguments,
    judge_as_claimed,
)
from .circuits.arguments import shown, whole
from .circuits.files import write_atomically
from .display import showing
from .prover import Progress
from .prover.aggregating import Named
from .prover.aggregating import aggregate as prove_aggregate
from .prover.estimate import FoldEstimate
from .prover.workers import Workers
from .prover.workers.options import ALONE, PATIENCE
from .verifier.aggregates import expectations_of, refuse_of_one, verdicts
from .verifier.errors import UsageError, ZktallyError
from .verifier.hybrid.aggregate import split_aggregate
from .verifier.journal import MODES, Journal
from .verifier.notebook import table
from .verifier.policy import Expectations, Policy
from .verifier.receipt import as_receipt, read_receipt, refuse_no_list
from .verifier.verified import Verified, counted

__all__ = ["Aggregate", "aggregate", "verify_aggregate"]


@dataclass(frozen=True)
class Aggregate:
    """Several receipts under one proof. Nothing in it is to be believed before `verify`.

    Attributes:
        data: its bytes.
    """

    data: bytes

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", as_receipt(self.data))

    @classmethod
    def load(cls, path: str | Path) -> Aggregate:
        """Read an aggregate (at most 1 GiB).

        Raises:
            UsageError: the file cannot be read.
            MalformedReceipt: it is too large.
        """
        return cls(read_receipt(str(path)))

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the aggregate atomically.

        Raises:
            UsageError: the file exists and `force` is off, or it cannot be written.
        """
        write_atomically(Path(path), self.data, force=force)

    @property
    def receipts(self) -> tuple[Journal, ...]:
        """The statements of its receipts as claimed, unverified, in their order.

        Raises:
            MalformedReceipt, UnsupportedReceipt: the bytes are not an aggregate.
        """
        return tuple(Journal.decode(each.journal) for each in split_aggregate(self.data).receipts)

    def verify(
        self,
        model_ids: str | bytes | Iterable[str | bytes],
        policy: Policy | None = None,
        **expected: Any,
    ) -> list[Verified]:
        """Judge all receipts against what the caller expects; see `verify_aggregate`."""
        return verify_aggregate(self, model_ids, policy, **expected)

    def __len__(self) -> int:
        return len(self.receipts)

    def __repr__(self) -> str:
        return f"Aggregate({len(self.data):,} bytes, unverified; {'; '.join(self._claimed()[:3])})"

    def _repr_html_(self) -> str:
        rows = [("size", f"{len(self.data):,} bytes")]
        rows += [(f"claim {n}", said) for n, said in enumerate(self._claimed(), 1)]
        return table("Aggregate, unverified: its own claims", rows)

    def _claimed(self) -> list[str]:
        """What it says of itself, for people; bytes that are no aggregate say nothing."""
        try:
            receipts = self.receipts
        except ZktallyError as error:
            return [f"not readable: {error.message}"]
        models: dict[str, list[Journal]] = {}
        for each in receipts:
            models.setdefault(f"{MODES[each.mode]}, model {each.model_id.hex()}", []).append(each)
        return [
            f"{counted(len(own), 'receipt')} of {counted(sum(j.steps for j in own), 'step')}, {of}"
            for of, own in models.items()
        ]


def aggregate(
    receipts: Iterable[Receipt | bytes],
    *,
    threads: int = 0,
    processes: int | None = None,
    ray: str | None = None,
    patience: float = PATIENCE,
    progress: Progress | bool | None = None,
) -> Aggregate:
    """Put foldable receipts in one file, with one proof in place of those of all segments.

    That one shows that the proofs of all segments of all receipts verify. Neither models nor data
    are needed: whoever holds the receipts can do it. Statements stay the same, byte for byte.

    Args:
        receipts: foldable ones, of any models, of at most 256 segments together, and of the same
            audience and nonce; each is judged first, on its own terms.
        threads: see `compress`.
        processes: see `compress`.
        ray: see `compress`.
        patience: see `prove`.
        progress: see `prove`.

    Raises:
        UsageError: there are none, one stands twice, one is not foldable, they have different
            labels, or too many segments.
        ProveError: workers were lost too often (`prove.workers-lost`).
        VerificationFailed: one is refused.
        MalformedReceipt, UnsupportedReceipt, MalformedProgram, InvalidProgram: one cannot be read.
    """
    whole(threads, "threads", 0, MAX_THREADS)
    workers = folding_workers(threads, processes, ray, patience)
    refuse_no_list(receipts)
    named = [Named(f"receipt {n}", _bytes_of(each, Receipt)) for n, each in enumerate(receipts, 1)]
    with showing(progress) as show:
        return Aggregate(aggregate_foldable(named, show, threads, workers=workers))


def aggregate_foldable(
    receipts: Sequence[Named],
    progress: Progress,
    threads: int = 0,
    agree: Callable[[FoldEstimate], None] | None = None,
    workers: Workers = ALONE,
) -> bytes:
    """The bytes of an aggregate; see `aggregate`.

    `agree` is called once all receipts are judged; what it raises ends the call.
    """
    return prove_aggregate(
        receipts,
        lambda receipt: judge_as_claimed(receipt, None),
        agree=agree,
        progress=progress,
        threads=threads,
        workers=workers,
    )


def verify_aggregate(
    aggregate: Aggregate | bytes,
    model_ids: str | bytes | Iterable[str | bytes],
    policy: Policy | None = None,
    *,
    initial_state: str | bytes | None = None,
    dataset_root: str | bytes | None = None,
    any_dataset: bool = False,
    audience: str | None = None,
    nonce: bytes | str | None = None,
    backend: Backend = "rust",
    threads: int = 0,
) -> list[Verified]:
    """Judge all receipts of an aggregate. Every expectation comes from the caller.

    Args:
        aggregate: an aggregate, or its bytes.
        model_ids: the models that the caller means, each 32 bytes or hex; every receipt is about
            one of them.
        policy: what is demanded of each receipt; see `verify`. What holds of all of them together
            is a little less: their errors add up.
        initial_state: of each receipt; see `verify`, as of what follows.
        dataset_root: see `verify`.
        any_dataset: see `verify`.
        audience: see `verify`.
        nonce: see `verify`.
        backend: see `verify`.
        threads: see `verify`.

    Returns:
        The verdict on each receipt, in their order in the file.

    Raises:
        VerificationFailed, MalformedReceipt, UnsupportedReceipt, MalformedProgram, InvalidProgram,
            UsageError: as in `verify`.
    """
    judge_arguments(policy, threads)
    expectations = expectations_of(
        model_ids,
        policy,
        initial_state=initial_state,
        dataset_root=dataset_root,
        any_dataset=any_dataset,
        audience=audience,
        nonce=nonce,
    )
    return judge_all(_bytes_of(aggregate, Aggregate), expectations, backend, threads)


def judge_all(
    data: bytes, expectations: Sequence[Expectations], backend: Backend = "rust", threads: int = 0
) -> list[Verified]:
    """Judge an aggregate against what is expected of each model; see `verify_aggregate`."""
    refuse_of_one(expectations)
    if backend == "python":
        from .verifier.hybrid.aggregate import verify_aggregate as verify_plainly

        found = verify_plainly(data, expectations)
    elif backend == "rust":
        from .native import verify_aggregate as verify_natively

        found = verify_natively(data, expectations, threads)
    else:
        raise UsageError("unknown backend", expected="rust or python", received=backend)
    return verdicts(data, expectations, found, backend)


def _bytes_of(given: object, kind: type[Receipt] | type[Aggregate]) -> bytes:
    """The bytes of what should be of a kind; a path is none: verdicts are about what was read."""
    if isinstance(given, kind):
        return given.data
    if isinstance(given, str | Path):
        raise UsageError(
            f"a path is no {kind.__name__.lower()}",
            expected=f"a zktally.{kind.__name__}, or its bytes",
            received=shown(given),
            hint=f"read it with zktally.{kind.__name__}.load(path)",
        )
    return as_receipt(given)
