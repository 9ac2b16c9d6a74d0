"""zktally dataset-root: the root of a data set, from its records, for those who mean it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..circuits.files import read_limited, write_atomically
from ..circuits.model import CompiledModel, new_key
from ..verifier.cli import read_arrays
from ..verifier.dataset import PUBLIC_KEY, key_elements, root_of
from ..verifier.errors import UsageError
from ..verifier.kinds import what_is_at
from ..verifier.program.checked import load
from ..verifier.program.types import Program
from ..verifier.quoting import quoted_path
from ..verifier.receipt import read_receipt, split_receipt

FORMAT = "zktally.dataset-root/1"
_LONGEST = 256
"""Bytes of a key file at most."""


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "dataset-root",
        help="compute the root of a data set from its records",
        description="Compute the root by which a verifier names a data set. The arrays hold all "
        "records as the whole numbers that the program reads, by the names of its data tensors.",
    )
    add = verb.add_argument
    add("records", metavar="NPZ", help="the records, one array per data tensor")
    source = verb.add_mutually_exclusive_group(required=True)
    source.add_argument("--program", metavar="ZKT", help="a compiled model that reads the data set")
    source.add_argument("--receipt", metavar="FILE", help="a receipt of such a program")
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
    program = _program(args)
    arrays = read_arrays(args.records)
    if not isinstance(arrays, Mapping):
        raise UsageError("the records are one array", expected="an .npz file of named arrays")
    key = new_key() if args.new_key else read_key(args.key_file)
    root = root_of(program, arrays, key).hex()
    if args.new_key:
        write_atomically(args.new_key, key.hex().encode() + b"\n", private=True)
    shown = {"format": FORMAT, "dataset_root": root, "public": key == PUBLIC_KEY}
    print(json.dumps(shown, sort_keys=True) if args.json else root)
    return 0


def _program(args: argparse.Namespace) -> Program:
    if args.program is not None:
        return CompiledModel.load(Path(args.program)).checked.program
    return load(bytes(split_receipt(read_receipt(args.receipt)).program)).program


def read_key(path: str | None) -> bytes:
    """The key of a data set in a file, 64 hexadecimal digits; of a public one without.

    Raises:
        UsageError: `usage.unreadable`, the file holds no key.
    """
    if path is None:
        return PUBLIC_KEY
    try:
        key = bytes.fromhex(read_limited(path, _LONGEST).decode("ascii"))
        key_elements(key)
    except (ValueError, UsageError) as error:
        raise UsageError(
            f"{quoted_path(path)} holds no key of a data set",
            code="usage.unreadable",
            expected="64 hexadecimal digits, as --new-key writes them",
            received=what_is_at(path),
        ) from error
    return key
