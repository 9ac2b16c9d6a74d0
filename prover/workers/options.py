"""Who proves the segments of a receipt, and the nodes over them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...verifier.errors import UsageError
from .watch import PATIENCE as PATIENCE

if TYPE_CHECKING:
    from .fleet import Fleet
    from .task import Task

MOST = 1024
LEAST_PATIENCE, MOST_PATIENCE = 10.0, 1e6


def cores() -> int:
    """Cores of this machine that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Workers:
    """Who proves segments and nodes: this process, several of this machine, or a Ray cluster.

    Attributes:
        processes: how many prove at once; 1 without `ray` is this process alone, None with `ray` is
            as many as the cluster has room for.
        ray: the address of a Ray cluster: "auto" finds a running one, "local" starts one here.
        threads: of each; 0 divides the cores of this machine among its processes, and is 2 of a
            cluster's.
        patience: seconds in which a worker must use a hundredth of a core (an actor of Ray a
            twentieth); one that does not hangs, and is replaced.

    Raises:
        UsageError: a number that is none of these.
    """

    processes: int | None = None
    ray: str | None = None
    threads: int = 0
    patience: float = PATIENCE

    def __post_init__(self) -> None:
        if self.processes is not None and not 1 <= self.processes <= MOST:
            raise UsageError(
                "the number of processes is out of range",
                expected=f"1 to {MOST}",
                received=str(self.processes),
            )
        if self.ray is not None and not self.ray.strip():
            raise UsageError(
                "the address of the Ray cluster is empty", expected="auto, or HOST:PORT"
            )

        if not LEAST_PATIENCE <= self.patience <= MOST_PATIENCE:
            raise UsageError(
                "the patience with workers is out of range",
                expected=f"{LEAST_PATIENCE:.0f} to {MOST_PATIENCE:.0f} seconds",
                received=str(self.patience),
            )

    def fleet(self, task: Task) -> Fleet | None:
        """Workers for shares of a task; None where this process does it alone.

        Raises:
            UsageError: Ray is not installed, or there is no cluster.
        """
        if self.ray is not None:
            from .cluster import Cluster

            return Cluster(task, self.ray, self.processes, self.threads or 2, self.patience)
        if self.processes is None or self.processes == 1:
            return None
        from .process import Processes

        threads = self.threads or max(1, cores() // self.processes)
        return Processes(task, self.processes, threads, self.patience)


ALONE = Workers()
