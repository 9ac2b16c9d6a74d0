"""zktally bench sampling: are liars caught at the rates that the formula gives?

Each cell is an adversary with known wrong gates, run many times against the whole pipeline (new
salts, real commitments, the Rust verifier). The observed rate must lie in the 99.9 % binomial
interval around the exact probability of docs/protocol.md section 5.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .. import _core
from ..circuits.compile import compile
from ..circuits.keys import PUBLIC_KEY
from ..circuits.model import CompiledModel
from ..hybrid.training.plan import Plan
from ..hybrid.training.prepared import prepare
from ..hybrid.training.run import rates_of
from ..prover import Claims, FastRun, silent
from ..verifier.errors import VerificationFailed
from ..verifier.inputs import quantise
from ..verifier.keys import derived_seed, prf_values
from ..verifier.order import Order, order_key
from ..verifier.policy import Policy
from ..verifier.poseidon2 import Elements
from ..verifier.program.types import Program, Role, gates
from ..verifier.reader import P
from ..verifier.sampling import Counts, draw, sample_count
from . import learner
from .adversary import Wrong, false_chain
from .learners import perceptron, random_images
from .machine import describe
from .models import INT8

BATCH = 4
STEPS = 4
CONFIDENCE = 0.999
Steps = dict[int, Wrong]
Trace = tuple[Sequence[np.ndarray], Sequence[np.ndarray]]


@dataclass(frozen=True)
class Cell:
    """One adversary: wrong gates by step and op, and what the receipt claims."""

    name: str
    delta: float
    bits: int
    wrong: Steps
    delta_op: float | None = None

    @property
    def claims(self) -> Claims:
        """What the receipt claims."""
        return Claims("fast", self.delta, bits=self.bits, delta_op=self.delta_op)


@dataclass(frozen=True)
class Subject:
    """A model, its inputs step by step, the state that it starts from, and its adversaries."""

    model: CompiledModel
    batches: Sequence[Sequence[np.ndarray]]
    cells: Sequence[Cell]
    state: Sequence[np.ndarray] = ()
    given: Sequence[Mapping[int, np.ndarray]] = ()
    data: _core.Dataset | None = None

    @property
    def items(self) -> int:
        """Items of the chain: no padding."""
        return len(self.batches) * self.model.checked.program.batch


@dataclass(frozen=True)
class Outcome:
    """How often the adversary was caught, and how often the formula says."""

    cell: Cell
    trials: int
    caught: int
    expected: float
    low: int
    high: int

    @property
    def ok(self) -> bool:
        """Whether the rate is the formula's."""
        return self.low <= self.caught <= self.high

    def row(self) -> dict[str, object]:
        """The outcome as one JSON-ready object."""
        return {
            "cell": self.cell.name,
            "delta": self.cell.delta,
            "bits": self.cell.bits,
            "delta_op": self.cell.delta_op,
            "trials": self.trials,
            "caught": self.caught,
            "expected": self.expected,
            "interval": [self.low, self.high],
            "ok": self.ok,
        }


