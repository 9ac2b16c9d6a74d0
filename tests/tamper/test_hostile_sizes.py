"""Statements of absurd sizes over proofs that are none: refused alike, at once, in little memory.

A liar needs no run: the digests of a statement may be any numbers.
"""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import time
import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import checks
import forger
import hybrids
import judges
import numpy as np
import pytest

from support import programs
from zktally.verifier import stark
from zktally.verifier.errors import InvalidProof, ZktallyError
from zktally.verifier.hybrid import blocks as counting
from zktally.verifier.hybrid import hashing, schedule, segments
from zktally.verifier.hybrid import verify as hybrid
from zktally.verifier.hybrid.leaves import Leaves, opened_keys
from zktally.verifier.hybrid.records import Records
from zktally.verifier.hybrid.segments import LEAST_PROOF, MAX_SEGMENTS
from zktally.verifier.journal import HYBRID, OWN, ROOT, ZERO_DIGEST, Journal, model_id
from zktally.verifier.openings import Trees
from zktally.verifier.policy import Expectations, Policy
from zktally.verifier.program.checked import check
from zktally.verifier.program.types import Layout, PickMode, Program, Role, Term
from zktally.verifier.reader import P
from zktally.verifier.roots import digest_bytes, input_root, state_digests, step_root, weights_root
from zktally.verifier.sampling import Counts, make_plan, sample_seed
from zktally.verifier.stark import params
from zktally.verifier.stark.statement import log_rows, most_rows

HERE = Path(__file__).parent
LAX = Policy(max_delta=0.5, min_bits=1, outputs_exact=False)


@dataclass
class Invented:
    """The statement of a run that never was."""

    parts: hybrids.Hybrid
    expectations: Expectations

    def receipt(self, room: int) -> bytes:
        """The receipt, with so many bytes of zeros for its proofs."""
        return replace(self.parts, segments=[bytes(room)]).encode()


def invented(program: Program, steps: int, **claims: object) -> Invented:
    checked = check(program)
    rng = np.random.default_rng(steps)
    fixed = len(program.of_role(Role.WEIGHT)), len(program.of_role(Role.STATE))
    stepped = program.of_role(Role.INPUT, Role.VALUE)
    weights, initial, every = (
        rng.integers(0, 2**30, shape, dtype=np.uint64)
        for shape in ((fixed[0], 8), (fixed[1], 8), (steps, len(stepped), 8))
    )
    linked = {link.state: stepped.index(link.value) for link in program.states}
    after = state_digests(every[:, [linked[t] for t in program.of_role(Role.STATE)]])
    first = state_digests(initial[None])
    before = np.concatenate([first, after[:-1]])
    inputs = every[:, [at for at, t in enumerate(stepped) if t in program.of_role(Role.INPUT)]]
    named = weights_root(weights)
    sizes = [program.tensors[port.tensor] for port in program.outputs]
    outputs = b"".join((bytes(t.width - 1) + b"\x80") * t.size for t in sizes) * steps
    stated = {
        "delta_ppm": 500_000, "delta_step_ppm": 0, "delta_op_ppm": 0, "bits": 2, "exact": (),
        "audience": None, "nonce": None, **claims,
    }  # fmt: skip
    journal = Journal(
        mode=HYBRID,
        program_id=checked.id,
        weights_root=named,
        steps=steps,
        items=steps * program.batch,
        dataset_root=ZERO_DIGEST,
        first=0,
        chain_root=step_root(checked.id, named, before, after, every, 0),
        input_root=input_root(inputs, 0),
        initial_state=digest_bytes(first[0]),
        final_state=digest_bytes(after[-1]),
        exported_root=ZERO_DIGEST,
        prf_seed=ZERO_DIGEST,
        seed=OWN,
        start=ROOT,
        input_key=None,
        inputs=None,
        outputs=outputs,
        **stated,
    )
    return Invented(
        hybrids.Hybrid(checked.data, journal.encode(), 0, []),
        Expectations.of(model_id=model_id(checked.id, named), policy=LAX),
    )


