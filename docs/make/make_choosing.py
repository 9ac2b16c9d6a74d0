"""Writes the tables of docs/choosing.md: what is caught, and what it costs.

Probabilities are exact: they follow from the number of draws that the verifier demands (protocol.md
section 5), and each draw is independent of the others. Costs are the estimates that `zktally prove`
prints before it begins. Run it with `make docs`; tests/unit/test_drawn_pages.py fails if the page
is stale.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np

import zktally
from zktally.bench import models
from zktally.bench.digits.data import MODEL_PATH
from zktally.circuits.model import CompiledModel
from zktally.prover import Claims
from zktally.prover.estimate import estimate_job
from zktally.verifier.program.checked import Checked
from zktally.verifier.program.types import gates
from zktally.verifier.sampling import Counts, sample_count

PAGE = Path(__file__).parents[1] / "choosing.md"
MILLION = 10**6
BATCH = 8
DELTAS = (0.1, 0.05, 0.01, 0.001)
SHARES = (0.1, 0.05, 0.01, 0.001, 0.0001)
HYBRID_BITS = 102


@cache
def digits() -> CompiledModel:
    """The network of the demo, in batches of 8."""
    return _compiled(MODEL_PATH.read_bytes(), "image", (1, 8, 8), BATCH)


@cache
def network(name: str) -> CompiledModel:
    """A network of random weights, as the benchmarks have it."""
    model = getattr(models, name)()
    shape = [axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    return _compiled(model.SerializeToString(), "input", shape, 1)


def _compiled(onnx: bytes, name: str, shape: Sequence[int], batch: int) -> CompiledModel:
    drawn = np.random.default_rng(0).uniform(0, 1, (16, *shape)).astype(np.float32)
    return zktally.compile(onnx, {name: drawn}, batch=batch, **models.INT8)


def missed_by_weight(share: float, delta: float) -> float:
    """The chance that a hybrid receipt of these claims passes, if this share of the MACs is wrong.

    As log2.

    It is that of a program whose gates weigh what they multiply (W = M), and whose wrong gates lie
    in ops so large that the draws of each op add nothing.
    """
    draws = sample_count(round(delta * MILLION), 1, 1, HYBRID_BITS)
    return draws * math.log2(1 - share)


def missed_in_op(counts: Counts, op: int, wrong: int) -> float:
    """The chance that a receipt passes if so many gates of one op are wrong, no others; as log2."""
    checked, steps = counts.checked, counts.claim.steps
    every = steps * gates(checked.program.ops[op])
    if counts.enumerated[op] or wrong == every:
        return -math.inf
    weight = wrong * checked.weights.weight[op] / (steps * checked.weights.step_weight)
    by_weight, evenly = math.log2(1 - weight), math.log2(1 - wrong / every)
    return counts.samples * by_weight + counts.even[op] * evenly


def by_share() -> Iterator[str]:
    """What is caught of any large network."""
    yield "| δ | samples |" + "".join(f" {_percent(share)} wrong |" for share in SHARES)
    yield "|---|---|" + "---|" * len(SHARES)
    for delta in DELTAS:
        draws = sample_count(round(delta * MILLION), 1, 1, HYBRID_BITS)
        cells = "".join(f" {_chance(missed_by_weight(share, delta))} |" for share in SHARES)
        yield f"| {_percent(delta)} | {draws:,} |{cells}"


def by_op() -> Iterator[str]:
    """What is caught in each op of a network, at the usual claims of a hybrid receipt."""
    counts = Claims("hybrid").counts(digits().checked, BATCH)
    yield "| op | gates | checked | one gate wrong | 1 % of them | 10 % | all |"
    yield "|---|---|---|---|---|---|---|"
    for c, op in enumerate(counts.checked.program.ops):
        size = gates(op)
        wrong = (1, math.ceil(size / 100), math.ceil(size / 10), size)
        cells = "".join(f" {_chance(missed_in_op(counts, c, n))} |" for n in wrong)
        seen = "all" if counts.enumerated[c] else f"{counts.draws(c):,}"
        yield f"| `{op.name}` | {size:,} | {seen} |{cells}"


def costs() -> Iterator[str]:
    """What receipts of some networks take."""
    yield "| network | MACs | claim | gates checked | seconds | memory | receipt |"
    yield "|---|---|---|---|---|---|---|"
    cases: tuple[tuple[str, Callable[[], CompiledModel]], ...] = (
        ("digits, batch of 8", digits),
        ("MLP 784-128-10", lambda: network("mlp")),
        ("LeNet-5", lambda: network("lenet5")),
        ("CNN 264k", lambda: network("cnn264k")),
        ("Dense 4M", lambda: network("dense4m")),
    )
    for name, model in cases:
        for claim, claims in _claims():
            yield _cost(name, claim, model().checked, claims)


def _claims() -> Iterator[tuple[str, Claims]]:
    yield "fast, δ = 5 %", Claims("fast")
    for delta in DELTAS[1:3]:
        yield f"hybrid, δ = {_percent(delta)}", Claims("hybrid", delta=delta)
    yield "strict", Claims("strict")


def _cost(name: str, claim: str, checked: Checked, claims: Claims) -> str:
    counts = claims.counts(checked, checked.program.batch)
    job = estimate_job(counts)
    size = sum(gates(op) for op in counts.checked.program.ops)
    share = 1 if counts.is_strict else counts.expected_checks / size
    return (
        f"| {name} | {job.run.macs:,} | {claim} | {100 * share:.0f} % | "
        f"{job.seconds:.2g} | {job.memory_bytes / 1e6:,.0f} MB | {job.proof_bytes / 1e3:,.0f} KB |"
    )


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _chance(missed: float) -> str:
    """The chance that something is seen, from log2 of the chance that it is not."""
    if missed == -math.inf:
        return "certain"
    if missed < -128:
        return "> 1 − 2^−128"
    if missed < -14:
        return f"1 − 2^−{math.floor(-missed)}"
    return f"{100 * (1 - 2**missed):.2g} %" if missed > -0.15 else f"{100 * (1 - 2**missed):.1f} %"


TABLES = {"by-share": by_share, "by-op": by_op, "costs": costs}


def render() -> str:
    """The page, its tables drawn anew between their marks."""
    page = PAGE.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        drawn = "\n".join(table())
        page, found = re.subn(
            rf"(<!-- {name} -->\n\n).*?(\n\n<!-- end -->)",
            lambda mark, drawn=drawn: mark[1] + drawn + mark[2],
            page,
            flags=re.DOTALL,
        )
        if found != 1:
            raise ValueError(f"{PAGE.name} has {found} places for the table {name}")
    return page


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
