"""The entry: a receipt of any mode, judged as its statement says."""

from __future__ import annotations

from .facts import Facts
from .fast import check_fast
from .hybrid.verify import check_hybrid
from .journal import FAST, HYBRID, STRICT
from .policy import Expectations
from .steps import Outputs, judge_statement


def verify(
    receipt: bytes | bytearray | memoryview, expectations: Expectations
) -> tuple[Facts, Outputs]:
    """Judge a receipt of any mode; which ones are acceptable is the policy's to say.

    Args, results and errors: see `fast.verify_fast`, `hybrid.verify.verify_hybrid`.
    """
    statement = judge_statement(receipt, expectations, (FAST, HYBRID, STRICT))
    check = check_fast if statement.journal.mode == FAST else check_hybrid
    return check(statement, expectations)
