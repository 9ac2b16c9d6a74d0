"""Estimates are upper bounds where they say so, and grow with the claims."""

from __future__ import annotations

import programs
import pytest

from zktally.hybrid import estimate, estimate_stark
from zktally.prover import Claims
from zktally.verifier.program.checked import Checked, check


@pytest.fixture(params=programs.EVERY)
def checked(request: pytest.FixtureRequest) -> Checked:
    return check(programs.EVERY[request.param]()[0])


def test_stricter_claims_cost_more(checked: Checked) -> None:
    items = 4096 * checked.program.batch
    found = [
        estimate_stark(checked, items, Claims(delta, bits=100), 0) for delta in (0.5, 0.05, 0.005)
    ]
    assert found[0].blocks < found[1].blocks <= found[2].blocks
    assert found[0].segments <= found[1].segments <= found[2].segments
    assert [plan.segments for plan in found] == [
        max(1, -(-plan.blocks // 98_304)) for plan in found
    ]


def test_a_small_receipt_costs_more(checked: Checked) -> None:
    standard, small = (estimate_stark(checked, 9, Claims(), profile) for profile in (0, 1))
    assert standard.blocks == small.blocks
    assert standard.seconds < small.seconds
    assert standard.memory_bytes < small.memory_bytes


def test_the_steps_of_a_chain_are_counted(checked: Checked) -> None:
    assert estimate(checked, 5 * checked.program.batch, Claims()).steps == 5
