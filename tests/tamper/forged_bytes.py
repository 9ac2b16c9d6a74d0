"""Tamperings of the encoding: envelope, lengths, flags, text, field elements."""

from __future__ import annotations

import struct

from anatomy import FIELDS, MAGIC, dissect, join
from forged_openings import over_p
from forger import committed, receipt_of, victim
from registry import tampering

from zktally.verifier.receipt import MAX_RECEIPT

PROGRAM, JOURNAL, PROOF = dissect(receipt_of("dense")).sections
WHOLE = receipt_of("dense")


def cut(at: int) -> bytes:
    return WHOLE[:at]


BORDERS = {
    "everything": 0,
    "the magic": 3,
    "the version": 7,
    "the length of the program": 9,
    "the program": 8 + 4,
    "the program, half": 8 + 4 + len(PROGRAM) // 2,
    "the length of the journal": 8 + 4 + len(PROGRAM),
    "the journal": 8 + 8 + len(PROGRAM),
    "the journal, half": 8 + 8 + len(PROGRAM) + len(JOURNAL) // 2,
    "the length of the proof": 8 + 8 + len(PROGRAM) + len(JOURNAL),
    "the proof": 8 + 12 + len(PROGRAM) + len(JOURNAL),
    "the last byte": len(WHOLE) - 1,
}
for _name, _at in BORDERS.items():
    tampering(f"cut off: {_name}", "receipt.truncated", "dense")(lambda at=_at: cut(at))

for _name, _at in {**{n: FIELDS[n][0] for n in FIELDS}, "outputs": 303, "nonce": -2}.items():

    @tampering(f"journal ends before {_name}", "receipt.truncated", "dense")
    def _(at=_at):
        return join(PROGRAM, JOURNAL[:at], PROOF)


SECTIONS = {
    "proof ends after its roots": (
        "receipt.truncated",
        (PROGRAM, JOURNAL, PROOF[: 32 + 32 * len(committed("dense").trees)]),
    ),
    "proof ends after its seed": ("receipt.truncated", (PROGRAM, JOURNAL, PROOF[:32])),
    "proof ends inside its seed": ("receipt.truncated", (PROGRAM, JOURNAL, PROOF[:31])),
    "proof ends inside a root": ("receipt.truncated", (PROGRAM, JOURNAL, PROOF[:72])),
    "no proof": ("receipt.truncated", (PROGRAM, JOURNAL, b"")),
    "proof ends one byte early": ("receipt.truncated", (PROGRAM, JOURNAL, PROOF[:-1])),
    "no journal": ("receipt.truncated", (PROGRAM, b"", PROOF)),
    "a byte after the proof, counted": (
        "receipt.trailing-bytes", (PROGRAM, JOURNAL, PROOF + b"\0"),
    ),
    "a byte after the program, counted": (
        "verify.program-mismatch", (PROGRAM + b"\0", JOURNAL, PROOF),
    ),
    "no program": ("verify.program-mismatch", (b"", JOURNAL, PROOF)),
    "journal and program exchanged": (
        "receipt.unsupported-version", (JOURNAL, PROGRAM, PROOF),
    ),
}  # fmt: skip
for _name, (_code, _sections) in SECTIONS.items():
    tampering(f"sections: {_name}", _code, "dense")(lambda sections=_sections: join(*sections))


@tampering("sections: a byte after the journal, counted", "receipt.trailing-bytes", "dense")
def _():
    return dissect(WHOLE).restated(JOURNAL + b"\0")


@tampering("sections: a byte after the last one", "receipt.trailing-bytes", "dense")
def _():
    return WHOLE + b"\0"


@tampering("sections: two receipts in one file", "receipt.trailing-bytes", "dense")
def _():
    return WHOLE + WHOLE


def lengths(program: int, journal: int, proof: int) -> bytes:
    """The receipt with these lengths written before the sections."""
    parts = zip((program, journal, proof), (PROGRAM, JOURNAL, PROOF), strict=True)
    return MAGIC + b"".join(struct.pack("<I", length) + part for length, part in parts)


TRUE = (len(PROGRAM), len(JOURNAL), len(PROOF))
LENGTHS = {
    "program one more": ("receipt.truncated", (TRUE[0] + 1, *TRUE[1:])),
    "program one less": ("receipt.truncated", (TRUE[0] - 1, *TRUE[1:])),
    "journal one less": ("receipt.truncated", (TRUE[0], TRUE[1] - 1, TRUE[2])),
    "proof one more": ("receipt.truncated", (*TRUE[:2], TRUE[2] + 1)),
    "proof one less": ("receipt.trailing-bytes", (*TRUE[:2], TRUE[2] - 1)),
    "program above its limit": ("receipt.too-large", ((16 << 20) + 1, *TRUE[1:])),
    "program at its limit": ("receipt.truncated", (16 << 20, *TRUE[1:])),
    "journal above its limit": ("receipt.too-large", (TRUE[0], (256 << 20) + 1, TRUE[2])),
    "proof above its limit": ("receipt.too-large", (*TRUE[:2], (1 << 30) + 1)),
    "proof of all bits": ("receipt.too-large", (*TRUE[:2], 2**32 - 1)),
}
for _name, (_code, _lengths) in LENGTHS.items():
    tampering(f"length: {_name}", _code, "dense")(lambda given=_lengths: lengths(*given))

