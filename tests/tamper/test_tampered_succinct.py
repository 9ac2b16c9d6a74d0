"""A succinct receipt, damaged anywhere: both verifiers refuse it, with one code."""

from __future__ import annotations

from functools import cache

import forger
import hybrids
import judges
import numpy as np
import pytest
from anatomy import join

from zktally import _core
from zktally.prover.folding import prove_nodes
from zktally.verifier.hybrid.verify import verify_hybrid
from zktally.verifier.journal import Journal
from zktally.verifier.reader import P
from zktally.verifier.receipt import split_receipt
from zktally.verifier.recursion.child import POINTS_BYTES
from zktally.verifier.stark.field import SHIFT, K, root_of_unity

NODES = hybrids.HEAD + POINTS_BYTES
OUTER = NODES + POINTS_BYTES
"""Where the points of the node and the outer proof begin."""

ONE = K.of(1).to_bytes()
TOO_LARGE = P.to_bytes(4, "little")


@cache
def parts():
    """Program, statement and proof section of a receipt of one segment."""
    sections = split_receipt(hybrids.hybrid_of("dense", hybrids.FOLDABLE))
    program, journal, proof = (
        bytes(part) for part in (sections.program, sections.journal, sections.proof)
    )
    return program, journal, prove_nodes(_core.Folder.of_receipt(program, journal, proof))


def verdict(proof, journal=None):
    program, own, _ = parts()
    receipt = join(program, own if journal is None else journal, proof)
    found, other = judges.both(receipt, forger.victim("dense"))
    assert found == other
    return found


def changed(at, data):
    _, _, proof = parts()
    return proof[:at] + data + proof[at + len(data) :]


def test_an_honest_one_is_accepted():
    program, journal, proof = parts()
    assert verdict(proof) == judges.ACCEPTED
    facts, _ = verify_hybrid(join(program, journal, proof), forger.victim("dense"))
    assert (facts.stark.profile, facts.stark.segments) == ("succinct", 1)
    assert facts.headline_bits == 100
    assert len(proof) < 200_000


CASES = {
    "another profile": (32, b"\2", "receipt.non-canonical"),
    "the outer profile": (32, b"\3", "receipt.non-canonical"),
    "a word of a segment's points is p": (hybrids.HEAD + 8, TOO_LARGE, "receipt.non-canonical"),
    "a word of a node's points is p": (NODES + 56, TOO_LARGE, "receipt.non-canonical"),
    "another α of the segment": (hybrids.HEAD, ONE, "verify.stark"),
    "another β of the segment": (hybrids.HEAD + 20, ONE, "verify.stark"),
    "ζ of the segment is a row": (hybrids.HEAD + 40, ONE, "verify.stark"),
    "ζ of the segment is elsewhere": (hybrids.HEAD + 40, bytes(20), "verify.stark"),
    "another α of the node": (NODES, ONE, "verify.stark"),
    "another β of the node": (NODES + 20, ONE, "verify.stark"),
    "ζ of the node lies on the coset": (
        NODES + 40, K.of(SHIFT * root_of_unity(9) % P).to_bytes(), "verify.stark",
    ),
    "ζ of the node is elsewhere": (NODES + 40, bytes(20), "verify.stark"),
    "another root of the outer proof": (OUTER, bytes(4), "verify.stark"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_change_is_refused(name):
    at, data, code = CASES[name]
    if name == "another profile":
        # As a foldable receipt it is read otherwise: a proof, where points are.
        assert verdict(changed(at, data)) in (code, "verify.stark")
    else:
        assert verdict(changed(at, data)) == code


def test_every_length_is_refused():
    _, _, proof = parts()
    for length in (0, 32, 33, NODES - 1, NODES, OUTER - 1, OUTER, len(proof) - 1):
        assert verdict(proof[:length]) == "receipt.truncated"
    assert verdict(proof + b"\0") == "receipt.trailing-bytes"


def test_a_bit_anywhere():
    _, _, proof = parts()
    rng = np.random.default_rng(8)
    for at in rng.integers(hybrids.HEAD, len(proof), 12).tolist():
        word = bytes([proof[at] ^ 1 << int(rng.integers(8))])
        assert verdict(changed(at, word)) in ("verify.stark", "receipt.non-canonical")


def test_another_statement():
    _, journal, proof = parts()
    bits = Journal.decode(journal).bits + 1
    restated = hybrids.Hybrid(b"", journal, 4, []).restated(bits=bits).journal
    assert verdict(proof, restated) == "verify.journal-mismatch"
    answering = hybrids.Hybrid(b"", restated, 4, [proof[hybrids.HEAD :]])
    assert verdict(answering.proof, restated) == "verify.stark"


def test_points_of_another_proof_of_the_same_segment():
    """Points and outer proof are of one proof of the segment."""
    program, journal, _ = parts()
    again = split_receipt(hybrids.proven(forger.receipt_of("dense"), hybrids.FOLDABLE))
    assert bytes(again.journal) == journal
    other = prove_nodes(_core.Folder.of_receipt(program, journal, bytes(again.proof)))
    assert verdict(other) == judges.ACCEPTED
    for start, end in ((hybrids.HEAD, NODES), (NODES, OUTER)):
        assert verdict(changed(start, other[start:end])) == "verify.stark"
