"""zktally bench cost, zktally bench report: what receipts cost, for models of one's own."""

from __future__ import annotations

import argparse
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ..verifier.errors import UsageError

T = TypeVar("T")

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
USUAL_MINUTES = 30
NOTHING = 3
"""Exit code where no cell could be measured; where some could, their rows tell."""


def add_to(suites: Any) -> None:
    """Add both suites."""
    cost = suites.add_parser(
        "cost",
        help="what receipts cost, for models of your own: sweeps, plots, a report to look at",
        description="Measures every model with every mode, bound, batch and length, each cell in a "
        "process of its own. Writes cells.jsonl (as it goes), cells.csv, table.md, report.html and "
        "plots to DIR. A second call goes on with what is missing. See docs/bench.md.",
    )
    add = cost.add_argument
    add(
        "models",
        nargs="*",
        metavar="MODEL",
        help="ONNX files, .zkt files, or names of the project's networks (mlp, lenet5, ...)",
    )
    add("-o", "--output", required=True, metavar="DIR", help="a new folder, or one to go on with")
    add("--suite", metavar="NAME", help="models and axes by name: sizes, quick")
    add("--modes", type=_listed(str), help="of fast, hybrid, strict, ezkl (fast,hybrid,strict)")
    add("--deltas", type=_listed(float), help="of sampled modes, comma-separated (0.05)")
    add("--batches", type=_listed(int), help="items of a step, comma-separated (1)")
    add("--steps", type=_listed(int), help="runs under one receipt, comma-separated (1)")
    add("--small", action="store_true", help="the small profile of the STARK")
    add(
        "--calibrate",
        action="append",
        default=[],
        metavar="[MODEL=]NPZ",
        help="typical inputs, of all models or of one (may be repeated); else seeded random data",
    )
    add(
        "--dim",
        action="append",
        default=[],
        metavar="NAME=N",
        help="size of a named axis of the inputs (may be repeated)",
    )
    add(
        "--precision",
        choices=("auto", "int8", "int16"),
        default="auto",
        help="bits of ONNX files, as compile takes it (auto)",
    )
    add(
        "--memory-limit",
        type=_bytes,
        metavar="SIZE",
        help="of a cell, as 16G or 500M (nine tenths of the machine's)",
    )
    add(
        "--time-limit",
        type=_seconds,
        default=60.0 * USUAL_MINUTES,
        metavar="S",
        help=f"seconds of a cell, 0 for none ({60 * USUAL_MINUTES})",
    )
    add("--threads", type=int, default=0, help="of everything that is measured, 0 for all cores")
    add("--repeat", type=int, default=3, help="runs of each timing, of which the median counts (3)")
    add("--machine-name", default="", metavar="NAME", help="what reports call this machine")
    add("--retry", action="store_true", help="measure again what has failed")
    add("--markdown", action="store_true", help="the section of docs/figures.md on stdout")
    add("--plot", metavar="FOLDER", help="plots as PNG there, too, as docs/figures.md shows them")
    add("-q", "--quiet", action="store_true", help="no progress on stderr")
    cost.set_defaults(run=run_cost)

    report = suites.add_parser(
        "report",
        help="one report of several runs of `bench cost`, of one machine or of several",
        description="Merges the rows of folders that `bench cost` wrote. Fits and crossovers never "
        "mix machines.",
    )
    report.add_argument("folders", nargs="+", metavar="DIR", help="what bench cost wrote")
    report.add_argument("-o", "--output", required=True, metavar="DIR", help="a new folder")
    report.add_argument("--title", help="of the report")
    report.add_argument("-q", "--quiet", action="store_true", help="no remarks on stderr")
    report.set_defaults(run=run_report)


def _listed(of: Callable[[str], T]) -> Callable[[str], list[T]]:
    """A comma-separated list on the command line."""

    def read(text: str) -> list[T]:
        return [of(part.strip()) for part in text.split(",") if part.strip()]

    read.__name__ = f"list of {of.__name__}"  # what argparse calls it where it refuses a text
    return read


def _bytes(text: str) -> int:
    """A size as 16G, 500M, 1.5T or in bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    if found is None or not float(found[1]):
        raise ValueError(text)
    return round(float(found[1]) * UNITS[found[2].upper()])


_bytes.__name__ = "size"


def _seconds(text: str) -> float | None:
    """Seconds; None, for no limit, of 0."""
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError(text)
    return seconds or None


_seconds.__name__ = "seconds"


def run_cost(args: argparse.Namespace) -> int:
    """Measure what is missing, write the report; Markdown or the table to stdout."""
    from ..bench import cost
    from .compile import dim

    axes = {"modes": args.modes, "deltas": args.deltas, "batches": args.batches}
    axes |= {"steps": args.steps}
    chosen = {name: values for name, values in axes.items() if values is not None}
    if args.suite is not None and chosen:
        raise UsageError(
            f"a suite has {', '.join(chosen)} of its own", hint="leave out --suite, or these"
        )
    _refuse_plots(args)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what a scheduler of jobs sends
    try:
        report = cost.run(
            args.models,
            args.output,
            suite=args.suite,
            **chosen,
            small=args.small,
            calibrate=args.calibrate,
            dims=dict(map(dim, args.dim)),
            precision=args.precision,
            memory_limit=args.memory_limit,
            time_limit=args.time_limit,
            threads=args.threads,
            repeat=args.repeat,
            machine=args.machine_name,
            retry=args.retry,
            command=_command(),
            stream=None if args.quiet else sys.stderr,
        )
    except KeyboardInterrupt:
        print("\nrows so far are kept; the same command goes on", file=sys.stderr)
        raise
    print(report.section() if args.markdown else report.table())
    if args.plot:
        report.plot(Path(args.plot), "cost-", kinds=("png",))
    _told(args, report)
    return 0 if report.done else NOTHING


def run_report(args: argparse.Namespace) -> int:
    """Merge, and write."""
    from ..bench import cost

    report = cost.merge(args.folders, title=args.title)
    report.save(args.output)
    print(report.table())
    _told(args, report)
    return 0


def _told(args: argparse.Namespace, report: Any) -> None:
    """Where the report is, and what it lacks."""
    if report.remark:
        print(f"warning: {report.remark}", file=sys.stderr)
    if not args.quiet:
        print(f"wrote {Path(args.output) / 'report.html'}", file=sys.stderr)


def _refuse_plots(args: argparse.Namespace) -> None:
    """What was asked for by name is refused before the work, not after."""
    if args.plot:
        from ..bench.plots import new_figure

        new_figure(1, 1)


def _command() -> str:
    """What was typed."""
    from .acceptance import shell_word

    return " ".join(["zktally", *map(shell_word, sys.argv[1:])])
