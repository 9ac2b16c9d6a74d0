"""Weights of gates: how likely the sampling is to look at them (protocol section 3).

A gate weighs at least its own products, and at least its share of the gates that it feeds, so that
a cheap op in front of expensive ones is not cheap to forge. What flows up is divided among the
tensors that a gate reads, never handed to each of them whole: otherwise weights would double at
every residual sum and every x·g(x).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InvalidProgram
from .operands import products, slots
from .types import Dot, Program, Read, gates

MAX_STEP_WEIGHT = 2**55


@dataclass(frozen=True)
class GateWeights:
    """Per op, for one gate: `own` products, `weight`, `macs`; and the totals of a step.

    `macs` is what a gate counts of the compute that δ is about: its own products, of dots alone
    where the program has one.
    """

    own: tuple[int, ...]
    weight: tuple[int, ...]
    macs: tuple[int, ...]
    step_weight: int
    step_macs: int


def gate_weights(program: Program) -> GateWeights:
    """The weights of all ops; call after `validate`.

    Raises:
        InvalidProgram: the step weight is not below 2^55.
    """
    own = [products(op) for op in program.ops]
    _, feed = _pass(program, own, {})
    carried = {link.value: feed[link.state] for link in program.states}
    weight, _ = _pass(program, own, carried)
    dots = any(isinstance(op, Dot) for op in program.ops)
    counted = [isinstance(op, Dot) or not dots for op in program.ops]
    macs = [n if counts else 0 for n, counts in zip(own, counted, strict=True)]
    counts = [gates(op) for op in program.ops]
    step_weight = sum(g * w for g, w in zip(counts, weight, strict=True))
    if step_weight >= MAX_STEP_WEIGHT:
        raise InvalidProgram(
            "the weight of a step exceeds the limit",
            expected=f"below {MAX_STEP_WEIGHT}",
            received=step_weight,
        )
    step_macs = sum(g * m for g, m in zip(counts, macs, strict=True))
    return GateWeights(tuple(own), tuple(weight), tuple(macs), step_weight, step_macs)


def _pass(
    program: Program, own: list[int], carried: Mapping[int, int]
) -> tuple[list[int], dict[int, int]]:
    """Weights of the ops and feed of the tensors, backwards, with `carried` added per tensor."""
    total: defaultdict[int, int] = defaultdict(int)

    def feed(tensor: int) -> int:
        return _ceil(total[tensor], program.tensors[tensor].size) + carried.get(tensor, 0)

    weight = [0] * len(program.ops)
    for c, op in reversed(list(enumerate(program.ops))):
        weight[c] = max(own[c], feed(op.out))
        reads = [(s.operand.tensor, s.count) for s in slots(op) if isinstance(s.operand, Read)]
        whole = sum(count for _, count in reads)
        for tensor, count in reads:
            total[tensor] += _ceil(gates(op) * weight[c] * count, whole)
    return weight, {t: feed(t) for t in range(len(program.tensors))}


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
