"""Parse the command line, run one verb, turn errors into exit codes.

Exit codes: 0 done or verified, 1 judged and refused, 2 usage, 3 could not judge, 70 internal,
130 interrupted.
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
from ..verifier.errors import ZktallyError
from ..verifier.quoting import quoted_path

INTERNAL, INTERRUPTED = 70, 130
VERBS = (
    "compile",
    "snark-setup",
    "prove",
    "train",
    "export",
    "resume",
    "wrap",
    "verify",
    "inspect",
    "dataset-root",
    "check-model",
    "bench",
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
    if work is not None and (Path(work) / "plan.json").exists():
        return f"{quoted_path(work)} keeps what is finished, with secrets: the same command goes on"
    if work is None or not (Path(work) / "job").exists():
        return "nothing was written"
    from .acceptance import shell_word

    again = f"zktally resume {shell_word(work)} -o RECEIPT"
    return f"what is finished is kept, with secrets: {again} goes on"
