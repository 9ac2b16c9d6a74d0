"""Proofs that are verified inside a proof: the verifier of succinct receipts (docs/recursion.md).

Nothing is proven here: the rows that a prover has to fill follow from what is verified, and so do
their public columns. Start with `layers.verify_layers`.
"""
