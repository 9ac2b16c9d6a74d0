"""How large records are (docs/hybrid.md sections 1 and 2)."""

from __future__ import annotations

from ..openings import Trees
from ..poseidon2 import DIGEST, RATE

ID = 11
"""Elements of a program id."""


def blocks_of(elements: int) -> int:
    """Sponge blocks of so many elements."""
    return max(1, -(-elements // RATE))


def step_elements(trees: Trees) -> int:
    """Elements of the record of a step: program, position, three digests, roots."""
    return ID + 1 + DIGEST * (3 + len(trees.stepped))


def item_blocks(trees: Trees) -> int:
    """Blocks of what the record of a step, as an item, has to hash."""
    states = blocks_of(DIGEST * len(trees.states)) if trees.states else 0
    inputs = 1 + DIGEST * len(trees.program.inputs)
    return blocks_of(step_elements(trees)) + states + blocks_of(inputs)
