"""Runs a compiled model on float data and compares it with the float model, value by value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..verifier.errors import UsageError
from ..verifier.program.types import Port, PortKind, Program, Role
from . import reference
from .builder import Layer, Value
from .calibrate import Feeds, run_float, samples, steps, unit
from .graph import Array, Graph
from .quantise import Affine

Executor = Callable[[Program, Mapping[int, Array], Mapping[int, Array]], Mapping[int, Array]]
"""(program, inputs, weights by tensor number) → the values of all tensors by number."""


def integer_run(
    program: Program,
    weights: Sequence[Array],
    inputs: Feeds,
    executor: Executor = reference.run,
) -> Mapping[int, Array]:
    """One step on float (or integer) inputs by port name; a short batch is filled with zeros.

    Returns the values of all tensors by number.
    """
    numbers = {
        port.tensor: _quantised(program, port, np.asarray(inputs[port.name]))
        for port in program.inputs
    }
    return executor(program, numbers, dict(zip(program.of_role(Role.WEIGHT), weights, strict=True)))


def _quantised(program: Program, port: Port, array: Array) -> Array:
    """The port's rule (protocol section 1, ports)."""
    tensor = program.tensors[port.tensor]
    padded = np.zeros(tensor.shape, dtype=array.dtype)
    padded[: len(array)] = array
    if port.kind == PortKind.INTEGER:
        return padded.astype(np.int64)
    return Affine(port.scale, port.zero, tensor.lo, tensor.hi).quantise(padded)


@dataclass(frozen=True)
class Fidelity:
    """How close the integers are to the float model, on `samples` samples.

    `sqnr` is the signal-to-quantisation-noise ratio in dB of each layer's output; `top1` the share
    of equal argmax where the first output is a vector of at least two classes, else None.
    `accuracy` is the share of right classes, of floats and of integers, where labels were given.
    """

    samples: int
    sqnr: Mapping[str, float]
    top1: float | None
    accuracy: tuple[float, float] | None = None


class Evaluation:
    """Accumulates signal and noise over steps."""

    def __init__(self) -> None:
        self.signal: dict[str, float] = {}
        self.noise: dict[str, float] = {}
        self.agree = 0
        self.compared = 0
        self.right = [0, 0]

    def add(self, name: str, real: Array, found: Array) -> None:
        """One step of one layer: the float values and the reals that the integers stand for."""
        exact = real.astype(np.float64)
        self.signal[name] = self.signal.get(name, 0.0) + float(np.sum(exact**2))
        self.noise[name] = self.noise.get(name, 0.0) + float(np.sum((exact - found) ** 2))

    def classify(self, real: Array, found: Array, labels: Array | None) -> None:
        """One step of the classes [n, classes] of floats and integers, and the right ones."""
        best = [np.argmax(array, axis=-1) for array in (real, found)]
        self.compared += best[0].size
        self.agree += int(np.sum(best[0] == best[1]))
        if labels is not None:
            self.right = [
                so_far + int(np.sum(classes == labels))
                for so_far, classes in zip(self.right, best, strict=True)
            ]

    def sqnr(self, name: str) -> float:
        """10·log10(signal/noise); infinite without noise."""
        signal, noise = self.signal[name], self.noise[name]
        if noise == 0.0:
            return float("inf")
        return float("-inf") if signal == 0.0 else 10.0 * float(np.log10(signal / noise))


def compare(
    graph: Graph,
    program: Program,
    weights: Sequence[Array],
    layers: Sequence[Layer],
    values: Mapping[str, Value],
    data: Feeds,
    limit: int,
    executor: Executor = reference.run,
    labels: Array | None = None,
) -> Fidelity:
    """Compare all layers on the first `limit` samples of checked data.

    Raises:
        UsageError: labels for a model whose first output is not a row of classes per label.
    """
    evaluation = Evaluation()
    shown = [layer for layer in layers if not values[layer.value].integer]
    head = graph.outputs[0]
    count = min(limit, samples(graph, data))
    whole = _whole_steps(graph, data, count)
    names = {*(layer.value for layer in shown), head}
    right = None if labels is None else _by_step(graph, values[head], labels, count)
    for step, (inputs, real) in enumerate(
        zip(steps(graph, whole), run_float(graph, names, whole), strict=True)
    ):
        ports = zip(program.inputs, graph.inputs, strict=True)
        found = integer_run(
            program, weights, {port.name: inputs[name] for port, name in ports}, executor
        )
        reals = {name: _real(found, values[name]) for name in names}
        for layer in shown:
            evaluation.add(layer.name, real[layer.value], reals[layer.value])
        if _is_classes(values[head]):
            evaluation.classify(real[head], reals[head], None if right is None else right[step])
    return Fidelity(
        samples=count,
        sqnr={layer.name: evaluation.sqnr(layer.name) for layer in shown},
        top1=evaluation.agree / evaluation.compared if evaluation.compared else None,
        accuracy=None
        if labels is None
        else (evaluation.right[0] / evaluation.compared, evaluation.right[1] / evaluation.compared),
    )


def _by_step(graph: Graph, head: Value, labels: Array, count: int) -> Array:
    """The labels of the first `count` samples, [steps, rows]; filled up like the data."""
    rows = head.shape[0] // graph.batch if _is_classes(head) else 0
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) < count * rows or not rows:
        raise UsageError(
            "the labels do not fit the model's first output",
            code="usage.input",
            expected=f"an integer for each of {count * rows} rows of classes",
            received=f"{labels.dtype} of shape {list(labels.shape)}, output {list(head.shape)}",
        )
    filled = -(-count // graph.batch) * graph.batch * rows
    return labels[np.arange(filled) % (count * rows)].reshape(-1, head.shape[0])


def _whole_steps(graph: Graph, data: Feeds, count: int) -> Feeds:
    """The first `count` samples, the last step filled up with samples from the start."""
    filled = -(-count // graph.batch) * graph.batch
    rows = {name: np.arange(filled * unit(graph, name)) for name in data}
    return {name: array[rows[name] % (count * unit(graph, name))] for name, array in data.items()}


def _real(found: Mapping[int, Array], value: Value) -> Array:
    return value.code.dequantise(found[value.tensor]).reshape(value.shape)


def _is_classes(value: Value) -> bool:
    return len(value.shape) == 2 and value.shape[1] >= 2 and not value.integer
