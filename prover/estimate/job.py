"""What a proof will take, estimated from the program and the claims before any work is done.

Rows of tables, opened leaves and segments are counted (`table_rows.Schedule`), so they are close:
what is left open is which gates are drawn. Seconds and memory are linear in what is counted, with
constants that were measured once (docs/figures.md has estimates and measurements beside each
other); on another machine seconds differ by the ratio of the machines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ...verifier import stark
from ...verifier.hybrid.requantise import judge_covered
from ...verifier.hybrid.schedule import Table
from ...verifier.hybrid.segments import MAX_SEGMENTS
from ...verifier.hybrid.verify import tables_file
from ...verifier.journal import FAST
from ...verifier.profiles import SUCCINCT, of_segments
from ...verifier.program.types import Role, gates
from ...verifier.sampling import Counts
from ...verifier.stark.params import REFERENCE, Parameters
from ...verifier.stark.statement import MIN_LOG_ROWS
from .table_rows import Schedule

CORES_GAIN = 1.75
"""How much faster two cores prove than one."""

BASE_BYTES = 100e6
"""Of the process, with all that it has loaded."""


@dataclass(frozen=True)
class StarkCosts:
    """Of a profile: CPU seconds of a segment of no size, grinding mostly, and of each element.

    By committed and by public field element: CPU seconds, bytes at the peak.
    """

    segment_seconds: float
    cell_seconds: float
    public_seconds: float
    cell_bytes: float
    public_bytes: float


COSTS = {
    0: StarkCosts(0.02, 0.070e-6, 0.134e-6, 19.4, 23.7),
    1: StarkCosts(0.02, 0.116e-6, 0.154e-6, 41.2, 30.1),
    2: StarkCosts(0.24, 0.24e-6, 0.154e-6, 41.2, 30.1),
}

FOLDED_LEAVES, FOLDED_NODES = 2, 4
"""Segments under a node of the first layer, nodes under one of a higher layer."""

FOLDED_SECONDS = 2.4
NODE_SECONDS = 0.4
OUTER_SECONDS = 1.9
"""CPU seconds to fold: of each proof that a node verifies, of the node, of the outer proof."""

FOLDING_BYTES = (0.7e9, 1.3e9)
"""At the peak: where one proof is folded, and where several are."""

OUTER_BYTES = 181_000
POINT_BYTES = 60

MAC_SECONDS = 10e-12
WEIGHT_SECONDS = 0.13e-9
"""Of a byte of the weights, in each step."""

GATE_SECONDS = 3.1e-9
OP_SECONDS = 12e-6
HASHED_SECONDS = 2.4e-9
"""Of a byte of the trace."""

TREE_SECONDS = 20e-6
"""Of a tree: building it, and finding what is opened of it."""

DRAWN_SECONDS = 0.15e-6
SCATTERED_SECONDS = 0.35e-6
"""Of sixteen products whose operands do not lie side by side, in a drawn gate."""

OPENED_SECONDS = 0.8e-9
"""Of a byte that is opened."""

TRACE_COPIES = 3.0
WEIGHT_COPIES = 8.0

_DIGEST = 32
_SALT = 20
_STARK_SALT = 16
_ELEMENT = 4
_EXTENSION = 5
_QUOTIENT = 4 * _EXTENSION
_TREES = 3


@dataclass(frozen=True)
class RunEstimate:
    """What a fast proof will take: a run with its commitments, and the openings.

    Attributes:
        steps: steps of the chain.
        macs: multiply-accumulates of the whole chain.
        samples: gates drawn by weight; a quarter as many again are spread over the ops.
        trace_bytes: bytes of committed tensors, all steps together.
        proof_bytes: of the fast receipt.
        seconds: to execute, commit and open, on two cores.
        memory_bytes: at the peak.
    """

    steps: int
    macs: int
    samples: int
    trace_bytes: int
    proof_bytes: int
    seconds: float
    memory_bytes: int

    @property
    def cpu_seconds(self) -> float:
        """Of all threads together."""
        return self.seconds * CORES_GAIN


@dataclass(frozen=True)
class FoldEstimate:
    """What it takes to fold the proofs of segments to one.

    Attributes:
        proofs: that are made: nodes of the tree over the segments, and the outer one.
        seconds: on two cores.
        memory_bytes: of one proof, at the peak.
        proof_bytes: of the succinct receipt.
        most_at_once: proofs that can be made at the same time.
    """

    proofs: int
    seconds: float
    memory_bytes: int
    proof_bytes: int
    most_at_once: int = 1

    @property
    def cpu_seconds(self) -> float:
        """Of all threads together."""
        return self.seconds * CORES_GAIN


@dataclass(frozen=True)
class StarkEstimate:
    """What the STARK of a hybrid or strict receipt adds to that.

    Attributes:
        blocks: sponge blocks of all opened leaves.
        segments: parts that are proven one after the other.
        seconds: on two cores.
        memory_bytes: at the peak.
        proof_bytes: of the receipt.
        rows: rows in use of each table, all segments together.
        folding: of a succinct receipt, what folding takes; seconds, memory and bytes hold it, too.
    """

    blocks: int
    segments: int
    seconds: float
    memory_bytes: int
    proof_bytes: int
    rows: Mapping[str, float] = field(default_factory=dict)
    folding: FoldEstimate | None = None

    @property
    def cpu_seconds(self) -> float:
        """Of all threads together."""
        return self.seconds * CORES_GAIN

    @property
    def segment_seconds(self) -> float:
        """Of one segment, on two cores."""
        folding = self.folding.seconds if self.folding else 0.0
        return (self.seconds - folding) / max(1, self.segments)

    @property
    def is_checkable(self) -> bool:
        """Whether a verifier accepts so many segments (docs/hybrid.md section 7)."""
        return self.segments <= MAX_SEGMENTS


@dataclass(frozen=True)
class JobEstimate:
    """What a whole job will take; `stark` is None in mode fast."""

    run: RunEstimate
    stark: StarkEstimate | None

    @property
    def seconds(self) -> float:
        """Run and proof, on two cores."""
        return self.run.seconds + (self.stark.seconds if self.stark else 0.0)

    @property
    def cpu_seconds(self) -> float:
        """Of all threads together."""
        return self.seconds * CORES_GAIN

    @property
    def memory_bytes(self) -> int:
        """At the peak."""
        return max(self.run.memory_bytes, self.stark.memory_bytes if self.stark else 0)

    @property
    def proof_bytes(self) -> int:
        """Of the receipt."""
        return self.stark.proof_bytes if self.stark else self.run.proof_bytes


def estimate_job(counts: Counts, profile: int = 0) -> JobEstimate:
    """Estimate a job from the counts of its claims.

    Args:
        counts: what the claims about the program ask for; in mode fast there is no STARK.
        profile: of the proofs, 0 standard, 1 small, 2 foldable or 4 succinct.

    Raises:
        UnsupportedReceipt: `hybrid.unsupported`, unless the mode is fast.
    """
    schedule = Schedule(counts)
    proven = counts.claim.mode != FAST
    return JobEstimate(_run(schedule), _stark(schedule, profile) if proven else None)


def estimate_run(counts: Counts) -> RunEstimate:
    """Estimate a run and its openings."""
    return _run(Schedule(counts))


def estimate_stark(counts: Counts, profile: int) -> StarkEstimate:
    """Estimate the STARK around the openings of a run.

    Raises:
        UnsupportedReceipt: `hybrid.unsupported`.
    """
    return _stark(Schedule(counts), profile)


def estimate_fold(segments: int, statement_bytes: int = 0) -> FoldEstimate:
    """Estimate how a foldable receipt becomes a succinct one.

    Args:
        segments: of the receipt.
        statement_bytes: of program, statement and roots, which stay as they are.
    """
    layers = [-(-segments // FOLDED_LEAVES)]
    while layers[-1] > 1:
        layers.append(-(-layers[-1] // FOLDED_NODES))
    nodes = sum(layers)
    children = segments + nodes - 1
    cpu = children * FOLDED_SECONDS + nodes * NODE_SECONDS + OUTER_SECONDS
    return FoldEstimate(
        proofs=nodes + 1,
        seconds=cpu / CORES_GAIN,
        memory_bytes=round(BASE_BYTES + FOLDING_BYTES[segments > 1]),
        proof_bytes=OUTER_BYTES + POINT_BYTES * (segments + nodes) + statement_bytes,
        most_at_once=layers[0],
    )


def _run(schedule: Schedule) -> RunEstimate:
    program, weights, steps = schedule.program, schedule.checked.weights, schedule.steps
    per_step = {
        number: program.tensors[number].size * program.tensors[number].width
        for number in program.of_role(Role.INPUT, Role.VALUE)
    }
    trace = sum(per_step.values()) * steps
    fixed = _fixed_bytes(schedule)
    opened = schedule.opened.values()
    leaves = sum(each.leaves for each in opened)
    siblings = sum(each.nodes - each.leaves + each.trees for each in opened)
    opened_bytes = sum(each.bytes for each in opened)
    run = steps * (
        weights.step_macs * MAC_SECONDS
        + fixed * WEIGHT_SECONDS
        + sum(gates(op) for op in program.ops) * GATE_SECONDS
        + len(program.ops) * OP_SECONDS
        + len(per_step) * TREE_SECONDS
    )
    opening = _drawing_seconds(schedule) + opened_bytes * OPENED_SECONDS
    return RunEstimate(
        steps=steps,
        macs=weights.step_macs * steps,
        samples=schedule.counts.samples,
        trace_bytes=trace,
        proof_bytes=round(
            _statement_bytes(schedule)
            + _root_bytes(schedule)
            + opened_bytes
            + _SALT * leaves
            + _DIGEST * siblings
        ),
        seconds=run + trace * HASHED_SECONDS + opening,
        memory_bytes=round(BASE_BYTES + TRACE_COPIES * trace + WEIGHT_COPIES * fixed),
    )


def _drawing_seconds(schedule: Schedule) -> float:
    """What it takes to find the elements that the checked gates read."""
    seconds = 0.0
    for c, (drawn, shape) in enumerate(zip(schedule.checked_gates, schedule.shapes, strict=True)):
        scattered = 0.0 if schedule.counts.enumerated[c] else shape.rows.get(Table.READ_DOT, 0.0)
        seconds += drawn * (DRAWN_SECONDS + scattered * SCATTERED_SECONDS)
    return seconds


def _fixed_bytes(schedule: Schedule) -> int:
    """Bytes of weights, of the data set and of initial states."""
    tensors = schedule.program.tensors
    fixed = schedule.program.of_role(Role.WEIGHT, Role.DATA, Role.STATE)
    return sum(math.prod(tensors[n].tree_shape) * tensors[n].width for n in fixed)


def _statement_bytes(schedule: Schedule) -> int:
    """Of a receipt: the program, the statement with the outputs that it publishes."""
    outputs = schedule.steps * sum(schedule.cuts[tensor].bytes for tensor in schedule.published)
    return len(schedule.checked.data) + outputs


def _root_bytes(schedule: Schedule) -> int:
    """Of a fast receipt: the roots of all trees."""
    program = schedule.program
    once = len(program.of_role(Role.WEIGHT, Role.DATA, Role.STATE))
    return _DIGEST * (once + schedule.steps * len(program.of_role(Role.INPUT, Role.VALUE)))


def _stark(schedule: Schedule, profile: int) -> StarkEstimate:
    judge_covered(schedule.checked)
    segments, costs = schedule.segments, COSTS[of_segments(profile)]
    parameters = stark.choose(of_segments(profile), REFERENCE, segments, schedule.counts.claim.bits)
    each = [_heights(rows, parameters.hiding_rows) for rows in schedule.rows]
    times = segments / len(each)
    seconds, peak, proof, rows = 0.0, 0.0, 0.0, dict.fromkeys((t.name.lower() for t in Table), 0.0)
    for used, heights in zip(schedule.rows, each, strict=True):
        cells, publics = _elements(heights)
        cpu = costs.segment_seconds
        cpu += cells * costs.cell_seconds + publics * costs.public_seconds
        seconds += cpu / CORES_GAIN
        peak = max(peak, cells * costs.cell_bytes + publics * costs.public_bytes)
        proof += _stark_bytes(heights, parameters)
        for table, count in used.items():
            rows[table.name.lower()] += times * count
    statement = _statement_bytes(schedule)
    found = StarkEstimate(
        blocks=round(schedule.blocks),
        segments=segments,
        seconds=times * seconds,
        memory_bytes=round(BASE_BYTES + peak + _fixed_bytes(schedule)),
        proof_bytes=round(times * proof + statement),
        rows={name: count for name, count in rows.items() if count},
    )
    return _folded(found, round(statement)) if profile == SUCCINCT else found


def _folded(found: StarkEstimate, statement_bytes: int) -> StarkEstimate:
    """Folded at the end."""
    folding = estimate_fold(found.segments, statement_bytes)
    return replace(
        found,
        seconds=found.seconds + folding.seconds,
        memory_bytes=max(found.memory_bytes, folding.memory_bytes),
        proof_bytes=folding.proof_bytes,
        folding=folding,
    )


def _heights(rows: Mapping[Table, float], hiding: int) -> dict[Table, int]:
    """Log of the rows of each table as padded."""
    return {
        table: max(MIN_LOG_ROWS, (math.ceil(used) + hiding - 1).bit_length())
        for table, used in rows.items()
    }


def _elements(heights: Mapping[Table, int]) -> tuple[int, int]:
    """Field elements of the committed columns, and of the public ones."""
    cells = publics = 0
    for number, log in heights.items():
        table = tables_file().tables[number]
        cells += (table.mains + _EXTENSION * (len(table.groups) + 1)) << log
        publics += table.publics << log
    return cells, publics


def _stark_bytes(heights: Mapping[Table, int], parameters: Parameters) -> float:
    """Of one proof (docs/stark.md section 7): what is opened at one point, and at the queries."""
    tables = [tables_file().tables[number] for number in heights]
    mains = sum(table.mains for table in tables)
    fractions = sum(len(table.groups) + 1 for table in tables)
    levels = len(set(heights.values()))
    nexts = sum(len(table.next_columns) + 1 for table in tables)
    at_point = _EXTENSION * _ELEMENT * (mains + nexts + fractions + 4 * levels)
    row = mains + _EXTENSION * (fractions + 1) + _QUOTIENT * levels
    salts = _STARK_SALT * _TREES * levels
    each = parameters.queries * (_ELEMENT * row + salts)
    log = max(heights.values()) + parameters.profile.log_blowup
    paths = _TREES * _path_hashes(log, parameters.queries)
    folding = parameters.profile.log_folding
    final = parameters.profile.log_blowup + parameters.profile.log_final
    folded = 0
    while log > final:
        log = max(final, log - folding)
        folded += _EXTENSION * _ELEMENT << folding
        paths += _path_hashes(log, parameters.queries)
    return at_point + each + parameters.queries * folded + _DIGEST * paths


def _path_hashes(log: int, queries: int) -> float:
    """Siblings of so many random leaves of a tree, shared ones once."""
    return queries * max(0.0, log - math.log2(queries))
