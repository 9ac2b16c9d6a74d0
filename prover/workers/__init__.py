"""Segments and nodes proven by several workers: processes of this machine, or a Ray cluster.

`fleet` deals shares out and takes proofs in; `process` and `cluster` are the workers it can have;
`serve` is what runs in a process; `watch` finds those that hang. docs/workers.md says what a worker
sees.
"""

from .fleet import Fleet, Worker, WorkerLost, prove_shares
from .options import Workers

__all__ = ["Fleet", "Worker", "WorkerLost", "Workers", "prove_shares"]
