"""Runs a compiled model on float data and compares it with the float model, value by value."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..verifier.errors import UsageError
from ..verifier.program.types import ABSENT, ConstantStart, Port, PortKind, Program, Role
from ..verifier.quoting import quoted
from . import reference
from .builder import Layer, Value
from .calibrate import Feeds, length, run_float, samples, steps, whole_steps
from .errors import CompileError
from .graph import Array, Graph
from .joined import Joined, joined
from .masks import Scores
from .ops import OPERATORS
from .quantise import Affine
from .spread import OutputError, Spread

Executor = Callable[[Program, Mapping[int, Array], Mapping[int, Array]], Mapping[int, Array]]
"""(program, inputs, weights by tensor number) → the values of all tensors by number."""


def integer_run(
    program: Program,
    weights: Sequence[Array],
    inputs: Feeds,
    executor: Executor = reference.run,
    states: Mapping[int, Array] | None = None,
) -> Mapping[int, Array]:
    """One step on float (or integer) inputs by port name; a short batch is filled with zeros.

    A program with states (by tensor number) is given as `opened`.

    Returns the values of all tensors by number.
    """
    numbers = {
        port.tensor: _quantised(program, port, np.asarray(inputs[port.name]))
        for port in program.inputs
        if port.tensor not in (states or {})
    } | dict(states or {})
    return executor(program, numbers, dict(zip(program.of_role(Role.WEIGHT), weights, strict=True)))


def opened(program: Program) -> Program:
    """A step whose states are inputs like others, and what follows them outputs: as it is run."""
    if not program.states:
        return program
    follow = {link.state: link.value for link in program.states}
    shown = {port.tensor for port in program.outputs}
    tensors = (
        replace(tensor, role=Role.INPUT) if number in follow else tensor
        for number, tensor in enumerate(program.tensors)
    )
    return replace(
        program,
        tensors=tuple(tensors),
        inputs=(*program.inputs, *(_integers(f"state {number}", number) for number in follow)),
        outputs=(
            *program.outputs,
            *(_integers(f"state {n}", n) for n in follow.values() if n not in shown),
        ),
        states=(),
    )


def _integers(name: str, tensor: int) -> Port:
    return Port(name, tensor, ABSENT, PortKind.INTEGER)


def first(program: Program) -> dict[int, Array]:
    """What the states of a program hold before the first step, by tensor number."""
    found = {}
    for link in program.states:
        assert isinstance(link.start, ConstantStart)  # as the compiler writes it
        tensor = program.tensors[link.state]
        found[link.state] = np.full(tensor.shape, link.start.value, np.int64)
    return found


def _quantised(program: Program, port: Port, array: Array) -> Array:
    """The port's rule (protocol section 1, ports)."""
    tensor = program.tensors[port.tensor]
    array = array.reshape(-1) if array.ndim == 0 else array
    padded = np.zeros(tensor.shape, dtype=array.dtype)
    padded[: len(array)] = array
    if port.kind == PortKind.INTEGER:
        return padded.astype(np.int64)
    return Affine(port.scale, port.zero, tensor.lo, tensor.hi).quantise(padded)


@dataclass(frozen=True)
class Fidelity:
    """How close the integers are to the float model, on `samples` samples.

    `sqnr` is the signal-to-quantisation-noise ratio in dB of each layer, whose signal is variance
    (of several outputs the least); `silent` names the layers whose floats are all zero on the data,
    so that it shows nothing about them. `outputs` has the errors of each output of floats, and
    `saturated` the share of floats outside of the codes of inputs and layers, where there are any.
    `agreement` is the share of equal classes for each output that has classes: integers, or the
    argmax over a last axis of at least two, unless it joins values of unlike ranges. `accuracy` is
    the share of right classes in the first output, of floats and of integers, where labels were
    given.
    """

    samples: int
    sqnr: Mapping[str, float]
    agreement: Mapping[str, float]
    silent: tuple[str, ...] = ()
    accuracy: tuple[float, float] | None = None
    outputs: Mapping[str, OutputError] = field(default_factory=dict)
    saturated: Mapping[str, float] = field(default_factory=dict)

    @property
    def output_sqnr(self) -> float:
        """The least SQNR of an output of floats; infinite where there is no noise."""
        noises = [e.sqnr_db for e in self.outputs.values() if e.sqnr_db is not None]
        return min(noises, default=math.inf)

    @property
    def top1(self) -> float | None:
        """The least share of equal classes among the outputs; None: no output has classes."""
        return min(self.agreement.values(), default=None)


