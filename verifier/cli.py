"""The command `zktally-verify`, and the parts of it that `zktally verify` shares.

Results go to stdout, errors to stderr. Exit codes: 0 verified, 1 judged and refused, 2 usage,
3 could not be judged, 70 internal error, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from .chain import Judge, VerifiedRun, verify_run
from .errors import UsageError, ZktallyError
from .labels import LABELS, parse
from .pins import Pins
from .policy import Expectations, Inputs, Policy, options
from .quoting import listed, quoted, quoted_path
from .receipt import DEFAULT_MAX_SIZE, read_receipt
from .verified import Verified

FORMAT, FORMAT_OF_RUN = "zktally.verify/1", "zktally.verify-run/1"
INTERNAL, INTERRUPTED = 70, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Verify one receipt, or those of one run; the exit code."""
    parser = argparse.ArgumentParser(
        prog="zktally-verify",
        description="Judge a receipt, offline and in plain Python. What is expected comes from the "
        "command line, never from the receipt.",
    )
    add_verify_arguments(parser)
    args = parser.parse_args(argv)
    try:
        run(args, _judge)
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


def _judge(receipt: bytes, expectations: Expectations) -> Verified:
    from .snark.judge import refuse_string, verify_snark
    from .snark.receipt import is_snark
    from .verify import verify  # the judge, for which `zktally inspect` need not wait

    if is_snark(receipt):
        return verify_snark(receipt, expectations)
    refuse_string(expectations)
    found = verify(receipt, expectations)
    return Verified.of(*found, "python", Pins.of(receipt, expectations))


def run(args: argparse.Namespace, judge: Judge) -> None:
    """Judge what the command line names, and print the verdict.

    Raises:
        ZktallyError: it is refused, or cannot be judged.
    """
    expectations = expectations_from(args)
    paths = [*args.follows, *args.receipt]
    if paths.count("-") > 1:
        raise UsageError("stdin is one receipt", expected="- once", received=listed(paths))
    receipts = [read_receipt(path, args.max_size) for path in paths]
    if len(receipts) == 1:
        print_verified(args, judge(receipts[0], expectations))
    else:
        print_run(args, verify_run(receipts, expectations, judge))


def add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a verification."""
    add = parser.add_argument
    add(
        "receipt",
        nargs="+",
        help="the receipt file (- is stdin); several: those of one run, in their order",
    )
    add(
        "--follows",
        action="append",
        default=[],
        metavar="RECEIPT",
        help="the receipt that this one continues, judged with it (again: the one after that)",
    )
    add("--model-id", required=True, metavar="HEX", help="the model that you mean (64 digits)")
    add(
        "--policy",
        metavar="TOML",
        help="a file of what is demanded, by the names of these options; they go before it",
    )
    _add_options(parser, Policy)
    add(
        "--range",
        action="append",
        default=[],
        metavar="NAME=LO:HI",
        help="demand that the input of this name is published and all its values lie in the range",
    )
    add(
        "--modes",
        metavar="NAMES",
        help=f"acceptable modes (default: {','.join(Policy.modes)}; snark only if named)",
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
    add(
        "--exported",
        metavar="ID",
        help="show the id of the model that serves the exported weights by this program (its id)",
    )
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
        parser.add_argument(flag, default=None, **each.metadata)


def expectations_from(args: argparse.Namespace) -> Expectations:
    """What the command line expects.

    Raises:
        UsageError: an argument makes no sense, or the inputs cannot be read.
    """
    stated = {} if args.policy is None else read_policy(args.policy)
    given = {
        each.name: getattr(args, each.name) for of in (Policy, Expectations) for each in options(of)
    }
    stated |= {name: value for name, value in given.items() if value is not None}
    if args.modes is not None:
        stated["modes"] = tuple(args.modes.split(","))
    if args.allow_sampled_outputs:
        stated["outputs_exact"] = False
    if args.range:
        stated["ranges"] = {**stated.get("ranges", {}), **dict(map(_range, args.range))}
    demanded = {each.name for each in fields(Policy)}
    policy = Policy(**{name: value for name, value in stated.items() if name in demanded})
    return Expectations.of(
        args.model_id,
        policy,
        inputs=None if args.input is None else read_arrays(args.input),
        **{name: value for name, value in stated.items() if name not in demanded},
        **labels_from(args),
    )


def read_policy(path: str) -> dict[str, Any]:
    """A file of demands, TOML: fields of a policy by name, ranges as a table, and digests.

    Raises:
        UsageError: it cannot be read, or has a field that there is not.
    """
    try:
        with Path(path).open("rb") as file:
            stated = tomllib.load(file)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(
            f"cannot read a policy from {quoted_path(path)}",
            code="usage.unreadable",
            expected="a TOML file",
            received=error,
        ) from error
    known = {each.name for each in (*fields(Policy), *options(Expectations))}
    if unknown := set(stated) - known:
        raise UsageError(
            f"a policy has no {quoted(min(unknown))}",
            expected=listed(sorted(known)),
            received=quoted_path(path),
        )
    return stated


def _range(text: str) -> tuple[str, tuple[float, float]]:
    name, equals, ends = text.rpartition("=")
    low, colon, high = ends.partition(":")
    try:
        if equals and colon:
            return name, (float(low), float(high))
    except ValueError:
        pass
    raise UsageError("--range is no range", expected="NAME=LO:HI", received=quoted(text))


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
    exported = _exported(args, verified)
    if args.json:
        print(_dumps({"format": FORMAT, "verified": True, **verified.to_json(), **exported}))
        return
    path = [*args.follows, *args.receipt][0]
    print(printable(f"OK {quoted_path(path)}: {verified.sentence()}"))
    print("\n".join(map(printable, verified.guarantee.text().split("\n"))))
    _print_exported(exported)


def print_run(args: argparse.Namespace, found: VerifiedRun) -> None:
    """The same for the receipts of a run: what holds of all of them, then each by itself."""
    exported = _exported(args, found.receipts[-1])
    if args.json:
        print(_dumps({"format": FORMAT_OF_RUN, "verified": True, **found.to_json(), **exported}))
        return
    print(printable(f"OK {found.sentence()}"))
    for path, each in zip([*args.follows, *args.receipt], found.receipts, strict=True):
        print(printable(f"OK {quoted_path(path)}: {each.sentence()}"))
    last = found.receipts[-1].guarantee
    print("\n".join(map(printable, last.text().split("\n"))))
    _print_exported(exported)


def _exported(args: argparse.Namespace, verified: Verified) -> dict[str, str]:
    if args.exported is None:
        return {}
    return {"exported_model_id": verified.exported_model_id(args.exported)}


def _print_exported(exported: Mapping[str, str]) -> None:
    for model in exported.values():
        print(f"exported   model {model}")


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
