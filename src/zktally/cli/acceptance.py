"""What a verifier must pass for a receipt that the default policy would refuse."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from ..api import Receipt
from ..verifier.cli import add_verify_arguments, expectations_from
from ..verifier.confidence import headline
from ..verifier.errors import InsufficientSecurity, UsageError
from ..verifier.journal import FAST, STRICT, Journal, model_id
from ..verifier.policy import Policy
from ..verifier.program.checked import Checked, load
from ..verifier.quoting import listed, quoted
from ..verifier.receipt import split_receipt
from ..verifier.sampling import Counts
from ..verifier.stark.params import TARGET


@dataclass(frozen=True)
class Demand:
    """One claim that the default policy refuses.

    Attributes:
        why: in words.
        arguments: what `zktally verify` needs to accept it.
    """

    why: str
    arguments: tuple[str, ...]


def demands(journal: Journal, checked: Checked) -> list[Demand]:
    """The claims of a statement that verifiers refuse unless they are told otherwise.

    Raises:
        UsageError: no verifier can be told to accept it.
    """
    found, policy = [], Policy()
    if journal.mode != STRICT and journal.delta_ppm > policy.max_delta_ppm:
        delta = journal.delta_ppm / 1e6
        found.append(Demand(f"δ is {delta:.6g}", ("--max-delta", f"{delta:.6f}".rstrip("0"))))
    bits = _bits(journal)
    if bits < 1:
        raise UsageError(
            "no policy accepts a receipt that shows 0 bits",
            expected="a λ of at least 2",
            received=journal.bits,
        )
    if bits < policy.min_bits:
        found.append(
            Demand(f"it shows {bits} {'bit' if bits == 1 else 'bits'}", ("--min-bits", str(bits)))
        )
    sampled = sampled_outputs(journal, checked)
    if sampled:
        why = f"outputs are only sampled: {listed(sampled)}"
        found.append(Demand(why, ("--allow-sampled-outputs",)))
    if journal.audience is not None:
        why = f"it is for the audience {quoted(journal.audience)}"
        found.append(Demand(why, ("--audience", journal.audience)))
    if journal.nonce is not None:
        nonce = f"0x{journal.nonce.hex()}"
        found.append(Demand(f"it answers the nonce {nonce}", ("--nonce", nonce)))
    return found


def sampled_outputs(journal: Journal, checked: Checked) -> list[str]:
    """Names of the outputs whose own op is not checked gate by gate."""
    counts = Counts(checked, journal)
    exact = {op.out for c, op in enumerate(checked.program.ops) if counts.enumerated[c]}
    return [port.name for port in checked.program.outputs if port.tensor not in exact]


def command(receipt: Receipt, path: str) -> str:
    """The command that verifies this receipt; it was tried before it is printed.

    Raises:
        VerificationFailed: the receipt is refused, whatever its claims: it should not exist.
    """
    journal = receipt.journal
    name = model_id(journal.program_id, journal.weights_root).hex()
    needed = demands(journal, load(bytes(split_receipt(receipt.data).program)))
    arguments = {demand.arguments[0]: demand.arguments[1:] for demand in needed}
    # What the proofs of a receipt leave of λ depends on their number: the verifier tells.
    arguments.pop("--min-bits", None)
    while (least := _refused(receipt, name, arguments)) is not None:
        arguments["--min-bits"] = (least,)
    path = f"./{path}" if path.startswith("-") else path
    words = ["zktally", "verify", path, "--model-id", name, *_options(arguments)]
    return " ".join(map(shell_word, words))


def shell_word(text: str) -> str:
    """The text as one word of a shell's command line, whatever is in it."""
    if text.isprintable():
        return shlex.quote(text)
    escaped = "".join(f"\\x{byte:02x}" for byte in text.encode("utf-8", "surrogateescape"))
    return f"$'{escaped}'"


def _bits(journal: Journal) -> int:
    """What a receipt with this statement will be worth; of more proofs than one, at least."""
    if journal.mode == FAST:
        return headline(journal.bits)
    return headline(journal.bits, TARGET, 1)


def _options(arguments: Mapping[str, tuple[str, ...]]) -> list[str]:
    return ["=".join((option, *values)) for option, values in arguments.items()]


def _refused(receipt: Receipt, name: str, arguments: Mapping[str, tuple[str, ...]]) -> str | None:
    """Judge the receipt as the command does: the bits that it has, if they are too few for it."""
    parser = argparse.ArgumentParser()
    add_verify_arguments(parser)
    words = ["-", "--model-id", name, *_options(arguments)]
    expected = expectations_from(parser.parse_args(words))
    try:
        receipt.verify(
            expected.model_id, expected.policy, audience=expected.audience, nonce=expected.nonce
        )
    except InsufficientSecurity as error:
        least = str(error.received)
        if error.code != "policy.bits" or int(least) >= expected.policy.min_bits:
            raise
        return least
    return None
