"""The digests of a statement from the roots of its trees (protocol.md section 4).

Roots and digests are uint64 [..., 8]; in a statement, 32 bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .inputs import pack_values
from .keys import SALT, salts
from .layout import leaf_count, row_length
from .merkle import byte_elements, leaf_digests, tree_roots
from .openings import layout_of
from .poseidon2 import DIGEST, Domain, Elements, sponge
from .program.types import Tensor

_BYTES = 1 << 24
"""Packed bytes that are hashed together."""


def digest_bytes(digest: Elements) -> bytes:
    """A digest [8] as it is written."""
    return digest.astype("<u4").tobytes()


def digest_elements(data: bytes) -> Elements:
    """A written digest, uint64 [8]."""
    return np.frombuffer(data, "<u4").astype(np.uint64)


def weights_root(roots: Elements) -> bytes:
    """From the roots [weight tensors, 8]."""
    return digest_bytes(sponge(Domain.WEIGHTS, len(roots), roots.reshape(1, -1))[0])


def dataset_root(records: int, roots: Elements) -> bytes:
    """From the number of records and the roots [data tensors, 8]."""
    elements = np.concatenate([np.full((1, 1), records, np.uint64), roots.reshape(1, -1)], axis=1)
    return digest_bytes(sponge(Domain.DATASET, len(roots), elements)[0])


def seed_commitment(seed: Elements) -> bytes:
    """From the seed of the run, [8]."""
    return digest_bytes(sponge(Domain.SEED, 0, seed[None])[0])


def state_digests(roots: Elements) -> Elements:
    """Digests [n, 8] from the roots [n, state tensors, 8]; zero for a program without states."""
    if not roots.shape[1]:
        return np.zeros((len(roots), DIGEST), np.uint64)
    return sponge(Domain.STATE, 0, roots.reshape(len(roots), -1))


def input_root(roots: Elements, first: int) -> bytes:
    """From the roots [steps, input tensors, 8] and the position of the first step."""
    steps = len(roots)
    position = np.arange(first, first + steps, dtype=np.uint64)[:, None]
    digests = sponge(Domain.INPUT, 0, np.concatenate([position, roots.reshape(steps, -1)], axis=1))
    return _over_steps(Domain.INPUTS, digests)


def step_digests(
    program_id: bytes,
    weights: bytes,
    before: Elements,
    after: Elements,
    roots: Elements,
    positions: NDArray[np.integer[Any]],
) -> Elements:
    """The digests [steps, 8] of the records of some steps.

    Args:
        program_id: 32 bytes.
        weights: the weights root, 32 bytes.
        before: digests of the states that the steps start from, [steps, 8].
        after: digests of the states that they end in, [steps, 8].
        roots: of the input and value tensors, [steps, tensors, 8].
        positions: of the steps in their run, [steps].
    """
    steps = len(roots)
    program = byte_elements(np.frombuffer(program_id, np.uint8)[None])
    fields = (
        np.repeat(program, steps, axis=0),
        positions.astype(np.uint64)[:, None],
        np.repeat(digest_elements(weights)[None], steps, axis=0),
        before,
        after,
        roots.reshape(steps, -1),
    )
    return sponge(Domain.STEP, 0, np.concatenate(fields, axis=1))


def step_root(
    program_id: bytes,
    weights: bytes,
    before: Elements,
    after: Elements,
    roots: Elements,
    first: int,
) -> bytes:
    """The chain root; `first` is the position of the first step, the rest as of `step_digests`."""
    positions = np.arange(first, first + len(roots), dtype=np.int64)
    digests = step_digests(program_id, weights, before, after, roots, positions)
    return _over_steps(Domain.CHAIN, digests)


def chain_root(steps: int, tree: Elements) -> bytes:
    """From the number of steps, and the root [8] of the tree over their digests."""
    return _counted(Domain.CHAIN, steps, tree)


def input_tree_roots(
    key: Elements,
    number: int,
    tensor: Tensor,
    arrays: NDArray[np.signedinteger[Any]],
    first: int,
) -> Elements:
    """Roots [steps, 8] of the trees of an input tensor.

    Args:
        key: of the salts of inputs, [8].
        number: of the tensor.
        tensor: the tensor itself.
        arrays: its values, [steps, *shape].
        first: the position of the first step.
    """
    at_once = max(1, _BYTES // (tensor.size * tensor.width))
    runs = [
        _tree_roots(key, number, tensor, arrays[start : start + at_once], first + start)
        for start in range(0, len(arrays), at_once)
    ]
    return np.concatenate(runs)


def _tree_roots(
    key: Elements,
    number: int,
    tensor: Tensor,
    arrays: NDArray[np.signedinteger[Any]],
    first: int,
) -> Elements:
    layout = layout_of(tensor)
    positions = np.arange(first, first + len(arrays))
    of_leaves = salts(key, positions, number, leaf_count(layout, tensor.shape))
    return salted_roots(tensor, arrays, of_leaves)


def salted_roots(
    tensor: Tensor, arrays: NDArray[np.signedinteger[Any]], salts: Elements
) -> Elements:
    """Roots [steps, 8] of the trees of a committed tensor.

    Args:
        tensor: the tensor.
        arrays: its values, [steps, *shape].
        salts: of all leaves, [steps, leaves, 5].
    """
    layout = layout_of(tensor)
    steps, leaves = len(arrays), leaf_count(layout, tensor.shape)
    row = row_length(layout, tensor.shape)
    permuted = arrays.transpose(0, *(axis + 1 for axis in layout.order))
    packed = np.frombuffer(pack_values(permuted, tensor.width), np.uint8)
    rows = packed.reshape(steps, -1, row * tensor.width)
    salt = salts.reshape(steps, rows.shape[1], -1, SALT)
    digests = np.empty((*salt.shape[:3], DIGEST), np.uint64)
    # All whole pieces of all rows together, then what is left at the end of each row.
    size = layout.piece * tensor.width
    whole, left = divmod(rows.shape[2], size)
    for pieces, length in ((slice(whole), size), (slice(whole, None), left)):
        salted = salt[:, :, pieces]
        if salted.size:
            start = (pieces.start or 0) * size
            cut = rows[:, :, start : start + salted.shape[2] * length].reshape(-1, length)
            flat = leaf_digests(cut, salted.reshape(-1, SALT))
            digests[:, :, pieces] = flat.reshape(digests[:, :, pieces].shape)
    return tree_roots(digests.reshape(steps, leaves, DIGEST))


def _over_steps(domain: Domain, digests: Elements) -> bytes:
    return _counted(domain, len(digests), tree_roots(digests[None])[0])


def _counted(domain: Domain, count: int, root: Elements) -> bytes:
    counted = np.concatenate([np.array([count], np.uint64), root])
    return digest_bytes(sponge(domain, 0, counted[None])[0])
