"""The command `zktally-verify`, and the parts of it that `zktally verify` shares.

Results go to stdout, errors to stderr. Exit codes: 0 verified, 1 judged and refused, 2 usage,
3 could not be judged, 70 internal error, 130 interrupted, 141 nobody read the output.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from . import __version__
from .arguments import add_verify_arguments as add_verify_arguments
from .arguments import expectations_from as expectations_from
from .arguments import expectations_from_all, of_one_model, refuse_options_of_one
from .arguments import labels_from as labels_from
from .arguments import read_policy as read_policy
from .chain import Judge, VerifiedRun, verify_run
from .errors import UsageError, ZktallyError
from .evidence import Written, refuse_files, written_to
from .files import read_arrays as read_arrays
from .kinds import is_aggregate
from .policy import Expectations
from .quoting import listed, quoted_path
from .receipt import read_receipt
from .targets import is_stdout, remove_old
from .verified import Guarantee, Verified

if TYPE_CHECKING:
    from .aggregates import JudgeAll

FORMAT, FORMAT_OF_RUN = "zktally.verify/1", "zktally.verify-run/1"
FORMAT_OF_AGGREGATE = "zktally.verify-aggregate/1"
INTERNAL, INTERRUPTED, UNREAD = 70, 130, 141

MOST_VALUES = 100_000
"""Of an output with more values the JSON object has the digest; `--outputs` writes them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Verify one receipt, or those of one run, or inspect one; the exit code."""
    parser = argparse.ArgumentParser(
        prog="zktally-verify",
        description="Judge a receipt, offline and in plain Python. What is expected comes from the "
        "command line, never from the receipt.",
    )
    add_verify_arguments(parser)
    parser.add_argument(
        "--inspect",
        action="store_true",
        help="say what the receipt claims, and verify nothing",
    )
    parser.add_argument("--version", action="version", version=f"zktally-verify {__version__}")
    any_terminal()
    args = parser.parse_args(argv)
    try:
        inspect(args) if args.inspect else run(args, _judge, _judge_all)
        sys.stdout.flush()
    except ZktallyError as error:
        print_error(error, as_json=args.json)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except Exception as error:
        print(printable(f"internal error: {type(error).__name__}: {error}"), file=sys.stderr)
        return INTERNAL
    return 0


def any_terminal() -> None:
    """Escape what the encoding of a terminal or a pipe has no sign for, such as δ on Windows."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _judge(receipt: bytes, expectations: Any) -> Verified:
    from .api import judge  # for which `zktally inspect` need not wait

    return judge(receipt, expectations)


def _judge_all(aggregate: bytes, expectations: Any) -> list[Verified]:
    from .api import judge_aggregate

    return judge_aggregate(aggregate, expectations)


def inspect(args: argparse.Namespace) -> None:
    """Print what a receipt claims.

    Raises:
        ZktallyError: it cannot be read, or there are several.
    """
    from .api import describe

    if len(args.receipt) != 1:
        raise UsageError("one receipt is inspected at a time", received=listed(args.receipt))
    described, text = describe(read_receipt(args.receipt[0], args.max_size))
    print(_dumps(described) if args.json else text)


def run(
    args: argparse.Namespace, judge: Judge, judge_all: JudgeAll, backend: str = "python"
) -> None:
    """Judge what the command line names, write what it asks for, and print the verdict.

    Raises:
        ZktallyError: it is refused, or cannot be judged; or a file cannot be written.
    """
    paths = [*args.follows, *args.receipt]
    if paths.count("-") > 1:
        raise UsageError("stdin is one receipt", expected="- once", received=listed(paths))
    if args.shown is not None and len(paths) > 1:
        raise UsageError(
            "a showing is about one receipt",
            expected="one receipt with --shown",
            received=listed(paths),
            hint="judge the receipts of a run together, and then the one by itself",
        )
    refuse_files(args)
    of_models = expectations_from_all(args)
    for path in written_to(args):
        remove_old(path)  # a page that says VERIFIED must not outlive a refusal
    receipts = [read_receipt(path, args.max_size) for path in paths]
    if any(map(is_aggregate, receipts)):
        _run_aggregate(args, receipts, of_models, judge_all)
        return
    expectations = of_one_model(of_models)
    written = Written(args, paths, receipts, expectations.policy, backend)
    try:
        if len(receipts) == 1:
            found = VerifiedRun((judge(receipts[0], expectations),))
        else:
            found = verify_run(receipts, expectations, judge)
        if args.shown is not None:
            found = VerifiedRun((_shown(args, receipts, found.receipts[0]),))
    except ZktallyError as error:
        written.refused(error)
        raise
    exported = _exported(args, found.receipts[-1])
    written.verified(found)
    on_stdout = any(map(is_stdout, written_to(args)))
    with redirect_stdout(sys.stderr) if on_stdout else nullcontext():
        if len(receipts) == 1:
            print_verified(args, found.receipts[0], exported)
        else:
            print_run(args, found, exported)


def _shown(args: argparse.Namespace, receipts: Sequence[bytes], found: Verified) -> Verified:
    """The verdict with what the showing of the command line shows.

    Raises:
        InvalidShowing, UsageError: see `Verified.with_shown`.
    """
    from .shown import read_showing

    return found.with_shown(receipts[0], read_showing(args.shown, args.max_size))


