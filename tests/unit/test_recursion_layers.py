"""Layers of proofs: how many, what they are about, in which order they are judged."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from support.foldable import SHAPES, child, element, points
from support.stark_reference import TOY, toy_case
from zktally.verifier import stark
from zktally.verifier.errors import InvalidProof, UnsupportedReceipt, ZktallyError
from zktally.verifier.reader import RECEIPT_CODES, P, Reader
from zktally.verifier.recursion import layers, publics
from zktally.verifier.recursion.child import POINTS_BYTES, Points, child_of
from zktally.verifier.recursion.tables import tables_file
from zktally.verifier.stark.field import SHIFT, K, root_of_unity
from zktally.verifier.stark.params import (
    FOLDABLE,
    OUTER,
    REFERENCE,
    REFERENCE_OF_NODES,
    choose,
    proven,
    reaching,
)


def reader(data):
    return Reader(data, RECEIPT_CODES)


def raw(count):
    """The points of so many nodes."""
    return b"".join(points(f"node {number}").to_bytes() for number in range(count))


@pytest.mark.parametrize(
    ("leaves", "nodes", "of_each"),
    [(1, [1], 104), (2, [1], 104), (3, [2, 1], 106), (8, [4, 1], 107), (9, [5, 2, 1], 107),
     (64, [32, 8, 2, 1], 110), (256, [128, 32, 8, 2, 1], 112)],
)  # fmt: skip
def test_how_many_nodes_there_are_and_what_each_must_show(leaves, nodes, of_each):
    assert layers.layers(leaves) == nodes
    assert layers.targets(leaves) == (of_each, 104)
    assert layers.targets(leaves, 104) == (of_each + 2, 106)
    assert sum(nodes) * 2**-of_each + 2**-104 <= 2**-103


@pytest.mark.parametrize("bits", [0, 102, 104, 107, 108, 109, 110, 256])
def test_every_number_of_leaves_has_parameters_at_every_lambda(bits):
    chosen = {
        (profile, least)
        for leaves in range(1, 257)
        for profile, least in zip((FOLDABLE, OUTER), layers.targets(leaves, bits), strict=True)
    }
    for profile, least in chosen:
        found = proven(reaching(profile, REFERENCE_OF_NODES, least), REFERENCE_OF_NODES)
        assert found.proven_bits - least > 2**-20


@pytest.fixture
def judged(monkeypatch):
    """What the engine is given of the outer proof, which is 7 bytes long."""
    calls = []

    def accept(data, **given):
        calls.append(given | {"data": bytes(data)})
        return 7

    monkeypatch.setattr(stark, "verify_stark", accept)
    return calls


@pytest.mark.parametrize(("leaves", "nodes"), [(1, 1), (2, 1), (3, 3)])
def test_nodes_have_points_and_the_outer_proof_comes_last(leaves, nodes, judged):
    given = reader(raw(nodes) + b"a proof and more")
    layers.verify_layers([child(seed=str(i)) for i in range(leaves)], given)
    assert given.position == nodes * POINTS_BYTES + 7
    (call,) = judged
    assert call["data"].startswith(b"a proof")
    assert call["parameters"] == reaching(3, REFERENCE_OF_NODES, 104)
    assert call["tables"] is tables_file()
    assert [one.index for one in call["present"]] == [0, 1, 2, 3, 4]


def test_points_of_a_node_that_end_or_are_not_elements(judged):
    with pytest.raises(ZktallyError) as refused:
        layers.verify_layers([child()], reader(raw(1)[:-1]))
    assert refused.value.code == "receipt.truncated"
    with pytest.raises(ZktallyError) as refused:
        layers.verify_layers([child()], reader(raw(1)[:-4] + P.to_bytes(4, "little") + b"proof.."))
    assert refused.value.code == "receipt.non-canonical"
    assert not judged


def test_other_points_are_another_outer_statement(judged):
    for seed in ("", "other"):
        layers.verify_layers([child(seed=seed)], reader(raw(1) + bytes(7)))
    first, second = judged
    assert first["context"] != second["context"]
    # The state before the first message of the node is a block of the outer proof.
    known = [call["public_terms"].groups[0].tuples for call in judged]
    assert known[0].shape == (1, 9)
    assert not np.array_equal(*known)


@pytest.mark.parametrize(
    "zeta",
    [K.of(1), K.of(root_of_unity(20)), K.of(SHIFT), K.of(SHIFT * root_of_unity(24) % P), K.of(0)],
)
def test_points_in_a_domain(zeta):
    case = toy_case(parameters=child().statement.parameters)
    given = (child().statement.file, case.present, case.terms, case.parameters, case.context)
    where = replace(points(), zeta=zeta)
    if zeta == K.of(0):
        child_of(*given, where)
        return
    with pytest.raises(InvalidProof) as refused:
        child_of(*given, where)
    assert refused.value.code == "verify.stark"


def test_a_challenge_that_meets_a_public_term():
    case = toy_case(parameters=child().statement.parameters)
    group, beta = case.terms.groups[0], element("beta")
    first, second = (K.of(int(word)) for word in group.tuples[3])
    alpha = K.of(group.bus) + beta * first + beta * beta * second
    with pytest.raises(InvalidProof) as refused:
        child_of(
            child().statement.file, case.present, case.terms, case.parameters, case.context,
            Points(alpha, beta, element("zeta")),
        )  # fmt: skip
    assert refused.value.code == "verify.stark"


def test_only_foldable_proofs_are_verified_inside():
    case = toy_case()
    given = (child().statement.file, case.present, case.terms, TOY, case.context, points())
    with pytest.raises(ValueError, match="foldable"):
        child_of(*given)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_a_child_is_at_its_points(shape):
    """First(ζ), Last(ζ), Z(ζ) and public columns, from their definitions."""
    found = child(shape)
    zeta, hiding = found.points.zeta, found.statement.hiding
    for at in found.heights:
        rows = 1 << at.log_rows
        omega, whole = root_of_unity(at.log_rows), zeta**rows - K.of(1)
        active = [K.of(pow(omega, i, P)) for i in range(rows - hiding)]
        # L_i(ζ)·(ζ − ω^i)·2^k = ω^i·(ζ^(2^k) − 1)
        assert at.first * (zeta - active[0]) * K.of(rows) == whole
        assert at.last * (zeta - active[-1]) * K.of(rows) == active[-1] * whole
        vanishing = K.of(1)
        for point in active:
            vanishing = vanishing * (zeta - point)
        assert at.vanishing == vanishing
        assert at.step == zeta ** len(active)
        assert at.next == zeta * K.of(omega)


def test_too_many_rows(monkeypatch):
    real = publics.log_rows
    monkeypatch.setattr(publics, "log_rows", lambda used, hiding: real(used << 12, hiding))
    with pytest.raises(UnsupportedReceipt) as refused:
        layers.verify_layers([child()], reader(raw(1)))
    assert refused.value.code == "verify.too-large"


def test_too_few_bits(monkeypatch):
    monkeypatch.setattr(layers, "INSIDE_BITS", 103 + 5)
    fewer = reaching(FOLDABLE, REFERENCE_OF_NODES, 104)
    monkeypatch.setattr(layers, "reaching", lambda *_: replace(fewer, queries=40))
    with pytest.raises(ZktallyError) as refused:
        layers.verify_layers([child()], reader(raw(1)))
    assert refused.value.code == "security.insufficient"


def inside(heights, seed):
    """A statement of tables that verify: in column c and row r of its 40 rows 1000·c + r."""
    present = []
    for index, log_rows in heights.items():
        columns = tables_file().tables[index].publics - 2
        words = 1000 * np.arange(columns)[:, None] + np.arange(40)
        present.append(stark.PresentTable(index, log_rows, words.astype(np.uint32)))
    terms = stark.PublicTerms(
        (stark.TermGroup(1, 1, np.arange(18, dtype=np.uint32).reshape(2, 9)),)
    )
    words = [tuple(range(seed + 5 * i, seed + 5 * i + 5)) for i in range(3)]
    parameters = choose(FOLDABLE, REFERENCE, 1, 102)
    own = Points(*map(K, words))
    return child_of(tables_file(), present, terms, parameters, bytes([seed]) * 32, own)


def test_the_statement_of_a_node_is_always_the_same():
    """The core finds the same: rust/core/src/recursion."""
    children = [inside({0: 13, 1: 12, 2: 13, 4: 11}, 1), inside({3: 11, 4: 11}, 101)]
    parameters = reaching(FOLDABLE, REFERENCE_OF_NODES, 104)
    node = layers.node_over(b"zktally node v1\0", children, parameters)
    digest = hashlib.sha256(node.context)
    for one in node.present:
        digest.update(bytes([one.index, one.log_rows]))
        digest.update(np.ascontiguousarray(one.publics.T).astype("<u4").tobytes())
    digest.update(node.terms.groups[0].tuples.astype("<u4").tobytes())
    assert [one.log_rows for one in node.present] == [14] * 5
    assert digest.hexdigest() == (
        "42620559704d53eba8dfc898948d9a5ec4cab88d4a7d8e98b112a74b1b926c24"
    )
