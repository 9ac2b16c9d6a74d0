"""Composition of steps: a chain of one program, proven under one receipt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..circuits.arguments import mapping, shown, whole
from ..circuits.keys import PUBLIC_KEY
from ..circuits.model import CompiledModel
from ..prover import (
    Claims,
    Dataset,
    FastRun,
    Progress,
    ProverOptions,
    Records,
    RunState,
    SeedSource,
    commit_data,
    initial_state,
    prove_job,
    silent,
)
from ..prover.errors import ProveError
from ..verifier.errors import UsageError
from ..verifier.inputs import quantise
from ..verifier.journal import MAX_POSITION, Journal
from ..verifier.labels import as_bytes
from ..verifier.program.checked import Checked

Inputs = np.ndarray | Mapping[str, np.ndarray]
Start = Literal["declared", "root"]

COMMIT_EVERY = 16
"""Steps executed between two rounds of commitment: enough trees to keep all cores busy."""


def execute_chain(
    run: FastRun, batches: Sequence[Sequence[np.ndarray]], progress: Progress = silent
) -> None:
    """Execute and commit every batch as one step."""
    for done, batch in enumerate(batches, start=1):
        run.execute(batch)
        if done % COMMIT_EVERY == 0 or done == len(batches):
            run.commit()
        progress("execute and commit", done, len(batches))


@dataclass(frozen=True, eq=False)
class Training:
    """What the steps of a run read beside their inputs, and where they stand.

    Args:
        state: initial state by tensor name, zero where not given; or the state of a run to go on
            with.
        start: "declared" for the state that the program declares, "root" for `state`; None is
            "declared" where the program declares one, the run begins and no state is given.
        first: the step of the run that the chain begins with.
        seed: "own" or "derived"; None is what the program needs.
        data: all records of the data set by tensor name, or the data set committed.
        data_key: of its salts, 32 bytes; None for a public data set.
        final_state: a new file (.zks) for the state that the chain ends in.

    Raises:
        UsageError: a value that is none of those.
    """

    state: Mapping[str, np.ndarray] | RunState | None = None
    start: Start | None = None
    first: int = 0
    seed: SeedSource | None = None
    data: Records | Dataset | None = None
    data_key: bytes | None = None
    final_state: str | Path | None = None

    def __post_init__(self) -> None:
        whole(self.first, "first", 0, MAX_POSITION)
        if self.seed not in (None, "own", "derived"):
            raise UsageError("unknown seed", expected="own or derived", received=shown(self.seed))
        if self.data is not None and not isinstance(self.data, Dataset):
            mapping(self.data, "data", "records by the names of the data tensors")
        if self.data_key is not None:
            as_bytes("data_key", self.data_key)

    def initial(self, checked: Checked) -> list[np.ndarray] | RunState | None:
        """The first state as a run takes it.

        Raises:
            UsageError: a state that does not fit, or one beside a declared start.
        """
        if self.start not in (None, "declared", "root"):
            raise UsageError("unknown start", expected="declared or root", received=self.start)
        unnamed = self.start is None and self.state is None and self.first == 0
        if self.start == "declared" or (unnamed and checked.program.declares_start):
            if self.state is not None:
                raise UsageError("a declared start leaves no state to give", received="a state")
            return None
        if isinstance(self.state, RunState):
            return self.state
        return initial_state(checked, self.state)

    def dataset(self, model: CompiledModel) -> Dataset | None:
        """The data set, committed.

        Raises:
            UsageError: records that do not fit.
        """
        if isinstance(self.data, Dataset):
            return self.data
        return commit_data(model, self.data, self.data_key)


PLAIN = Training()


def run_chain(
    model: CompiledModel,
    inputs: Inputs,
    *,
    training: Training = PLAIN,
    nonce: bytes | None = None,
    items: int | None = None,
    progress: Progress = silent,
) -> tuple[FastRun, int]:
    """Run the program over all batches of `inputs`, and commit.

    Args:
        model: the compiled model.
        inputs: arrays by input name (or one array), items along the batch axis; the last batch is
            padded.
        training: what the steps read beside them.
        nonce: that the receipt names; a derived seed follows from it, too.
        items: number of steps, for a program without inputs.
        progress: called after each step.

    Returns:
        The run, and the number of items in it.

    Raises:
        UsageError: inputs or state that do not fit the program.
    """
    batches, count = quantise(model.checked.program, inputs, items)
    if isinstance(training.state, RunState):
        training.state.check(model)
    run = FastRun(
        model.core,
        model.checked,
        training.initial(model.checked),
        first=training.first,
        seed=training.seed,
        nonce=nonce,
        data=training.dataset(model),
    )
    execute_chain(run, batches, progress)
    return run, count


def prove(
    model: CompiledModel,
    inputs: Inputs,
    claims: Claims,
    options: ProverOptions,
    *,
    training: Training = PLAIN,
    items: int | None = None,
) -> bytes:
    """Run a chain, and make the receipt that the claims hold.

    Args:
        model: the compiled model.
        inputs: see `run_chain`, as of `training` and `items`.
        claims: what the receipt says.
        options: how it is made.
        training: what the steps read beside their inputs.
        items: number of steps, for a program without inputs.

    Raises:
        UsageError: arguments or inputs that do not fit.
        ProveError: `prove.needs-reveal`, a fast receipt would open private weights or records.
        UnsupportedReceipt: a program that the mode does not cover.
    """
    is_fast = claims.mode == "fast"
    if is_fast:
        _judge_fast(model, claims, options, training)
    if options.outputs_file is not None and claims.outputs == "published":
        raise UsageError(
            "outputs that are published need no file to show them from",
            expected='outputs "hidden", or no outputs_file',
        )
    work, progress = options.new_folder(), options.progress
    run, count = run_chain(
        model, inputs, training=training, nonce=claims.nonce, items=items, progress=progress
    )
    progress("open", 0, 1)
    job = run.job(claims, count, options.profile)
    if training.final_state is not None:
        run.final_state().save(training.final_state)
    if options.outputs_file is not None:
        held = run.held_outputs(Journal.decode(job.journal).chain_root)
        held.save(options.outputs_file)
    del run  # its traces are needed no longer, and proving wants the memory
    progress("open", 1, 1)
    return job.shown() if is_fast else prove_job(job, work, model.core, options)


def _judge_fast(
    model: CompiledModel, claims: Claims, options: ProverOptions, training: Training
) -> None:
    """Refuse what a fast receipt has nothing of, or what it would give away unasked."""
    if options.profile or options.work is not None:
        raise UsageError(
            "small, foldable, succinct and work are not about fast receipts", received="mode fast"
        )
    if options.reveal:
        return
    if claims.outputs != "published":
        raise ProveError(
            "a fast receipt opens what it checks in the clear, the outputs among it",
            code="prove.needs-reveal",
            hint="make a hybrid or strict receipt, which hides them; or pass --reveal "
            "(reveal=True): then they are left out of the statement alone",
        )
    if not model.public:
        raise ProveError(
            "a fast receipt opens weights in the clear, and this model's weights are private",
            code="prove.needs-reveal",
            hint="make a hybrid or strict receipt, which hides them; or pass --reveal "
            "(reveal=True) to publish the sampled rows for good, or compile with --public",
        )
    if training.data is not None and training.data_key not in (None, PUBLIC_KEY):
        raise ProveError(
            "a fast receipt opens records in the clear, and this data set is private",
            code="prove.needs-reveal",
            hint="make a hybrid or strict receipt, which hides them; or pass --reveal "
            "(reveal=True) to publish the sampled records for good",
        )
