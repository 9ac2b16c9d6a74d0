"""Typed errors: each has a code, what was expected, what was received, and a hint.

A code is stable and the same from both verifiers. Here are the errors that a verifier raises; what
only a compiler or a prover raises is defined beside it. docs/errors.md lists all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

Codes = Mapping[str, tuple[str, str]]
"""For each code: what it means, and what whoever meets it can do."""


class ZktallyError(Exception):
    """Base of all errors that zktally raises on purpose."""

    codes: ClassVar[Codes] = {}
    exit_code: int = 3
    exit_codes: ClassVar[Mapping[str, int]] = {}
    """Of codes that end a command otherwise than the others of their class."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = cls.__dict__.get("codes", {})
        _BY_CODE.update(dict.fromkeys(own, cls))
        parts = [f"{code}: {meaning} {remedy}" for code, (meaning, remedy) in own.items()]
        cls.__doc__ = "\n\n".join([cls.__doc__ or "", *parts])

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
        self.code = code if code is not None else next(iter(self.codes))
        if self.code not in self.codes:
            raise AssertionError(f"{type(self).__name__} has no code {self.code!r}")
        self.exit_code = self.exit_codes.get(self.code, self.exit_code)
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


_BY_CODE: dict[str, type[ZktallyError]] = {}


def error_for(
    code: str,
    message: str,
    *,
    expected: object = None,
    received: object = None,
    hint: str | None = None,
) -> ZktallyError:
    """The error of that code, of any class that is defined by now.

    For codes that cross a border: of a language, or of a reader that others choose the code for.
    """
    if code not in _BY_CODE:
        raise AssertionError(f"no error has the code {code!r}: {message}")
    return _BY_CODE[code](message, code=code, expected=expected, received=received, hint=hint)


class UsageError(ZktallyError):
    """The call itself is wrong: arguments, names, shapes, dtypes, files."""

    codes: ClassVar[Codes] = {
        "usage": (
            "An argument is wrong, or does not go with another; the message names it.",
            "Correct the call: `--help` and the docstrings say what is accepted.",
        ),
        "usage.input": (
            "An array, or a set of arrays, is not what the model takes: names, shapes, dtypes, "
            "values that are not finite.",
            "Compare with what was expected; `zktally inspect` lists the ports of a model.",
        ),
        "usage.file-exists": (
            "The file to be written is there already. Nothing was overwritten.",
            "Choose another name, or pass `--force` (`force=True`).",
        ),
        "usage.unreadable": (
            "A file is missing, cannot be read, is too large, or is not of the kind asked for.",
            "Check the path, its permissions, and whether the file is complete.",
        ),
        "usage.unwritable": (
            "A file cannot be written: the folder is missing or read-only, or the disk is full.",
            "Choose another folder, or make room. Nothing half-written was left behind.",
        ),
        "usage.busy": (
            "Another process works in the same folder; the message has its number.",
            "Wait until it is done, or end it; or use another folder.",
        ),
        "usage.long": (
            "The work would take more than ten minutes, or more memory than is free, and nobody "
            "was there to be asked.",
            "Pass `--yes` if that is meant; or claim a larger δ, take fewer steps, or use a larger "
            "machine.",
        ),
    }
    exit_code = 2


class MalformedProgram(ZktallyError):
    """Program bytes that are not canonical."""

    codes: ClassVar[Codes] = {
        "program.malformed": (
            "The bytes of a program do not follow its format: they were damaged, or written by "
            "something else.",
            "Get the file again, or compile the model again. A verifier need not look further.",
        ),
    }


class InvalidProgram(ZktallyError):
    """A well-formed program that breaks a rule of docs/protocol.md sections 1 and 2."""

    codes: ClassVar[Codes] = {
        "program.invalid": (
            "A program breaks a rule that every reader checks: shapes, index maps, tables, ranges, "
            "gates without effect. `zktally compile` writes no such program.",
            "If it was written by hand, correct the op that the message names; if it came with a "
            "receipt, refuse the receipt.",
        ),
    }


class MalformedReceipt(ZktallyError):
    """Bytes that are not a receipt in its one canonical form."""

    codes: ClassVar[Codes] = {
        "receipt.too-large": (
            "The file, or one of its sections, is larger than a reader accepts.",
            "If you expect a receipt of this size, raise `--max-size`; the format's own limits are "
            "fixed.",
        ),
        "receipt.bad-magic": (
            "The file does not begin like a receipt.",
            "Check that you passed the receipt, and not the model or another file.",
        ),
        "receipt.truncated": (
            "The bytes end inside a field, or are too few for what the receipt claims.",
            "Get the file again: the transfer was probably cut off.",
        ),
        "receipt.trailing-bytes": (
            "Bytes follow where the receipt, or a section of it, is complete.",
            "Get the file again; nothing may be appended to a receipt.",
        ),
        "receipt.non-canonical": (
            "A field holds something that no prover writes, or that does not fit the program.",
            "Get the file again. If it stays, refuse it: its maker does not follow the format.",
        ),
    }


