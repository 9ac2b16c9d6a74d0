"""BN254: its fields, sums of multiples of points, and the pairing, which is py_ecc's.

The curve is y² = x³ + 3 over F_q; all of its points are in the group of order r. Points are pairs
of whole numbers, None is the point at infinity. Of the second group only one point is ever read.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from ..errors import UnsupportedReceipt

Q = 0x30644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD47
R = 0x30644E72E131A029B85045B68181585D2833E84879B9709143E1F593F0000001
"""Of the coordinates, and of the scalars."""

Point = tuple[int, int] | None
Twisted = tuple[int, int, int, int]
"""A point of the second group: real and imaginary part of x, then of y."""

GENERATOR: Point = (1, 2)
ROOT = pow(7, (R - 1) >> 28, R)
"""Of order 2^28."""
DELTA = pow(7, 1 << 28, R)
"""Of odd order: its powers tell the columns of the permutation apart."""

_Jacobian = tuple[int, int, int]
_ZERO: _Jacobian = (1, 1, 0)


def on_curve(x: int, y: int) -> bool:
    """Whether the coordinates, reduced, are those of a point."""
    return 0 <= x < Q and 0 <= y < Q and (y * y - x * x * x - 3) % Q == 0


def _doubled(p: _Jacobian) -> _Jacobian:
    x, y, z = p
    if z == 0:
        return p
    a, b = x * x % Q, y * y % Q
    c = b * b % Q
    d = 2 * ((x + b) * (x + b) - a - c) % Q
    e = 3 * a % Q
    x3 = (e * e - 2 * d) % Q
    return x3, (e * (d - x3) - 8 * c) % Q, 2 * y * z % Q


def _added(p: _Jacobian, q: _Jacobian) -> _Jacobian:
    if p[2] == 0:
        return q
    if q[2] == 0:
        return p
    (x1, y1, z1), (x2, y2, z2) = p, q
    zz1, zz2 = z1 * z1 % Q, z2 * z2 % Q
    u1, u2 = x1 * zz2 % Q, x2 * zz1 % Q
    s1, s2 = y1 * z2 * zz2 % Q, y2 * z1 * zz1 % Q
    if u1 == u2:
        return _doubled(p) if s1 == s2 else _ZERO
    h, r = u2 - u1, s2 - s1
    hh = h * h % Q
    hhh, v = h * hh % Q, u1 * hh % Q
    x3 = (r * r - hhh - 2 * v) % Q
    return x3, (r * (v - x3) - s1 * hhh) % Q, h * z1 * z2 % Q


def combined(terms: Iterable[tuple[int, Point]]) -> Point:
    """The sum of multiples of points, by windows of four bits."""
    window = 4
    tables, scalars = [], []
    for scalar, point in terms:
        if point is None or scalar % R == 0:
            continue
        table = [_ZERO, (*point, 1)]
        for _ in range(2, 1 << window):
            table.append(_added(table[-1], table[1]))
        tables.append(table)
        scalars.append(scalar % R)
    total = _ZERO
    for shift in reversed(range(0, 256, window)):
        for _ in range(window):
            total = _doubled(total)
        for table, scalar in zip(tables, scalars, strict=True):
            total = _added(total, table[scalar >> shift & 15])
    x, y, z = total
    if z == 0:
        return None
    inverse = pow(z, -1, Q)
    square = inverse * inverse % Q
    return x * square % Q, y * square * inverse % Q


def in_second_group(point: Twisted) -> bool:
    """Whether it is a point of the second group, of order r, and not infinity.

    Raises:
        UnsupportedReceipt: `snark.no-checker`, py_ecc is not installed.
    """
    curve = _py_ecc()
    if not all(0 <= each < Q for each in point) or not any(point):
        return False
    twisted = _twisted(point)
    on_it: bool = curve.is_on_curve(twisted, curve.b2)
    return on_it and bool(curve.is_inf(curve.multiply(twisted, R)))


def balanced(left: Point, right: Point, tau: Twisted) -> bool:
    """Whether e(left, G₂) = e(right, τ·G₂).

    Raises:
        UnsupportedReceipt: `snark.no-checker`, py_ecc is not installed.
    """
    curve = _py_ecc()
    minus = None if right is None else (right[0], -right[1] % Q)
    product = curve.FQ12.one()
    for point, second in ((left, curve.G2), (minus, _twisted(tau))):
        if point is not None:
            first = tuple(curve.FQ(each) for each in (*point, 1))
            product = product * curve.pairing(second, first, final_exponentiate=False)
    return bool(curve.final_exponentiate(product) == curve.FQ12.one())


def _twisted(point: Twisted) -> object:
    curve = _py_ecc()
    return curve.FQ2(point[:2]), curve.FQ2(point[2:]), curve.FQ2.one()


def _py_ecc() -> Any:
    limit = sys.getrecursionlimit()
    try:
        from py_ecc import optimized_bn128
    except ImportError as error:
        raise UnsupportedReceipt(
            "py_ecc is not installed, without which plain Python has no pairing",
            code="snark.no-checker",
            expected="the extra `snark`",
            hint="pip install py_ecc; or, with zktally and ezkl: --backend rust",
        ) from error
    finally:
        # py_ecc lifts the limit for the whole process, so that deep input overflows the stack.
        sys.setrecursionlimit(limit)
    return optimized_bn128
