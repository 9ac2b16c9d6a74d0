"""Workers that are actors of a Ray cluster (extra: scale)."""

from __future__ import annotations

import socket
import time
from typing import Any

from ...verifier.errors import ZktallyError
from ..errors import ClusterError
from ..work import SEGMENT_MAX
from .fleet import Worker, WorkerLost
from .task import Task
from .watch import Watch

LEAST = 0.05
"""Of a core, what an actor must use: Ray's own threads in it use a hundredth while it sleeps."""


class Cluster:
    """Actors of a Ray cluster, each with some of its cores.

    Args:
        task: what they prove shares of.
        address: "auto" for a cluster that runs already, "local" to start one here, else where.
        size: how many work at once; None for as many as the cluster has cores for.
        threads: cores of each.
        patience: see `Workers`.

    Raises:
        ClusterError: Ray is not installed, there is no cluster, or no room in it.
    """

    def __init__(
        self, task: Task, address: str, size: int | None, threads: int, patience: float
    ) -> None:
        self._patience = patience
        self._ray = ray = _ray()
        if ray.is_initialized():
            _same_cluster(ray, address)
        else:
            _connect(ray, address)
        nodes = [node for node in ray.nodes() if node["Alive"]]
        cores = [int(node["Resources"].get("CPU", 0)) for node in nodes]
        if not any(cores):
            raise ClusterError("the Ray cluster has no cores")
        share = sum(cores) // size if size else threads
        self._threads = max(1, min(threads, max(cores), share))
        room = sum(each // self._threads for each in cores)
        self.size = min(size or room, room)
        # Handed over once, however many workers there are. Nothing in it is secret.
        self._program = ray.put(task.program)
        self._rest = (task.journal, task.profile, self._threads)

    def start(self) -> Worker:
        """A new actor; what is asked of it waits until the cluster has room.

        Raises:
            WorkerLost: it could not be started.
        """
        # Beside the proof that it is at, an actor can say that it works.
        options = {"num_cpus": self._threads, "max_restarts": 0, "max_concurrency": 2}
        actor = self._ray.remote(**options)(ShareActor)
        watch = Watch(self._patience, LEAST)
        return _Actor(self._ray, actor.remote(self._program, *self._rest), watch)


class ShareActor:
    """What lives in the cluster: proves shares of one task."""

    def __init__(self, program: bytes, journal: bytes, profile: int | None, threads: int) -> None:
        self._prove = Task(program, journal, profile).prover(threads)

    def prove(self, number: int, share: bytes) -> bytes | ZktallyError:
        """The proof, or the error that says why there is none."""
        try:
            return self._prove(number, share)
        except ZktallyError as error:
            return error

    def spent(self) -> float:
        """Seconds of processors that this process has used."""
        return time.process_time()


class _Actor:
    """A handle of an actor."""

    def __init__(self, ray: Any, actor: Any, watch: Watch) -> None:
        self._ray, self._actor, self._watch = ray, actor, watch
        self._spent = actor.spent.remote()
        self._lives = False

    def prove(self, number: int, share: bytes) -> bytes:
        """See `Worker.prove`."""
        self._watch.begin()
        try:
            proof = self._actor.prove.remote(number, share)
            while not self._is_there(proof, self._watch.every):
                self._look()
            proven = self._ray.get(proof)
        except self._ray.exceptions.RayError as error:
            how = type(error).__name__
            raise WorkerLost(f"a worker of the cluster was lost ({how})") from error
        if isinstance(proven, ZktallyError):
            raise proven
        if type(proven) is not bytes or len(proven) > SEGMENT_MAX:
            raise WorkerLost("a worker of the cluster sent what is no proof")
        return proven

    def _look(self) -> None:
        """Find out whether it hangs; one that the cluster has no room for yet does not."""
        if self._is_there(self._spent, 0):
            self._lives = True
            self._watch.heard(self._ray.get(self._spent))
            self._spent = self._actor.spent.remote()
        if self._lives and self._watch.hangs():
            self.end()
            raise WorkerLost(f"a worker of the cluster hung: {self._watch.words()}")

    def _is_there(self, result: Any, seconds: float) -> bool:
        """Whether a result is there, at the latest after so many seconds."""
        return bool(self._ray.wait([result], timeout=seconds)[0])

    def end(self) -> None:
        """See `Worker.end`."""
        self._ray.kill(self._actor)

    def close(self) -> None:
        """See `Worker.close`."""
        self.end()


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ClusterError(
            "Ray is not installed",
            hint="pip install 'zktally[scale]', or prove with --processes",
        ) from error
    return ray


def _same_cluster(ray: Any, address: str) -> None:
    """Refuse to use another cluster than the one that this process is connected to."""
    connected = ray.get_runtime_context().gcs_address
    if address not in ("auto", "local", connected):
        raise ClusterError(
            "this process is connected to another Ray cluster",
            expected=address,
            received=connected,
            hint="call ray.shutdown() first",
        )


def _listens(address: str) -> None:
    """Find out at once where nobody is; Ray tries for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in address:
        socket.create_connection((host, int(port)), timeout=10).close()


def _connect(ray: Any, address: str) -> None:
    try:
        _listens(address)
        ray.init(
            address=address,
            include_dashboard=False,
            logging_level="error",
            log_to_driver=False,
        )
    except Exception as error:  # Ray raises what its parts raise.
        raise ClusterError(
            f"there is no Ray cluster at {address!r}",
            received=str(error).splitlines()[0] if str(error) else type(error).__name__,
            hint="start one with `ray start --head`, or say --ray local",
        ) from error
