"""Benchmark networks: a small trained classifier and seeded random models of known sizes."""
