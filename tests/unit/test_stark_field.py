"""F and K: identities, both ways of computing, the largest values."""

from __future__ import annotations

import numpy as np
import pytest

from zktally.verifier.reader import P
from zktally.verifier.stark.field import (
    ONE,
    ZERO,
    Column,
    K,
    base_inverse,
    base_powers,
    conjugates,
    dot,
    elements,
    half,
    inverse,
    mul,
    positions_to_points,
    powers,
    root_of_unity,
    scale,
    sub,
)

X = K((0, 1, 0, 0, 0))


def random(*shape, seed=0):
    found = np.random.default_rng(seed).integers(0, P, (*shape, 5), dtype=np.uint64)
    found.reshape(-1, 5)[0], found.reshape(-1, 5)[1] = P - 1, 0
    return found


def schoolbook(a, b):
    """The product by definition: multiply, then replace X^5 by 1 − X^2 from the top."""
    wide = [0] * 9
    for i, x in enumerate(a.words):
        for j, y in enumerate(b.words):
            wide[i + j] += x * y
    for power in range(8, 4, -1):
        wide[power - 5] += wide[power]
        wide[power - 3] -= wide[power]
    return K([word % P for word in wide[:5]])


def test_products_are_those_of_the_definition():
    a, b = random(50), random(50, seed=1)[::-1]
    expected = [schoolbook(x, y) for x, y in zip(elements(a), elements(b), strict=True)]
    assert elements(mul(a, b)) == expected
    assert [x * y for x, y in zip(elements(a), elements(b), strict=True)] == expected
    largest = np.full((3, 5), P - 1, np.uint64)
    assert elements(mul(largest, largest))[0] == schoolbook(*elements(largest)[:2])


def test_k_is_a_field_of_p_to_the_fifth():
    assert X**5 + X**2 - ONE == ZERO
    assert X ** (P**5) == X
    assert X**P != X
    assert (X + ONE) ** (P**5 - 1) == ONE


def test_inverses():
    a = random(40)
    found = elements(mul(a, inverse(a)))
    assert found == [ONE, ZERO] + [ONE] * 38
    base = a[:, 0]
    assert (base * base_inverse(base) % np.uint64(P) == (base != 0)).all()
    assert (half(a) * np.uint64(2) % np.uint64(P) == a).all()


def test_both_arithmetics_agree():
    a, b = random(20), random(20, seed=1)
    pairs = list(zip(elements(a), elements(b), strict=True))
    assert elements(sub(a, b)) == [x - y for x, y in pairs]
    assert elements(scale(a, b[:, 0])) == [x * K.of(y.words[0]) for x, y in pairs]
    x, y = Column(a[:, 0]), Column(b[:, 0])
    for found, expected in (
        (x + y, [p.words[0] + q.words[0] for p, q in pairs]),
        (x - y, [p.words[0] - q.words[0] for p, q in pairs]),
        (x * y, [p.words[0] * q.words[0] for p, q in pairs]),
    ):
        assert found.values.tolist() == [value % P for value in expected]
    assert int(Column.of(-1).values) == P - 1


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_powers(count):
    x = K((3, 1, 4, 1, 5))
    assert elements(powers(x, count)) == [x**i for i in range(count)]
    assert base_powers(5, count).tolist() == [pow(5, i, P) for i in range(count)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (3, 20_000), (40, 900), (5000, 20)])
def test_dot_against_integers(dtype, columns, rows):
    generator = np.random.default_rng(columns)
    most = min(np.iinfo(dtype).max, 2**32 - 1)
    words = generator.integers(0, most, (columns, rows), dtype, endpoint=True)
    weights = generator.integers(0, P, (rows, 5), np.uint64)
    chosen = range(0, columns, max(columns // 3, 1))
    expected = [
        [
            sum(x * w for x, w in zip(words[c].tolist(), column, strict=True)) % P
            for column in weights.T.tolist()
        ]
        for c in chosen
    ]
    assert dot(words, weights)[list(chosen)].tolist() == expected


def test_dot_with_the_largest_words_of_many_rows():
    rows = (1 << 16) + 3
    columns = np.full((2, rows), 2**32 - 1, np.uint32)
    columns[1] = np.arange(rows)
    weights = np.full((rows, 5), P - 1, np.uint64)
    expected = [-(2**32 - 1) * rows % P, -(rows * (rows - 1) // 2) % P]
    assert dot(columns, weights).tolist() == [[value] * 5 for value in expected]
    assert dot(columns[:, :0], weights[:0]).tolist() == [[0] * 5] * 2


def test_dot_asks_for_many_rows_at_a_time():
    """Columns that are made when they are asked for cost as much each time."""
    rows, asked = (1 << 17) + 5, []

    class Made:
        shape = (99, rows)

        def __getitem__(self, key):
            asked.append(key[1])
            first, end, _ = key[1].indices(rows)
            return np.full((99, end - first), 7, np.uint32)

    weights = np.full((rows, 5), 3, np.uint64)
    assert dot(Made(), weights).tolist() == [[21 * rows % P] * 5] * 99
    assert len(asked) == 3


def test_roots_of_unity_and_points_of_positions():
    for log in range(25):
        root = root_of_unity(log)
        assert pow(root, 1 << log, P) == 1
        assert log == 0 or pow(root, 1 << (log - 1), P) == P - 1
    for log in (3, 6):
        reverse = [int(f"{i:0{log}b}"[::-1], 2) for i in range(1 << log)]
        points = positions_to_points(np.arange(1 << log, dtype=np.int64))
        assert points.tolist() == [pow(root_of_unity(log), i, P) for i in reverse]


@pytest.mark.parametrize("words", [(7, 0, 0, 0, 0), (1, 2, 3, 4, P - 5)])
def test_conjugates_are_powers(words):
    x = K(words)
    found = conjugates(x)
    assert found == [x**P**i for i in range(1, 5)]
    product = x
    for conjugate in found:
        product = product * conjugate
    assert product.words[1:] == (0, 0, 0, 0)
