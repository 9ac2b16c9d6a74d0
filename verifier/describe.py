"""What a receipt claims and what its program is, in JSON and in words. Nothing is verified here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .errors import ProgramMismatch
from .facts import SEEDS, STARTS
from .hybrid.verify import count_segments
from .journal import FAST, MODES, Journal
from .labels import in_words
from .plain import to_json
from .profiles import NAMES, SUCCINCT, claimed_profile
from .program.checked import Checked
from .program.checked import load as load_program
from .program.types import ConstantStart, Program, Role, Start
from .quoting import listed, quoted
from .receipt import Sections, split_receipt
from .sampling import Counts
from .units import size
from .verified import EVERYTHING

Segments = Callable[[Sections, Journal, Checked], int]
"""Counts the proofs that a statement asks for."""

UNTOLD = {
    "weights_root", "delta_ppm", "delta_step_ppm", "delta_op_ppm", "prf_seed", "input_key",
    "outputs",
}  # fmt: skip
"""Fields of a journal that are left out, or told in other words."""


def describe_program(checked: Checked) -> dict[str, Any]:
    """The program as one JSON-ready object."""
    program, weights = checked.program, checked.weights
    return {
        "name": program.name,
        "batch": program.batch,
        "step_macs": weights.step_macs,
        "step_weight": weights.step_weight,
        "parameters": sum(program.tensors[t].size for t in program.of_role(Role.WEIGHT)),
        "inputs": {p.name: list(program.tensors[p.tensor].shape) for p in program.inputs},
        "outputs": {p.name: list(program.tensors[p.tensor].shape) for p in program.outputs},
        "states": [program.tensors[link.state].name for link in program.states],
        "starts": {
            program.tensors[link.state].name: _start(link.start)
            for link in program.states
            if link.start is not None
        },
        "data": {
            program.tensors[t].name: list(program.tensors[t].tree_shape) for t in program.data
        },
        "records_a_step": program.data_slots,
        "exports": [program.tensors[t].name for t in program.exports],
        "ops": [
            {
                "name": op.name,
                "kind": type(op).__name__.lower(),
                "exact": op.exact,
                "shape": list(program.tensors[op.out].shape),
                "macs": weights.macs[number],
                "weight": weights.weight[number],
            }
            for number, op in enumerate(program.ops)
        ],
        "bounds": [
            {
                "op": bound.op,
                "identity": bound.identity,
                "bound": bound.bound,
                "limit": bound.limit,
                "limbs": bound.limbs,
            }
            for bound in checked.bounds
        ],
    }


def _start(start: Start) -> str:
    if isinstance(start, ConstantStart):
        return f"{start.value}"
    return f"drawn from [{start.lo}, {start.hi}]"


def program_text(described: dict[str, Any]) -> str:
    """The program in a table."""
    lines = [
        f"program {quoted(described['name'])}: batch {described['batch']}, "
        f"{described['step_macs']:,} MACs a step, {described['parameters']:,} weight values",
        f"inputs {_shapes(described['inputs'])}; outputs {_shapes(described['outputs'])}; "
        f"states {listed(described['states'])}",
        *_run_lines(described),
        f"{'op':32} {'kind':7} {'shape':20} {'MACs/gate':>10} {'weight':>8}  exact",
    ]
    for op in described["ops"]:
        lines.append(
            f"{quoted(op['name'], 29):32} {op['kind']:7} {op['shape']!s:20} {op['macs']:>10,} "
            f"{op['weight']:>8,}  {'yes' if op['exact'] else 'no'}"
        )
    return "\n".join(lines)


def _run_lines(described: dict[str, Any]) -> list[str]:
    """What only the program of a training run has."""
    lines = []
    if described["data"]:
        read = described["records_a_step"]
        lines.append(f"data {_shapes(described['data'])}, of which a step reads {read:,} records")
    if described["starts"]:
        starts = (f"{quoted(name)} {start}" for name, start in described["starts"].items())
        lines.append(f"starts {', '.join(starts)}")
    if described["exports"]:
        lines.append(f"exports {listed(described['exports'])}")
    return lines


def _shapes(ports: dict[str, list[int]]) -> str:
    return ", ".join(f"{quoted(name)} {shape}" for name, shape in ports.items()) or "none"


def describe_receipt(
    data: bytes, segments: Segments = count_segments
) -> tuple[dict[str, Any], str]:
    """A receipt's claims, as JSON and as text; nothing of it is verified.

    Args:
        data: its bytes.
        segments: what counts the proofs that it asks for.

    Raises:
        MalformedReceipt, UnsupportedReceipt, MalformedProgram, InvalidProgram: it cannot be read.
        ProgramMismatch: its statement is about another program.
    """
    parts = split_receipt(data)
    journal = Journal.decode(parts.journal)
    profile = None if journal.mode == FAST else claimed_profile(parts.proof)
    described = describe_sections(parts, journal, segments, profile)
    return described, receipt_text(described, journal.labels)


def describe_sections(
    parts: Sections, journal: Journal, segments: Segments, profile: int | None
) -> dict[str, Any]:
    """The claims of a receipt in its parts, whose proofs have a profile; None of a fast one.

    Raises:
        MalformedProgram, InvalidProgram, ProgramMismatch, MalformedReceipt: see `describe_receipt`.
    """
    checked = load_program(bytes(parts.program))
    if checked.id != journal.program_id:
        raise ProgramMismatch(
            "the statement is about another program than the receipt holds",
            code="verify.program-mismatch",
            expected=journal.program_id.hex(),
            received=checked.id.hex(),
        )
    claims = to_json(journal) | dict.fromkeys(journal.absent)
    statement = {name: claim for name, claim in claims.items() if name not in UNTOLD}
    return {
        "format": "zktally.inspect/1",
        "kind": "receipt",
        "verified": False,
        **statement,
        "mode": MODES[journal.mode],
        "model_id": journal.model_id.hex(),
        "delta": journal.delta_ppm / 1e6,
        "delta_step": journal.delta_step_ppm / 1e6 or None,
        "delta_op": journal.delta_op_ppm / 1e6 or None,
        "complete": all(Counts(checked, journal).enumerated),
        "exact": [checked.program.ops[number].name for number in journal.exact],
        "inputs": visibility(journal),
        "outputs": output_visibility(checked.program, journal),
        "bytes": {
            "program": len(parts.program),
            "journal": len(parts.journal),
            "proof": len(parts.proof),
        },
        "stark": None
        if profile is None
        else {"profile": NAMES[profile], "segments": segments(parts, journal, checked)},
        "program": describe_program(checked),
    }


def visibility(journal: Journal) -> str:
    """How much of the inputs a statement tells."""
    if journal.inputs is not None:
        return "public"
    return "private" if journal.input_key is None else "checkable"


def output_visibility(program: Program, journal: Journal) -> str:
    """Whether a statement tells the outputs."""
    if not program.outputs:
        return "none"
    return "published" if journal.publishes else "hidden"


FAST_HIDES = (
    "nothing that was opened: sampled rows of weights, inputs and activations are in the clear; "
    "what was not opened is hidden by salted hashes"
)
HYBRID_HIDES = (
    "weights, inputs and activations, opened or not, but for what the statement publishes"
)
FAST_SHOWS = "the program with its constants and shapes, {outputs}the roots"
HYBRID_SHOWS = (
    "the statement, the program with its constants and tables, which gates were sampled, "
    "the number of proofs and their sizes"
)


def stark_text(stark: dict[str, Any]) -> str:
    """The STARK in words."""
    segments = "1 segment" if stark["segments"] == 1 else f"{stark['segments']:,} segments"
    if stark["profile"] == NAMES[SUCCINCT]:
        return f"one proof that the proofs of {segments} verify (succinct profile)"
    return f"{segments} ({stark['profile']} profile)"


def claims_text(described: dict[str, Any]) -> str:
    """What a receipt claims about its gates, in words."""
    if described["complete"]:
        return EVERYTHING
    bounds = [f"wrong compute at most {described['delta']:.4%} of what leads to outputs or states"]
    for field, of in (("delta_step", "of each step"), ("delta_op", "of the gates of each op")):
        if described[field]:
            bounds.append(f"{described[field]:.4%} {of}")
    return f"{', '.join(bounds)} ({described['bits']} bits)"


def _claimed_run(described: dict[str, Any]) -> list[str]:
    """What a receipt of a run claims about it; nothing of other receipts."""
    lines = []
    if described["program"]["states"] or described["program"]["data"]:
        last = described["first"] + described["steps"] - 1
        start = STARTS[described["start"]] if described["program"]["states"] else "none"
        lines.append(
            f"run        step {described['first']} to {last}, start: {start}, "
            f"seed: {SEEDS[described['seed']]}"
        )
    if described["program"]["data"]:
        lines.append(f"data set   {described['dataset_root']}")
    if described["program"]["exports"]:
        lines.append(f"exports    {described['exported_root']}")
    return lines


def _states(described: dict[str, Any]) -> str:
    if not described["program"]["states"]:
        return "none"
    return f"{described['initial_state']} -> {described['final_state']}"


def receipt_text(described: dict[str, Any], labels: Mapping[str, str | bytes | None]) -> str:
    """A receipt's claims in words."""
    sizes, stark, exact = described["bytes"], described["stark"], described["exact"]
    named = ", ".join(f"{name} {in_words(label)}" for name, label in labels.items())
    proof, hidden, shown = (
        ("openings", FAST_HIDES, FAST_SHOWS)
        if stark is None
        else (stark_text(stark), HYBRID_HIDES, HYBRID_SHOWS)
    )
    if described["mode"] == "strict":
        shown = shown.replace("which gates were sampled", "that every gate was checked")
    outputs = described["outputs"]
    shown = shown.format(outputs="all outputs, " if outputs == "published" else "")
    bound = ", bound by the chain root" if outputs == "hidden" else ""
    lines = [
        "UNVERIFIED: this is what the receipt claims; `zktally verify` judges it.",
        f"mode       {described['mode']}",
        f"model id   {described['model_id']}",
        f"program id {described['program_id']}",
        f"chain      steps: {described['steps']}, items: {described['items']}",
        f"claims     {claims_text(described)}",
        f"exact      {', '.join(['the ops flagged in the program', *map(quoted, exact)])}",
        f"inputs     {described['inputs']}, root {described['input_root']}",
        f"outputs    {outputs}{bound}",
        f"states     {_states(described)}",
        *_claimed_run(described),
        f"for        {named}",
        f"size       program {size(sizes['program'])}, statement {size(sizes['journal'])}, "
        f"{proof} {size(sizes['proof'])}",
        f"hidden     {hidden}",
        f"public     {shown}",
        program_text(described["program"]),
    ]
    return "\n".join(lines)
