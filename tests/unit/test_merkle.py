"""Trees and openings of many trees at once, against one tree at a time."""

from __future__ import annotations

import numpy as np
import pytest

from zktally.verifier.keys import salts
from zktally.verifier.merkle import (
    byte_elements,
    leaf_digests,
    opened_roots,
    plan_openings,
    tree_roots,
)
from zktally.verifier.poseidon2 import Domain, compress, keyed
from zktally.verifier.reader import P


def levels(leaves):
    """All levels of one tree, from the definition."""
    found = [list(leaves)]
    while len(found[-1]) > 1:
        level = found[-1] + [np.zeros(8, np.uint64)]
        found.append(
            [compress(level[k][None], level[k + 1][None])[0] for k in range(0, len(level) - 1, 2)]
        )
    return found


def forest(sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [levels(rng.integers(0, P, (size, 8), dtype=np.uint64)) for size in sizes]


def siblings_of(tree, opened):
    """What a prover sends: level by level, left to right, nothing where no node exists."""
    sent, known = [], set(opened)
    for level in tree[:-1]:
        missing = sorted({node ^ 1 for node in known} - known)
        sent += [level[node] for node in missing if node < len(level)]
        known = {node // 2 for node in known}
    return sent


SIZES = [1, 2, 3, 5, 8, 13, 1, 7]
OPENED = [[0], [1], [2], [0, 4], [1, 2, 7], list(range(13)), [], [6]]


@pytest.fixture
def openings():
    trees = forest(SIZES)
    tree = np.repeat(np.arange(len(SIZES)), [len(leaves) for leaves in OPENED])
    leaf = np.array([leaf for leaves in OPENED for leaf in leaves])
    digests = np.array([trees[t][0][k] for t, k in zip(tree, leaf, strict=True)])
    sent = [siblings_of(t, leaves) for t, leaves in zip(trees, OPENED, strict=True)]
    return trees, tree, leaf, digests, sent


@pytest.mark.parametrize("size", range(1, 18))
def test_roots_of_full_trees(size):
    trees = forest([size, size], seed=size)
    leaves = np.array([tree[0] for tree in trees])
    assert (tree_roots(leaves) == np.array([tree[-1][0] for tree in trees])).all()


def test_openings_hash_to_the_roots(openings):
    trees, tree, leaf, digests, sent = openings
    plan = plan_openings(np.array(SIZES), tree, leaf)
    assert plan.sibling_counts.tolist() == [len(siblings) for siblings in sent]
    found = opened_roots(plan, digests, np.array([s for siblings in sent for s in siblings]))
    for number, leaves in enumerate(OPENED):
        expected = trees[number][-1][0] if leaves else np.zeros(8)
        assert (found[number] == expected).all()


def test_a_changed_leaf_or_sibling_changes_its_root_and_no_other(openings):
    _, tree, leaf, digests, sent = openings
    plan = plan_openings(np.array(SIZES), tree, leaf)
    siblings = np.array([s for found in sent for s in found])
    good = opened_roots(plan, digests, siblings)
    owner = np.repeat(np.arange(len(SIZES)), plan.sibling_counts)
    for changed, owners in ((digests, tree), (siblings, owner)):
        for row, number in enumerate(owners):
            kept = changed[row].copy()
            changed[row, 3] ^= np.uint64(1)
            differs = (opened_roots(plan, digests, siblings) != good).any(axis=1)
            assert np.flatnonzero(differs).tolist() == [number]
            changed[row] = kept


def test_a_leaf_at_another_place_is_another_root(openings):
    trees, tree, leaf, digests, _ = openings
    moved = leaf.copy()
    moved[tree == 4] = [1, 3, 7]
    plan = plan_openings(np.array(SIZES), tree, moved)
    enough = np.zeros((int(plan.sibling_counts.sum()), 8), np.uint64)
    assert (opened_roots(plan, digests, enough)[4] != trees[4][-1][0]).any()


def test_bytes_become_elements_in_groups_of_three():
    data = np.array([[1, 2, 3, 4, 5]], np.uint8)
    assert byte_elements(data).tolist() == [[1 + 2 * 256 + 3 * 65536, 4 + 5 * 256]]


def test_salts_follow_the_keyed_function():
    key = np.arange(8, dtype=np.uint64)
    found = salts(key, [2, 9], 7, 8)
    assert found.shape == (2, 8, 5)
    for place, position in enumerate((2, 9)):
        for leaf in range(8):
            x = [*key.tolist(), int(Domain.SALT), position, 7, leaf // 3, 0, 0, 0, 0]
            drawn = keyed(np.array([x], np.uint64))[0]
            assert (found[place, leaf] == drawn[5 * (leaf % 3) :][:5]).all()


def test_equal_leaves_have_unequal_digests():
    packed = np.zeros((3, 4), np.uint8)
    digests = leaf_digests(packed, salts(np.zeros(8, np.uint64), [0], 0, 3)[0])
    assert len({digest.tobytes() for digest in digests}) == 3
