"""Public columns by name: none can be missing, unknown, or of another size."""

from __future__ import annotations

import numpy as np
import pytest

from zktally.verifier.stark.columns import Columns

COLUMNS = Columns("on uses:2 class a:factor y_at:reference")
ROWS = {
    "on": 1,
    "uses": np.array([[1, 2, 3], [4, 5, 6]]),
    "class_": np.array([7, 8, 9]),
    "a": np.arange(9).reshape(3, 3),
    "y_at": -1,
}


def test_columns_stand_in_the_order_of_their_names():
    assert COLUMNS.at == {"on": 0, "uses": slice(1, 3), "class": 3, "a": slice(4, 7), "y_at": 7}
    assert (COLUMNS.references, COLUMNS.count) == ([4, 7], 8)
    found = COLUMNS.table(3, **ROWS)
    assert found.tolist() == [
        [1, 1, 1],
        [1, 2, 3],
        [4, 5, 6],
        [7, 8, 9],
        [0, 1, 2],
        [3, 4, 5],
        [6, 7, 8],
        [-1, -1, -1],
    ]


@pytest.mark.parametrize("name", ROWS)
def test_a_missing_column_is_an_error(name):
    with pytest.raises(AssertionError, match=name.removesuffix("_")):
        COLUMNS.table(3, **{other: rows for other, rows in ROWS.items() if other != name})


def test_an_unknown_column_is_an_error():
    with pytest.raises(AssertionError, match="x_at"):
        COLUMNS.table(3, **ROWS, x_at=0)


@pytest.mark.parametrize("changed", [{"uses": np.arange(3)}, {"on": np.ones((1, 3))}, {"a": 0}])
def test_a_single_column_is_not_several(changed):
    with pytest.raises(AssertionError, match="is not what"):
        COLUMNS.table(3, **ROWS | changed)


def test_so_many_columns_as_are_declared():
    with pytest.raises(ValueError, match="broadcast"):
        COLUMNS.table(3, **ROWS | {"a": np.ones((2, 3))})