class UnsupportedReceipt(ZktallyError):
    """A receipt of a version, mode or program that this release cannot judge."""

    codes: ClassVar[Codes] = {
        "receipt.unsupported-version": (
            "The receipt is of a format version that this release does not read.",
            "Verify with a release of that version, or ask for a new receipt.",
        ),
        "receipt.unsupported-mode": (
            "The receipt, or the call, names a mode that this release does not know, or that the "
            "function called does not judge.",
            "Use `zktally verify`, which judges every mode, in the newest release.",
        ),
        "verify.too-large": (
            "To judge the receipt would take more work or memory than a verifier grants.",
            "Ask for a receipt with a larger δ, fewer bits, fewer exact ops or fewer steps.",
        ),
        "snark.no-checker": (
            "What checks the proof of a SNARK receipt is not installed here, is of another "
            "release, or did not come to an end: the receipt is neither good nor bad.",
            "Install py_ecc, for `--backend python`; or ezkl in the release that is named, for "
            "`--backend rust`.",
        ),
        "hybrid.unsupported": (
            "The program has an op that hybrid and strict receipts do not cover; the message names "
            "it.",
            "Make a fast receipt, or express that op by others.",
        ),
    }


class VerificationFailed(ZktallyError):
    """The receipt was judged, and refused."""

    exit_code = 1


class ProgramMismatch(VerificationFailed):
    """The receipt is about another program or model."""

    codes: ClassVar[Codes] = {
        "verify.program-mismatch": (
            "The program in a receipt is not the one that its statement names, or a compiled model "
            "is not made from the ONNX file that you mean.",
            "Refuse it, or get both from the same source.",
        ),
        "verify.model-mismatch": (
            "The model id is not the one that you passed: other weights, another program, or "
            "another salt.",
            "Check the model id with whoever answers for the model; do not take it from the "
            "receipt.",
        ),
    }


class JournalMismatch(VerificationFailed):
    """The statement is not the one that the caller expects."""

    codes: ClassVar[Codes] = {
        "verify.journal-mismatch": (
            "The proof answers another statement than the one in the receipt.",
            "Refuse the receipt: its statement was changed, or its parts come from two receipts.",
        ),
        "verify.audience-mismatch": (
            "The receipt was made for somebody else, or for an audience that you did not name.",
            "Pass `--audience` exactly as it was agreed; otherwise refuse the receipt.",
        ),
        "verify.nonce-mismatch": (
            "The receipt does not answer your challenge, or answers one that you did not pass.",
            "Pass `--nonce` exactly as you sent it; otherwise the receipt is a replay.",
        ),
        "verify.state-mismatch": (
            "The chain of steps does not start from the state that you mean.",
            "Check `--initial-state` with whoever answers for that state.",
        ),
        "verify.dataset-mismatch": (
            "The steps read another data set than you mean, or one that you did not name.",
            "Pass `--dataset-root` as its holder computes it (`zktally dataset-root`), or accept "
            "whichever the prover chose with `--any-dataset`.",
        ),
        "verify.srs-mismatch": (
            "The receipt rests on another structured reference string than the one that you named, "
            "or you named none.",
            "Pass `--srs` as whoever ran its ceremony publishes it, or trust whoever made it with "
            "`--any-srs`.",
        ),
        "verify.input-mismatch": (
            "The inputs, their values or their root, are not the ones that the receipt is about, "
            "or the receipt keeps them private.",
            "Check the inputs and their order. Of a receipt with private inputs only "
            "`--input-root` can be compared.",
        ),
    }


class ParametersMismatch(VerificationFailed):
    """What the receipt is of, or how its run was made, is not what the policy demands."""

    codes: ClassVar[Codes] = {
        "policy.mode": (
            "The receipt is of a mode that your policy does not accept.",
            "Ask for a receipt of an accepted mode, or accept this one with `--modes`.",
        ),
        "policy.exact": (
            "An output is only sampled, and your policy demands every gate of it.",
            "Ask for a receipt in which the ops of the outputs are exact, or pass "
            "`--allow-sampled-outputs`.",
        ),
        "policy.seed": (
            "The seed of the run is the prover's own, or answers no nonce, and your policy demands "
            "more.",
            "Ask for a run whose seed is derived, under a nonce of yours if you demand one, or "
            "lower `--seed`.",
        ),
        "policy.start": (
            "The run does not begin as its program declares, and your policy demands that.",
            "Ask for the receipt of the beginning of the run, or for the chain of all receipts "
            "since, or lower `--start`.",
        ),
        "policy.steps": (
            "The run has gone on for more steps than you accept.",
            "Ask for a shorter run, or raise `--max-steps`.",
        ),
        "policy.epochs": (
            "The run has begun more epochs of its data set than you accept.",
            "Ask for a shorter run, or raise `--max-epochs`.",
        ),
        "policy.batch": (
            "A step reads fewer or more records than you accept.",
            "Ask for a run with another batch, or change `--batch`.",
        ),
        "policy.program": (
            "The program is none of those that your policy lists.",
            "Ask for a receipt of one of them, or add it to `--programs`.",
        ),
        "policy.range": (
            "A published input lies outside of the range that your policy sets, or there is no "
            "such input, or the receipt keeps its inputs private.",
            "Ask for a receipt with public inputs, or change `--range`.",
        ),
    }


