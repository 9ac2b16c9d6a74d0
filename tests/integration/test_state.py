"""Programs with state: step i+1 starts where step i ended."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import zktally
from support import programs
from zktally.verifier.errors import UsageError, VerificationFailed

BACKENDS = ("rust", "python")


@pytest.fixture(scope="module")
def model() -> zktally.CompiledModel:
    program, weights = programs.running_average()
    return zktally.assemble(program, weights, public=True)


def inputs(model: zktally.CompiledModel, steps: int, seed: int) -> dict[str, np.ndarray]:
    """Random integers for each input port: steps along the first axis."""
    rng = np.random.default_rng(seed)
    program = model.checked.program
    return {
        port.name: rng.integers(-50, 50, (steps, *program.tensors[port.tensor].shape))
        for port in program.inputs
    }


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_chain_with_state(model: zktally.CompiledModel, backend: str) -> None:
    first = zktally.prove(model, inputs(model, 5, 0), "fast", delta=0.01)
    seen = first.verify(model.model_id, backend=backend)
    assert seen.steps == 5
    assert seen.initial_state != seen.final_state
    again = zktally.prove(model, inputs(model, 5, 0), "fast", delta=0.01)
    name, wanted = next(iter(seen.outputs.items()))
    found = again.verify(model.model_id, backend=backend).outputs[name]
    assert np.array_equal(found, wanted)
    with pytest.raises(VerificationFailed) as refused:
        again.verify(model.model_id, initial_state=seen.final_state, backend=backend)
    assert refused.value.code == "verify.state-mismatch"


def test_the_state_of_one_run_starts_the_next(model: zktally.CompiledModel) -> None:
    """Ten steps at once give the outputs of five and five, the second from the first's state."""
    program = model.checked.program
    whole = inputs(model, 10, 3)
    port = program.outputs[0].name
    at_once = zktally.prove(model, whole, "fast").verify(model.model_id).outputs[port]
    state = {program.tensors[link.state].name: None for link in program.states}
    parts = []
    given = None
    for half in (slice(0, 5), slice(5, 10)):
        part = {name: array[half] for name, array in whole.items()}
        receipt = zktally.prove(model, part, "fast", state=given)
        verified = receipt.verify(model.model_id)
        parts.append(verified.outputs[port])
        given = {name: last_state(model, part, given)[name] for name in state}
    assert np.array_equal(np.concatenate(parts), at_once)


def last_state(
    model: zktally.CompiledModel,
    inputs: dict[str, np.ndarray],
    state: dict[str, np.ndarray] | None,
) -> dict[str, np.ndarray]:
    """The state that a run of these inputs ends in, by state tensor name."""
    from zktally.hybrid.chain import execute_chain
    from zktally.prover import FastRun, initial_state
    from zktally.verifier.inputs import quantise

    program = model.checked.program
    run = FastRun(model.core, model.checked, initial_state(model.checked, state))
    batches, _ = quantise(program, inputs)
    execute_chain(run, batches)
    return {
        program.tensors[link.state].name: run.values(len(batches) - 1, link.value)
        for link in program.states
    }


def test_a_state_that_does_not_fit_is_refused(model: zktally.CompiledModel) -> None:
    program = model.checked.program
    name = program.tensors[program.states[0].state].name
    for state in ({"nothing": np.zeros(3, np.int8)}, {name: np.zeros((1, 1), np.int8)}):
        with pytest.raises(UsageError) as refused:
            zktally.prove(model, inputs(model, 1, 0), state=state)
        assert refused.value.code == "usage.input"


def test_an_assembled_model_is_saved_and_loaded(
    model: zktally.CompiledModel, tmp_path: Path
) -> None:
    model.save(tmp_path / "average.zkt")
    loaded = zktally.load(tmp_path / "average.zkt")
    assert loaded.model_id == model.model_id
    assert "Dot" in loaded.report.text()
