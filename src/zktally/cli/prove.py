"""zktally prove: run a compiled model and write a receipt."""

from __future__ import annotations

import argparse
from typing import Any

from ..api import load
from ..api import prove as make_receipt
from ..circuits.model import CompiledModel
from ..hybrid.estimate import estimate, estimate_stark
from ..prover import Claims, usual_bits
from ..verifier.cli import parse_nonce, read_arrays
from ..verifier.inputs import quantise
from .compile import names
from .console import note, size
from .proving import add_output_arguments, add_stark_arguments, check_output, make, stark_text


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "prove",
        help="run a compiled model and write a receipt",
        description="Run the program on every batch and write one receipt for the whole chain.",
    )
    verb.add_argument("model", help=".zkt file")
    verb.add_argument("--input", metavar="NPZ", help="inputs by name; items along the batch axis")
    verb.add_argument("--items", type=int, help="steps, for a program without inputs")
    verb.add_argument(
        "--mode",
        default="hybrid",
        choices=("fast", "hybrid"),
        help="prove the samples in zero knowledge (hybrid, the default), or show them (fast)",
    )
    verb.add_argument("--delta", type=float, default=0.05, help="wrong compute at most (0.05)")
    verb.add_argument("--delta-step", type=float, help="the same for every single step")
    verb.add_argument(
        "--bits", type=int, help="confidence of the sampling (100 if hybrid, 128 if fast)"
    )
    verb.add_argument("--exact", default="", metavar="NAMES", help="ops checked in full, or all")
    verb.add_argument(
        "--reveal", action="store_true", help="fast: publish the sampled rows of private weights"
    )
    verb.add_argument(
        "--inputs",
        choices=("private", "checkable", "public"),
        dest="visibility",
        help="root only (usual in hybrid); root that holders of the input can recompute (usual in "
        "fast); or the values themselves",
    )
    verb.add_argument("--state", metavar="NPZ", help="initial state by tensor name")
    verb.add_argument("--audience", help="who the receipt is for")
    verb.add_argument("--nonce", help="challenge of the verifier (text, or hex after 0x)")
    add_stark_arguments(verb)
    add_output_arguments(verb)
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prove and write; print what was made."""
    check_output(args)
    model = load(args.model)
    inputs: Any = {} if args.input is None else read_arrays(args.input)
    state: Any = None if args.state is None else read_arrays(args.state)
    nonce = None if args.nonce is None else parse_nonce(args.nonce)
    bits = usual_bits(args.mode) if args.bits is None else args.bits
    claims = Claims(args.delta, args.delta_step, bits, names(args.exact))
    _, items = quantise(model.checked.program, inputs, args.items)
    announce(args, model, items, claims)
    return make(
        args,
        lambda show: make_receipt(
            model,
            inputs,
            args.mode,
            delta=args.delta,
            delta_step=args.delta_step,
            bits=bits,
            exact=names(args.exact),
            small=args.small,
            work=args.work,
            reveal=args.reveal,
            visibility=args.visibility,
            audience=args.audience,
            nonce=nonce,
            state=state,
            items=args.items,
            progress=show,
        ),
    )


def announce(args: argparse.Namespace, model: CompiledModel, items: int, claims: Claims) -> None:
    """What the job will take, before it is begun."""
    plan = estimate(model.checked, items, claims)
    steps = "1 step" if plan.steps == 1 else f"{plan.steps:,} steps"
    run = f"{steps}, {plan.macs:,} MACs, {plan.samples:,} samples; about {size(plan.trace_bytes)}"
    if args.mode == "fast":
        ends = f"of memory and at most {size(plan.proof_bytes)} of receipt"
        note(f"{run} {ends}", args.quiet)
        return
    note(f"{run} of traces", args.quiet)
    note(stark_text(estimate_stark(model.checked, items, claims, int(args.small))), args.quiet)
