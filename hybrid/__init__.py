"""Composition: chains of steps under one receipt."""

from .chain import prove_chain, prove_hybrid_chain
from .estimate import (
    Estimate,
    JobEstimate,
    StarkEstimate,
    estimate,
    estimate_of,
    estimate_stark,
)

__all__ = [
    "Estimate",
    "JobEstimate",
    "StarkEstimate",
    "estimate",
    "estimate_of",
    "estimate_stark",
    "prove_chain",
    "prove_hybrid_chain",
]
