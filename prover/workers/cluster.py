"""Workers that are actors of a Ray cluster (extra: scale)."""

from __future__ import annotations

import socket
from typing import Any

from ... import _core
from ...verifier.errors import ZktallyError
from ..errors import ClusterError
from ..work import SEGMENT_MAX, Job
from .fleet import Worker, WorkerLost


class Cluster:
    """Actors of a Ray cluster, each with some of its cores.

    Args:
        job: whose segments they prove.
        address: "auto" for a cluster that runs already, "local" to start one here, else where.
        size: how many work at once; None for as many as the cluster has cores for.
        threads: cores of each.

    Raises:
        ClusterError: Ray is not installed, there is no cluster, or no room in it.
    """

    def __init__(self, job: Job, address: str, size: int | None, threads: int) -> None:
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
        self._program = ray.put(job.program)
        self._job = (job.journal, job.segment_profile, self._threads)

    def start(self) -> Worker:
        """A new actor; what is asked of it waits until the cluster has room.

        Raises:
            WorkerLost: it could not be started.
        """
        actor = self._ray.remote(num_cpus=self._threads, max_restarts=0)(SegmentActor)
        return _Actor(self._ray, actor.remote(self._program, *self._job))


class SegmentActor:
    """What lives in the cluster: proves shares of one receipt."""

    def __init__(self, program: bytes, journal: bytes, profile: int, threads: int) -> None:
        self._prover = _core.SegmentProver(program, journal, profile, threads)

    def prove(self, segment: int, share: bytes) -> bytes | ZktallyError:
        """The proof, or the error that says why there is none."""
        try:
            return self._prover.prove(segment, share)
        except ZktallyError as error:
            return error


class _Actor:
    """A handle of an actor."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor

    def prove(self, segment: int, share: bytes) -> bytes:
        """See `Worker.prove`."""
        try:
            proven = self._ray.get(self._actor.prove.remote(segment, share))
        except self._ray.exceptions.RayError as error:
            how = type(error).__name__
            raise WorkerLost(f"a worker of the cluster was lost ({how})") from error
        if isinstance(proven, ZktallyError):
            raise proven
        if type(proven) is not bytes or len(proven) > SEGMENT_MAX:
            raise WorkerLost("a worker of the cluster sent what is no proof")
        return proven

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
