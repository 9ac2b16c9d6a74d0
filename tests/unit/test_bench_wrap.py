"""The study of a wrap: counts against the verifier itself, and the plain Groth16 check."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from zktally.bench.wrap import groth16
from zktally.bench.wrap.count import (
    STYLES,
    constraints,
    constraints_of,
    read_costs,
    report,
    transcript,
    trees,
    verifier,
)
from zktally.bench.wrap.hashes import HASHES
from zktally.bench.wrap.shape import LAST, OUTER, OuterTable, Shape, planned, shape_of, today
from zktally.verifier.poseidon2 import compress
from zktally.verifier.reader import P
from zktally.verifier.stark import constraints as constraints_module
from zktally.verifier.stark import transcript as transcript_module
from zktally.verifier.stark import tree as tree_module
from zktally.verifier.stark import verify as verify_module
from zktally.verifier.stark.field import ZERO, K, elements
from zktally.verifier.stark.params import Hashing, Parameters, Profile
from zktally.verifier.stark.proof import Head, split_opened
from zktally.verifier.stark.statement import PresentTable, Statement
from zktally.verifier.stark.tables import Values, evaluate

PRESENT = (("sponge", 13), ("node", 12), ("range", 11))
VECTORS = [Path(groth16.__file__).with_name(f"{name}.json") for name in ("bn254", "bls12-381")]
ADR = Path(__file__).parents[2] / "docs" / "adr" / "0046-no-wrap-yet.md"

SHA256 = HASHES["SHA-256"]

with_pairing = pytest.mark.skipif(
    find_spec("py_ecc") is None, reason="py_ecc is not installed: the extra `peers`"
)


class Blocks:
    """SHA-256 that counts the blocks it is given."""

    def __init__(self) -> None:
        self.count = 0

    def sha256(self, data: bytes) -> object:
        self.count += -(-(len(data) + 9) // 64)
        return hashlib.sha256(data)


def stated(queries: int, random: np.random.Generator) -> tuple[Shape, Statement]:
    """The same tables as a shape and as the verifier's statement."""
    file = today()
    tables = {table.name: (index, table) for index, table in enumerate(file.tables)}
    present = []
    for name, log_rows in PRESENT:
        index, table = tables[name]
        publics = random.integers(1, P, (table.publics - 2, 3)).astype(np.uint32)
        present.append(PresentTable(index, log_rows, publics))
    shape = replace(shape_of(file, PRESENT), queries=queries)
    return shape, Statement(file, present, Parameters(Profile(shape.log_blowup), queries))


def one_query() -> Shape:
    return replace(shape_of(today(), PRESENT), queries=1, cap=0)


