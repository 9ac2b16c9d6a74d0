"""KoalaBear and its quintic extension K: single elements, and numpy arrays.

docs/stark.md section 1. In arrays everything is uint64 and below p; an array of elements of K has
a last axis of 5. Each product is reduced before more than four are added: (p − 1)² is below 2^62.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..reader import P

DEGREE = 5
TWO_ADICITY = 24
SHIFT = 3
"""The shift of the coset of every codeword."""

_GENERATOR = 0x6AC49F88
_HALF = (P + 1) // 2
_P = np.uint64(P)
_DOT_ROWS, _DOT_WORDS, _DOT_SLICE = 1 << 13, 1 << 15, 1 << 16
_SHORT, _LONG = 1 << 8, 1 << 23
"""Words below them, times 31 or 16 bits of a weight, summed over 2^13 rows stay below 2^53."""

_FEW = 64
"""Elements that are inverted one by one."""

_LOW, _HALF_WORD = np.uint64(0xFFFF), np.uint64(16)
_LOW_WORD, _HIGH_WORD = np.uint32(0xFFFF), np.uint32(16)

Base = NDArray[np.uint64]
"""Elements of F."""

Elements = NDArray[np.uint64]
"""Elements of K: the last axis has their 5 coefficients, lowest power first."""

Ints = NDArray[np.int64]


class Columns(Protocol):
    """Words [columns, rows] of which slices are looked at: an array, or what works them out."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Columns and rows."""

    def __getitem__(self, key: tuple[slice, slice], /) -> NDArray[np.unsignedinteger]:
        """Some rows of some columns."""


def root_of_unity(log_size: int) -> int:
    """`ω_k`, the generator of the subgroup of order 2^k."""
    return pow(_GENERATOR, 1 << (TWO_ADICITY - log_size), P)


class K:
    """One element of `F[X]/(X^5 + X^2 − 1)`; `words` are its coefficients, lowest power first."""

    __slots__ = ("words",)

    def __init__(self, words: Sequence[int]) -> None:
        self.words = tuple(words)

    @classmethod
    def of(cls, value: int) -> K:
        """An integer as an element of K."""
        return cls((value % P, 0, 0, 0, 0))

    def __add__(self, other: K) -> K:
        a0, a1, a2, a3, a4 = self.words
        b0, b1, b2, b3, b4 = other.words
        return K(((a0 + b0) % P, (a1 + b1) % P, (a2 + b2) % P, (a3 + b3) % P, (a4 + b4) % P))

    def __sub__(self, other: K) -> K:
        a0, a1, a2, a3, a4 = self.words
        b0, b1, b2, b3, b4 = other.words
        return K(((a0 - b0) % P, (a1 - b1) % P, (a2 - b2) % P, (a3 - b3) % P, (a4 - b4) % P))

    def __neg__(self) -> K:
        return K([-word % P for word in self.words])

    def __mul__(self, other: K) -> K:
        a0, a1, a2, a3, a4 = self.words
        b0, b1, b2, b3, b4 = other.words
        c5 = a1 * b4 + a2 * b3 + a3 * b2 + a4 * b1
        c6 = a2 * b4 + a3 * b3 + a4 * b2
        c7 = a3 * b4 + a4 * b3
        c8 = a4 * b4
        return K(
            (
                (a0 * b0 + c5 - c8) % P,
                (a0 * b1 + a1 * b0 + c6) % P,
                (a0 * b2 + a1 * b1 + a2 * b0 - c5 + c7 + c8) % P,
                (a0 * b3 + a1 * b2 + a2 * b1 + a3 * b0 - c6 + c8) % P,
                (a0 * b4 + a1 * b3 + a2 * b2 + a3 * b1 + a4 * b0 - c7) % P,
            )
        )

    def __pow__(self, exponent: int) -> K:
        result, square = ONE, self
        while exponent:
            if exponent & 1:
                result = result * square
            square = square * square
            exponent >>= 1
        return result

    def __eq__(self, other: object) -> bool:
        return isinstance(other, K) and self.words == other.words

    def __hash__(self) -> int:
        return hash(self.words)

    def __repr__(self) -> str:
        return f"K{self.words}"

    def to_bytes(self) -> bytes:
        """Five little-endian words."""
        return b"".join(word.to_bytes(4, "little") for word in self.words)

    def array(self) -> Elements:
        """The element as uint64 [5]."""
        return np.array(self.words, np.uint64)


