"""Aggregate foldable receipts: one proof that the proofs of all segments of all of them verify.

Whoever holds the receipts can: models, weights, inputs and openings have no part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .. import _core
from ..verifier.errors import UsageError, ZktallyError, error_for
from ..verifier.hybrid.aggregate import MAX_SEGMENTS
from ..verifier.journal import FAST, MODES, Journal
from ..verifier.kinds import AGGREGATE, is_aggregate
from ..verifier.labels import in_words
from ..verifier.profiles import FOLDABLE, NAMES, SUCCINCT, claimed_profile
from ..verifier.receipt import Sections, split_receipt
from .estimate import FoldEstimate, estimate_fold
from .folding import Folding, prove_nodes, tell_folding
from .progress import Progress, silent
from .workers.options import ALONE, Workers

JUDGING = "judge receipts"
"""The phase in which receipts are judged before they are aggregated."""

HINT = "make it with --foldable (foldable=True): only its proofs can be verified inside a proof"
HINTS = {
    NAMES[SUCCINCT]: "aggregate the foldable receipt that it was compressed from",
    MODES[FAST]: "wrap it with --foldable first",
}


@dataclass(frozen=True)
class Named:
    """A receipt that is to be aggregated.

    Attributes:
        name: what it is called in refusals, such as its path between quotes.
        data: its bytes.
    """

    name: str
    data: bytes


def aggregate(
    receipts: Sequence[Named],
    judge: Callable[[bytes], None],
    *,
    agree: Callable[[FoldEstimate], None] | None = None,
    progress: Progress = silent,
    threads: int = 0,
    workers: Workers = ALONE,
) -> bytes:
    """The aggregate of foldable receipts, in their order.

    Args:
        receipts: of any models and programs, all of the same audience and nonce.
        judge: of a single receipt, as it claims of itself.
        agree: called before the proof with what it will take; what it raises ends the call.
        progress: called for each receipt that is judged, then as proofs of proofs are made.
        threads: 0 for all cores.
        workers: who proves the nodes.

    Raises:
        UsageError: there are none, one stands twice, one is not foldable, they have different
            labels, or too many segments.
        VerificationFailed: one is refused.
        ProveError: workers were lost over one node too often (`prove.workers-lost`).
        MalformedReceipt, UnsupportedReceipt, MalformedProgram, InvalidProgram: one cannot be read.
    """
    if not receipts:
        raise UsageError("there are no receipts", expected="at least one", received=0)
    _refuse_twins(receipts)
    parts, segments = [], 0
    for each in receipts:
        with _about(each):
            own = foldable_sections(each.data)
            segments += _core.hybrid_segments(bytes(own.program), bytes(own.journal))
            parts.append(own)
    _refuse_labels(receipts, [Journal.decode(own.journal) for own in parts])
    _judge_number(segments)
    for number, each in enumerate(receipts):
        progress(JUDGING, number, len(receipts))
        with _about(each):
            judge(each.data)
    progress(JUDGING, len(receipts), len(receipts))
    folding = estimate_fold(segments, _statement_bytes(parts))
    if agree is not None:
        agree(folding)
    how = Folding(progress, threads, workers)
    tell_folding(how, segments)
    return prove_nodes(_core.Folder.of_receipts([each.data for each in receipts], threads), how)


def foldable_sections(receipt: bytes) -> Sections:
    """The sections of a receipt that can be aggregated, by what it claims of itself.

    Raises:
        MalformedReceipt, UnsupportedReceipt: the bytes are not a receipt.
        UsageError: it is not foldable, or an aggregate.
    """
    if is_aggregate(receipt):
        raise _not_foldable(AGGREGATE, "aggregate the receipts that it was made of")
    parts = split_receipt(receipt)
    mode = Journal.decode(parts.journal).mode
    found = MODES[mode] if mode == FAST else NAMES[claimed_profile(parts.proof)]
    if found != NAMES[FOLDABLE]:
        raise _not_foldable(f"a {found} one", HINTS.get(found, HINT))
    return parts


def _not_foldable(received: str, hint: str) -> UsageError:
    return UsageError(
        "only foldable receipts can be aggregated",
        expected="a receipt of profile foldable",
        received=received,
        hint=hint,
    )


@contextmanager
def _about(receipt: Named) -> Iterator[None]:
    """Let what is raised name the receipt."""
    try:
        yield
    except ZktallyError as error:
        raise error_for(
            error.code,
            f"{receipt.name}: {error.message}",
            expected=error.expected,
            received=error.received,
            hint=error.hint,
        ) from None


def _refuse_twins(receipts: Sequence[Named]) -> None:
    """Refuse a receipt that is there twice, which would prove nothing more."""
    seen: dict[bytes, str] = {}
    for each in receipts:
        if each.data in seen:
            raise UsageError(
                "a receipt is there twice",
                expected="each receipt once",
                received=f"{seen[each.data]}, then {each.name}",
            )
        seen[each.data] = each.name


def _refuse_labels(receipts: Sequence[Named], journals: Sequence[Journal]) -> None:
    """Refuse labels that differ: whoever verifies names one audience and one nonce for all."""
    for receipt, journal in zip(receipts[1:], journals[1:], strict=True):
        for name, label in journal.labels.items():
            first = journals[0].labels[name]
            if label != first:
                raise UsageError(
                    f"{receipt.name} has another {name} than {receipts[0].name}",
                    expected=in_words(first),
                    received=in_words(label),
                    hint="an aggregate is verified with one audience and one nonce for all of its "
                    "receipts: make one of those that have them in common",
                )


def _judge_number(segments: int) -> None:
    """Refuse more segments than an aggregate may have, before anything is proven."""
    if segments > MAX_SEGMENTS:
        raise UsageError(
            "too many segments for one aggregate",
            expected=f"at most {MAX_SEGMENTS} in all receipts together",
            received=segments,
            hint="make several aggregates",
        )


def _statement_bytes(parts: Sequence[Sections]) -> int:
    """Programs, which stand once, and statements."""
    programs = {bytes(each.program) for each in parts}
    return sum(map(len, programs)) + sum(len(each.journal) for each in parts)
