"""Liars are caught at the formula's rates (`zktally bench sampling` has the figures)."""

from __future__ import annotations

from zktally.bench.sampling import binomial_interval, grind, outcomes


def test_caught_at_the_formulas_rates() -> None:
    found = outcomes(trials=120)
    assert len(found) >= 20
    off = [outcome.row() for outcome in found if not outcome.ok]
    assert off == []


def test_one_gate_is_nearly_always_missed() -> None:
    """The honest limit of sampling: nobody may believe that it sees a single wrong gate."""
    single = [o for o in outcomes(trials=40) if o.cell.name.startswith("one gate")]
    assert sum(o.caught for o in single) <= 0.1 * sum(o.trials for o in single)


def test_grinding_gains_nothing() -> None:
    grinding = grind(1 << 16)
    assert grinding.ok, grinding


def test_the_interval_is_the_binomials() -> None:
    assert binomial_interval(10, 0.5, 0.999) == (0, 10)
    assert binomial_interval(400, 0.5, 0.999) == (167, 233)
    assert binomial_interval(300, 0.0, 0.999) == (0, 0)
    assert binomial_interval(300, 1.0, 0.999) == (300, 300)
