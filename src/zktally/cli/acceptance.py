"""What a verifier must pass for a receipt that the default policy would refuse."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..aggregates import Aggregate, judge_all
from ..api import Receipt, judge
from ..verifier.arguments import expectations_from_all, of_one_model
from ..verifier.chain import verify_run
from ..verifier.cli import add_verify_arguments
from ..verifier.confidence import headline
from ..verifier.errors import InsufficientSecurity, UsageError
from ..verifier.hybrid.aggregate import split_aggregate
from ..verifier.journal import FAST, ZERO_DIGEST, Journal
from ..verifier.labels import LABELS, in_words
from ..verifier.policy import Expectations, Policy, sampled_outputs
from ..verifier.program.checked import load
from ..verifier.quoting import listed
from ..verifier.quoting import shell_word as shell_word
from ..verifier.receipt import split_receipt
from ..verifier.sampling import Counts
from ..verifier.stark.params import TARGET

DELTA = "--max-delta"
"""The demand that receipts can differ in, of those of which one is enough for all."""


@dataclass(frozen=True)
class Demand:
    """One claim that the default policy refuses.

    Attributes:
        why: in words.
        arguments: what `zktally verify` needs to accept it.
    """

    why: str
    arguments: tuple[str, ...]


def demands(counts: Counts) -> list[Demand]:
    """The claims of a statement that verifiers refuse unless they are told otherwise.

    Raises:
        UsageError: no verifier can be told to accept it.
    """
    found, policy, journal = [], Policy(), counts.claim
    if not counts.is_strict and journal.delta_ppm > (policy.ppm("max_delta") or 0):
        delta = journal.delta_ppm / 1e6
        found.append(Demand(f"δ is {delta:.6g}", (DELTA, f"{delta:.6f}".rstrip("0"))))
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
    sampled = sampled_outputs(counts)
    if sampled:
        why = f"outputs are only sampled: {listed(sampled)}"
        found.append(Demand(why, ("--allow-sampled-outputs",)))
    for name, label in journal.labels.items():
        if label is not None:
            why = f"{LABELS[name].claim} {in_words(label)}"
            argument = label if isinstance(label, str) else f"0x{label.hex()}"
            found.append(Demand(why, (f"--{name}", argument)))
    return found


def command(receipt: Receipt, path: str) -> str:
    """The command that verifies this receipt; it was tried before it is printed.

    Raises:
        VerificationFailed: the receipt is refused, whatever its claims: it should not exist.
    """
    return command_of_run([receipt], [path])


def command_of_run(receipts: Sequence[Receipt], paths: Sequence[str]) -> str:
    """The same for the receipts of one run, which claim the same.

    Raises:
        VerificationFailed: they are refused, whatever their claims: they should not exist.
    """
    journal = receipts[0].journal
    needed = demands(Counts(load(bytes(split_receipt(receipts[0].data).program)), journal))
    arguments = {demand.arguments[0]: demand.arguments[1:] for demand in needed}
    if journal.dataset_root != ZERO_DIGEST:
        arguments["--dataset-root"] = (journal.dataset_root.hex(),)
    plain = [receipt.data for receipt in receipts]
    return _command(
        paths,
        [journal.model_id],
        arguments,
        lambda expected: verify_run(plain, of_one_model(expected), judge),
    )


def command_of_aggregate(made: Aggregate, path: str) -> str:
    """The same for an aggregate: one that holds for all of its receipts.

    Raises:
        VerificationFailed: it is refused, whatever its claims: it should not exist.
    """
    parts = split_aggregate(made.data).receipts
    arguments = arguments_of_all(
        [
            Counts(load(bytes(own.program)), journal)
            for own, journal in zip(parts, made.receipts, strict=True)
        ]
    )
    models = list(dict.fromkeys(journal.model_id for journal in made.receipts))
    return _command([path], models, arguments, lambda expected: judge_all(made.data, expected))


def arguments_of_all(statements: Sequence[Counts]) -> dict[str, tuple[str, ...]]:
    """Options with which a verifier accepts several statements at once, with their values.

    Labels are the same in all of them. Where data sets differ there is no option that names them.

    Raises:
        UsageError: no verifier can be told to accept one.
    """
    found: dict[str, tuple[str, ...]] = {}
    for counts in statements:
        for demand in demands(counts):
            option, *values = demand.arguments
            if option != DELTA or float(values[0]) > float(found.get(DELTA, ("0",))[0]):
                found[option] = tuple(values)
    data_sets = {counts.claim.dataset_root for counts in statements}
    if len(data_sets) > 1:
        found["--any-dataset"] = ()
    elif data_sets != {ZERO_DIGEST}:
        found["--dataset-root"] = (data_sets.pop().hex(),)
    return found


def _command(
    paths: Sequence[str],
    models: Sequence[bytes],
    arguments: dict[str, tuple[str, ...]],
    judged: Callable[[Sequence[Expectations]], object],
) -> str:
    """The command with these arguments, and the least --min-bits with which it accepts."""
    named = [word for model in models for word in ("--model-id", model.hex())]
    # What the proofs of a receipt leave of λ depends on their number: the verifier tells.
    arguments.pop("--min-bits", None)
    while (least := _refused(named, arguments, judged)) is not None:
        arguments["--min-bits"] = (least,)
    files = [f"./{path}" if path.startswith("-") else path for path in paths]
    return " ".join(map(shell_word, ["zktally", "verify", *files, *named, *_options(arguments)]))


def _bits(journal: Journal) -> int:
    """What a receipt with this statement will be worth; of more proofs than one, at least."""
    if journal.mode == FAST:
        return headline(journal.bits)
    return headline(journal.bits, TARGET, 1)


def _options(arguments: Mapping[str, tuple[str, ...]]) -> list[str]:
    return ["=".join((option, *values)) for option, values in arguments.items()]


def _refused(
    named: Sequence[str],
    arguments: Mapping[str, tuple[str, ...]],
    judged: Callable[[Sequence[Expectations]], object],
) -> str | None:
    """Judge as the command does: the bits that the receipts have, if they are too few for it."""
    parser = argparse.ArgumentParser()
    add_verify_arguments(parser)
    expected = expectations_from_all(parser.parse_args(["-", *named, *_options(arguments)]))
    try:
        judged(expected)
    except InsufficientSecurity as error:
        least = str(error.received)
        if error.code != "policy.bits" or int(least) >= expected[0].policy.min_bits:
            raise
        return least
    return None