def tiny_cnn() -> onnx.ModelProto:
    """A float CNN with ops of very different weights: 1x12x12 → conv 6@3x3 → pool → 64 → 48 → 5."""
    rng = np.random.default_rng(3)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        scale = math.sqrt(2 / math.prod(shape[1:]))
        return numpy_helper.from_array(
            (rng.standard_normal(shape) * scale).astype(np.float32), name
        )

    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["c"], "conv"),
        helper.make_node("Relu", ["c"], ["r"], "relu0"),
        helper.make_node("MaxPool", ["r"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "w1"], ["g1"], "fc1", transB=1),
        helper.make_node("Relu", ["g1"], ["h1"], "relu1"),
        helper.make_node("Gemm", ["h1", "w2"], ["g2"], "fc2", transB=1),
        helper.make_node("Relu", ["g2"], ["h2"], "relu2"),
        helper.make_node("Gemm", ["h2", "w3"], ["y"], "fc3", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny_cnn",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 12, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5])],
        [
            weight("w0", 6, 1, 3, 3),
            weight("w1", 64, 150),
            weight("w2", 48, 64),
            weight("w3", 5, 48),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def cells(model: CompiledModel) -> list[Cell]:
    """Adversaries: one gate, spread, a whole cheap op, one step of many, the lightest ops."""
    program, weights = model.checked.program, model.checked.weights
    count = [gates(op) for op in program.ops]
    hidden = len(program.ops) - 2
    inner = list(range(len(program.ops) - 1))
    lightest = min(inner, key=lambda c: weights.weight[c] * count[c])
    rng = np.random.default_rng(5)

    def some(op: int, share: float) -> np.ndarray:
        return rng.choice(count[op], max(1, round(share * count[op])), replace=False)

    found = []
    for delta, bits in ((0.05, 2), (0.1, 2), (0.1, 4), (0.2, 3), (0.3, 5)):
        placements: dict[str, Steps] = {
            "one gate, the last hidden activation": {1: {hidden: np.array([7])}},
            "a δ fraction spread out": {
                j: {c: some(c, delta) for c in inner} for j in range(STEPS)
            },
            "a whole cheap op in one step": {2: {lightest: some(lightest, 1.0)}},
            "a δ fraction of one step of many": {3: {c: some(c, delta) for c in inner}},
            "a δ fraction in the lightest op": {
                j: {lightest: some(lightest, delta)} for j in range(STEPS)
            },
        }
        found += [Cell(name, delta, bits, wrong) for name, wrong in placements.items()]
    return found


def cells_of_learner() -> list[Cell]:
    """Adversaries that forge what heavy ops lean on, and one op of many where that is bounded."""
    program = learner.program()
    rng = np.random.default_rng(7)

    def everywhere(op: int, share: float) -> Steps:
        count = gates(program.ops[op])
        some = rng.choice(count, max(1, round(share * count)), replace=False)
        return {step: {op: some} for step in range(STEPS)}

    found = []
    for delta, bits, share in ((0.1, 2, 0.04), (0.3, 4, 0.08)):
        placements = {
            "the one gate of a scale": everywhere(learner.SCALE, 1.0),
            "part of a gating op": everywhere(learner.GATE, share),
            "part of a gated product": everywhere(learner.GATED, share),
            "part of a transposed copy": everywhere(learner.COPIED, share),
            "part of a weight update": everywhere(learner.UPDATE, share),
        }
        found += [Cell(name, delta, bits, wrong) for name, wrong in placements.items()]
    half = everywhere(learner.UPDATE, 0.5)
    return [*found, *(Cell("half of an op, bounded", 0.5, bits, half, 0.5) for bits in (2, 3, 4))]


def catch_probability(counts: Counts, cell: Cell) -> float:
    """Exact probability that at least one wrong gate is drawn or enumerated."""
    program, weights = counts.checked.program, counts.checked.weights
    totals = np.zeros(len(program.ops))
    for wrong in cell.wrong.values():
        for op, numbers in wrong.items():
            totals[op] += len(numbers)
    if any(total and full for total, full in zip(totals, counts.enumerated, strict=True)):
        return 1.0
    share = float(totals @ np.array(weights.weight)) / (STEPS * weights.step_weight)
    missed = (1 - share) ** counts.samples
    for total, size, even in zip(totals, map(gates, program.ops), counts.even, strict=True):
        missed *= (1 - total / (STEPS * size)) ** even
    return float(1 - missed)


def run_of(subject: Subject, traces: Sequence[Trace], trial: int) -> FastRun:
    """A committed run of given traces; the salts depend on the trial alone, so figures repeat."""
    words = np.random.default_rng(trial).integers(0, P, 8, np.uint32)
    model, key = subject.model, words.astype("<u4").tobytes()
    run = FastRun(model.core, model.checked, subject.state, run_key=key, data=subject.data)
    for inputs, values in traces:
        run.push(inputs, values)
    run.commit()
    return run


def attack(subject: Subject, cell: Cell, trials: int, traces: Sequence[Trace]) -> int:
    """Number of trials in which the liar was caught."""
    from ..api import verify

    policy = Policy(max_delta=0.5, min_bits=1)
    caught = 0
    for trial in range(trials):
        receipt = run_of(subject, traces, trial).prove(cell.claims, subject.items)
        try:
            verified = verify(receipt, subject.model.model_id, policy, any_dataset=True)
        except VerificationFailed as error:
            if error.code != "verify.gate":
                raise
            caught += 1
        else:
            if "certified" in verified.guarantee.outputs.values():
                raise AssertionError("a run with a wrong gate was called certified")
    return caught


def binomial_interval(trials: int, probability: float, confidence: float) -> tuple[int, int]:
    """The central interval of a binomial distribution, both ends included."""
    tail = (1 - confidence) / 2
    masses = [
        math.comb(trials, k) * probability**k * (1 - probability) ** (trials - k)
        for k in range(trials + 1)
    ]
    sums = np.cumsum(masses)
    low = int(np.searchsorted(sums, tail))
    high = int(np.searchsorted(sums, 1 - tail))
    return low, min(high, trials)


def subjects() -> list[Subject]:
    """The networks and their adversaries."""
    model = compile(tiny_cnn(), _images(64, 0), batch=BATCH, public=True, **INT8)
    batches, _ = quantise(model.checked.program, _images(STEPS * BATCH, 1))
    learning = learner.model(), learner.inputs(STEPS, 1), cells_of_learner()
    return [
        Subject(model, batches, cells(model)),
        Subject(*learning, state=learner.first_state(2)),
        trained(),
    ]


def trained() -> Subject:
    """A training run with noise and a data set, and its adversaries."""
    inputs, labels = random_images((12,), 5, 60)
    plan = Plan(batch=16, steps=STEPS, rehearsal=10, start="file")
    steps, _, held, _ = prepare(perceptron((12, 24, 5), 1), inputs, labels, plan, silent)
    records, model, rates = held.by_name(), steps.model, rates_of(steps, plan)
    arrays = steps.coded(records)
    dataset = _core.Dataset(model.core, arrays, PUBLIC_KEY)
    seed = derived_seed(model.program_id, dataset.root, None)
    return Subject(
        model,
        [rates(step) for step in range(STEPS)],
        cells_of_run(model.checked.program),
        steps.start,
        [given_of(model.checked.program, seed, arrays, step) for step in range(STEPS)],
        dataset,
    )


def given_of(
    program: Program, seed: Elements, arrays: Sequence[np.ndarray], step: int
) -> dict[int, np.ndarray]:
    """The arrays of data and prf tensors in a step of a run, by number.

    Args:
        program: of the step.
        seed: of the run, uint64 [8].
        arrays: the records of each data tensor, [records, ...].
        step: its place in the run.
    """
    found = {}
    for number in program.of_role(Role.PRF):
        tensor = program.tensors[number]
        offsets = np.arange(tensor.size, dtype=np.int64)
        assert tensor.domain is not None
        noise = prf_values(seed, step, tensor.domain, offsets, tensor.lo, tensor.hi)
        found[number] = noise.reshape(tensor.shape)
    for number, array in zip(program.of_role(Role.DATA), arrays, strict=True):
        slots = program.tensors[number].shape[0]
        (rows,) = Order(order_key(seed), len(array), slots, step, 1).table
        found[number] = array[rows]
    return found


def cells_of_run(program: Program) -> list[Cell]:
    """Adversaries that forge updates, the gradients of a layer, a whole step, the loss."""
    numbers = {op.name: number for number, op in enumerate(program.ops)}
    (loss,) = (n for n, op in enumerate(program.ops) if op.out == program.outputs[0].tensor)
    gradient = next(n for name, n in numbers.items() if name.startswith("grad/Where"))
    rng = np.random.default_rng(11)

    def some(op: int, share: float) -> np.ndarray:
        count = gates(program.ops[op])
        return rng.choice(count, max(1, round(share * count)), replace=False)

    def everywhere(op: int, share: float) -> Steps:
        return {step: {op: some(op, share)} for step in range(STEPS)}

    moved, velocity = (numbers[f"update constant0/{what}"] for what in ("moved", "velocity"))
    large = {op: some(op, 0.02) for op in range(len(program.ops)) if op != loss}
    found = []
    for delta, bits in ((0.1, 2), (0.3, 4)):
        placements: dict[str, Steps] = {
            "part of a weight update": everywhere(moved, 0.04),
            "part of a velocity": everywhere(velocity, 0.02),
            "part of the gradients of a layer": everywhere(gradient, 0.05),
            "one step of many": {2: large},
            "the loss of one step": {1: {loss: np.array([0])}},
        }
        found += [Cell(name, delta, bits, wrong) for name, wrong in placements.items()]
    return found


def outcomes(trials: int) -> list[Outcome]:
    """Run every cell of every network."""
    return [outcome(subject, cell, trials) for subject in subjects() for cell in subject.cells]


def outcome(subject: Subject, cell: Cell, trials: int) -> Outcome:
    """Run one adversary."""
    traces = false_chain(subject.model, subject.batches, cell.wrong, subject.state, subject.given)
    journal = run_of(subject, traces, 0).journal(cell.claims, subject.items)
    expected = catch_probability(Counts(subject.model.checked, journal), cell)
    low, high = binomial_interval(trials, expected, CONFIDENCE)
    return Outcome(cell, trials, attack(subject, cell, trials, traces), expected, low, high)


def _images(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 1, 12, 12), np.float32)


@dataclass(frozen=True)
class Grinding:
    """A prover that commits again and again until the draws miss its wrong gates."""

    tries: int
    bits: int
    successes: int
    bound: float
    limit: int

    @property
    def ok(self) -> bool:
        """Whether it did no better than its bound."""
        return self.successes <= self.limit


def grind(tries: int, delta: float = 0.1, bits: int = 10, weight: int = 1 << 20) -> Grinding:
    """Draw with `tries` seeds against a wrong share of just over δ; count those that miss it."""
    count = sample_count(round(delta * 1e6), 1, 1, bits)
    wrong = math.floor(delta * weight) + 1
    successes = 0
    for attempt in range(tries):
        seed = hashlib.sha256(attempt.to_bytes(8, "little")).digest()
        successes += bool(np.all(draw(seed, 0, weight, count) >= wrong))
    bound = 2.0**-bits
    mean = tries * bound
    return Grinding(tries, bits, successes, bound, math.ceil(mean + 3.3 * math.sqrt(mean) + 3))


def main(args: argparse.Namespace) -> int:
    """Print every cell; exit code 1 if one is off."""
    found = outcomes(args.trials)
    for outcome in found:
        print(json.dumps(outcome.row(), ensure_ascii=False, sort_keys=True))
    grinding = grind(args.tries)
    print(json.dumps({"grinding": vars(grinding) | {"ok": grinding.ok}, "machine": describe()}))
    good = sum(outcome.ok for outcome in found)
    print(f"{good} of {len(found)} cells inside the 99.9 % interval", file=sys.stderr)
    return 0 if good == len(found) and grinding.ok else 1
