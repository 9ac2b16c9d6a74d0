"""Proofs of small models by ezkl (docs/snark.md): adapt, set up, prove."""