ZERO = K((0, 0, 0, 0, 0))
ONE = K((1, 0, 0, 0, 0))
_X = K((0, 1, 0, 0, 0))
BASIS: Elements = np.eye(DEGREE, dtype=np.uint64)
"""The powers of X, [5, 5]."""


class Column:
    """Elements of F with the operators of a field: values uint64, below p, of any shape."""

    __slots__ = ("values",)

    def __init__(self, values: Base) -> None:
        self.values = values

    @classmethod
    def of(cls, value: int) -> Column:
        """An integer, to be broadcast."""
        return cls(np.array(value % P, np.uint64))

    def __add__(self, other: Column) -> Column:
        return Column((self.values + other.values) % _P)

    def __sub__(self, other: Column) -> Column:
        return Column((self.values + (_P - other.values)) % _P)

    def __mul__(self, other: Column) -> Column:
        return Column(self.values * other.values % _P)


def elements(array: Elements) -> list[K]:
    """The elements of an array [n, 5]."""
    return [K(words) for words in array.tolist()]


def add(a: Elements, b: Elements) -> Elements:
    """Sums, of elements of F or of K."""
    return (a + b) % _P


def sub(a: Elements, b: Elements) -> Elements:
    """Differences, of elements of F or of K."""
    return (a + (_P - b)) % _P


def scale(a: Elements, by: Base) -> Elements:
    """Elements of K [..., 5] times elements of F [...]."""
    return a * by[..., None] % _P


def half(a: Elements) -> Elements:
    """Elements of F or of K divided by two."""
    return a * np.uint64(_HALF) % _P


def mul(a: Elements, b: Elements) -> Elements:
    """Products of elements of K, [..., 5] each."""
    terms = a[..., :, None] * b[..., None, :] % _P
    wide = np.zeros((*terms.shape[:-2], 2 * DEGREE - 1), np.uint64)
    for power in range(DEGREE):
        wide[..., power : power + DEGREE] += terms[..., power, :]
    result: Elements = wide % _P @ _REDUCE % _P
    return result


def inverse(a: Elements) -> Elements:
    """Inverses of elements of K, [..., 5]; of zero: zero.

    The product of the five conjugates is in F: `a^(1 + p + … + p^4)`.
    """
    one = _linear(a, _FROBENIUS)
    two = mul(one, _linear(one, _FROBENIUS))
    four = mul(two, _linear(two, _FROBENIUS_TWICE))
    norm = mul(a, four)[..., 0]
    return scale(four, base_inverse(norm))


def conjugates(x: K) -> list[K]:
    """The others that the maps `y → y^(p^i)` of K over F make of an element: i = 1 to 4."""
    found = [x.array()]
    for _ in range(1, DEGREE):
        found.append(_linear(found[-1], _FROBENIUS))
    return elements(np.stack(found[1:]))


