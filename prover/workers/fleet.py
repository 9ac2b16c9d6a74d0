"""Deal the segments of a receipt out to workers, and take their proofs in.

A worker gets the program, the statement and the *shares* of its segments: their opened leaves, and
no others. What it sends back is checked here as a verifier would, so that no worker makes a
receipt wrong. One that is lost, sends a wrong proof or refuses a share is replaced, and its segment
is dealt out again; a refusal is believed when a second worker says the same.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Protocol

from ... import _core
from ...verifier.errors import ZktallyError
from ..errors import ProveError

TRIES = 3
"""Workers that may fail over one segment."""
PATIENCE = 10.0
"""Seconds to wait for a thread whose worker was ended."""


class WorkerLost(Exception):
    """A worker has ended, or cannot be reached; its text says how."""


class Worker(Protocol):
    """Whoever proves segments of one receipt, one at a time."""

    def prove(self, segment: int, share: bytes) -> bytes:
        """The proof of a segment from its share.

        Raises:
            WorkerLost: the worker is gone; nothing else may be asked of it.
            ZktallyError: the worker says that the share cannot be proven.
        """

    def end(self) -> None:
        """End the worker, whatever it does, at once and from any thread; again: nothing."""

    def close(self) -> None:
        """The same, and let go of what it held; only from the thread that it works for."""


class Fleet(Protocol):
    """Workers of one kind."""

    @property
    def size(self) -> int:
        """How many may work at once."""

    def start(self) -> Worker:
        """A new worker; nothing is waited for.

        Raises:
            WorkerLost: none could be started.
        """


Keep = Callable[[int, bytes], None]
Claim = Callable[[int], AbstractContextManager[bool]]


def every(_segment: int) -> AbstractContextManager[bool]:
    """Claims any segment."""
    return nullcontext(True)


@dataclass
class _Outcome:
    """What a thread tells the one that waits: a segment done, or the error that ends everything."""

    segment: int | None = None
    error: BaseException | None = None


def prove_segments(
    prover: _core.HybridProver,
    segments: Iterable[int],
    fleet: Fleet,
    keep: Keep,
    done: Callable[[int], None],
    claim: Claim = every,
) -> None:
    """Prove segments by the workers of a fleet.

    Args:
        prover: what has all openings, and checks each proof.
        segments: their numbers.
        fleet: the workers; no more of them are started than there are segments.
        keep: is given each checked proof, from several threads.
        done: is called in this thread with each segment that is kept, or not ours to prove.
        claim: whether a segment is ours to prove, for as long as its context lasts.

    Raises:
        ProveError: workers were lost over one segment too often (`prove.workers-lost`).
        ZktallyError: a segment cannot be proven, or `keep` raised it.
    """
    waiting = list(segments)
    deal = _Deal(prover, fleet, keep, claim, waiting)
    with deal.running(min(fleet.size, len(waiting))):
        for _ in waiting:
            outcome = deal.outcomes.get()
            if outcome.error is not None:
                raise outcome.error
            if outcome.segment is not None:
                done(outcome.segment)


class _Deal:
    """What the threads, one a worker, share."""

    def __init__(
        self,
        prover: _core.HybridProver,
        fleet: Fleet,
        keep: Keep,
        claim: Claim,
        segments: list[int],
    ) -> None:
        self._prover, self._fleet, self._keep, self._claim = prover, fleet, keep, claim
        self._todo: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._workers: set[Worker] = set()
        self._lock = threading.Lock()
        self._ended = False
        self.outcomes: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()
        for segment in segments:
            self._todo.put(segment)

    @contextmanager
    def running(self, threads: int) -> Iterator[None]:
        """Work, until all is done or the context ends; then no worker is left."""
        pool = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        try:
            for thread in pool:
                thread.start()
            yield
        finally:
            with self._lock:
                self._ended = True
                workers = list(self._workers)
            for _ in pool:
                self._todo.put(None)
            for worker in workers:
                with suppress(Exception):  # one that cannot be ended leaves the others to be
                    worker.end()
            for thread in pool:
                if thread.ident is not None:
                    thread.join(PATIENCE)

    def _work(self) -> None:
        """Prove one segment after the other, with as many workers as that takes."""
        worker: Worker | None = None
        try:
            while (segment := self._todo.get()) is not None and not self._ended:
                with self._claim(segment) as ours:
                    if ours:
                        worker = self._prove(segment, worker)
                if self._todo.empty():
                    # Where there is room for fewer workers than threads, another one waits for it.
                    self._dismiss(worker)
                    worker = None
                self.outcomes.put(_Outcome(segment=segment))
        except BaseException as error:
            self.outcomes.put(_Outcome(error=error))
        finally:
            self._dismiss(worker)

    def _prove(self, segment: int, worker: Worker | None) -> Worker:
        """Have a segment proven; the worker to go on with."""
        share = self._prover.share(segment)
        lost: list[str] = []
        refusals: set[str] = set()
        while len(lost) < TRIES:
            try:
                worker = worker or self._hire()
                proof = worker.prove(segment, share)
                self._check(segment, proof)
            except (WorkerLost, ZktallyError) as error:
                self._dismiss(worker)
                worker = None
                if self._ended:
                    raise
                if isinstance(error, ZktallyError):
                    if error.code in refusals:
                        raise
                    refusals.add(error.code)
                lost.append(str(error))
            else:
                self._keep(segment, proof)
                return worker
        raise ProveError(
            f"workers failed over segment {segment}",
            code="prove.workers-lost",
            expected="a proof that the verifier accepts",
            received="; ".join(dict.fromkeys(lost)),
        )

    def _check(self, segment: int, proof: bytes) -> None:
        try:
            self._prover.check(segment, proof)
        except ZktallyError as error:
            raise WorkerLost(f"a worker sent a wrong proof ({error.code})") from error

    def _hire(self) -> Worker:
        worker = self._fleet.start()
        with self._lock:
            self._workers.add(worker)
            ended = self._ended
        if ended:
            worker.end()
        return worker

    def _dismiss(self, worker: Worker | None) -> None:
        if worker is not None:
            with self._lock:
                self._workers.discard(worker)
            worker.close()
