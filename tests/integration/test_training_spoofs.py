"""Spoofs of runs that `train` made: each is refused by both verifiers, with the code expected.

`tests/tamper` lies about the format, one field at a time. Here a liar has the real prover, the
program of a real network and the trainer's secrets, and hands out fast receipts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import zktally
from support.runs import Shop
from support.runs import shop as opened
from zktally import _core
from zktally.circuits.graph import Array
from zktally.errors import VerificationFailed
from zktally.hybrid.training.plan import Plan
from zktally.hybrid.training.run import Trained, train
from zktally.prover import Claims, FastRun
from zktally.prover.receipt import encode_receipt
from zktally.verifier.journal import Journal
from zktally.verifier.program.types import Role
from zktally.verifier.receipt import split_receipt

BACKENDS = ("rust", "python")
STEPS, LR = 10, 0.05
PLAN = Plan(
    lr=LR, batch=16, steps=STEPS, rehearsal=20, mode="fast", receipt_every=STEPS // 2, nonce="0011"
)
NONCE = PLAN.nonce_bytes()
PUBLIC = bytes(32)


class Liar:
    """The trainer of a run: whatever the real prover takes, it does."""

    def __init__(self, shop: Shop, trained: Trained, nonce: bytes | None = NONCE) -> None:
        self.steps, self.nonce = trained.steps, nonce
        self.model, self.program = trained.program, trained.program.checked.program
        records = {"x": shop.x, "labels": shop.y}
        arrays = [each.quantise(records[each.name]) for each in trained.steps.data]
        self.data = _core.Dataset(self.model.core, arrays, PUBLIC)
        (self.loss,) = (port.tensor for port in self.program.outputs)

    def begin(self, state: Any = None, first: int = 0) -> FastRun:
        """A run from the declared start, from a state that goes on, or from arrays."""
        return FastRun(
            self.model.core, self.model.checked, state, first=first, seed="derived",
            nonce=self.nonce, data=self.data,
        )  # fmt: skip

    def rates(self, lr: float) -> list[Array]:
        """The inputs of a step."""
        (port,) = self.program.inputs
        tensor = self.program.tensors[port.tensor]
        number = min(round(lr / port.scale), tensor.hi)
        return [np.full(tensor.shape, number, np.int32)]

    def values(self, run: FastRun, step: int) -> dict[int, Array]:
        """All that a step computed, by tensor."""
        return {number: run.values(step, number) for number in self.program.of_role(Role.VALUE)}

    def states(self, values: dict[int, Array]) -> list[Array]:
        """What the next step begins with."""
        return [values[link.value] for link in self.program.states]

    def receipt(self, run: FastRun) -> zktally.Receipt:
        run.commit()
        claims = Claims("fast", visibility="public", nonce=self.nonce)
        return zktally.Receipt(run.prove(claims, run.steps))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return opened(tmp_path_factory.mktemp("shop"))


def run_of(shop: Shop, plan: Plan, **how: Any) -> Trained:
    return train(shop.model, shop.x, shop.y, plan, data_key=PUBLIC, **how)


@pytest.fixture(scope="module")
def honest(shop: Shop) -> Trained:
    return run_of(shop, PLAN)


@pytest.fixture(scope="module")
def liar(shop: Shop, honest: Trained) -> Liar:
    return Liar(shop, honest)


def refused(honest: Trained, receipts: Any, code: str, policy: Any = None, **expected: Any) -> None:
    """Refused with this code by both verifiers, of what the honest run is."""
    how = {"dataset_root": honest.dataset_root, "nonce": NONCE, **expected}
    for backend in BACKENDS:
        with pytest.raises(VerificationFailed) as judged:
            zktally.verify_chain(receipts, honest.model_id, policy, backend=backend, **how)
        assert judged.value.code == code, (backend, judged.value)


def accepted(honest: Trained, receipts: Any, policy: Any = None, **expected: Any) -> None:
    how = {"dataset_root": honest.dataset_root, "nonce": NONCE, **expected}
    for backend in BACKENDS:
        zktally.verify_chain(receipts, honest.model_id, policy, backend=backend, **how)


def executed(liar: Liar, rate: Callable[[int], float], steps: int = STEPS) -> FastRun:
    run = liar.begin()
    for step in range(steps):
        run.execute(liar.rates(rate(step)))
    return run


def test_what_is_honest_is_accepted(honest: Trained, liar: Liar) -> None:
    """The liar's tools, used honestly, give what `train` gives: no spoof fails by accident."""
    accepted(honest, honest.receipts)
    whole = liar.receipt(executed(liar, lambda step: LR))
    accepted(honest, [whole])
    last = zktally.Receipt(honest.receipts[-1]).journal
    assert whole.journal.steps == STEPS
    for mine, other in zip(
        liar.states(liar.values(executed(liar, lambda step: LR), STEPS - 1)),
        honest.state.arrays,
        strict=True,
    ):
        assert np.array_equal(mine, other)
    assert last.first + last.steps == STEPS


