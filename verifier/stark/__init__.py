"""The verifier of our STARK in plain Python and numpy: docs/stark.md, one section per module.

It knows nothing of networks. Start with `verify.verify_stark`.
"""

from __future__ import annotations

from .params import Counts, Parameters, Profile, Terms, choose, proven
from .security import judge_bits
from .statement import PresentTable, PublicTerms, Statement, TermGroup, parameters_for
from .tables import TablesFile, evaluate_rows, read_tables
from .verify import verify_stark

__all__ = [
    "Counts",
    "Parameters",
    "PresentTable",
    "Profile",
    "PublicTerms",
    "Statement",
    "TablesFile",
    "TermGroup",
    "Terms",
    "choose",
    "evaluate_rows",
    "judge_bits",
    "parameters_for",
    "proven",
    "read_tables",
    "verify_stark",
]
