"""Tamperings of strict receipts: every gate is proven, and nothing else may be called so."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import replace
from functools import cache

import forger
import hybrids
from anatomy import dissect as dissect_fast
from anatomy import join
from forger import committed, receipt_of, victim
from hybrids import dissect, hybrid_of
from registry import tampering

from support.receipts import Prover
from zktally.prover import Job, prove_job
from zktally.verifier.journal import FAST, HYBRID, STRICT
from zktally.verifier.policy import Policy
from zktally.verifier.receipt import split_receipt
from zktally.verifier.sampling import sample_seed

UNSAMPLED = {"delta_ppm": 0, "delta_step_ppm": 0, "delta_op_ppm": 0, "bits": 0, "exact": ()}
"""What a strict statement says of samples."""

LOOSE = Policy(max_delta=0.5, min_bits=1, outputs_exact=False)


def strict_job(prover: Prover) -> Job:
    """What a strict receipt of a committed run is made from, honest or not."""
    stated = copy.copy(prover).change(mode=STRICT, **UNSAMPLED)
    sections = split_receipt(stated.receipt())
    program, journal, openings = map(bytes, (sections.program, sections.journal, sections.proof))
    return Job(program, journal, openings, hybrids.STANDARD)


@cache
def strict_of(name: str) -> bytes:
    """A strict receipt of an honest run of `forger.RUNS`."""
    return prove_job(strict_job(committed(name)))


def parts_of(name: str) -> hybrids.Hybrid:
    """It, taken apart."""
    return dissect(strict_of(name))


@tampering("strict: the proof of samples under a strict statement", "verify.stark", "sampled")
def _():
    """The hybrid receipt proves the sampled gates only."""
    parts = dissect(hybrid_of("sampled")).restated(mode=STRICT, **UNSAMPLED)
    return parts.encode(), victim("sampled", policy=LOOSE)


@tampering("strict: called hybrid, with claims of its own", "verify.stark", "sampled")
def _():
    """All gates are proven, and yet the proof is not for this statement."""
    journal = committed("sampled").journal
    claims = {name: getattr(journal, name) for name in UNSAMPLED}
    return parts_of("sampled").restated(mode=HYBRID, **claims).encode()


@tampering("strict: a hybrid receipt called strict", "receipt.non-canonical", "dense")
def _():
    return dissect(hybrid_of("dense")).restated(mode=STRICT).encode()


@tampering("strict: called hybrid, with no claims", "receipt.non-canonical", "dense")
def _():
    return parts_of("dense").restated(mode=HYBRID).encode()


@tampering("strict: openings in the clear", "verify.journal-mismatch", "dense")
def _():
    prover = copy.copy(committed("dense")).change(mode=STRICT, **UNSAMPLED)
    return prover.receipt()


@tampering("strict: openings in the clear behind the digest of the statement", "receipt.truncated")
def _():
    """Where a proof names its profile, openings have their first root."""
    sections = dissect_fast(
        copy.copy(committed("dense")).change(mode=STRICT, **UNSAMPLED).receipt()
    )
    program, journal, proof = sections.sections
    known = hashlib.sha256(journal).digest() + b"\0"
    return join(program, journal, known + proof[32:]), victim("dense")


@tampering("strict: called fast", "receipt.non-canonical", "dense")
def _():
    parts = parts_of("dense").restated(mode=FAST)
    return parts.with_proof(sample_seed(parts.journal) + parts.proof[32:])


@tampering("strict: one segment left out", "receipt.truncated", "dense")
def _():
    return replace(parts_of("dense"), segments=[]).encode()


@tampering("strict: a mode that the caller refuses", "policy.mode", "dense")
def _():
    policy = Policy(modes=("fast", "hybrid"))
    return strict_of("dense"), victim("dense", policy=policy)


@tampering("strict: more bits than any proof has", "policy.bits", "dense")
def _():
    return strict_of("dense"), victim("dense", policy=Policy(min_bits=110))


@tampering("strict: the proof of another run", "verify.stark", "dense")
def _():
    """Its statement and roots, and the proof of a run on other inputs."""
    other = forger.run("dense")
    for arrays in other.trace:
        for number in arrays:
            if number == 0:
                arrays[number] = forger.poke(arrays[number], 1)
    forger.execute(other)
    foreign = dissect(prove_job(strict_job(other.commit())))
    return replace(parts_of("dense"), segments=foreign.segments).encode()


@tampering("strict: an output of a padded item", "verify.stark", "dense")
def _():
    outputs = bytearray(committed("dense").journal.outputs)
    outputs[-1] ^= 1
    return parts_of("dense").restated(outputs=bytes(outputs)).encode()


@tampering("strict: a strict statement of the fast receipt's openings", "verify.journal-mismatch")
def _():
    """The openings that answer the fast statement."""
    journal = replace(committed("dense").journal, mode=STRICT, **UNSAMPLED).encode()
    program, _, proof = dissect_fast(receipt_of("dense")).sections
    return join(program, journal, proof), victim("dense")
