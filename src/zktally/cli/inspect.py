"""zktally inspect: what a receipt claims, what a compiled model holds. Nothing is verified here."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .. import _core
from ..circuits.model import CompiledModel, is_model_file
from ..prover.snark.model import SnarkModel, is_snark_model
from ..verifier.aggregates import describe_aggregate
from ..verifier.cli import read_argument
from ..verifier.describe import describe_program, describe_receipt, program_text
from ..verifier.journal import Journal
from ..verifier.kinds import is_aggregate
from ..verifier.program.checked import Checked
from ..verifier.receipt import DEFAULT_MAX_SIZE, Sections
from ..verifier.snark.receipt import is_snark
from .proving import strict_text
from .snark import describe_key, describe_snark


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "inspect",
        help="say what a receipt claims or what a compiled model holds",
        description="Print what a receipt claims (unverified), or what a compiled model holds.",
    )
    verb.add_argument(
        "receipt", metavar="file", help="a receipt, an aggregate or a .zkt file (- is stdin)"
    )
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.add_argument(
        "--max-size", type=int, default=DEFAULT_MAX_SIZE, help="refuse larger files (bytes)"
    )
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the description."""
    if args.receipt != "-" and is_model_file(Path(args.receipt)):
        described, text = describe_model(CompiledModel.load(args.receipt))
    elif args.receipt != "-" and is_snark_model(args.receipt):
        described, text = describe_key(SnarkModel.load(args.receipt).key)
    else:
        data = read_argument(args)
        if is_snark(data):
            described, text = describe_snark(data)
        elif is_aggregate(data):
            described, text = describe_aggregate(data, _segments)
        else:
            described, text = describe_receipt(data, _segments)
    print(json.dumps(described, sort_keys=True) if args.json else text)
    return 0


def describe_model(model: CompiledModel) -> tuple[dict[str, Any], str]:
    """A compiled model as JSON and as text."""
    program = describe_program(model.checked)
    described = {
        "format": "zktally.inspect/1",
        "kind": "model",
        "mode": None,
        "model_id": model.model_id.hex(),
        "program_id": model.checked.id.hex(),
        "public": model.public,
        "program": program,
    }
    hidden = (
        "the model id is public: anyone recomputes it from the ONNX file and the ranges recorded "
        "here (zktally check-model)"
        if model.public
        else "weights are committed under a secret salt in this file: keep the file to yourself"
    )
    heads = f"model id   {described['model_id']}\nprogram id {described['program_id']}\n{hidden}\n"
    return described, f"{heads}{strict_text(model)}\n{program_text(program)}"


def _segments(parts: Sections, journal: Journal, checked: Checked) -> int:
    """What the Python reader counts, too; the core does so much sooner."""
    return _core.hybrid_segments(bytes(parts.program), bytes(parts.journal))
