"""A training run in the core and in the reference executor: the same integers, whatever runs it."""

from __future__ import annotations

import numpy as np
import pytest

from zktally import _core
from zktally.bench.learners import convolutional, digits, perceptron, random_images
from zktally.bench.sampling import given_of
from zktally.circuits import reference
from zktally.circuits.keys import PUBLIC_KEY
from zktally.hybrid.training.plan import Plan
from zktally.hybrid.training.prepared import prepare
from zktally.hybrid.training.run import rates_of
from zktally.prover import FastRun, silent
from zktally.verifier.keys import derived_seed
from zktally.verifier.program.types import Role

STEPS = 3


@pytest.mark.parametrize("kind", ["sgd", "adam", "convolutions"])
def test_the_core_computes_what_the_reference_does(kind: str) -> None:
    if kind == "convolutions":
        (inputs, labels), _ = digits(flat=False)
        inputs, labels = inputs[:40], labels[:40]
        model = convolutional(0)
    else:
        inputs, labels = random_images((12,), 5, 40)
        model = perceptron((12, 16, 5), 0)
    plan = Plan(
        optimizer="adamw" if kind == "adam" else "sgd", lr=0.01, weight_decay=0.01, batch=8,
        steps=STEPS, rehearsal=4, start="file",
    )  # fmt: skip
    steps, _, held, _ = prepare(model, inputs, labels, plan, silent)
    records, program = held.by_name(), steps.model.checked.program
    arrays = steps.coded(records)
    dataset = _core.Dataset(steps.model.core, arrays, PUBLIC_KEY)
    run = FastRun(steps.model.core, steps.model.checked, steps.start, data=dataset)
    seed, rates = derived_seed(steps.model.program_id, dataset.root, None), rates_of(steps, plan)
    weights = dict(zip(program.of_role(Role.WEIGHT), steps.model.weights, strict=True))
    state = dict(zip(program.of_role(Role.STATE), steps.start, strict=True))
    for step in range(STEPS):
        run.execute(rates(step))
        given = given_of(program, seed, arrays, step)
        noise = {program.tensors[number].name: array for number, array in given.items()}
        values = reference.run(
            program,
            dict(zip(program.of_role(Role.INPUT), rates(step), strict=True)),
            weights,
            state,
            lambda tensor, held=noise: held[tensor.name],
            {number: given[number] for number in program.of_role(Role.DATA)},
        )
        for number in program.of_role(Role.VALUE):
            np.testing.assert_array_equal(
                run.values(step, number), values[number], err_msg=program.tensors[number].name
            )
        state = {link.state: values[link.value] for link in program.states}
