"""Deal segments of a receipt, or nodes over them, out to workers, and take their proofs in.

A worker gets *shares*: of a segment its opened leaves, and no others; of a node the proofs that it
stands over. What it sends back is checked here as a verifier would, so that no worker makes a
receipt wrong. One that is lost, hangs, sends a wrong proof or refuses a share is replaced, and what
it should prove is dealt out again; a refusal is believed when a second worker says the same.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Protocol

from ...verifier.errors import ZktallyError
from ..errors import ProveError

TRIES = 3
"""Workers that may fail over one share."""
PATIENCE = 10.0
"""Seconds to wait for a thread whose worker was ended."""


class WorkerLost(Exception):
    """A worker has ended, or cannot be reached; its text says how."""


class Worker(Protocol):
    """Whoever proves shares of one kind, one at a time."""

    def prove(self, number: int, share: bytes) -> bytes:
        """The proof of a segment or node from its share.

        Raises:
            WorkerLost: the worker is gone, or hangs; nothing else may be asked of it.
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


class Dealer(Protocol):
    """Whoever has what all shares are made of."""

    def share(self, number: int) -> bytes:
        """What a segment or node is proven from."""

    def check(self, number: int, proof: bytes) -> None:
        """Check a proof as a verifier would.

        Raises:
            ZktallyError: it is refused.
        """


Keep = Callable[[int, bytes], None]
Claim = Callable[[int], AbstractContextManager[bool]]
Needs = Callable[[int], Iterable[int]]


def every(_number: int) -> AbstractContextManager[bool]:
    """Claims any of them."""
    return nullcontext(True)


def nothing(_number: int) -> Iterable[int]:
    """Needs no other to be there first."""
    return ()


@dataclass
class _Outcome:
    """What a thread tells the one that waits: one is done, or the error that ends everything."""

    number: int | None = None
    error: BaseException | None = None


def prove_shares(
    dealer: Dealer,
    numbers: Iterable[int],
    fleet: Fleet,
    keep: Keep,
    done: Callable[[int], None],
    claim: Claim = every,
    needs: Needs = nothing,
) -> None:
    """Prove segments, or nodes, by the workers of a fleet.

    Args:
        dealer: what makes shares, and checks each proof.
        numbers: of the segments or nodes.
        fleet: the workers; no more of them are started than there are numbers.
        keep: is given each checked proof, from several threads.
        done: is called in this thread with each number that is kept, or not ours to prove.
        claim: whether it is ours to prove, for as long as its context lasts.
        needs: which others come first; those that are not among the numbers are there already.

    Raises:
        ProveError: workers were lost over one share too often (`prove.workers-lost`).
        ZktallyError: one cannot be proven, or `keep` raised it.
    """
    waiting = list(numbers)
    deal = _Deal(dealer, fleet, keep, claim)
    deal.put({number: set(needs(number)).intersection(waiting) for number in waiting})
    with deal.running(min(fleet.size, len(waiting))):
        for _ in waiting:
            outcome = deal.outcomes.get()
            if outcome.error is not None:
                raise outcome.error
            if outcome.number is not None:
                done(outcome.number)


class _Deal:
    """What the threads, one a worker, share."""

    def __init__(self, dealer: Dealer, fleet: Fleet, keep: Keep, claim: Claim) -> None:
        self._dealer, self._fleet, self._keep, self._claim = dealer, fleet, keep, claim
        self._todo: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._waiting: dict[int, set[int]] = {}
        self._workers: set[Worker] = set()
        self._lock = threading.Lock()
        self._ended = False
        self.outcomes: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()

    def put(self, needs: dict[int, set[int]]) -> None:
        """What is to be proven, each with those that come first."""
        self._waiting = needs
        self._release()

    def _release(self, number: int | None = None) -> None:
        """Deal out what needs nothing any more, now that this one is there."""
        with self._lock:
            for needed in self._waiting.values():
                needed.discard(-1 if number is None else number)
            ready = [number for number, needed in self._waiting.items() if not needed]
            for each in ready:
                del self._waiting[each]
                self._todo.put(each)

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
        """Prove one share after the other, with as many workers as that takes."""
        worker: Worker | None = None
        try:
            while (number := self._todo.get()) is not None and not self._ended:
                with self._claim(number) as ours:
                    if ours:
                        worker = self._prove(number, worker)
                self._release(number)
                if self._todo.empty():
                    # Where there is room for fewer workers than threads, another one waits for it.
                    self._dismiss(worker)
                    worker = None
                self.outcomes.put(_Outcome(number=number))
        except BaseException as error:
            self.outcomes.put(_Outcome(error=error))
        finally:
            self._dismiss(worker)

    def _prove(self, number: int, worker: Worker | None) -> Worker:
        """Have a share proven; the worker to go on with."""
        share = self._dealer.share(number)
        lost: list[str] = []
        refusals: set[str] = set()
        while len(lost) < TRIES:
            try:
                worker = worker or self._hire()
                proof = worker.prove(number, share)
                self._check(number, proof)
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
                self._keep(number, proof)
                return worker
        raise ProveError(
            f"workers failed over share {number}",
            code="prove.workers-lost",
            expected="a proof that the verifier accepts",
            received="; ".join(dict.fromkeys(lost)),
        )

    def _check(self, number: int, proof: bytes) -> None:
        try:
            self._dealer.check(number, proof)
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
