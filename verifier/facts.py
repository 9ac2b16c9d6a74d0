"""What a verified receipt shows, as plain facts: the same object from both verifiers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .journal import MODES, ZERO_DIGEST, Journal
from .plain import to_json
from .program.operands import slots
from .program.types import Op, Program, Read, epochs_begun, gates
from .sampling import Counts, Plan

MAX_SHOWN = 2**64 - 1
"""Draws that an op can expect are shown up to here; only an enumerated op has more."""

SEEDS, STARTS = ("own", "derived"), ("root", "declared")
"""Names of what a journal has as numbers."""

CERTIFIED, CONSISTENT, SAMPLED = "certified", "consistent", "sampled"
STATUSES = (CERTIFIED, CONSISTENT, SAMPLED)
"""Of an output, from the best to the worst."""


@dataclass(frozen=True)
class OpFacts:
    """What is shown for one op.

    Attributes:
        name: of the op.
        kind: dot, pick, gather or div.
        gates: number of its gates in a step.
        live: how many of them lead to an output or a state.
        weight: of one gate.
        macs: of one gate, 0 unless it is a dot.
        draws: samples that it gets in expectation, rounded down.
        enumerated: whether all its gates are checked.
    """

    name: str
    kind: str
    gates: int
    live: int
    weight: int
    macs: int
    draws: int
    enumerated: bool


@dataclass(frozen=True)
class OutputFacts:
    """A port of outputs, and whether it is certified, consistent or sampled."""

    name: str
    status: str


@dataclass(frozen=True)
class StarkFacts:
    """The proofs of a hybrid or strict receipt.

    Attributes:
        profile: "standard", "small", "foldable", or "succinct": one proof in place of all.
        segments: how many proofs there are, or stand behind that one.
        bits: proven bits of each, rounded down to tenths.
    """

    profile: str
    segments: int
    bits: float


@dataclass(frozen=True)
class Facts:
    """What a receipt shows that was judged and found good.

    Attributes:
        journal: the statement, without its packed values.
        model_id: of the model that the caller named.
        program_name: of its program.
        batch: item slots of a step.
        itemised: whether the program has items.
        records: of the data set, 0 without one.
        data_slots: records that a step reads, 0 without a data set.
        headline_bits: confidence with everything taken together: samples, proofs, hashes.
        samples: draws by weight over the chain.
        samples_per_op: draws for each op.
        samples_per_step: draws for a full step, 0 if no bound per step is claimed.
        step_weight: weight of all gates of a step.
        step_macs: multiply-accumulates of a step.
        live_macs: those that lead to an output or a state.
        checked_gates: different gates that were recomputed.
        ops: what is shown for each op.
        outputs: what is shown for each port.
        inputs_public: whether the statement holds the inputs.
        outputs_public: whether it holds the outputs: all of them, or none of those that there are.
        receipt_bytes: the size of the receipt.
        stark: its proofs; None of a fast receipt.
    """

    journal: Journal
    model_id: bytes
    program_name: str
    batch: int
    itemised: bool
    records: int
    data_slots: int
    headline_bits: int
    samples: int
    samples_per_op: int
    samples_per_step: int
    step_weight: int
    step_macs: int
    live_macs: int
    checked_gates: int
    ops: tuple[OpFacts, ...]
    outputs: tuple[OutputFacts, ...]
    inputs_public: bool
    outputs_public: bool
    receipt_bytes: int
    stark: StarkFacts | None

    @property
    def mode(self) -> str:
        """Of the receipt, by name."""
        return MODES[self.journal.mode]

    @property
    def seed(self) -> str | None:
        """Where the seed of the run comes from, "own" or "derived"; None where there is none."""
        journal = self.journal
        return None if journal.prf_seed == ZERO_DIGEST else SEEDS[journal.seed]

    @property
    def start(self) -> str | None:
        """What the chain starts from, "root" or "declared"; None of a program without states."""
        journal = self.journal
        return None if journal.initial_state == ZERO_DIGEST else STARTS[journal.start]

    @property
    def epochs(self) -> int:
        """How many epochs of its data set the run has begun when the chain ends."""
        end = self.journal.first + self.journal.steps
        return epochs_begun(self.records, self.data_slots, end)

    def flat(self) -> dict[str, Any]:
        """All facts in one JSON-ready object, those of the statement and of the proofs among it."""
        shown = to_json(self)
        journal, stark = shown.pop("journal"), shown.pop("stark") or {}
        for name in ("exact", "inputs", "outputs"):
            del journal[name]
        proofs = {
            "profile": stark.get("profile"),
            "segments": stark.get("segments"),
            "stark_bits": stark.get("bits"),
        }
        run = {"mode": self.mode, "seed": self.seed, "start": self.start}
        return {**journal, **shown, **proofs, **run}


def facts_of(
    plan: Plan, receipt_bytes: int, headline_bits: int, stark: StarkFacts | None = None
) -> Facts:
    """The facts of a receipt that was checked by a plan."""
    counts = plan.counts
    checked, journal = counts.checked, counts.claim
    program, weights = checked.program, checked.weights
    statuses = output_statuses(program, counts.enumerated, journal.steps)
    return Facts(
        journal=replace(journal, inputs=None, outputs=b""),
        model_id=journal.model_id,
        program_name=program.name,
        batch=program.batch,
        itemised=program.itemised,
        records=program.records,
        data_slots=program.data_slots,
        headline_bits=headline_bits,
        samples=counts.samples,
        samples_per_op=counts.samples_per_op,
        samples_per_step=counts.samples_per_step,
        step_weight=weights.step_weight,
        step_macs=weights.step_macs,
        live_macs=checked.live_macs,
        checked_gates=plan.checked_gates,
        ops=tuple(_op_facts(counts, c) for c in range(len(program.ops))),
        outputs=tuple(
            OutputFacts(port.name, status)
            for port, status in zip(program.outputs, statuses, strict=True)
        ),
        inputs_public=journal.inputs is not None,
        outputs_public=journal.publishes or not program.outputs,
        receipt_bytes=receipt_bytes,
        stark=stark,
    )


def _op_facts(counts: Counts, number: int) -> OpFacts:
    checked = counts.checked
    op, weights = checked.program.ops[number], checked.weights
    return OpFacts(
        name=op.name,
        kind=type(op).__name__.lower(),
        gates=gates(op),
        live=checked.live[number],
        weight=weights.weight[number],
        macs=weights.macs[number],
        draws=min(counts.draws(number), MAX_SHOWN),
        enumerated=counts.enumerated[number],
    )


def output_statuses(program: Program, enumerated: tuple[bool, ...], steps: int) -> list[str]:
    """Per output port: certified, consistent or sampled (protocol.md section 5, Guarantee)."""
    defined_by = {op.out: c for c, op in enumerate(program.ops)}
    found = []
    for port in program.outputs:
        op = defined_by[port.tensor]
        ancestry = _ancestry(program, defined_by, op, across_steps=steps > 1)
        if all(enumerated[c] for c in ancestry):
            found.append(CERTIFIED)
        else:
            found.append(CONSISTENT if enumerated[op] else SAMPLED)
    return found


def _ancestry(
    program: Program, defined_by: dict[int, int], op: int, *, across_steps: bool
) -> set[int]:
    """The op and all ops that it can be reached from."""
    linked = {link.state: link.value for link in program.states} if across_steps else {}
    found, pending = {op}, [op]
    while pending:
        for tensor in _read_tensors(program.ops[pending.pop()]):
            before = defined_by.get(linked.get(tensor, tensor))
            if before is not None and before not in found:
                found.add(before)
                pending.append(before)
    return found


def _read_tensors(op: Op) -> list[int]:
    return [slot.operand.tensor for slot in slots(op) if isinstance(slot.operand, Read)]
