"""Succinct receipts around their outer proof: room, order, contexts, facts."""

from __future__ import annotations

import hashlib

import pytest

from support.foldable import points
from support.receipts import Prover
from zktally.prover.claims import usual_bits
from zktally.prover.receipt import encode_receipt
from zktally.verifier import stark
from zktally.verifier.describe import describe_receipt
from zktally.verifier.errors import ZktallyError
from zktally.verifier.hybrid import proofs, segments
from zktally.verifier.hybrid.verify import tables_file, verify_hybrid
from zktally.verifier.journal import HYBRID
from zktally.verifier.receipt import split_receipt
from zktally.verifier.recursion import layers
from zktally.verifier.recursion.child import POINTS_BYTES, child_of
from zktally.verifier.recursion.tables import tables_file as recursion_tables
from zktally.verifier.stark import params
from zktally.verifier.stark.field import K

OUTER = 70_000
"""Bytes of the outer proof."""


class Succinct:
    """A receipt of so many segments, whose outer proof is zeros."""

    def __init__(self, count=1, **claims):
        self.prover = Prover("conv", steps=2, **({"bits": usual_bits("hybrid")} | claims)).commit()
        self.program = bytes(split_receipt(self.prover.receipt()).program)
        self.prover.change(mode=HYBRID)
        self.journal = self.prover.journal.encode()
        self.digest = hashlib.sha256(self.journal).digest()
        self.start = self.digest + b"\4"
        every = range(count + sum(layers.layers(count)))
        self.points = b"".join(points(str(number)).to_bytes() for number in every)

    def receipt(self, rest=None):
        rest = self.points + bytes(OUTER) if rest is None else rest
        return encode_receipt(self.program, self.journal, self.start + rest)

    def code(self, rest=None):
        with pytest.raises(ZktallyError) as refused:
            verify_hybrid(self.receipt(rest), self.prover.expectations())
        return refused.value.code


@pytest.fixture
def judged(monkeypatch):
    """What the engine is given, instead of being asked."""
    calls = []

    def accept(data, **given):
        assert len(data) >= OUTER
        calls.append(given)
        return OUTER

    monkeypatch.setattr(stark, "verify_stark", accept)
    return calls


@pytest.fixture
def five(monkeypatch):
    """A receipt of five segments."""
    monkeypatch.setattr(segments, "SEGMENT_COST", 5000)
    count = describe_receipt(Succinct().receipt(bytes(1 << 20)))[0]["stark"]["segments"]
    assert count >= 5
    monkeypatch.setattr(segments, "SEGMENT_COST", 5000 * count // 5)
    succinct = Succinct(5)
    assert describe_receipt(succinct.receipt())[0]["stark"]["segments"] == 5
    return succinct


def test_one_segment(judged):
    succinct = Succinct()
    facts, _ = verify_hybrid(succinct.receipt(), succinct.prover.expectations())
    assert (facts.stark.profile, facts.stark.segments, facts.headline_bits) == ("succinct", 1, 100)
    # 2^-102 of sampling, about as much of the segment, and 2^-103 of the proofs around it.
    assert 101 <= facts.stark.bits < 103
    (given,) = judged
    assert given["tables"] is recursion_tables()
    assert given["parameters"] == params.reaching(params.OUTER, params.REFERENCE_OF_NODES, 104)
    described, text = describe_receipt(succinct.receipt())
    assert described["stark"] == {"profile": "succinct", "segments": 1}
    assert "(succinct profile)" in text


def test_several_segments(five, judged, monkeypatch):
    calls = []
    monkeypatch.setattr(proofs, "child_of", lambda *given: calls.append(given) or child_of(*given))
    facts, _ = verify_hybrid(five.receipt(), five.prover.expectations())
    assert (facts.stark.segments, len(calls), len(judged)) == (5, 5, 1)
    tables, _, _, parameters, context, own = calls[3]
    assert (tables, own) == (tables_file(), points("3"))
    # As of a foldable receipt.
    assert parameters == stark.choose(params.FOLDABLE, params.REFERENCE, 5, 102)
    ends = b"\2" + (3).to_bytes(4, "little") + (5).to_bytes(4, "little")
    data = b"zktally hybrid v2\0" + five.digest + ends
    assert context == hashlib.sha256(data).digest()


def test_the_order_of_refusals(five, judged):
    """Each change is refused by its own code, though all later ones are there, too."""
    least = 5 * POINTS_BYTES + segments.LEAST_PROOF
    assert five.code(bytes(least - 1)) == "receipt.truncated"
    good, bad = five.points + bytes(OUTER), b"\xff" * 4
    in_domain = good[:40] + K.of(1).to_bytes() + good[60:]
    # The words of all points of segments come before what is at any of them.
    assert five.code(in_domain[:296] + bad + good[300:]) == "receipt.non-canonical"
    assert five.code(in_domain[:300] + bad + good[304:]) == "verify.stark"
    assert five.code(good[:300] + bad + good[304:]) == "receipt.non-canonical"
    assert not judged
    assert five.code(good + b"\0") == "receipt.trailing-bytes"


def test_zeros_are_no_outer_proof():
    assert Succinct().code() == "verify.stark"


def test_at_most_64_segments(monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_COST", 300)
    succinct, enough = Succinct(), 65 * POINTS_BYTES + segments.LEAST_PROOF
    assert succinct.code(bytes(enough)) == "verify.too-large"
    assert succinct.code(bytes(enough - 1)) == "receipt.truncated"


def test_what_the_bytes_have_room_for():
    rule = segments.SUCCINCT
    segments.judge_count(64, 64 * POINTS_BYTES + segments.LEAST_PROOF, rule)
    for count, room, code in [
        (65, 1 << 30, "verify.too-large"),
        (1000, 65 * POINTS_BYTES + segments.LEAST_PROOF, "verify.too-large"),
        (1000, 65 * POINTS_BYTES + segments.LEAST_PROOF - 1, "receipt.truncated"),
        (64, 64 * POINTS_BYTES + segments.LEAST_PROOF - 1, "receipt.truncated"),
    ]:
        with pytest.raises(ZktallyError) as refused:
            segments.judge_count(count, room, rule)
        assert refused.value.code == code


def test_an_outer_profile_is_none_of_receipts():
    succinct = Succinct()
    succinct.start = succinct.digest + b"\3"
    assert succinct.code() == "receipt.non-canonical"