# Learning rates: honestly computed, and stated.

SLOW = LR / 2
BOUNDED = zktally.Policy(ranges={"learning_rate": (LR / 20, 1.2 * SLOW)})


@pytest.mark.parametrize(
    "rate",
    [
        lambda step: 0.0 if step == 3 else SLOW,
        lambda step: LR if step == STEPS - 1 else SLOW,
        lambda step: 1.5 * SLOW,
        lambda step: LR / 100,
    ],
    ids=["zero in one step", "one giant step", "more than was said", "next to nothing"],
)
def test_a_rate_outside_of_the_policy(honest, liar, rate) -> None:
    receipt = liar.receipt(executed(liar, rate))
    refused(honest, [receipt], "policy.range", BOUNDED)
    accepted(honest, [receipt])


def test_a_policy_of_rates_takes_what_is_in_its_range(honest: Trained, liar: Liar) -> None:
    accepted(honest, [liar.receipt(executed(liar, lambda step: SLOW))], BOUNDED)


def test_no_step_is_larger_than_the_program_has_it(shop: Shop, honest: Trained, liar: Liar) -> None:
    """The highest rate of the plan is the largest number that its input holds."""
    (port,) = liar.program.inputs
    most = liar.program.tensors[port.tensor].hi
    assert most * port.scale == pytest.approx(LR, rel=1e-6)
    with pytest.raises(zktally.errors.UsageError):
        liar.begin().execute([np.full((1,), most + 1, np.int32)])
    faster = run_of(shop, replace(PLAN, lr=20 * LR))
    refused(honest, faster.receipts, "verify.model-mismatch")


def test_a_rate_changed_in_the_middle_of_a_run(honest: Trained, liar: Liar) -> None:
    """In range, but not the schedule that the verifier computes."""
    schedule = {"learning_rate": np.full((STEPS, 1), SLOW)}
    changed = liar.receipt(executed(liar, lambda step: SLOW if step < 7 else SLOW / 2))
    plain = liar.receipt(executed(liar, lambda step: SLOW))
    for backend in BACKENDS:
        how = {"dataset_root": honest.dataset_root, "nonce": NONCE, "backend": backend}
        plain.verify(honest.model_id, BOUNDED, inputs=schedule, **how)
        changed.verify(honest.model_id, BOUNDED, **how)
        with pytest.raises(VerificationFailed) as judged:
            changed.verify(honest.model_id, BOUNDED, inputs=schedule, **how)
        assert judged.value.code == "verify.input-mismatch"


# Steps that are not what they say.


def pushed(liar: Liar, change: Callable[[int, dict[int, Array]], dict[int, Array]]) -> FastRun:
    """A run whose steps hold what `change` makes of them; what follows goes on from there."""
    run, state = liar.begin(), None
    for step in range(STEPS):
        own = liar.begin(state, first=step)
        own.execute(liar.rates(LR))
        values = change(step, liar.values(own, 0))
        run.push(liar.rates(LR), list(values.values()))
        state = liar.states(values)
    return run


