"""A Groth16 check in plain Python with py_ecc, for the files that the prototype writes.

`e(A, B) = e(α, β)·e(L, γ)·e(C, δ)`, L the combination of the key's points by the public values
(Groth 2016, section 3.2). A prototype: no receipt holds such a proof.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Numbers = tuple[int, ...]
"""Coordinates: x, y; of the second group real and imaginary part of x, then of y."""


@dataclass(frozen=True)
class Key:
    """What the set-up leaves to verifiers: α in the first group, β, γ, δ in the second."""

    curve: str
    alpha: Numbers
    beta: Numbers
    gamma: Numbers
    delta: Numbers
    of_public: tuple[Numbers, ...]


@dataclass(frozen=True)
class Proof:
    """A and C in the first group, B in the second."""

    a: Numbers
    b: Numbers
    c: Numbers


@dataclass(frozen=True)
class Vector:
    """A key, public values, a proof."""

    key: Key
    public: Numbers
    proof: Proof


def read(path: Path) -> Vector:
    """A file of the prototype.

    Raises:
        OSError, ValueError, KeyError: it cannot be read, or is none.
    """
    data = json.loads(path.read_text())

    def numbers(texts: Sequence[str]) -> Numbers:
        return tuple(int(text) for text in texts)

    def points(part: Mapping[str, Any], *names: str) -> dict[str, Numbers]:
        return {name: numbers(part[name]) for name in names}

    key = data["key"]
    return Vector(
        Key(
            curve=data["curve"],
            of_public=tuple(numbers(each) for each in key["of_public"]),
            **points(key, "alpha", "beta", "gamma", "delta"),
        ),
        numbers(data["public"]),
        Proof(**points(data["proof"], "a", "b", "c")),
    )


def holds(key: Key, public: Sequence[int], proof: Proof) -> bool:
    """Whether the proof shows that the key's circuit holds for these public values."""
    curve = _curve(key.curve)
    if len(public) != len(key.of_public) - 1:
        return False
    # A value and the same plus r would be one: it has to be reduced.
    if not all(0 <= value < curve.curve_order for value in public):
        return False
    firsts = [_point(curve, each) for each in (proof.a, key.alpha, proof.c, *key.of_public)]
    seconds = [_point(curve, each) for each in (proof.b, key.beta, key.delta, key.gamma)]
    if None in firsts or None in seconds:
        return False
    a, alpha, c, total, *others = firsts
    for value, point in zip(public, others, strict=True):
        total = curve.add(total, curve.multiply(point, value))
    product = curve.FQ12.one()
    for first, second in zip((curve.neg(a), alpha, c, total), seconds, strict=True):
        product = product * curve.pairing(second, first, final_exponentiate=False)
    return bool(curve.final_exponentiate(product) == curve.FQ12.one())


def _point(curve: Any, numbers: Numbers) -> Any:
    """A point of the group of order r, not infinity; None where the numbers are of none."""
    if not all(0 <= number < curve.field_modulus for number in numbers):
        return None
    if len(numbers) == 2:
        point = (*(curve.FQ(number) for number in numbers), curve.FQ.one())
        on_it = curve.is_on_curve(point, curve.b)
    elif len(numbers) == 4:
        point = (curve.FQ2(numbers[:2]), curve.FQ2(numbers[2:]), curve.FQ2.one())
        on_it = curve.is_on_curve(point, curve.b2)
    else:
        return None
    return point if on_it and curve.is_inf(curve.multiply(point, curve.curve_order)) else None


def _curve(name: str) -> Any:
    limit = sys.getrecursionlimit()
    try:
        from py_ecc import optimized_bls12_381, optimized_bn128
    finally:
        # py_ecc lifts the limit for the whole process.
        sys.setrecursionlimit(limit)
    return {"bn254": optimized_bn128, "bls12-381": optimized_bls12_381}[name]


def main() -> None:
    """Check the files that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vectors", nargs="+", type=Path)
    for path in parser.parse_args().vectors:
        vector = read(path)
        _curve(vector.key.curve)
        start = time.process_time()
        found = holds(vector.key, vector.public, vector.proof)
        print(f"{path}: {found}, {time.process_time() - start:.2f} s of the processor")


if __name__ == "__main__":
    main()
