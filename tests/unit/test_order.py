"""The order of records: a permutation in each epoch, the same as the page's plain words."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pytest

from zktally.verifier.order import Order, order_key, permuted

KEY = hashlib.sha256(b"a key").digest()
SIZES = [1, 2, 3, 10, 97, 1437, 60_000]


def plain(key: bytes, records: int, epoch: int, place: int) -> int:
    """`π_e(r)` as protocol.md section 4 has it, one number at a time."""
    half = max(1, ((records - 1).bit_length() + 1) // 2)
    mask = 2**half - 1
    x = place
    while True:
        left, right = x >> half, x & mask
        for number in range(6):
            data = key + struct.pack("<QBI", epoch, number, right)
            word = int.from_bytes(hashlib.sha256(data).digest()[:4], "little")
            left, right = right, left ^ (word & mask)
        x = left << half | right
        if x < records:
            return x


@pytest.mark.parametrize("records", SIZES)
def test_every_epoch_is_a_permutation(records: int) -> None:
    places = np.arange(records, dtype=np.int64)
    for epoch in (0, 1, 2**40):
        found = permuted(KEY, records, np.full(records, epoch, np.int64), places)
        np.testing.assert_array_equal(np.sort(found), places)


@pytest.mark.parametrize("records", [*SIZES, 2**16, 2**16 + 1, 2**31 - 1])
def test_it_is_what_the_page_says(records: int) -> None:
    rng = np.random.default_rng(records)
    epochs = rng.integers(0, 2**30, 40)
    places = rng.integers(0, records, 40)
    found = permuted(KEY, records, epochs, places)
    expected = [plain(KEY, records, e, r) for e, r in zip(epochs, places, strict=True)]
    assert found.tolist() == expected


def test_the_key_is_the_hash_of_the_seed() -> None:
    seed = np.arange(1, 9, dtype=np.uint64)
    data = b"zktally order v1\0" + struct.pack("<8I", *range(1, 9))
    assert order_key(seed) == hashlib.sha256(data).digest()


def test_known_orders() -> None:
    """What both verifiers and the prover must give."""
    ten = permuted(KEY, 10, np.zeros(10, np.int64), np.arange(10))
    assert ten.tolist() == [plain(KEY, 10, 0, place) for place in range(10)]
    assert ten.tolist() == TEN
    assert Order(KEY, 10, 4, 0, 3).table.tolist() == STEPS


TEN = [8, 2, 6, 1, 7, 0, 4, 5, 3, 9]
STEPS = [[8, 2, 6, 1], [7, 0, 4, 5], [6, 0, 3, 5]]


@pytest.mark.parametrize(("records", "slots"), [(10, 3), (97, 10), (7, 7), (5, 1)])
def test_epochs_are_without_replacement_and_leave_the_rest_out(records: int, slots: int) -> None:
    whole = records // slots
    table = Order(KEY, records, slots, 0, 3 * whole).table
    assert table.shape == (3 * whole, slots)
    seen = []
    for epoch in range(3):
        read = table[epoch * whole : (epoch + 1) * whole].ravel().tolist()
        assert len(set(read)) == len(read) == whole * slots
        seen.append(frozenset(read))
    if records % slots > 1 and whole > 1:
        assert len(set(seen)) > 1  # what is left out differs from epoch to epoch


def test_a_continued_run_goes_on_in_its_order() -> None:
    whole = Order(KEY, 97, 8, 0, 40).table
    np.testing.assert_array_equal(Order(KEY, 97, 8, 25, 15).table, whole[25:])


def test_portions_of_slots_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Order(KEY, 97, 8, 3, 40).table
    monkeypatch.setattr("zktally.verifier.order._SLOTS", 7)
    np.testing.assert_array_equal(Order(KEY, 97, 8, 3, 40).table, whole)


def test_numbers_of_slots_become_numbers_of_records() -> None:
    order = Order(KEY, 10, 4, 0, 3)
    steps, numbers = np.array([[0], [2]]), np.array([[0, 6, 11]])  # slots 0, 1, 2 of five each
    expected = [[8 * 5, 2 * 5 + 1, 6 * 5 + 1], [6 * 5, 0 * 5 + 1, 3 * 5 + 1]]
    assert order.placed(steps, numbers, 5).tolist() == expected


def test_only_slots_that_are_asked_for_are_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receipt about 2^24 slots may open few of them."""
    worked_out = []

    def watched(key, records, epochs, places):
        worked_out.extend(places.tolist())
        return permuted(key, records, epochs, places)

    monkeypatch.setattr("zktally.verifier.order.permuted", watched)
    order = Order(KEY, 2**26, 2**24, 5, 1)
    numbers = np.array([3, 2**24 - 1, 3, 77])
    found = order.placed(0, numbers, 1)
    expected = [plain(KEY, 2**26, 1, 2**24 + place) for place in numbers.tolist()]
    assert found.tolist() == expected
    assert order.placed(0, numbers, 1).tolist() == expected
    assert sorted(worked_out) == [2**24 + place for place in (3, 77, 2**24 - 1)]


def test_places_are_spread_evenly() -> None:
    """Over keys and epochs every record comes to every place about equally often: chi-square.

    16 records, 4,000 permutations: 240 degrees of freedom (15·15 with fixed margins gives 225),
    mean 225, deviation 21. The bound is six deviations off; the keys are fixed.
    """
    records, epochs, keys = 16, 400, 10
    counts = np.zeros((records, records))
    for number in range(keys):
        key = hashlib.sha256(bytes([number])).digest()
        at = np.repeat(np.arange(epochs, dtype=np.int64), records)
        places = np.tile(np.arange(records, dtype=np.int64), epochs)
        np.add.at(counts, (places, permuted(key, records, at, places)), 1)
    expected = epochs * keys / records
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert 225 - 6 * 21.2 < statistic < 225 + 6 * 21.2


def test_neighbours_are_not_kept() -> None:
    """Successive places go to successive records no more often than chance has it."""
    records = 1000
    at = np.arange(records, dtype=np.int64)
    kept = 0
    for epoch in range(50):
        found = permuted(KEY, records, np.full(records, epoch, np.int64), at)
        kept += int((np.diff(found) == 1).sum())
    assert kept < 50 * 1 + 6 * 50**0.5  # one a permutation on average
