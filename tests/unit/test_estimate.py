"""Estimates against the schedule that a verifier derives: rows, segments, sizes."""

from __future__ import annotations

import hashlib
from collections import Counter
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from support import programs
from zktally.bench.models import BENCH_MODELS, calibration, dense
from zktally.bench.training import training_step
from zktally.circuits.compile import compile
from zktally.prover import Claims
from zktally.prover.estimate import estimate_job, estimate_run, estimate_stark
from zktally.prover.estimate.open_regions import Region, nodes_above
from zktally.verifier.errors import UnsupportedReceipt
from zktally.verifier.hybrid.blocks import count_blocks
from zktally.verifier.hybrid.schedule import Claims as Statements
from zktally.verifier.hybrid.schedule import derive
from zktally.verifier.hybrid.segments import SEGMENT_BLOCKS, ItemList, cut, segment_count
from zktally.verifier.openings import Trees
from zktally.verifier.program.checked import Checked, check
from zktally.verifier.sampling import Counts, make_plan
from zktally.verifier.stark.statement import MIN_LOG_ROWS

CLOSE = 1.3
"""Factor within which the rows of a table are foreseen."""

ROOM = 1 << 40
Rows = Counter[str]
COVERED = [name for name in programs.EVERY if name != "every_kind"]

CELLS = [
    ("mlp", 1, 1, "hybrid", 0.05),
    ("mlp", 8, 2, "strict", 0.05),
    ("lenet5", 1, 1, "hybrid", 0.05),
    ("lenet5", 1, 16, "hybrid", 0.01),
    ("lenet5", 1, 1, "strict", 0.05),
    ("lenet5", 4, 1, "strict", 0.05),
    ("cnn264k", 1, 16, "hybrid", 0.05),
    pytest.param("cnn264k", 4, 1, "strict", 0.05, marks=pytest.mark.nightly),
    ("dense512", 1, 1, "hybrid", 0.05),
    ("dense512", 16, 4, "hybrid", 0.01),
    ("dense512", 4, 1, "strict", 0.05),
]


@cache
def compiled(model: str, batch: int) -> Checked:
    """A network of the benchmarks."""
    graph = dense(512, 4) if model == "dense512" else BENCH_MODELS[model]()
    return compile(graph, calibration(graph, 4, 0), batch=batch, public=True, evaluate=1).checked


def sampled(mode: str, delta: float) -> Claims:
    """Claims about samples, which a strict receipt has none of."""
    return Claims(mode) if mode == "strict" else Claims(mode, delta, bits=100)


def actual(counts: Counts) -> tuple[int, int, Rows]:
    """Blocks, segments and rows by table of one draw, as a verifier derives them."""
    checked, journal = counts.checked, counts.claim
    trees = Trees(checked.program, journal.steps)
    plan = make_plan(counts, hashlib.sha256(b"a draw").digest())
    found = ItemList(plan, trees)
    blocks = count_blocks(plan, trees, ROOM)
    segments = segment_count(found, blocks)
    outputs = {
        port.tensor: np.zeros(
            (journal.steps, *checked.program.tensors[port.tensor].shape), np.int64
        )
        for port in checked.program.outputs
    }
    said = Statements(journal, outputs)
    rows: Rows = Counter()
    for bounds in pairwise(cut(found, segments)):
        schedule = derive(checked, trees, found.between(*bounds), said)
        for table, words in schedule.words.items():
            rows[table.name.lower()] += words.shape[1]
    return blocks, segments, rows


def compare(counts: Counts) -> None:
    """Refuse an estimate that is not close."""
    plan = estimate_job(counts).stark
    assert plan is not None
    blocks, segments, rows = actual(counts)
    assert plan.blocks == pytest.approx(blocks, rel=0.05, abs=16)
    assert plan.segments == segments
    assert set(plan.rows) == set(rows)
    # The rows below the least height cost nothing.
    least = segments << MIN_LOG_ROWS
    for table, count in rows.items():
        foreseen, found = max(plan.rows[table], least), max(count, least)
        assert found / CLOSE < foreseen < found * CLOSE, (table, found, foreseen)


