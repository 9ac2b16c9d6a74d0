"""Labels of a receipt: what its prover writes on it, and whoever verifies it must name.

A label is a claim that nothing proves. So a receipt with one is refused unless the verifier knows
exactly that label beforehand: made for one verifier, it is of no use to another. Everything that
journal, claims, expectations, verdict and command lines say of labels follows from `LABELS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import UsageError
from .quoting import quoted
from .reader import Reader, Writer


@dataclass(frozen=True)
class Rule:
    """What one label may be, and what is said of it.

    Attributes:
        most: its bytes at most; the least is 1.
        is_text: whether it is UTF-8, or any bytes.
        claim: what a receipt with it does, in words that its value follows.
        stated: what a prover is told about it.
        demanded: what a verifier is told about it.
    """

    most: int
    is_text: bool
    claim: str
    stated: str
    demanded: str


LABELS: Mapping[str, Rule] = {
    "audience": Rule(
        256,
        is_text=True,
        claim="it is for the audience",
        stated="who the receipt is for",
        demanded="who the receipt must be made for",
    ),
    "nonce": Rule(
        64,
        is_text=False,
        claim="it answers the nonce",
        stated="challenge of the verifier (text, or hex after 0x)",
        demanded="the challenge that it must answer: text, or 0x and hex",
    ),
}
"""By name, in the order of the journal (docs/receipt-format.md)."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What has labels: a journal, the claims of a prover, the expectations of a verifier.

    Args:
        audience: who the receipt is for, 1 to 256 bytes of UTF-8, or None.
        nonce: the challenge of its verifier that it answers, 1 to 64 bytes, or None; a text stands
            for its UTF-8, or after 0x for hexadecimal digits.
    """

    audience: str | None = None
    nonce: bytes | None = None

    @property
    def labels(self) -> dict[str, Any]:
        """All of them by name, absent ones as None."""
        return {name: getattr(self, name) for name in LABELS}

    def judge_labels(self) -> None:
        """Refuse labels that no receipt can have.

        Raises:
            UsageError: one has a wrong type or length.
        """
        for name, value in self.labels.items():
            if value is not None:
                object.__setattr__(self, name, _judged(name, value))


def in_words(label: str | bytes | None) -> str:
    """A label as people see it: text in quotes, bytes in hexadecimal."""
    if label is None:
        return "none"
    return quoted(label) if isinstance(label, str) else f"0x{label.hex()}"


def parse(name: str, text: str) -> str | bytes:
    """A label from a text; where bytes are wanted, its UTF-8, or hexadecimal digits after 0x.

    Raises:
        UsageError: the text is not UTF-8, or the digits are not hexadecimal.
    """
    if LABELS[name].is_text:
        return text
    try:
        return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()
    except ValueError as error:
        raise UsageError(
            f"the {name} is neither text nor hexadecimal",
            expected="UTF-8, or 0x and pairs of digits",
            received=quoted(text),
        ) from error


def as_bytes(name: str, value: object) -> bytes:
    """The bytes of anything that is bytes.

    Raises:
        UsageError: it is something else.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise UsageError(f"{name} is not bytes", expected="bytes", received=type(value).__name__)


def read_labels(r: Reader) -> dict[str, Any]:
    """The labels at the end of a journal.

    Raises:
        MalformedReceipt: the bytes are not canonical, or end too early.
    """
    return {name: _read(r, name, rule) if r.flag() else None for name, rule in LABELS.items()}


def write_labels(w: Writer, labels: Mapping[str, Any]) -> None:
    """The inverse of `read_labels`; it judges nothing."""
    for value in labels.values():
        w.flag(value is not None)
        if value is not None:
            w.string(value.encode() if isinstance(value, str) else value)


def _read(r: Reader, name: str, rule: Rule) -> str | bytes:
    data = r.string()
    if not 1 <= len(data) <= rule.most:
        raise r.bad(
            f"the length of the {name} is out of range",
            expected=f"1 to {rule.most}",
            received=len(data),
        )
    if not rule.is_text:
        return data
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise r.bad(f"the {name} is not UTF-8") from error


def _judged(name: str, value: object) -> str | bytes:
    """The label, of its type and within its length."""
    rule = LABELS[name]
    if isinstance(value, str):
        value = parse(name, value)
    label = _text(name, value) if rule.is_text else as_bytes(name, value)
    length = len(label.encode() if isinstance(label, str) else label)
    if not 1 <= length <= rule.most:
        raise UsageError(
            f"{name} has a wrong length",
            expected=f"1 to {rule.most} bytes{' of UTF-8' if rule.is_text else ''}",
            received=quoted(label) if isinstance(label, str) else f"{length} bytes",
        )
    return label


def _text(name: str, value: object) -> str:
    try:
        if isinstance(value, str) and value.encode() is not None:
            return value
    except UnicodeEncodeError:
        pass
    raise UsageError(f"{name} is no text", expected="UTF-8", received=repr(value))
