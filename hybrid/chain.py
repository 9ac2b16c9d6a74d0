"""Composition of steps: a chain of one program, proven under one receipt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..circuits.model import CompiledModel
from ..prover import Claims, FastRun, Progress, ProverOptions, prove_job, silent
from ..prover.errors import ProveError
from ..verifier.errors import UsageError
from ..verifier.inputs import DTYPES, quantise
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
    model: CompiledModel,
    inputs: Inputs,
    *,
    state: Mapping[str, np.ndarray] | None = None,
    items: int | None = None,
    progress: Progress = silent,
) -> tuple[FastRun, int]:
    """Run the program over all batches of `inputs`, and commit.

    Args:
        model: the compiled model.
        inputs: arrays by input name (or one array), items along the batch axis; the last batch is
            padded.
        state: initial state by tensor name.
        items: number of steps, for a program without inputs.
        progress: called after each step.

    Returns:
        The run, and the number of items in it.

    Raises:
        UsageError: inputs or state that do not fit the program.
    """
    batches, count = quantise(model.checked.program, inputs, items)
    run = FastRun(model.core, model.checked, initial_state(model.checked, state))
    execute_chain(run, batches, progress)
    return run, count


def prove(
    model: CompiledModel,
    inputs: Inputs,
    claims: Claims,
    options: ProverOptions,
    *,
    state: Mapping[str, np.ndarray] | None = None,
    items: int | None = None,
) -> bytes:
    """Run a chain, and make the receipt that the claims hold.

    Args:
        model: the compiled model.
        inputs: see `run_chain`, as of `state` and `items`.
        claims: what the receipt says.
        options: how it is made.
        state: initial state by tensor name.
        items: number of steps, for a program without inputs.

    Raises:
        UsageError: arguments or inputs that do not fit.
        ProveError: `prove.needs-reveal`, a fast receipt would open private weights.
        UnsupportedReceipt: a program that the mode does not cover.
    """
    is_fast = claims.mode == "fast"
    if is_fast:
        _judge_fast(model, options)
    work, progress = options.new_folder(), options.progress
    run, count = run_chain(model, inputs, state=state, items=items, progress=progress)
    progress("open", 0, 1)
    job = run.job(claims, count, options.profile)
    del run  # its traces are needed no longer, and proving wants the memory
    progress("open", 1, 1)
    return job.shown() if is_fast else prove_job(job, work, model.core, options)


def _judge_fast(model: CompiledModel, options: ProverOptions) -> None:
    """Refuse what a fast receipt has nothing of, or what it would give away unasked."""
    if options.small or options.work is not None:
        raise UsageError("small and work are not about fast receipts", received="mode fast")
    if not (model.public or options.reveal):
        raise ProveError(
            "a fast receipt opens weights in the clear, and this model's weights are private",
            code="prove.needs-reveal",
            hint="make a hybrid or strict receipt, which hides them; or pass --reveal "
            "(reveal=True) to publish the sampled rows for good, or compile with --public",
        )
