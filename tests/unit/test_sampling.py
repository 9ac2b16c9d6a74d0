"""Sample counts, streams and the plan of gates to check."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from support import programs
from support.programs import i, k, port, read, tensor
from zktally.verifier.errors import ZktallyError
from zktally.verifier.journal import STRICT, ZERO_DIGEST, Journal
from zktally.verifier.program.checked import check
from zktally.verifier.program.types import (
    AxisMap,
    Gather,
    Layout,
    Pick,
    PickMode,
    Program,
    Role,
    Tensor,
    gates,
)
from zktally.verifier.sampling import Counts, draw, log2_inverse, make_plan, sample_count

SEED = bytes(range(32))


def journal(**fields):
    base = {
        "mode": 0, "program_id": ZERO_DIGEST, "weights_root": ZERO_DIGEST,
        "dataset_root": ZERO_DIGEST, "first": 0, "exported_root": ZERO_DIGEST, "seed": 0,
        "start": 0, "steps": 1, "items": 2,
        "delta_ppm": 50_000, "delta_step_ppm": 0, "delta_op_ppm": 0, "bits": 128, "exact": (),
        "chain_root": ZERO_DIGEST, "input_root": ZERO_DIGEST, "initial_state": ZERO_DIGEST,
        "final_state": ZERO_DIGEST, "prf_seed": ZERO_DIGEST, "input_key": None, "inputs": None,
        "outputs": b"", "audience": None, "nonce": None,
    }  # fmt: skip
    return Journal(**{**base, **fields})


@pytest.fixture(scope="module")
def conv():
    return check(programs.conv()[0])


@pytest.mark.parametrize(
    ("ppm", "samples"), [(100_000, 843), (50_000, 1730), (10_000, 8828), (500_000, 128)]
)
def test_published_sample_counts(ppm, samples):
    assert sample_count(ppm, 1, 1, 128) == samples


def test_padding_raises_the_count():
    assert sample_count(50_000, 1, 8, 128) > sample_count(50_000, 8, 8, 128)


@pytest.mark.parametrize("x", [1, 3, 499, 500])
@pytest.mark.parametrize("y", [1000, 1_000_003, 10**24 + 7])
def test_the_logarithm_is_never_too_large(x, y):
    exact = -math.log1p(-x / y) / math.log(2)
    found = log2_inverse(x, y) / 2**48
    assert exact * (1 - 1e-6) - 2**-47 < found <= exact * (1 + 1e-12)


def test_words_of_a_stream():
    def word(block, k):
        head = b"zktally sample v1\0" + SEED + (3).to_bytes(4, "little")
        block_hash = hashlib.sha256(head + block.to_bytes(8, "little")).digest()
        return int.from_bytes(block_hash[8 * k : 8 * k + 8], "little")

    words = [word(n // 4, n % 4) for n in range(9)]
    assert draw(SEED, 3, 1000, 9).tolist() == [w % 1000 for w in words]
    bound = 2**63 - 1
    kept = [w % bound for w in words if w < 2**64 // bound * bound]
    assert draw(SEED, 3, bound, len(kept)).tolist() == kept
    half = 2**63 + 1  # skips nearly half of the words
    assert draw(SEED, 3, half, 3).tolist() == [w for w in words if w < half][:3]


def test_draws_are_continued_over_runs_of_words(monkeypatch):
    whole = draw(SEED, 1, 10**6, 100).tolist()
    monkeypatch.setattr("zktally.verifier.sampling._MAX_WORDS", 7)
    assert draw(SEED, 1, 10**6, 100).tolist() == whole


def test_gates_are_drawn_by_weight(conv):
    steps = 40
    counts = Counts(conv, journal(steps=steps, items=2 * steps, bits=256, delta_ppm=500_000))
    plan = make_plan(counts, SEED)
    places = draw(SEED, 0, steps * conv.weights.step_weight, counts.samples).tolist()
    expected = set()
    for place in places:
        step, rest = divmod(place, conv.weights.step_weight)
        for c, op in enumerate(conv.program.ops):
            share = gates(op) * conv.weights.weight[c]
            if rest < share:
                expected.add((c, step, rest // conv.weights.weight[c]))
                break
            rest -= share
    for c, op in enumerate(conv.program.ops):
        even = draw(SEED, 1 + c, steps * gates(op), counts.samples_per_op).tolist()
        expected |= {(c, *divmod(r, gates(op))) for r in even}
    found = [
        (c, step, gate)
        for c in range(len(conv.program.ops))
        if not counts.enumerated[c]
        for step, numbers in plan.steps_of(c)
        for gate in numbers.tolist()
    ]
    assert found == sorted(found)
    assert set(found) == {entry for entry in expected if not counts.enumerated[entry[0]]}
    assert (
        len(found)
        == len(set(found))
        == plan.checked_gates
        - sum(steps * gates(op) for c, op in enumerate(conv.program.ops) if counts.enumerated[c])
    )


def test_a_bound_per_step_draws_in_every_step(conv):
    claim = journal(steps=30, items=59, delta_ppm=500_000, bits=1, delta_step_ppm=400_000)
    counts = Counts(conv, claim)
    assert counts.samples_of_last_step > counts.samples_per_step > 0
    assert not any(counts.enumerated)
    plan = make_plan(counts, SEED)
    covered = Counter(step for c in range(2) for step, _ in plan.steps_of(c))
    assert set(covered) == set(range(30))


def test_ops_are_enumerated_by_flag_list_or_count(conv):
    sparse = journal(steps=30, items=60, delta_ppm=500_000, bits=1)
    assert Counts(conv, sparse).enumerated == (False, False)
    assert Counts(conv, replace(sparse, exact=(1,))).enumerated == (False, True)
    assert Counts(conv, journal()).enumerated == (True, True)
    flagged = check(
        replace(conv.program, ops=(replace(conv.program.ops[0], exact=True), conv.program.ops[1]))
    )
    assert Counts(flagged, sparse).enumerated == (True, False)


@pytest.mark.parametrize("items", [1, 37, 40])
@pytest.mark.parametrize("ppm", [10_000, 123_457, 500_000])
def test_a_bound_per_op_draws_until_it_holds(conv, ppm, items):
    """The draws of an op are the fewest with λ·ln 2·n·G / (d·r·L) ≤ δ_op, or all its gates."""
    claim = journal(steps=20, items=items, bits=40, delta_ppm=500_000, delta_op_ppm=ppm)
    counts, without = Counts(conv, claim), Counts(conv, replace(claim, delta_op_ppm=0))
    assert without.even == (without.samples_per_op,) * 2
    for c, op in enumerate(conv.program.ops):

        def bound(draws, c=c, op=op):
            return 40 * math.log(2) * 40 * gates(op) / (draws * items * conv.live[c])

        assert bound(counts.draws(c)) <= ppm / 1e6
        assert counts.enumerated[c] == (20 * gates(op) <= counts.draws(c))
        fewest = counts.even[c] == without.even[c] or bound(counts.draws(c) - 1) > 0.999 * ppm / 1e6
        assert fewest


def test_dead_gates_and_padding_raise_the_draws_of_an_op(conv):
    """64 of 80 gates of the first op are live; one of two slots is real."""
    claim = journal(steps=1, items=1, bits=10, delta_ppm=500_000, delta_op_ppm=100_000)
    ln2 = 693_147_181
    assert Counts(conv, claim).draws(0) == -(-10 * ln2 * 2 * 80 // (1000 * 100_000 * 64))
    assert Counts(conv, claim).draws(1) == -(-10 * ln2 * 2 * 16 // (1000 * 100_000 * 16))


def test_a_plan_draws_what_each_op_needs(conv):
    claim = journal(steps=400, items=800, bits=20, delta_ppm=500_000, delta_op_ppm=50_000)
    counts = Counts(conv, claim)
    assert counts.even[0] != counts.even[1] > counts.samples_per_op
    assert not any(counts.enumerated)
    plan = make_plan(counts, SEED)
    for c, op in enumerate(conv.program.ops):
        even = set(draw(SEED, 1 + c, 400 * gates(op), counts.even[c]).tolist())
        assert even <= set(plan.sampled[c].tolist())


def test_a_strict_claim_draws_nothing_and_enumerates_everything(conv, monkeypatch):
    strict = journal(mode=STRICT, steps=30, items=60, delta_ppm=0, bits=0)
    counts = Counts(conv, strict)
    assert (counts.samples, counts.even, counts.enumerated) == (0, (0, 0), (True, True))
    plan = make_plan(counts, SEED)
    assert plan.checked_gates == 30 * (80 + 16)
    assert plan.sampled == (None, None)


def test_claims_are_about_macs_of_live_gates(conv):
    """The share is δ·r·M / (n·W), whatever the weights are."""
    claim = journal(steps=3, items=5, bits=30, delta_ppm=70_000)
    weight, macs = conv.weights.step_weight, 64 * 27
    share = 0.07 * 5 * macs / (6 * weight)
    assert Counts(conv, claim).samples == math.ceil(30 / -math.log2(1 - share))


@pytest.mark.parametrize(
    "fields",
    [
        {"delta_ppm": 1, "bits": 256},
        {"delta_step_ppm": 1, "bits": 256},
        {"delta_ppm": 500_000, "delta_step_ppm": 100, "steps": 2**10, "items": 2**11},
        {"steps": 2**20, "items": 2**21, "delta_ppm": 500_000, "delta_step_ppm": 500_000},
        {"steps": 2**20, "items": 2**21, "delta_ppm": 500_000, "delta_op_ppm": 3},
    ],
)
def test_too_much_work_is_refused_before_any_draw(conv, fields, monkeypatch):
    monkeypatch.setattr("zktally.verifier.sampling.draw", None)
    with pytest.raises(ZktallyError) as refused:
        make_plan(Counts(conv, journal(**fields)), SEED)
    assert refused.value.code == "verify.too-large"


def test_limits_on_weight_and_reads(conv, monkeypatch):
    for limit in ("MAX_CHAIN_WEIGHT", "MAX_READS"):
        with monkeypatch.context() as patch:
            patch.setattr(f"zktally.verifier.sampling.{limit}", 5)
            with pytest.raises(ZktallyError) as refused:
                make_plan(Counts(conv, journal()), SEED)
            assert refused.value.code == "verify.too-large"


def test_a_receipt_reads_so_many_slots_of_a_data_set_at_most():
    """A step of 2^20 records: sixteen steps read 2^24 slots, and seventeen are too many."""
    slots = 2**20
    data = Tensor("x", Role.DATA, 1, 0, 1, (slots, 1), layout=Layout((0, 1), 1, 1), records=slots)
    largest = Pick(
        "y", 1, False, (1,), PickMode.MAX, (slots,), (read(0, (slots, 1), k(0), AxisMap()),)
    )
    program = Program(
        "p", (data, tensor("y", Role.VALUE, (1,))), (), (largest,), (), (port("y", 1),)
    )
    checked = check(program)
    make_plan(Counts(checked, journal(steps=16, items=16, seed=1)), SEED)
    with pytest.raises(ZktallyError, match="slots of a data set") as refused:
        make_plan(Counts(checked, journal(steps=17, items=17, seed=1)), SEED)
    assert refused.value.code == "verify.too-large"


def test_a_gather_counts_its_axis_as_reads(monkeypatch):
    table, word = (100, 1), (2,)
    tensors = (
        tensor("table", Role.WEIGHT, table),
        tensor("word", Role.INPUT, word, lo=0, hi=99),
        tensor("y", Role.VALUE, word),
    )
    source = read(0, table, AxisMap(), AxisMap())
    op = Gather("y", 2, False, word, 0, source, read(1, word, i(0)))
    ports = (port("word", 1),), (port("y", 2),)
    counts = Counts(check(Program("p", tensors, (), (op,), *ports)), journal(items=1))
    assert counts.checked.weights.own == (1,)
    monkeypatch.setattr("zktally.verifier.sampling.MAX_READS", 2 * 101)
    make_plan(counts, SEED)
    monkeypatch.setattr("zktally.verifier.sampling.MAX_READS", 2 * 101 - 1)
    with pytest.raises(ZktallyError) as refused:
        make_plan(counts, SEED)
    assert refused.value.code == "verify.too-large"


def test_places_are_looked_up_in_parts(conv, monkeypatch):
    counts = Counts(conv, journal(steps=40, items=80, bits=256, delta_ppm=500_000))
    whole = make_plan(counts, SEED)
    monkeypatch.setattr("zktally.verifier.sampling._PLACES", 7)
    for found, expected in zip(make_plan(counts, SEED).sampled, whole.sampled, strict=True):
        assert np.array_equal(found, expected)


def test_draws_look_uniform():
    counts = np.bincount(draw(SEED, 9, 10, 20_000).astype(int), minlength=10)
    chi_squared = ((counts - 2000) ** 2 / 2000).sum()
    assert chi_squared < 27.9  # 99.9 % at 9 degrees of freedom
