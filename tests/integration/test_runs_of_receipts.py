"""Hybrid receipts of one run, judged together by both verifiers under the usual policy."""

from __future__ import annotations

from functools import cache

import pytest

from support.receipts import Prover
from zktally import Policy, VerifiedRun, ZktallyError, verify_chain
from zktally.prover import prove_job, wrapping_job

NONCE = b"the verifier's"
BACKENDS = ("rust", "python")


@cache
def receipts(bits: int) -> tuple[bytes, ...]:
    """A run in three hybrid receipts with this λ."""
    parts: list[Prover] = []
    for _ in range(3):
        before = {"follows": parts[-1]} if parts else {"declared": True}
        claims = {"nonce": NONCE, "bits": bits}
        parts.append(Prover("learner", steps=2, **before, **claims).commit())
    return tuple(prove_job(wrapping_job(part.receipt(), 0)) for part in parts)


def judged(bits: int, backend: str, policy: Policy | None = None) -> VerifiedRun:
    prover = Prover("learner", steps=2, declared=True, nonce=NONCE, bits=bits).commit()
    return verify_chain(
        receipts(bits),
        prover.journal.model_id,
        policy,
        dataset_root=prover.journal.dataset_root,
        nonce=NONCE,
        backend=backend,
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_higher_lambda_keeps_the_bits_of_a_run(backend):
    found = judged(104, backend, Policy(seed="nonce", start="declared"))
    assert found.bits >= 100
    assert min(each.headline_bits for each in found.receipts) >= 102
    assert (found.first, found.steps) == (0, 6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_usual_one_does_not(backend):
    with pytest.raises(ZktallyError) as refused:
        judged(102, backend)
    assert refused.value.code == "policy.bits"
    assert judged(102, backend, Policy(min_bits=98)).bits in (98, 99)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gap_is_refused(backend):
    prover = Prover("learner", steps=2, declared=True, nonce=NONCE, bits=104).commit()
    journal = prover.journal
    with pytest.raises(ZktallyError) as refused:
        verify_chain(
            receipts(104)[::2], journal.model_id, dataset_root=journal.dataset_root, nonce=NONCE,
            backend=backend,
        )  # fmt: skip
    assert refused.value.code == "verify.follows"
