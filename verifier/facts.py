"""What a verified receipt shows, as plain facts: the same object from both verifiers."""

from __future__ import annotations

from typing import Any

from .confidence import headline
from .journal import MODES, model_id
from .program.operands import slots
from .program.types import Op, Program, Read, gates
from .sampling import Plan

CERTIFIED, CONSISTENT, SAMPLED = "certified", "consistent", "sampled"


def facts_of(plan: Plan, receipt_bytes: int) -> dict[str, Any]:
    """The facts of a receipt whose plan was checked; JSON-ready, digests in hexadecimal."""
    counts = plan.counts
    checked, journal = counts.checked, counts.claim
    program, weights = checked.program, checked.weights
    statuses = output_statuses(program, counts.enumerated, journal.steps)
    ops = [
        {
            "name": op.name,
            "kind": type(op).__name__.lower(),
            "gates": gates(op),
            "live": checked.live[c],
            "weight": weights.weight[c],
            "macs": weights.macs[c],
            "draws": counts.draws(c),
            "enumerated": counts.enumerated[c],
        }
        for c, op in enumerate(program.ops)
    ]
    return {
        "mode": MODES[journal.mode],
        "headline_bits": headline(journal.bits),
        "model_id": model_id(journal.program_id, journal.weights_root).hex(),
        "program_id": journal.program_id.hex(),
        "weights_root": journal.weights_root.hex(),
        "program_name": program.name,
        "steps": journal.steps,
        "items": journal.items,
        "batch": program.batch,
        "itemised": program.itemised,
        "delta_ppm": journal.delta_ppm,
        "delta_step_ppm": journal.delta_step_ppm,
        "delta_op_ppm": journal.delta_op_ppm,
        "lambda": journal.bits,
        "samples": counts.samples,
        "samples_per_op": counts.samples_per_op,
        "samples_per_step": counts.samples_per_step,
        "step_weight": weights.step_weight,
        "step_macs": weights.step_macs,
        "live_macs": checked.live_macs,
        "checked_gates": plan.checked_gates,
        "ops": ops,
        "outputs": [
            {"name": port.name, "status": status}
            for port, status in zip(program.outputs, statuses, strict=True)
        ],
        "input_root": journal.input_root.hex(),
        "initial_state": journal.initial_state.hex(),
        "final_state": journal.final_state.hex(),
        "chain_root": journal.chain_root.hex(),
        "prf_seed": journal.prf_seed.hex(),
        "input_key": None if journal.input_key is None else journal.input_key.hex(),
        "inputs_public": journal.inputs is not None,
        "audience": journal.audience,
        "nonce": None if journal.nonce is None else journal.nonce.hex(),
        "receipt_bytes": receipt_bytes,
    }


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
