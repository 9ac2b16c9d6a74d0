"""Composition: chains of steps under one receipt."""

from .chain import Estimate, estimate, prove_chain

__all__ = ["Estimate", "estimate", "prove_chain"]
