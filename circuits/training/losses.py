"""Losses: what a batch's outputs are worth beside its targets, and the gradient of that."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from onnx import TensorProto

from ..graph import Graph
from ..tape import Shape, Tape

LABELS = "labels"
"""Name of the input that holds what a batch's outputs should be."""


@dataclass(frozen=True)
class Scored:
    """Names of a batch's loss (one number), and of its gradient by the value that it reads."""

    loss: str
    value: str
    gradient: str


class Loss(Protocol):
    """A loss: the type and shape of its targets, and what it emits."""

    def targets(self, shape: Shape) -> tuple[int, Shape]:
        """ONNX element type and shape of the targets of an output of this shape."""
        ...

    def emit(self, tape: Tape, output: str) -> Scored:
        """The loss of an output beside `LABELS`, averaged over the batch, and its gradient."""
        ...


@dataclass(frozen=True)
class CrossEntropy:
    """−log of the probability of the right class, of scores (logits) or of a Softmax of them.

    Classes are on the last axis, of images (four axes) on axis 1. `smoothing` shares that much of
    the target among all classes.
    """

    smoothing: float = 0.0

    def targets(self, shape: Shape) -> tuple[int, Shape]:
        """A class for each row."""
        axis = class_axis(shape)
        return TensorProto.INT64, (*shape[:axis], *shape[axis + 1 :])

    def emit(self, tape: Tape, output: str) -> Scored:
        """The gradient is the probabilities less the targets, by the number of rows."""
        scores = _behind(tape.graph, output, ("Softmax", "LogSoftmax"))
        shape = tape.shape(scores)
        axis = class_axis(shape)
        classes, rows = shape[axis], math.prod(shape) // shape[axis]
        values = tape.constant([self.smoothing / classes, 1 - self.smoothing * (1 - 1 / classes)])
        hot = tape.emit("OneHot", (LABELS, tape.whole(classes), values), shape, axis=axis)
        logs = tape.unary("LogSoftmax", scores, axis=axis)
        total = _total(tape, tape.mul(hot, logs), axis)
        chances = tape.unary("Softmax", scores, axis=axis)
        gradient = tape.scaled(tape.sub(chances, hot), 1.0 / rows)
        return Scored(tape.scaled(total, -1.0 / rows), scores, gradient)


@dataclass(frozen=True)
class MeanSquaredError:
    """The mean of the squared differences from the targets."""

    def targets(self, shape: Shape) -> tuple[int, Shape]:
        """A number for each of the output's."""
        return TensorProto.FLOAT, shape

    def emit(self, tape: Tape, output: str) -> Scored:
        """The gradient is twice the differences, by their number."""
        shape = tape.shape(output)
        count = math.prod(shape)
        less = tape.sub(output, LABELS)
        total = _total(tape, tape.mul(less, less), len(shape) - 1)
        return Scored(tape.scaled(total, 1.0 / count), output, tape.scaled(less, 2.0 / count))


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """−log of the probability of the right answer, of scores or of a Sigmoid of them."""

    def targets(self, shape: Shape) -> tuple[int, Shape]:
        """A probability, mostly 0 or 1, for each of the output's."""
        return TensorProto.FLOAT, shape

    def emit(self, tape: Tape, output: str) -> Scored:
        """The gradient is the probabilities less the targets, by their number."""
        scores = _behind(tape.graph, output, ("Sigmoid",))
        shape = tape.shape(scores)
        count = math.prod(shape)
        losses = tape.sub(tape.unary("Softplus", scores), tape.mul(scores, LABELS))
        total = _total(tape, losses, len(shape) - 1)
        gradient = tape.sub(tape.unary("Sigmoid", scores), LABELS)
        return Scored(tape.scaled(total, 1.0 / count), scores, tape.scaled(gradient, 1.0 / count))


def _total(tape: Tape, losses: str, axis: int) -> str:
    """The sum of all losses: those of a row, then those of the rows, so that no sum is long."""
    rows = tape.sum(losses, [axis], keep=False)
    return tape.sum(rows, range(len(tape.shape(rows))), keep=False)


def _behind(graph: Graph, output: str, ops: tuple[str, ...]) -> str:
    """What the last activation reads, if it is one of these: the loss takes scores."""
    last = next((node for node in graph.nodes if output in node.outputs), None)
    return last.inputs[0] if last is not None and last.op in ops else output


def class_axis(shape: Shape) -> int:
    """The axis of the classes of scores: the last one, of images the one behind the batch."""
    return 1 if len(shape) > 3 else len(shape) - 1
