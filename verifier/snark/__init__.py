"""SNARK receipts: proofs by ezkl in our envelope, judged in plain Python (docs/snark.md).

`judge.verify_snark` is the entry; `plonk.check` is the proof system line by line.
"""
