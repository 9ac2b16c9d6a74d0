"""The model of one training step, in ONNX operators: forward, loss, backward, optimiser."""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from ...verifier.errors import UsageError
from .. import source as sources
from ..backward import backward, behind
from ..errors import CompileError, named
from ..graph import FLOATS, Array, Graph, Network
from ..operator import Operator
from ..sizes import Axes, Sizes
from ..source import ModelLike, Source
from ..tape import Shape, Tape
from .layers import Layers, Statistic, at_rest, has_layers, untied, written
from .losses import LABELS, Loss, Scored
from .optimisers import (
    DECAY,
    RATE,
    Optimiser,
    clipped_by_norm,
    clipped_by_value,
    state_name,
)

LARGEST = 1e4
"""A constant with larger elements is a mask, not a parameter."""

BATCH, FROZEN = "batch", "frozen"
"""What a BatchNormalization goes by in training: its batch, or the statistics of the file."""


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; the rest of a run is its data and its schedule.

    Args:
        loss: of the first output (or of `output`), averaged over the batch.
        optimiser: moves the parameters.
        output: name of the output that the loss is of.
        freeze: patterns (`fnmatch`) of names of constants that stay as they are.
        clip_value: each element of a gradient within ± this.
        clip_norm: the norm of all gradients together at most this.
        batch_norm: `batch`: a BatchNormalization goes by its batch, and what it serves with are
            running statistics, unless its gains or offsets are frozen; `frozen`: by those of the
            file.
        dropout: a Dropout of the model drops, in training.
    """

    loss: Loss
    optimiser: Optimiser
    output: str | None = None
    freeze: tuple[str, ...] = ()
    clip_value: float | None = None
    clip_norm: float | None = None
    batch_norm: str = BATCH
    dropout: bool = True

    def __post_init__(self) -> None:
        if self.batch_norm not in (BATCH, FROZEN):
            expected = f"{BATCH} or {FROZEN}"
            raise UsageError("no such batch_norm", expected=expected, received=self.batch_norm)


@dataclass(frozen=True)
class State:
    """A value that a step reads and the next step reads changed."""

    name: str
    following: str
    start: Array = field(repr=False)
    parameter: str
    """The parameter that it is, or that the optimiser keeps it for; empty of a statistic."""


@dataclass(frozen=True)
class Forward:
    """The model that is trained as it is served, its parameters and statistics taken out."""

    source: Source
    sizes: Sizes
    parameters: Mapping[str, Array] = field(repr=False)
    output: str
    """What the loss is of."""

    def at(self, batch: int) -> Source:
        """The model of so many items with parameters as inputs; its output is `output` alone."""
        opened = _opened(self.source, self.sizes.at(batch), self.parameters)
        del opened.graph.output[:]
        kind = TensorProto.FLOAT
        opened.graph.output.append(helper.make_tensor_value_info(self.output, kind, None))
        return Source(opened, _rest(self.source, self.parameters))


@dataclass(frozen=True)
class Step:
    """A training step as a model.

    Its inputs are the data (`inputs`, [batch, ...]), `LABELS`, `RATE` and `DECAY` (where they are
    used), and the states; its outputs the loss, then the states of the next step.
    """

    source: Source
    inputs: tuple[str, ...]
    given: tuple[str, ...]
    loss: str
    states: tuple[State, ...]
    slopes: Source = field(repr=False)
    """The model that ends with the gradients: its outputs are the loss and these."""
    gradients: Mapping[str, str]
    """Names of the gradients by parameter, clipped where the recipe says so."""
    error: str
    """Name of the gradient of the loss by what it reads: all other gradients follow from it."""
    batch: int
    shapes: Mapping[str, tuple[int, ...]]
    """Of the inputs and of the labels."""
    statistics: tuple[Statistic, ...]
    """States that are running statistics."""
    draws: Mapping[str, Shape]
    """Inputs that hold random numbers of `layers.DRAW_BITS`, and their shapes."""
    dtypes: Mapping[str, np.dtype[Any]]
    """Likewise."""
    forward: Forward
    """The model that is trained."""

    @property
    def parameters(self) -> tuple[State, ...]:
        """The states that are parameters of the model."""
        return tuple(state for state in self.states if state.name == state.parameter)

    @property
    def served(self) -> frozenset[str]:
        """Names of the states that the model is served with: parameters and statistics."""
        names = (*(state.name for state in self.parameters), *(s.name for s in self.statistics))
        return frozenset(names)


def training_step(
    model: ModelLike,
    recipe: Recipe,
    operators: Mapping[str, Operator],
    *,
    batch: int,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Axes] | None = None,
) -> Step:
    """The model of a step of `batch` items.

    Raises:
        UsageError: no such output, nothing to train; sizes that do not fit.
        NotTrainable: all nodes between a parameter and the loss that have no rule.
        CompileError: as `Network`.
    """
    rules = {name for name, operator in operators.items() if operator.gradient is not None}
    source = untied(sources.expand(sources.load(model), rules))
    sizes = Sizes(source.model, dict(dims or {}), dict(shapes or {}))
    sized = sizes.at(batch)
    parameters = _parameters(source, recipe)
    layers = _layers(source, sized, parameters, recipe)
    graph = _graph(layers.training, sized, parameters, layers.draws)
    tape = Tape(graph)
    output = _output(graph, recipe.output)
    tape.declare(LABELS, recipe.loss.targets(tape.shape(output))[1])
    for name in (RATE, DECAY):
        tape.declare(name, ())
    scored = recipe.loss.emit(tape, output)
    gradients = backward(
        tape, operators, {scored.value: scored.gradient}, parameters, layers.groups
    )
    if not gradients:
        raise UsageError("the loss depends on no parameter", received=sorted(parameters))
    idle = set(parameters) - set(gradients)
    if idle:  # what the loss does not depend on stays a constant
        fixed = (*recipe.freeze, *(glob.escape(name) for name in sorted(idle)))
        again = replace(recipe, freeze=fixed)
        return training_step(model, again, operators, batch=batch, dims=dims, shapes=shapes)
    clipped = _clipped(tape, recipe, gradients)
    states = _moved(tape, recipe, clipped, parameters) + _averaged(tape, layers.statistics)
    forward = Forward(layers.served, sizes, {**parameters, **layers.starts}, output)
    return _assembled(tape, recipe, scored, states, clipped, sized, forward, layers)


def _graph(
    source: Source,
    sized: Mapping[str, Sequence[int]],
    parameters: Mapping[str, Array],
    draws: Mapping[str, Shape],
) -> Graph:
    """The graph of a step's size, its parameters inputs."""
    opened = _opened(source, sized, parameters)
    opened.graph.input.extend(
        helper.make_tensor_value_info(name, TensorProto.INT32, shape)
        for name, shape in draws.items()
    )
    network = Network(opened)
    network.source = Source(opened, {**network.source.arrays, **_rest(source, parameters)})
    return network.at()