NOT_COMPARED = Fidelity(0, {}, {})
"""Where there is no data."""


class Evaluation:
    """Accumulates signal and noise of layers, and equal classes of outputs, over steps."""

    def __init__(self) -> None:
        self.spreads: dict[str, Spread] = {}
        self.agree: dict[str, int] = {}
        self.compared: dict[str, int] = {}
        self.right = [0, 0]
        self.labelled = 0

    def add(
        self,
        name: str,
        real: Array,
        found: Array,
        code: Affine | None = None,
        parts: Joined | None = None,
    ) -> None:
        """One step of one layer: the float values and the reals that the integers stand for.

        With the `code` of the integers, floats beyond its ends are counted; of an output of unlike
        `parts`, the worst of them counts.

        Raises:
            CompileError: `compile.not-finite`: a NaN would hide any noise.
        """
        spread = self.spreads.setdefault(name, Spread(code, parts.groups if parts else ()))
        spread.add(*(parts.columns(each) if parts else each for each in (real, found)))
        # A NaN or infinity stays in the sums; and squares of finite doubles can overflow.
        if not spread.finite:
            raise CompileError(
                f"layer {quoted(name)} becomes infinite or NaN on the data, so integers cannot be "
                "compared with it",
                code="compile.not-finite",
                hint="check the model and the data in float first",
            )

    def classify(self, name: str, real: Array, found: Array, labels: Array | None = None) -> None:
        """One step of an output's classes in floats and integers; with `labels`, the right ones."""
        self.compared[name] = self.compared.get(name, 0) + real.size
        self.agree[name] = self.agree.get(name, 0) + int(np.sum(real == found))
        if labels is not None:
            self.labelled += labels.size
            self.right = [
                so_far + int(np.sum(chosen.ravel() == labels))
                for so_far, chosen in zip(self.right, (real, found), strict=True)
            ]

    def agreement(self) -> dict[str, float]:
        """The share of equal classes by output."""
        return {name: self.agree[name] / count for name, count in self.compared.items()}

    def accuracy(self) -> tuple[float, float] | None:
        """The share of right classes, of floats and of integers; None without labels."""
        if not self.labelled:
            return None
        return self.right[0] / self.labelled, self.right[1] / self.labelled


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
    """Compare all layers and outputs on the first `limit` samples of checked data.

    Raises:
        UsageError: labels that are not one class of the first output for each row of all data.
        CompileError: `compile.not-finite`: floats that are NaN or infinite on the data.
    """
    evaluation, heads, entered = Evaluation(), Evaluation(), Evaluation()
    # What the compiler itself put in is no value of the float model.
    known = {
        *graph.inputs,
        *graph.codes,
        *(name for node in graph.source.model.graph.node for name in node.output),
    }
    shown = {
        layer.name: [n for n in layer.values if n in known and _has_noise(values[n])]
        for layer in layers
    }
    parts = [(_part(layer, name, noisy), name) for layer, noisy in shown.items() for name in noisy]
    count = min(limit, samples(graph, data))
    whole = whole_steps(graph, data, count)
    floats = [name for name in graph.published if not values[name].integer]
    given = [name for name in graph.given if not values[name].integer]
    held, opening, opened_program = {}, first(program), opened(program)
    names = {*(name for _, name in parts), *graph.published}
    scores = Scores(graph, OPERATORS)
    unlike = joined(graph, OPERATORS, lambda name: values[name].code.reach)
    right = None if labels is None else _by_step(graph, values, labels, data, count, unlike)
    for step, (inputs, real) in enumerate(
        zip(steps(graph, whole), run_float(graph, names | scores.reads, whole), strict=True)
    ):
        counting = scores.counts(real)
        if step % length(graph, whole) == 0:
            held = opening
        ports = zip(program.inputs, graph.given, strict=True)
        by_port = {port.name: inputs[name] for port, name in ports}
        found = integer_run(opened_program, weights, by_port, executor, held)
        held = {link.state: found[link.value] for link in program.states}
        reals = {name: _real(found, values[name]) for name in names}
        for part, name in parts:
            exact, code = real[name], values[name].code
            _add_part(evaluation, part, exact, reals[name], code, counting.get(name))
        for name in floats:
            heads.add(name, real[name], reals[name], parts=unlike.get(name))
        for name in given:
            code = values[name].code
            entered.add(name, inputs[name], code.dequantise(code.quantise(inputs[name])), code)
        for name in graph.published:
            if name not in unlike and _classes(values[name]):
                truth = right[step] if right is not None and name == graph.published[0] else None
                ours, theirs = (_best(array[name], values[name]) for array in (reals, real))
                evaluation.classify(name, theirs, ours, truth)
    return Fidelity(
        samples=count * length(graph, whole),
        sqnr=_least(evaluation, shown),
        agreement=evaluation.agreement(),
        silent=tuple(name for name, spread in evaluation.spreads.items() if spread.silent),
        accuracy=evaluation.accuracy(),
        outputs={name: heads.spreads[name].error() for name in floats},
        saturated={
            name: spread.saturated
            for part in (entered, evaluation)
            for name, spread in part.spreads.items()
            if spread.outside
        },
    )


