"""zktally snark-setup: circuit and keys of a small model, once, for SNARK receipts."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..prover.snark.child import FILES
from ..prover.snark.setup import KEPT, SnarkSetUp, snark_setup
from ..verifier.cli import read_arrays
from ..verifier.errors import UsageError
from ..verifier.quoting import quoted, quoted_path
from .bench import byte_count
from .console import note, size, warn


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "snark-setup",
        help="set a small model up for SNARK receipts (ezkl)",
        description="Make ezkl's circuit and keys for a small model, in a new folder: what `prove "
        "--mode snark` takes. Its model id names all of it. Needs the extra peers.",
    )
    verb.add_argument("model", help="ONNX file")
    verb.add_argument(
        "--calibrate", required=True, metavar="NPZ", help="typical inputs by name; a handful"
    )
    verb.add_argument("-o", "--output", required=True, metavar="DIR", help="the folder to make")
    verb.add_argument(
        "--input-visibility",
        choices=("private", "public"),
        default="private",
        help="whether receipts keep their inputs (the default), or publish them",
    )
    verb.add_argument(
        "--batch", type=int, default=1, metavar="N", help="items of a run, if open (default: 1)"
    )
    verb.add_argument(
        "--srs-file",
        metavar="FILE",
        help="a ceremony's structured reference string, in halo2's raw form, at least as large as "
        "the circuit (without: one is made here, which convinces nobody else)",
    )
    verb.add_argument(
        "--target",
        choices=("resources", "accuracy"),
        default="resources",
        help="what ezkl calibrates for (default: resources)",
    )
    verb.add_argument(
        "--run-arg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an argument of ezkl's own, by its name in Python, as in decomp_base=128",
    )
    verb.add_argument(
        "--memory-limit", type=byte_count, metavar="SIZE", help="stop ezkl there, as in 12G"
    )
    verb.add_argument("--time-limit", type=float, metavar="SECONDS", help="stop ezkl there")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Set up; print the ids by which verifiers name it."""
    if args.batch < 1:
        raise UsageError("--batch is out of range", expected="1 or more", received=args.batch)
    calibration = read_arrays(args.calibrate)
    if isinstance(calibration, np.ndarray):
        raise UsageError("the data has no names", expected="an .npz file", received=args.calibrate)
    options = SnarkSetUp(
        args.input_visibility,
        args.batch,
        None if args.srs_file is None else Path(args.srs_file),
        args.target,
        dict(map(_argument, args.run_arg)),
        args.memory_limit,
        args.time_limit,
    )
    start = time.perf_counter()
    model, changes = snark_setup(
        args.model, calibration, args.output, options, lambda phase: note(phase, args.quiet)
    )
    seconds = time.perf_counter() - start
    if args.srs_file is None:
        warn(
            "the string was made here: whoever runs this could keep its secret, and prove "
            "anything; receipts under it convince nobody but you (--srs-file takes a ceremony's)"
        )
    bytes_ = {name: (model.folder / FILES[name]).stat().st_size for name in KEPT}
    if args.json:
        fields = {
            "format": "zktally.snark-setup/1",
            "model_id": model.model_id.hex(),
            "srs": model.srs.hex(),
            "srs_made_here": args.srs_file is None,
            "logrows": model.key.circuit.k,
            "adapted": changes,
            "seconds": seconds,
            "bytes": bytes_,
            "key_bytes": len(model.key.encode()),
        }
        print(json.dumps(fields, sort_keys=True))
        return 0
    for change in changes:
        print(f"changed: {change}")
    total = size(sum(bytes_.values()))
    print(f"{quoted_path(args.output)}: 2^{model.key.circuit.k} rows, {total}, {seconds:.1f} s")
    print(f"model id {model.model_id.hex()}")
    print(f"srs      {model.srs.hex()}")
    return 0


def _argument(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier() or name.startswith("_"):
        raise UsageError("--run-arg is none", expected="NAME=VALUE", received=quoted(text))
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
