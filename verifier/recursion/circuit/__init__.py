"""The verifier of a proof, written as rows of a machine (docs/recursion.md section 4).

It follows `stark/verify.py` line by line: the same checks in the same order.
"""
