"""Composition: what is proven together under one receipt. Elsewhere "hybrid" is the mode."""
