"""Random networks: their integers are onnxruntime's, and nothing crashes (`bench graphs`)."""

from __future__ import annotations

import pytest

from zktally.bench.graphs import measure

SEED, NODES, EACH = 20261126, 6, 25


@pytest.mark.parametrize(
    "part", [*range(8), *(pytest.param(n, marks=pytest.mark.nightly) for n in range(8, 400))]
)
def test_networks_compute_what_onnxruntime_does(part: int) -> None:
    rows = [measure(SEED, trial, NODES) for trial in range(part * EACH, (part + 1) * EACH)]
    bad = [row for row in rows if row["verdict"] in ("wrong", "crashed")]
    assert not bad
    assert sum(row["verdict"] == "right" for row in rows) > EACH // 2


def test_a_network_is_proven_and_verified() -> None:
    row = measure(SEED, 3, NODES, prove=True)
    assert (row["verdict"], row["proven"]) == ("right", True)
