"""The numbers of a report: against the plan that a verifier draws, and against exact fractions."""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction

import numpy as np
import pytest

from support.receipts import Prover
from zktally.verifier.program.types import gates
from zktally.verifier.report.exposure import Exposure
from zktally.verifier.report.numbers import chance, exact, odds, spoken
from zktally.verifier.sampling import make_plan

SEEDS = 400


def exposure(name: str, **claims) -> Exposure:
    return Exposure.of(Prover(name, **claims).commit().receipt())


CASES = {
    "by weight and evenly": ("every_kind", {"steps": 3, "bits": 4, "delta_ppm": 300_000}),
    "with a bound per step": (
        "every_kind",
        {"steps": 3, "bits": 4, "delta_ppm": 300_000, "delta_step_ppm": 400_000},
    ),
    "with a bound per op": (
        "every_kind",
        {"steps": 2, "bits": 2, "delta_ppm": 400_000, "delta_op_ppm": 400_000},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_single_wrong_value_is_seen_as_often_as_is_said(case: str) -> None:
    """Plans of many seeds: how often a given gate is in them, in the last step and in another."""
    name, claims = CASES[case]
    shown = exposure(name, **claims)
    counts = shown.counts
    sampled = [c for c, every in enumerate(counts.enumerated) if not every]
    assert sampled
    plans = [
        make_plan(counts, hashlib.sha256(bytes([n % 256, n // 256])).digest()) for n in range(SEEDS)
    ]
    for op in sampled:
        size, steps = gates(counts.checked.program.ops[op]), counts.claim.steps
        # All gates of a step are alike: their mean over many plans is sharper than one of them.
        hits = np.zeros(steps)
        for plan in plans:
            hits += np.bincount(plan.sampled[op] // size, minlength=steps)
        rates = hits / (SEEDS * size)
        for step, rate in enumerate(rates):
            said = shown.seen_once(op, last=step == steps - 1)
            spread = math.sqrt(said * (1 - said) / (SEEDS * size)) + 1e-9
            assert abs(rate - said) < 5 * spread, (op, step, rate, said)
        assert shown.ops[op].single == min(shown.seen_once(op, last=last) for last in (True, False))
        checked = np.mean([len(plan.sampled[op]) for plan in plans])
        spread = math.sqrt(shown.ops[op].checked / SEEDS)
        assert abs(shown.ops[op].checked - checked) < 5 * spread


def test_the_formula_in_fractions() -> None:
    shown = exposure("every_kind", steps=2, bits=4, delta_ppm=300_000)
    counts = shown.counts
    op = next(c for c, every in enumerate(counts.enumerated) if not every)
    weights = counts.checked.weights
    by_weight = Fraction(weights.weight[op], 2 * weights.step_weight)
    evenly = Fraction(1, 2 * gates(counts.checked.program.ops[op]))
    missed = (1 - by_weight) ** counts.samples * (1 - evenly) ** counts.even[op]
    assert shown.seen_once(op, last=True) == pytest.approx(float(1 - missed), rel=1e-12)


def test_beyond_delta_it_is_seen_but_for_the_bits() -> None:
    shown = exposure("every_kind", steps=3, bits=30, delta_ppm=100_000)
    assert 1 - shown.seen(shown.delta) <= 2**-30 * (1 + 1e-6)
    assert shown.seen(shown.delta / 10) < shown.seen(shown.delta)
    assert shown.seen(Fraction(0)) == 0
    work = shown.journal.items * shown.counts.checked.live_macs / shown.counts.checked.program.batch
    assert shown.work == work
    assert shown.most_wrong == math.floor(Fraction(work) / 10)


def test_where_everything_is_checked_nothing_is_left() -> None:
    shown = exposure("dense", exact=(0,))
    assert shown.complete
    assert shown.single == (1.0, 1.0)
    assert (shown.most_wrong, shown.seen(Fraction(1, 10**6))) == (0, 1.0)
    assert all(op.complete and op.checked == op.values for op in shown.ops)


def test_numbers_in_words() -> None:
    assert spoken(999_999) == "999,999"
    assert spoken(5_234_567) == "5.23 million"
    assert spoken(12_345_678_901) == "12.3 billion"
    assert exact(5_234_567) == "5,234,567 (about 5.23 million)"
    assert exact(12) == "12"
    assert odds(101) == "1 in 10³⁰"
    assert 10**30 < 2**101
    assert odds(3) == "1 in 8"


def test_a_probability_is_rounded_down() -> None:
    for probability, said in {
        1.0: "100 %",
        0.99999: "more than 99.99 %",
        0.9999: "99.99 %",
        0.99989: "99.98 %",
        0.5: "50 %",
        0.0429: "4.2 %",
        0.00099: "0.099 %",
        3.19e-6: "0.00031 %",
        0.0: "0 %",
    }.items():
        assert chance(probability) == said
        if said[0].isdigit() and probability < 1:
            assert float(said[:-2]) / 100 <= probability + 1e-12
