"""How a proof is refused: one code, and the check in words."""

from __future__ import annotations

from ..errors import InvalidProof


def demand(holds: bool, check: str) -> None:
    """Refuse the proof unless the check holds.

    Raises:
        InvalidProof: `verify.stark`.
    """
    if not holds:
        raise InvalidProof(f"the proof is wrong: {check}", code="verify.stark")
