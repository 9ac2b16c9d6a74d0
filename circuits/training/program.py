"""A training step as a program: integers from the float step, by the ranges of a rehearsal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ...verifier.errors import UsageError
from ...verifier.inputs import DTYPES, Saturated
from ...verifier.program.types import ConstantStart, DrawnStart, Program, Role, Tensor
from ..assemble import assemble
from ..bits import NARROW
from ..compile import refuse_unsupported
from ..errors import CompileError, named
from ..fuse import fuse
from ..graph import Array, Graph, Network
from ..lowering import lower_nodes, spatial
from ..masks import Scores
from ..model import CompiledModel
from ..operator import Operator
from ..ops.composite import compose
from ..qoperators import resolve
from ..quantise import Affine
from ..source import Source
from .integers import StepBuilder
from .optimisers import DECAY, RATE, Optimiser
from .ranges import Ranges
from .step import Step
from .updates import Updates
from .widths import PRODUCTS, widths

SEED, FILE = "seed", "file"
"""How a run starts: from weights that are drawn from the seed, or from those of the model file."""


@dataclass(frozen=True)
class Data:
    """A tensor of the data set: how its reals become integers, and whether it holds integers."""

    name: str
    tensor: Tensor
    code: Affine
    whole: bool

    def quantise(self, array: Array) -> Array:
        """The integers [records, ...] that stand for an array [records, ...] of the caller.

        Raises:
            UsageError: `usage.input`, integers out of range, or NaN.
        """
        given = np.asarray(array)
        if self.whole:
            _refuse_outside(self, given)
            held = given.astype(np.int64)
        else:
            _refuse_nan(self, given)
            held = self.code.quantise(given)
        shape = (len(given), *self.tensor.shape[1:])
        return held.reshape(shape).astype(DTYPES[self.tensor.width])

    def saturation(self, array: Array) -> Saturated:
        """How much of an array `quantise` clamps; nothing of integers."""
        code, outside = self.code, 0
        if not self.whole:
            number = np.rint(np.asarray(array, np.float64) / code.scale) + code.zero
            outside = int(np.count_nonzero((number < code.lo) | (number > code.hi)))
        low, high = ((end - code.zero) * code.scale for end in (code.lo, code.hi))
        return Saturated(self.name, int(np.size(array)), outside, low, high)


@dataclass(frozen=True)
class Served:
    """The model that is trained, as a program whose weights are the masters of a step.

    `exports` are the step's tensors that are its weights, in their order. In `model` those that are
    states are zero.
    """

    model: CompiledModel
    exports: tuple[int, ...]


@dataclass(frozen=True)
class TrainingProgram:
    """The program of a step, and how its states and data are read.

    Args:
        model: the program with its constants; its inputs are rates.
        codes: of the states, by name; in the order of the state tensors.
        start: the states of the first step, as the model file has them.
        loss: name of the output.
        data: the tensors of the data set, in tensor order; none where data are inputs.
        served: the model that comes out; None where data are inputs.
    """

    model: CompiledModel
    codes: Mapping[str, Affine]
    start: tuple[Array, ...] = field(repr=False)
    loss: str
    data: tuple[Data, ...] = ()
    served: Served | None = None

    def coded(self, records: Mapping[str, Array]) -> list[Array]:
        """The records [records, ...] as the integers that the steps read, in tensor order.

        Raises:
            UsageError: `usage.input`, integers out of range, NaN.
        """
        return [data.quantise(records[data.name]) for data in self.data]

    def reals(self, states: Mapping[str, Array]) -> dict[str, Array]:
        """What integers of states stand for."""
        return {name: self.codes[name].dequantise(array) for name, array in states.items()}


def gradient_graph(step: Step, operators: Mapping[str, Operator]) -> Graph:
    """Loss and gradients of a step in the form that is lowered; all of a batch is one item."""
    graph = _without_masks(_fused(step.slopes, operators))
    return replace(graph, batched=frozenset(), batch=1, fixed=True)


def _without_masks(graph: Graph) -> Graph:
    """The graph whose choices by x > 0, of an x that is never negative, read x itself."""
    producers = {node.output: node for node in graph.nodes}

    def source(name: str) -> str:
        mask = producers.get(name)
        if mask is None or mask.op != "Greater":
            return name
        x, least = mask.inputs[0], graph.constant(mask.inputs[1])
        node = producers.get(x)
        relu = node is not None and "Relu" in (node.op, node.activation and node.activation.op)
        return x if relu and least is not None and not least.any() else name

    nodes = [
        replace(node, inputs=(source(node.inputs[0]), *node.inputs[1:]))
        if node.op == "Where"
        else node
        for node in graph.nodes
    ]
    return graph.prune(nodes)


def served_graph(step: Step, operators: Mapping[str, Operator], batch: int) -> Graph:
    """The model that is trained, of so many items, in the form that is lowered."""
    graph = _fused(step.forward.at(batch), operators)
    data = frozenset(step.inputs) | {step.forward.output}
    return replace(graph, batched=data, batch=batch, fixed=True)


def _fused(source: Source, operators: Mapping[str, Operator]) -> Graph:
    network = Network(source.model)
    network.source = source
    # What a model spells out is not put together again: the backward pass reads its parts.
    composed = compose(resolve(network.at()), operators)
    refuse_unsupported(composed, operators)
    fused = fuse(composed, operators)
    Scores(fused, operators).refuse_infinite()
    return fused


@dataclass(frozen=True)
class Form:
    """What a program of a step is made for, beside its network.

    Args:
        products: bits of what products read: 8, or 16.
        records: of the data set; None: data and labels are inputs.
        start: `seed` or `file`.
        batch: items of a step of the served model.
        public: whether constants are salted with zero.
        weights_key: salts them, as for `assemble`.
    """

    products: int = NARROW
    records: int | None = None
    start: str = FILE
    batch: int = 1
    public: bool = False
    weights_key: bytes | None = None


def training_program(
    step: Step,
    optimiser: Optimiser,
    operators: Mapping[str, Operator],
    graph: Graph,
    ranges: Ranges,
    form: Form,
) -> TrainingProgram:
    """The integer program of a step.

    Args:
        step: the float step.
        optimiser: the one that it was made with.
        operators: by name.
        graph: the step's `gradient_graph`.
        ranges: of all values, from a rehearsal.
        form: what it is made for.

    Raises:
        CompileError: what of the step does not fit into a program.
    """
    builder = StepBuilder(
        graph,
        ranges,
        step.error,
        spatial(graph, operators),
        widths(graph, form.products),
        {state.name for state in step.parameters},
        _summed(graph, step),
        statistics={each.name: each.batch for each in step.statistics},
        draws=step.draws,
        records=form.records,
    )
    builder.copies()
    lower_nodes(graph, operators, builder)
    updates = Updates(builder, optimiser, ranges.values, ranges.rates)
    updated = updates.all(step.gradients, step.statistics)
    scalars = [name for name in (RATE, DECAY) if name in builder.values]
    start = {state.name: state.start for state in step.states}
    if form.start == SEED:
        start |= {each.name: np.full_like(each.start, each.fresh) for each in step.statistics}
    program = builder.step_program(step.loss, scalars, updated.links)
    names = [program.tensors[link.state].name for link in program.states]
    if form.start == SEED:
        program = _drawn(program, names, updated.codes, start)
    constants = dict(zip(program.of_role(Role.WEIGHT), builder.weights, strict=True))
    served = None
    if form.records is not None:
        served = _served(step, operators, ranges, form, program, constants)
        program = replace(program, exports=served.exports)
    model = assemble(program, constants, public=form.public, weights_key=form.weights_key)
    return TrainingProgram(
        model,
        {name: updated.codes[name] for name in names},
        tuple(_quantised(updated.codes[name], start[name]) for name in names),
        step.loss,
        tuple(_data(builder, program, number) for number in program.of_role(Role.DATA)),
        served,
    )


def _data(builder: StepBuilder, program: Program, number: int) -> Data:
    (name,) = [name for name in builder.graph.inputs if builder.values[name].tensor == number]
    value = builder.values[name]
    return Data(name, program.tensors[number], value.code, value.integer)


def _drawn(
    program: Program, names: Sequence[str], codes: Mapping[str, Affine], start: Mapping[str, Array]
) -> Program:
    """The program whose states start evenly drawn, with mean and deviation of the file's.

    Those that are one number throughout (zeros, gains of 1) start with it.
    """
    links = []
    for domain, (link, name) in enumerate(zip(program.states, names, strict=True), 1):
        numbers = start[name].astype(np.float64) / codes[name].scale
        mean, spread = float(numbers.mean()), math.sqrt(3.0) * float(numbers.std())
        lo, hi = (
            min(max(round(end), codes[name].lo), codes[name].hi)
            for end in (mean - spread, mean + spread)
        )
        drawn = DrawnStart(domain, lo, hi) if lo < hi else ConstantStart(lo)
        links.append(replace(link, start=drawn))
    return replace(program, states=tuple(links))


def _served(
    step: Step,
    operators: Mapping[str, Operator],
    ranges: Ranges,
    form: Form,
    program: Program,
    constants: Mapping[int, Array],
) -> Served:
    """The program of the model that is trained, its weights found among the step's tensors."""
    graph = served_graph(step, operators, form.batch)
    builder = StepBuilder(
        graph,
        ranges,
        step.error,
        spatial(graph, operators),
        widths(graph, form.products),
        {state.name for state in step.parameters},
        statistics={each.name: each.batch for each in step.statistics},
        served=True,
    )
    builder.copies()
    lower_nodes(graph, operators, builder)
    made = builder.served_program()
    states = {program.tensors[link.state].name: link.state for link in program.states}
    own = iter(builder.weights)
    exports, held = [], {}
    for number in made.of_role(Role.WEIGHT):
        tensor = made.tensors[number]
        if tensor.name in states and tensor.name in step.served:
            held[number] = np.zeros(tensor.shape, np.int64)
            exports.append(states[tensor.name])
            continue
        held[number] = next(own)
        left = {t: array for t, array in constants.items() if t not in exports}
        exports.append(_same(tensor, held[number], program, left))
    return Served(assemble(made, held, public=True), tuple(exports))


