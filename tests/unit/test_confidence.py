"""The headline: a sum of errors, counted alike by both verifiers."""

from __future__ import annotations

import hashlib
from fractions import Fraction

import pytest

from zktally.verifier.confidence import TENTHS, headline

HEADLINES = "ce5e6c2b2a4f9551b10813948702a85648fbac797666377ff001eb3d5c94e682"
"""As in rust/core/src/statement/confidence.rs."""

CASES = {
    # Nothing is sampled: the STARK and the hashes alone, of which 2^-124 costs the last bit.
    (0, 100.09, 1): 99,
    (0, 100.1, 1): 100,
    (0, 102.1, 4): 100,
    (102, 101.0, 1): 100,
    (101, 101.0, 1): 99,
    (102, 103.0, 3): 100,
    (90, 110.0, 1): 89,
    (256, 200.0, 1): 123,
    (90, 1.0, 4): 0,
    (90, -5.0, 1024): 0,
}


@pytest.mark.parametrize("case", CASES)
def test_the_headline_is_of_the_sum_and_never_rounded_up(case):
    assert headline(*case) == CASES[case]


def test_one_proof_around_others_has_a_term_of_its_own():
    found = [headline(102, bits, 1, succinct=True) for bits in (101.0, 102.0, 110.0, 200.0)]
    assert found == [100, 100, 101, 101]
    assert headline(0, 101.0, 1, succinct=True) == 100
    assert headline(0, 200.0, 1, succinct=True) == 102
    assert headline(0, 200.0, 1) == 123


def test_without_a_stark():
    found = [headline(bits) for bits in (0, 1, 100, 123, 124, 125, 128, 256)]
    assert found == [124, 0, 99, 122, 123, 123, 123, 123]


def test_of_whole_bits_it_is_exact():
    for bits in range(0, 257, 3):
        for stark in range(90, 130):
            for segments in (0, 1, 3, 1024):
                error = Fraction(1, 2**124) + segments * Fraction(1, 2**stark)
                error += Fraction(1, 2**bits) if bits else 0
                found = headline(bits, stark, segments)
                assert error > Fraction(1, 2 ** (found + 1))
                assert error <= Fraction(1, 2**found) or not found


def test_tenths_are_rounded_up_and_no_further():
    for place, value in enumerate(TENTHS):
        assert (value - 1) ** 10 < 2 ** (160 + place) <= value**10


def test_the_headlines_of_many_receipts():
    found = hashlib.sha256()
    for bits in range(0, 257, 2):
        found.update(headline(bits).to_bytes(2, "little"))
        for tenths in range(0, 1400, 7):
            for segments in (1, 2, 3, 7, 64, 1000, 1024):
                # In the middle of a tenth, where no rounding of a product matters.
                found.update(headline(bits, (tenths + 0.5) / 10, segments).to_bytes(2, "little"))
    assert found.hexdigest() == HEADLINES
