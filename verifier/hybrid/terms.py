"""Public terms of a segment: digests of the journal, and the outputs (docs/hybrid.md section 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..gates import Ints
from ..layout import leaf_lengths, leaf_starts
from ..openings import layout_of
from ..poseidon2 import DIGEST as DIGEST_ELEMENTS
from ..reader import P
from ..stark import PublicTerms, TermGroup
from .leaves import Leaves
from .segments import OutputLeaves

DIGEST, READ = 1, 3
"""Buses."""

_CENTRE = 128


def output_bytes(leaves: Leaves, outputs: OutputLeaves, claimed: Mapping[int, Ints]) -> Ints:
    """Address and value of each byte of these leaves, [2, bytes]; claimed: [steps, *shape] each."""
    found = [np.zeros((2, 0), np.int64)]
    for tensor in dict.fromkeys(outputs.tensor.tolist()):
        mine = outputs.tensor == tensor
        found.append(
            _bytes_of(leaves, tensor, outputs.step[mine], outputs.leaf[mine], claimed[tensor])
        )
    return np.concatenate(found, axis=1)


def _bytes_of(leaves: Leaves, number: int, step: Ints, leaf: Ints, claimed: Ints) -> Ints:
    tensor = leaves.trees.program.tensors[number]
    layout, width = layout_of(tensor), tensor.width
    steps = len(claimed)
    permuted = claimed.transpose(0, *(axis + 1 for axis in layout.order)).reshape(steps, -1)
    size = width * leaf_lengths(layout, tensor.shape, leaf)
    start = width * (tensor.size * step + leaf_starts(layout, tensor.shape, leaf))
    within = np.arange(int(size.sum()), dtype=np.int64) - np.repeat(np.cumsum(size) - size, size)
    place = np.repeat(start, size) + within
    value = permuted.ravel()[place // width] + (1 << 8 * width - 1)
    byte = value >> 8 * (place % width) & 0xFF
    address = np.repeat(leaves.starts(number, step, leaf), size) + within
    return np.stack([address, byte - _CENTRE])


def public_terms(digests: Sequence[tuple[int, Ints]], outputs: Ints) -> PublicTerms:
    """All terms of a segment.

    Args:
        digests: numbers of records (and of the prf seed, if a gate reads prf values), and the
            digests [8] that they must have.
        outputs: address and value of each byte of its output leaves.
    """
    rows = [np.append(number, digest) for number, digest in digests]
    table = np.stack(rows) if rows else np.zeros((0, 1 + DIGEST_ELEMENTS), np.int64)
    return PublicTerms(
        (
            TermGroup(DIGEST, 1, table.astype(np.uint32)),
            TermGroup(READ, 1, (outputs.T % P).astype(np.uint32)),
        )
    )
