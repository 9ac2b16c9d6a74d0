"""Which gates a receipt must show: integers only, alike for all readers (protocol.md section 5)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .arrays import distinct, run_starts
from .errors import UnsupportedReceipt
from .journal import STRICT, Journal
from .order import MAX_SLOTS
from .program.checked import Checked
from .program.types import Gather, Op, gates

Ints = NDArray[np.int64]

MILLION = 10**6
MAX_SAMPLES = 2**24
MAX_DRAWS = 2**26
MAX_CHAIN_WEIGHT = 2**63
MAX_READS = 2**40

LN2 = 693_147_181
"""The natural logarithm of 2 in parts per 10^9, rounded up."""

_FRACTION = 48
_MODE = 2
"""Where the mode stands in a journal."""

_STEP_STREAM = 2**31
_WORDS_PER_BLOCK = 4
_MAX_WORDS = 2**18
_PLACES = 2**18
"""Draws that are looked up at once."""


def sample_seed(journal: bytes | memoryview) -> bytes:
    """The seed of all streams: after the last commitment, over every claim.

    The mode byte counts as 0, so that a receipt of another mode has the draws of the fast one.
    """
    of_fast = bytes(journal[:_MODE]) + b"\0" + bytes(journal[_MODE + 1 :])
    return hashlib.sha256(b"zktally seed v1\0" + of_fast).digest()


def log2_inverse(x: int, y: int) -> int:
    """log2(y / (y - x)) in 48 fractional bits, never too large; ValueError unless 0 < x/y ≤ 1/2."""
    if not 0 < 2 * x <= y:
        raise ValueError("a share is not in (0, 1/2]")
    power = (y << 62) // (y - x)
    if power == 1 << 63:
        return 1 << _FRACTION
    log = 0
    for _ in range(_FRACTION):
        power = power * power >> 62
        log *= 2
        if power >= 1 << 63:
            log += 1
            power //= 2
    return log


def sample_count(u: int, r: int, n: int, bits: int) -> int:
    """`s(u, r, n, λ)`: draws that miss a wrong share of u·r / (10^6·n) with probability ≤ 2^-λ.

    A share too small for 48 fractional bits counts as 2^-48: more draws than any reader accepts.
    """
    return _ceil(bits << _FRACTION, max(1, log2_inverse(u * r, MILLION * n)))


def draw(seed: bytes, stream: int, bound: int, count: int) -> NDArray[np.uint64]:
    """`count` numbers below `bound` of a stream, in order; words that would bias are skipped."""
    limit = 2**64 // bound * bound - 1
    runs: list[NDArray[np.uint64]] = []
    missing, block = count, 0
    while missing:
        words = min(missing, _MAX_WORDS)
        blocks = -(-words // _WORDS_PER_BLOCK)
        run = _words(seed, stream, block, blocks)
        run = run[run <= np.uint64(limit)][:missing] % np.uint64(bound)
        runs.append(run)
        missing -= len(run)
        block += blocks
    return np.concatenate(runs) if runs else np.zeros(0, np.uint64)


def _words(seed: bytes, stream: int, first: int, blocks: int) -> NDArray[np.uint64]:
    head = hashlib.sha256(b"zktally sample v1\0" + seed + stream.to_bytes(4, "little"))
    digests = bytearray()
    for block in range(first, first + blocks):
        state = head.copy()
        state.update(block.to_bytes(8, "little"))
        digests += state.digest()
    return np.frombuffer(bytes(digests), "<u8").astype(np.uint64)


@dataclass(frozen=True)
class Counts:
    """How many samples the claims about a program need, and which ops are enumerated by that."""

    checked: Checked
    claim: Journal

    @cached_property
    def samples(self) -> int:
        """`s`: draws by weight over the whole chain; 0 in a strict receipt."""
        if self.is_strict:
            return 0
        return self._count(self.claim.delta_ppm, self.claim.items, self.slots)

    @cached_property
    def samples_per_op(self) -> int:
        """`e`: draws that each op gets at least."""
        return _ceil(_ceil(self.samples, 4), len(self.checked.program.ops))

    @cached_property
    def samples_per_step(self) -> int:
        """Draws for a step without padding, 0 if no bound per step is claimed."""
        return self._in_step(self.checked.program.batch)

    @cached_property
    def samples_of_last_step(self) -> int:
        """Draws for the last step, whose padding counts for nothing."""
        full = (self.claim.steps - 1) * self.checked.program.batch
        return self._in_step(self.claim.items - full)

    @cached_property
    def even(self) -> tuple[int, ...]:
        """`e_c`: per op, the draws that are spread equally over its gates."""
        return tuple(
            max(self.samples_per_op, self._needed(c) - self._by_weight(c))
            for c in range(len(self.checked.program.ops))
        )

    @cached_property
    def enumerated(self) -> tuple[bool, ...]:
        """Per op, whether every gate of every step is checked.

        More draws than the limit enumerate everything, until the plan is refused.
        """
        everything = self.is_strict or self.samples > MAX_SAMPLES
        return tuple(
            everything
            or op.exact
            or c in self.claim.exact
            or self.claim.steps * gates(op) <= self.draws(c)
            for c, op in enumerate(self.checked.program.ops)
        )

    @property
    def is_strict(self) -> bool:
        """Whether nothing is sampled because everything is checked."""
        return self.claim.mode == STRICT

    @property
    def slots(self) -> int:
        """`n`: item slots of the chain."""
        return self.claim.steps * self.checked.program.batch

    @property
    def expected_checks(self) -> int:
        """Gates that are checked, all ops together, if no draw falls on a gate twice."""
        ops = enumerate(self.checked.program.ops)
        return sum(min(self.claim.steps * gates(op), self.draws(c)) for c, op in ops)

    def draws(self, op: int) -> int:
        """`d_c`: draws that an op gets in expectation, rounded down."""
        return self.even[op] + self._by_weight(op)

    def _by_weight(self, op: int) -> int:
        """Of the draws by weight, those that an op gets in expectation, rounded down."""
        weights = self.checked.weights
        share = gates(self.checked.program.ops[op]) * weights.weight[op]
        return self.samples * share // weights.step_weight

    def _needed(self, op: int) -> int:
        """Draws that an op needs for the claimed bound on single ops, 0 if none is claimed."""
        if not self.claim.delta_op_ppm:
            return 0
        every = self.claim.bits * LN2 * self.slots * gates(self.checked.program.ops[op])
        right = 1000 * self.claim.delta_op_ppm * self.claim.items * self.checked.live[op]
        return _ceil(every, right)

    def _in_step(self, items: int) -> int:
        if not self.claim.delta_step_ppm:
            return 0
        return self._count(self.claim.delta_step_ppm, items, self.checked.program.batch)

    def _count(self, ppm: int, items: int, slots: int) -> int:
        """Draws by weight for a share of the MACs of the live gates of these items."""
        wrong = items * self.checked.live_macs
        return sample_count(ppm, wrong, slots * self.checked.weights.step_weight, self.claim.bits)


@dataclass(frozen=True)
class Plan:
    """The gates to check.

    Attributes:
        counts: of samples, and which ops are enumerated.
        sampled: per op the numbers step·G + gate, int64, ascending; None where enumerated.
    """

    counts: Counts
    sampled: tuple[Ints | None, ...]

    @property
    def drawn(self) -> int:
        """Gates that were drawn, each once, of ops that are not checked in full."""
        return sum(len(numbers) for numbers in self.sampled if numbers is not None)

    def steps_of(self, op: int) -> Iterator[tuple[int, Ints]]:
        """The steps with gates of this op to check and those gates, both ascending."""
        size = gates(self.counts.checked.program.ops[op])
        numbers = self.sampled[op]
        if numbers is None:
            every = np.arange(size, dtype=np.int64)
            return ((step, every) for step in range(self.counts.claim.steps))
        step_of, gate = np.divmod(numbers, size)
        starts = run_starts(step_of)
        return zip(step_of[starts].tolist(), np.split(gate, starts[1:]), strict=True)

    def gates_of(self, op: int) -> int:
        """How many gates of this op are checked, all steps together."""
        numbers = self.sampled[op]
        if numbers is not None:
            return len(numbers)
        return self.counts.claim.steps * gates(self.counts.checked.program.ops[op])

    @property
    def checked_gates(self) -> int:
        """How many gates are checked."""
        return sum(self.gates_of(c) for c in range(len(self.sampled)))


def make_plan(counts: Counts, seed: bytes) -> Plan:
    """Draw the gates to check.

    Raises:
        UnsupportedReceipt: `verify.too-large`.
    """
    _limit_work(counts)
    checked, steps = counts.checked, counts.claim.steps
    weighted = _split_by_op(counts, _places(counts, seed))
    sampled: list[Ints | None] = []
    for c, op in enumerate(checked.program.ops):
        if counts.enumerated[c]:
            sampled.append(None)
            continue
        even = draw(seed, 1 + c, steps * gates(op), counts.even[c]).view(np.int64)
        sampled.append(distinct(np.concatenate([*weighted[c], even])))
        weighted[c].clear()
    plan = Plan(counts, tuple(sampled))
    reads = sum(plan.gates_of(c) * count for c, count in enumerate(_reads_per_gate(checked)))
    _limit("operand reads", reads, MAX_READS)
    return plan


def _limit_work(counts: Counts) -> None:
    """Refuse what would take too long, before any draw."""
    steps, last = counts.claim.steps, counts.samples_of_last_step
    _limit("slots of a data set", steps * counts.checked.program.data_slots, MAX_SLOTS)
    even = [e for e, every in zip(counts.even, counts.enumerated, strict=True) if not every]
    for count in (counts.samples, counts.samples_per_step, last, *even):
        _limit("samples", count, MAX_SAMPLES)
    _limit("units of weight", steps * counts.checked.weights.step_weight, MAX_CHAIN_WEIGHT - 1)
    draws = counts.samples + sum(even) + counts.samples_per_step * (steps - 1) + last
    _limit("samples", draws, MAX_DRAWS)
    per_gate = _reads_per_gate(counts.checked)
    ops = zip(counts.checked.program.ops, per_gate, counts.enumerated, strict=True)
    reads = sum(steps * gates(op) * count for op, count, enumerated in ops if enumerated)
    _limit("operand reads", reads, MAX_READS)


def _reads_per_gate(checked: Checked) -> list[int]:
    """Per op, the operand reads of a gate; a gather opens its whole axis, whatever its weight."""

    def reads(op: Op, own: int) -> int:
        return op.source.view[op.axis] + 1 if isinstance(op, Gather) else own

    return [reads(*op) for op in zip(checked.program.ops, checked.weights.own, strict=True)]


def _places(counts: Counts, seed: bytes) -> Iterator[NDArray[np.uint64]]:
    """Places in the weight of the chain, as they are drawn: over all of it, then step by step."""
    steps, step_weight = counts.claim.steps, counts.checked.weights.step_weight
    yield draw(seed, 0, steps * step_weight, counts.samples)
    for step in range(steps if counts.claim.delta_step_ppm else 0):
        count = counts.samples_per_step if step < steps - 1 else counts.samples_of_last_step
        drawn = draw(seed, _STEP_STREAM + step, step_weight, count)
        yield drawn + np.uint64(step * step_weight)


def _split_by_op(counts: Counts, runs: Iterable[NDArray[np.uint64]]) -> list[list[Ints]]:
    """Numbers step·G + gate of places, per op in parts; none of ops that are enumerated.

    Repetitions are dropped whenever what is found has doubled: draws may be many more than gates.
    """
    checked, weights = counts.checked, counts.checked.weights
    pending = [0] * len(checked.program.ops)
    sizes = [gates(op) for op in checked.program.ops]
    ends = np.cumsum([g * w for g, w in zip(sizes, weights.weight, strict=True)], dtype=np.int64)
    found: list[list[Ints]] = [[] for _ in sizes]
    for run in runs:
        for first in range(0, len(run), _PLACES):
            places = run[first : first + _PLACES].view(np.int64)
            step, within = np.divmod(places, weights.step_weight)
            op_of = np.searchsorted(ends, within, side="right")
            for c in distinct(op_of).tolist():
                if counts.enumerated[c]:
                    continue
                mine = op_of == c
                start = int(ends[c]) - sizes[c] * weights.weight[c]
                gate = (within[mine] - start) // weights.weight[c]
                found[c].append(step[mine] * sizes[c] + gate)
                pending[c] += len(gate)
                if pending[c] > max(_PLACES, len(found[c][0])):
                    found[c], pending[c] = [distinct(np.concatenate(found[c]))], 0
    return found


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def _limit(what: str, count: int, limit: int) -> None:
    if count > limit:
        raise UnsupportedReceipt(
            f"too many {what} to check",
            code="verify.too-large",
            expected=f"at most {limit}",
            received=count,
            hint="a receipt with a larger δ, fewer bits or fewer exact ops is cheaper to check",
        )
