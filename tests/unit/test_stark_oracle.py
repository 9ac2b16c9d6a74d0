"""F, K and the matrices of Poseidon2 beside galois, which shares no line with them."""

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
    """GF(p); its primitive element is given, so that nothing is searched for."""
    return galois.GF(P, primitive_element=3, verify=False)


@pytest.fixture(scope="module")
def modulus(base):
    return galois.Poly([1, 0, 0, 1, 0, P - 1], field=base)


def random(*shape, seed):
    found = np.random.default_rng(seed).integers(0, P, shape, dtype=np.int64)
    found.reshape(-1)[0] = P - 1
    return found


def of(base, k):
    """An element of K as a polynomial of galois, which has the highest power first."""
    return galois.Poly([int(word) for word in k.words[::-1]], field=base)


def to_k(poly):
    words = [int(word) for word in poly.coeffs[::-1]]
    return field.K(tuple(words + [0] * (5 - len(words))))


def test_the_modulus_of_k_is_irreducible(base, modulus):
    """Of degree 5, a prime: X^(p^5) = X, and no root in F."""
    x = galois.Poly([1, 0], field=base)
    once = power = pow(x, P, modulus)
    for _ in range(4):
        power = pow(power, P, modulus)
    assert power == x
    assert galois.gcd(once - x, modulus) == galois.Poly([1], field=base)


def test_arithmetic_of_k(base, modulus):
    a, b = (random(12, 5, seed=seed) for seed in (1, 2))
    product = field.elements(field.mul(a.astype(np.uint64), b.astype(np.uint64)))
    inverses = field.elements(field.inverse(a.astype(np.uint64)))
    for i in range(12):
        x, y = field.K(tuple(a[i].tolist())), field.K(tuple(b[i].tolist()))
        wanted = of(base, x) * of(base, y) % modulus
        assert to_k(wanted) == x * y == product[i]
        assert (of(base, inverses[i]) * of(base, x)) % modulus == galois.Poly([1], field=base)
        assert to_k(pow(of(base, x), 1_000_003, modulus)) == x**1_000_003


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
    rounds, outer, inner = poseidon2._rounds(width), external(base, width), internal(base, width)
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
    poly = galois.Poly(base(np.concatenate([[1], (-solved)[::-1]])))
    x = galois.Poly([1, 0], field=base)
    powers = [x]
    for _ in range(width):
        powers.append(pow(powers[-1], P, poly))
    assert powers[width] == x
    for prime in {2, 3} if width == 24 else {2}:
        assert galois.gcd(powers[width // prime] - x, poly).degree == 0
