"""Openings of trees: the root from rows, salts and siblings, and nothing else gives it."""

from __future__ import annotations

import numpy as np
import pytest

from support import stark_reference as reference
from zktally.verifier.errors import MalformedReceipt
from zktally.verifier.reader import RECEIPT_CODES, P, Reader
from zktally.verifier.stark.tree import Shape, read_opening

SHAPE = Shape({6: 3, 4: 5, 3: 1})
COLUMNS = {
    level: reference.uniform(np.random.default_rng(level), width, 1 << level)
    for level, width in SHAPE.widths.items()
}
TREE = reference.Tree(COLUMNS, np.random.default_rng(1))
INDICES = np.array([63, 5, 4, 40, 5], np.int64)
BYTES = TREE.open(INDICES)


def opened(data, shape=SHAPE, indices=INDICES):
    reader = Reader(data, RECEIPT_CODES)
    opening = read_opening(reader, shape, indices)
    reader.end()
    return opening


def test_root_and_rows():
    opening = opened(BYTES)
    assert opening.root() == TREE.root
    for level, columns in COLUMNS.items():
        at = INDICES >> (SHAPE.top - level)
        expected = columns[:, reference.reversal(level)][:, at].T
        assert (opening.rows[level].at(at) == expected).all()


@pytest.mark.parametrize("indices", [[0], [0, 1], list(range(64)), [63, 0]])
def test_any_indices(indices):
    indices = np.array(indices, np.int64)
    assert opened(TREE.open(indices), indices=indices).root() == TREE.root


def test_one_height_without_salts():
    tree = reference.Tree({5: COLUMNS[6][:, :32]})
    indices = np.array([7, 30], np.int64)
    shape = Shape({5: 3}, salted=False)
    assert opened(tree.open(indices), shape, indices).root() == tree.root


def test_every_changed_byte_changes_the_root_or_is_not_canonical():
    for at in range(len(BYTES)):
        changed = bytearray(BYTES)
        changed[at] ^= 0x80
        try:
            opening = opened(bytes(changed))
        except MalformedReceipt:
            continue
        assert opening.root() != TREE.root


def test_every_cut_is_truncated():
    for end in range(len(BYTES)):
        with pytest.raises(MalformedReceipt) as error:
            opened(BYTES[:end])
        assert error.value.code == "receipt.truncated"


def test_a_word_of_p_is_not_canonical():
    with pytest.raises(MalformedReceipt) as error:
        opened(P.to_bytes(4, "little") + BYTES[4:])
    assert error.value.code == "receipt.non-canonical"