def base_inverse(a: Base) -> Base:
    """Inverses of elements of F of any shape; of zero: zero.

    The inverse of a product of two, times one of them, is that of the other: of many elements one
    is inverted.
    """
    flat = a.ravel()
    if len(flat) <= _FEW:
        return _inverse_one_by_one(flat).reshape(a.shape)
    middle = -(-len(flat) // 2)
    factors = np.ones(2 * middle, np.uint64)
    factors[: len(flat)] = np.where(flat == 0, factors[: len(flat)], flat)
    first, second = factors[:middle], factors[middle:]
    of_products = base_inverse(first * second % _P)
    inverses = np.concatenate([of_products * second % _P, of_products * first % _P])[: len(flat)]
    return np.where(flat == 0, flat, inverses).reshape(a.shape)


def _inverse_one_by_one(a: Base) -> Base:
    result, square, exponent = np.ones_like(a), a, P - 2
    while exponent:
        if exponent & 1:
            result = result * square % _P
        square = square * square % _P
        exponent >>= 1
    return result


def powers(x: K, count: int) -> Elements:
    """`x^0 … x^(count − 1)`, [count, 5]."""
    found = ONE.array()[None]
    while len(found) < count:
        found = np.concatenate([found, mul(found, (x ** len(found)).array())])
    return found[:count]


def base_powers(x: int, count: int) -> Base:
    """`x^0 … x^(count − 1)` in F, [count]."""
    found = np.ones(1, np.uint64)
    while len(found) < count:
        found = np.concatenate([found, found * np.uint64(pow(x, len(found), P)) % _P])
    return found[:count]


def dot(columns: Columns, weights: Elements) -> Elements:
    """Sums `Σ_r columns[c, r]·weights[r]`, [c, 5], of words below 2^32 [c, r] and K [r, 5].

    By numpy's products of floats, which are faster than those of integers. They are exact, in
    whatever order they are added, while all sums stay below 2^53: what has too many bits is cut.
    """
    total = np.zeros((columns.shape[0], DEGREE), np.uint64)
    # Columns that are made when they are asked for are asked for many rows at a time.
    for first in range(0, len(weights), _DOT_SLICE):
        words = np.asarray(columns[:, first : first + _DOT_SLICE]).astype(np.uint32, copy=False)
        factors = weights[first : first + _DOT_SLICE]
        for start in range(0, len(factors), _DOT_ROWS):
            rows = slice(start, start + _DOT_ROWS)
            total += _dot_rows(words[:, rows], factors[rows])
    return total % _P


def _dot_rows(words: NDArray[np.uint32], weights: Elements) -> Elements:
    """The same of at most 2^13 rows. Most columns are flags and bytes, or zero in all of them."""
    total = np.zeros((len(words), DEGREE), np.uint64)
    halves = np.concatenate([weights & _LOW, weights >> _HALF_WORD], axis=1)
    largest = words.max(axis=1)

    def between(least: int, end: int) -> Ints:
        return np.flatnonzero((largest >= least) & (largest < end))

    short, middle, long = between(1, _SHORT), between(_SHORT, _LONG), between(_LONG, 1 << 32)
    total[short] = _dot_floats(words[short], weights)
    total[middle] = _joined(_dot_floats(words[middle], halves))
    cut = words[long]
    low, high = (_joined(_dot_floats(w, halves)) for w in (cut & _LOW_WORD, cut >> _HIGH_WORD))
    total[long] = (low + (high << _HALF_WORD)) % _P
    return total


def _joined(sums: Elements) -> Elements:
    """Sums of low halves of weights and of high ones, [c, 10], as those of the weights."""
    joined: Elements = (sums[:, :DEGREE] + (sums[:, DEGREE:] << _HALF_WORD)) % _P
    return joined


def _dot_floats(words: NDArray[np.uint32], weights: Base) -> Base:
    """The sums of [c, r] times [r, n], whose bits leave them below 2^53, modulo p."""
    total = np.zeros((len(words), weights.shape[1]), np.uint64)
    if not len(words):
        return total
    factors = weights.astype(np.float64)
    # A part fits a processor's cache, and is too small to be shared among threads.
    part = max(_DOT_WORDS // len(words), 1)
    for start in range(0, len(factors), part):
        rows = slice(start, start + part)
        total += (words[:, rows].astype(np.float64) @ factors[rows]).astype(np.uint64)
    return total % _P


def positions_to_points(positions: Ints) -> Base:
    """`ω_l^rev(i)` of positions in a bit-reversed domain of any size 2^l.

    Bit j of a position stands for a factor `ω_(j+1)`, whatever the size is.
    """
    points = np.ones(positions.shape, np.uint64)
    for bit in range(TWO_ADICITY):
        factor = np.uint64(root_of_unity(bit + 1))
        points = np.where(positions >> bit & 1 == 1, points * factor % _P, points)
    return points


def _linear(a: Elements, matrix: Elements) -> Elements:
    """A linear map of K over F: row i of the matrix is the image of X^i."""
    result: Elements = (a[..., :, None] * matrix % _P).sum(-2) % _P
    return result


def _rows(images: list[K]) -> Elements:
    return np.array([image.words for image in images], np.uint64)


_REDUCE = _rows([_X**power for power in range(2 * DEGREE - 1)])
_FROBENIUS = _rows([(_X**power) ** P for power in range(DEGREE)])
_FROBENIUS_TWICE = _rows([(_X**power) ** P**2 for power in range(DEGREE)])