def _same(tensor: Tensor, array: Array, program: Program, constants: Mapping[int, Array]) -> int:
    """The step's constant that a constant of the served model is."""
    for number, other in constants.items():
        own = program.tensors[number]
        form = (own.width, own.lo, own.hi, own.shape, own.layout)
        equal = form == (tensor.width, tensor.lo, tensor.hi, tensor.shape, tensor.layout)
        if equal and np.array_equal(array, other):
            return number
    raise CompileError(
        f"constant {named(tensor.name)} of the trained model is none of the training step",
        code="compile.bad-model",
        hint="train and export with the same precision",
    )


def _refuse_outside(data: Data, array: Array) -> None:
    lo, hi = data.tensor.lo, data.tensor.hi
    whole = array.dtype.kind in "iub" or bool((array == np.rint(array)).all())
    if not whole or array.min(initial=lo) < lo or array.max(initial=lo) > hi:
        raise UsageError(
            f"data {named(data.name)} does not fit the program",
            code="usage.input",
            expected=f"integers in [{lo}, {hi}]",
            received=f"{array.dtype} in [{array.min()}, {array.max()}]",
        )


def _refuse_nan(data: Data, array: Array) -> None:
    if not np.isfinite(array).all():
        raise UsageError(
            f"data {named(data.name)} contains NaN or infinity",
            code="usage.input",
            expected="finite values",
        )


def _quantised(code: Affine, array: Array) -> Array:
    held = code.quantise(array).reshape(array.shape or (1,))
    return held.astype(DTYPES[code.width])


def _summed(graph: Graph, step: Step) -> set[str]:
    """The gradients that are one sum of products and that nothing but the optimiser reads."""
    producers = {node.output: node for node in graph.nodes}
    found = set()
    for name in step.gradients.values():
        node = producers.get(name)
        alone = not graph.consumers(name)
        plain = node is not None and node.activation is None  # a clip needs the value itself
        if node is not None and plain and alone and node.op in (*PRODUCTS[:2], "ReduceSum"):
            found.add(name)
    return found
