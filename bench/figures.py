"""Measures sections of docs/figures.md again, and writes them there: `make figures`.

python -m zktally.bench.figures [SUITE ...]
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs/figures.md"
PLOTS = PAGE.parent / "plots"
SUITES = (
    *("cost", "fast", "hybrid", "nodes", "precision", "strict", "succinct", "weights"),
    "workers",
)
"""The suites of `zktally bench` that print their section with --markdown."""

OPTIONS: Mapping[str, Sequence[str]] = {
    "cost": (
        *("--suite", "sizes", "--memory-limit", "14G", "--time-limit", "240", "--repeat", "2"),
        *("--plot", str(PLOTS)),
    ),
    "hybrid": ("--plot", str(PLOTS)),
    "succinct": ("--plot", str(PLOTS)),
}
"""What a suite is asked beside that."""

OUTPUTS: Mapping[str, str] = {"cost": "cost"}
"""Suites that write to a folder, not to a file of rows; a sweep that was interrupted goes on."""


def main(suites: Sequence[str]) -> int:
    """Measure these suites, or all; rows are kept under build/ as JSON lines."""
    unknown = {*suites} - {*SUITES}
    if unknown:
        print(f"no such suite: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    for suite in suites or SUITES:
        PAGE.write_text(
            replaced(PAGE.read_text(encoding="utf-8"), measure(suite)), encoding="utf-8"
        )
    return 0


def measure(suite: str) -> str:
    """The section that a suite prints; it takes minutes to an hour."""
    rows = Path("build") / OUTPUTS.get(suite, f"{suite}.jsonl")
    rows.parent.mkdir(exist_ok=True)
    verb = [sys.executable, "-m", "zktally", "bench", suite, "--markdown", "--output", str(rows)]
    verb += OPTIONS.get(suite, ())
    return subprocess.run(verb, stdout=subprocess.PIPE, text=True, check=True).stdout


def replaced(page: str, section: str) -> str:
    """The page with its section of the same title replaced; a new one goes to the end."""
    title = section.split(":")[0] + ":"
    before, *others = page.split("\n## ")
    kept = [f"## {other}".rstrip() for other in others]
    titles = [other.split(":")[0] + ":" for other in kept]
    at = titles.index(title) if title in titles else len(kept)
    kept[at : at + 1] = [section.strip()]
    return "\n\n".join([before.rstrip(), *kept]) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