def _layers(
    source: Source,
    sized: Mapping[str, Sequence[int]],
    parameters: Mapping[str, Array],
    recipe: Recipe,
) -> Layers:
    """The model with the layers written out that are others in training."""
    if not has_layers(source):
        return Layers(source, source)
    plain = _graph(at_rest(source), sized, parameters, {})
    batch_norm = recipe.batch_norm == BATCH
    return written(source, plain, parameters, batch_norm=batch_norm, dropout=recipe.dropout)


def _parameters(source: Source, recipe: Recipe) -> dict[str, Array]:
    """The constants that are trained: floats of two elements and more that are no masks.

    Nor are scales of a Resize and the like any: sizes follow from them.
    """
    fixed: set[str] = set()
    for node in source.model.graph.node:
        fixed.update(sources.sized_by(node))
        if node.op_type == "BatchNormalization":
            fixed.update(node.input[3:5])
        elif node.op_type == "OneHot":
            fixed.update(node.input[2:3])
    freeze = recipe.freeze
    return {
        name: array.astype(np.float32)
        for name, array in source.arrays.items()
        if array.dtype.kind == "f"
        and array.size > 1
        and np.abs(array).max(initial=0.0) < LARGEST
        and name not in fixed
        and not any(fnmatch.fnmatchcase(name, pattern) for pattern in freeze)
    }


def _rest(source: Source, parameters: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array for name, array in source.arrays.items() if name not in parameters}


