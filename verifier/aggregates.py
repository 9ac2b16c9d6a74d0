"""Aggregates at the borders of the verifier, where `hybrid.aggregate` judges them.

What is expected of their receipts, how the verdict reads, what they claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from .chain import bits_together
from .describe import Segments, claims_text, describe_sections
from .errors import UsageError
from .facts import Facts
from .hybrid.aggregate import expected_of, split_aggregate
from .hybrid.verify import count_within
from .journal import Journal
from .labels import in_words
from .pins import Pins
from .policy import Expectations, Policy
from .profiles import SUCCINCT
from .quoting import quoted
from .snark.judge import refuse_string
from .steps import Outputs
from .units import size
from .verified import Verified, counted

JudgeAll = Callable[[bytes, Sequence[Expectations]], list[Verified]]


def expectations_of(
    model_ids: str | bytes | Iterable[str | bytes], policy: Policy | None = None, **expected: Any
) -> list[Expectations]:
    """What is expected of the receipts of an aggregate: the same of all, but for their models.

    Args:
        model_ids: the models that the caller means, each 32 bytes or hexadecimal.
        policy: what is demanded of each receipt.
        **expected: see `Expectations`.

    Raises:
        UsageError: no model is named, or an expectation makes no sense.
    """
    named = [model_ids] if isinstance(model_ids, str | bytes) else model_ids
    if not isinstance(named, Iterable):
        raise UsageError(
            "model_ids are no list",
            expected="ids of models, 32 bytes or hexadecimal",
            received=f"a {type(named).__name__}",
        )
    found = [Expectations.of(each, policy, **expected) for each in named]
    if not found:
        raise UsageError("no model is named", expected="the id of each model that you mean")
    return found


def refuse_of_one(expectations: Sequence[Expectations]) -> None:
    """Refuse expectations that only a single receipt can meet.

    Raises:
        UsageError: there are some, or none are expectations.
    """
    for each in expectations[:1]:
        refuse_string(each)
        if each.inputs is not None or each.input_root is not None:
            raise UsageError(
                "inputs of several receipts cannot be compared at once",
                expected="what holds of every receipt of the aggregate",
                received="inputs, or their root",
                hint="verify the receipts that it was made of by themselves, with their inputs",
            )


def verdicts(
    data: bytes,
    expectations: Sequence[Expectations],
    found: Sequence[tuple[Facts, Outputs]],
    backend: str,
) -> list[Verified]:
    """What follows for the reader of an aggregate that a verifier has judged and found good."""
    parts = split_aggregate(data).receipts
    return [
        Verified.of(
            *each, backend, Pins.of_sections(own, expected_of(own, expectations)), len(parts) - 1
        )
        for own, each in zip(parts, found, strict=True)
    ]


def bits_of_all(found: Sequence[Verified]) -> int:
    """Confidence in all receipts of an aggregate together: their errors are added up."""
    return bits_together([each.facts.headline_bits for each in found])


def sentence_of_all(found: Sequence[Verified]) -> str:
    """The verdict on an aggregate in one line."""
    models = counted(len({each.facts.model_id for each in found}), "model")
    receipts, bits = counted(len(found), "receipt"), counted(bits_of_all(found), "bit")
    return f"{receipts} of {models} under one proof ({bits} for all receipts together)"


def promised(found: Sequence[Verified]) -> Iterator[tuple[list[int], list[str]]]:
    """What the receipts promise, once for those that promise the same.

    Yields:
        Numbers of the receipts, from 0 on; and the promise, line by line.
    """
    same: dict[str, list[int]] = {}
    for number, each in enumerate(found):
        same.setdefault(each.guarantee.text(), []).append(number)
    for text, numbers in same.items():
        yield numbers, text.split("\n")


def all_to_json(found: Sequence[Verified], most: int | None = None) -> dict[str, Any]:
    """The verdict on an aggregate as one JSON-ready object; `most`: see `Verified.to_json`."""
    return {
        "bits": bits_of_all(found),
        "sentence": sentence_of_all(found),
        "receipts": [each.to_json(most) for each in found],
    }


def describe_aggregate(data: bytes, segments: Segments | None = None) -> tuple[dict[str, Any], str]:
    """What the receipts of an aggregate claim, as JSON and as text; nothing of it is verified.

    Args, errors: see `describe.describe_receipt`.
    """
    aggregate = split_aggregate(data)
    segments = segments or partial(count_within, aggregate.room)
    journals = [Journal.decode(own.journal) for own in aggregate.receipts]
    described = [
        describe_sections(own, journal, segments, SUCCINCT)
        for own, journal in zip(aggregate.receipts, journals, strict=True)
    ]
    shown = {
        "format": "zktally.inspect/1",
        "kind": "aggregate",
        "verified": False,
        "mode": None,
        "bytes": {"all": len(data), "proof": len(aggregate.proof)},
        "receipts": described,
    }
    proven = sum(each["stark"]["segments"] for each in described)
    lines = [
        "UNVERIFIED: this is what the receipts claim; `zktally verify` judges them.",
        f"aggregate  {counted(len(described), 'receipt')}, {size(len(data))}; one proof that the "
        f"proofs of {counted(proven, 'segment')} verify, {size(len(aggregate.proof))}",
    ]
    for number, (each, journal) in enumerate(zip(described, journals, strict=True), 1):
        lines += [f"receipt {number}", *(f"  {line}" for line in _lines(each, journal))]
    return shown, "\n".join(lines)


def _lines(each: dict[str, Any], journal: Journal) -> list[str]:
    """What a receipt of an aggregate claims, in a few lines."""
    named = ", ".join(f"{name} {in_words(label)}" for name, label in journal.labels.items())
    return [
        f"model    {each['model_id']}, program {quoted(each['program']['name'])}",
        f"claims   {each['mode']}, steps: {each['steps']}, items: {each['items']}, "
        f"{claims_text(each)}",
        f"inputs   {each['inputs']}, root {each['input_root']}",
        f"for      {named}",
    ]