def _run_aggregate(
    args: argparse.Namespace,
    receipts: Sequence[bytes],
    expectations: Sequence[Expectations],
    judge_all: JudgeAll,
) -> None:
    """The same for an aggregate, which stands alone."""
    refuse_options_of_one(args)
    if len(receipts) != 1:
        raise UsageError(
            "an aggregate is judged by itself",
            expected="one file",
            received=listed(args.receipt),
        )
    print_aggregate(args, judge_all(receipts[0], expectations))


def read_argument(args: argparse.Namespace) -> bytes:
    """The receipt that the command line names.

    Raises:
        UsageError: it cannot be read.
        MalformedReceipt: it is larger than --max-size.
    """
    return read_receipt(args.receipt, args.max_size)


def print_verified(
    args: argparse.Namespace, verified: Verified, exported: Mapping[str, str]
) -> None:
    """Print the verdict on stdout, in words or as one JSON object."""
    if args.json:
        shown = verified.to_json(MOST_VALUES)
        print(_dumps({"format": FORMAT, "verified": True, **shown, **exported, **_files(args)}))
        return
    path = [*args.follows, *args.receipt][0]
    print(printable(f"OK {quoted_path(path)}: {verified.sentence()}"))
    print("\n".join(map(printable, verified.guarantee.text().split("\n"))))
    for line in verified.about_shown():
        print(line)
    _print_exported(exported)
    _print_files(args)


def print_run(args: argparse.Namespace, found: VerifiedRun, exported: Mapping[str, str]) -> None:
    """The same for the receipts of a run: what holds of all of them, then each by itself."""
    if args.json:
        shown = found.to_json(MOST_VALUES)
        said = {"format": FORMAT_OF_RUN, "verified": True, **shown, **exported, **_files(args)}
        print(_dumps(said))
        return
    print(printable(f"OK {found.sentence()}"))
    for path, each in zip([*args.follows, *args.receipt], found.receipts, strict=True):
        print(printable(f"OK {quoted_path(path)}: {each.sentence()}"))
    for names, promised in _promised([*args.follows, *args.receipt], found):
        lines = [*names, *promised.text().split("\n")]
        print("\n".join(map(printable, lines)))
    _print_exported(exported)
    _print_files(args)


def print_aggregate(args: argparse.Namespace, found: Sequence[Verified]) -> None:
    """The same for an aggregate: each receipt by its number in it, then what they promise."""
    from .aggregates import all_to_json, promised, sentence_of_all

    if args.json:
        shown = all_to_json(found, MOST_VALUES)
        print(_dumps({"format": FORMAT_OF_AGGREGATE, "verified": True, **shown}))
        return
    lines = [f"OK {quoted_path(args.receipt[0])}: {sentence_of_all(found)}"]
    for number, each in enumerate(found, 1):
        lines.append(f"OK receipt {number}: {each.sentence()}")
    groups = list(promised(found))
    for numbers, promise in groups:
        if len(groups) > 1:
            named = ", ".join(str(number + 1) for number in numbers)
            lines.append(f"of         receipt{'s' if len(numbers) > 1 else ''} {named}:")
        lines += promise
    print("\n".join(map(printable, lines)))


def _promised(paths: Sequence[str], found: VerifiedRun) -> Iterator[tuple[list[str], Guarantee]]:
    """What the receipts promise, once for those next to each other that promise the same.

    Yields:
        The line that names them, none where all promise the same; and what they promise.
    """
    numbers = range(len(paths))
    promised = [each.guarantee for each in found.receipts]
    kinds = [list(same) for _, same in groupby(numbers, lambda n: _without_run(promised[n]))]
    for kind in kinds:
        first, last = promised[kind[0]], promised[kind[-1]]
        run = last.run
        if run is not None and first.run is not None:
            run = replace(run, first=first.run.first, start=first.run.start)
        names = [f"of         {listed(paths[n] for n in kind)}:"] if len(kinds) > 1 else []
        yield names, replace(last, run=run)


def _without_run(promised: Guarantee) -> str:
    return replace(promised, run=None).text()


def _exported(args: argparse.Namespace, verified: Verified) -> dict[str, str]:
    if args.exported is None:
        return {}
    return {"exported_model_id": verified.exported_model_id(args.exported)}


def _print_exported(exported: Mapping[str, str]) -> None:
    for model in exported.values():
        print(f"exported   model {model}")


def _files(args: argparse.Namespace) -> dict[str, str | None]:
    return {"outputs_file": args.outputs, "report_file": args.report}


def _print_files(args: argparse.Namespace) -> None:
    if args.outputs is not None:
        print(f"written    the outputs to {quoted_path(args.outputs)}")
    if args.report is not None:
        print(f"written    the report to {quoted_path(args.report)}")


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


def _dumps(shown: dict[str, Any]) -> str:
    """One line of printable ASCII, whatever names are in it: no letter looks like another one."""
    return json.dumps(shown, sort_keys=True, allow_nan=False)


if __name__ == "__main__":
    sys.exit(main())
