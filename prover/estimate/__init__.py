"""What a receipt will take, estimated from the program and the claims before any work is done."""

from .job import JobEstimate, RunEstimate, StarkEstimate, estimate_job, estimate_run, estimate_stark

__all__ = [
    "JobEstimate",
    "RunEstimate",
    "StarkEstimate",
    "estimate_job",
    "estimate_run",
    "estimate_stark",
]
