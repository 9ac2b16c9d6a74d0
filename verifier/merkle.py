"""Merkle trees: leaves, full trees, and openings of many trees at once (protocol.md sections 4, 5).

A chain of steps has thousands of small trees. So nothing here works on one tree: leaves of equal
length are hashed together, and the nodes of one level of all trees are hashed together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .poseidon2 import DIGEST, Domain, Elements, compress, sponge

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

BYTES_PER_ELEMENT = 3

_LEAVES = 1 << 13
"""Leaves hashed together: elements take three to eight times the memory of the bytes."""


def byte_elements(data: Bytes) -> Elements:
    """Bytes [n, length] as field elements [n, ceil(length / 3)]: three little-endian bytes each."""
    count, length = data.shape
    groups = -(-length // BYTES_PER_ELEMENT)
    filled = np.zeros((count, groups * BYTES_PER_ELEMENT), np.uint64)
    filled[:, :length] = data
    b0, b1, b2 = filled.reshape(count, groups, BYTES_PER_ELEMENT).transpose(2, 0, 1)
    elements: Elements = b0 + (b1 << np.uint64(8)) + (b2 << np.uint64(16))
    return elements


def leaf_digests(packed: Bytes, salts: Elements) -> Elements:
    """Digests [n, 8] of pieces of equal length: packed values [n, bytes] and salts [n, 5]."""
    digests = np.empty((len(packed), DIGEST), np.uint64)
    for start in range(0, len(packed), _LEAVES):
        part = slice(start, start + _LEAVES)
        elements = np.concatenate([byte_elements(packed[part]), salts[part]], axis=1)
        digests[part] = sponge(Domain.LEAF, 0, elements)
    return digests


def tree_roots(leaves: Elements) -> Elements:
    """Roots [trees, 8] of trees of equal size, given all their leaf digests [trees, leaves, 8]."""
    level = leaves
    while level.shape[1] > 1:
        if level.shape[1] % 2:
            level = np.concatenate([level, np.zeros_like(level[:, :1])], axis=1)
        pairs = level.reshape(-1, 2, DIGEST)
        level = compress(pairs[:, 0], pairs[:, 1]).reshape(len(leaves), -1, DIGEST)
    return level[:, 0]


def subtree_root(leaves: Elements, levels: int) -> Elements:
    """The node [8] that stands so many levels above these leaves [n, 8], n ≤ 2^levels."""
    level = leaves
    for _ in range(levels):
        if len(level) % 2:
            level = np.concatenate([level, np.zeros_like(level[:1])])
        level = compress(level[::2], level[1::2])
    found: Elements = level[0]
    return found


@dataclass(frozen=True)
class Level:
    """How the nodes of one level of all trees are hashed from the level below.

    Attributes:
        left, right: per new node, a row of (digests below ‖ siblings of this level ‖ zero digest).
        siblings: rows of all siblings that this level takes, ascending within each tree.
        finished: rows of the known digests below that are roots already.
        trees: the tree of each finished root.
    """

    left: Ints
    right: Ints
    siblings: Ints
    finished: Ints
    trees: Ints


@dataclass(frozen=True)
class Openings:
    """The shape of the openings of many trees: derived from what is opened, never read.

    Attributes:
        sibling_counts: siblings that each tree sends, int64 [trees].
        levels: from the leaves up.
    """

    sibling_counts: Ints
    levels: tuple[Level, ...]


def plan_openings(sizes: Ints, tree: Ints, leaf: Ints) -> Openings:
    """The siblings that openings need, and the order of hashing.

    Args:
        sizes: leaves of each tree, int64 [trees].
        tree: of each opened leaf, int64 [n], ascending.
        leaf: its number, int64 [n], strictly ascending within a tree.
    """
    walk: list[tuple[Ints, ...]] = []
    counts = np.zeros(len(sizes), np.int64)
    width, node = sizes, leaf
    while len(node):
        done = width[tree] == 1
        finished, rows = np.flatnonzero(done), np.flatnonzero(~done)
        ended = tree[finished]
        tree, node = tree[rows], node[rows]
        first = np.ones(len(node), bool)
        first[1:] = (tree[1:] != tree[:-1]) | (node[1:] // 2 != node[:-1] // 2)
        paired = np.append(~first[1:], False)[first] if len(node) else first
        rows, tree, node = rows[first], tree[first], node[first]
        is_right = node % 2 == 1
        missing = ~paired & (is_right | (node + 1 < width[tree]))
        walk.append((finished, ended, rows, tree, is_right, paired, missing))
        counts += np.bincount(tree[missing], minlength=len(sizes))
        node, width = node // 2, -(-width // 2)
    return Openings(counts, _levels(walk, counts, len(leaf)))


def _levels(walk: list[tuple[Ints, ...]], counts: Ints, opened: int) -> tuple[Level, ...]:
    """Number the siblings: those of a tree stand together, level by level, left to right."""
    levels = []
    used = np.cumsum(counts) - counts
    known = opened
    for finished, ended, rows, tree, is_right, paired, missing in walk:
        taking = tree[missing]
        starts = np.searchsorted(taking, taking)
        siblings = used[taking] + np.arange(len(taking), dtype=np.int64) - starts
        used = used + np.bincount(taking, minlength=len(counts))
        absent = known + len(siblings)
        other = np.where(paired, rows + 1, absent)
        other[missing] = known + np.arange(len(siblings), dtype=np.int64)
        left, right = np.where(is_right, other, rows), np.where(is_right, rows, other)
        levels.append(Level(left, right, siblings, finished, ended))
        known = len(rows)
    return tuple(levels)


def opened_roots(openings: Openings, digests: Elements, siblings: Elements) -> Elements:
    """The roots [trees, 8] that leaves and siblings hash to; zero for a tree without opened leaves.

    Args:
        openings: the plan.
        digests: of the opened leaves in its order, [n, 8].
        siblings: of all trees one after the other, [sum of counts, 8].
    """
    roots = np.zeros((len(openings.sibling_counts), DIGEST), np.uint64)
    zero = np.zeros((1, DIGEST), np.uint64)
    for level in openings.levels:
        roots[level.trees] = digests[level.finished]
        below = np.concatenate([digests, siblings[level.siblings], zero])
        digests = compress(below[level.left], below[level.right])
    return roots
