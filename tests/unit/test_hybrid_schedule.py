"""Schedules of hybrid receipts, tried on true openings by a plain simulation of the tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from support import programs, schedule_digest, simulation
from support.covered import aligned, covered, wide
from support.receipts import Prover
from support.schedule_digest import derived, digests
from zktally.verifier.errors import ZktallyError
from zktally.verifier.gates import evaluate
from zktally.verifier.hybrid import segments
from zktally.verifier.hybrid.accumulator import is_direct
from zktally.verifier.hybrid.blocks import count_blocks
from zktally.verifier.hybrid.requantise import judge_covered
from zktally.verifier.hybrid.schedule import COLUMNS, Table
from zktally.verifier.program.checked import check
from zktally.verifier.program.types import Const, Dot, Program, Role, Tensor, Term

NAMES = ("dense", "conv", "running_average", "covered", "aligned", "wide")
KINDS = {
    "dense": {"gates", "clamped"},
    "conv": {"scans"},
    "covered": {"wide", "rounded", "picks", "scans", "divs", "clamped"},
    "aligned": {"aligned rows"},
    "wide": {"wide"},
}


@pytest.fixture
def proved(monkeypatch):
    for make in (covered, aligned, wide):
        monkeypatch.setitem(programs.EVERY, make.__name__, make)

    def prove(name, **claims):
        prover = Prover(name, **claims).commit()
        return prover, prover.receipt()

    return prove


@pytest.mark.parametrize("name", NAMES)
def test_all_tables_come_out_on_true_openings(name, proved):
    prover, receipt = proved(name, steps=3)
    run = simulation.simulate(derived(receipt), 0, prover, receipt)
    assert KINDS.get(name, set()) <= set(+run.kinds)


RUNS = {
    "from the beginning": {"steps": 5, "declared": True},
    "few samples": {"steps": 9, "delta_ppm": 400_000, "bits": 8},
}


@pytest.mark.parametrize("claims", RUNS.values(), ids=RUNS)
def test_all_tables_come_out_on_a_training_run(claims, proved):
    """Records in their order, noise under the positions of the run; then the run that goes on."""
    prover, receipt = proved("learner", **claims)
    simulation.simulate(derived(receipt), 0, prover, receipt)
    claims = {name: claim for name, claim in claims.items() if name != "declared"}
    later, receipt = proved("learner", follows=prover, **claims)
    run = simulation.simulate(derived(receipt), 0, later, receipt)
    assert run.kinds["rounded"] > 0
    noise = np.asarray(derived(receipt).segment(0).words[Table.NOISE])
    steps = noise[COLUMNS[Table.NOISE].at["step"]]
    assert set(steps.ravel().tolist()) <= set(range(later.first, later.first + later.steps))


@pytest.mark.parametrize("name", ["conv", "covered", "aligned"])
def test_all_tables_come_out_segment_by_segment(name, proved, monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_COST", 3000)
    prover, receipt = proved(name, steps=3)
    found = derived(receipt)
    assert len(found.bounds) > 3
    kinds: Counter[str] = Counter()
    for number in range(len(found.bounds) - 1):
        kinds += simulation.simulate(found, number, prover, receipt).kinds
    assert kinds["gates"] == sum(
        found.plan.gates_of(c) for c, op in enumerate(prover.program.ops) if hasattr(op, "terms")
    )


@pytest.mark.parametrize("name", NAMES)
def test_sums_are_the_accumulators_of_the_gates(name, proved):
    """Nothing is hidden by a clamp: each row's sum is that of the plain evaluation."""
    prover, receipt = proved(name, steps=2)
    found = derived(receipt)
    run = simulation.simulate(found, 0, prover, receipt)
    expected = []
    for gates in found.items.between(0, len(found.items)).runs:
        op = found.checked.program.ops[gates.op]
        if isinstance(op, Dot):
            for step, gate in zip(gates.steps.tolist(), gates.gates, strict=True):
                values = Traced(prover, step)
                plain = replace(op, mult=Const(1), shift=Const(0), rounding=None, out_zero=0)
                free = replace(prover.program.tensors[op.out], lo=-(2**62), hi=2**62)
                tensors = list(prover.program.tensors)
                tensors[op.out] = free
                program = replace(prover.program, tensors=tuple(tensors))
                plain = replace(plain, table=None)
                expected.append(int(evaluate(program, plain, gate[None], values)[0]))
    assert run.accumulators == expected


class Traced:
    """The values of one step of a run."""

    def __init__(self, prover, step):
        self.prover, self.step = prover, step

    def read(self, tensor, offsets):
        return self.prover.trace[self.step][tensor].ravel()[offsets].astype("int64")


def shared_noise():
    """Two prf tensors of one domain, and one that is an operand like any other."""
    i, shape = programs.i, (2, 20)
    noise = [
        Tensor(f"n{bits}", Role.PRF, 2, -low, 2**bits - 1 - low, shape, domain=domain)
        for bits, low, domain in ((3, 0, 7), (13, 0, 7), (12, 100, 2))
    ]
    tensors = (
        programs.tensor("x", Role.INPUT, shape),
        *noise,
        programs.tensor("y", Role.VALUE, shape),
        programs.tensor("z", Role.VALUE, shape),
    )

    def read(number):
        return programs.read(number, shape, i(0), i(1))

    ops = tuple(
        programs.dot(
            f"op {out}", out, shape, Term((), read(0), read(3)),
            mult=Const(3), shift=Const(13), rounding=read(rounding),
        )
        for out, rounding in ((4, 1), (5, 2))
    )  # fmt: skip
    ports = (programs.port("y", 4), programs.port("z", 5))
    return Program("noise", tensors, (), ops, (programs.port("x", 0),), ports), {}


