"""Typed errors: each has a code, what was expected, what was received, and a hint.

`code` is stable and the same from both verifiers. Codes and classes are listed in docs/protocol.md
section 6; `error_for` turns a code that the Rust core reports into its class.
"""

from __future__ import annotations

from typing import ClassVar


class ZktallyError(Exception):
    """Base of all errors that zktally raises on purpose."""

    codes: ClassVar[tuple[str, ...]] = ()
    exit_code: ClassVar[int] = 3

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        expected: object = None,
        received: object = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code if code is not None else self.codes[0]
        if self.code not in self.codes:
            raise AssertionError(f"{type(self).__name__} has no code {self.code!r}")
        self.message = message
        self.expected = expected
        self.received = received
        self.hint = hint

    def to_json(self) -> dict[str, object]:
        """The error as one JSON-ready object."""
        return {
            "error": type(self).__name__,
            "code": self.code,
            "message": self.message,
            "expected": None if self.expected is None else str(self.expected),
            "received": None if self.received is None else str(self.received),
            "hint": self.hint,
        }

    def __str__(self) -> str:
        parts = [f"{self.message} [{self.code}]"]
        if self.expected is not None:
            parts.append(f"expected {self.expected}")
        if self.received is not None:
            parts.append(f"received {self.received}")
        return "; ".join(parts)


class UsageError(ZktallyError):
    """The call itself is wrong: arguments, names, shapes, dtypes, files."""

    codes: ClassVar[tuple[str, ...]] = (
        "usage",
        "usage.input",
        "usage.file-exists",
        "usage.unreadable",
        "usage.unwritable",
        "usage.missing-dependency",
    )
    exit_code = 2


class CompileError(ZktallyError):
    """The model cannot be turned into a program."""

    codes: ClassVar[tuple[str, ...]] = (
        "compile.bad-model",
        "compile.not-finite",
        "compile.dynamic-shape",
        "compile.calibration",
    )


class MixesItems(CompileError):
    """The model mixes the items of a batch; the message lists all nodes that do."""

    codes: ClassVar[tuple[str, ...]] = ("compile.mixes-items",)


class UnsupportedOp(CompileError):
    """The model has operators that zktally does not compile; the message lists all of them."""

    codes: ClassVar[tuple[str, ...]] = ("compile.unsupported-op",)


class RangeOverflow(CompileError):
    """A derived bound does not fit (docs/protocol.md section 2)."""

    codes: ClassVar[tuple[str, ...]] = ("compile.range-overflow",)


class BadModelFile(ZktallyError):
    """A compiled model file that is not what `compile` writes."""

    codes: ClassVar[tuple[str, ...]] = ("model.malformed",)


class ProveError(ZktallyError):
    """A receipt cannot be made."""

    codes: ClassVar[tuple[str, ...]] = (
        "prove.needs-reveal",
        "prove.too-large",
        "prove.failed",
        "prove.witness",
        "prove.randomness",
        "prove.retry",
    )


class MalformedProgram(ZktallyError):
    """Program bytes that are not canonical (`program.malformed`)."""

    codes: ClassVar[tuple[str, ...]] = ("program.malformed",)


class InvalidProgram(ZktallyError):
    """A well-formed program that breaks a rule of docs/protocol.md sections 1 and 2."""

    codes: ClassVar[tuple[str, ...]] = ("program.invalid",)


class MalformedReceipt(ZktallyError):
    """Bytes that are not a receipt in its one canonical form."""

    codes: ClassVar[tuple[str, ...]] = (
        "receipt.too-large",
        "receipt.bad-magic",
        "receipt.truncated",
        "receipt.trailing-bytes",
        "receipt.non-canonical",
    )


class UnsupportedReceipt(ZktallyError):
    """A receipt of a version, mode or program that this release cannot judge."""

    codes: ClassVar[tuple[str, ...]] = (
        "receipt.unsupported-version",
        "receipt.unsupported-mode",
        "verify.too-large",
        "hybrid.unsupported",
    )


class VerificationFailed(ZktallyError):
    """The receipt was judged, and refused."""

    codes: ClassVar[tuple[str, ...]] = ("verify.failed",)
    exit_code = 1


class ProgramMismatch(VerificationFailed):
    """The receipt is about another program or model."""

    codes: ClassVar[tuple[str, ...]] = ("verify.program-mismatch", "verify.model-mismatch")


class CalibrationMismatch(VerificationFailed):
    """A compiled model does not do on the checker's data what its maker recorded and claims."""

    codes: ClassVar[tuple[str, ...]] = ("check.ranges", "check.fidelity")


class JournalMismatch(VerificationFailed):
    """The statement is not the one that the caller expects."""

    codes: ClassVar[tuple[str, ...]] = (
        "verify.journal-mismatch",
        "verify.audience-mismatch",
        "verify.nonce-mismatch",
        "verify.state-mismatch",
        "verify.input-mismatch",
    )


class ParametersMismatch(VerificationFailed):
    """The receipt's mode or exact set is not what the policy demands."""

    codes: ClassVar[tuple[str, ...]] = ("policy.mode", "policy.exact")


class ErrorBoundExceeded(VerificationFailed):
    """The claimed δ is larger than the policy allows."""

    codes: ClassVar[tuple[str, ...]] = ("policy.delta", "policy.delta-step", "policy.delta-op")


class InsufficientSecurity(VerificationFailed):
    """The confidence is below what the policy demands, or the STARK's is below its target."""

    codes: ClassVar[tuple[str, ...]] = ("policy.bits", "security.insufficient")


class ChainBroken(VerificationFailed):
    """Roots do not hash to the ones of the statement, or states do not link."""

    codes: ClassVar[tuple[str, ...]] = (
        "verify.weights-root",
        "verify.prf-seed",
        "verify.initial-state",
        "verify.input-root",
        "verify.final-state",
        "verify.chain-root",
    )


class InvalidProof(VerificationFailed):
    """An opening, a gate, an output or a STARK is wrong."""

    codes: ClassVar[tuple[str, ...]] = (
        "verify.opening",
        "verify.range",
        "verify.gate",
        "verify.outputs",
        "verify.stark",
    )


def _by_code() -> dict[str, type[ZktallyError]]:
    found: dict[str, type[ZktallyError]] = {}
    pending = [ZktallyError]
    while pending:
        cls = pending.pop()
        pending.extend(cls.__subclasses__())
        found.update(dict.fromkeys(cls.__dict__.get("codes", ()), cls))
    return found


def error_for(
    code: str,
    message: str,
    *,
    expected: object = None,
    received: object = None,
    hint: str | None = None,
) -> ZktallyError:
    """The error of that code, for codes that cross a language border."""
    return _by_code()[code](message, code=code, expected=expected, received=received, hint=hint)
