"""Optimisers: how a step moves the parameters against their gradients.

The learning rate and the share that decays are inputs of the step, so that their schedule is data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..tape import Tape

RATE = "learning_rate"
DECAY = "decay"
"""Names of the inputs: the rate of this step; the share of a parameter that it loses (AdamW)."""


@dataclass(frozen=True)
class Moved:
    """Names of a parameter after the step, and of the optimiser's states before and after."""

    parameter: str
    states: tuple[tuple[str, str], ...] = ()


class Optimiser(Protocol):
    """What `SGD` and `Adam` have in common."""

    def states(self) -> tuple[str, ...]:
        """What is remembered of each parameter; all start at 0."""
        ...

    def emit(self, tape: Tape, parameter: str, gradient: str) -> Moved:
        """The parameter and its states after the step."""
        ...

    def rates(self, rate: float, step: int) -> tuple[float, float]:
        """(`RATE`, `DECAY`) of step 0, 1, ... from the schedule's learning rate."""
        ...


def state_name(parameter: str, kind: str) -> str:
    """The input that holds an optimiser's state of a parameter."""
    return f"{parameter}/{kind}"


@dataclass(frozen=True)
class SGD:
    """Gradient descent with momentum as in torch: v ← momentum·v + g, p ← p − rate·v.

    With `nesterov` p moves by g + momentum·v. `weight_decay` times p is added to g.
    """

    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def states(self) -> tuple[str, ...]:
        """The velocity, where there is momentum."""
        return ("velocity",) if self.momentum else ()

    def emit(self, tape: Tape, parameter: str, gradient: str) -> Moved:
        """One step of one parameter."""
        if self.weight_decay:
            gradient = tape.add(gradient, tape.scaled(parameter, self.weight_decay))
        if not self.momentum:
            return Moved(tape.sub(parameter, tape.mul(gradient, RATE)))
        velocity = state_name(parameter, "velocity")
        moved = tape.add(tape.scaled(velocity, self.momentum), gradient)
        by = tape.add(gradient, tape.scaled(moved, self.momentum)) if self.nesterov else moved
        return Moved(tape.sub(parameter, tape.mul(by, RATE)), ((velocity, moved),))

    def rates(self, rate: float, step: int) -> tuple[float, float]:
        """The schedule's own."""
        return rate, 0.0


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, algorithm 1 in the form of its section 2); with `weight_decay`: AdamW.

    The bias correction is part of the rate, so epsilon is added to the uncorrected root.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def states(self) -> tuple[str, ...]:
        """Running means of gradients and of their squares."""
        return "mean", "square"

    def emit(self, tape: Tape, parameter: str, gradient: str) -> Moved:
        """One step of one parameter."""
        mean, square = (state_name(parameter, kind) for kind in self.states())
        new_mean = tape.add(tape.scaled(mean, self.beta1), tape.scaled(gradient, 1 - self.beta1))
        squared = tape.scaled(tape.mul(gradient, gradient), 1 - self.beta2)
        new_square = tape.add(tape.scaled(square, self.beta2), squared)
        root = tape.plus(tape.unary("Sqrt", new_square), self.epsilon)
        by = tape.mul(tape.div(new_mean, root), RATE)
        kept = tape.sub(parameter, tape.mul(parameter, DECAY)) if self.weight_decay else parameter
        return Moved(tape.sub(kept, by), ((mean, new_mean), (square, new_square)))

    def rates(self, rate: float, step: int) -> tuple[float, float]:
        """The rate with the bias correction of this step, and what decays."""
        corrected = math.sqrt(1 - self.beta2 ** (step + 1)) / (1 - self.beta1 ** (step + 1))
        return rate * corrected, rate * self.weight_decay


def clipped_by_value(tape: Tape, gradient: str, limit: float) -> str:
    """Each element within ± limit."""
    ends = (tape.constant(-limit), tape.constant(limit))
    return tape.emit("Clip", (gradient, *ends), tape.shape(gradient))


def clipped_by_norm(tape: Tape, gradients: Sequence[str], limit: float) -> list[str]:
    """All scaled down together where their common norm exceeds a limit."""
    squares = [
        tape.sum(tape.mul(name, name), range(len(tape.shape(name))), keep=False)
        for name in gradients
    ]
    norm = tape.unary("Sqrt", tape.plus(tape.total(squares), 1e-12))
    most = tape.emit("Max", (norm, tape.constant(limit)), ())
    factor = tape.div(tape.constant(limit), most)
    return [tape.mul(name, factor) for name in gradients]
