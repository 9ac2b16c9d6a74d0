"""F and the matrices of Poseidon2 beside galois, which shares no line with them; K by hand."""

from __future__ import annotations

import itertools

import galois
import numpy as np
import pytest

from zktally.verifier import poseidon2
from zktally.verifier.reader import P
from zktally.verifier.stark import constraints, field, fri


@pytest.fixture(scope="module")
def base():
    """GF(p); its primitive element is given, so that nothing is searched for, nor compiled."""
    return galois.GF(P, primitive_element=3, verify=False, compile="python-calculate")


MODULUS = [1, 0, 0, 1, 0, P - 1]
"""X^5 + X^2 − 1; polynomials are lists of coefficients by falling power."""


def random(*shape, seed):
    found = np.random.default_rng(seed).integers(0, P, shape, dtype=np.int64)
    found.reshape(-1)[0] = P - 1
    return found


def of(k):
    """An element of K as a polynomial."""
    return [int(word) for word in k.words[::-1]]


def test_the_modulus_of_k_is_irreducible():
    """Of degree 5, a prime: X^(p^5) = X, and no root in F."""
    x = [0, 0, 0, 1, 0]
    once = power = raised(x, P, MODULUS)
    for _ in range(4):
        power = raised(power, P, MODULUS)
    assert power == x
    less = [(a - b) % P for a, b in zip(once, x, strict=True)]
    assert any(less)
    assert len(common(MODULUS, less)) == 1


def remainder(a, m):
    """The rest of a by m, as many coefficients as m has but one; m's first is not 0."""
    a = list(a)
    for at in range(len(a) - len(m) + 1):
        factor = a[at] * pow(m[0], -1, P) % P
        for n, word in enumerate(m):
            a[at + n] = (a[at + n] - factor * word) % P
    return a[-(len(m) - 1) :]


def raised(a, power, m):
    """a^power mod m."""
    found = [0] * (len(a) - 1) + [1]
    for bit in f"{power:b}":
        for factor in [found, a] if bit == "1" else [found]:
            found = product(found, factor, m)
    return found


def product(a, b, m):
    """a·b mod m; both have as many coefficients as m has but one."""
    found = [0] * (2 * len(a) - 1)
    for i, j in itertools.product(range(len(a)), repeat=2):
        found[i + j] += a[i] * b[j]
    return remainder([word % P for word in found], m)


def common(a, b):
    """A greatest common divisor, without leading zeros."""
    while b := list(itertools.dropwhile(lambda word: word == 0, b)):
        a, b = b, remainder(a, b) if len(b) > 1 else []
    return a


def test_common_divisors_and_powers_are_right():
    square = [1, P - 5, 6]  # (X − 2)·(X − 3)
    assert remainder([1, 0], [1, P - 2]) == [2]
    assert common(square, [2, P - 4]) == [2, P - 4]
    assert len(common(square, [1, P - 4])) == 1
    assert raised([0, 0, 0, 0, 3], 5, [1, 0, 0, 0, 0, P - 7]) == [0, 0, 0, 0, 243]
    assert raised([0, 0, 0, 1, 0], 6, [1, 0, 0, 0, 0, P - 7]) == [0, 0, 0, 7, 0]


def test_arithmetic_of_k():
    a, b = (random(12, 5, seed=seed) for seed in (1, 2))
    products = field.elements(field.mul(a.astype(np.uint64), b.astype(np.uint64)))
    inverses = field.elements(field.inverse(a.astype(np.uint64)))
    for i in range(12):
        x, y = field.K(tuple(a[i].tolist())), field.K(tuple(b[i].tolist()))
        assert of(x * y) == of(products[i]) == product(of(x), of(y), MODULUS)
        assert product(of(inverses[i]), of(x), MODULUS) == [0, 0, 0, 0, 1]
        assert of(x**1_000_003) == raised(of(x), 1_000_003, MODULUS)


def test_roots_of_unity_and_inverses(base):
    for log_size in (1, 5, 24):
        root = base(field.root_of_unity(log_size))
        assert root ** (1 << log_size) == 1
        assert root ** (1 << (log_size - 1)) == P - 1
    values = random(200, seed=3)
    values[values == 0] = 1
    found = field.base_inverse(values.astype(np.uint64))
    assert (base(found.astype(np.int64)) * base(values) == 1).all()


