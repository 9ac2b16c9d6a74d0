"""zktally dataset-root: the root of a data set, from its records, for those who mean it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..circuits.keys import OF_DATA, new_key
from ..circuits.model import CompiledModel
from ..verifier.cli import read_arrays
from ..verifier.dataset import PUBLIC_KEY, root_of
from ..verifier.errors import UsageError
from ..verifier.program.checked import load
from ..verifier.program.types import Program
from ..verifier.quoting import quoted_path
from ..verifier.receipt import read_receipt, split_receipt
from .files import refuse_output
from .keys import keep_key, read_key

FORMAT = "zktally.dataset-root/1"


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "dataset-root",
        help="compute the root of a data set from its records",
        description="Compute the root by which a verifier names a data set. With a training run "
        "the records are numbers as they were trained on; with a receipt or a compiled model "
        "alone, the whole numbers that the program reads, by the names of its data tensors.",
    )
    add = verb.add_argument
    add("records", metavar="FILE", help="the records: .npz by name, or .csv with --program RUN")
    source = verb.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--program",
        metavar="RUN|ZKT",
        help="what reads the data set: the folder of a training run or its file `steps`, which say "
        "how numbers are coded; or a compiled model",
    )
    source.add_argument("--receipt", metavar="FILE", help="a receipt of such a program")
    add("--labels", metavar="NAME", help="the array or column that holds labels (y)")
    key = verb.add_mutually_exclusive_group()
    key.add_argument(
        "--key-file", metavar="FILE", help="the key of the data set (without: a public data set)"
    )
    key.add_argument(
        "--new-key", metavar="FILE", help="draw a secret key for the data set and keep it here"
    )
    add("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the root."""
    if args.new_key:
        refuse_output(args.new_key, (args.records, args.program, args.receipt), force=False)
    program, arrays = _read(args)
    key = new_key() if args.new_key else read_key(args.key_file)
    root = root_of(program, arrays, key).hex()
    if args.new_key:
        keep_key(args.new_key, key, OF_DATA)
    shown = {"format": FORMAT, "dataset_root": root, "public": key == PUBLIC_KEY}
    print(json.dumps(shown, sort_keys=True) if args.json else root)
    return 0


def _read(args: argparse.Namespace) -> tuple[Program, Mapping[str, Any]]:
    """The program, and the records as the whole numbers that it reads."""
    if args.program is not None:
        # Only a run needs the compiler, which takes its time to be imported.
        from ..hybrid.training.folder import is_training_program

        if is_training_program(args.program):
            return _coded(args)
    if args.labels is not None:
        raise UsageError(
            "--labels is about the records of a training run",
            expected="--program RUN",
            hint="of other programs, each array stands under the name of its tensor",
        )
    return _program(args), _by_name(args.records)


def _coded(args: argparse.Namespace) -> tuple[Program, Mapping[str, Any]]:
    """The same of a training run, which knows how its numbers are coded."""
    from ..hybrid.training.folder import training_program
    from ..hybrid.training.run import coded_records
    from ..hybrid.training.table import read_records

    steps = training_program(args.program)
    program = steps.model.checked.program
    tensors = {program.tensors[number].name for number in program.data}
    if args.labels is None and not str(args.records).endswith(".csv"):
        arrays = _by_name(args.records)
        if set(arrays) == tensors and all(array.dtype.kind in "iu" for array in arrays.values()):
            return program, arrays  # whole numbers already, by the names of the tensors
    records = read_records(args.records, args.labels)
    return program, coded_records(steps, records.inputs, records.labels)


def _by_name(path: str) -> Mapping[str, Any]:
    arrays = read_arrays(path)
    if not isinstance(arrays, Mapping):
        raise UsageError("the records are one array", expected="an .npz file of named arrays")
    return arrays


def _program(args: argparse.Namespace) -> Program:
    if args.program is not None:
        if Path(args.program).is_dir():
            raise UsageError(
                f"{quoted_path(args.program)} holds no training run",
                code="usage.unreadable",
                expected="the folder of a run, or a compiled model",
                received="a folder of something else",
            )
        return CompiledModel.load(Path(args.program)).checked.program
    return load(bytes(split_receipt(read_receipt(args.receipt)).program)).program
