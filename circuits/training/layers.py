"""Layers that a training step writes by plainer operators, as they are in training.

BatchNormalization takes the mean and the variance of its batch, and keeps running ones, which the
model that is served goes by. Dropout drops. InstanceNormalization has no gradient of its own, and
PRelu lowers with constant slopes only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..backward import Group
from ..errors import CompileError, named
from ..graph import Array, Graph
from ..source import Source, is_default, reads
from ..tape import Shape, Tape

EPSILON, KEPT = 1e-5, 0.9
"""Defaults of BatchNormalization: epsilon, and the share that a running statistic keeps."""
DRAW_BITS = 15
"""A Dropout draws numbers of so many bits, and drops an element whose number is small."""
DROPPED = 0.5
"""The share that a Dropout drops where it does not say."""
NORM, DROPOUT, INSTANCE = "BatchNormalization", "Dropout", "InstanceNormalization"
PRELU = "PRelu"


@dataclass(frozen=True)
class Statistic:
    """A running mean or variance of a BatchNormalization: `kept` of it and 1 − `kept` of the batch.

    `batch` names the batch's own, C numbers; `start` is what the file has, `fresh` what a run has
    that starts anew.
    """

    name: str
    batch: str
    kept: float
    start: Array = field(repr=False)
    fresh: float = 0.0


@dataclass(frozen=True)
class Layers:
    """A model as it is trained and as it is served; both read the same parameters.

    `served` has an input for each statistic. `draws` are shapes of inputs of `training` that hold
    numbers of `DRAW_BITS`, drawn anew in each step.
    """

    training: Source
    served: Source
    statistics: tuple[Statistic, ...] = ()
    draws: Mapping[str, Shape] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()
    """Of `training`: those of a normalisation."""

    @property
    def starts(self) -> dict[str, Array]:
        """The statistics of the file by name."""
        return {each.name: each.start for each in self.statistics}


def at_rest(source: Source) -> Source:
    """The model as inference has it: nothing drops, no node is told to train."""
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    read = {output.name for output in model.graph.output}
    read.update(name for node in model.graph.node for name in reads(node))
    for node in model.graph.node:
        if not is_default(node.domain) or node.op_type not in (NORM, DROPOUT):
            continue
        if read.intersection(node.output[1:]):
            raise CompileError(
                f"node {named(node.name)} ({node.op_type}) has a second output that is read",
                code="compile.bad-model",
                hint="export the model in inference mode",
            )
        del node.output[1:]
        if node.op_type == DROPOUT:
            node.CopyFrom(helper.make_node("Identity", node.input[:1], node.output, node.name))
        else:
            kept = [each for each in node.attribute if each.name != "training_mode"]
            del node.attribute[:]
            node.attribute.extend(kept)
    return replace(source, model=model)


def untied(source: Source) -> Source:
    """The model in which every BatchNormalization has constants of its own.

    Exporters write equal constants once, and name the others by Identity nodes: in a new network
    all gains are ones, and all offsets and means zeros.
    """
    model, arrays = onnx.ModelProto(), dict(source.arrays)
    model.CopyFrom(source.model)
    norms = [each for each in model.graph.node if each.op_type == NORM and is_default(each.domain)]
    read = {name for node in norms for name in node.input[1:5]}
    kept = []
    for node in model.graph.node:  # one that another passes on comes first
        copies = node.op_type == "Identity" and node.output[0] in read and node.input[0] in arrays
        if copies:
            arrays[node.output[0]] = arrays[node.input[0]]
        else:
            kept.append(onnx.NodeProto.FromString(node.SerializeToString()))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    statistics = {name for node in norms for name in node.input[3:5]}
    for node in model.graph.node:
        for index in (1, 2) if node.op_type == NORM else ():
            name = node.input[index]
            if name in statistics and name in arrays:
                arrays[f"{name}/own"] = arrays[name]
                node.input[index] = f"{name}/own"
    for name in sorted(set(arrays) - set(source.arrays)):
        model.graph.initializer.append(numpy_helper.from_array(arrays[name], name))
    return replace(source, model=model, arrays=arrays)


def has_layers(source: Source) -> bool:
    """Whether there is anything to be written otherwise."""
    ops = {node.op_type for node in source.model.graph.node if is_default(node.domain)}
    return not ops.isdisjoint((NORM, DROPOUT, INSTANCE, PRELU))


def written(
    source: Source,
    graph: Graph,
    parameters: Mapping[str, Array],
    *,
    batch_norm: bool,
    dropout: bool,
) -> Layers:
    """The model with its layers written out.

    Args:
        source: the model.
        graph: that of `at_rest`, of the size of a step, its parameters inputs.
        parameters: what is trained.
        batch_norm: a BatchNormalization goes by its batch, if its gains and offsets are trained.
        dropout: a Dropout drops.

    Raises:
        CompileError: `compile.bad-model`, a Dropout whose share is computed or not 0 to 1, or one
            of whose mask is read.
    """
    writer = _Writer(source, graph, parameters)
    training: list[onnx.NodeProto] = []
    served: list[onnx.NodeProto] = []
    for node in source.model.graph.node:
        pair: tuple[Sequence[onnx.NodeProto], Sequence[onnx.NodeProto]] = ([node], [node])
        if is_default(node.domain) and node.output[0] in graph.shapes:
            if node.op_type == NORM:
                pair = writer.norm(node, batch_norm)
            elif node.op_type == INSTANCE:
                made = writer.instance(node)
                pair = made, made
            elif node.op_type == PRELU and node.input[1] in parameters:
                made = writer.prelu(node)
                pair = made, made
            elif node.op_type == DROPOUT and dropout:
                pair = writer.dropout(node), [node]
        training += pair[0]
        served += pair[1]
    return Layers(
        at_rest(writer.source(training, draws=True)),
        at_rest(writer.source(served)),
        tuple(writer.statistics),
        writer.draws,
        tuple(writer.groups),
    )


class _Writer:
    """Writes nodes; what it declares is collected."""

    def __init__(self, source: Source, graph: Graph, parameters: Mapping[str, Array]) -> None:
        self.statistics: list[Statistic] = []
        self.draws: dict[str, Shape] = {}
        self.groups: list[Group] = []
        self._source, self._graph, self._parameters = source, graph, parameters
        self._constants: dict[str, Array] = {}
        self._taken = {name for node in source.model.graph.node for name in reads(node)}
        self._taken |= {name for node in source.model.graph.node for name in node.output}

    def source(self, nodes: Sequence[onnx.NodeProto], *, draws: bool = False) -> Source:
        """The model of these nodes."""
        model = onnx.ModelProto()
        model.CopyFrom(self._source.model)
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        read = {output.name for output in model.graph.output}
        read.update(name for node in nodes for name in reads(node))
        held = [each for each in model.graph.initializer if each.name in read]
        made = {name: array for name, array in self._constants.items() if name in read}
        del model.graph.initializer[:]
        model.graph.initializer.extend(held)
        for name, array in made.items():
            model.graph.initializer.append(numpy_helper.from_array(array, name))
        if draws:
            model.graph.input.extend(
                helper.make_tensor_value_info(name, TensorProto.INT32, shape)
                for name, shape in self.draws.items()
            )
        kept = {name: array for name, array in self._source.arrays.items() if name in read}
        return Source(model, {**kept, **made})

    def _tape(self, node: onnx.NodeProto, form: str) -> Tape:
        return Tape(self._graph, f"{node.output[0]}/{form}")

    def _done(self, tape: Tape, node: onnx.NodeProto, last: str) -> list[onnx.NodeProto]:
        """What a tape emitted; its last value has the name of the node's output."""
        self._constants |= tape.constants
        for made in tape.nodes:
            names = [node.output[0] if name == last else name for name in made.output]
            made.output[:] = names
        return tape.nodes

    def _free(self, name: str) -> str:
        """A name that nothing has yet."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    # BatchNormalization

    def norm(
        self, node: onnx.NodeProto, by_batch: bool
    ) -> tuple[list[onnx.NodeProto], list[onnx.NodeProto]]:
        """A BatchNormalization as trained and as served."""
        gain, offset = node.input[1:3]
        if not by_batch or not {gain, offset} <= set(self._parameters):
            if {gain, offset}.isdisjoint(self._parameters):
                return [node], [node]  # constants throughout
            return (fixed := self._by_file(node)), fixed
        made, mean, variance = self._standardised(node, [[*range(2, self._rank(node))], [0]])
        running = self._statistic(node, 3, mean), self._statistic(node, 4, variance)
        return made, self._by_running(node, *running)

    def _by_file(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """By statistics that stand still."""
        tape = self._tape(node, "fixed")
        mean, variance = (self._value(name).astype(np.float64) for name in node.input[3:5])
        factor = tape.mul(node.input[1], tape.constant(1.0 / np.sqrt(variance + _epsilon(node))))
        return self._affine(tape, node, factor, tape.constant(mean))

    def instance(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """An InstanceNormalization: by the statistics of each image's channels."""
        return self._standardised(node, [[*range(2, self._rank(node))]])[0]

    def _rank(self, node: onnx.NodeProto) -> int:
        return len(self._graph.shapes[node.input[0]])

    def _standardised(
        self, node: onnx.NodeProto, stages: Sequence[Sequence[int]]
    ) -> tuple[list[onnx.NodeProto], str, str]:
        """(x − mean)·factor + offset, factor = gain/√(variance + epsilon); mean and variance."""
        tape, x = self._tape(node, "own"), node.input[0]
        mean = _mean_of(tape, x, stages)
        less = tape.sub(x, mean)
        variance = _mean_of(tape, tape.mul(less, less), stages)
        inverse = _inverse(tape, variance, _epsilon(node))
        factor = tape.mul(inverse, _channel(tape, node, 1))
        last = tape.add(tape.mul(less, factor), _channel(tape, node, 2))
        made = self._done(tape, node, last)
        inside = frozenset(name for each in made for name in each.output) - {node.output[0]}
        values = _Standardised(tuple(node.input[:3]), less, inverse, factor, stages)
        self.groups.append(Group(node.output[0], inside, values.gradient))
        return made, mean, variance

    def _statistic(self, node: onnx.NodeProto, index: int, batch: str) -> str:
        """Declares the running mean or variance of a node; each node has its own."""
        name, kind = str(node.input[index]), "variance" if index == 4 else "mean"
        start = self._value(name).astype(np.float32)
        uses = sum(list(reads(other)).count(name) for other in self._source.model.graph.node)
        if uses > 1 or name not in self._source.arrays:
            name = self._free(f"{node.output[0]}/running_{kind}")
        kept = float(_attribute(node, "momentum", KEPT))
        self.statistics.append(Statistic(name, batch, kept, start, float(index == 4)))
        return name

    def _by_running(self, node: onnx.NodeProto, mean: str, variance: str) -> list[onnx.NodeProto]:
        tape = self._tape(node, "running")
        for name in (mean, variance):
            tape.declare(name, (tape.shape(node.input[0])[1],))
        factor = tape.mul(node.input[1], _inverse(tape, variance, _epsilon(node)))
        return self._affine(tape, node, factor, mean)

    def _affine(
        self, tape: Tape, node: onnx.NodeProto, factor: str, mean: str
    ) -> list[onnx.NodeProto]:
        """X·factor + (offset − mean·factor): what is added follows once for each channel."""
        offset = tape.sub(node.input[2], tape.mul(mean, factor))
        shape = (tape.shape(node.input[0])[1], *[1] * (len(tape.shape(node.input[0])) - 2))
        scaled = tape.mul(node.input[0], tape.reshape(factor, shape))
        return self._done(tape, node, tape.add(scaled, tape.reshape(offset, shape)))

    def prelu(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """A PRelu whose slopes are trained: max(x, 0) + slope·(x − max(x, 0))."""
        tape, x = self._tape(node, "own"), node.input[0]
        above = tape.unary("Relu", x)
        below = tape.mul(tape.sub(x, above), node.input[1])
        return self._done(tape, node, tape.add(above, below))

    # Dropout

    def dropout(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """X times 0 or 1/(1 − share)."""
        share = self._share(node)
        if share == 0.0:
            return [node]
        tape, x = self._tape(node, "drop"), node.input[0]
        draw = self._free(f"{node.output[0]}/draw")
        self.draws[draw] = tape.shape(x)
        tape.declare(draw, tape.shape(x))
        least = tape.constant(round(share * 2**DRAW_BITS) - 1, np.int32)
        kept = tape.compare("Greater", draw, least)
        factor = tape.where(kept, tape.constant(1.0 / (1.0 - share)), tape.constant(0.0))
        return self._done(tape, node, tape.mul(x, factor))

    def _share(self, node: onnx.NodeProto) -> float:
        found: Any = _attribute(node, "ratio", DROPPED)
        if len(node.input) > 1 and node.input[1]:
            found = self._source.arrays.get(node.input[1])
        share = float("nan") if found is None else float(np.asarray(found).reshape(-1)[0])
        if not 0.0 <= share < 1.0:
            raise CompileError(
                f"node {named(node.name)} (Dropout) drops a share that is no constant below 1",
                code="compile.bad-model",
                expected="a constant, 0 to 1",
                received=found,
            )
        return share

    def _value(self, name: str) -> Array:
        """A constant, also one that passes through nodes."""
        found = self._source.arrays.get(name)
        found = self._graph.constants.get(name) if found is None else found
        if found is None:
            raise CompileError(
                f"statistic {named(name)} of a BatchNormalization is computed",
                code="compile.bad-model",
            )
        return found


@dataclass(frozen=True)
class _Standardised:
    """What the gradient of a normalisation reads: its inputs, and values of its forward pass."""

    inputs: tuple[str, ...]
    less: str
    inverse: str
    factor: str
    stages: Sequence[Sequence[int]]

    def gradient(self, tape: Tape, dy: str) -> Mapping[str, str]:
        """factor·(dy − mean(dy) − less·inverse²·mean(dy·less)); of gains and offsets, sums."""
        x, gain, offset = self.inputs
        count = math.prod(tape.shape(x)) // math.prod(tape.shape(self.inverse))
        offsets = _sum_of(tape, dy, self.stages)
        gains = tape.mul(_sum_of(tape, tape.mul(dy, self.less), self.stages), self.inverse)
        back = tape.mul(tape.scaled(gains, -1.0 / count), self.inverse)
        parts = (dy, tape.mul(self.less, back), tape.scaled(offsets, -1.0 / count))
        slope = tape.mul(tape.emit("Sum", parts, tape.shape(dy)), self.factor)
        return {x: slope, gain: _by_channel(tape, gains), offset: _by_channel(tape, offsets)}


def _by_channel(tape: Tape, sums: str) -> str:
    """Sums [N or 1, C, 1, ...] as [C]."""
    whole = sums if tape.shape(sums)[0] == 1 else tape.sum(sums, [0])
    return tape.reshape(whole, (tape.shape(sums)[1],))


def _mean_of(tape: Tape, name: str, stages: Sequence[Sequence[int]]) -> str:
    """The mean over axes in stages, so that no sum is long."""
    for axes in stages:
        name = tape.reduce("ReduceMean", name, axes)
    return name


def _sum_of(tape: Tape, name: str, stages: Sequence[Sequence[int]]) -> str:
    for axes in stages:
        name = tape.sum(name, axes)
    return name


def _inverse(tape: Tape, variance: str, epsilon: float) -> str:
    """1/√(variance + epsilon)."""
    return tape.unary("Reciprocal", tape.unary("Sqrt", tape.plus(variance, epsilon)))


def _channel(tape: Tape, node: onnx.NodeProto, index: int) -> str:
    """An input [C] in the shape that broadcasts over images."""
    rank, name = len(tape.shape(node.input[0])), node.input[index]
    return tape.reshape(name, (tape.shape(name)[0], *[1] * (rank - 2)))


def _attribute(node: onnx.NodeProto, name: str, default: float) -> Any:
    found = [helper.get_attribute_value(each) for each in node.attribute if each.name == name]
    return found[0] if found else default


def _epsilon(node: onnx.NodeProto) -> float:
    return float(_attribute(node, "epsilon", EPSILON))
