"""zktally prove: run a compiled model and write a receipt."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from ..api import load
from ..api import prove as make_receipt
from ..hybrid.chain import estimate
from ..prover import Claims
from ..verifier.cli import parse_nonce, read_arrays
from ..verifier.errors import UsageError
from ..verifier.inputs import quantise
from .compile import names
from .console import note, progress, size
from .files import write_output


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
    verb.add_argument("--mode", default="fast", choices=("fast",))
    verb.add_argument("--delta", type=float, default=0.05, help="wrong compute at most (0.05)")
    verb.add_argument("--delta-step", type=float, help="the same for every single step")
    verb.add_argument("--bits", type=int, default=128, help="confidence of the sampling (128)")
    verb.add_argument("--exact", default="", metavar="NAMES", help="ops checked in full, or all")
    verb.add_argument(
        "--reveal", action="store_true", help="publish the sampled rows of private weights"
    )
    verb.add_argument(
        "--inputs",
        choices=("private", "checkable", "public"),
        default="checkable",
        dest="visibility",
        help="root only; root that holders of the input can recompute; or the values themselves",
    )
    verb.add_argument("--state", metavar="NPZ", help="initial state by tensor name")
    verb.add_argument("--audience", help="who the receipt is for")
    verb.add_argument("--nonce", help="challenge of the verifier (text, or hex after 0x)")
    verb.add_argument("-o", "--output", required=True, help="the receipt to write (- is stdout)")
    verb.add_argument("--force", action="store_true", help="overwrite the output")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prove and write; print what was made."""
    if args.output != "-" and Path(args.output).exists() and not args.force:
        raise UsageError(
            f"{args.output} exists",
            code="usage.file-exists",
            hint="choose another name, or pass --force",
        )
    if args.json and args.output == "-":
        raise UsageError("--json and a receipt cannot both go to stdout")
    model = load(args.model)
    inputs: Any = {} if args.input is None else read_arrays(args.input)
    state: Any = None if args.state is None else read_arrays(args.state)
    nonce = None if args.nonce is None else parse_nonce(args.nonce)
    claims = Claims(args.delta, args.delta_step, args.bits, names(args.exact))
    _, items = quantise(model.checked.program, inputs, args.items)
    plan = estimate(model.checked, items, claims)
    note(
        f"{plan.steps:,} steps, {plan.macs:,} MACs, {plan.samples:,} samples; "
        f"about {size(plan.trace_bytes)} of memory and at most {size(plan.proof_bytes)} of receipt",
        args.quiet,
    )
    start = time.perf_counter()
    with progress(args.quiet) as show:
        receipt = make_receipt(
            model,
            inputs,
            args.mode,
            delta=args.delta,
            delta_step=args.delta_step,
            bits=args.bits,
            exact=names(args.exact),
            reveal=args.reveal,
            visibility=args.visibility,
            audience=args.audience,
            nonce=nonce,
            state=state,
            items=args.items,
            progress=show,
        )
    seconds = time.perf_counter() - start
    write_output(args.output, receipt.data, force=args.force)
    report(args, model, plan.steps, len(receipt.data), seconds)
    return 0


def report(args: argparse.Namespace, model: Any, steps: int, length: int, seconds: float) -> None:
    """Say what was written and how to check it."""
    if args.json:
        fields = {
            "format": "zktally.prove/1",
            "receipt": args.output,
            "model_id": model.model_id.hex(),
            "steps": steps,
            "bytes": length,
            "seconds": seconds,
        }
        print(json.dumps(fields, sort_keys=True))
    elif args.output != "-":
        print(f"{args.output}: {steps} steps, {size(length)}, {seconds:.2f} s")
        print(f"check it with: zktally verify {args.output} --model-id {model.model_id.hex()}")
