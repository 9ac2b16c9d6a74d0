"""The command `zktally-verify`, and the parts of it that `zktally verify` shares.

Results go to stdout, errors to stderr. Exit codes: 0 verified, 1 judged and refused, 2 usage,
3 could not be judged, 70 internal error, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import UsageError, ZktallyError
from .labels import LABELS, parse
from .pins import Pins
from .policy import Expectations, Inputs, Policy, options
from .quoting import quoted_path
from .receipt import DEFAULT_MAX_SIZE, read_receipt
from .verified import Verified
from .verify import verify

FORMAT = "zktally.verify/1"
INTERNAL, INTERRUPTED = 70, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Verify one receipt; the exit code."""
    parser = argparse.ArgumentParser(
        prog="zktally-verify",
        description="Judge a receipt, offline and in plain Python. What is expected comes from the "
        "command line, never from the receipt.",
    )
    add_verify_arguments(parser)
    args = parser.parse_args(argv)
    try:
        expectations = expectations_from(args)
        receipt = read_argument(args)
        facts, outputs = verify(receipt, expectations)
        print_verified(args, Verified.of(facts, outputs, "python", Pins.of(receipt, expectations)))
        sys.stdout.flush()
    except ZktallyError as error:
        print_error(error, as_json=args.json)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERNAL
    except Exception as error:
        print(printable(f"internal error: {type(error).__name__}: {error}"), file=sys.stderr)
        return INTERNAL
    return 0


def add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a verification."""
    add = parser.add_argument
    add("receipt", help="the receipt file (- is stdin)")
    add("--model-id", required=True, metavar="HEX", help="the model that you mean (64 digits)")
    _add_options(parser, Policy)
    add(
        "--modes",
        default=",".join(Policy.modes),
        metavar="NAMES",
        help=f"acceptable modes (default: {','.join(Policy.modes)})",
    )
    add(
        "--allow-sampled-outputs",
        action="store_true",
        help="accept outputs that are only sampled",
    )
    add("--input", metavar="NPZ", help="the inputs that you mean (.npz by name, or one .npy)")
    _add_options(parser, Expectations)
    for name, rule in LABELS.items():
        add(f"--{name}", metavar="TEXT", help=rule.demanded)
    add("--json", action="store_true", help="print one JSON object")
    add(
        "--max-size",
        type=int,
        default=DEFAULT_MAX_SIZE,
        metavar="BYTES",
        help=f"refuse larger files (default: {DEFAULT_MAX_SIZE})",
    )


def _add_options(parser: argparse.ArgumentParser, of: type[Policy] | type[Expectations]) -> None:
    for each in options(of):
        flag = f"--{each.name.replace('_', '-')}"
        parser.add_argument(flag, default=each.default, **each.metadata)


def expectations_from(args: argparse.Namespace) -> Expectations:
    """What the command line expects.

    Raises:
        UsageError: an argument makes no sense, or the inputs cannot be read.
    """
    policy = Policy(
        modes=tuple(args.modes.split(",")),
        outputs_exact=not args.allow_sampled_outputs,
        **{each.name: getattr(args, each.name) for each in options(Policy)},
    )
    return Expectations.of(
        args.model_id,
        policy,
        inputs=None if args.input is None else read_arrays(args.input),
        **{each.name: getattr(args, each.name) for each in options(Expectations)},
        **labels_from(args),
    )


def labels_from(args: argparse.Namespace) -> dict[str, Any]:
    """The labels that the command line names, of a verifier or of a prover.

    Raises:
        UsageError: one cannot be what it stands for.
    """
    given = {name: getattr(args, name) for name in LABELS}
    return {name: parse(name, text) for name, text in given.items() if text is not None}


def read_argument(args: argparse.Namespace) -> bytes:
    """The receipt that the command line names.

    Raises:
        UsageError: it cannot be read.
        MalformedReceipt: it is larger than --max-size.
    """
    return read_receipt(args.receipt, args.max_size)


def print_verified(args: argparse.Namespace, verified: Verified) -> None:
    """Print the verdict on stdout, in words or as one JSON object."""
    if args.json:
        print(_dumps({"format": FORMAT, "verified": True, **verified.to_json()}))
        return
    print(printable(f"OK {quoted_path(args.receipt)}: {verified.sentence()}"))
    print("\n".join(map(printable, verified.guarantee.text().split("\n"))))


def print_error(error: ZktallyError, *, as_json: bool = False, format: str = FORMAT) -> None:
    """Print an error: on stderr line by line, or on stdout as one JSON object."""
    if as_json:
        print(_dumps({"format": format, "verified": False, **error.to_json()}))
        return
    # Only a list in a message has lines of its own, and they are indented.
    message = "\n  ".join(map(printable, error.message.split("\n  ")))
    print(f"error: {message} [{error.code}]", file=sys.stderr)
    for name in ("expected", "received", "hint"):
        value = getattr(error, name)
        if value is not None:
            print(f"  {name + ':':10}{printable(str(value))}", file=sys.stderr)


def printable(text: str) -> str:
    """The text with everything escaped that could steer a terminal or hide what stands there."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def read_arrays(path: str) -> Inputs:
    """The arrays of an .npz file by name, or the one array of an .npy file.

    Raises:
        UsageError: the file cannot be read or holds anything but plain arrays.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"cannot read arrays from {quoted_path(path)}",
            code="usage.unreadable",
            expected="an .npz or .npy file of plain arrays, without pickles",
            received=error,
            hint="write it with numpy.savez(path, input_name=array)",
        ) from error


def _dumps(shown: dict[str, Any]) -> str:
    """One line of printable ASCII, whatever names are in it: no letter looks like another one."""
    return json.dumps(shown, sort_keys=True, allow_nan=False)


if __name__ == "__main__":
    sys.exit(main())
