"""Receipts of three models under one proof, in two layers: both verifiers say the same of it."""

from __future__ import annotations

import json
from functools import cache

import forger
import hybrids
import judges
import numpy as np
import pytest

from zktally import _core
from zktally.prover.folding import prove_nodes
from zktally.verifier.errors import ZktallyError
from zktally.verifier.facts import Facts
from zktally.verifier.hybrid.aggregate import split_aggregate, verify_aggregate
from zktally.verifier.plain import from_json
from zktally.verifier.recursion.child import POINTS_BYTES

pytestmark = pytest.mark.nightly

NAMES = ("dense", "average", "trained")


@cache
def honest():
    """The aggregate of a receipt of each model."""
    receipts = [hybrids.hybrid_of(name, hybrids.FOLDABLE) for name in NAMES]
    return prove_nodes(_core.Folder.of_receipts(receipts))


def expected():
    return [forger.victim(name) for name in reversed(NAMES)]


def in_the_core(data):
    """Facts and outputs, as the core finds them."""
    demands = [one.to_json() for one in expected()]
    for one in demands:
        one["policy"]["modes"] = ["fast", "hybrid", "strict"]
    found = _core.verify_aggregate(data, json.dumps(demands))
    return [(from_json(Facts, json.loads(facts)), outputs) for facts, outputs in found]


def verdict(data):
    codes = []
    for judge in (in_the_core, lambda data: verify_aggregate(data, expected())):
        try:
            judge(data)
        except ZktallyError as error:
            codes.append(error.code)
        else:
            codes.append(judges.ACCEPTED)
    assert codes[0] == codes[1]
    return codes[0]


def test_facts_and_outputs_are_the_same():
    found, plainly = in_the_core(honest()), verify_aggregate(honest(), expected())
    assert [facts for facts, _ in found] == [facts for facts, _ in plainly]
    for (_, outputs), (_, others) in zip(found, plainly, strict=True):
        assert outputs.keys() == others.keys()
        assert all(np.array_equal(outputs[name], others[name]) for name in outputs)


def test_a_point_of_any_proof_is_another():
    start = len(honest()) - len(split_aggregate(honest()).proof)
    # Three segments, two nodes over them, and one over these.
    for at in range(start, start + 6 * POINTS_BYTES, 20):
        assert verdict(honest()[:at] + bytes(20) + honest()[at + 20 :]) == "verify.stark"
    at = start + 6 * POINTS_BYTES
    assert verdict(honest()[:at] + bytes(20) + honest()[at + 20 :]) == "verify.stark"


def test_a_bit_anywhere():
    rng = np.random.default_rng(9)
    for at in rng.integers(0, len(honest()), 12).tolist():
        byte = bytes([honest()[at] ^ 1 << int(rng.integers(8))])
        assert verdict(honest()[:at] + byte + honest()[at + 1 :]) != judges.ACCEPTED


def test_every_length():
    for length in (0, 6, 7, 8, 100, len(honest()) - 1):
        verdict(honest()[:length])
    assert verdict(honest() + b"\0") == "receipt.trailing-bytes"
