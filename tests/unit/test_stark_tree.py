"""Openings of trees: the root from rows, salts and siblings, and nothing else gives it."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from support import stark_reference as reference
from zktally.verifier import poseidon16
from zktally.verifier.errors import MalformedReceipt
from zktally.verifier.reader import RECEIPT_CODES, P, Reader
from zktally.verifier.stark.params import Hashing
from zktally.verifier.stark.tree import Shape, read_opening

SHAPE = Shape({6: 3, 4: 5, 3: 1})
COLUMNS = {
    level: reference.uniform(np.random.default_rng(level), width, 1 << level)
    for level, width in SHAPE.widths.items()
}
INDICES = np.array([63, 5, 4, 40, 5], np.int64)
TREES = {each: reference.Tree(COLUMNS, np.random.default_rng(1), each) for each in Hashing}
BYTES = {each: tree.open(INDICES) for each, tree in TREES.items()}

both = pytest.mark.parametrize("hashing", Hashing)


def opened(data, hashing, shape=SHAPE, indices=INDICES):
    shape = replace(shape, hashing=hashing)
    reader = Reader(data, RECEIPT_CODES)
    opening = read_opening(reader, shape, indices)
    reader.end()
    return opening


@both
def test_root_and_rows(hashing):
    opening = opened(BYTES[hashing], hashing)
    assert opening.root() == TREES[hashing].root
    for level, columns in COLUMNS.items():
        at = INDICES >> (SHAPE.top - level)
        expected = columns[:, reference.reversal(level)][:, at].T
        assert (opening.rows[level].at(at) == expected).all()


@both
@pytest.mark.parametrize("indices", [[0], [0, 1], list(range(64)), [63, 0]])
def test_any_indices(indices, hashing):
    indices = np.array(indices, np.int64)
    tree = TREES[hashing]
    assert opened(tree.open(indices), hashing, indices=indices).root() == tree.root


@both
def test_one_height_without_salts(hashing):
    tree = reference.Tree({5: COLUMNS[6][:, :32]}, hashing=hashing)
    indices = np.array([7, 30], np.int64)
    shape = Shape({5: 3}, salted=False)
    assert opened(tree.open(indices), hashing, shape, indices).root() == tree.root


@both
def test_every_changed_word_changes_the_root_or_is_not_canonical(hashing):
    data = BYTES[hashing]
    for at in range(0, len(data), 4):
        changed = bytearray(data)
        changed[at + at // 4 % 4] ^= 0x80 if at % 3 else 0x01
        try:
            opening = opened(bytes(changed), hashing)
        except MalformedReceipt:
            continue
        assert opening.root() != TREES[hashing].root


@both
def test_every_cut_is_truncated(hashing):
    for end in range(len(BYTES[hashing])):
        with pytest.raises(MalformedReceipt) as error:
            opened(BYTES[hashing][:end], hashing)
        assert error.value.code == "receipt.truncated"


@both
def test_words_of_p_are_not_canonical(hashing):
    """Those of rows; under Poseidon2 those of salts and siblings, too."""
    data, codes = BYTES[hashing], []
    for at in range(0, len(data), 4):
        try:
            opened(data[:at] + P.to_bytes(4, "little") + data[at + 4 :], hashing)
        except MalformedReceipt as error:
            codes.append(error.code)
    rows = sum(rows.words.size for rows in opened(data, hashing).rows.values())
    count = rows if hashing is Hashing.SHA256 else len(data) // 4
    assert codes == ["receipt.non-canonical"] * count


def grid(rows, width, seed):
    return (np.arange(rows * width, dtype=np.uint64).reshape(rows, width) * 77 + seed).T


def nodes(hashing):
    """`row` and `node`, one by one and as the page has them."""
    if hashing is Hashing.SHA256:

        def row(words):
            return sha256(b"\0" + b"".join(word.to_bytes(4, "little") for word in words)).digest()

        return row, lambda left, right, own=b"": sha256(b"\1" + left + right + own).digest()

    def node(left, right, own=None):
        found = poseidon16.compress(left, right)
        return found if own is None else poseidon16.compress(found, own)

    return lambda words: poseidon16.sponge(0x40, words), node


ROOTS = {
    Hashing.SHA256: "915b8885d92a1f92edfdd1badf6d4e84b54cefc252352789b1767b8dc91165f7",
    Hashing.POSEIDON2: "25c7245f47952027dabda22833e93667c8e1221bb873b2572fa5a54dadceed3b",
}


@both
def test_the_root_that_the_core_finds(hashing):
    """As in rust/core/src/stark/tree.rs: rows of three heights, by the definition."""
    row, node = nodes(hashing)
    a, c = grid(32, 3, 1), grid(32, 1, 3)
    of = {5: np.concatenate([a, c]), 3: grid(8, 2, 2), 0: grid(1, 2, 4)}
    rows = {level: [row(words) for words in columns.T.tolist()] for level, columns in of.items()}
    below = rows[5]
    for level in range(4, -1, -1):
        pairs = zip(below[0::2], below[1::2], strict=True)
        own = [(each,) for each in rows[level]] if level in rows else [()] * (1 << level)
        below = [node(*pair, *more) for pair, more in zip(pairs, own, strict=True)]
    (root,) = below
    root = root if isinstance(root, bytes) else np.array(root, "<u4").tobytes()
    assert root.hex() == ROOTS[hashing]
    natural = {level: columns[:, reference.reversal(level)] for level, columns in of.items()}
    assert reference.Tree(natural, hashing=hashing).root == root
