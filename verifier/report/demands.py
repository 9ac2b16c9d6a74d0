"""A policy in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from ..plain import to_json
from ..policy import Policy
from ..quoting import quoted
from ..verified import percent


def demands(policy: Policy) -> Iterator[tuple[str, str | None]]:
    """What a policy demands, field by field."""
    yield "Wrong work, at most", f"{percent(policy.max_delta)} (δ)"
    yield "Confidence, at least", f"{policy.min_bits} bits"
    yield "Kinds of receipts", ", ".join(policy.modes)
    yield "Outputs", "checked in full" if policy.outputs_exact else "samples suffice"
    told = {"max_delta", "min_bits", "modes", "outputs_exact"}
    usual = Policy()
    for each in fields(Policy):
        value = getattr(policy, each.name)
        if each.name not in told and value != getattr(usual, each.name):
            yield each.name.replace("_", " "), _spelled(to_json(value))


def _spelled(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{quoted(name)} {low} to {high}" for name, (low, high) in value.items())
    if isinstance(value, list):
        numbers = all(isinstance(each, int) for each in value)
        return (" to " if numbers else ", ").join(map(str, value))
    return str(value)
