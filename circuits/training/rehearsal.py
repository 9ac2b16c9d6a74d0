"""A training run in floats, in onnxruntime: what integer training is scaled and judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..graph import Array
from ..session import Session
from .layers import DRAW_BITS
from .losses import LABELS
from .optimisers import DECAY, RATE, Optimiser
from .step import Step

DRAWN = 11
"""Seed of what a rehearsal draws: any, and always the same."""


class Rehearsal:
    """The states of a run, moved step by step.

    Args:
        step: the model of a step.
        optimiser: the one that it was made with.
        watch: names of other values of the step to give at each.
    """

    def __init__(self, step: Step, optimiser: Optimiser, watch: tuple[str, ...] = ()) -> None:
        self.step = step
        self.states = {state.name: state.start for state in step.states}
        self.count = 0
        self._optimiser = optimiser
        self._watch = watch
        names = [step.loss, *(state.following for state in step.states), *watch]
        self._session = Session(step.source, names)

    def move(self, data: Mapping[str, Array], labels: Array, rate: float) -> dict[str, Array]:
        """One step; returns the loss (by its name) and the values watched.

        Raises:
            CompileError: `compile.bad-model`, onnxruntime cannot compute it.
        """
        now, decay = self._optimiser.rates(rate, self.count)
        scalars = {RATE: np.float32(now), DECAY: np.float32(decay)}
        feeds = {LABELS: labels, **{name: np.asarray(scalars[name]) for name in scalars}}
        feeds = {name: array for name, array in feeds.items() if name in self.step.given}
        found = self._session.run({**data, **feeds, **self.draws(), **self.states})
        self.states = {state.name: found[state.following] for state in self.step.states}
        self.count += 1
        return {name: found[name] for name in (self.step.loss, *self._watch)}

    def draws(self) -> dict[str, Array]:
        """The numbers by which this step drops: others in each, the same in each run."""
        rng = np.random.default_rng((DRAWN, self.count))
        top = 2**DRAW_BITS
        return {
            name: rng.integers(0, top, shape, np.int32) for name, shape in self.step.draws.items()
        }

    def run(
        self,
        batches: Callable[[int], tuple[Mapping[str, Array], Array]],
        rates: Callable[[int], float],
        steps: int,
    ) -> list[float]:
        """So many steps; the loss of each."""
        losses = []
        for _ in range(steps):
            data, labels = batches(self.count)
            found = self.move(data, labels, rates(self.count))
            losses.append(float(found[self.step.loss]))
        return losses
