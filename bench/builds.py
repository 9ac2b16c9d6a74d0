"""Two builds of the core against each other, on one machine: what a portable build costs.

    python -m zktally.bench.builds PORTABLE/bin/python NATIVE/bin/python

Each is the Python of an environment with a build of this release. The two take turns, so that what
else the machine does falls on both, and the median of the ratios of neighbours is shown. Seconds
are those of the processor, of all threads together: others who use it count for less.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

HASHED = (1 << 16, 192)
"""Rows, and bytes of a row, of the tree that is hashed (by SHA-256 beside it, the same in both)."""

IMAGES = 1024
"""Of noise: what they show is of no matter here."""

TASKS = ("hash", "execute and commit", "prove, fast", "prove, hybrid", "prove, strict", "verify")


def main(argv: Sequence[str] | None = None) -> int:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m zktally.bench.builds", description=__doc__)
    parser.add_argument("portable", nargs="?", help="Python with the one build")
    parser.add_argument("native", nargs="?", help="Python with the other")
    parser.add_argument("--rounds", type=int, default=7, help="runs of each (7)")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.measure:
        print(json.dumps(measure()))
        return 0
    if args.native is None:
        parser.error("two environments are needed")
    turns = [(args.portable, args.native)[turn % 2] for turn in range(2 * args.rounds)]
    rows = [_measured(python) for python in turns]
    print(table(rows))
    return 0


def measure() -> dict[str, float]:
    """Processor seconds of each task with the core of this process."""
    import numpy as np

    import zktally
    from zktally import _core
    from zktally.bench.digits.data import MODEL_PATH

    images = np.random.default_rng(1).random((IMAGES, 1, 8, 8)).astype(np.float32)
    model = zktally.compile(str(MODEL_PATH), images[:100], batch=16, public=True, force=True)

    def prove(mode: str, count: int) -> Callable[[], object]:
        return lambda: zktally.prove(model, images[:count], mode, progress=False)

    receipt = zktally.prove(model, images[:4], "strict", progress=False)
    tasks: dict[str, Callable[[], object]] = {
        "hash": lambda: _core.tree_times(*HASHED, 0),
        "execute and commit": prove("fast", len(images)),
        "prove, fast": prove("fast", 16),
        "prove, hybrid": prove("hybrid", 32),
        "prove, strict": prove("strict", 4),
        "verify": lambda: receipt.verify(model.model_id),
    }
    found = {}
    for name, work in tasks.items():
        work()
        start = time.process_time()
        work()
        found[name] = time.process_time() - start
    return found


def table(rows: Sequence[dict[str, float]]) -> str:
    """The median seconds of both builds, which took turns, and the median of their ratios."""
    lines = ["| task | portable CPU s | native CPU s | portable / native |", "|---|---|---|---|"]
    for task in TASKS:
        seconds = [row[task] for row in rows]
        ratios = [
            one / other if turn % 2 == 0 else other / one
            for turn, (one, other) in enumerate(pairwise(seconds))
        ]
        portable, native = statistics.median(seconds[::2]), statistics.median(seconds[1::2])
        ratio = statistics.median(ratios)
        lines.append(f"| {task} | {portable:.3f} | {native:.3f} | {ratio:.2f} |")
    return "\n".join(lines)


def _measured(python: str) -> dict[str, float]:
    done = subprocess.run(
        [python, "-m", "zktally.bench.builds", "--measure"], check=True, capture_output=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    sys.exit(main())
