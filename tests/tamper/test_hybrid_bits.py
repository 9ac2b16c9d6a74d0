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
from zktally.verifier.reader import P
from zktally.verifier.receipt import split_receipt

SETTINGS = settings(
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


PROFILES = [hybrids.SMALL, hybrids.FOLDABLE]
all_profiles = pytest.mark.parametrize("profile", PROFILES, ids=["small", "foldable"])


@cache
def tiny(profile: int) -> tuple[bytes, Expectations]:
    """A receipt in which few gates are sampled, from a caller who has seen it.

    So no other claim about the run is true that the caller would take.
    """
    prover = forger.Prover("dense", steps=6, delta_ppm=500_000, bits=8, public=False).commit()
    policy = forger.Policy(max_delta=0.5, min_bits=7, outputs_exact=False)
    return hybrids.proven(prover.receipt(), profile), prover.expectations(policy=policy)


@cache
def sizes(profile: int) -> tuple[int, int, int]:
    """Offsets of the proof section, of its first segment, and the length of all."""
    receipt, expectations = tiny(profile)
    start = len(receipt) - len(split_receipt(receipt).proof)
    (segment,) = hybrids.judged_segments(receipt, expectations)
    return start, start + segment.start, len(receipt)


@cache
def fields(profile: int) -> dict[str, tuple[int, int]]:
    """Offset and length in the receipt of every field of its one proof."""
    receipt, expectations = tiny(profile)
    (segment,) = hybrids.judged_segments(receipt, expectations)
    start = sizes(profile)[1]
    return {
        name: (start + at, length)
        for name, at, length in hybrids.fields_of(receipt[start:], segment)
    }


def flipped(bit: int, profile: int) -> bytes:
    changed = bytearray(tiny(profile)[0])
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _refused(bits, profile: int) -> None:
    expectations = tiny(profile)[1]
    verdicts = {bit: judges.rust(flipped(bit, profile), expectations) for bit in bits}
    assert [bit for bit, verdict in verdicts.items() if verdict == judges.ACCEPTED] == []


def _refused_alike(bits, profile: int) -> None:
    for bit in bits:
        verdicts = judges.both(flipped(bit, profile), tiny(profile)[1])
        assert verdicts[0] == verdicts[1] != judges.ACCEPTED, (bit, verdicts)


def _of_proof(count: int, seed: int, profile: int) -> list[int]:
    start, _, end = sizes(profile)
    return random.Random(seed).sample(range(8 * start, 8 * end), count)


def _bit_of(name: str, profile: int) -> int:
    """A bit of a field, always the same one."""
    at, length = fields(profile)[name]
    return 8 * at + random.Random(name).randrange(8 * length)


@all_profiles
def test_the_receipt_is_good_as_it_is(profile):
    assert judges.both(*tiny(profile)) == (judges.ACCEPTED, judges.ACCEPTED)
    at, length = list(fields(profile).values())[-1]
    assert at + length == sizes(profile)[2]


@pytest.mark.parametrize("profile", [hybrids.SMALL])
def test_every_flipped_bit_of_statement_and_head_is_refused(profile):
    """And of everything before them: envelope, lengths, program."""
    _refused(range(8 * sizes(profile)[1]), profile)


@pytest.mark.parametrize("profile", [hybrids.SMALL])
def test_both_verifiers_refuse_400_of_these_bits_with_the_same_codes(profile):
    _refused_alike(random.Random(1).sample(range(8 * sizes(profile)[1]), 400), profile)


@all_profiles
def test_a_flipped_bit_of_every_field_of_a_proof_is_refused(profile):
    assert len(fields(profile)) > 3000
    _refused([_bit_of(name, profile) for name in fields(profile)], profile)


def _one_of_each_kind(profile: int) -> list[str]:
    """One field of each kind, of each table, of each round, of each height."""
    kinds: dict[str, str] = {}
    for name in fields(profile):
        kinds.setdefault(name.rsplit(".", 1)[0] if "." in name else name.rstrip("0123456789"), name)
    assert len(kinds) > 25
    return list(kinds.values())


@all_profiles
def test_both_verifiers_refuse_a_bit_of_each_kind_of_field_with_the_same_code(profile):
    _refused_alike([_bit_of(name, profile) for name in _one_of_each_kind(profile)], profile)


@all_profiles
def test_a_word_and_p_is_not_canonical_where_it_is_an_element(profile):
    """Another word for the same element; with SHA-256 digests, salts and nonces are none."""
    receipt, expectations = tiny(profile)
    others = ("root", "sibling", "salt", "nonce")
    for name in _one_of_each_kind(profile):
        at, _ = fields(profile)[name]
        word = int.from_bytes(receipt[at : at + 4], "little") + P
        if word >= 1 << 32:
            continue
        changed = receipt[:at] + word.to_bytes(4, "little") + receipt[at + 4 :]
        verdicts = judges.both(changed, expectations)
        is_element = profile == hybrids.FOLDABLE or not any(part in name for part in others)
        code = "receipt.non-canonical" if is_element else "verify.stark"
        assert verdicts == (code, code), name


def test_no_receipt_is_of_the_outer_profile():
    """Nor of one that is not there; and a proof is one of its own hash."""
    parts = hybrids.dissect(tiny(hybrids.FOLDABLE)[0])
    for profile in (3, 5, 255):
        parts.profile = profile
        verdicts = judges.both(parts.encode(), tiny(hybrids.FOLDABLE)[1])
        assert verdicts == ("receipt.non-canonical", "receipt.non-canonical")
    for profile in (hybrids.STANDARD, hybrids.SMALL, 4):
        parts.profile = profile
        verdicts = judges.both(parts.encode(), tiny(hybrids.FOLDABLE)[1])
        assert verdicts[0] == verdicts[1] != judges.ACCEPTED


@pytest.mark.parametrize("profile", [hybrids.SMALL])
def test_2000_flipped_bits_of_the_proof_are_refused(profile):
    _refused(_of_proof(2000, 2, profile), profile)


@all_profiles
@pytest.mark.nightly
def test_20000_flipped_bits_of_the_proof_are_refused(profile):
    _refused(_of_proof(20_000, 3, profile), profile)


@all_profiles
def test_both_verifiers_refuse_40_flipped_bits_of_the_proof_with_the_same_codes(profile):
    _refused_alike(_of_proof(40, 4, profile), profile)


@all_profiles
@pytest.mark.nightly
def test_both_verifiers_refuse_200_flipped_bits_of_the_proof_with_the_same_codes(profile):
    _refused_alike(_of_proof(200, 5, profile), profile)


@all_profiles
@pytest.mark.nightly
def test_both_verifiers_refuse_every_flipped_bit_of_the_head_with_the_same_codes(profile):
    _refused_alike(range(8 * sizes(profile)[0], 8 * sizes(profile)[1]), profile)


@SETTINGS
@given(data=st.data(), profile=st.sampled_from(PROFILES))
def test_cut_anywhere(data, profile):
    receipt, expectations = tiny(profile)
    cut = receipt[: data.draw(st.integers(0, len(receipt) - 1))]
    assert judges.both(cut, expectations) == ("receipt.truncated", "receipt.truncated")


@SETTINGS
@given(data=st.data(), profile=st.sampled_from(PROFILES))
def test_cut_inside_the_proof_with_the_length_to_fit(data, profile):
    receipt, expectations = tiny(profile)
    parts = hybrids.dissect(receipt)
    cut = parts.with_proof(parts.proof[: data.draw(st.integers(0, len(parts.proof) - 1))])
    verdicts = judges.both(cut, expectations)
    assert verdicts[0] == verdicts[1] != judges.ACCEPTED


@SETTINGS
@given(data=st.data(), profile=st.sampled_from(PROFILES))
def test_spliced_with_another_proof(data, profile):
    """A span of another proof of the very same statement, at the same place or at any."""
    receipt, expectations = tiny(profile)
    parts, other = hybrids.dissect(receipt), hybrids.dissect(_again(profile))
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
def _again(profile: int) -> bytes:
    prover = forger.Prover("dense", steps=6, delta_ppm=500_000, bits=8, public=False).commit()
    receipt = hybrids.proven(prover.receipt(), profile)
    assert split_receipt(receipt).journal == split_receipt(tiny(profile)[0]).journal
    return receipt


@pytest.mark.parametrize("low", [False, True], ids=["bytes", "elements"])
@pytest.mark.parametrize("seed", range(10))
@all_profiles
def test_random_bytes_for_a_proof(seed, low, profile):
    """With `low`, each word is an element, so that nothing fails before it is looked at.

    But nonces of two words, which are no elements in a foldable proof.
    """
    noise = bytearray(random.Random(seed).randbytes(1 << 20))
    if low:
        noise[3::4] = bytes(byte & 0x3F for byte in noise[3::4])
    parts = hybrids.dissect(tiny(profile)[0])
    parts.segments = [bytes(noise)]
    code = "verify.stark" if low and profile == hybrids.SMALL else "receipt.non-canonical"
    assert judges.both(parts.encode(), tiny(profile)[1]) == (code, code)
