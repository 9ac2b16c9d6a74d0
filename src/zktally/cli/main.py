"""Parse the command line, run one verb, turn errors into exit codes.

Exit codes: 0 done or verified, 1 judged and refused, 2 for what the caller can mend, 3 could not
judge, 70 internal, 130 interrupted, 141 nobody read the output.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from .. import __version__
from ..verifier.cli import print_error, printable
from ..verifier.errors import UsageError, ZktallyError
from ..verifier.quoting import quoted_path

INTERNAL, INTERRUPTED, UNREAD = 70, 130, 141
JUDGES = ("verify", "inspect", "check-model")
"""Verbs that could not judge where they come to the end of the memory."""
VERBS = (
    "compile",
    "snark-setup",
    "prove",
    "train",
    "export",
    "resume",
    "wrap",
    "compress",
    "aggregate",
    "outputs",
    "verify",
    "report",
    "inspect",
    "dataset-root",
    "check-model",
    "bench",
    "doctor",
    "completion",
)
"""Each is a module, whose name has `_` for `-`."""


def parser(argv: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The command line as far as these arguments need it: a verb that is named, or else all."""
    root = argparse.ArgumentParser(
        prog="zktally", description="Receipts for what a neural network did."
    )
    root.add_argument("--version", action="version", version=f"zktally {__version__}")
    verbs = root.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in _asked(argv):
        import_module(f".{verb.replace('-', '_')}", __package__).add_to(verbs)
    return root


def _asked(argv: Sequence[str]) -> Sequence[str]:
    """The verbs to import: `verify` and `inspect` must not wait for what `compile` imports."""
    first = argv[0] if argv else None
    if first == "--version":
        return ()
    return (first,) if first in VERBS else VERBS


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    args = parser(argv).parse_args(argv)
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        code = run(args)
        sys.stdout.flush()
        return code
    except ZktallyError as error:
        return _refused(args, error)
    except KeyboardInterrupt:
        print(f"interrupted; {_left_behind(args)}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _drop_stdout()
        return UNREAD  # as of a program that the signal ended: a verdict unread is no success
    except OSError as error:
        _drop_stdout()
        return _refused(args, _of_system(error))
    except MemoryError:
        short = UsageError("out of memory", hint="use a smaller batch or fewer steps")
        return max(_refused(args, short), 3 if args.verb in JUDGES else 0)
    except BaseException as error:  # a person never sees a traceback, nor a panic of the core
        if isinstance(error, SystemExit | GeneratorExit):
            raise
        print(
            f"internal error: {type(error).__name__}: {printable(str(error))}\n"
            "  hint: this is a bug in zktally; please report the command and this line",
            file=sys.stderr,
        )
        return INTERNAL


def _refused(args: argparse.Namespace, error: ZktallyError) -> int:
    """Say what is wrong; the exit code."""
    format = getattr(args, "format", f"zktally.{args.verb}/1")
    try:
        print_error(error, as_json=getattr(args, "json", False), format=format)
        sys.stdout.flush()
    except OSError:  # the exit code is all that is left
        _drop_stdout()
    return error.exit_code


def _of_system(error: OSError) -> UsageError:
    """What the system refused: a full disk, a stream that cannot be written, too many files."""
    name = "" if error.filename is None else f" {quoted_path(error.filename)}"
    return UsageError(
        f"cannot write or read{name or ' (stdout, if no file is named)'}: "
        f"{error.strerror or error}",
        code="usage.unwritable",
        hint="make room, or choose another place",
    )


def _drop_stdout() -> None:
    """Let what is still to be written to stdout go nowhere, so that Python ends in peace."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _left_behind(args: argparse.Namespace) -> str:
    work = getattr(args, "work", None)
    if work is not None and (Path(work) / "plan.json").exists():
        return f"{quoted_path(work)} keeps what is finished, with secrets: the same command goes on"
    if work is None or not (Path(work) / "job").exists():
        return "nothing was written"
    from .acceptance import shell_word

    again = f"zktally resume {shell_word(work)} -o RECEIPT"
    return f"what is finished is kept, with secrets: {again} goes on"
