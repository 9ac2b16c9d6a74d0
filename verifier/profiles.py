"""Profiles of the proofs of a receipt, as its head names them (docs/stark.md section 8).

Only names and numbers: whoever reads a head need not wait for the verifier of proofs.
"""

from __future__ import annotations

from .reader import RECEIPT_CODES, Reader

STANDARD, SMALL, FOLDABLE, SUCCINCT = 0, 1, 2, 4

NAMES = {STANDARD: "standard", SMALL: "small", FOLDABLE: "foldable", SUCCINCT: "succinct"}
"""By the number in the head."""

MAX_FOLDED = 64
"""Segments of a succinct receipt at most."""

_JOURNAL_DIGEST = 32
"""Bytes that the proof section begins with; the profile follows."""


def claimed_profile(proof: bytes | memoryview) -> int:
    """The profile that a proof section of a receipt that is not fast names, unverified.

    Raises:
        MalformedReceipt: it ends before, or there is no such profile.
    """
    reader = Reader(proof, RECEIPT_CODES)
    reader.take(_JOURNAL_DIGEST)
    return read_profile(reader)


def read_profile(reader: Reader) -> int:
    """Read a profile.

    Raises:
        MalformedReceipt: `receipt.truncated`; `receipt.non-canonical`, there is no such profile.
    """
    profile = reader.u8()
    if profile not in NAMES:
        known = ", ".join(f"{number} {name}" for number, name in NAMES.items())
        raise reader.bad("an unknown profile", expected=known, received=profile)
    return profile


def of_segments(profile: int) -> int:
    """The profile of the proofs of segments: a succinct receipt is folded from foldable ones."""
    return FOLDABLE if profile == SUCCINCT else profile
