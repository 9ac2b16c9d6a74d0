"""Composition of steps: a chain of one program, proven under one receipt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .. import _core
from ..prover import Claims, FastRun, Progress, Work, prove_job, silent
from ..verifier.errors import UsageError
from ..verifier.inputs import DTYPES, quantise
from ..verifier.journal import HYBRID
from ..verifier.program.checked import Checked
from ..verifier.program.types import Role
from ..verifier.quoting import listed, quoted

Inputs = np.ndarray | Mapping[str, np.ndarray]

COMMIT_EVERY = 16
"""Steps executed between two rounds of commitment: enough trees to keep all cores busy."""


def initial_state(checked: Checked, given: Mapping[str, np.ndarray] | None) -> list[np.ndarray]:
    """The state that step 0 starts from, by tensor name; zero (clamped into range) where not given.

    Raises:
        UsageError: an unknown name, a wrong shape, or a value out of range.
    """
    program = checked.program
    given = dict(given or {})
    arrays = []
    for number in program.of_role(Role.STATE):
        tensor = program.tensors[number]
        rest = np.full(tensor.shape, min(max(0, tensor.lo), tensor.hi), np.int64)
        array = np.asarray(given.pop(tensor.name, rest))
        if array.shape != tensor.shape or not np.issubdtype(array.dtype, np.integer):
            raise UsageError(
                f"state {quoted(tensor.name)} does not fit",
                code="usage.input",
                expected=f"integers of shape {tensor.shape}",
                received=f"{array.dtype} of shape {array.shape}",
            )
        if array.size and not tensor.lo <= int(array.min()) <= int(array.max()) <= tensor.hi:
            raise UsageError(
                f"state {quoted(tensor.name)} is out of range",
                code="usage.input",
                expected=f"[{tensor.lo}, {tensor.hi}]",
            )
        arrays.append(np.ascontiguousarray(array, DTYPES[tensor.width]))
    if given:
        raise UsageError(
            f"no such state: {listed(given)}",
            code="usage.input",
            expected=listed(program.tensors[n].name for n in program.of_role(Role.STATE)),
        )
    return arrays


def execute_chain(
    run: FastRun, batches: Sequence[Sequence[np.ndarray]], progress: Progress = silent
) -> None:
    """Execute and commit every batch as one step."""
    for done, batch in enumerate(batches, start=1):
        run.execute(batch)
        if done % COMMIT_EVERY == 0 or done == len(batches):
            run.commit()
        progress("execute and commit", done, len(batches))


def run_chain(
    model: _core.Model,
    checked: Checked,
    inputs: Inputs,
    *,
    state: Mapping[str, np.ndarray] | None = None,
    prf_seed: bytes | None = None,
    items: int | None = None,
    progress: Progress = silent,
) -> tuple[FastRun, int]:
    """Run the program over all batches of `inputs`, and commit.

    Args:
        model: the committed model.
        checked: the same program as the Python side reads it.
        inputs: arrays by input name (or one array), items along the batch axis; the last batch is
            padded.
        state: initial state by tensor name.
        prf_seed: seed of the prf tensors; fresh by default.
        items: number of steps, for a program without inputs.
        progress: called after each step.

    Returns:
        The run, and the number of items in it.

    Raises:
        UsageError: inputs or state that do not fit the program.
    """
    batches, count = quantise(checked.program, inputs, items)
    run = FastRun(model, checked, initial_state(checked, state), prf_seed=prf_seed)
    execute_chain(run, batches, progress)
    return run, count


def prove_chain(
    model: _core.Model,
    checked: Checked,
    inputs: Inputs,
    claims: Claims,
    *,
    state: Mapping[str, np.ndarray] | None = None,
    prf_seed: bytes | None = None,
    items: int | None = None,
    progress: Progress = silent,
) -> bytes:
    """Run a chain and show that the claims hold: a fast receipt. Arguments: see `run_chain`."""
    run, count = run_chain(
        model, checked, inputs, state=state, prf_seed=prf_seed, items=items, progress=progress
    )
    progress("open", 0, 1)
    receipt = run.prove(claims, count)
    progress("open", 1, 1)
    return receipt


def prove_hybrid_chain(
    model: _core.Model,
    checked: Checked,
    inputs: Inputs,
    claims: Claims,
    *,
    profile: int = 0,
    mode: int = HYBRID,
    work: Work | None = None,
    state: Mapping[str, np.ndarray] | None = None,
    prf_seed: bytes | None = None,
    items: int | None = None,
    progress: Progress = silent,
) -> bytes:
    """Run a chain and prove the claims in zero knowledge: a hybrid or a strict receipt.

    Arguments as of `run_chain`; `profile` of the STARK is 0 (standard) or 1 (small), `mode` 1
    (hybrid) or 2 (strict), and `work` the folder to prove in, so that the proof can be resumed, or
    None for memory.
    """
    run, count = run_chain(
        model, checked, inputs, state=state, prf_seed=prf_seed, items=items, progress=progress
    )
    progress("open", 0, 1)
    job = run.job(claims, count, profile, mode)
    del run  # its traces are needed no longer, and proving wants the memory
    progress("open", 1, 1)
    return prove_job(job, work, model, progress)
