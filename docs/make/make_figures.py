"""Writes the figures of the specification, docs/figures/*.svg.

Run it with `make docs`; tests/unit/test_drawings.py fails if one is stale. Plain Python, the same
bytes every time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import figures_of_chains as chains
import figures_of_proofs as proofs
from drawing import Figure

FOLDER = Path(__file__).parents[1] / "figures"

FIGURES: dict[str, Callable[[], Figure]] = {
    **{
        name: getattr(chains, name)
        for name in ("leaf", "tree", "weights", "step", "chain", "seed", "receipt", "run")
    },
    **{name: getattr(proofs, name) for name in ("buses", "rounds", "mixed_tree", "folding")},
}


def render() -> dict[str, str]:
    """Every figure by the name of its file."""
    return {f"{name.replace('_', '-')}.svg": draw().svg() for name, draw in FIGURES.items()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, svg in render().items():
        (FOLDER / name).write_text(svg, encoding="utf-8")