def test_the_lagrange_basis_interpolates(base):
    """A column of which eight rows are not zero, at a point of F inside K."""
    log_rows, point = 3, 123_456_789
    values = base(random(8, seed=4))
    xs = base(field.root_of_unity(log_rows)) ** np.arange(8)
    wanted = galois.lagrange_poly(xs, values)(base(point))
    basis = constraints.lagrange(log_rows, np.arange(8, dtype=np.int64), field.K.of(point))
    assert not basis[:, 1:].any()
    assert (base(basis[:, 0].astype(np.int64)) * values).sum() == wanted


def test_folding_takes_the_coefficients_of_a_polynomial(base):
    """Eight values at X, −X, … fold to `Σ β^i·p_i(X^8)`, p = Σ X^i·p_i(X^8)."""
    beta, size = 987_654_321, 64
    coefficients = random(32, seed=5)
    poly = galois.Poly(base(coefficients[::-1]))
    points = base(field.positions_to_points(np.arange(size, dtype=np.int64)).astype(np.int64))
    values = np.zeros((size, 5), np.uint64)
    values[:, 0] = poly(points)
    rows = np.arange(size // 8, dtype=np.int64)
    found = fri.fold(values.reshape(size // 8, 8, 5), rows, field.K.of(beta))
    folded = base(beta) ** np.arange(8) @ base(coefficients.reshape(4, 8).T)
    wanted = galois.Poly(folded[::-1])(points[::8] ** 8)
    assert not found[:, 1:].any()
    assert (found[:, 0] == wanted).all()


def external(base, width):
    """circ(2·M4, M4, …) as a matrix, M4 = circ(2, 3, 1, 1)."""
    m4 = np.array([[2, 3, 1, 1], [1, 2, 3, 1], [1, 1, 2, 3], [3, 1, 1, 2]])
    blocks = np.ones((width // 4, width // 4), np.int64) + np.eye(width // 4, dtype=np.int64)
    return base(np.kron(blocks, m4))


def internal(base, width):
    """1 + Diag(V)."""
    v = poseidon2._diagonal(width)[:, 0].astype(np.int64)
    return base(np.ones((width, width), np.int64)) + base(np.diag(v))


@pytest.mark.parametrize("width", [16, 24])
def test_the_matrices_of_poseidon2(base, width):
    """The external layer is that matrix; both are invertible, M4 is MDS."""
    matrix = external(base, width)
    states = random(width, 7, seed=6)
    found = poseidon2._external_layer(states.astype(np.uint64))
    assert (found == matrix @ base(states)).all()
    assert np.linalg.det(matrix) != 0
    assert np.linalg.det(internal(base, width)) != 0


def test_m4_is_mds(base):
    """Every square part of M4 is invertible."""
    m4 = external(base, 16)[:4, 4:8]
    for size in (1, 2, 3, 4):
        for rows in itertools.combinations(range(4), size):
            for columns in itertools.combinations(range(4), size):
                assert np.linalg.det(m4[np.ix_(rows, columns)]) != 0


@pytest.mark.parametrize("width", [16, 24])
def test_a_permutation_of_matrices_and_cubes(base, width):
    """The whole permutation once more, by matrices."""
    rounds, outer, inner = (
        poseidon2.round_constants(width),
        external(base, width),
        internal(base, width),
    )
    start = random(width, seed=7)
    state = outer @ base(start)
    for constants in rounds.initial:
        state = outer @ (state + base(constants[:, 0].astype(np.int64))) ** 3
    for constant in rounds.partial:
        state[0] = (state[0] + base(int(constant))) ** 3
        state = inner @ state
    for constants in rounds.final:
        state = outer @ (state + base(constants[:, 0].astype(np.int64))) ** 3
    assert (poseidon2.permute(start.astype(np.uint64)[None, :])[0] == state).all()


@pytest.mark.parametrize("width", [16, 24])
def test_no_power_of_the_internal_matrix_keeps_a_subspace(base, width):
    """Its minimal polynomial is irreducible of full degree (the condition of Poseidon2's paper)."""
    matrix = internal(base, width)
    rows, vector = [], base(random(width, seed=8))
    for _ in range(width):
        rows.append(vector)
        vector = matrix @ vector
    # vector = Σ c_i·rows_i: the minimal polynomial of a vector that generates everything.
    solved = np.linalg.solve(base(np.stack(rows)).T, vector)
    poly = [1, *(int(word) for word in (-solved)[::-1])]
    x = [0] * (width - 2) + [1, 0]
    powers = [x]
    for _ in range(width):
        powers.append(raised(powers[-1], P, poly))
    assert powers[width] == x
    for prime in {2, 3} if width == 24 else {2}:
        less = [(a - b) % P for a, b in zip(powers[width // prime], x, strict=True)]
        assert any(less)
        assert len(common(poly, less)) == 1
