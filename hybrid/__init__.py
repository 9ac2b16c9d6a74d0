"""Composition: chains of steps under one receipt."""

from .chain import prove_chain, prove_hybrid_chain
from .estimate import Estimate, StarkEstimate, estimate, estimate_stark

__all__ = [
    "Estimate",
    "StarkEstimate",
    "estimate",
    "estimate_stark",
    "prove_chain",
    "prove_hybrid_chain",
]