def _part(layer: str, name: str, noisy: Sequence[str]) -> str:
    """What an output of a layer is called: the layer, if it has no other."""
    return layer if name == noisy[0] else f"{layer} ({name})"


def _add_part(
    evaluation: Evaluation, part: str, real: Array, found: Array, code: Affine, counts: Array | None
) -> None:
    """One step of a layer's output; a score below its cut (not in `counts`) is no signal."""
    if counts is None:
        evaluation.add(part, real, found, code)
    elif counts.any():
        evaluation.add(part, real[counts][:, None], found[counts][:, None])


def _least(evaluation: Evaluation, shown: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The dB of each layer: of the worst of its outputs."""
    found = {}
    for layer, noisy in shown.items():
        spreads = (evaluation.spreads.get(_part(layer, name, noisy)) for name in noisy)
        known = [spread.sqnr() for spread in spreads if spread is not None]
        if known:
            found[layer] = min(known)
    return found


def _by_step(
    graph: Graph,
    values: Mapping[str, Value],
    labels: Array,
    data: Feeds,
    count: int,
    unlike: Collection[str],
) -> Array:
    """The labels of the first `count` samples, [steps, rows]; filled up like the data."""
    head, steps_each = values[graph.published[0]], length(graph, data)
    known = 0 if graph.published[0] in unlike else _classes(head)
    rows = math.prod(head.shape[:-1] if _has_noise(head) else head.shape)
    each = rows // graph.batch
    total, count = samples(graph, data) * steps_each * each, count * steps_each
    kind = f"{labels.dtype} of shape {list(labels.shape)}, output {list(head.shape)}"
    if not known or labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) != total:
        raise UsageError(
            "the labels do not fit the model's first output",
            code="usage.input",
            expected=f"an integer for each of {total} rows of classes"
            if known
            else "no labels: it has no classes",
            received=kind,
        )
    outside = labels[(labels < 0) | (labels >= known)]
    if len(outside):
        raise UsageError(
            "a label is no class of the model's first output",
            code="usage.input",
            expected=f"0 to {known - 1}",
            received=int(outside[0]),
        )
    filled = -(-count // graph.batch) * rows
    return labels[np.arange(filled) % (count * each)].reshape(-1, rows)


def _real(found: Mapping[int, Array], value: Value) -> Array:
    return value.code.dequantise(found[value.tensor]).reshape(value.shape)


def _has_noise(value: Value) -> bool:
    return value.near or not value.integer


def _classes(value: Value) -> int:
    """Classes that an output tells apart; 0 where it has none.

    Integer values are indices from 0 to the end of their code; floats have a score a class.
    """
    scores = value.shape[-1] if len(value.shape) in (2, 3) else 0  # images have four axes
    count = scores if _has_noise(value) else value.code.hi + 1
    return count if count >= 2 else 0


def _best(array: Array, value: Value) -> Array:
    """The classes that an output of `value`'s kind names."""
    return np.argmax(array, axis=-1) if _has_noise(value) else array