class ErrorBoundExceeded(VerificationFailed):
    """The claimed δ is larger than the policy allows."""

    codes: ClassVar[Codes] = {
        "policy.delta": (
            "The part of the whole chain that may be wrong is larger than you accept.",
            "Ask for a receipt with a smaller δ, or raise `--max-delta`.",
        ),
        "policy.delta-step": (
            "The part of a single step that may be wrong is larger than you accept, or has no "
            "bound.",
            "Ask for a receipt with a smaller δ per step, or raise `--max-delta-step`.",
        ),
        "policy.delta-op": (
            "The part of a single op that may be wrong is larger than you accept, or has no bound.",
            "Ask for a receipt with a smaller δ per op, or raise `--max-delta-op`.",
        ),
    }


class InsufficientSecurity(VerificationFailed):
    """The confidence is below what the policy demands, or the STARK's is below its target."""

    codes: ClassVar[Codes] = {
        "policy.bits": (
            "The receipt gives fewer bits of confidence than you demand.",
            "Ask for a receipt with more bits, or lower `--min-bits`.",
        ),
        "security.insufficient": (
            "At this size the proof system proves fewer bits than its target.",
            "Ask for smaller segments, or for a receipt with fewer samples.",
        ),
    }


class ChainBroken(VerificationFailed):
    """Roots do not hash to the ones of the statement, or states do not link."""

    codes: ClassVar[Codes] = {
        "verify.weights-root": (
            "The roots of the weights do not hash to the weights root of the statement.",
            "Refuse the receipt: it was computed with other weights than it states.",
        ),
        "verify.prf-seed": (
            "The seed of the noise is not the one that the statement commits to.",
            "Refuse the receipt: the noise is not the one that was fixed.",
        ),
        "verify.initial-state": (
            "The roots of the first state do not hash to the initial state of the statement.",
            "Refuse the receipt: its chain starts elsewhere than it states.",
        ),
        "verify.dataset-root": (
            "The roots of the data set do not hash to the data set root of the statement.",
            "Refuse the receipt: its steps read other records than it states.",
        ),
        "verify.start": (
            "The chain claims to start as its program declares, and starts from another state.",
            "Refuse the receipt: its first state was chosen by the prover.",
        ),
        "verify.exported-root": (
            "The roots of what is exported do not hash to the exported root of the statement.",
            "Refuse the receipt: the model that it names is not the one that the run made.",
        ),
        "verify.follows": (
            "Receipts are not of one run, each going on where the one before has ended: the "
            "message names what differs.",
            "Give the receipts of one run in their order, without a gap.",
        ),
        "verify.input-root": (
            "The roots of the inputs do not hash to the input root of the statement.",
            "Refuse the receipt: it is about other inputs than it states.",
        ),
        "verify.final-state": (
            "The roots of the last state do not hash to the final state of the statement.",
            "Refuse the receipt: its chain ends elsewhere than it states.",
        ),
        "verify.chain-root": (
            "The steps do not hash to the chain root of the statement.",
            "Refuse the receipt: a step was changed, left out or moved after the commitment.",
        ),
    }


class InvalidProof(VerificationFailed):
    """An opening, a gate, an output or a STARK is wrong."""

    codes: ClassVar[Codes] = {
        "verify.opening": (
            "Opened values do not hash to the root that they are said to lie under.",
            "Refuse the receipt: they are not the values that were committed.",
        ),
        "verify.range": (
            "A committed or published value lies outside the range that the program declares.",
            "Refuse the receipt: no correct run has such a value.",
        ),
        "verify.gate": (
            "A gate was computed again, with another result than the committed one.",
            "Refuse the receipt: the computation is wrong there.",
        ),
        "verify.outputs": (
            "An output in the statement is not the one that was committed.",
            "Refuse the receipt: its outputs are not those of the run.",
        ),
        "verify.stark": (
            "The STARK of a segment does not hold; the message says which of its checks failed.",
            "Refuse the receipt: it proves nothing.",
        ),
        "verify.snark": (
            "The proof of a SNARK receipt does not hold for its key and public values.",
            "Refuse the receipt: it proves nothing.",
        ),
    }


class InvalidShowing(VerificationFailed):
    """Outputs that are shown of a receipt are not those that it is bound to."""

    codes: ClassVar[Codes] = {
        "shown.malformed": (
            "The file is no showing of outputs, is one of another program, or is damaged.",
            "Get the file again: `zktally outputs` writes it.",
        ),
        "shown.mismatch": (
            "The values that are shown are not those of these steps of this receipt.",
            "Refuse them; or ask for a showing that was made for this receipt.",
        ),
        "shown.range": (
            "A value that is shown lies outside of the declared range of its tensor.",
            "Refuse it: no honest step gives such a value.",
        ),
    }
    exit_codes: ClassVar[Mapping[str, int]] = {"shown.malformed": 3}
