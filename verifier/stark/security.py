"""Whether a statement is small enough to be proven, and to what it is proven (docs/stark.md 8)."""

from __future__ import annotations

from ..errors import InsufficientSecurity, UnsupportedReceipt
from ..reader import P
from .params import proven
from .statement import PublicTerms, Statement


def judge_bits(statement: Statement, terms: PublicTerms, target: int) -> float:
    """The proven bits of a statement at its size, at least the target.

    Raises:
        UnsupportedReceipt: `verify.too-large`, multiplicities could wrap.
        InsufficientSecurity: `security.insufficient`.
    """
    counts = statement.counts(terms)
    lookups = counts.lookups + counts.public_terms
    if lookups >= P:
        raise UnsupportedReceipt(
            "the tables of a proof have too many lookups: multiplicities could wrap",
            code="verify.too-large",
            expected=f"below {P}",
            received=lookups,
        )
    found = proven(statement.parameters, counts).proven_bits
    if found < target:
        raise InsufficientSecurity(
            "a proof shows too few bits at its size",
            code="security.insufficient",
            expected=f"at least {target}",
            received=f"{found:.1f}",
        )
    return found