def timed(receipt: bytes, expectations: Expectations) -> tuple[str, float, float]:
    """The one code of both verifiers, and the seconds of all threads that each took."""
    start = time.process_time()
    first = judges.rust(receipt, expectations)
    middle = time.process_time()
    second = judges.python(receipt, expectations)
    assert first == second
    return first, middle - start, time.process_time() - middle


def matrix() -> Program:
    """Each step of it is about one segment."""
    return hybrids._matrix()


def dense() -> Program:
    return programs.dense()[0]


def blocks() -> Program:
    """Few cheap gates that open 4,097 blocks each, before dear ones that open next to nothing.

    Segments are cut by cost: the first of them has nearly all blocks, almost 2^22.
    """
    read, i, k = programs.read, programs.i, programs.k
    rows, piece = 1000, 2**16
    tensors = (
        programs.tensor("x", Role.INPUT, (rows, piece), width=3, cut=Layout((0, 1), 1, piece)),
        programs.tensor("w", Role.WEIGHT, (1600,)),
        programs.tensor("y", Role.VALUE, (rows,), width=3),
        programs.tensor("z", Role.VALUE, (1024,)),
    )
    first = read(0, (rows, piece), i(0), programs.FIRST)
    ops = (
        programs.pick("copy", 2, (rows,), PickMode.COPY, first),
        programs.dot("sums", 3, (1024,), Term((1600,), read(1, (1600,), k(0)), programs.Const(1)),
                     shift=programs.Const(10)),
    )  # fmt: skip
    ports = (programs.port("z", 3), programs.port("y", 2))
    return Program("blocks", tensors, (), ops, (programs.port("x", 0),), ports)


def squares() -> Program:
    """Wide gates of one product: nine rows of read_dot each, nearly all of them empty."""
    count = 200_000
    cut = programs.layout((count,), piece=1000)
    tensors = (
        programs.tensor("x", Role.INPUT, (count,), width=3, cut=cut),
        programs.tensor("y", Role.VALUE, (count,), width=3, cut=cut),
    )
    x = programs.read(0, (count,), programs.i(0))
    op = programs.dot("squares", 1, (count,), Term((), x, x), shift=programs.Const(24))
    ports = (programs.port("x", 0),), (programs.port("y", 1),)
    return Program("squares", tensors, (), (op,), *ports)


