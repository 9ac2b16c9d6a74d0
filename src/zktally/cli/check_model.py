"""zktally check-model: does this compiled model come from that ONNX file, and fit my data?"""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..api import check_model, load
from ..circuits.check import ModelCheck, Tolerances
from ..circuits.compile import Data
from ..circuits.model import CompiledModel
from ..verifier.cli import printable, read_arrays

FORMAT = "zktally.check-model/2"
LABELS = "labels"
"""Name of the array of right classes in the file of evaluation data."""


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "check-model",
        help="recompute a model id from the ONNX file, and its accuracy on your data",
        description="Compile the ONNX file again with the recorded ranges and compare every bit. "
        "The ranges and the report are the words of whoever compiled it; with data of your own "
        "they are checked too.",
    )
    add, usual = verb.add_argument, Tolerances()
    add("model", help="ONNX file")
    add("compiled", help=".zkt file")
    add("--calibrate", metavar="NPZ", help="your typical inputs: the ranges must fit them")
    add(
        "--evaluate",
        metavar="NPZ",
        help="your inputs on which integers and floats are compared; an array `labels` of the "
        "right classes compares accuracy too",
    )
    add(
        "--range-factor",
        type=float,
        default=usual.factor,
        metavar="F",
        help=f"times that a range may be wider or narrower than yours (default: {usual.factor:g})",
    )
    add(
        "--min-top1",
        type=float,
        default=usual.min_top1,
        metavar="X",
        help=f"least share of equal classes (default: {usual.min_top1:g})",
    )
    add(
        "--min-sqnr",
        type=float,
        default=usual.min_sqnr,
        metavar="DB",
        help=f"least signal-to-noise ratio of the worst layer (default: {usual.min_sqnr:g})",
    )
    add("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=run, format=FORMAT)


def run(args: argparse.Namespace) -> int:
    """Recompile and compare; raises where something that was asked for does not hold."""
    compiled = load(args.compiled)
    calibration, _ = _data(args.calibrate, compiled)
    evaluation, labels = _data(args.evaluate, compiled)
    found = check_model(
        args.model,
        compiled,
        calibration=calibration,
        evaluation=evaluation,
        labels=labels,
        tolerances=Tolerances(
            factor=args.range_factor, min_top1=args.min_top1, min_sqnr=args.min_sqnr
        ),
    )
    if args.json:
        print(json.dumps({"format": FORMAT, **found.to_json()}, sort_keys=True, allow_nan=False))
    else:
        print("\n".join(map(printable, text(found, args).split("\n"))))
    return 0


def _data(path: str | None, compiled: CompiledModel) -> tuple[Data | None, Any]:
    """Inputs from a file, and the labels beside them, if there are any."""
    data = None if path is None else read_arrays(path)
    inputs = [port.name for port in compiled.checked.program.inputs]
    if not isinstance(data, dict) or LABELS in inputs:
        return data, None
    labels = data.pop(LABELS, None)
    return data, labels


def text(found: ModelCheck, args: argparse.Namespace) -> str:
    """The verdict for people: OK only where data of theirs was looked at."""
    unchecked = found.ranges is None and found.fidelity is None
    head = f"{'FOLLOWS' if unchecked else 'OK'} {args.compiled}: {found.text()}"
    if not unchecked:
        return head
    return head + "\ncheck it   with data of yours: --calibrate NPZ, --evaluate NPZ"
