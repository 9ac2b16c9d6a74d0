"""What a receipt will take, estimated from the program and the claims before any work is done."""

from .job import (
    FoldEstimate,
    JobEstimate,
    RunEstimate,
    StarkEstimate,
    estimate_fold,
    estimate_job,
    estimate_run,
    estimate_stark,
)

__all__ = [
    "FoldEstimate",
    "JobEstimate",
    "RunEstimate",
    "StarkEstimate",
    "estimate_fold",
    "estimate_job",
    "estimate_run",
    "estimate_stark",
]
