"""What a proof will take, estimated from the program and the claims before any work is done.

The STARK of a hybrid receipt costs time and memory by the block of 16 field elements (48 bytes)
that it absorbs. An op whose gates are drawn g times (all of them, where it is enumerated) opens, in
a tensor of which a gate reads n values, about g·ceil(n / piece) leaves, and never more than there
are; besides, all leaves of the outputs are opened. A leaf of b bytes takes ceil((ceil(b/3) + 5)/16)
blocks. Segments hold at most 98,304 blocks (docs/hybrid.md section 1).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from ..prover import PROFILES, Claims
from ..verifier.hybrid.segments import SEGMENT_BLOCKS, SEGMENT_COST, gate_cost
from ..verifier.layout import leaf_count
from ..verifier.program.checked import Checked
from ..verifier.program.operands import slots
from ..verifier.program.types import Gather, Op, Read, Role, Tensor, gates
from ..verifier.sampling import Counts

LEAST_ROWS = 2**11

BLOCK_SECONDS = {"standard": 150e-6, "small": 300e-6}
BLOCK_BYTES = {"standard": 25_000, "small": 40_000}
"""By profile: seconds and bytes of memory of a block, everything around it included; from the
digits CNN of `make demo` on two cores (2^14 rows)."""


@dataclass(frozen=True)
class Estimate:
    """What a fast proof will take, from the program alone.

    Attributes:
        steps: steps of the chain.
        macs: multiply-accumulates of the whole chain.
        samples: gates drawn by weight; a quarter as many again are spread over the ops.
        trace_bytes: bytes of committed tensors, all steps together.
        proof_bytes: upper estimate of the receipt: every draw opening rows of its own.
    """

    steps: int
    macs: int
    samples: int
    trace_bytes: int
    proof_bytes: int


@dataclass(frozen=True)
class StarkEstimate:
    """What the STARK of a hybrid receipt adds to that.

    Attributes:
        blocks: sponge blocks of all opened leaves.
        segments: parts that are proven one after the other.
        seconds: roughly, on two cores.
        memory_bytes: roughly, at the peak.
    """

    blocks: int
    segments: int
    seconds: float
    memory_bytes: int


def estimate(checked: Checked, items: int, claims: Claims) -> Estimate:
    """Estimate the run of `items` items and its openings."""
    program, weights = checked.program, checked.weights
    steps = math.ceil(items / program.batch)
    samples = Counts(checked, claims.draft(checked, items)).samples
    per_step = {
        number: program.tensors[number].size * program.tensors[number].width
        for number in program.of_role(Role.INPUT, Role.VALUE)
    }
    everything = sum(per_step.values()) * steps + sum(
        program.tensors[number].size * program.tensors[number].width
        for number in program.of_role(Role.WEIGHT)
    )
    heaviest = max(weights.own)
    opened = (samples + samples // 4) * (2 * heaviest + 512)
    return Estimate(
        steps=steps,
        macs=weights.step_macs * steps,
        samples=samples,
        trace_bytes=sum(per_step.values()) * steps,
        proof_bytes=min(everything * 2, opened) + 32 * len(per_step) * steps,
    )


def estimate_stark(checked: Checked, items: int, claims: Claims, profile: int) -> StarkEstimate:
    """Estimate the STARK around the openings of `items` items."""
    counts = Counts(checked, claims.draft(checked, items))
    blocks = _blocks(checked, counts)
    ops = range(len(checked.program.ops))
    cost = sum(_drawn(counts, c) * gate_cost(checked, c) for c in ops)
    segments = max(1, math.ceil(blocks / SEGMENT_BLOCKS), math.ceil(cost / SEGMENT_COST))
    rows = max(LEAST_ROWS, 1 << (math.ceil(blocks / segments) - 1).bit_length())
    name = PROFILES[profile]
    return StarkEstimate(
        blocks=blocks,
        segments=segments,
        seconds=segments * rows * BLOCK_SECONDS[name],
        memory_bytes=rows * BLOCK_BYTES[name],
    )


def _drawn(counts: Counts, op: int) -> int:
    """Gates of an op that are checked, all steps together: at most."""
    steps, weights = counts.claim.steps, counts.checked.weights
    everything = steps * gates(counts.checked.program.ops[op])
    if counts.enumerated[op]:
        return everything
    share = gates(counts.checked.program.ops[op]) * weights.weight[op]
    in_steps = steps * counts.samples_per_step * share // weights.step_weight
    return min(everything, counts.draws(op) + in_steps)


def _blocks(checked: Checked, counts: Counts) -> int:
    """Sponge blocks of all leaves that are opened: about."""
    program, steps = checked.program, counts.claim.steps
    opened: Counter[int] = Counter()
    for c, op in enumerate(program.ops):
        opened[op.out] += _drawn(counts, c)
        for slot in slots(op):
            if isinstance(slot.operand, Read):
                number = slot.operand.tensor
                values = _values_read(op, slot.operand, math.prod(slot.window))
                opened[number] += _drawn(counts, c) * _leaves(program.tensors[number], values)
    whole = {port.tensor for port in program.outputs}
    total = 0
    for number, leaves in opened.items():
        tensor = program.tensors[number]
        if tensor.layout is not None:
            times = 1 if tensor.role is Role.WEIGHT else steps
            every = times * leaf_count(tensor.layout, tensor.shape)
            total += (every if number in whole else min(leaves, every)) * _leaf_blocks(tensor)
    return total


def _values_read(op: Op, operand: Read, window: int) -> int:
    if isinstance(op, Gather) and operand is op.source:
        return operand.view[op.axis]
    return window


def _leaves(tensor: Tensor, values: int) -> int:
    return 1 if tensor.layout is None else math.ceil(values / tensor.layout.piece)


def _leaf_blocks(tensor: Tensor) -> int:
    piece = 1 if tensor.layout is None else tensor.layout.piece
    return math.ceil((math.ceil(piece * tensor.width / 3) + 5) / 16)
