"""Damage to hybrid receipts without a plan: flipped bits of every field, cuts, splices.

Nothing is accepted, nothing but typed errors comes out, and both verifiers give the same code.
"""

from __future__ import annotations

import random
from functools import cache

import forger
import hybrids
import judges
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zktally.verifier.policy import Expectations
from zktally.verifier.receipt import split_receipt

SETTINGS = settings(
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@cache
def tiny() -> tuple[bytes, Expectations]:
    """A receipt of the small profile in which few gates are sampled, from a caller who has seen it.

    So no other claim about the run is true that the caller would take.
    """
    prover = forger.Prover("dense", steps=6, delta_ppm=500_000, bits=8, public=False).commit()
    policy = forger.Policy(max_delta=0.5, min_bits=7, outputs_exact=False)
    return hybrids.proven(prover.receipt(), hybrids.SMALL), prover.expectations(policy=policy)


@cache
def sizes() -> tuple[int, int, int]:
    """Offsets of the proof section, of its first segment, and the length of all."""
    receipt, expectations = tiny()
    start = len(receipt) - len(split_receipt(receipt).proof)
    (segment,) = hybrids.judged_segments(receipt, expectations)
    return start, start + segment.start, len(receipt)


@cache
def fields() -> dict[str, tuple[int, int]]:
    """Offset and length in the receipt of every field of its one proof."""
    receipt, expectations = tiny()
    (segment,) = hybrids.judged_segments(receipt, expectations)
    start = sizes()[1]
    return {
        name: (start + at, length)
        for name, at, length in hybrids.fields_of(receipt[start:], segment)
    }


def flipped(bit: int) -> bytes:
    changed = bytearray(tiny()[0])
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _refused(bits) -> None:
    accepted = [bit for bit in bits if judges.rust(flipped(bit), tiny()[1]) == judges.ACCEPTED]
    assert accepted == []


def _refused_alike(bits) -> None:
    for bit in bits:
        verdicts = judges.both(flipped(bit), tiny()[1])
        assert verdicts[0] == verdicts[1] != judges.ACCEPTED, (bit, verdicts)


def _of_proof(count: int, seed: int) -> list[int]:
    start, _, end = sizes()
    return random.Random(seed).sample(range(8 * start, 8 * end), count)


def _bit_of(name: str) -> int:
    """A bit of a field, always the same one."""
    at, length = fields()[name]
    return 8 * at + random.Random(name).randrange(8 * length)


def test_the_receipt_is_good_as_it_is():
    assert judges.both(*tiny()) == (judges.ACCEPTED, judges.ACCEPTED)
    at, length = list(fields().values())[-1]
    assert at + length == sizes()[2]


def test_every_flipped_bit_of_statement_and_head_is_refused():
    """And of everything before them: envelope, lengths, program."""
    _refused(range(8 * sizes()[1]))


def test_both_verifiers_refuse_400_of_these_bits_with_the_same_codes():
    _refused_alike(random.Random(1).sample(range(8 * sizes()[1]), 400))


def test_a_flipped_bit_of_every_field_of_a_proof_is_refused():
    assert len(fields()) > 3000
    _refused(_bit_of(name) for name in fields())


def test_both_verifiers_refuse_a_bit_of_each_kind_of_field_with_the_same_code():
    """One field of each kind, of each table, of each round, of each height."""
    kinds: dict[str, str] = {}
    for name in fields():
        kinds.setdefault(name.rsplit(".", 1)[0] if "." in name else name.rstrip("0123456789"), name)
    assert len(kinds) > 25
    _refused_alike(_bit_of(name) for name in kinds.values())


def test_2000_flipped_bits_of_the_proof_are_refused():
    _refused(_of_proof(2000, 2))


@pytest.mark.nightly
def test_20000_flipped_bits_of_the_proof_are_refused():
    _refused(_of_proof(20_000, 3))


def test_both_verifiers_refuse_40_flipped_bits_of_the_proof_with_the_same_codes():
    _refused_alike(_of_proof(40, 4))


@pytest.mark.nightly
def test_both_verifiers_refuse_200_flipped_bits_of_the_proof_with_the_same_codes():
    _refused_alike(_of_proof(200, 5))


@pytest.mark.nightly
def test_both_verifiers_refuse_every_flipped_bit_of_the_head_with_the_same_codes():
    _refused_alike(range(8 * sizes()[0], 8 * sizes()[1]))


@SETTINGS
@given(data=st.data())
def test_cut_anywhere(data):
    receipt, expectations = tiny()
    cut = receipt[: data.draw(st.integers(0, len(receipt) - 1))]
    assert judges.both(cut, expectations) == ("receipt.truncated", "receipt.truncated")


@SETTINGS
@given(data=st.data())
def test_cut_inside_the_proof_with_the_length_to_fit(data):
    receipt, expectations = tiny()
    parts = hybrids.dissect(receipt)
    cut = parts.with_proof(parts.proof[: data.draw(st.integers(0, len(parts.proof) - 1))])
    verdicts = judges.both(cut, expectations)
    assert verdicts[0] == verdicts[1] != judges.ACCEPTED


@SETTINGS
@given(data=st.data())
def test_spliced_with_another_proof(data):
    """A span of another proof of the very same statement, at the same place or at any."""
    receipt, expectations = tiny()
    parts, other = hybrids.dissect(receipt), hybrids.dissect(_again())
    own, foreign = parts.segments[0], other.segments[0]
    start = data.draw(st.integers(0, len(own) - 1))
    length = data.draw(st.integers(1, 200))
    shift = data.draw(st.sampled_from([0, 0, 4, 16, 32, -32]))
    span = foreign[max(0, start + shift) :][:length]
    spliced = own[:start] + span + own[start + len(span) :]
    if spliced not in (own, foreign):
        parts.segments = [spliced]
        verdicts = judges.both(parts.encode(), expectations)
        assert verdicts[0] == verdicts[1] != judges.ACCEPTED


@cache
def _again() -> bytes:
    prover = forger.Prover("dense", steps=6, delta_ppm=500_000, bits=8, public=False).commit()
    receipt = hybrids.proven(prover.receipt(), hybrids.SMALL)
    assert split_receipt(receipt).journal == split_receipt(tiny()[0]).journal
    return receipt


@pytest.mark.parametrize("low", [False, True], ids=["bytes", "elements"])
@pytest.mark.parametrize("seed", range(10))
def test_random_bytes_for_a_proof(seed, low):
    """With `low`, each word is an element, so that nothing fails before it is looked at."""
    noise = bytearray(random.Random(seed).randbytes(1 << 20))
    if low:
        noise[3::4] = bytes(byte & 0x3F for byte in noise[3::4])
    parts = hybrids.dissect(tiny()[0])
    parts.segments = [bytes(noise)]
    code = "verify.stark" if low else "receipt.non-canonical"
    assert judges.both(parts.encode(), tiny()[1]) == (code, code)
