"""zktally bench weights: weights of gates against their MACs, over networks of many shapes.

Samples are drawn by weight, so W/M is by how much the claims of a receipt cost more than they would
if every gate weighed its MACs. It may not grow with depth.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..verifier.errors import ZktallyError
from ..verifier.program.checked import Checked
from ..verifier.program.weights import MAX_STEP_WEIGHT
from .cells import Column, Row, formats, markdown_table, paragraph, read_rows, text_table
from .networks import LARGE, SUITE

MOST = 3.0
"""W/M of every network is at most this."""

COLUMNS: tuple[Column, ...] = (
    *formats(("network", "{}", "network"), ("ops", "{:,}", "ops"), ("macs", "{:,}", "MACs")),
    ("W/M", lambda row: f"{row['ratio']:.2f}" if row["ratio"] else row["refused"]),
    ("bits of W left", lambda row: f"{row['room']}" if row["ratio"] else "none"),
)


def main(args: argparse.Namespace) -> int:
    """Look at all networks, or read rows; a table to stderr; 1 where W/M is above the limit."""
    rows = read_rows(args.rows) if args.rows else _look(SUITE | (LARGE if args.large else {}), args)
    if args.markdown:
        print(markdown(rows))
    print(text_table(COLUMNS, rows), file=sys.stderr)
    over = [row["network"] for row in rows if not row["ratio"] or row["ratio"] > MOST]
    for name in over:
        print(f"W/M above {MOST:g}: {name}", file=sys.stderr)
    return 1 if over else 0


def _look(suite: Mapping[str, Callable[[], Checked]], args: argparse.Namespace) -> list[Row]:
    rows = [weigh(name, build) for name, build in suite.items()]
    lines = "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)
    if args.output:
        Path(args.output).write_text(lines)
    elif not args.markdown:
        sys.stdout.write(lines)
    return rows


def weigh(name: str, build: Callable[[], Checked]) -> Row:
    """The row of one network; without a ratio where a reader refuses the program."""
    try:
        checked = build()
    except ZktallyError as error:
        return {"network": name, "ops": 0, "macs": 0, "ratio": None, "refused": error.code}
    weights = checked.weights
    return {
        "network": name,
        "ops": len(checked.program.ops),
        "macs": weights.step_macs,
        "ratio": weights.step_weight / weights.step_macs,
        "room": (MAX_STEP_WEIGHT // weights.step_weight).bit_length() - 1,
    }


def markdown(rows: Sequence[Row]) -> str:
    """The section of docs/figures.md."""
    return "\n\n".join(
        ["## Weights: `zktally bench weights`", paragraph(_TEXT), markdown_table(COLUMNS, rows)]
    )


_TEXT = (
    "The weight of a step over its MACs (protocol.md section 3), for networks that grow in depth: "
    "samples are drawn by weight for a bound in MACs, so this is the price of covering what is "
    "cheap. Layers are small unless a width is named: depth counts here, not size. Bits of W left: "
    "to the limit of 2^55 for a step."
)
