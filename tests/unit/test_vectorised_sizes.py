"""Every vectorised function of the verifier: 20,000 rows at once are the same rows one by one.

numpy works in buffers of 8,192 elements where it converts or walks several arrays, and some of its
versions went wrong just behind them (docs/adr/0015). So what is computed at once is compared with
what single rows give: all rows where that is cheap, else the rows at the seams and some hundreds
drawn at random; and 10 rows alike. At night there are 100,000.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from functools import cache

import numpy as np
import pytest

from support import programs
from support.covered import aligned, covered, wide
from support.oracle import Oracle
from zktally.verifier import arrays, inputs, keys, layout, merkle, poseidon2, sampling
from zktally.verifier.gates import evaluate, reads
from zktally.verifier.gates.div import floor_sqrt, rounded_quotient
from zktally.verifier.hybrid import addresses, hashing, leaves, records, segments
from zktally.verifier.hybrid.factors import NONE, PRF, WIDE, References, prf_order
from zktally.verifier.hybrid.gates import GateTables
from zktally.verifier.journal import Journal
from zktally.verifier.openings import LEAF_BITS, Trees, leaf_bytes, leaf_counts
from zktally.verifier.program.checked import check
from zktally.verifier.program.operands import products
from zktally.verifier.program.types import (
    Const,
    Layout,
    Pick,
    PickMode,
    Port,
    PortKind,
    Program,
    Role,
    Tensor,
    Term,
)
from zktally.verifier.program.types import gates as gates_of
from zktally.verifier.reader import P
from zktally.verifier.stark import field
from zktally.verifier.stark.constraints import lagrange
from zktally.verifier.sums import Sums, divided

AT_NIGHT = pytest.param(100_000, marks=pytest.mark.nightly)
SIZES = (10, 20_000, AT_NIGHT)
PART = 2_000
RNG = np.random.default_rng


def rows_of(count: int, some: int = 300) -> list[int]:
    """Rows at the ends and around all multiples of numpy's buffers, and some others."""
    seams = {at + d for at in range(0, count + 1, 8192) for d in (-2, -1, 0, 1, 2)}
    drawn = RNG(7).integers(0, count, some).tolist()
    return sorted(row for row in {*seams, *drawn, 0, count - 1} if 0 <= row < count)


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal, of one dtype and shape."""
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert (found == expected).all()


def by_rows(call, *columns: np.ndarray, some: int = 300) -> None:
    """`call` gives for all rows of these arrays at once what it gives for single ones."""
    whole = call(*columns)
    for row in rows_of(len(columns[0]), some):
        same(whole[row : row + 1], call(*(column[row : row + 1] for column in columns)))


# layout


def _place(cut: Layout, shape: tuple[int, ...], offset: int) -> tuple[int, int]:
    """Protocol section 1, Layout, word by word."""
    index = []
    for dim in reversed(shape):
        offset, at = divmod(offset, dim)
        index.insert(0, at)
    x = 0
    for axis in cut.order:
        x = x * shape[axis] + index[axis]
    row = math.prod([shape[axis] for axis in cut.order][-cut.trailing :])
    pieces = -(-row // cut.piece)
    return x // row * pieces + x % row // cut.piece, x % row % cut.piece


LAYOUTS = [
    ((40, 50, 60), Layout((0, 1, 2), 1, 60)),
    ((40, 50, 60), Layout((2, 0, 1), 2, 7)),
    ((40, 50, 60), Layout((1, 2, 0), 1, 1)),
    ((8, 5, 1, 30, 100), Layout((4, 2, 0, 3, 1), 3, 11)),
    ((120_000,), Layout((0,), 1, 1000)),
]


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize(("shape", "cut"), LAYOUTS)
def test_layout(shape, cut, count):
    offsets = RNG(1).integers(0, math.prod(shape), count)
    leaf, slot = layout.locate(cut, shape, offsets)
    for form in (offsets[:, None], offsets[None], np.ascontiguousarray(offsets[::-1])[::-1]):
        for found, expected in zip(layout.locate(cut, shape, form), (leaf, slot), strict=True):
            assert found.shape == form.shape
            same(found.reshape(-1), expected)
    lengths = layout.leaf_lengths(cut, shape, leaf)
    starts = layout.leaf_starts(cut, shape, leaf)
    rows = range(count) if len(shape) == 3 else rows_of(count)
    for row in rows:
        assert (leaf[row], slot[row]) == _place(cut, shape, int(offsets[row]))
    for row in rows_of(count):
        one = leaf[row : row + 1]
        assert layout.leaf_lengths(cut, shape, one) == lengths[row]
        assert layout.leaf_starts(cut, shape, one) == starts[row]


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("cut", [1, 48, 500])
@pytest.mark.parametrize("most", [1, 40, 5000])
def test_numbers_apart(most, cut, count):
    """Quotients and rests of G + K numbers are those of their G·K sums, carried over or not."""
    rng = RNG(4)
    starts = cut * rng.integers(0, 10**4, (count, 1))
    windows = {"ahead": rng.integers(0, most, (1, 7)), "back": rng.integers(-most, 0, (1, 7))}
    for direction, window in windows.items():
        apart = Sums(starts + (0 if direction == "ahead" else most), window)
        split = apart.divided(cut)
        for found, expected in zip(split, divided(apart.full(), cut), strict=True):
            same(found.full(), expected)
            if direction == "ahead" and most <= cut:
                assert found.of_gate.shape == (count, 1)
        total = apart + split[1]
        same(total.full(), apart.full() + apart.full() % cut)
        assert total.of_gate.shape == (count, 1) or total.of_window.shape == (1, 1)
        same((apart * 2).full(), 2 * apart.full())


@pytest.mark.parametrize(("shape", "cut"), LAYOUTS)
def test_places_of_numbers_apart(shape, cut):
    count, size = 10_000, math.prod(shape)
    for few in (1, min(30, size)):
        gates, points = RNG(5).integers(0, size - few + 1, (count, 1)), np.arange(few)[None]
        apart = Sums(gates, points)
        for found, expected in zip(
            layout.locate(cut, shape, apart), layout.locate(cut, shape, apart.full()), strict=True
        ):
            same(found.full(), expected)


# gates


class Dense:
    """Values of arrays by tensor number."""

    def __init__(self, found):
        self.found = {t: array.ravel().astype(np.int64) for t, array in found.items()}

    def read(self, tensor, offsets):
        return self.found[tensor][offsets]


def _filled(program: Program, seed: int = 3) -> Dense:
    rng = RNG(seed)
    return Dense({t: programs.random_array(tensor, rng)
                  for t, tensor in enumerate(program.tensors)})  # fmt: skip


def _ops():
    for name in sorted(programs.EVERY):
        for c, op in enumerate(programs.EVERY[name]()[0].ops):
            yield pytest.param(name, c, id=f"{name}-{op.name}")


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize(("name", "c"), list(_ops()))
def test_gates_of_small_ops_many_times(name, c, count):
    """All rows: each gate of an op alone, against very many of them in any order."""
    program, _ = programs.EVERY[name]()
    op, values = program.ops[c], _filled(program)
    single = np.concatenate(
        [evaluate(program, op, np.array([g], np.int64), values) for g in range(gates_of(op))]
    )
    numbers = RNG(c).integers(0, gates_of(op), count)
    same(evaluate(program, op, numbers, values), single[numbers])
    expected = {pair for gate in set(numbers.tolist()) for pair in _read(program, op, [gate])}
    assert _read(program, op, numbers) == expected


def _read(program, op, numbers) -> set[tuple[int, int]]:
    found = reads(program, op, np.array(numbers, np.int64))
    return {(tensor, at) for tensor, offsets in found for at in offsets.tolist()}


def large() -> Program:
    """Ops of 100,000 gates and more: permuted reads, strides, pads, windows, a wide value."""
    read, i, k, ik = programs.read, programs.i, programs.k, programs.ik
    shape, wide_ = (40, 50, 60), programs.tensor("w", Role.WEIGHT, (60, 9), width=2)
    cut = Layout((2, 0, 1), 2, 7)
    tensors = (
        programs.tensor("x", Role.INPUT, shape, cut=cut),
        wide_,
        programs.tensor("sums", Role.VALUE, shape, width=3, cut=Layout((1, 2, 0), 2, 100)),
        programs.tensor("best", Role.VALUE, shape, cut=cut),
        programs.tensor("moved", Role.VALUE, (60, 40, 50), width=2),
    )
    spread = read(0, shape, i(0), ik(1, 2, 0, 1, -3, 2), i(2), zero=3, pad=5)
    ops = (
        programs.dot("sums", 2, shape, Term((9,), spread, read(1, (60, 9), i(2), k(0))),
                     mult=Const(77), shift=Const(12)),
        Pick("best", 3, False, shape, PickMode.ARGMAX, (3, 2),
             (read(0, shape, ik(0, 1, 0, -1, 1), ik(1, 1, 1, 1), i(2), pad=-128),)),
        programs.dot("moved", 4, (60, 40, 50),
                     Term((), read(2, shape, i(1), i(2), i(0)), Const(3)),
                     Term((), read(3, shape, i(1), i(2), i(0)), Const(-2)), shift=Const(12)),
    )  # fmt: skip
    return Program("large", tensors, (), ops, (programs.port("x", 0),), (programs.port("y", 4),))


@pytest.mark.parametrize("count", SIZES)
def test_gates_of_large_ops(count):
    program = large()
    check(program)
    values = _filled(program)
    oracle = Oracle(program, values.found)
    for op in program.ops:
        numbers = RNG(5).permutation(gates_of(op))[:count]
        whole = evaluate(program, op, numbers, values)
        parts = [evaluate(program, op, numbers[at : at + PART], values)
                 for at in range(0, count, PART)]  # fmt: skip
        same(whole, np.concatenate(parts))
        for row in rows_of(count):
            assert whole[row] == oracle.gate(op, int(numbers[row]))
        expected = set()
        for at in range(0, count, PART):
            expected |= _read(program, op, numbers[at : at + PART])
        assert _read(program, op, numbers) == expected


@pytest.mark.parametrize("count", SIZES)
def test_quotients_and_roots(count):
    rng = RNG(2)
    num = rng.integers(-(2**30), 2**30, count)
    den = rng.integers(1, 2**20, count)
    found = rounded_quotient(num, 31, den)
    square = rng.integers(0, 2**23, count) ** 2 - rng.integers(0, 2, count)
    square = np.abs(square)
    root = floor_sqrt(square)
    for row in range(count):
        n, d = int(num[row]), int(den[row])
        assert found[row] == (2 * n * 31 + d) // (2 * d)
        assert root[row] == math.isqrt(int(square[row]))


# hashes


@pytest.mark.parametrize("count", SIZES)
def test_hashes(count):
    rng = RNG(4)
    state = rng.integers(0, P, (count, 24), dtype=np.uint64)
    by_rows(poseidon2.permute, state, some=40)
    by_rows(poseidon2.permute, state[:, :16], some=40)
    by_rows(poseidon2.keyed, state[:, :16], some=40)
    by_rows(poseidon2.compress, state[:, :8], state[:, 8:16], some=40)
    for length in (0, 1, 16, 19):
        by_rows(lambda x: poseidon2.sponge(poseidon2.Domain.LEAF, 5, x), state[:, :length], some=20)


@pytest.mark.parametrize("count", SIZES)
def test_leaves_and_salts(count):
    rng = RNG(6)
    packed = rng.integers(0, 256, (count, 7), dtype=np.uint8)
    salted = rng.integers(0, P, (count, 5), dtype=np.uint64)
    by_rows(merkle.byte_elements, packed)
    by_rows(merkle.leaf_digests, packed, salted, some=40)
    key = np.arange(8, dtype=np.uint64)
    whole = keys.salts(key, [3], 9, count)[0]
    for row in (0, 2, 3, 4, count // 2, count - 1):
        same(whole[row], keys.salts(key, [3], 9, row + 1)[0, row] if row < 9 else _salt(key, row))
    positions = np.arange(count)
    by_rows(lambda at: keys.salts(key, at, 2, 4), positions, some=20)
    offsets = rng.integers(0, 2**26, count)
    for form in (offsets, offsets[:, None]):
        by_rows(lambda at: keys.prf_values(key, 5, 77, at, -4, 11), form, some=40)


def _salt(key, leaf):
    """The salt of one leaf, by the keyed function itself (protocol section 4)."""
    x = np.zeros((1, 16), np.uint64)
    x[0, :8] = key
    x[0, 8:12] = int(poseidon2.Domain.SALT), 3, 9, leaf // 3
    return poseidon2.keyed(x)[0, 5 * (leaf % 3) : 5 * (leaf % 3) + 5]


def _root(digests: list[np.ndarray]) -> np.ndarray:
    level = digests
    while len(level) > 1:
        level += [np.zeros(8, np.uint64)] * (len(level) % 2)
        pairs = zip(level[::2], level[1::2], strict=True)
        level = [poseidon2.compress(a[None], b[None])[0] for a, b in pairs]
    return level[0]


@pytest.mark.parametrize("trees", [10, 30_000])
def test_many_trees(trees):
    """Trees of 3 leaves, of which some are opened; one more tree of as many leaves as trees."""
    rng = RNG(8)
    digests = rng.integers(0, P, (trees, 3, 8), dtype=np.uint64)
    roots = merkle.tree_roots(digests)
    for row in rows_of(trees, 30):
        same(roots[row], _root(list(digests[row])))
    chosen = np.flatnonzero(rng.integers(0, 2, 3 * trees))
    tree, leaf = np.divmod(chosen, 3)
    plan = merkle.plan_openings(np.full(trees, 3, np.int64), tree, leaf)
    sent = _siblings(digests, roots, tree, leaf)
    found = merkle.opened_roots(plan, digests[tree, leaf], sent)
    opened = np.bincount(tree, minlength=trees) > 0
    same(found[opened], roots[opened])
    assert not found[~opened].any()
    one = merkle.tree_roots(digests[:, 0][None])[0]
    every = np.arange(trees)
    all_open = merkle.plan_openings(np.array([trees]), np.zeros(trees, np.int64), every)
    none = np.zeros((0, 8), np.uint64)
    same(merkle.opened_roots(all_open, digests[:, 0], none)[0], one)
    assert all_open.sibling_counts.tolist() == [0]


def _siblings(digests, roots, tree, leaf):
    """Of trees of three leaves: leaf by leaf, then the missing inner node."""
    opened = np.zeros(digests.shape[:2], bool)
    opened[tree, leaf] = True
    left = poseidon2.compress(digests[:, 0], digests[:, 1])
    right = poseidon2.compress(digests[:, 2], np.zeros_like(left))
    sent = []
    for number, (a, b, c) in enumerate(opened.tolist()):
        if a != b:
            sent.append(digests[number, 1 if a else 0])
        if (a or b) != c:
            sent.append(right[number] if not c else left[number])
    return np.array(sent, np.uint64).reshape(-1, 8)


# draws, inputs, bytes


@pytest.mark.parametrize("count", SIZES)
def test_draws(count):
    seed, bound = bytes(range(32)), 2**62 + 12345
    found = sampling.draw(seed, 7, bound, count)
    limit, words = 2**64 // bound * bound, _words(seed, 7)
    expected = itertools.islice((word % bound for word in words if word < limit), count)
    assert found.tolist() == list(expected)
    numbers = (found % np.uint64(997)).astype(np.int64)
    same(arrays.distinct(numbers), np.array(sorted(set(numbers.tolist())), np.int64))


def _words(seed, stream):
    for block in itertools.count():
        head = b"zktally sample v1\0" + seed + stream.to_bytes(4, "little")
        digest = hashlib.sha256(head + block.to_bytes(8, "little")).digest()
        for at in range(0, 32, 8):
            yield int.from_bytes(digest[at : at + 8], "little")


@pytest.mark.parametrize("count", SIZES)
def test_helpers_of_arrays(count):
    rng = RNG(9)
    numbers = rng.integers(0, 500, count)
    values, times = arrays.counted(numbers)
    expected = Counter(numbers.tolist())
    assert dict(zip(values.tolist(), times.tolist(), strict=True)) == expected
    assert values.tolist() == sorted(expected)
    columns = rng.integers(0, 9, (3, count))
    distinct, which = arrays.distinct_rows(columns)
    assert list(map(tuple, distinct.T.tolist())) == sorted(set(map(tuple, columns.T.tolist())))
    same(distinct[:, which], columns)
    group, large = np.sort(numbers), rng.integers(2**54, 2**55, count) // count * 2 + 1
    sums: Counter[int] = Counter()
    for g, n in zip(group.tolist(), large.tolist(), strict=True):
        sums[g] += n
    assert arrays.sums_by_group(group, large, 501).tolist() == [sums[g] for g in range(501)]
    starts = arrays.run_starts(group)
    assert np.repeat(group[starts], arrays.lengths(starts, count)).tolist() == group.tolist()


def test_helpers_of_no_arrays():
    none = np.zeros(0, np.int64)
    assert [part.tolist() for part in arrays.counted(none)] == [[], []]
    assert arrays.sums_by_group(none, none, 2).tolist() == [0, 0]
    assert arrays.lengths(none, 0).tolist() == []
    assert arrays.distinct_rows(np.zeros((3, 0), np.int64))[0].shape == (3, 0)


@pytest.mark.parametrize("count", SIZES)
def test_values_and_bytes(count):
    rng = RNG(10)
    for width in (1, 2, 3):
        half = 1 << 8 * width - 1
        values = rng.integers(-half, half, (count, 3)).astype(inputs.DTYPES[width])
        packed = inputs.pack_values(values, width)
        cut = np.frombuffer(packed, np.uint8).reshape(count, -1)
        same(inputs.unpack_values(cut, width), values.astype(np.int64))
        for row in rows_of(count):
            assert cut[row].tobytes() == b"".join(
                (int(v) + half).to_bytes(width, "little") for v in values[row]
            )
        port = Port("x", 0, 0, PortKind.FLOAT, 0.37, 5)
        by_rows(lambda v, port=port: inputs.dequantise(port, v), values.astype(np.int64))


@pytest.mark.parametrize("count", SIZES)
def test_quantised_inputs(count):
    program, _ = programs.dense()
    x = RNG(11).normal(0, 3, (count, 6))
    batches, items = inputs.quantise(program, x)
    assert (len(batches), items) == (count // 2, count)
    flat = np.concatenate([batch[0] for batch in batches])
    for row in rows_of(count):
        same(flat[row], inputs.quantise(program, x[row : row + 1])[0][0][0][0])


# the field of the STARK


@pytest.mark.parametrize("count", [10, 100_000])
def test_field(count):
    """More rows than `field.dot` takes at once."""
    rng = RNG(12)
    a, b = (rng.integers(0, P, (count, 5), dtype=np.uint64) for _ in range(2))
    base = rng.integers(0, P, count, dtype=np.uint64)
    for call in (field.add, field.sub, field.mul):
        by_rows(call, a, b)
    by_rows(field.scale, a, base)
    by_rows(field.half, a)
    by_rows(field.inverse, a, some=40)
    by_rows(field.base_inverse, base, some=40)
    by_rows(field.positions_to_points, rng.integers(0, 2**24, count))
    for row in rows_of(count):
        x, y = (field.K(part[row].tolist()) for part in (a, b))
        assert tuple(field.mul(a[row : row + 1], b[row : row + 1])[0].tolist()) == (x * y).words
    columns = rng.integers(0, 2**32, (3, count), dtype=np.uint64).astype(np.uint32)
    parts = [field.dot(columns[:, at : at + PART], a[at : at + PART])
             for at in range(0, count, PART)]  # fmt: skip
    same(field.dot(columns, a), np.array(parts, np.uint64).sum(0) % np.uint64(P))
    x = field.K(a[0].tolist())
    powers = field.powers(x, count)
    for row in rows_of(count, 20):
        assert tuple(powers[row].tolist()) == (x**row).words
        assert field.base_powers(3, count)[row] == pow(3, row, P)


@pytest.mark.parametrize("largest", [1, 2**8 - 1, 2**8, 2**23 - 1, 2**23, 2**32 - 1])
@pytest.mark.parametrize("count", [1, 8_192, 100_000])
def test_sums_of_largest_words(largest, count):
    """No sum of floats leaves the integers that floats are exact for, with other words beside."""
    columns = np.full((4, count), [[largest], [0], [1], [2**32 - 1]], np.uint32)
    weights = np.full((count, 5), P - 1, np.uint64)
    expected = [[word * (P - 1) * count % P] * 5 for word in columns[:, 0].tolist()]
    same(field.dot(columns, weights), np.array(expected, np.uint64))


@pytest.mark.parametrize("zeta", [(5, 0, 0, 0, 0), (0, P - 1, 0, 3, 1), (1, 2, 3, 4, P - 5)])
@pytest.mark.parametrize("count", [1, 20_000])
def test_lagrange_basis(zeta, count):
    """`L_i(ζ)` by its formula, with division by a power, elements of F among the ζ."""
    log_rows, at = 15, field.K(zeta)
    every = np.append(np.arange(count, dtype=np.int64), (1 << log_rows) - 1)
    found = field.elements(lagrange(log_rows, every, at))
    root, size = field.root_of_unity(log_rows), 1 << log_rows
    common = (at**size - field.ONE) * field.K.of(pow(size, -1, P))
    for place in rows_of(len(every), 40):
        x = field.K.of(pow(root, int(every[place]), P))
        assert found[place] == x * common * (at - x) ** (P**5 - 2)


# the tables of a segment

MAKERS = {"covered": covered, "aligned": aligned, "wide": wide, "conv": programs.conv}


def _runs():
    for name, make in MAKERS.items():
        for c, op in enumerate(make()[0].ops):
            yield pytest.param(name, c, id=f"{name}-{op.name}")


@cache
def _checked(name):
    return check(MAKERS[name]()[0])


def _none() -> segments.OutputLeaves:
    empty = np.zeros(0, np.int64)
    return segments.OutputLeaves(empty, empty, empty)


def _split(run: segments.GateRun, size: int):
    for at in range(0, len(run.gates), size):
        part = slice(at, at + size)
        yield segments.GateRun(run.op, run.steps[part], run.gates[part])


def _tables(checked, found: leaves.Leaves, runs) -> dict[str, np.ndarray]:
    """The rows that runs give, before references become addresses, and what is ranged."""
    made = GateTables(checked, References(found))
    for run in runs:
        made.add(run)
    named = {name: getattr(made, name) for name in ("limbs", "gate", "pick", "scan", "div")}
    named["row_dot"] = made.streams.row_dot
    rows = {
        name: np.concatenate([np.zeros((table.columns.count, 0), np.int64), *table._parts], axis=1)
        for name, table in named.items()
    }
    ranged = np.concatenate([np.zeros(0, np.int64), *made.streams.ranged])
    return rows | _products(made) | {"ranged": arrays.distinct(ranged)[None]}


def _products(made: GateTables) -> dict[str, np.ndarray]:
    """The rows of read_dot as they are kept: heads, and products by place."""
    kept = made.streams.read_dot
    heads = np.concatenate([np.zeros((3, 0), np.uint32), *kept._heads], axis=1)
    none = (np.zeros((7, 0), np.int64),)
    laid = [np.concatenate([part.place[None], part.x, part.r, part.k]).astype(np.int64)
            for part in kept._products]  # fmt: skip
    products = np.concatenate([*none, *laid], axis=1)
    return {"heads": heads, "products": products[:, np.argsort(products[0])]}


@pytest.mark.parametrize("count", SIZES[1:])
@pytest.mark.parametrize(("name", "c"), list(_runs()))
def test_rows_of_gates(name, c, count):
    """Many gates in one run, in runs of 2,000; and 150 in one run and one by one.

    Of gates with many products 20,000, which is beyond all buffers, too.
    """
    checked = _checked(name)
    count = count if products(checked.program.ops[c]) <= 8 else 20_000
    size = gates_of(checked.program.ops[c])
    numbers = np.arange(count, dtype=np.int64)
    run = segments.GateRun(c, numbers // size, numbers % size)
    trees = Trees(checked.program, count // size + 1)
    opened = leaves.opened_keys(trees, segments.Items((run,), _none()))
    parts = [leaves.opened_keys(trees, segments.Items((part,), _none()))
             for part in _split(run, PART)]  # fmt: skip
    same(opened, arrays.distinct(np.concatenate(parts)))
    found = leaves.Leaves(trees, opened)
    _equal(_tables(checked, found, [run]), _tables(checked, found, _split(run, PART)))
    end = segments.GateRun(c, run.steps[-150:], run.gates[-150:])
    few = leaves.Leaves(trees, leaves.opened_keys(trees, segments.Items((end,), _none())))
    _equal(_tables(checked, few, [end]), _tables(checked, few, _split(end, 1)))
    made = GateTables(checked, References(few))
    made.add(end)
    same(*_in_parts(made.streams.read_dot))


def _equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name, rows in expected.items():
        same(found[name], rows)


def _noisy() -> Program:
    """A prf tensor, a wide one, one of two leaves a step, and a state."""
    read, i = programs.read, programs.i
    tensors = (
        programs.tensor("x", Role.INPUT, (4, 3), width=3, lo=-(2**20), cut=Layout((1, 0), 1, 3)),
        Tensor("noise", Role.PRF, 1, -4, 3, (4, 3), domain=5),
        Tensor("more", Role.PRF, 1, 0, 15, (4, 3), domain=5),
        programs.tensor("kept", Role.STATE, (4, 3), width=2),
        programs.tensor("next", Role.VALUE, (4, 3), width=2),
    )
    whole = [read(t, (4, 3), i(0), i(1)) for t in range(4)]
    one = programs.dot("next", 4, (4, 3), *(Term((), r, Const(1)) for r in whole), shift=Const(9))
    return Program("noisy", tensors, (), (one,), (programs.port("x", 0),), (),
                   (programs.StateLink(3, 4),))  # fmt: skip


@cache
def _segment(count: int):
    """A segment of so many gates of `_noisy`: leaves, references of what they read, reads."""
    checked = check(_noisy())
    numbers = np.arange(count, dtype=np.int64)
    run = segments.GateRun(0, numbers // 12, numbers % 12)
    trees = Trees(checked.program, count // 12 + 1)
    found = leaves.Leaves(trees, leaves.opened_keys(trees, segments.Items((run,), _none())))
    made = GateTables(checked, References(found))
    made.add(run)
    columns = [np.concatenate(list(made.streams.read_dot.references())),
               np.concatenate(list(made.gate.references()))]  # fmt: skip
    return checked, trees, run, found, columns


@pytest.mark.parametrize("count", SIZES)
def test_leaves_of_a_segment(count):
    checked, trees, run, found, _ = _segment(count)
    program = checked.program
    for number, tensor in enumerate(program.tensors):
        if tensor.layout is None:
            continue
        written = Sums.of(run.gates[:, None])
        address = found.addresses(number, run.steps, written).full()[:, 0]
        keys_, slot = (part.full() for part in leaves.leaf_keys(trees, number, run.steps, written))
        place = dict(zip(found.keys.tolist(), found.first_block.tolist(), strict=True))
        for row in range(count):
            tree = trees.number(number, int(run.steps[row]))
            leaf, at = _place(tensor.layout, tensor.shape, int(run.gates[row]))
            assert (keys_[row, 0], slot[row, 0]) == (tree << LEAF_BITS | leaf, at)
            assert address[row] == 48 * place[tree << LEAF_BITS | leaf] + at * tensor.width
    sizes = leaf_bytes(trees, found.tree, found.leaf)
    counts = leaf_counts(trees)
    for row in range(len(found)):
        tensor = program.tensors[int(trees.tensor_of[found.tree[row]])]
        held = Counter(_place(tensor.layout, tensor.shape, at)[0] for at in range(tensor.size))
        assert sizes[row] == tensor.width * held[int(found.leaf[row])]
        assert counts[found.tree[row]] == len(held)


@pytest.mark.parametrize("count", SIZES)
def test_reads_of_a_segment(count):
    """Uses, order and addresses of what is read whole, against counting one by one."""
    checked, _, _, found, original = _segment(count)
    columns = [column.copy() for column in original]
    every = [x for column in columns for x in column.tolist() if x != NONE]
    of_wide = Counter(x - WIDE for x in every if WIDE <= x < PRF)
    of_prf = Counter(x for x in every if x >= PRF)
    read = addresses.Reads.of(checked.program, columns, [])
    assert dict(zip(read.wide.tolist(), read.wide_uses.tolist(), strict=True)) == of_wide
    assert dict(zip(read.prf.tolist(), read.prf_uses.tolist(), strict=True)) == of_prf
    tensors = [checked.program.tensors[t] for t in prf_order(checked.program)]

    def place(x):
        x -= PRF
        return x >> 42, tensors[(x >> 30) & 4095].domain, x & (1 << 30) - 1, (x >> 30) & 4095

    order = sorted(of_prf, key=place)
    assert read.prf[read.prf_order].tolist() == order
    sponge = found.block_count + 1
    noise = addresses.noise_rows(checked.program, read, sponge, 0)
    calls = sorted({(*place(x)[:2], place(x)[2] // 16) for x in order})
    assert list(map(tuple, noise.noise[2:5].T.tolist())) == calls
    words = [16 * calls_at + place(x)[2] % 16
             for x, calls_at in zip(order, _indices(calls, order, place), strict=True)]  # fmt: skip
    assert noise.bits[1].tolist() == words
    uses = Counter(words)
    assert noise.noise[6:].T.ravel().tolist() == [uses[w] for w in range(16 * len(calls))]
    assert noise.bits[2].tolist() == [tensors[place(x)[3]].lo for x in order]
    assert noise.bits[3].tolist() == [16 if place(x)[3] else 8 for x in order]
    wide_table = addresses.wide_rows(checked.program, found, read, sponge)
    widths = {
        48 * block: checked.program.tensors[int(found.trees.tensor_of[tree])].width
        for block, tree in zip(found.first_block.tolist(), found.tree.tolist(), strict=True)
    }
    assert wide_table[1].tolist() == sorted(of_wide)
    assert wide_table[2].tolist() == [int(widths[x // 48 * 48] == 3) for x in sorted(of_wide)]
    assert wide_table[7].tolist() == list(range(48 * sponge, 48 * sponge + len(of_wide)))
    read.resolve(columns, sponge)
    rank = {x: 48 * sponge + at for at, x in enumerate(sorted(of_wide))}
    rank_prf = {x: 48 * sponge + len(rank) + at for at, x in enumerate(order)}
    for column, before in zip(columns, original, strict=True):
        expected = [0 if x == NONE else rank_prf[x] if x >= PRF else rank[x - WIDE]
                    for x in before.tolist()]  # fmt: skip
        assert column.tolist() == expected


def _indices(calls, order, place):
    number = {call: at for at, call in enumerate(calls)}
    return [number[(*place(x)[:2], place(x)[2] // 16)] for x in order]


@pytest.mark.parametrize("count", SIZES)
def test_hashing_rows_of_a_segment(count, monkeypatch):
    """Sponge, node and spread rows, against leaf by leaf and byte by byte."""
    _, trees, _, found, _ = _segment(count)
    none = np.zeros(0, np.int64)
    nothing = records.Records(trees, _statement(trees.steps), none, none)
    nodes = hashing.node_rows(found, nothing, 2**22)
    by_name = np.argsort(nodes.names)
    assert nodes.names[by_name].tolist() == sorted(set(found.tree.tolist()))
    expected, roots = _nodes(trees, found)
    assert nodes.columns[1:5].T.tolist() == expected
    assert nodes.roots[by_name].tolist() == roots
    uses = np.arange(found.block_count + 1)
    rows = hashing.SpongeRows(found, nothing, uses, 77)
    same(*_in_parts(rows))
    rows = np.asarray(rows)
    at = 0
    for leaf, (size, blocks) in enumerate(
        zip(found.bytes.tolist(), found.blocks.tolist(), strict=True)
    ):
        elements = -(-size // 3)
        for block in range(blocks):
            head = [int(not block), (elements + 5) * (not block), int(not block), 0,
                    int(block < blocks - 1), at, int(block == blocks - 1),
                    leaf * (block == blocks - 1)]  # fmt: skip
            assert rows[:8, at].tolist() == head
            data = [int(16 * block + j < elements) for j in range(16)]
            assert rows[8:24, at].tolist() == data
            assert rows[-17, at] == at
            at += 1
    assert rows[:8, -1].tolist() == [1, 8, 12, 0, 0, at, 1, 77]
    byte = RNG(13).integers(-1, 48 * found.block_count + 50, count)
    spread = addresses.SpreadRows([byte, byte[: count // 2]], found.block_count)
    same(*_in_parts(spread))
    spread = np.asarray(spread)
    times = Counter(x for x in [*byte.tolist(), *byte[: count // 2].tolist()]
                    if 0 <= x < 48 * found.block_count)  # fmt: skip
    blocks = sorted({x // 48 for x in times})
    assert spread[1].tolist() == blocks
    flat = [times[48 * block + place] for block in blocks for place in range(48)]
    assert spread[2:].T.ravel().tolist() == flat
    monkeypatch.setattr(addresses, "_FEW_BYTES", 0)
    sparse = addresses.SpreadRows([byte[:50], byte[:25]], found.block_count)
    monkeypatch.undo()
    dense = addresses.SpreadRows([byte[:50], byte[:25]], found.block_count)
    assert (sparse._uses is None) == (48 * found.block_count > 75)
    same(*_in_parts(sparse))
    same(np.asarray(sparse), np.asarray(dense))


def _statement(steps: int) -> Journal:
    """A statement about so many steps, of which only digests matter; none is zero."""
    digests = ("weights_root", "dataset_root", "chain_root", "input_root", "initial_state",
               "final_state", "exported_root", "prf_seed")  # fmt: skip
    return Journal(
        mode=1, seed=0, start=0,
        program_id=bytes(range(32)), first=5, steps=steps, items=steps, delta_ppm=50_000,
        delta_step_ppm=0, delta_op_ppm=0, bits=100, exact=(), input_key=None, inputs=None,
        outputs=b"", **{name: bytes([n + 1, 0, 0, 0]) * 8 for n, name in enumerate(digests)},
    )  # fmt: skip


@pytest.mark.parametrize("count", SIZES)
def test_records_of_a_segment(count):
    """Record rows and those of the sponge in parts, against element by element."""
    _, trees, _, found, _ = _segment(count)
    steps = np.arange(0, trees.steps, 3, dtype=np.int64)
    made = records.Records(trees, _statement(trees.steps), arrays.distinct(found.tree), steps)
    nodes = hashing.node_rows(found, made, 2**22)
    names, numbers = made.states()
    digests = records.Digests.of(
        made,
        np.concatenate([nodes.names, names]),
        np.concatenate([nodes.roots, len(found) + numbers]),
    )
    rows = records.RecordRows(made, digests, found.block_count)
    same(*_in_parts(rows))
    uses = np.ones(found.block_count + made.block_count, np.int64)
    same(*_in_parts(hashing.SpongeRows(found, made, uses, None)))
    rows = np.asarray(rows)
    address = {name: 8 * row for row, name in enumerate(digests.names.tolist())}
    taken: Counter[int] = Counter()
    at = 0
    for kind in made.kinds:
        for held in itertools.chain.from_iterable(part.tolist() for part in kind.parts()):
            for j, value in enumerate([*held, *[-1] * (16 * kind.blocks - len(held))]):
                row, column = at + j // 16, j % 16
                name, element = divmod(value - records.TAKEN, 8)
                is_taken = value >= records.TAKEN and name in address
                expected = [int(is_taken), int(0 <= value < records.TAKEN)]
                expected.append(address[name] + element if is_taken else max(value, 0))
                if value >= records.TAKEN and not is_taken:
                    expected[-1] = 0
                assert rows[[2 + column, 18 + column, 34 + column], row].tolist() == expected
                taken[name] += is_taken
            at += kind.blocks
    assert at == rows.shape[1]
    assert [8 * n for n in digests.columns[3].tolist()] == [
        taken[n] for n in digests.names.tolist()
    ]


def _in_parts(table) -> tuple[np.ndarray, np.ndarray]:
    """A table as a whole, and in parts of an odd size."""
    count = table.shape[1]
    parts = [table[:, at : at + 777] for at in range(0, max(1, count), 777)]
    return np.asarray(table), np.concatenate(parts, axis=1)


def _nodes(trees, found):
    """Left, has_left, right, has_right of each node, and the numbers of the roots."""
    by_tree: dict[int, list[tuple[int, int]]] = {}
    for number, (tree, leaf) in enumerate(
        zip(found.tree.tolist(), found.leaf.tolist(), strict=True)
    ):
        by_tree.setdefault(tree, []).append((leaf, number))
    sizes = leaf_counts(trees).tolist()
    rows, roots, number = [], [], len(found)
    for tree, known in sorted(by_tree.items()):
        width, level = sizes[tree], dict(known)
        while width > 1:
            above = {}
            for parent in sorted({node // 2 for node in level}):
                left, right = level.get(2 * parent), level.get(2 * parent + 1)
                rows.append([left or 0, int(left is not None), right or 0, int(right is not None)])
                above[parent] = number
                number += 1
            level, width = above, -(-width // 2)
        roots.append(level[0])
    return rows, roots
