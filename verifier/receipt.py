"""The envelope of a receipt: three sections, limits first (docs/receipt-format.md)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import MalformedReceipt, UnsupportedReceipt, UsageError
from .files import unreadable
from .journal import FAST, HYBRID, MODE_AT, STRICT
from .kinds import AGGREGATE, what_is
from .reader import RECEIPT_CODES, Reader

MAGIC = b"ZKTALLY"
VERSIONS = {FAST: 3, HYBRID: 4, STRICT: 4}
"""By the mode of the statement: proofs with a STARK have had another form."""

MAX_PROGRAM = 16 << 20
MAX_JOURNAL = 256 << 20
MAX_PROOF = 1 << 30
MAX_RECEIPT = 5 << 28
"""1.25 GiB."""
DEFAULT_MAX_SIZE = 1 << 30


@dataclass(frozen=True)
class Sections:
    """The three parts of a receipt, views of its bytes."""

    program: memoryview
    journal: memoryview
    proof: memoryview


def as_receipt(given: object) -> bytes:
    """What a caller gives as a receipt, as bytes.

    Raises:
        UsageError: it is not bytes of any kind.
    """
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(given)
    raise UsageError("a receipt is bytes", expected="bytes", received=f"a {type(given).__name__}")


def refuse_no_list(receipts: object) -> None:
    """Refuse one path, or the bytes of one receipt, where a list of receipts is meant.

    Raises:
        UsageError: it is no list, or anything else with an order.
    """
    if isinstance(receipts, str | bytes | bytearray | memoryview) or not isinstance(
        receipts, Iterable
    ):
        raise UsageError(
            "receipts are no list",
            expected="a list of receipts in their order",
            received=f"a {type(receipts).__name__}",
            hint="put a single one between brackets: [receipt]",
        )


def split_receipt(data: bytes) -> Sections:
    """Cut a receipt into its sections.

    Raises:
        MalformedReceipt: too large, no receipt, truncated, or bytes follow.
        UnsupportedReceipt: a receipt of another version.
    """
    judge_length("receipt", len(data))
    if not data.startswith(MAGIC):
        cut_off, kind = MAGIC.startswith(data), what_is(data)
        raise MalformedReceipt(
            "this is no receipt",
            code="receipt.truncated" if cut_off else "receipt.bad-magic",
            expected="a receipt, which begins with ZKTALLY",
            received=f"{len(data)} bytes of one" if cut_off and data else kind,
            hint="`zktally verify` judges it, or verify_aggregate" if kind == AGGREGATE else None,
        )
    r = Reader(data, RECEIPT_CODES)
    r.take(len(MAGIC))
    version = r.u8()
    if version not in VERSIONS.values():
        raise _unsupported(" or ".join(map(str, sorted(set(VERSIONS.values())))), version)
    program = read_section(r, "program", MAX_PROGRAM)
    journal = read_section(r, "journal", MAX_JOURNAL)
    proof = read_section(r, "proof", MAX_PROOF)
    r.end()
    if version != version_of(journal):
        raise _unsupported(version_of(journal), version)
    return Sections(program, journal, proof)


def version_of(journal: bytes | memoryview) -> int:
    """The version of the receipts of a statement, from its bytes, which may be none."""
    mode = journal[MODE_AT] if len(journal) > MODE_AT else FAST
    return VERSIONS.get(mode, VERSIONS[FAST])


def _unsupported(expected: object, received: int) -> UnsupportedReceipt:
    return UnsupportedReceipt(
        "a receipt of another version",
        code="receipt.unsupported-version",
        expected=expected,
        received=received,
    )


def read_receipt(path: str, max_size: int = DEFAULT_MAX_SIZE) -> bytes:
    """The bytes of a file, or of stdin for `-`; never reads more than `max_size` bytes.

    Raises:
        UsageError: the file cannot be read.
        MalformedReceipt: it is larger than `max_size`.
    """
    try:
        if path == "-":
            data = sys.stdin.buffer.read(max_size + 1)
        else:
            _limit("file", Path(path).stat().st_size, max_size)
            with Path(path).open("rb") as file:
                data = file.read(max_size + 1)
    except OSError as error:
        raise unreadable(path, error) from error
    _limit("file", len(data), max_size)
    return data


def read_section(r: Reader, name: str, limit: int) -> memoryview:
    """A u32 length, at most the limit, and so many bytes, not copied.

    Raises:
        MalformedReceipt: `receipt.too-large`, `receipt.truncated`.
    """
    length = r.u32()
    _limit(name, length, limit)
    return r.take(length)


def judge_length(what: str, length: int) -> None:
    """No file of receipts is larger than this.

    Raises:
        MalformedReceipt: `receipt.too-large`.
    """
    _limit(what, length, MAX_RECEIPT)


def _limit(what: str, length: int, limit: int) -> None:
    if length > limit:
        raise MalformedReceipt(
            f"the {what} is too large",
            code="receipt.too-large",
            expected=f"at most {limit} bytes",
            received=f"{length} bytes",
        )
