"""Segments proven by several workers: processes of this machine, or a Ray cluster.

`fleet` deals segments out and takes proofs in; `process` and `cluster` are the workers it can have;
`serve` is what runs in a process. docs/workers.md says what a worker sees.
"""

from .fleet import Fleet, Worker, WorkerLost, prove_segments
from .options import Workers

__all__ = ["Fleet", "Worker", "WorkerLost", "Workers", "prove_segments"]