def test_steps_that_are_pushed_as_they_are_pass(honest: Trained, liar: Liar) -> None:
    accepted(honest, [liar.receipt(pushed(liar, lambda step, values: values))])


@pytest.mark.parametrize("by", [1, -1], ids=["skipped", "repeated"])
def test_a_batch_of_another_step(honest: Trained, liar: Liar, by: int) -> None:
    """Step 4 with records and noise of its neighbour, everything computed honestly on them."""
    run, state = liar.begin(), None
    for step in range(STEPS):
        own = liar.begin(state, first=step + by if step == 4 else step)
        own.execute(liar.rates(LR))
        values = liar.values(own, 0)
        run.push(liar.rates(LR), list(values.values()))
        state = liar.states(values)
    refused(honest, [liar.receipt(run)], "verify.gate")


def test_a_giant_step_behind_a_small_rate(honest: Trained, liar: Liar) -> None:
    """One wrong gate, the integer that the published rate becomes: it is exact."""
    run, state = liar.begin(), None
    for step in range(STEPS):
        own = liar.begin(state, first=step)
        own.execute(liar.rates(LR if step == 6 else SLOW))
        values = liar.values(own, 0)
        run.push(liar.rates(SLOW), list(values.values()))
        state = liar.states(values)
    refused(honest, [liar.receipt(run)], "verify.gate", BOUNDED)
    rates = [op for op in liar.program.ops if op.name.endswith("/rate")]
    assert rates
    assert all(op.exact for op in rates)


def test_a_loss_altered(honest: Trained, liar: Liar) -> None:
    """One number of one step: the loss is exact."""

    def better(step: int, values: dict[int, Array]) -> dict[int, Array]:
        return values | {liar.loss: values[liar.loss] - 1} if step == STEPS - 1 else values

    refused(honest, [liar.receipt(pushed(liar, better))], "verify.gate")


def test_weights_put_in_place_of_an_update(honest: Trained, liar: Liar) -> None:
    """The last step writes weights that were made elsewhere."""
    longer = executed(liar, lambda step: LR, 3 * STEPS)
    others = dict(zip((link.value for link in liar.program.states),
                      liar.states(liar.values(longer, 3 * STEPS - 1)), strict=True))  # fmt: skip

    def swapped(step: int, values: dict[int, Array]) -> dict[int, Array]:
        return values | others if step == STEPS - 1 else values

    refused(honest, [liar.receipt(pushed(liar, swapped))], "verify.gate")


# Receipts that do not belong together, each of them good by itself.


