"""Hybrid receipts: what their STARK proves, derived from program, plan and roots (docs/hybrid.md).

Start with `verify.verify_hybrid`; `schedule.derive` gives the public columns of a segment.
"""
