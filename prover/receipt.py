"""The envelope of a receipt, written (docs/receipt-format.md)."""

from __future__ import annotations

from ..verifier.reader import Writer
from ..verifier.receipt import MAGIC, MAX_JOURNAL, MAX_PROGRAM, MAX_PROOF, version_of
from .errors import ProveError


def encode_receipt(program: bytes, journal: bytes, proof: bytes) -> bytes:
    """The receipt of these sections.

    Raises:
        ProveError: `prove.too-large`, a section is longer than a reader accepts.
    """
    w = Writer()
    w.raw(MAGIC)
    w.u8(version_of(journal))
    for section, limit in ((program, MAX_PROGRAM), (journal, MAX_JOURNAL), (proof, MAX_PROOF)):
        if len(section) > limit:
            raise ProveError(
                "the receipt would be larger than any reader accepts",
                code="prove.too-large",
                expected=f"sections of at most {MAX_PROGRAM}, {MAX_JOURNAL}, {MAX_PROOF} bytes",
                received=f"{len(program)}, {len(journal)}, {len(proof)} bytes",
                hint="split the chain, or claim a larger δ or fewer exact ops",
            )
        w.blob(section)
    return w.getvalue()
