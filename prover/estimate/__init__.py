"""What a receipt will take, estimated from the program and the claims before any work is done."""

from .job import Estimate, JobEstimate, StarkEstimate, estimate, estimate_of, estimate_stark

__all__ = [
    "Estimate",
    "JobEstimate",
    "StarkEstimate",
    "estimate",
    "estimate_of",
    "estimate_stark",
]
