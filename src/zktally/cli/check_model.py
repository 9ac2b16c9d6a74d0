"""zktally check-model: does this compiled model come from that ONNX file?"""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..api import check_model, load


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "check-model",
        help="recompute a model id from the ONNX file",
        description="Compile the ONNX file again with the recorded ranges and compare every bit.",
    )
    verb.add_argument("model", help="ONNX file")
    verb.add_argument("compiled", help=".zkt file")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Recompile and compare; raises where they differ."""
    compiled = load(args.compiled)
    check_model(args.model, compiled)
    model_id = compiled.model_id.hex()
    if args.json:
        print(json.dumps({"format": "zktally.check-model/1", "ok": True, "model_id": model_id}))
    else:
        print(f"OK {args.compiled}: program and weights come from {args.model}")
        print(f"model id {model_id}")
    return 0