@pytest.mark.parametrize(("model", "batch", "steps", "mode", "delta"), CELLS)
def test_rows_and_segments_are_foreseen(
    model: str, batch: int, steps: int, mode: str, delta: float
) -> None:
    compare(sampled(mode, delta).counts(compiled(model, batch), batch * steps))


@pytest.mark.parametrize("mode", ["hybrid", "strict"])
@pytest.mark.parametrize("steps", [1, 6])
def test_the_states_of_a_chain_are_foreseen(steps: int, mode: str) -> None:
    checked = check(training_step([32] * 3, 8))
    compare(sampled(mode, 0.05).counts(checked, steps))


@pytest.mark.parametrize("mode", ["hybrid", "strict"])
@pytest.mark.parametrize("name", COVERED)
def test_rows_of_every_kind_of_gate_are_foreseen(name: str, mode: str) -> None:
    checked = check(programs.EVERY[name]()[0])
    compare(sampled(mode, 0.05).counts(checked, 300 * checked.program.batch))


def test_a_receipt_of_several_segments() -> None:
    checked = compiled("cnn264k", 4)
    plan = estimate_job(Claims("strict").counts(checked, 64)).stark
    assert plan is not None
    assert plan.segments > 12
    assert plan.segments * SEGMENT_BLOCKS > plan.blocks
    assert plan.is_checkable
    longer = estimate_job(Claims("strict").counts(checked, 64 * 1024)).stark
    assert longer is not None
    assert not longer.is_checkable
    # What is counted of some segments stands for all of them.
    assert longer.seconds == pytest.approx(1024 * plan.seconds, rel=0.2)


def test_a_program_that_the_stark_does_not_cover() -> None:
    checked = check(programs.EVERY["every_kind"]()[0])
    assert estimate_job(Claims("fast").counts(checked, 9)).proof_bytes > 0
    with pytest.raises(UnsupportedReceipt):
        estimate_job(Claims("hybrid").counts(checked, 9))


@pytest.fixture(params=COVERED)
def checked(request: pytest.FixtureRequest) -> Checked:
    return check(programs.EVERY[request.param]()[0])


def test_stricter_claims_cost_more(checked: Checked) -> None:
    items = 4096 * checked.program.batch
    found = [
        estimate_stark(Claims("hybrid", delta, bits=100).counts(checked, items), 0)
        for delta in (0.5, 0.05, 0.005)
    ]
    assert found[0].blocks < found[1].blocks <= found[2].blocks
    assert found[0].segments <= found[1].segments <= found[2].segments
    assert found[0].seconds <= found[1].seconds <= found[2].seconds


def test_a_small_receipt_costs_more(checked: Checked) -> None:
    counts = Claims("fast").counts(checked, 9)
    standard, small = (estimate_stark(counts, profile) for profile in (0, 1))
    assert standard.blocks == small.blocks
    assert standard.seconds < small.seconds
    assert standard.memory_bytes < small.memory_bytes
    assert standard.proof_bytes > small.proof_bytes


def test_a_strict_job_costs_as_much_as_one_with_every_op_exact(checked: Checked) -> None:
    strict, hybrid = (
        estimate_job(claims.counts(checked, 9))
        for claims in (Claims("strict"), Claims("hybrid", exact="all"))
    )
    assert strict.stark == hybrid.stark
    assert strict.run.samples == 0
    assert estimate_job(Claims("fast").counts(checked, 9)).stark is None


def test_the_steps_of_a_chain_are_counted(checked: Checked) -> None:
    assert estimate_run(Claims("fast").counts(checked, 5 * checked.program.batch)).steps == 5


def test_nodes_above_every_leaf_are_all_nodes() -> None:
    assert nodes_above(Region(size=16, open=16, trees=2), 8) == (14, 2)
    assert nodes_above(Region(size=8, open=0, trees=1), 8) == (0, 0)
