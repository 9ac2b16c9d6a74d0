"""Statements of toy tables whose foldable proofs are to be verified inside a proof, and points."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from zktally.verifier.reader import P
from zktally.verifier.recursion.child import Points, child_of
from zktally.verifier.stark.field import DEGREE, K

from .stark_reference import FOLDABLE, TABLES, toy_case

SHAPES = {
    "one height": {"walk_log": 11},
    "two heights": {"walk_log": 12},
    "three heights, all tables": {"walk_log": 11, "extra_log": 13, "range_log": 12},
    "far apart": {"walk_log": 16, "extra_log": 11},
}
"""Heights of the toy tables, by name."""


def element(seed: str) -> K:
    """An element of K that is always the same."""
    digest = hashlib.sha256(seed.encode()).digest()
    words = (int.from_bytes(digest[4 * i : 4 * i + 4], "little") % P for i in range(DEGREE))
    return K(tuple(words))


def points(seed: str = "") -> Points:
    """Points that are always the same."""
    return Points(*(element(name + seed) for name in ("alpha", "beta", "zeta")))


def child(shape: str = "two heights", queries: int = 9, seed: str = ""):
    """A child whose proof nobody has."""
    parameters = replace(FOLDABLE, queries=queries)
    case = toy_case(**SHAPES[shape], parameters=parameters)
    return child_of(TABLES, case.present, case.terms, parameters, case.context, points(seed))
