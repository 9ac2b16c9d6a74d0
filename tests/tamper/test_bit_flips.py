"""Damage without a plan: every bit flipped, random bytes, cuts and splices.

Nothing is accepted, nothing but typed errors comes out, and both verifiers give the same code.
"""

from __future__ import annotations

import random
from functools import cache

import forger
import judges
import pytest
from anatomy import MAGIC, dissect, join
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zktally.verifier.errors import ZktallyError
from zktally.verifier.journal import Journal
from zktally.verifier.program.checked import load
from zktally.verifier.receipt import split_receipt

SETTINGS = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TINY = {"delta_ppm": 500_000, "bits": 8, "public": False}


@cache
def tiny():
    """A receipt in which only some gates are sampled, so that no other claim about it is true."""
    prover = forger.Prover("dense", steps=6, **TINY).commit()
    policy = forger.Policy(max_delta=0.5, min_bits=7, outputs_exact=False)
    return prover.receipt(), prover.expectations(policy=policy)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_the_receipt_is_good_as_it_is():
    assert judges.both(*tiny()) == (judges.ACCEPTED, judges.ACCEPTED)


def test_every_flipped_bit_is_refused():
    receipt, expectations = tiny()
    accepted = [
        bit
        for bit in range(8 * len(receipt))
        if judges.rust(flipped(receipt, bit), expectations) == judges.ACCEPTED
    ]
    assert accepted == []


def _same_verdicts(bits):
    receipt, expectations = tiny()
    for bit in bits:
        verdicts = judges.both(flipped(receipt, bit), expectations)
        assert verdicts[0] == verdicts[1] != judges.ACCEPTED, (bit, verdicts)


def _sample(count: int) -> list[int]:
    return random.Random(2026).sample(range(8 * len(tiny()[0])), count)


def test_both_verifiers_refuse_2000_flipped_bits_with_the_same_codes():
    _same_verdicts(_sample(2000))


@pytest.mark.nightly
def test_both_verifiers_refuse_every_flipped_bit_with_the_same_codes():
    _same_verdicts(range(8 * len(tiny()[0])))


def _refused_alike(receipt: bytes, base: str) -> None:
    verdicts = judges.both(receipt, forger.victim(base))
    assert verdicts[0] == verdicts[1] != judges.ACCEPTED


@SETTINGS
@given(data=st.binary(max_size=400), start=st.sampled_from([b"", b"ZKTALLY", MAGIC]))
def test_random_bytes(data, start):
    _refused_alike(start + data, "dense")


@SETTINGS
@given(at=st.integers(0, 1443), base=st.sampled_from(["dense", "average"]))
def test_cut_anywhere(at, base):
    receipt = forger.receipt_of(base)
    _refused_alike(receipt[: at % len(receipt)], base)


@SETTINGS
@given(data=st.data())
def test_spliced_with_another_receipt(data):
    """A span of one receipt in another, at any place and of any length."""
    own, other = forger.receipt_of("dense"), forger.receipt_of("average")
    start = data.draw(st.integers(0, len(own)))
    end = data.draw(st.integers(start, len(own)))
    first = data.draw(st.integers(0, len(other)))
    last = data.draw(st.integers(first, len(other)))
    spliced = own[:start] + other[first:last] + own[end:]
    if spliced != own:
        _refused_alike(spliced, "dense")


@SETTINGS
@given(section=st.sampled_from([0, 1, 2]), data=st.binary(max_size=300))
def test_random_sections(section, data):
    """A well-formed envelope with anything in it."""
    sections = dissect(forger.receipt_of("kinds")).sections
    sections[section] = data
    _refused_alike(join(*sections), "kinds")


@SETTINGS
@given(section=st.sampled_from([1, 2]), data=st.data())
def test_random_spans_inside_sections(section, data):
    sections = dissect(forger.receipt_of("kinds")).sections
    old = sections[section]
    start = data.draw(st.integers(0, len(old)))
    end = data.draw(st.integers(start, min(len(old), start + 40)))
    new = data.draw(st.binary(min_size=end - start, max_size=end - start))
    sections[section] = old[:start] + new + old[end:]
    if new != old[start:end]:
        receipt, expectations = join(*sections), forger.victim("kinds")
        assert judges.rust(receipt, expectations) == judges.python(receipt, expectations)


@SETTINGS
@given(data=st.binary(max_size=600), start=st.sampled_from([b"", b"ZKTPROG\x01"]))
def test_readers_raise_typed_errors_only(data, start):
    """Each reader alone, on bytes that no verifier would pass on to it."""
    for read in (split_receipt, Journal.decode, load):
        with pytest.raises(ZktallyError):
            read(start + data)
