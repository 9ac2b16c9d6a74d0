"""Parse the command line, run one verb, turn errors into exit codes.

Exit codes: 0 done or verified, 1 judged and refused, 2 usage, 3 could not judge, 70 internal,
130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .. import __version__
from ..verifier.cli import print_error, printable
from ..verifier.errors import ZktallyError
from ..verifier.quoting import quoted_path
from . import (
    bench,
    check_model,
    compile,
    dataset_root,
    export,
    inspect,
    prove,
    resume,
    train,
    verify,
    wrap,
)
from .acceptance import shell_word

INTERNAL, INTERRUPTED = 70, 130
VERBS = (
    compile,
    prove,
    train,
    export,
    resume,
    wrap,
    verify,
    inspect,
    dataset_root,
    check_model,
    bench,
)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    root = argparse.ArgumentParser(
        prog="zktally", description="Receipts for what a neural network did."
    )
    root.add_argument("--version", action="version", version=f"zktally {__version__}")
    verbs = root.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        verb.add_to(verbs)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    args = parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        code = run(args)
        sys.stdout.flush()
        return code
    except ZktallyError as error:
        format = getattr(args, "format", f"zktally.{args.verb}/1")
        print_error(error, as_json=getattr(args, "json", False), format=format)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"interrupted; {_left_behind(args)}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # A verdict that nobody could read is not a success.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERNAL
    except MemoryError:
        print("error: out of memory; use a smaller batch or fewer steps", file=sys.stderr)
        return INTERNAL
    except BaseException as error:  # a person never sees a traceback, nor a panic of the core
        if isinstance(error, SystemExit | GeneratorExit):
            raise
        print(
            f"internal error: {type(error).__name__}: {printable(str(error))}\n"
            "  hint: this is a bug in zktally; please report the command and this line",
            file=sys.stderr,
        )
        return INTERNAL


def _left_behind(args: argparse.Namespace) -> str:
    work = getattr(args, "work", None)
    if args.verb == "train" and work is not None and (Path(work) / "plan.json").exists():
        return f"{quoted_path(work)} keeps what is finished, with secrets: the same command goes on"
    if work is None or not (Path(work) / "job").exists():
        return "nothing was written"
    again = f"zktally resume {shell_word(work)} -o RECEIPT"
    return f"what is finished is kept, with secrets: {again} goes on"
