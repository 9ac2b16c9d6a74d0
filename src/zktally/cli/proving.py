"""What the verbs that make receipts share: options, estimates, the last word."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from ..api import Receipt
from ..circuits.model import CompiledModel
from ..display import Display
from ..prover import Claims, Progress, ProverOptions, silent
from ..prover.estimate import estimate_job
from ..prover.outputs import SUFFIX
from ..prover.workers import Workers
from ..prover.workers.options import PATIENCE
from ..verifier.errors import UnsupportedReceipt, UsageError
from ..verifier.journal import MODES
from ..verifier.quoting import quoted_path
from .acceptance import command, shell_word
from .agreement import Cost, add_yes
from .console import note, progress, size
from .files import is_stdout, refuse_json_beside, refuse_outputs, write_output


def add_prover_arguments(verb: Any) -> None:
    """Add the options of a zero-knowledge proof; `options_from` reads them."""
    verb.add_argument(
        "--small", action="store_true", help="not fast: a smaller receipt for more time and memory"
    )
    verb.add_argument(
        "--foldable",
        action="store_true",
        help="not fast: a receipt whose proofs can be verified inside a proof, for more time; "
        "`zktally compress` makes it a succinct one; not with --small",
    )
    verb.add_argument(
        "--succinct",
        action="store_true",
        help="not fast: a receipt of one small proof however many segments, for still more time; "
        "not with --small or --foldable",
    )
    verb.add_argument(
        "--work",
        metavar="DIR",
        help="not fast: a new folder to prove in; `zktally resume DIR` goes on there if this is "
        "interrupted, and helps if it is not",
    )
    add_worker_arguments(verb, "not fast: ")


def add_worker_arguments(verb: Any, when: str = "") -> None:
    """Add who proves segments and nodes; `workers_from` reads it."""
    verb.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help=f"{when}prove in so many processes at once (this one alone, on all cores)",
    )
    verb.add_argument(
        "--ray",
        metavar="ADDRESS",
        help=f"{when}prove on a Ray cluster: auto, local, or its address (extra: scale)",
    )
    verb.add_argument(
        "--patience",
        type=float,
        default=PATIENCE,
        metavar="SECONDS",
        help=f"{when}replace a worker that does nothing for so long ({PATIENCE:.0f})",
    )


def at_once(args: argparse.Namespace) -> int:
    """How many segments or nodes this machine proves at the same time."""
    return 1 if args.ray else max(1, args.processes or 1)


def workers_from(args: argparse.Namespace) -> Workers:
    """Who proves the segments.

    Raises:
        UsageError: a number that is none.
    """
    return Workers(args.processes, args.ray, patience=args.patience)


def names(text: str) -> Any:
    """The op names of an --exact option: "all", or a tuple."""
    return "all" if text == "all" else tuple(name for name in text.split(",") if name)


def options_from(args: argparse.Namespace, show: Progress | None) -> ProverOptions:
    """How the command line wants the receipt made."""
    reveal = getattr(args, "reveal", False)  # which only `prove` has
    workers, shown = workers_from(args), show or silent
    return ProverOptions(
        args.small,
        args.work,
        reveal,
        shown,
        workers,
        args.foldable,
        args.succinct,
        outputs_file_of(args),
    )


def outputs_file_of(args: argparse.Namespace) -> str | None:
    """The file for the hidden outputs of a receipt, which only `prove` can make.

    Raises:
        UsageError: one is named for outputs that are published; none is, and the receipt goes to
            stdout.
    """
    named: str | None = getattr(args, "outputs_file", None)
    if getattr(args, "outputs", "published") == "published":
        if named is not None:
            raise UsageError("--outputs-file is about hidden outputs", expected="--outputs hidden")
        return None
    if named is None and is_stdout(args.output):
        raise UsageError(
            "hidden outputs are written beside the receipt, which goes to stdout",
            expected="--outputs-file FILE",
        )
    return named or f"{args.output}{SUFFIX}"


def add_output_arguments(verb: Any) -> None:
    """Add where the receipt goes and what is said about it."""
    verb.add_argument("-o", "--output", required=True, help="the receipt to write (- is stdout)")
    verb.add_argument("--force", action="store_true", help="overwrite the output")
    add_yes(verb)
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")


READ = ("model", "input", "state", "receipt", "data", "data_key_file")
"""Arguments, of any verb that writes a receipt, that name a file to read."""


def check_output(args: argparse.Namespace) -> None:
    """Refuse outputs that cannot be written, or are read, before any work is done.

    Raises:
        UsageError: see `refuse_outputs`; or two things would go to stdout.
    """
    reads = [getattr(args, name, None) for name in READ]
    final = getattr(args, "final_state", None)
    held = outputs_file_of(args)
    # What an earlier receipt may need is never overwritten.
    refuse_outputs([final, held], reads, force=False, work=args.work)
    refuse_outputs([args.output, final, held], reads, force=args.force, work=args.work)
    refuse_json_beside(args)


def strict_text(model: CompiledModel) -> str:
    """What a strict receipt of one step would take, in words."""
    checked = model.checked
    try:
        job = estimate_job(Claims("strict").counts(checked, checked.program.batch))
    except UnsupportedReceipt as error:
        return f"no strict receipt: {error.message}"
    return f"every gate of one step, strict: {Cost.of(job).text()}"


def make(args: argparse.Namespace, work: Callable[[Display | None], bytes]) -> int:
    """Make a receipt under a progress bar, write it, say what it is and how to check it."""
    start = time.perf_counter()
    with progress(args.quiet) as show:
        receipt = work(show)
    seconds = time.perf_counter() - start
    write_output(args.output, receipt, force=args.force)
    _report(args, Receipt(receipt), seconds)
    return 0


def _report(args: argparse.Namespace, receipt: Receipt, seconds: float) -> None:
    journal = receipt.journal
    if args.json:
        fields = {
            "format": f"zktally.{args.verb}/1",
            "receipt": args.output,
            "mode": MODES[journal.mode],
            "model_id": journal.model_id.hex(),
            "steps": journal.steps,
            "bytes": len(receipt.data),
            "seconds": seconds,
            "outputs_file": outputs_file_of(args),
        }
        print(json.dumps(fields, sort_keys=True))
    elif not is_stdout(args.output):
        steps = "1 step" if journal.steps == 1 else f"{journal.steps:,} steps"
        made = f"{MODES[journal.mode]}, {steps}, {size(len(receipt.data))}, {seconds:.2f} s"
        print(f"{quoted_path(args.output)}: {made}")
        print(f"check it with: {command(receipt, args.output)}")
        if (held := outputs_file_of(args)) is not None:
            print(f"{quoted_path(held)}: its outputs, hidden, to be shown with `zktally outputs`")
    if args.work is not None:
        note(f"{shell_word(args.work)} holds no secrets any more and can be removed", args.quiet)
