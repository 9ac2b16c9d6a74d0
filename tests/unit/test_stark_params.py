"""Proven bits: every term by an independent formula, and the figures of the two profiles."""

from __future__ import annotations

from dataclasses import replace
from math import log2

import numpy as np
import pytest
import stark_reference as reference

from zktally.verifier.errors import InsufficientSecurity, UnsupportedReceipt
from zktally.verifier.hybrid.verify import REFERENCE
from zktally.verifier.reader import P
from zktally.verifier.stark import (
    Counts,
    Parameters,
    PresentTable,
    PublicTerms,
    Statement,
    choose,
    parameters_for,
    proven,
)
from zktally.verifier.stark.params import PROFILES

COUNTS = Counts(
    log_rows=16,
    openings=4000,
    constraints=1500,
    lookups=1500 << 16,
    public_terms=100_000,
    longest_tuple=8,
)


def least_bits(m, b, queries, counts):
    """The terms of section 8 once more, in integers as far as they go."""
    rho = 2.0**-b
    alpha = (1 + 0.5 / m) * rho**0.5
    big = (2 * (m + 0.5) ** 5 + 3 * (m + 0.5) * (1 - alpha) * rho) / (3 * rho**1.5)
    epsilon = (big * 2 ** (counts.log_rows + b) + (m + 0.5) / rho**0.5) / P**5
    size = (m + 0.5) / rho**0.5
    total = counts.lookups + counts.public_terms
    return min(
        -queries * log2(alpha) + 20,
        -log2(epsilon * counts.openings) + 16,
        -log2(epsilon * 8) + 12,
        -log2(size * counts.constraints / P**5),
        -log2(size**2 * (5 * 2**counts.log_rows + 2 * counts.openings) / P**5),
        -log2(size * total * (counts.longest_tuple + 1) / P**5),
        124,
    ) - log2(7)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("log_rows", [11, 16, 20])
def test_the_best_proximity_parameter(profile, log_rows):
    counts = replace(COUNTS, log_rows=log_rows)
    blowup = PROFILES[profile].log_blowup
    found = proven(Parameters(PROFILES[profile], 70), counts).proven_bits
    expected = max(least_bits(m, blowup, 70, counts) for m in range(3, 101))
    assert found == pytest.approx(expected, abs=1e-9)


def test_figures_of_the_profiles():
    """One segment at the reference shape: the number of queries depends on nothing else."""
    standard, small = choose(0, REFERENCE), choose(1, REFERENCE)
    assert (standard.queries, small.queries) == (84, 56)
    assert standard.hiding_rows == 184
    for parameters in (standard, small):
        assert proven(parameters, REFERENCE).proven_bits >= 100
        fewer = replace(parameters, queries=parameters.queries - 1)
        assert proven(fewer, REFERENCE).proven_bits < 100


def test_more_segments_need_more_bits():
    for segments, bits in ((1, 100), (2, 101), (3, 102), (4, 102), (5, 103)):
        parameters = choose(0, COUNTS, segments)
        assert proven(parameters, COUNTS).proven_bits >= bits
        fewer = replace(parameters, queries=parameters.queries - 1)
        assert proven(fewer, COUNTS).proven_bits < bits


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


def test_statements_out_of_reach():
    tall = [PresentTable(2, 23, NOTHING)]
    with pytest.raises(UnsupportedReceipt, match="too tall"):
        Statement(reference.TABLES, tall, reference.TOY)
    many = replace(reference.TOY, queries=197)
    with pytest.raises(InsufficientSecurity, match="hiding"):
        Statement(reference.TABLES, [PresentTable(2, 11, NOTHING)], many)
    assert len(PublicTerms()) == 0
