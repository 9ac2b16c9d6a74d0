"""zktally check-model: does this compiled model come from that ONNX file, and fit my data?"""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..api import load
from ..circuits.check import ModelCheck, Tolerances, check_model
from ..circuits.compile import Data
from ..circuits.model import CompiledModel
from ..verifier.cli import printable, read_arrays
from ..verifier.errors import UsageError
from ..verifier.quoting import quoted_path
from .console import libraries_silenced
from .files import LABELS, read_evaluation

FORMAT = "zktally.check-model/2"


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
        metavar="F",
        help=f"times that a range may be wider or narrower than yours (default: {usual.factor:g})",
    )
    add(
        "--min-top1",
        type=float,
        metavar="X",
        help="least share of equal classes; refuses models without any (default: "
        f"{usual.floor_top1:g}, where there are classes)",
    )
    add(
        "--min-sqnr",
        type=float,
        metavar="DB",
        help=f"least signal-to-noise ratio of the worst layer (default: {usual.min_sqnr:g})",
    )
    add("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=run, format=FORMAT)


def run(args: argparse.Namespace) -> int:
    """Recompile and compare; raises where something that was asked for does not hold."""
    _refuse_idle(args)
    compiled = load(args.compiled)
    calibration, idle = _data(args.calibrate, compiled)
    if idle is not None:
        raise UsageError(
            f"`{LABELS}` beside the data of --calibrate would not be looked at",
            hint="give them in the file of --evaluate",
        )
    evaluation, labels = _data(args.evaluate, compiled)
    with libraries_silenced(quiet=args.json):
        found = check_model(
            args.model,
            compiled,
            calibration=calibration,
            evaluation=evaluation,
            labels=labels,
            tolerances=_tolerances(args),
        )
    if args.json:
        print(json.dumps({"format": FORMAT, **found.to_json()}, sort_keys=True, allow_nan=False))
    else:
        print("\n".join(map(printable, text(found, args).split("\n"))))
    return 0


def _refuse_idle(args: argparse.Namespace) -> None:
    """A demand about data that was not given would pass unseen."""
    about = {
        "--range-factor": (args.range_factor, "--calibrate", args.calibrate),
        "--min-top1": (args.min_top1, "--evaluate", args.evaluate),
        "--min-sqnr": (args.min_sqnr, "--evaluate", args.evaluate),
    }
    for option, (value, needed, path) in about.items():
        if value is not None and path is None:
            raise UsageError(f"{option} is about data of {needed}", hint="give both")


def _tolerances(args: argparse.Namespace) -> Tolerances:
    """What was asked for; the usual elsewhere."""
    asked = {"factor": args.range_factor, "min_top1": args.min_top1, "min_sqnr": args.min_sqnr}
    return Tolerances(**{name: value for name, value in asked.items() if value is not None})


def _data(path: str | None, compiled: CompiledModel) -> tuple[Data | None, Any]:
    """Inputs from a file, and the labels beside them, if there are any."""
    inputs = [port.name for port in compiled.checked.program.inputs]
    if path is None or LABELS in inputs:
        return None if path is None else read_arrays(path), None
    return read_evaluation(path)


def text(found: ModelCheck, args: argparse.Namespace) -> str:
    """The verdict for people: OK only where integers were compared with floats on their data."""
    if found.fidelity is not None:
        return f"OK {quoted_path(args.compiled)}: {found.text()}"
    head, missing = "FITS", "--evaluate NPZ"
    if found.ranges is None:
        head, missing = "FOLLOWS", "--calibrate NPZ, --evaluate NPZ"
    verdict = f"{head} {quoted_path(args.compiled)}: {found.text()}"
    return f"{verdict}\ncheck it   with data of yours: {missing}"
