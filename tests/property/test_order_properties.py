"""The order of records for any data set: permutations, the same whatever is asked at once."""

from __future__ import annotations

import numpy as np
from drawn import SETTINGS
from hypothesis import given
from hypothesis import strategies as st

from zktally.verifier.layout import inverted, permuted_offsets
from zktally.verifier.order import Order, permuted
from zktally.verifier.program.types import Layout

byte_keys = st.binary(min_size=32, max_size=32)


@SETTINGS
@given(key=byte_keys, records=st.integers(1, 300), epoch=st.integers(0, 2**31))
def test_an_epoch_is_a_permutation(key: bytes, records: int, epoch: int) -> None:
    places = np.arange(records, dtype=np.int64)
    found = permuted(key, records, np.full(records, epoch, np.int64), places)
    assert sorted(found.tolist()) == list(range(records))


@SETTINGS
@given(
    key=byte_keys,
    records=st.integers(1, 2**26),
    asked=st.lists(st.tuples(st.integers(0, 2**30), st.integers(0, 2**26)), min_size=1, max_size=9),
)
def test_what_is_asked_at_once_does_not_matter(
    key: bytes, records: int, asked: list[tuple[int, int]]
) -> None:
    epochs = np.array([epoch for epoch, _ in asked], np.int64)
    places = np.array([place % records for _, place in asked], np.int64)
    together = permuted(key, records, epochs, places)
    alone = [
        permuted(key, records, epochs[n : n + 1], places[n : n + 1])[0] for n in range(len(asked))
    ]
    assert together.tolist() == alone
    assert together.max() < records


@SETTINGS
@given(
    key=byte_keys,
    slots=st.integers(1, 9),
    more=st.integers(0, 40),
    first=st.integers(0, 2**29),
    steps=st.integers(1, 12),
)
def test_no_record_comes_twice_in_an_epoch(
    key: bytes, slots: int, more: int, first: int, steps: int
) -> None:
    records = slots + more
    table = Order(key, records, slots, first, steps).table
    of_epoch = records // slots
    seen: dict[int, list[int]] = {}
    for step, read in enumerate(table.tolist()):
        seen.setdefault((first + step) // of_epoch, []).extend(read)
    for read in seen.values():
        assert len(set(read)) == len(read)


@SETTINGS
@given(data=st.data(), shape=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_a_layout_and_its_inverse_cancel(data: st.DataObject, shape: list[int]) -> None:
    order = tuple(data.draw(st.permutations(range(len(shape)))))
    layout = Layout(order, 1, 1)
    offsets = np.arange(int(np.prod(shape)), dtype=np.int64)
    moved = permuted_offsets(layout, tuple(shape), offsets)
    backwards, permuted_shape = inverted(layout, tuple(shape))
    back = permuted_offsets(backwards, permuted_shape, moved)
    assert back.tolist() == offsets.tolist()
    expected = offsets.reshape(shape).transpose(order).ravel()
    assert permuted_offsets(backwards, permuted_shape, offsets).tolist() == expected.tolist()
