"""Proven bits: every term by an independent formula, and the figures of the profiles."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import count
from math import floor, log2

import numpy as np
import pytest

from support import stark_reference as reference
from zktally.prover.claims import usual_bits
from zktally.verifier.chain import bits_together
from zktally.verifier.confidence import headline
from zktally.verifier.errors import InsufficientSecurity, UnsupportedReceipt
from zktally.verifier.hybrid.verify import REFERENCE
from zktally.verifier.reader import P
from zktally.verifier.stark import (
    Counts,
    Parameters,
    PresentTable,
    PublicTerms,
    Statement,
    TermGroup,
    choose,
    parameters_for,
    proven,
    verify_stark,
)
from zktally.verifier.stark.params import PROFILES, TARGET, target

COUNTS = Counts(
    log_rows=16,
    openings=4000,
    constraints=1500,
    lookups=1500 << 16,
    public_terms=100_000,
    longest_tuple=8,
)


FIGURES = {
    (0, 1): "6b03008671170394780e91013e3a2306077cde08c77ce30ad089306ed04562d3",
    (2, 3): "6e8b0f88bedf6b0addaa5c72d5d9f1bc1c029ba89be4e1ea0ede01e95130d61b",
}
"""As in rust/core/src/stark/parameters.rs."""


def bits_at(m, b, queries, counts):
    """The terms of section 8 once more, as errors, in integers as far as they go."""
    rho, field = 2.0**-b, P**5
    alpha = (1 + 0.5 / m) * rho**0.5
    big = (2 * (m + 0.5) ** 5 + 3 * (m + 0.5) * (1 - alpha) * rho) / (3 * rho**1.5)
    epsilon = (big * 2 ** (counts.log_rows + b) + (m + 0.5) / rho**0.5) / field
    rate = rho + 1 / 2 ** (counts.log_rows + b)  # degree 2^k on 2^(k+b) positions
    multiplicity = next(n for n in count(m) if alpha >= (1 + 0.5 / n) * rate**0.5)
    size = (multiplicity + 0.5) / rate**0.5
    total = counts.lookups + counts.public_terms
    return -log2(
        alpha**queries / 2**20
        + 2 * epsilon * counts.openings / 2**16
        + 8 * epsilon / 2**12
        + size * counts.constraints / field
        + size**2 * (5 * 2**counts.log_rows + 2 * counts.openings) / field
        + size * total * (counts.longest_tuple + 1) / field
        + 2.0**-124
    )


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("log_rows", [11, 16, 20])
def test_the_best_proximity_parameter(profile, log_rows):
    counts = replace(COUNTS, log_rows=log_rows)
    blowup = PROFILES[profile].log_blowup
    found = proven(Parameters(PROFILES[profile], 70), counts).proven_bits
    expected = max(bits_at(m, blowup, 70, counts) for m in range(3, 101))
    assert found == pytest.approx(expected, abs=1e-9)


BY_LAMBDA = {
    (0, 1): "481a3c4c1c6efb3237b1deb1592815759b9dea051a335d839ab92545441b8f5c",
    (2, 3): "7077cea973f7b18c5b58e1da4b418b192c222e7b4da5efb8a1643f206b1c390e",
}


def test_figures_of_the_profiles():
    """One segment at the reference shape: the number of queries depends on nothing else."""
    all_four = [choose(profile, REFERENCE) for profile in PROFILES]
    assert [parameters.queries for parameters in all_four] == [83, 55, 55, 42]
    assert all_four[0].hiding_rows == 182
    for parameters in all_four:
        assert proven(parameters, REFERENCE).proven_bits >= 101
        fewer = replace(parameters, queries=parameters.queries - 1)
        assert proven(fewer, REFERENCE).proven_bits < 101


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("segments", [1, 2, 7, 300])
def test_one_query_less_does_not_reach_the_target(profile, segments):
    for log_rows in range(11, 21):
        counts = replace(COUNTS, log_rows=log_rows)
        queries = choose(profile, counts, segments).queries
        tried = [Parameters(PROFILES[profile], n) for n in range(1, queries + 1)]
        *fewer, reached = [proven(parameters, counts).proven_bits for parameters in tried]
        assert reached >= target(segments) > max(fewer)
        assert fewer == sorted(fewer)


def test_more_segments_need_more_bits():
    for segments, bits in ((1, 101), (2, 102), (3, 103), (4, 103), (5, 104)):
        parameters = choose(0, COUNTS, segments)
        assert proven(parameters, COUNTS).proven_bits >= bits
        fewer = replace(parameters, queries=parameters.queries - 1)
        assert proven(fewer, COUNTS).proven_bits < bits


def test_the_default_headline():
    """λ = 102 beside the target, and every gate checked, leave 100 bits; λ = 101 would not."""
    for segments in range(1, 1025):
        target = TARGET + (segments - 1).bit_length()
        assert headline(usual_bits("hybrid"), target, segments) >= 100
        assert headline(0, target, segments) >= 100
    assert headline(101, TARGET, 1) == 99


@pytest.mark.parametrize("profiles", FIGURES)
def test_the_figures_of_many_statements(profiles):
    found = hashlib.sha256()
    for profile in profiles:
        parameters = PROFILES[profile]
        for segments in (1, 2, 3, 7, 64, 1000, 1024):
            found.update(bytes([choose(profile, REFERENCE, segments).queries]))
        for log_rows in (11, 16, 21):
            for queries in (40, 83, 120, 196):
                for size in range(1, 40, 3):
                    counts = Counts(log_rows, 100 * size, 37 * size, 1000 * size**2, 0, size + 5)
                    bits = proven(Parameters(parameters, queries), counts).proven_bits
                    found.update(floor(10 * bits).to_bytes(2, "little"))
    assert found.hexdigest() == FIGURES[profiles]


def test_a_higher_lambda_asks_for_as_many_more_bits():
    assert [target(1, bits) for bits in (0, 1, 100, 102)] == [101] * 4
    assert [target(1, bits) for bits in (103, 106, 110, 111, 256)] == [102, 105, 109, 109, 109]
    assert target(3, 104) == 105
    queries = [choose(1, REFERENCE, 3, bits).queries for bits in (102, 106, 110)]
    assert queries == sorted(set(queries))


@pytest.mark.parametrize("profiles", BY_LAMBDA)
def test_both_verifiers_choose_the_same_for_every_lambda(profiles):
    """A byte for each; where no number of queries reaches the target, 0. The core has this, too."""
    found, known = hashlib.sha256(), {}
    for profile in profiles:
        for segments in (1, 2, 3, 7, 64, 1000, 1024):
            for bits in (0, 100, *range(102, 121)):
                least = target(segments, bits)
                if (profile, least) not in known:
                    known[profile, least] = _queries(profile, segments, bits)
                found.update(bytes([known[profile, least]]))
    assert found.hexdigest() == BY_LAMBDA[profiles]


def _queries(profile: int, segments: int, bits: int) -> int:
    try:
        return choose(profile, REFERENCE, segments, bits).queries
    except InsufficientSecurity:
        return 0


@pytest.mark.parametrize(("receipts", "bits"), [(3, 104), (9, 106), (256, 110)])
def test_receipts_of_a_run_keep_their_bits_together(receipts: int, bits: int):
    for segments in (1, 2, 7, 64):
        single = headline(bits, target(segments, bits), segments)
        assert bits_together([single] * receipts) >= 100
    usual = headline(102, target(1, 102), 1)
    assert bits_together([usual] * receipts) < 100


def test_a_term_that_no_number_of_queries_mends():
    with pytest.raises(InsufficientSecurity) as error:
        choose(0, replace(COUNTS, lookups=1 << 60))
    assert error.value.code == "security.insufficient"


def test_counts_of_a_statement():
    case = reference.toy_case(walk_log=12, range_log=11)
    counts = Statement(reference.TABLES, case.present, case.parameters).counts(case.terms)
    walk_openings, range_openings = 4 + 1 + 2 + 2, 2 + 0 + 1 + 2
    assert counts == Counts(
        log_rows=12,
        openings=walk_openings + range_openings + 2 * 4 + 1,
        constraints=8 + 4,
        lookups=(4 << 12) + (2 << 11),
        public_terms=600,
        longest_tuple=3,
    )
    parameters = parameters_for(reference.TABLES, case.present, case.terms, 1)
    assert parameters == choose(1, counts)


NOTHING = np.zeros((1, 0), np.uint32)
BAD = {
    "none": [],
    "twice": [PresentTable(2, 11, NOTHING)] * 2,
    "descending": [PresentTable(2, 11, NOTHING), PresentTable(0, 11, NOTHING)],
    "negative": [PresentTable(-1, 11, NOTHING), PresentTable(2, 11, NOTHING)],
    "without the last": [PresentTable(0, 11, NOTHING)],
    "unknown": [PresentTable(3, 11, NOTHING)],
    "too few rows": [PresentTable(2, 10, NOTHING)],
    "another number of columns": [PresentTable(2, 11, np.zeros((2, 4), np.uint32))],
    "columns in hiding rows": [PresentTable(2, 11, np.zeros((1, 2048), np.uint32))],
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_a_statement(name):
    with pytest.raises(ValueError, match="table"):
        Statement(reference.TABLES, BAD[name], reference.TOY)


@pytest.mark.parametrize("bus", [1, 9])
def test_public_terms_have_the_length_of_their_bus(bus):
    case = reference.toy_case()
    statement = Statement(reference.TABLES, case.present, case.parameters)
    statement.judge_terms(case.terms)
    length = {1: 3, 9: 2}[bus]
    other = PublicTerms((TermGroup(bus, 1, np.zeros((1, length), np.uint32)),))
    with pytest.raises(ValueError, match=f"bus {bus}"):
        statement.judge_terms(other)
    with pytest.raises(ValueError, match=f"bus {bus}"):
        verify_stark(
            memoryview(b""),
            context=bytes(32),
            tables=reference.TABLES,
            present=case.present,
            public_terms=other,
            parameters=case.parameters,
        )


def test_statements_out_of_reach():
    tall = [PresentTable(2, 23, NOTHING)]
    with pytest.raises(UnsupportedReceipt, match="too tall"):
        Statement(reference.TABLES, tall, reference.TOY)
    many = replace(reference.TOY, queries=197)
    with pytest.raises(InsufficientSecurity, match="hiding"):
        Statement(reference.TABLES, [PresentTable(2, 11, NOTHING)], many)
    assert len(PublicTerms()) == 0
