"""The verifier in plain Python and numpy: receipts judged offline, every line readable.

It is installed alone as `zktally-verifier` and inside zktally as `zktally.verifier`. Start with
`fast.verify_fast`, which is docs/protocol.md section 6 line by line; `hybrid.verify` is
docs/hybrid.md section 7, and `verify.verify` judges a receipt of either mode.
"""
