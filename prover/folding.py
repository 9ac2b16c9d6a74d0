"""Fold a foldable receipt: one proof that the proofs of all its segments verify.

Whoever holds the receipt can: model, weights, inputs and openings have no part in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .. import _core
from ..verifier.errors import UsageError, ZktallyError
from ..verifier.journal import FAST, MODES, Journal
from ..verifier.profiles import FOLDABLE, MAX_FOLDED, NAMES, SUCCINCT, claimed_profile
from ..verifier.receipt import Sections, split_receipt
from .estimate import FoldEstimate, estimate_fold
from .progress import FOLDING, Paced, Progress, silent
from .receipt import encode_receipt
from .workers.fleet import prove_shares
from .workers.options import ALONE, Workers, cores
from .workers.task import NODES

HINT = "prove or wrap with --foldable (foldable=True), or with --succinct, which folds at once"


def compress(
    receipt: bytes,
    *,
    agree: Callable[[FoldEstimate], None] | None = None,
    progress: Progress = silent,
    threads: int = 0,
    workers: Workers = ALONE,
) -> bytes:
    """A succinct receipt of the same statement.

    Args:
        receipt: a foldable one. Its segments are judged; the rest of it is the caller's to judge.
        agree: called before the work with what it will take; what it raises ends the call.
        progress: called before the first proof, and after each.
        threads: 0 for all cores.
        workers: who proves the nodes.

    Raises:
        MalformedReceipt, UnsupportedReceipt, MalformedProgram, InvalidProgram: it cannot be read.
        UsageError: it is not foldable, or has too many segments.
        VerificationFailed: the proof of a segment is refused.
        ProveError: workers were lost over one node too often (`prove.workers-lost`).
    """
    parts = foldable_sections(receipt)
    program, journal = bytes(parts.program), bytes(parts.journal)
    segments = _core.hybrid_segments(program, journal)
    judge_number(segments)
    if agree is not None:
        agree(estimate_fold(segments, len(receipt) - len(parts.proof)))
    how = Folding(progress, threads, workers)
    section = fold(program, journal, bytes(parts.proof), segments, how)
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


class Kept(Protocol):
    """Where proofs of nodes are kept, so that they are not made again."""

    def node(self, number: int) -> bytes | None:
        """The proof of a node, if there is one."""

    def write_node(self, number: int, proof: bytes) -> None:
        """Keep the proof of a node."""


@dataclass(frozen=True)
class Folding:
    """How nodes are proven.

    Attributes:
        progress: called before the first proof, and after each.
        threads: 0 for all cores.
        workers: who proves nodes that can be proven at the same time as others. What comes after
            those, the last node and the outer proof, is proven here.
        kept: where proofs of nodes are kept, and may be already.
    """

    progress: Progress = silent
    threads: int = 0
    workers: Workers = ALONE
    kept: Kept | None = None


def fold(
    program: _core.Model | bytes,
    journal: bytes,
    section: bytes,
    segments: int,
    how: Folding = Folding(),
) -> bytes:
    """The proof section of a succinct receipt from that of a foldable one of so many segments.

    Raises:
        UsageError, VerificationFailed, MalformedReceipt, ProveError: see `compress`.
    """
    tell_folding(how, segments)
    folder = _core.Folder.of_receipt(program, journal, section, how.threads)
    return prove_nodes(folder, how)


def tell_folding(how: Folding, segments: int) -> None:
    """Say how many proofs there are to make over so many segments, and how long one takes."""
    folding = estimate_fold(segments)
    how.progress(FOLDING, 0, folding.proofs)
    if isinstance(how.progress, Paced):
        here = folding.seconds * 2 / max(1, how.threads or cores())
        how.progress.expect(here / folding.proofs)


def prove_nodes(folder: _core.Folder, how: Folding = Folding()) -> bytes:
    """Prove all nodes and the outer proof; what they make.

    Raises:
        UsageError, ZktallyError, ProveError: see `compress`.
    """
    nodes = _Nodes(folder, how)
    left = [number for number in range(nodes.count) if not nodes.restore(number)]
    if len(left) < nodes.count:
        nodes.tell()
    # Of layers of one node nothing is done at the same time: all cores of one machine are faster.
    shared = [number for number in left if number < nodes.wide]
    if shared and (fleet := how.workers.fleet(NODES)) is not None:
        prove_shares(nodes, shared, fleet, nodes.keep, nodes.tell, needs=folder.needs)
        left = left[len(shared) :]
    for number in left:
        proof = folder.prove(number)
        nodes.check(number, proof)
        nodes.keep(number, proof)
        nodes.tell(number)
    return folder.finish()


class _Nodes:
    """The nodes of a tree, the outer proof as the last one."""

    def __init__(self, folder: _core.Folder, how: Folding) -> None:
        self._folder, self._how = folder, how
        layers = folder.layers
        self.count, self.wide = sum(layers), sum(width for width in layers if width > 1)
        self._done = 0

    def restore(self, number: int) -> bool:
        """Whether a proof was kept that stands over the proofs that are there now."""
        kept = self._how.kept
        try:
            proof = None if kept is None else kept.node(number)
            if proof is None:
                return False
            self._folder.take(number, proof)
        except (
            ZktallyError
        ):  # it cannot be read, is damaged, or one below it is missing or another now
            return False
        self._done += 1
        return True

    def share(self, number: int) -> bytes:
        """See `workers.fleet.Dealer`."""
        return self._folder.share(number)

    def check(self, number: int, proof: bytes) -> None:
        """See `workers.fleet.Dealer`; what passes is built on."""
        self._folder.take(number, proof)

    def keep(self, number: int, proof: bytes) -> None:
        """Keep a proof that passed."""
        if self._how.kept is not None:
            self._how.kept.write_node(number, proof)

    def tell(self, number: int | None = None) -> None:
        """Say how many are there; one more, where it was not counted."""
        self._done += number is not None
        self._how.progress(FOLDING, self._done, self.count)