def tall() -> Program:
    """Six leaves of a tree of 2^26 in each step: 130 nodes above them, and few blocks.

    The first segment of many steps has the copies, the others the sums.
    """
    count, read = 2**26, programs.read
    tensors = (
        programs.tensor("x", Role.INPUT, (count,), cut=programs.layout((count,), piece=1)),
        programs.tensor("w", Role.WEIGHT, (420,)),
        programs.tensor("y", Role.VALUE, (6,)),
        programs.tensor("z", Role.VALUE, (1,)),
    )
    few = read(0, (count,), programs.i(0, a=count // 6))
    row = Term((420,), read(1, (420,), programs.k(0)), programs.Const(1))
    ops = (
        programs.pick("few", 2, (6,), PickMode.COPY, few),
        programs.dot("sums", 3, (1,), row, shift=programs.Const(10)),
    )
    ports = (programs.port("y", 2), programs.port("z", 3))
    return Program("tall", tensors, (), ops, (programs.port("x", 0),), ports)


CASES = {
    "no room for the segments": ("receipt.truncated", matrix, 20, {}, 20),
    "room for all but one byte": ("receipt.truncated", matrix, 20, {}, 21 - 1e-9),
    "zeros for many segments": ("verify.stark", matrix, 20, {}, 21),
    "more segments than anyone checks": ("verify.too-large", matrix, 1100, {}, 1025),
    "more segments than anyone checks, in no room": ("receipt.truncated", matrix, 1100, {}, 1024),
    "far more segments": ("receipt.truncated", matrix, 20_000, {}, 100),
    "one tall segment": ("verify.stark", dense, 10_000, {"delta_ppm": 1000, "bits": 100}, 1),
    "a tiny delta over many steps": (
        "receipt.truncated", dense, 60_000, {"delta_ppm": 10, "bits": 100}, 1,
    ),
    "more samples than gates": ("verify.stark", dense, 50, {"delta_ppm": 10, "bits": 100}, 1),
    "more samples than anyone draws": (
        "verify.too-large", dense, 50, {"delta_ppm": 1, "bits": 256}, 1,
    ),
    "all ops exact over many steps": ("verify.stark", dense, 10_000, {"exact": (0,)}, 1),
    "nearly all blocks in one segment": ("verify.stark", blocks, 1, {"exact": (0, 1)}, 42),
    "nearly all rows empty": ("verify.stark", squares, 1, {"exact": (0,)}, 2),
    "more nodes than a table holds": ("verify.too-large", tall, 34_000, {"exact": (0, 1)}, 5),
}  # fmt: skip
"""Code, program, steps, claims, and room for so many proofs of the least size."""


@pytest.mark.parametrize("name", CASES)
def test_refused_alike_at_once(name):
    code, program, steps, claims, proofs = CASES[name]
    made = invented(program(), steps, **claims)
    found, natively, plainly = timed(made.receipt(int(LEAST_PROOF * proofs)), made.expectations)
    assert found == code
    assert natively < 10
    assert plainly < 30


def test_most_steps_with_outputs_to_fit():
    """16 MB of statement, and no room for its records."""
    made = invented(dense(), 2)
    journal = Journal.decode(made.parts.journal)
    many = 2**20
    long = replace(journal, steps=many, items=2 * many, outputs=b"\x80" * 8 * many)
    parts = replace(made.parts, journal=long.encode())
    for proofs in ([], [bytes(1 << 20)]):
        receipt = replace(parts, segments=proofs).encode()
        code, natively, plainly = timed(receipt, made.expectations)
        assert code == "receipt.truncated"
        assert max(natively, plainly) < 10


MEASURE = """
import json, resource, sys
sys.path[:0] = {paths}
import judges, test_hostile_sizes as sizes

made = sizes.invented(sizes.{program}(), {steps}, **{claims})
receipt = made.receipt({room})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
code = judges.{judge}(receipt, made.expectations)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([code, (after - before) >> 10]))
"""


@pytest.mark.parametrize("judge", ["rust", "python"])
@pytest.mark.parametrize("name", ["zeros for many segments", "one tall segment"])
def test_memory_is_that_of_one_segment(name, judge):
    """No more than a segment of its tables, however many are claimed."""
    code, program, steps, claims, proofs = CASES[name]
    script = MEASURE.format(
        paths=[str(HERE), str(HERE.parent)], program=program.__name__, steps=steps,
        claims=claims, room=int(LEAST_PROOF * proofs), judge=judge,
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found, mebibytes = json.loads(done.stdout)
    assert found == code
    assert mebibytes < 600


@pytest.mark.parametrize("name", ["nearly all blocks in one segment", "nearly all rows empty"])
def test_tables_are_worked_out_in_portions(name):
    """As a whole they would be gigabytes: 2^22 rows of 88 words, 2^20 of 99."""
    code, program, steps, claims, proofs = CASES[name]
    script = MEASURE.format(
        paths=[str(HERE), str(HERE.parent)], program=program.__name__, steps=steps,
        claims=claims, room=int(LEAST_PROOF * proofs), judge="evaluated",
    ).replace("judges.evaluated", "sizes.evaluated")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found, mebibytes = json.loads(done.stdout)
    assert found == code
    assert mebibytes < 500


def evaluated(receipt: bytes, expectations: Expectations) -> str:
    """The verdict of the Python verifier, had the head of the first proof been good.

    All public columns of the segment are looked at, of the tallest tables a few portions.
    """

    def judge(data, *, present, **given):
        for table in present:
            for at in range(0, table.publics.shape[1], 1 << 20):
                table.publics[:, at : at + (1 << 16)].sum()
        raise InvalidProof("as far as here", code="verify.stark")

    with patch.object(stark, "verify_stark", judge):
        return judges.python(receipt, expectations)


def test_full_ops_are_counted_in_two_steps():
    """Gates looked at before the first proof is: of two steps, not of all that are claimed."""
    made = invented(matrix(), 20)
    looked_at = []
    keys = counting.opened_keys

    def watch(trees, items):
        looked_at.extend(len(run.gates) for run in items.runs)
        return keys(trees, items)

    with patch.object(counting, "opened_keys", watch):
        assert judges.python(made.receipt(21 * LEAST_PROOF), made.expectations) == "verify.stark"
    assert sum(looked_at) == 2 * 64 * 64


def test_drawn_gates_are_counted_once():
    claims = {"delta_ppm": 1000, "bits": 100}
    made = invented(dense(), 20_000, **claims)
    looked_at = []
    keys = counting.opened_keys

    def watch(trees, items):
        looked_at.extend(len(run.gates) for run in items.runs)
        return keys(trees, items)

    with patch.object(counting, "opened_keys", watch):
        assert judges.python(made.receipt(2 * LEAST_PROOF), made.expectations) == "verify.stark"
    journal = Journal.decode(made.parts.journal)
    plan = make_plan(Counts(check(dense()), journal), sample_seed(made.parts.journal))
    assert sum(looked_at) == plan.checked_gates


def test_draws_take_the_memory_of_the_gates_they_fall_on():
    """Millions of draws in steps of eight gates: kept as they come, they would take 40 MB."""
    made = invented(dense(), 5000, delta_ppm=1000, bits=100, delta_step_ppm=130_000)
    journal = Journal.decode(made.parts.journal)
    counts = Counts(check(dense()), journal)
    assert 5000 * counts.samples_per_step > 2_000_000
    tracemalloc.start()
    plan = make_plan(counts, sample_seed(made.parts.journal))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert plan.checked_gates == 5000 * 8
    assert peak < 24 << 20


def test_one_segment_is_derived_before_its_proof_is_judged():
    made = invented(matrix(), 20)
    derived = []
    derive = hybrid.derive

    def watch(checked, trees, items, *given):
        derived.append(items)
        return derive(checked, trees, items, *given)

    with patch.object(hybrid, "derive", watch):
        assert judges.python(made.receipt(21 * LEAST_PROOF), made.expectations) == "verify.stark"
    assert len(derived) == 1


def test_nodes_end_at_the_limit():
    """Not all levels over many leaves of tall trees are made before they are found too many."""
    program = tall()
    trees = Trees(program, 2)
    numbers = np.arange(12, dtype=np.int64)
    run = segments.GateRun(0, numbers // 6, numbers % 6)
    none = segments.OutputLeaves(*(numbers[:0] for _ in range(3)))
    found = Leaves(trees, opened_keys(trees, segments.Items((run,), none)))
    journal = Journal.decode(invented(program, 2).parts.journal)
    records = Records(trees, journal, numbers[:0], numbers[:0])
    assert hashing.node_rows(found, records, 2**22).columns.shape[1] > 250
    with pytest.raises(ZktallyError) as refused:
        hashing.node_rows(found, records, 32)
    assert refused.value.code == "verify.too-large"
    assert int(refused.value.received.split()[0]) <= 32 + 12


def test_rows_are_counted_before_they_are_made():
    """A segment of more blocks than a foldable proof has rows: refused before any gate is."""
    made = invented(blocks(), 1, exact=(0, 1))
    made = replace(made, parts=replace(made.parts, profile=2))
    receipt = made.receipt(42 * LEAST_PROOF)
    tracemalloc.start()
    with patch.object(schedule, "GateTables", side_effect=AssertionError("rows are made")):
        found = judges.python(receipt, made.expectations)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == judges.rust(receipt, made.expectations) == "verify.too-large"
    assert peak < 4 << 20


def test_a_segment_has_at_most_the_rows_that_fit():
    profiles = [params.Parameters(params.PROFILES[number], 100) for number in range(4)]
    tallest = [2**22, 2**21, 2**21, 2**20]
    assert [most_rows(each) for each in profiles] == [rows - 216 for rows in tallest]


def test_entries_are_counted_as_they_stand_in_rows():
    program = programs.every_kind()[0]
    every = range(len(program.tables))
    assert hashing.range_count(program) == hashing.range_rows(program).shape[1]
    assert schedule._act_count(program, every) == schedule._act_rows(program, [*every]).shape[1]


@pytest.mark.parametrize("most", [10, 4000])
def test_entries_beyond_the_limit_are_not_made(most):
    """Of leaves and of range classes, the least of which are 4,480 values."""
    made = invented(dense(), 20, exact=(0,))
    derive = hybrid.derive
    with (
        patch.object(hybrid, "derive", lambda *given: derive(*given[:4], most)),
        patch.object(schedule, "GateTables", side_effect=AssertionError("rows are made")),
    ):
        assert judges.python(made.receipt(LEAST_PROOF), made.expectations) == "verify.too-large"


def test_entries_of_lookup_tables_beyond_the_limit_are_not_made():
    made = invented(dense(), 20, exact=(0,))
    with (
        patch.object(schedule, "_act_count", return_value=2**22),
        patch.object(schedule, "_act_rows", side_effect=AssertionError("rows are made")),
    ):
        assert judges.python(made.receipt(LEAST_PROOF), made.expectations) == "verify.too-large"


@pytest.mark.nightly
def test_the_most_segments_that_are_checked():
    """Each derived before the first one is refused: the longest that a verifier can be busy."""
    made = invented(matrix(), 1000)
    found, natively, plainly = timed(made.receipt(LEAST_PROOF * MAX_SEGMENTS), made.expectations)
    assert found == "verify.stark"
    assert natively < 30
    assert plainly < 300


# Limits that only a proof larger than any test's could meet.


def _refusal() -> str:
    return judges.python(hybrids.hybrid_of("dense"), forger.victim("dense"))


def _as_many_lookups_as_p():
    counts = stark.Statement.counts
    many = lambda self, terms: replace(counts(self, terms), lookups=P)  # noqa: E731
    return patch.object(stark.Statement, "counts", many)


def _target_of_judging(segments: int, bits: int = 0) -> int:
    """More than any proof reaches, but for whoever chooses parameters."""
    chosen = inspect.stack()[1].function == "choose"
    return 101 + (segments - 1).bit_length() if chosen else 110


SMALLER = {
    "security.judge_bits 0": ("verify.too-large", _as_many_lookups_as_p),
    "security.judge_bits 1": (
        "security.insufficient",
        lambda: patch.object(hybrid.params, "target", _target_of_judging),
    ),
}


@pytest.mark.parametrize("check", SMALLER)
def test_limits_of_a_segment(check):
    code, change = SMALLER[check]
    with change():
        assert _refusal() == code
        with checks.WITHOUT[check]():
            assert _refusal() == judges.ACCEPTED


def test_the_tallest_table():
    assert log_rows(2**22 - 184, 184) == 22
    with pytest.raises(ZktallyError) as refused:
        log_rows(2**22 - 183, 184)
    assert refused.value.code == "verify.too-large"
    with checks.WITHOUT["statement.log_rows 0"]():
        assert log_rows(2**22 - 183, 184) == 23
