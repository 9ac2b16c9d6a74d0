"""What follows from the seed of a run, and roots that a verifier builds itself."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace

import numpy as np
import pytest

from support import programs, training
from support.programs import layout, tensor
from support.receipts import DATA_KEY, Tree
from zktally.verifier import building
from zktally.verifier.building import data_tree_root, start_root
from zktally.verifier.dataset import PUBLIC_KEY, key_elements, root_of
from zktally.verifier.errors import UsageError
from zktally.verifier.inputs import DTYPES
from zktally.verifier.keys import (
    SALT,
    START_POSITION,
    derived_seed,
    drawn_start,
    prf_values,
    salts,
    salts_between,
)
from zktally.verifier.poseidon2 import Domain, sponge
from zktally.verifier.program.types import ConstantStart, DrawnStart, Layout, Role
from zktally.verifier.reader import P
from zktally.verifier.roots import dataset_root, digest_bytes, digest_elements

SEED = np.arange(31, 39, dtype=np.uint64)
LEARNER = training.learner()[0]

KNOWN_SEED = [
    56151904,
    1160843954,
    620543074,
    1014170718,
    456157200,
    122541676,
    458176169,
    1441616540,
]
KNOWN_ROOT = "6862bd0ec84c554f4c209b2f1a4eb01d21cf57463b507554d090e908057ecb6e"


def plain_seed(program_id: bytes, root: bytes, nonce: bytes | None) -> list[int]:
    named = b"\0" if nonce is None else b"\1" + struct.pack("<H", len(nonce)) + nonce
    found: list[int] = []
    counter = 0
    while len(found) < 8:
        data = b"zktally training seed v1\0" + program_id + root + named
        block = hashlib.sha256(data + struct.pack("<I", counter)).digest()
        words = [word & 0x7FFFFFFF for word in struct.unpack("<8I", block)]
        found += [word for word in words if word < P]
        counter += 1
    return found[:8]


@pytest.mark.parametrize("nonce", [None, b"\0", b"a nonce", bytes(64)])
def test_the_derived_seed_is_what_the_page_says(nonce: bytes | None) -> None:
    skipped = 0
    for number in range(60):
        program_id, root = hashlib.sha256(bytes([number])).digest(), bytes([number]) * 32
        found = derived_seed(program_id, root, nonce)
        assert found.tolist() == plain_seed(program_id, root, nonce)
        data = b"zktally training seed v1\0" + program_id + root
        data += b"\0" if nonce is None else b"\1" + struct.pack("<H", len(nonce)) + nonce
        words = struct.unpack("<8I", hashlib.sha256(data + bytes(4)).digest())
        skipped += any(word & 0x7FFFFFFF >= P for word in words)
    assert skipped  # words are skipped that are no field elements: that is tried, too


def test_a_known_seed() -> None:
    """What both verifiers and the prover must give."""
    found = derived_seed(bytes(32), bytes(32), b"zktally")
    assert found.tolist() == KNOWN_SEED


def test_seeds_differ_by_everything_that_they_follow_from() -> None:
    zero, one = bytes(32), b"\1" + bytes(31)
    given = [(zero, zero, None), (one, zero, None), (zero, one, None), (zero, zero, b"\0")]
    assert len({tuple(derived_seed(*each).tolist()) for each in given}) == 4


def test_a_drawn_start_is_the_noise_behind_the_last_step_scaled() -> None:
    offsets = np.arange(1000, dtype=np.int64).reshape(10, 100)
    words = prf_values(SEED, 2**30, 7, offsets, 0, 2**24 - 1)
    expected = -400 + (words * 901 >> 24)
    np.testing.assert_array_equal(drawn_start(SEED, 7, offsets, -400, 500), expected)
    assert START_POSITION == 2**30


@pytest.mark.parametrize(("lo", "hi"), [(-3, 3), (0, 0), (-(2**23), 2**23 - 1), (5, 14)])
def test_a_drawn_start_is_even(lo: int, hi: int) -> None:
    """Chi-square over ten cells (or as many values as there are), within six deviations."""
    found = drawn_start(SEED, 3, np.arange(40_000, dtype=np.int64), lo, hi)
    assert lo <= found.min()
    assert found.max() <= hi
    cells = min(10, hi - lo + 1)
    if cells == 1:
        return
    edges = lo + np.arange(cells + 1) * (hi - lo + 1) / cells
    counts, _ = np.histogram(found, edges)
    expected = len(found) * np.diff(np.ceil(edges - lo)) / (hi - lo + 1)
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert statistic < cells - 1 + 6 * (2 * (cells - 1)) ** 0.5


def test_domains_draw_different_starts() -> None:
    offsets = np.arange(100, dtype=np.int64)
    one, other = (drawn_start(SEED, domain, offsets, -100, 100) for domain in (1, 2))
    assert (one != other).any()


@pytest.mark.parametrize(("first", "end"), [(0, 1), (0, 10), (1, 9), (2, 3), (5, 6), (3, 10)])
def test_salts_of_some_leaves_are_those_of_all(first: int, end: int) -> None:
    every = salts(DATA_KEY, [4], 9, 10)[0]
    np.testing.assert_array_equal(salts_between(DATA_KEY, 4, 9, first, end), every[first:end])


# Roots.

FORMS = {
    "one row": tensor("s", Role.STATE, (5,), 2),
    "one value": tensor("s", Role.STATE, (1,), 1),
    "whole pieces": tensor("s", Role.STATE, (6, 8), 2, cut=layout((6, 8), piece=4)),
    "odd leaves": tensor("s", Role.STATE, (7, 8), 3, cut=layout((7, 8), piece=8)),
    "cut pieces": tensor("s", Role.STATE, (5, 8), 1, cut=layout((5, 8), piece=3)),
    "permuted": tensor("s", Role.STATE, (3, 4, 5), 2, cut=Layout((2, 0, 1), 2, 5)),
    "single values": tensor("s", Role.STATE, (3, 7), 2, cut=Layout((1, 0), 1, 1)),
    "many leaves": tensor("s", Role.STATE, (33, 4), 1, cut=layout((33, 4), piece=4)),
}


@pytest.fixture(params=[13, 1, 2], ids=lambda log: f"portions of 2^{log}")
def _portions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "_LOG_LEAVES", request.param)


@pytest.mark.usefixtures("_portions")
@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("start", [ConstantStart(-3), DrawnStart(8, -100, 27)])
def test_the_root_of_a_declared_start(name: str, start: ConstantStart | DrawnStart) -> None:
    state = FORMS[name]
    if isinstance(start, ConstantStart):
        array = np.full(state.shape, start.value)
    else:
        offsets = np.arange(state.size, dtype=np.int64).reshape(state.shape)
        array = drawn_start(SEED, start.domain, offsets, start.lo, start.hi)
    tree = Tree(state, array.astype(DTYPES[state.width]), None, 0, 0)
    np.testing.assert_array_equal(start_root(state, start, SEED), tree.root)


def test_a_constant_start_is_cheap_at_any_size() -> None:
    """2^28 values in 2^26 leaves, by doubling; a plain tree of the same form is the oracle."""
    large = tensor("s", Role.STATE, (2**26, 4), 2, cut=layout((2**26, 4), piece=4))
    digest = Tree(tensor("s", Role.STATE, (1, 4), 2), np.full((1, 4), 5, np.int16), None, 0, 0).root
    for _ in range(26):
        digest = building.compress(digest[None], digest[None])[0]
    np.testing.assert_array_equal(start_root(large, ConstantStart(5), SEED), digest)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 7, 13, 64, 100])
@pytest.mark.parametrize(
    ("row", "piece"), [(1, 1), (6, 6), (6, 4), (9, 2), (8, 2), (7, 3), (30, 4), (31, 10)]
)
def test_constant_starts_of_all_forms_are_those_of_whole_trees(
    rows: int, row: int, piece: int
) -> None:
    for width, value in ((1, -3), (2, 77), (3, 0)):
        shape = (rows, row)
        state = tensor("s", Role.STATE, shape, width, cut=layout(shape, piece=piece))
        whole = building.tree_root(
            state,
            lambda offsets, value=value: np.full(len(offsets), value),
            lambda first, end: np.zeros((end - first, SALT), np.uint64),
        )
        np.testing.assert_array_equal(start_root(state, ConstantStart(value), SEED), whole)


@pytest.mark.parametrize(("shape", "piece"), [((2**24, 5), 4), ((1, 2**24 + 1), 4)])
def test_rows_whose_last_leaf_is_shorter_are_cheap_too(
    shape: tuple[int, int], piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []

    def watched(left, right):
        hashed.append(len(left))
        return compress(left, right)

    compress = building.compress
    monkeypatch.setattr(building, "compress", watched)
    large = tensor("s", Role.STATE, shape, 1, cut=layout(shape, piece=piece))
    start_root(large, ConstantStart(5), SEED)
    assert sum(hashed) < 200


@pytest.mark.usefixtures("_portions")
def test_the_root_of_a_data_set() -> None:
    rng = np.random.default_rng(3)
    arrays, roots = {}, []
    for rank, number in enumerate(LEARNER.data):
        t = LEARNER.tensors[number]
        arrays[t.name] = programs.random_records(t, rng)
        roots.append(Tree(t, arrays[t.name], DATA_KEY, 0, rank).root)
        found = data_tree_root(DATA_KEY, rank, t, arrays[t.name])
        np.testing.assert_array_equal(found, roots[-1])
    elements = np.concatenate([[np.uint64(7)], *roots])[None]
    expected = digest_bytes(sponge(Domain.DATASET, 2, elements)[0])
    assert dataset_root(7, np.array(roots)) == expected
    assert root_of(LEARNER, arrays, digest_bytes(DATA_KEY)) == expected
    assert root_of(LEARNER, arrays) != expected
    assert int(Domain.DATASET) == 13


def test_the_root_depends_on_every_label() -> None:
    rng = np.random.default_rng(3)
    numbers = {LEARNER.tensors[t].name: LEARNER.tensors[t] for t in LEARNER.data}
    arrays = {name: programs.random_records(t, rng) for name, t in numbers.items()}
    roots = {root_of(LEARNER, arrays)}
    for name in arrays:
        for at in range(7):
            changed = arrays[name].copy()
            changed[at].flat[0] ^= 1
            roots.add(root_of(LEARNER, arrays | {name: changed}))
    assert len(roots) == 15


def test_a_known_data_set() -> None:
    arrays = {
        "x": np.arange(56, dtype=np.int8).reshape(7, 2, 4),
        "label": (np.arange(7) % 4).reshape(7, 1),
    }
    assert root_of(LEARNER, arrays).hex() == KNOWN_ROOT


def test_data_that_does_not_fit_is_refused() -> None:
    arrays = {
        LEARNER.tensors[t].name: np.zeros(LEARNER.tensors[t].tree_shape, np.int8)
        for t in LEARNER.data
    }
    wrong = {
        "the arrays are not those": {"x": arrays["x"]},
        "wrong dtype": arrays | {"x": arrays["x"].astype(float)},
        "wrong shape": arrays | {"label": arrays["label"][:, 0]},
        "out of range": arrays | {"label": arrays["label"] + 4},
    }
    for message, given in wrong.items():
        with pytest.raises(UsageError, match=message) as refused:
            root_of(LEARNER, given)
        assert refused.value.code == "usage.input"
    with pytest.raises(UsageError, match="not those of the program"):
        root_of(replace(LEARNER, tensors=()), {})
    for key in (bytes(31), digest_bytes(np.full(8, P, np.uint64))):
        with pytest.raises(UsageError, match="no key of a data set"):
            root_of(LEARNER, arrays, key)
    np.testing.assert_array_equal(key_elements(PUBLIC_KEY), digest_elements(bytes(32)))
