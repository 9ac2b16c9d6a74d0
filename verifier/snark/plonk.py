"""Checks a halo2 proof with KZG commitments over BN254, as ezkl makes them, in plain Python.

The protocol is PLONK with lookups by logarithmic derivatives and one batched opening (SHPLONK,
Boneh, Drake, Fisch, Gabizon 2020, section 4.2). Challenges come from Keccak-256 as in a contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..errors import InvalidProof
from .circuit import (
    ADVICE,
    CHALLENGE,
    CONSTANT,
    FIXED,
    NEGATION,
    OF_ADVICE,
    OF_FIXED,
    SUM,
    Circuit,
    Expression,
)
from .curve import (
    DELTA,
    GENERATOR,
    ROOT,
    Point,
    R,
    balanced,
    combined,
    in_second_group,
    on_curve,
)
from .keccak import keccak256


class _Transcript:
    """Reads the proof, and draws challenges from all that was read."""

    def __init__(self, circuit: Circuit, instances: Sequence[int], proof: bytes) -> None:
        self._proof = proof
        self._at = 0
        self._state = b"".join(each.to_bytes(32, "big") for each in (circuit.digest, *instances))
        self._fresh = True

    def _word(self, limit: int, what: str) -> int:
        data = self._proof[self._at : self._at + 32]
        self._at += 32
        self._state += data
        self._fresh = True
        value = int.from_bytes(data, "big")
        if value >= limit:
            raise _wrong(f"a {what} of the proof is too large")
        return value

    def scalar(self) -> int:
        return self._word(R, "scalar")

    def point(self) -> Point:
        x, y = self._word(1 << 256, "coordinate"), self._word(1 << 256, "coordinate")
        if not on_curve(x, y):
            raise _wrong("a point of the proof is not on the curve")
        return x, y

    def points(self, count: int) -> list[Point]:
        return [self.point() for _ in range(count)]

    def challenge(self) -> int:
        """A scalar; drawn twice without reading in between, a byte 1 tells them apart."""
        self._state = keccak256(self._state if self._fresh else self._state + b"\x01")
        self._fresh = False
        return int.from_bytes(self._state, "big") % R

    def challenges(self, count: int) -> list[int]:
        return [self.challenge() for _ in range(count)]


@dataclass(frozen=True)
class _Opening:
    """A commitment by its name, and its values at x·ω^rotation."""

    name: tuple[str, int]
    values: dict[int, int]


def check(circuit: Circuit, instances: Sequence[int], proof: bytes) -> None:
    """Whether the proof shows that the circuit holds for these public values.

    Args:
        circuit: what is proven; trusted, its digest is what the caller has pinned.
        instances: whole numbers below r.
        proof: its bytes.

    Raises:
        InvalidProof: `verify.snark`, it does not; the message says at which step.
        UnsupportedReceipt: `snark.no-checker`, there is no pairing.
    """
    if len(instances) != circuit.instances:
        raise _wrong("another number of public values")
    if len(proof) != circuit.proof_bytes:
        raise _wrong("a proof of another length")
    if not in_second_group(circuit.tau):
        raise _wrong("the string's point is not in the second group")
    _Check(circuit, instances, proof).run()


class _Check:
    def __init__(self, circuit: Circuit, instances: Sequence[int], proof: bytes) -> None:
        self.circuit = circuit
        self.instances = instances
        self.reads = _Transcript(circuit, instances, proof)
        self.points: dict[tuple[str, int], Point] = {}
        self.omega = pow(ROOT, 1 << (28 - circuit.k), R)

    def run(self) -> None:
        self._commitments()
        self._evaluations()
        self._lagrange()
        self._quotient()
        self._opening()

    def _named(self, name: str, count: int, first: int = 0) -> None:
        for number, point in enumerate(self.reads.points(count), start=first):
            self.points[name, number] = point

    def _commitments(self) -> None:
        """Rounds of commitments, each followed by its challenges."""
        circuit, reads = self.circuit, self.reads
        lookups, drawn, first = len(circuit.lookups), [], 0
        for columns, challenges in circuit.phases:
            self._named("advice", columns, first)
            first += columns
            drawn += reads.challenges(challenges)
        self.drawn = drawn
        self.theta = reads.challenge()
        self._named("multiplicity", lookups)
        self.beta, self.gamma = reads.challenges(2)
        self._named("product", circuit.products)
        self._named("sum", lookups)
        self._named("random", 1)
        self.y = reads.challenge()
        self._named("piece", circuit.quotients)
        self.x = reads.challenge()
        for name, points in (("fixed", circuit.fixed), ("sigma", circuit.sigma)):
            self.points |= {(name, number): point for number, point in enumerate(points)}

    def _evaluations(self) -> None:
        circuit, reads = self.circuit, self.reads
        last = len(range(circuit.products)) - 1

        def scalars(count: int) -> list[int]:
            return [reads.scalar() for _ in range(count)]

        self.advice = scalars(len(circuit.advice))
        self.fixed = scalars(len(circuit.fixed_queries))
        self.random = reads.scalar()
        self.sigma = scalars(len(circuit.permutation))
        self.product = [scalars(2 if i == last else 3) for i in range(circuit.products)]
        self.lookup = [scalars(3) for _ in circuit.lookups]

    def _lagrange(self) -> None:
        """The public column at x, and the selectors of the first, last and blinding rows."""
        circuit, x = self.circuit, self.x
        n = 1 << circuit.k
        self.x_n = pow(x, n, R)
        self.vanishing = (self.x_n - 1) % R
        if self.vanishing == 0:
            raise _wrong("the challenge x is a row")
        scale = self.vanishing * pow(n, -1, R) % R

        def lagrange(row: int) -> int:
            point = pow(self.omega, row % n, R)
            return scale * point * pow(x - point, -1, R) % R

        self.first, self.last = lagrange(0), lagrange(-(circuit.blinding + 1))
        self.blind = sum(lagrange(-row) for row in range(1, circuit.blinding + 1)) % R
        self.instance = (
            sum(each * lagrange(row) for row, each in enumerate(self.instances) if each) % R
        )
        self.active = (1 - self.last - self.blind) % R

    def _quotient(self) -> None:
        """All that must vanish on every row, by powers of y, over x^n − 1."""
        total = 0
        for term in (*self._gates(), *self._copies(), *self._tables()):
            total = (total * self.y + term) % R
        self.quotient = total * pow(self.vanishing, -1, R) % R

    def _gates(self) -> list[int]:
        return [self._value(gate) for gate in self.circuit.gates]

    def _value(self, expression: Expression) -> int:
        values: list[int] = []
        for line in expression:
            if line.op == CONSTANT:
                value = line.a
            elif line.op in (ADVICE, FIXED, CHALLENGE):
                value = (self.advice, self.fixed, self.drawn)[line.op - ADVICE][line.a]
            elif line.op == NEGATION:
                value = -values[line.a] % R
            elif line.op == SUM:
                value = (values[line.a] + values[line.b]) % R
            else:
                value = values[line.a] * values[line.b] % R
            values.append(value)
        return values[-1]

    def _copies(self) -> list[int]:
        """The permutation: products start at 1, are handed on, end at 0 or 1, and step rightly."""
        circuit, products = self.circuit, self.product
        found = [
            self.first * (1 - products[0][0]),
            self.last * (products[-1][0] ** 2 - products[-1][0]),
        ]
        found += [self.first * (after[0] - before[2]) for before, after in pairwise(products)]
        shift = self.beta * self.x % R
        for number, (here, following, *_) in enumerate(products):
            left, right = following, here
            start = number * circuit.chunk
            columns = circuit.permutation[start : start + circuit.chunk]
            for at, column in enumerate(columns, start=start):
                value = self._copied(column) + self.gamma
                left = left * (value + self.beta * self.sigma[at]) % R
                right = right * (value + shift) % R
                shift = shift * DELTA % R
            found.append((left - right) * self.active)
        return found

    def _copied(self, column: tuple[int, int]) -> int:
        kind, query = column
        if kind == OF_ADVICE:
            return self.advice[query]
        return self.fixed[query] if kind == OF_FIXED else self.instance

    def _tables(self) -> list[int]:
        """Lookups: sums of 1 over inputs less multiplicities over the table, zero in the end."""
        found = []
        for lookup, (here, following, multiplicity) in zip(
            self.circuit.lookups, self.lookup, strict=True
        ):
            table = self._compressed(lookup.table)
            inputs = [self._compressed(each) for each in lookup.inputs]
            product = 1
            for each in inputs:
                product = product * each % R
            others = 0
            for skipped in range(len(inputs)):
                part = 1
                for number, each in enumerate(inputs):
                    part = part * (each if number != skipped else 1) % R
                others += part
            step = table * product * (following - here) - others * table + multiplicity * product
            found += [self.first * here, self.last * here, self.active * step]
        return found

    def _compressed(self, expressions: Sequence[Expression]) -> int:
        total = 0
        for each in expressions:
            total = (total * self.theta + self._value(each)) % R
        return (total + self.beta) % R

    def _openings(self) -> list[_Opening]:
        """Every commitment with its values, in the order of first mention."""
        circuit = self.circuit
        found: dict[tuple[str, int], dict[int, int]] = {}

        def add(name: str, number: int, rotation: int, value: int) -> None:
            found.setdefault((name, number), {})[rotation] = value

        for (column, rotation), value in zip(circuit.advice, self.advice, strict=True):
            add("advice", column, rotation, value)
        for number, (here, following, *_) in enumerate(self.product):
            add("product", number, 0, here)
            add("product", number, 1, following)
        for number, values in reversed(list(enumerate(self.product))):
            if len(values) == 3:
                add("product", number, -(circuit.blinding + 1), values[2])
        for number, (here, following, multiplicity) in enumerate(self.lookup):
            add("sum", number, 0, here)
            add("sum", number, 1, following)
            add("multiplicity", number, 0, multiplicity)
        for (column, rotation), value in zip(circuit.fixed_queries, self.fixed, strict=True):
            add("fixed", column, rotation, value)
        for number, value in enumerate(self.sigma):
            add("sigma", number, 0, value)
        add("quotient", 0, 0, self.quotient)
        add("random", 0, 0, self.random)
        return [_Opening(name, dict(sorted(values.items()))) for name, values in found.items()]

    def _opening(self) -> None:
        """One batched opening of all commitments at all their points, and the pairing."""
        reads = self.reads
        zeta, nu = reads.challenges(2)
        w = reads.point()
        mu = reads.challenge()
        w_prime = reads.point()
        sets: dict[tuple[int, ...], list[_Opening]] = {}
        for each in self._openings():
            sets.setdefault(tuple(each.values), []).append(each)
        every = sorted({rotation for rotations in sets for rotation in rotations})
        at = {rotation: self.x * pow(self.omega, rotation, R) % R for rotation in every}
        if len(set(at.values())) < len(at):
            raise _wrong("two rotations are the same row")
        if any(mu == point for point in at.values()):
            raise _wrong("the challenge of the opening is an opened point")
        outside = [_product(mu - at[each] for each in every if each not in of) for of in sets]
        scale = pow(outside[0], -1, R)
        terms: list[tuple[int, Point]] = []
        constant, power = 0, 1
        for (rotations, openings), rest in zip(sets.items(), outside, strict=True):
            weights = _lagrange_at(mu, [at[each] for each in rotations])
            factor = power * rest % R * scale % R
            for each in openings:
                value = sum(w * v for w, v in zip(weights, each.values.values(), strict=True))
                constant = (constant + factor * value) % R
                terms += self._terms(each.name, factor)
                factor = factor * zeta % R
            power = power * nu % R
        inside = _product(mu - at[each] for each in next(iter(sets)))
        terms += [(-constant, GENERATOR), (-inside, w), (mu, w_prime)]
        if not balanced(combined(terms), w_prime, self.circuit.tau):
            raise _wrong("the pairing does not hold")

    def _terms(self, name: tuple[str, int], factor: int) -> list[tuple[int, Point]]:
        """A commitment times a factor; the quotient's is put together from its pieces."""
        if name != ("quotient", 0):
            return [(factor, self.points[name])]
        found = []
        for number in range(self.circuit.quotients):
            found.append((factor, self.points["piece", number]))
            factor = factor * self.x_n % R
        return found


def _product(factors: object) -> int:
    total = 1
    for each in factors:  # type: ignore[attr-defined]
        total = total * each % R
    return total


def _lagrange_at(mu: int, points: Sequence[int]) -> list[int]:
    """The weights with which values at the points make the value at mu."""
    found = []
    for i, here in enumerate(points):
        above = _product(mu - other for j, other in enumerate(points) if j != i)
        below = _product(here - other for j, other in enumerate(points) if j != i)
        found.append(above * pow(below, -1, R) % R)
    return found


def _wrong(why: str) -> InvalidProof:
    return InvalidProof(f"the SNARK does not hold: {why}", code="verify.snark")