def test_rows_and_paths_take_the_blocks_that_the_verifier_hashes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shape, blocks = one_query(), Blocks()
    monkeypatch.setattr(tree_module, "hashlib", blocks)
    index = np.array([5])
    salted = [({h + shape.log_blowup: w for h, w in tree.items()}, 16) for tree in shape.trees]
    rounds = [({each.log_rows: 5 << each.log_arity}, 0) for each in shape.rounds]
    for widths, salt in salted + rounds:
        top = max(widths)
        rows = {
            level: tree_module.Rows(
                index >> (top - level),
                np.zeros((1, words + salt // 4), np.uint32),
                np.zeros((1, words), np.uint64),
            )
            for level, words in widths.items()
        }
        beside = np.zeros((top, 8), np.uint32)
        tree_module.Opening(rows, beside, Hashing.SHA256).root()
    assert trees(shape, SHA256)["sha256"] == blocks.count > 100


def test_a_cap_hashes_what_paths_share_once() -> None:
    deep, capped = (trees(replace(one_query(), queries=40, cap=cap), SHA256) for cap in (0, 4))
    trees_of_it = len(one_query().trees) + len(one_query().rounds)
    saved = trees_of_it * (40 * 4 - 15) * SHA256.node(False)["sha256"]
    assert deep["sha256"] - capped["sha256"] == saved


def test_the_transcript_takes_the_blocks_that_the_verifier_hashes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shape, statement = stated(9, np.random.default_rng(1))
    assert statement.opening_count == shape.openings
    assert [tree.widths for tree in statement.shapes] == [
        {height + shape.log_blowup: words for height, words in tree.items()} for tree in shape.trees
    ]
    head = Head(
        main_root=bytes(32),
        aux_root=bytes(32),
        terminals=[ZERO] * len(PRESENT),
        quotient_root=bytes(32),
        opened=np.zeros((shape.openings, 5), np.uint64),
        batch_nonce=1,
        rounds=[(bytes(32), 1)] * len(shape.rounds),
        final=np.zeros((1 << shape.log_final, 5), np.uint64),
        query_nonce=1,
    )
    blocks = Blocks()
    monkeypatch.setattr(transcript_module, "hashlib", blocks)
    monkeypatch.setattr(transcript_module, "demand", lambda *_: None)
    verify_module._draw(statement, bytes(32), head)
    publics = SHA256.absorb(5 * sum(table.publics for table in shape.tables))
    # The first state is a constant of a circuit.
    assert transcript(shape, SHA256)["sha256"] - publics["sha256"] == blocks.count - 1


class Degree:
    """A value that is a constant or not; products of two that are not are counted."""

    products = 0

    def __init__(self, constant: bool) -> None:
        self.constant = constant

    def __add__(self, other: Degree) -> Degree:
        return Degree(self.constant and other.constant)

    __sub__ = __add__

    def __mul__(self, other: Degree) -> Degree:
        Degree.products += not self.constant and not other.constant
        return Degree(self.constant and other.constant)


def test_products_of_constraints_are_those_that_are_evaluated() -> None:
    for table in today().tables:
        Degree.products = 0
        one = Degree(False)
        values = Values(
            public=[one] * table.publics,
            main=[one] * table.mains,
            next=dict.fromkeys(range(table.mains), one),
            first=one,
            last=one,
            of=lambda _: Degree(True),
        )
        evaluate(table, values)
        assert OuterTable.of(table, 11).products == Degree.products


def test_the_constraints_take_the_products_that_the_verifier_makes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, made = today(), 0
    random = np.random.default_rng(1)
    shape, statement = stated(9, random)
    opened = random.integers(1, P, (statement.opening_count, 5)).astype(np.uint64)
    alpha, beta, gamma, zeta, *terminals = elements(random.integers(1, P, (7, 5)))
    product = K.__mul__

    def counted(one: K, other: K) -> K:
        nonlocal made
        made += any(one.words[1:]) and any(other.words[1:])
        return product(one, other)

    monkeypatch.setattr(K, "__mul__", counted)
    monkeypatch.setattr(constraints_module, "demand", lambda *_: None)
    tables, chunks = split_opened(statement, opened)
    challenges = constraints_module.Challenges(alpha, beta, gamma, zeta)
    constraints_module.check_constraints(statement, challenges, terminals, tables, chunks)
    found = constraints(shape)
    assert len(file.tables) > len(shape.tables) == len(terminals)
    # More: a reduction of each denominator is counted as a product, and ζ is tried for domains.
    more = sum(table.lookups + 2 * table.groups for table in shape.tables)
    assert made <= found.total() <= made + more + 100


def test_the_planned_proof_is_one_of_100_bits() -> None:
    for shape in (planned(today()), planned(today(), LAST)):
        assert shape.proven_bits >= 100.5
        assert 150_000 < shape.proof_bytes() < 260_000


def test_every_operation_has_a_cost() -> None:
    costs = read_costs()
    for function in HASHES.values():
        found = sum(verifier(planned(today()), function).values(), Counter())
        assert set(+found) <= set(costs)
        assert all(constraints_of(found, costs, style) > 10**6 for style in STYLES)


def test_the_decision_has_the_numbers_that_are_counted() -> None:
    text = ADR.read_text(encoding="utf-8")
    shapes = [
        replace(planned(today(), sizes), fixed=fixed)
        for sizes in (OUTER, LAST)
        for fixed in (False, True)
    ]
    counted = " ".join(map(report, shapes))
    numbers = set(re.findall(r"\d[\d,.]*\d", counted))
    shown = re.findall(r"\d+(?:,\d{3})+", text.split("## Evidence")[0])
    assert len(shown) > 15
    assert set(shown) <= numbers


@with_pairing
@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_the_plain_check_accepts_what_arkworks_has_proven(path: Path) -> None:
    vector = groth16.read(path)
    assert groth16.holds(vector.key, vector.public, vector.proof)
    assert vector.public == (_root(2),)


@with_pairing
@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_the_plain_check_refuses_everything_else(path: Path) -> None:
    vector = groth16.read(path)
    key, public, proof = vector.key, vector.public, vector.proof
    curve = groth16._curve(key.curve)
    other = replace(proof, a=_negative(curve, proof.a))
    assert not groth16.holds(key, public, other)
    assert not groth16.holds(key, (public[0] + 1,), proof)
    assert not groth16.holds(replace(key, gamma=key.delta), public, proof)
    # Before any pairing: lengths, numbers that are not reduced, points that are none.
    assert not groth16.holds(key, (), proof)
    assert not groth16.holds(key, (public[0] + curve.curve_order,), proof)
    assert not groth16.holds(key, (-1,), proof)
    for name in ("a", "b", "c"):
        numbers = getattr(proof, name)
        for at in range(len(numbers)):
            for change in (1, curve.field_modulus):
                moved = (*numbers[:at], numbers[at] + change, *numbers[at + 1 :])
                assert not groth16.holds(key, public, replace(proof, **{name: moved}))
        assert not groth16.holds(key, public, replace(proof, **{name: (0,) * len(numbers)}))
        assert not groth16.holds(key, public, replace(proof, **{name: numbers[:-1]}))


@with_pairing
def test_a_point_outside_of_the_group_is_refused() -> None:
    vector = groth16.read(VECTORS[1])
    curve = groth16._curve("bls12-381")
    # y² = x³ + 4 has more points than those of order r; this one is of none of its multiples.
    q = curve.field_modulus
    point = next(
        (x, y)
        for x in range(1, 100)
        for y in [pow(x**3 + 4, (q + 1) // 4, q)]
        if y * y % q == (x**3 + 4) % q
    )
    assert curve.is_on_curve((curve.FQ(point[0]), curve.FQ(point[1]), curve.FQ(1)), curve.b)
    assert groth16._point(curve, point) is None
    assert not groth16.holds(vector.key, vector.public, replace(vector.proof, c=point))


def _negative(curve: SimpleNamespace, numbers: groth16.Numbers) -> groth16.Numbers:
    return numbers[0], curve.field_modulus - numbers[1]


def _root(levels: int) -> int:
    """The root of the path that the prototype proves, by the verifier's own Poseidon2."""
    seed = levels + 1

    def digest() -> np.ndarray:
        nonlocal seed
        words = []
        for _ in range(8):
            seed = (seed * 6_364_136_223 + 1_442_695_041) % P
            words.append(seed)
        return np.array([words], np.uint64)

    node, siblings = digest(), [digest() for _ in range(levels)]
    for level, sibling in enumerate(siblings):
        left = 0x5A5A5A5A >> level & 1
        node = compress(sibling, node) if left else compress(node, sibling)
    return sum(int(word) << (31 * at) for at, word in enumerate(node[0]))
