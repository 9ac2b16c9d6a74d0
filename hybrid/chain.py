"""A chain: many steps of one program under one receipt."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .. import _core
from ..prover import Claims, FastRun
from ..verifier.errors import UsageError
from ..verifier.inputs import quantise
from ..verifier.program.checked import Checked
from ..verifier.program.types import Role
from ..verifier.sampling import sample_count

Inputs = np.ndarray | Mapping[str, np.ndarray]
Progress = Callable[[str, int, int], None]
"""Called with the phase, how much is done, and how much there is."""

COMMIT_EVERY = 16
"""Steps executed between two rounds of commitment: enough trees to keep all cores busy."""

_DTYPES = {1: np.int8, 2: np.int16, 3: np.int32}


def silent(phase: str, done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Estimate:
    """What a proof will take, from the program alone.

    Attributes:
        steps: steps of the chain.
        macs: multiply-accumulates of the whole chain.
        samples: gates drawn by weight; a quarter as many again are spread over the ops.
        trace_bytes: bytes of committed tensors, all steps together.
        proof_bytes: upper estimate of the receipt: every draw opening rows of its own.
    """

    steps: int
    macs: int
    samples: int
    trace_bytes: int
    proof_bytes: int


def estimate(checked: Checked, items: int, claims: Claims) -> Estimate:
    """Estimate the proof of `items` items before any work is done."""
    program, weights = checked.program, checked.weights
    steps = math.ceil(items / program.batch)
    slots = steps * program.batch * 1024
    samples = sample_count(claims.delta_ppm, items * checked.live, slots, claims.bits)
    per_step = {
        number: program.tensors[number].size * program.tensors[number].width
        for number in program.of_role(Role.INPUT, Role.VALUE)
    }
    everything = sum(per_step.values()) * steps + sum(
        program.tensors[number].size * program.tensors[number].width
        for number in program.of_role(Role.WEIGHT)
    )
    heaviest = max(weights.own)
    opened = (samples + samples // 4) * (2 * heaviest + 512)
    return Estimate(
        steps=steps,
        macs=weights.step_macs * steps,
        samples=samples,
        trace_bytes=sum(per_step.values()) * steps,
        proof_bytes=min(everything * 2, opened) + 32 * len(per_step) * steps,
    )


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
                f"state {tensor.name} does not fit",
                code="usage.input",
                expected=f"integers of shape {tensor.shape}",
                received=f"{array.dtype} of shape {array.shape}",
            )
        if array.size and not tensor.lo <= int(array.min()) <= int(array.max()) <= tensor.hi:
            raise UsageError(
                f"state {tensor.name} is out of range",
                code="usage.input",
                expected=f"[{tensor.lo}, {tensor.hi}]",
            )
        arrays.append(np.ascontiguousarray(array, _DTYPES[tensor.width]))
    if given:
        raise UsageError(
            f"no such state: {', '.join(given)}",
            code="usage.input",
            expected=", ".join(program.tensors[n].name for n in program.of_role(Role.STATE)),
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
    """Run the program over all batches of `inputs` and prove the claims about the chain.

    Args:
        model: the committed model.
        checked: the same program as the Python side reads it.
        inputs: arrays by input name (or one array), items along the batch axis; the last batch is
            padded.
        claims: what the receipt shall claim.
        state: initial state by tensor name.
        prf_seed: seed of the prf tensors; fresh by default.
        items: number of steps, for a program without inputs.
        progress: called after each step.

    Returns:
        The bytes of the receipt.

    Raises:
        UsageError: inputs or state that do not fit the program.
    """
    batches, count = quantise(checked.program, inputs, items)
    run = FastRun(model, checked, initial_state(checked, state), prf_seed=prf_seed)
    execute_chain(run, batches, progress)
    progress("open", 0, 1)
    receipt = run.prove(claims, count)
    progress("open", 1, 1)
    return receipt
