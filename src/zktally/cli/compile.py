"""zktally compile: an ONNX model and calibration data to a .zkt file."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from ..circuits.calibrate import METHODS
from ..circuits.compile import compile as compile_model
from ..circuits.keys import OF_WEIGHTS, new_key
from ..circuits.precision import MIN_AGREEMENT, MIN_SQNR, PRECISIONS
from ..circuits.report import Report
from ..verifier.cli import read_arrays
from ..verifier.errors import UsageError
from ..verifier.quoting import quoted, quoted_path
from .console import libraries_silenced, note
from .files import (
    is_stdout,
    read_evaluation,
    refuse_json_beside,
    refuse_output,
    refuse_outputs,
    write_output,
)
from .keys import keep_key, read_weights_key
from .proving import names, strict_text


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "compile",
        help="turn an ONNX model into an integer program",
        description="Calibrate, quantise and compile an ONNX model; report what that did to it.",
    )
    verb.add_argument("model", help="ONNX file")
    verb.add_argument("--calibrate", metavar="NPZ", help="typical inputs, by input name")
    verb.add_argument("--batch", type=int, default=1, help="items in one step (default: 1)")
    verb.add_argument(
        "--dim",
        action="append",
        default=[],
        metavar="NAME=N",
        help="size of a named axis of the inputs (may be repeated)",
    )
    verb.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="INPUT=N,N,...",
        help="shape of an input; a word in the place of the first number leaves the batch open "
        "(may be repeated)",
    )
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="INPUT=VALUE",
        help="make an input a constant: a number, or numbers with commas between them "
        "(may be repeated)",
    )
    verb.add_argument(
        "--state",
        action="append",
        default=[],
        metavar="INPUT=OUTPUT",
        help="an input that the next step of a chain reads as what this output was; the data is "
        "then a sequence of steps (may be repeated)",
    )
    verb.add_argument(
        "--initial",
        action="append",
        default=[],
        metavar="INPUT=VALUE",
        help="what a state holds before the first step (default: 0; may be repeated)",
    )
    verb.add_argument(
        "--public", action="store_true", help="public weights: anyone recomputes the model id"
    )
    key = verb.add_mutually_exclusive_group()
    key.add_argument(
        "--key-file",
        metavar="FILE",
        help="the key of private weights: the same model gets the same id again; it serves for "
        "several models, whose salts have nothing in common",
    )
    key.add_argument(
        "--new-key", metavar="FILE", help="draw a secret key for the weights, and keep it here"
    )
    verb.add_argument(
        "--method",
        choices=METHODS,
        default="minmax",
        help="how ranges follow from the calibration data (default: minmax)",
    )
    verb.add_argument("--percentile", type=float, default=99.99)
    _add_accuracy(verb)
    verb.add_argument(
        "--exact", default="", metavar="NAMES", help="ops always checked in full, by name, or all"
    )
    verb.add_argument("-o", "--output", required=True, help="the .zkt file to write")
    verb.add_argument(
        "--force",
        action="store_true",
        help="overwrite the output; compile a program that is less accurate than asked for",
    )
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.add_argument("-q", "--quiet", action="store_true", help="no remarks on stderr")
    verb.set_defaults(run=run)


def _add_accuracy(verb: argparse.ArgumentParser) -> None:
    """Add what is asked of accuracy."""
    verb.add_argument(
        "--evaluate",
        metavar="NPZ",
        help="inputs to compare integers and floats on; an array `labels` beside them has the "
        "right classes of the first output (default: the last fifth of 20 or more calibration "
        "samples, held back)",
    )
    verb.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="bits of values and weights: auto gives 16 where 8 are too few (default: auto)",
    )
    verb.add_argument(
        "--target-sqnr", type=float, metavar="DB", help="dB that every output shall reach"
    )
    verb.add_argument(
        "--max-drop",
        type=float,
        metavar="POINTS",
        help="most points of accuracy lost, or of top-1 agreement without labels",
    )
    verb.add_argument(
        "--min-sqnr",
        type=float,
        default=MIN_SQNR,
        metavar="DB",
        help=f"dB of an output below which nothing is compiled (default: {MIN_SQNR:g})",
    )
    verb.add_argument(
        "--min-agreement",
        type=float,
        default=MIN_AGREEMENT,
        metavar="SHARE",
        help=f"top-1 agreement below which nothing is compiled (default: {MIN_AGREEMENT:g})",
    )


def run(args: argparse.Namespace) -> int:
    """Compile and save; print the report."""
    if args.batch < 1:
        raise UsageError("batch is out of range", expected="1 or more", received=args.batch)
    given = (args.model, args.calibrate, args.evaluate, args.key_file)
    refuse_output(args.output, given, force=args.force)
    refuse_outputs((args.output, args.new_key), given, force=True)  # no two of them are one file
    refuse_json_beside(args)
    key = _weights_key(args)
    data = None if args.calibrate is None else read_arrays(args.calibrate)
    evaluation, labels = (None, None) if not args.evaluate else read_evaluation(args.evaluate)
    with libraries_silenced(args.quiet):
        model = compile_model(
            args.model,
            data,
            batch=args.batch,
            dims=dict(map(dim, args.dim)),
            shapes=dict(map(_shape, args.shape)),
            fixed=dict(map(_value, args.set)),
            states=dict(map(_state, args.state)),
            initial=dict(map(_initial, args.initial)),
            public=args.public,
            weights_key=key,
            method=args.method,
            percentile=args.percentile,
            exact=names(args.exact),
            evaluation=evaluation,
            labels=labels,
            precision=args.precision,
            target_sqnr=args.target_sqnr,
            max_drop=args.max_drop,
            min_sqnr=args.min_sqnr,
            min_agreement=args.min_agreement,
            force=args.force,
        )
    if args.new_key is not None and key is not None:
        keep_key(args.new_key, key, OF_WEIGHTS)
    write_output(args.output, model.to_bytes(), force=args.force, private=not model.public)
    if args.json:
        print(json.dumps(summary(model), sort_keys=True))
    else:
        out = sys.stderr if is_stdout(args.output) else sys.stdout
        print(model.report.text(), file=out)
        for name, output in model.record.states.items():
            first = f"{model.record.initial[name]:g} before the first step"
            print(f"state      {quoted(name)} from {quoted(output)}, {first}", file=out)
        if model.record.means:
            print(f"biases     corrected in {len(model.record.means)} layers", file=out)
        whose = "public" if model.public else "private"
        print(f"model id   {model.model_id.hex()} ({whose})", file=out)
        print(f"program id {model.checked.id.hex()}", file=out)
        _remark(model.report, args.quiet)
        if not model.public and key is None:
            note(NEW_EACH_TIME, args.quiet)
        note(strict_text(model), args.quiet)
        note(f"wrote {quoted_path(args.output)}", args.quiet)
    return 0


NEW_EACH_TIME = (
    "the weights are private, under a key that was drawn for this file alone: another compile "
    "gives another model id. To get the same id again, keep a key with --new-key FILE, and pass it "
    "with --key-file FILE"
)


def _weights_key(args: argparse.Namespace) -> bytes | None:
    """The key of the weights that the command line names, or a new one that it keeps."""
    if args.public and (args.key_file or args.new_key):
        raise UsageError("a public model has no key", received="--public beside a key file")
    if args.new_key is not None:
        refuse_output(args.new_key, (), force=False)
        return new_key()
    return None if args.key_file is None else read_weights_key(args.key_file)


def _remark(report: Report, quiet: bool) -> None:
    """What was not asked for by name: values of 16 bits; what is not reached."""
    if report.precision is not None and (report.precision.values or report.precision.weights):
        note(report.precision.text(), quiet)
    for missed in report.missed:
        note(f"not reached: {missed}", quiet)


def dim(text: str) -> tuple[str, int]:
    """The name and size in NAME=N."""
    name, _, size = text.rpartition("=")
    if not name or not size.isdecimal():
        raise UsageError("cannot read --dim", expected="NAME=N", received=text)
    return name, int(size)


def _shape(text: str) -> tuple[str, tuple[int | str, ...]]:
    """The name and sizes in INPUT=N,N,...; no sizes are the shape of a single number."""
    name, equals, sizes = text.rpartition("=")
    parts = [part.strip() for part in sizes.split(",")] if sizes else []
    if not name or not equals or not all(part.isdecimal() for part in parts[1:]):
        raise UsageError("cannot read --shape", expected="INPUT=N,N,...", received=text)
    return name, tuple(int(part) if part.isdecimal() else part for part in parts)


def _value(text: str) -> tuple[str, int | float | list[int | float]]:
    """The name and number, or numbers, in INPUT=VALUE."""
    name, equals, value = text.rpartition("=")
    try:
        numbers = [_number(part.strip()) for part in value.split(",")]
    except ValueError:
        numbers = []
    if not name or not equals or not numbers:
        raise UsageError("cannot read --set", expected="INPUT=N or INPUT=N,N,...", received=text)
    return name, numbers if "," in value else numbers[0]


def _state(text: str) -> tuple[str, str]:
    """The names in INPUT=OUTPUT."""
    name, _, output = text.partition("=")
    if not name or not output:
        raise UsageError("cannot read --state", expected="INPUT=OUTPUT", received=text)
    return name, output


def _initial(text: str) -> tuple[str, float]:
    """The name and number in INPUT=VALUE."""
    name, _, value = text.rpartition("=")
    try:
        return name, float(value)
    except ValueError:
        raise UsageError("cannot read --initial", expected="INPUT=VALUE", received=text) from None


def _number(text: str) -> int | float:
    truths = {"true": 1, "false": 0}
    if text.lower() in truths:
        return truths[text.lower()]
    try:
        return int(text)
    except ValueError:
        return float(text)


def summary(model: Any) -> dict[str, Any]:
    """The compiled model as one JSON-ready object."""
    return {
        "format": "zktally.compile/1",
        "model_id": model.model_id.hex(),
        "program_id": model.checked.id.hex(),
        "public": model.public,
        "states": dict(model.record.states),
        "report": model.report.to_json(),
    }
