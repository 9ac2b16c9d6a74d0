"""Fold a foldable receipt: one proof that the proofs of all its segments verify.

Whoever holds the receipt can: model, weights, inputs and openings have no part in it.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import _core
from ..verifier.errors import UsageError
from ..verifier.journal import FAST, MODES, Journal
from ..verifier.profiles import FOLDABLE, MAX_FOLDED, NAMES, SUCCINCT, claimed_profile
from ..verifier.receipt import Sections, split_receipt
from .estimate import FoldEstimate, estimate_fold
from .progress import FOLDING, Paced, Progress, silent
from .receipt import encode_receipt
from .workers.options import cores

HINT = "prove or wrap with --foldable (foldable=True), or with --succinct, which folds at once"


def compress(
    receipt: bytes,
    *,
    agree: Callable[[FoldEstimate], None] | None = None,
    progress: Progress = silent,
    threads: int = 0,
) -> bytes:
    """A succinct receipt of the same statement.

    Args:
        receipt: a foldable one. Its segments are judged; the rest of it is the caller's to judge.
        agree: called before the work with what it will take; what it raises ends the call.
        progress: called before and after.
        threads: 0 for all cores.

    Raises:
        MalformedReceipt, UnsupportedReceipt, MalformedProgram, InvalidProgram: it cannot be read.
        UsageError: it is not foldable, or has too many segments.
        VerificationFailed: the proof of a segment is refused.
    """
    parts = foldable_sections(receipt)
    program, journal = bytes(parts.program), bytes(parts.journal)
    segments = _core.hybrid_segments(program, journal)
    judge_number(segments)
    if agree is not None:
        agree(estimate_fold(segments, len(receipt) - len(parts.proof)))
    section = fold(program, journal, bytes(parts.proof), segments, progress, threads)
    return encode_receipt(program, journal, section)


def foldable_sections(receipt: bytes) -> Sections:
    """The sections of a receipt that can be folded, by what it claims of itself.

    Raises:
        MalformedReceipt, UnsupportedReceipt: the bytes are not a receipt.
        UsageError: it is not foldable.
    """
    parts = split_receipt(receipt)
    mode = Journal.decode(parts.journal).mode
    received = MODES[mode] if mode == FAST else NAMES[claimed_profile(parts.proof)]
    if received == NAMES[FOLDABLE]:
        return parts
    raise UsageError(
        "only a foldable receipt can be compressed",
        expected="a receipt of profile foldable",
        received=f"a {received} one",
        hint="it is compressed already" if received == NAMES[SUCCINCT] else HINT,
    )


def judge_number(segments: int) -> None:
    """Refuse more segments than a succinct receipt may have, before any of them is proven.

    Raises:
        UsageError: there are more.
    """
    if segments > MAX_FOLDED:
        raise UsageError(
            "too many segments for one succinct receipt",
            expected=f"at most {MAX_FOLDED}",
            received=segments,
            hint="claim less (a larger delta), or prove the steps in several receipts",
        )


def fold(
    program: _core.Model | bytes,
    journal: bytes,
    section: bytes,
    segments: int,
    progress: Progress = silent,
    threads: int = 0,
) -> bytes:
    """The proof section of a succinct receipt from that of a foldable one of so many segments.

    Raises:
        UsageError, VerificationFailed, MalformedReceipt: see `compress`.
    """
    progress(FOLDING, 0, 1)
    if isinstance(progress, Paced):
        progress.expect(estimate_fold(segments).seconds * 2 / max(1, threads or cores()))
    folded = _core.compress_receipt(program, journal, section, threads)
    progress(FOLDING, 1, 1)
    return folded