def halves(
    liar: Liar, change: Callable[[zktally.RunState], zktally.RunState], rate: float = LR
) -> list[zktally.Receipt]:
    """A run in two receipts, the second from what `change` makes of the state between them."""
    first = executed(liar, lambda step: rate, STEPS // 2)
    one = liar.receipt(first)
    second = liar.begin(change(first.final_state()))
    for _ in range(STEPS // 2):
        second.execute(liar.rates(rate))
    return [one, liar.receipt(second)]


def test_momentum_reset_between_two_receipts(honest: Trained, liar: Liar) -> None:
    def reset(state: zktally.RunState) -> zktally.RunState:
        arrays = [
            np.zeros_like(array) if name.endswith("/velocity") else array
            for name, array in state.by_name().items()
        ]
        assert any(name.endswith("/velocity") for name in state.names)
        return replace(state, arrays=tuple(arrays))

    one, two = halves(liar, reset)
    accepted(honest, [two])
    refused(honest, [one, two], "verify.follows")
    accepted(honest, halves(liar, lambda state: state))


def test_a_step_more_between_two_receipts(honest: Trained, liar: Liar) -> None:
    """The state of a longer run, said to stand where the first receipt ends."""
    longer = executed(liar, lambda step: LR, STEPS // 2 + 3).final_state()

    def renumbered(state: zktally.RunState) -> zktally.RunState:
        return replace(longer, position=state.position)

    refused(honest, halves(liar, renumbered), "verify.follows")


@pytest.fixture(scope="module")
def others(shop: Shop, honest: Trained, liar: Liar) -> dict[str, list[zktally.Receipt]]:
    """The two receipts of runs that differ in one thing."""
    flipped = np.where(np.arange(len(shop.y)) == 11, (shop.y + 1) % 3, shop.y)
    elsewhere = [
        list(map(zktally.Receipt, run_of(shop, plan).receipts))
        for plan in (replace(PLAN, weight_decay=0.1), replace(PLAN, nonce="22"))
    ]
    return {
        "program": elsewhere[0],
        "nonce": elsewhere[1],
        "label": halves(Liar(replace(shop, y=flipped), honest), lambda state: state),
        "rate": halves(liar, lambda state: state, SLOW),
    }


def test_the_other_runs_differ_in_that_one_thing(honest: Trained, others: Any) -> None:
    def shared(of: Callable[[Any], object]) -> set[str]:
        own = of(zktally.Receipt(honest.receipts[0]).journal)
        return {name for name, receipts in others.items() if of(receipts[0].journal) == own}

    assert shared(lambda journal: journal.model_id) == {"nonce", "label", "rate"}
    assert shared(lambda journal: journal.dataset_root) == {"program", "nonce", "rate"}
    assert shared(lambda journal: journal.prf_seed) == {"rate"}
    assert shared(lambda journal: journal.final_state) == set()


@pytest.mark.parametrize("name", ["program", "nonce", "label", "rate"])
def test_a_receipt_that_follows_another_run(honest: Trained, others: Any, name: str) -> None:
    refused(honest, [honest.receipts[0], others[name][1]], "verify.follows")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("program", "verify.model-mismatch"),
        ("nonce", "verify.nonce-mismatch"),
        ("label", "verify.dataset-mismatch"),
    ],
)
def test_another_run_by_itself(honest: Trained, others: Any, name: str, code: str) -> None:
    """A step of another program, another nonce, one label of 120 flipped."""
    refused(honest, others[name], code)


def test_another_run_under_the_statement_of_this_one(honest: Trained, others: Any) -> None:
    """Final state, exported root and chain of the other run, all else as it was."""
    mine = split_receipt(honest.receipts[1])
    own, better = Journal.decode(mine.journal), others["rate"][1].journal
    for name in ("final_state", "exported_root", "chain_root", "outputs"):
        assert getattr(own, name) != getattr(better, name)
        forged = replace(own, **{name: getattr(better, name)}).encode()
        receipt = encode_receipt(bytes(mine.program), forged, bytes(mine.proof))
        refused(honest, [honest.receipts[0], receipt], "verify.journal-mismatch")


def test_another_model_is_not_the_exported_one(shop: Shop, honest: Trained, liar: Liar) -> None:
    """The model of a longer run of the same program, sold under the receipt of this one."""
    assert honest.steps.served is not None
    mine, longer = honest.export(), executed(liar, lambda step: LR, 2 * STEPS)
    longer.commit()
    better = zktally.exported_model(honest.program, longer.final_state(), honest.steps.served.model)
    assert mine.program_id == better.program_id
    answer = zktally.prove(better, {"x": shop.x[:3]}, "strict")
    for backend in BACKENDS:
        run = zktally.verify_chain(
            honest.receipts, honest.model_id, dataset_root=honest.dataset_root, nonce=NONCE,
            backend=backend,
        )  # fmt: skip
        named = run.receipts[-1].exported_model_id(mine.program_id)
        assert named == mine.model_id.hex() != better.model_id.hex()
        with pytest.raises(VerificationFailed) as judged:
            answer.verify(named, backend=backend)
        assert judged.value.code == "verify.model-mismatch"
        answer.verify(better.model_id, backend=backend)
