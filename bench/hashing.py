"""zktally bench hash: how fast trees are built, SHA-256 beside ours in the same run."""

from __future__ import annotations

import argparse
import json
import statistics
import sys

from .. import _core
from .machine import describe

ROWS = (24, 64, 192, 256, 1024, 4096)
BYTES = 48 << 20
REPEAT = 3


def rate(row: int, threads: int) -> dict[str, object]:
    """MB/s of int8 values, median of the repeats, for rows of `row` bytes."""
    rows = BYTES // row
    times = [_core.tree_times(rows, row, threads) for _ in range(REPEAT)]
    megabytes = rows * row / 1e6
    return {
        "row_bytes": row,
        "threads": threads,
        "poseidon2_mb_s": round(megabytes / statistics.median(ours for ours, _ in times)),
        "sha256_mb_s": round(megabytes / statistics.median(sha for _, sha in times)),
    }


def main(args: argparse.Namespace) -> int:
    """JSON lines on stdout, a table on stderr."""
    machine = describe()
    print(f"{'row':>6} {'threads':>8} {'Poseidon2 MB/s':>15} {'SHA-256 MB/s':>13}", file=sys.stderr)
    for threads in args.threads:
        for row in ROWS:
            found = rate(row, threads)
            print(json.dumps(found | {"machine": machine}, sort_keys=True))
            print(
                f"{row:>6} {threads:>8} {found['poseidon2_mb_s']:>15} {found['sha256_mb_s']:>13}",
                file=sys.stderr,
            )
    return 0