ENVELOPE = {
    "another magic": ("receipt.bad-magic", b"ZKTALLX" + WHOLE[7:]),
    "a compiled model": ("receipt.bad-magic", b"ZKTMODEL" + WHOLE[8:]),
    "the version of another mode": ("receipt.unsupported-version", b"ZKTALLY\x04" + WHOLE[8:]),
    "a version of the future": ("receipt.unsupported-version", b"ZKTALLY\x05" + WHOLE[8:]),
    "a short one of the future": ("receipt.unsupported-version", b"ZKTALLY\x05" + WHOLE[8:20]),
    "version 0": ("receipt.unsupported-version", b"ZKTALLY\x00" + WHOLE[8:]),
}
ENVELOPE["larger than any receipt"] = ("receipt.too-large", bytes(MAX_RECEIPT + 1))
for _name, (_code, _data) in ENVELOPE.items():
    tampering(f"envelope: {_name}", _code, "dense")(lambda data=_data: data)

OVERWRITTEN = {
    "version": ("receipt.unsupported-version", b"\x01\x00"),
    "mode": ("verify.journal-mismatch", b"\x01"),
    "input key flag": ("receipt.non-canonical", b"\x02"),
    "inputs flag": ("receipt.non-canonical", b"\x02"),
    "inputs length": ("receipt.truncated", b"\xff\xff\xff\xff"),
    "exact": ("receipt.non-canonical", b"\x02\x00"),
}
for _name, (_code, _data) in OVERWRITTEN.items():

    @tampering(f"journal: {_name} overwritten", _code, "dense")
    def _(name=_name, data=_data):
        return dissect(WHOLE).overwrite(name, data)


for _mode in (3, 4, 255):

    @tampering(f"journal: mode {_mode}", "receipt.unsupported-mode", "dense")
    def _(mode=_mode):
        return dissect(WHOLE).overwrite("mode", bytes([mode]))


for _name in (
    "weights root", "chain root", "input root", "initial state", "final state", "prf seed",
    "input key",
):  # fmt: skip

    @tampering(f"journal: {_name} written as itself plus p", "receipt.non-canonical", "dense")
    def _(name=_name):
        start, length = FIELDS[name]
        return dissect(WHOLE).overwrite(name, over_p(JOURNAL[start : start + length], 2))


def _tail(audience: bytes, nonce: bytes) -> bytes:
    """The receipt with other bytes in place of audience and nonce."""
    known = b"\x01\x0b\x00the auditor\x01\x02\x00\x01\x02"
    if not JOURNAL.endswith(known):
        raise ValueError("the journal ends otherwise")
    return dissect(WHOLE).restated(JOURNAL[: -len(known)] + audience + nonce)


NONE = b"\0"
TEXTS = {
    "audience flag of 2": (b"\x02\x01\0a", NONE),
    "nonce flag of 255": (NONE, b"\xff\x01\0a"),
    "audience of overlong UTF-8": (b"\x01\x02\0\xc0\xaf", NONE),
    "audience with half a character": (b"\x01\x01\0\xc3", NONE),
    "audience with a surrogate": (b"\x01\x03\0\xed\xa0\x80", NONE),
    "audience beyond Unicode": (b"\x01\x04\0\xf4\x90\x80\x80", NONE),
    "audience in Latin-1": (b"\x01\x01\0\xe4", NONE),
}
for _name, _given in TEXTS.items():
    tampering(f"text: {_name}", "receipt.non-canonical", "dense")(
        lambda given=_given: _tail(*given)
    )


@tampering("text: an audience with a zero byte after it", "verify.audience-mismatch", "dense")
def _():
    return _tail(b"\x01\x0c\0the auditor\0", b"\x01\x02\x00\x01\x02")


@tampering("text: an audience in another normal form", "verify.audience-mismatch", "dense")
def _():
    """Bytes are compared, not what they look like."""
    data = "a\u0308".encode()
    forged = _tail(b"\x01" + struct.pack("<H", len(data)) + data, NONE)
    return forged, victim("dense", audience="\u00e4", nonce=None)


@tampering("text: an audience longer than its section", "receipt.truncated", "dense")
def _():
    return _tail(b"\x01\xff\xffthe auditor", NONE)


def _without_names(tail: bytes) -> bytes:
    """A receipt without audience and nonce, other bytes in place of the two absences."""
    parts = dissect(receipt_of("average"))
    return parts.restated(parts.journal[:-2] + tail)


ABSENT = {
    "no nonce, written as 2": ("receipt.non-canonical", b"\0\2"),
    "no audience, written as 2": ("receipt.non-canonical", b"\2\0"),
    "no nonce, written as nothing": ("receipt.truncated", b"\0"),
    "an audience that is no text, where none is expected": (
        "receipt.non-canonical", b"\1\1\0\xe4\0",
    ),
}  # fmt: skip
for _name, (_code, _given) in ABSENT.items():
    tampering(f"text: {_name}", _code, "average")(lambda tail=_given: _without_names(tail))