def _opened(
    source: Source, sized: Mapping[str, Sequence[int]], parameters: Mapping[str, Array]
) -> onnx.ModelProto:
    """The model with these sizes, its parameters as inputs."""
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in parameters]
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    del model.graph.initializer[:]
    del model.graph.input[:]
    model.graph.initializer.extend(kept)
    for name, shape in sized.items():
        model.graph.input.append(helper.make_tensor_value_info(name, types[name], shape))
    for name, array in parameters.items():
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
        model.graph.input.append(value)
    return model


def _output(graph: Graph, name: str | None) -> str:
    chosen = graph.outputs[0] if name is None else name
    if chosen not in graph.outputs:
        raise UsageError(
            f"the model has no output {named(chosen)}", expected=", ".join(graph.outputs)
        )
    if graph.types[chosen] not in FLOATS:
        raise CompileError(
            f"output {named(chosen)} holds integers: a loss needs scores",
            code="compile.bad-model",
            hint="name another output",
        )
    return chosen


def _clipped(tape: Tape, recipe: Recipe, gradients: Mapping[str, str]) -> dict[str, str]:
    """The gradients by parameter, within the recipe's limits."""
    names = sorted(gradients)
    slopes = [gradients[name] for name in names]
    if recipe.clip_value is not None:
        slopes = [clipped_by_value(tape, slope, recipe.clip_value) for slope in slopes]
    if recipe.clip_norm is not None:
        slopes = clipped_by_norm(tape, slopes, recipe.clip_norm)
    return dict(zip(names, slopes, strict=True))


def _moved(
    tape: Tape, recipe: Recipe, gradients: Mapping[str, str], parameters: Mapping[str, Array]
) -> tuple[State, ...]:
    """Every parameter and what the optimiser keeps of it, before and after."""
    states = []
    for name, slope in gradients.items():
        for kind in recipe.optimiser.states():
            tape.declare(state_name(name, kind), tape.shape(name))
        moved = recipe.optimiser.emit(tape, name, slope)
        states.append(State(name, moved.parameter, parameters[name], name))
        for before, after in moved.states:
            zeros = np.zeros(tape.shape(name), np.float32)
            states.append(State(before, after, zeros, name))
    return tuple(states)


def _averaged(tape: Tape, statistics: Sequence[Statistic]) -> tuple[State, ...]:
    """Every running statistic, before and after."""
    states = []
    for each in statistics:
        shape = each.start.shape
        tape.declare(each.name, shape)
        new = tape.scaled(tape.reshape(each.batch, shape), 1.0 - each.kept)
        following = tape.add(tape.scaled(each.name, each.kept), new)
        states.append(State(each.name, following, each.start, ""))
    return tuple(states)


def _assembled(
    tape: Tape,
    recipe: Recipe,
    scored: Scored,
    states: tuple[State, ...],
    gradients: Mapping[str, str],
    sized: Mapping[str, Sequence[int]],
    forward: Forward,
    layers: Layers,
) -> Step:
    made = behind(tape.graph.source, tape, [scored.loss, *(state.following for state in states)])
    read = {name for node in made.model.graph.node for name in node.input}
    kind, shape = recipe.loss.targets(tape.shape(forward.output))
    given = [helper.make_tensor_value_info(LABELS, kind, shape)]
    seen = [each.batch for each in layers.statistics]
    slopes = behind(tape.graph.source, tape, [scored.loss, *gradients.values(), *seen])
    slopes.model.graph.input.extend(given)
    given += [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ())
        for name in (RATE, DECAY)
        if name in read
    ]
    own = {value.name for value in made.model.graph.input}
    given_states = [
        helper.make_tensor_value_info(state.name, TensorProto.FLOAT, state.start.shape)
        for state in states
        if state.name not in own
    ]
    made.model.graph.input.extend([*given, *given_states])
    types = {name: tape.graph.types[name] for name in sized} | {LABELS: kind}
    return Step(
        source=made,
        inputs=tuple(sized),
        given=tuple(value.name for value in given),
        loss=scored.loss,
        states=states,
        slopes=slopes,
        gradients=dict(gradients),
        error=scored.gradient,
        batch=next(iter(sized.values()))[0],
        shapes={**{name: tuple(dims) for name, dims in sized.items()}, LABELS: shape},
        statistics=layers.statistics,
        draws={name: shape for name, shape in layers.draws.items() if name in read},
        dtypes={name: helper.tensor_dtype_to_np_dtype(each) for name, each in types.items()},
        forward=forward,
    )
