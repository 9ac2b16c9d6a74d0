"""Runs a compiled model on float data and compares it with the float model, value by value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

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
    """

    samples: int
    sqnr: Mapping[str, float]
    top1: float | None


class Evaluation:
    """Accumulates signal and noise over steps."""

    def __init__(self) -> None:
        self.signal: dict[str, float] = {}
        self.noise: dict[str, float] = {}
        self.agree = 0
        self.compared = 0

    def add(self, name: str, real: Array, found: Array) -> None:
        """One step of one layer: the float values and the reals that the integers stand for."""
        exact = real.astype(np.float64)
        self.signal[name] = self.signal.get(name, 0.0) + float(np.sum(exact**2))
        self.noise[name] = self.noise.get(name, 0.0) + float(np.sum((exact - found) ** 2))

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
) -> Fidelity:
    """Compare all layers on the first `limit` samples of checked data."""
    evaluation = Evaluation()
    shown = [layer for layer in layers if not values[layer.value].integer]
    head = graph.outputs[0]
    count = min(limit, samples(graph, data))
    whole = _whole_steps(graph, data, count)
    names = {*(layer.value for layer in shown), head}
    for inputs, real in zip(steps(graph, whole), run_float(graph, names, whole), strict=True):
        ports = zip(program.inputs, graph.inputs, strict=True)
        found = integer_run(
            program, weights, {port.name: inputs[name] for port, name in ports}, executor
        )
        reals = {name: _real(found, values[name]) for name in names}
        for layer in shown:
            evaluation.add(layer.name, real[layer.value], reals[layer.value])
        if _is_classes(values[head]):
            best = np.argmax(real[head], axis=-1) == np.argmax(reals[head], axis=-1)
            evaluation.compared += best.size
            evaluation.agree += int(np.sum(best))
    return Fidelity(
        samples=count,
        sqnr={layer.name: evaluation.sqnr(layer.name) for layer in shown},
        top1=evaluation.agree / evaluation.compared if evaluation.compared else None,
    )


def _whole_steps(graph: Graph, data: Feeds, count: int) -> Feeds:
    """The first `count` samples, the last step filled up with samples from the start."""
    filled = -(-count // graph.batch) * graph.batch
    rows = {name: np.arange(filled * unit(graph, name)) for name in data}
    return {name: array[rows[name] % (count * unit(graph, name))] for name, array in data.items()}


def _real(found: Mapping[int, Array], value: Value) -> Array:
    return value.code.dequantise(found[value.tensor]).reshape(value.shape)


def _is_classes(value: Value) -> bool:
    return len(value.shape) == 2 and value.shape[1] >= 2 and not value.integer