def test_prf_tensors_may_share_a_domain(proved, monkeypatch):
    monkeypatch.setitem(programs.EVERY, "noise", shared_noise)
    prover, receipt = proved("noise", steps=2)
    found = derived(receipt)
    simulation.simulate(found, 0, prover, receipt)
    words = found.segment(0).words
    assert words[Table.NOISE].shape[1] == 2 * 2 * 3
    assert words[Table.NOISE][6:].max() == 2
    assert words[Table.BITS].shape[1] == 3 * 2 * 40


def test_items_and_their_costs(proved, monkeypatch):
    """The closed forms are those of a plain walk over all items."""
    prover, receipt = proved("covered", steps=3, delta_ppm=400_000)
    found = derived(receipt)
    program, items = prover.program, found.items
    costs, own = [], found.checked.weights.own
    for c, op in enumerate(program.ops):
        size = 7 if op.name == "gather" else own[c]
        factor = (2 if is_direct(found.checked, c) else 18) if isinstance(op, Dot) else 16
        costs += [64 + factor * size] * found.plan.gates_of(c)
    for step in range(3):
        for port in program.outputs:
            packed = prover.trees[step, port.tensor].packed
            costs += [64 + len(leaf) for leaf in packed]
        # The record: 36 elements and the roots, then position and inputs.
        stepped = len(program.of_role(Role.INPUT, Role.VALUE))
        elements = [36 + 8 * stepped, 1 + 8 * len(program.inputs)]
        if program.states:
            elements.append(8 * len(program.states))
        costs.append(64 + 160 * sum(-(-n // 16) for n in elements))
    assert len(items) == len(costs)
    assert [items.preceding(i) for i in range(len(costs) + 1)] == [
        sum(costs[:i]) for i in range(len(costs) + 1)
    ]
    for count in (1, 2, 5, 1000):
        bounds = segments.cut(items, count)
        segment = [c * count // sum(costs) for c in (sum(costs[:i]) for i in range(len(costs)))]
        assert bounds == [sum(s < i for s in segment) for i in range(count + 1)]
    whole = items.between(0, len(items))
    cut = [items.between(a, a + 1) for a in range(len(items))]
    gates = [(run.op, int(step), int(gate)) for part in cut for run in part.runs
             for step, gate in zip(run.steps, run.gates, strict=True)]  # fmt: skip
    assert gates == [(run.op, int(step), int(gate)) for run in whole.runs
                     for step, gate in zip(run.steps, run.gates, strict=True)]  # fmt: skip
    assert sum(len(part.outputs.leaf) for part in cut) == len(whole.outputs.leaf)
    assert whole.records.tolist() == [0, 1, 2]
    assert [step for part in cut for step in part.records.tolist()] == [0, 1, 2]


@pytest.mark.parametrize("name", NAMES)
def test_how_much_is_worked_on_at_once_does_not_matter(name, proved, monkeypatch):
    _, receipt = proved(name, steps=2)
    found = digests(receipt)
    monkeypatch.setattr(segments, "_POINTS", 7)
    assert digests(receipt) == found
    assert all(log == 13 or log == 11 for table in found for _, log, _ in table.values())


def test_a_hybrid_receipt_has_the_schedule_of_the_fast_one(proved):
    prover, receipt = proved("covered", steps=2)
    found = digests(receipt)
    prover.change(mode=1)
    assert digests(prover.receipt()) == found


def test_blocks_are_those_of_all_leaves(proved):
    _, receipt = proved("conv", steps=3)
    found = derived(receipt)
    blocks = count_blocks(found.plan, found.trees, schedule_digest.ROOM)
    words = found.segment(0).words
    assert blocks == words[Table.SPONGE].shape[1] - words[Table.RECORD].shape[1]


@pytest.mark.parametrize(
    ("segment_count", "room", "code"),
    [(1025, 1 << 40, "verify.too-large"), (3, (3 << 16) - 1, "receipt.truncated")],
)
def test_too_many_segments(segment_count, room, code):
    segments.judge_count(1024, 1 << 26)
    with pytest.raises(ZktallyError) as refused:
        segments.judge_count(segment_count, room)
    assert refused.value.code == code


def uncovered():
    """Programs that hybrid receipts do not cover."""
    program, _ = wide()
    second = program.ops[1]
    weight = programs.read(1, (6,), programs.i(1))
    big = replace(second, terms=(Term((), weight, Const(1 << 24)),), mult=Const(1))
    yield "a shift that is none", programs.every_kind()[0]
    yield "a large constant", replace(program, ops=(program.ops[0], big))
    tensors = (*program.tensors, Tensor("n", Role.PRF, 2, 0, 255, (2, 6), domain=1))
    noisy = programs.read(5, (2, 6), programs.i(0), programs.i(1))
    noisy = replace(second, terms=(*second.terms, Term((), noisy, Const(1))))
    covered_program, _ = covered()
    for lo in (-(1 << 23) - 1, 1 << 23, 2_130_706_433 - 40):
        tables = tuple(replace(table, lo=lo) for table in covered_program.tables)
        yield f"a table from {lo} on", replace(covered_program, tables=tables)
    yield "noise in a wide sum", replace(program, tensors=tensors, ops=(program.ops[0], noisy))


@pytest.mark.parametrize(("what", "program"), list(uncovered()))
def test_programs_that_are_not_covered(what, program):
    with pytest.raises(ZktallyError) as refused:
        judge_covered(check(program))
    assert refused.value.code == "hybrid.unsupported"


def test_programs_that_are_covered(proved):
    for name in NAMES:
        judge_covered(check(programs.EVERY[name]()[0]))
