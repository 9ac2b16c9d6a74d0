"""From an ONNX model to a small frozen graph: fixed shapes, folded constants, no dead nodes."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from ..verifier.errors import UsageError
from . import branches, contrib, loops, recurrent, source
from .errors import CompileError, MixesItems, named
from .quantise import Affine, Grid
from .session import Seen, Session
from .sizes import Axes, Dims, Sizes, constant_inputs
from .source import ModelLike, Source, bad_model, computed

Array = npt.NDArray[Any]

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
"""Element types of real numbers."""

INTEGERS = (
    TensorProto.BOOL,
    TensorProto.INT8,
    TensorProto.INT16,
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.UINT8,
    TensorProto.UINT16,
    TensorProto.UINT32,
    TensorProto.UINT64,
)
"""Element types of indices, counts and masks."""


@dataclass(frozen=True)
class Node:
    """One operator call; `activation` is the node fused into it (the output is then that node's).

    `inputs` has an empty name where an optional input is absent.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    activation: Node | None = None

    @property
    def output(self) -> str:
        """The first output: the only one of every operator that is compiled."""
        return self.outputs[0]

    def input(self, index: int) -> str | None:
        """Name of an input, or None where it is absent."""
        return (self.inputs[index] or None) if index < len(self.inputs) else None


@dataclass(frozen=True)
class Coded:
    """A float value whose code the file gives: it stands there as the integers named `integers`.

    Those of the program are less by `offset`.
    """

    code: Affine
    integers: str
    offset: int = 0

    def dequantise(self, integers: Array) -> Array:
        """The reals that integers of the file stand for."""
        return self.code.dequantise(integers.astype(np.int64) - self.offset)


@dataclass(frozen=True)
class Carried:
    """What the next step of a chain reads as an input: this output of the step before.

    The first step reads `start` everywhere.
    """

    output: str
    start: float = 0.0


@dataclass(frozen=True)
class Graph:
    """A float network with fixed shapes.

    `shapes` and `types` (ONNX element types) cover every value; `constants` the known ones;
    `batched` names the inputs and outputs whose axis 0 is the batch; `fixed` says that the file
    sets its size, so that every run has exactly `batch` items. `unread` are the inputs on whose
    values no output depends; those of which the sizes matter have their shape there. `codes` and
    `grids` are what a file that is quantised already says of values and of constants. `states` are
    the inputs that a chain carries from step to step, by name.
    """

    name: str
    opset: int
    batch: int
    nodes: tuple[Node, ...]
    shapes: Mapping[str, tuple[int, ...]]
    types: Mapping[str, int]
    constants: Mapping[str, Array]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    batched: frozenset[str]
    fixed: bool
    source: Source
    unread: Mapping[str, tuple[int, ...] | None] = field(default_factory=dict)
    codes: Mapping[str, Coded] = field(default_factory=dict)
    grids: Mapping[str, Grid] = field(default_factory=dict)
    states: Mapping[str, Carried] = field(default_factory=dict)

    @property
    def given(self) -> tuple[str, ...]:
        """The inputs that a caller gives: all but states."""
        return tuple(name for name in self.inputs if name not in self.states)

    @property
    def published(self) -> tuple[str, ...]:
        """The outputs that a caller gets: all but those that are only carried to the next step."""
        ends = {carried.output for carried in self.states.values()}
        return tuple(name for name in self.outputs if name not in ends)

    def consumers(self, name: str) -> list[Node]:
        """The nodes that read a value."""
        return [node for node in self.nodes if name in node.inputs]

    def constant(self, name: str | None) -> Array | None:
        """The value of a name, or None where it is computed or absent."""
        return self.constants.get(name) if name else None

    def size(self, name: str) -> tuple[int, ...]:
        """The shape of a value, or of a constant that a rewriting made."""
        made = self.constants.get(name)
        return self.shapes[name] if made is None else made.shape

    def is_float(self, name: str) -> bool:
        """Whether a value holds floats."""
        return self.types[name] in FLOATS

    def prune(self, nodes: list[Node]) -> Graph:
        """The graph with these nodes, less those that reach no output."""
        live, kept = set(self.outputs), []
        for node in reversed(nodes):
            if live.intersection(node.outputs):
                kept.append(node)
                live.update(name for name in node.inputs if name)
        return replace(self, nodes=tuple(reversed(kept)))


class Network:
    """A model whose inputs have sizes, all but that of the batch: read once, a graph by batch.

    Args:
        model: an ONNX file, its bytes, or a loaded model.
        dims: sizes of named axes.
        shapes: shapes of inputs by name; an axis 0 that is no number is the batch.
        fixed: values of inputs that are constants.
        states: what a chain of steps carries; `states.carried` puts it into a graph.

    Raises:
        UsageError: an unreadable file; sizes for what the model does not have.
        CompileError: `compile.bad-model`.
    """

    def __init__(
        self,
        model: ModelLike,
        dims: Mapping[str, int] | None = None,
        shapes: Mapping[str, Axes] | None = None,
        fixed: Mapping[str, npt.ArrayLike] | None = None,
        states: Mapping[str, Carried] | None = None,
    ) -> None:
        self.states = dict(states or {})
        loaded = source.load(model)
        sizes = dict(dims or {}), {name: tuple(axes) for name, axes in (shapes or {}).items()}
        values = constant_inputs(loaded.model, loaded.declared, sizes, fixed or {})
        self.asked = (*sizes, {name: array.tolist() for name, array in values.items()})
        self.source = source.fixed(loaded, values)
        gone = loaded.declared - {value.name for value in source.inputs(self.source.model)}
        held = {name: axes for name, axes in sizes[1].items() if name not in gone}
        self._sizes = Sizes(self.source.model, sizes[0], held)
        self._sessions: dict[tuple[int | Dims, ...], tuple[Source, _Wanted, Session]] = {}
        self._runs: dict[int, _Run] = {}

    def expand(self, known: Collection[str]) -> None:
        """Write operators that are not `known` by others, before the first graph is asked for.

        As `contrib` has them, or as the bodies that the onnx package has for them.
        """
        self.source = source.expand(contrib.expand(self.source), known)

    def at(self, batch: int = 1) -> Graph:
        """The graph whose batch axis has this size: axis 0 of every input where it is dynamic.

        Raises:
            UsageError: a batch for a model without a dynamic axis.
            CompileError: `compile.bad-model`, `compile.dynamic-shape`, `compile.not-finite`.
        """
        dynamic = self._sizes.dynamic
        if batch < 1 or (batch > 1 and not dynamic):
            raise UsageError(
                f"batch {batch} for a model whose inputs have no dynamic axis",
                hint="export the model with a dynamic first axis, or compile with batch=1",
            )
        _refuse_kinds(self._sizes.types)
        inputs = self._sizes.at(batch)
        model, wanted, seen = self._run(batch)
        _refuse_empty(model, seen)
        constants = _constants(model, wanted, seen)
        shapes = {name: value.shape for name, value in seen.items()} | inputs
        types = {name: value.type for name, value in seen.items()} | self._sizes.types
        for name, array in constants.items():
            shapes[name] = array.shape
            types[name] = helper.np_dtype_to_tensor_dtype(array.dtype)
        outputs = tuple(output.name for output in model.model.graph.output)
        fixed = None if dynamic else _fixed_batch(inputs)
        graph = Graph(
            name=model.model.graph.name,
            opset=model.opset,
            batch=(batch if dynamic else fixed) or 1,
            nodes=tuple(_nodes(model.model, wanted)),
            shapes=shapes,
            types=types,
            constants=constants,
            inputs=tuple(inputs),
            outputs=outputs,
            batched=self._batched(batch, shapes, outputs, constants),
            fixed=not dynamic,
            source=model,
        )
        graph = _without_unread(graph.prune(list(graph.nodes)), self._dropped())
        _refuse_not_finite(graph)
        return _skip_identities(graph)

    def forget(self) -> None:
        """Let go of what runs have found: constants, as large as the weights, and sessions."""
        self._runs.clear()
        self._sessions.clear()

    def _dropped(self) -> frozenset[str]:
        """The inputs of the file that the model no longer has."""
        values = {value.name for value in source.inputs(self.source.model)}
        return self.source.declared - values - set(self.asked[2])

    def _batched(
        self,
        batch: int,
        shapes: Mapping[str, Dims],
        outputs: tuple[str, ...],
        constants: Mapping[str, Array],
    ) -> frozenset[str]:
        """The inputs and outputs whose axis 0 is the batch."""
        if self._sizes.dynamic:
            return self._sizes.dynamic | self._grown(batch, shapes, outputs, constants)
        fixed = _fixed_batch(self._sizes.at(batch))
        if fixed is None:
            return frozenset()
        heads = (name for name in outputs if shapes[name][:1] == (fixed,))
        return frozenset(self._sizes.types) | frozenset(heads)

    def _grown(
        self,
        batch: int,
        shapes: Mapping[str, Dims],
        outputs: tuple[str, ...],
        constants: Mapping[str, Array],
    ) -> frozenset[str]:
        """The outputs whose axis 0 grows with the batch: shapes at two batch sizes are compared."""
        other = batch - 1 if batch - 1 in self._runs else batch + 1
        try:
            model, wanted, seen = self._run(other)
            others = _constants(model, wanted, seen)
            grown = {name: value.shape for name, value in seen.items()}
            grown |= {name: array.shape for name, array in others.items()}
            grown |= self._sizes.at(other)
        except CompileError:
            grown, others = {}, {}
        _refuse_counted(constants, others)
        for name in outputs:
            here, there = shapes[name], grown.get(name)
            if there is None or len(here) != len(there) or here[1:] != there[1:]:
                raise CompileError(
                    f"output {named(name)} does not have the batch as its first axis only",
                    code="compile.dynamic-shape",
                    expected=f"[batch, ...] or a fixed shape, at batch {batch} and {other}",
                    received=f"{list(here)} and {list(there) if there else 'no shape'}",
                    hint=BAKED,
                )
        return frozenset(name for name in outputs if shapes[name][:1] != grown[name][:1])

    def _run(self, batch: int) -> _Run:
        """What every value is at this batch, constants with their values.

        The last two runs are kept: graphs of growing batches are compared with their neighbours.
        """
        if batch not in self._runs:
            for old in list(self._runs)[:-1]:
                del self._runs[old]
            self._runs[batch] = self._run_anew(batch)
        return self._runs[batch]

    def _run_anew(self, batch: int) -> _Run:
        try:
            return self._run_on(0, batch)
        except CompileError as error:
            failed = error
        try:
            return self._run_on(1, batch)  # not every model takes zeros: it may divide by integers
        except CompileError:
            if batch == 1 or not self._sizes.dynamic:
                raise failed from None
        raise CompileError(
            f"at batch {batch} {failed.message}", code="compile.dynamic-shape", hint=BAKED
        ) from failed

    def _run_on(self, number: int, batch: int) -> _Run:
        """One run on inputs that hold this number throughout."""
        feeds = {
            name: np.full(shape, number, helper.tensor_dtype_to_np_dtype(self._sizes.types[name]))
            for name, shape in self._sizes.at(batch).items()
        }
        model, wanted, session = self._session(feeds)
        return model, wanted, session.look(feeds, wanted.constants)

    def _session(self, feeds: Mapping[str, Array]) -> tuple[Source, _Wanted, Session]:
        """The model with its branches chosen, its loops unrolled; kept by what was chosen."""
        model = replace(self.source, model=self._sizes.applied(self.source.model))
        model, choices = _chosen(model, feeds)
        while (trial := _joined(model, feeds)) is not None:
            model, more = _chosen(trial, feeds)
            choices = (*choices, *more)
        if choices not in self._sessions:
            model = recurrent.time_first(model)
            wanted = _Wanted.of(model.model)
            session = Session(model, wanted.names, plainly=True)
            self._sessions[choices] = (model, wanted, session)
        return self._sessions[choices]


def _chosen(model: Source, feeds: Mapping[str, Array]) -> tuple[Source, tuple[int | Dims, ...]]:
    """The model with its loops unrolled and the branches that constant conditions choose.

    With it come these choices, the numbers of steps among them.
    """
    choices: tuple[int | Dims, ...] = ()
    while True:
        decided = branches.conditions(model.model)
        counted = loops.counters(model.model)
        if decided:
            found = Session(model, decided, plainly=True).run(feeds)
            values = {name: bool(found[name].all()) for name in decided}
            model, choices = branches.taken(model, values), (*choices, *values.values())
        elif counted:
            counts, shapes = _counts(model, feeds, counted)
            model = loops.unrolled(model, counts, shapes)
            choices = (*choices, *counts.values(), *shapes.values())
        else:
            return model, choices


def _joined(model: Source, feeds: Mapping[str, Array]) -> Source | None:
    """The model with both branches of every `If` on data; None if there is none, or it is no model.

    Branches may fit other sizes of the data only, or give results of unlike shapes: such a node is
    left as it is, and has no lowering.
    """
    joined = branches.joined(model)
    if joined is None:
        return None
    trial, pairs = joined
    try:
        plain = _chosen(trial, feeds)[0]
        seen = Session(plain, {name for pair in pairs for name in pair}, plainly=True).look(feeds)
    except CompileError:
        return None
    same = all(a in seen and b in seen and seen[a].shape == seen[b].shape for a, b in pairs)
    return trial if same else None


BAKED = (
    "a Reshape with a fixed batch size is the usual cause: use -1 or 0 there, or fix the batch "
    "(--dim NAME=N)"
)


@dataclass(frozen=True)
class _Wanted:
    """What is asked of a model's run.

    `computed` are the values that follow from the data, as far as a node or an output reads them
    (and the first ones of all nodes); `constants` are what their nodes and the outputs read beside
    that, and no initialiser holds.
    """

    computed: tuple[str, ...]
    constants: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.computed, *self.constants)

    @classmethod
    def of(cls, model: onnx.ModelProto) -> _Wanted:
        data, graph = computed(model), model.graph
        nodes = [node for node in graph.node if data.intersection(node.output)]
        read = {name for node in nodes for name in source.reads(node)}
        read |= {output.name for output in graph.output}
        made = {name for node in graph.node for name in node.output if name}
        first = {node.output[0] for node in nodes if node.output[0]}
        # Of what the graphs inside a node read, their own values are none of this graph.
        return cls(tuple(sorted(made & data & (read | first))), tuple(sorted(made & read - data)))


_Run = tuple[Source, _Wanted, dict[str, Seen]]


def read(
    model: ModelLike,
    batch: int = 1,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Axes] | None = None,
) -> Graph:
    """Read a model as a `Graph` whose batch axis has the size `batch`; see `Network`."""
    return Network(model, dims, shapes).at(batch)


def _counts(
    model: Source, feeds: Mapping[str, Array], names: Sequence[str]
) -> tuple[dict[str, int], dict[str, Dims]]:
    """What loops count by: the numbers (of a single one), and the shapes of values."""
    held = {name: array for name, array in {**model.arrays, **feeds}.items() if name in names}
    asked = [name for name in names if name not in held]
    found = Session(model, asked, plainly=True).run(feeds) | held
    shapes = {name: np.shape(array) for name, array in found.items()}
    return {n: int(a.reshape(-1)[0]) if a.size == 1 else -1 for n, a in found.items()}, shapes


def _refuse_kinds(types: Mapping[str, int]) -> None:
    other = [name for name, kind in types.items() if kind not in FLOATS + INTEGERS]
    if other:
        raise bad_model(f"input {named(other[0])} is no tensor of numbers")


def _fixed_batch(inputs: Mapping[str, Dims]) -> int | None:
    """The common size of axis 0 of all inputs, which may be a batch; None where there is none."""
    sizes = {shape[:1] for shape in inputs.values()}
    first = sizes.pop() if len(sizes) == 1 else ()
    return first[0] if first else None


def _constants(model: Source, wanted: _Wanted, seen: Mapping[str, Seen]) -> dict[str, Array]:
    """Values of everything known that the graph reads."""
    found = dict(model.arrays)
    for name in wanted.constants:
        value = seen.get(name)
        if value is not None and value.array is not None:
            found[name] = value.array
    return found


def _refuse_counted(constants: Mapping[str, Array], others: Mapping[str, Array]) -> None:
    """Refuse numbers that follow from the size of the batch: items would depend on the others."""
    for name in constants.keys() & others.keys():
        here, there = constants[name], others[name]
        if here is there or here.dtype.kind != "f" or here.shape != there.shape:
            continue
        if not np.array_equal(here, there, equal_nan=True):
            raise MixesItems(
                f"value {named(name)} follows from the number of items in the batch",
                expected="every item's result follows from that item alone",
                hint="give the batch a size (--dim NAME=N): all of it is then one item",
            )


def _refuse_empty(model: Source, seen: Mapping[str, Seen]) -> None:
    data = computed(model.model)
    for node in model.model.graph.node:
        for name in node.output:
            if name in data and name in seen and 0 in seen[name].shape:
                raise CompileError(
                    f"{source.called(node)}: its output {named(name)} has no elements",
                    code="compile.dynamic-shape",
                    received=list(seen[name].shape),
                    hint="give larger sizes (--dim, --shape)",
                )


def _nodes(model: onnx.ModelProto, wanted: _Wanted) -> Iterator[Node]:
    """The nodes that compute; outputs that nobody reads have an empty name, but count."""
    kept = set(wanted.computed)
    given = {node.name for node in model.graph.node}
    taken: set[str] = set()
    for index, node in enumerate(model.graph.node):
        if not kept.intersection(node.output):
            continue
        name = node.name or f"{node.op_type}_{index}"
        others = taken if node.name else taken | given
        while name in others:  # rewritings tell nodes apart by their names
            name += f"#{index}"
        taken.add(name)
        yield Node(
            name=name,
            op=source.operator(node),
            inputs=tuple(node.input),
            outputs=tuple(output if output in kept else "" for output in node.output),
            attributes={a.name: _attribute(a) for a in node.attribute},
        )


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return list(value) if isinstance(value, list | tuple) else value


def _without_unread(graph: Graph, dropped: Collection[str]) -> Graph:
    """The graph with the inputs that its nodes and outputs read; `dropped` had no reader at all."""
    read_names = {name for node in graph.nodes for name in node.inputs} | set(graph.outputs)
    kept = tuple(name for name in graph.inputs if name in read_names)
    if not kept:
        raise bad_model("the model's outputs depend on no input: they are constants")
    unread: dict[str, tuple[int, ...] | None] = dict.fromkeys(dropped)
    unread |= {name: graph.shapes[name] for name in graph.inputs if name not in kept}
    return replace(graph, inputs=kept, unread=unread)


MASKED = ("Add", "Where")
"""Operators that put minus infinity where a Softmax is to see nothing (`masks`)."""


def _refuse_not_finite(graph: Graph) -> None:
    read = {name: None for node in graph.nodes for name in node.inputs if name}
    for name in read | dict.fromkeys(graph.outputs):
        array = graph.constants.get(name)
        if array is None or array.dtype.kind != "f":
            continue
        bound = array.size == 1 and name not in graph.outputs  # an infinite bound of Clip: none
        readers = graph.consumers(name)
        if not bound and readers and all(node.op in MASKED for node in readers):
            array = np.where(
                np.isneginf(array), 0.0, array
            )  # judged once it is known what reads it
        infinite = not bound and np.isinf(array).any()
        found = "NaN" if np.isnan(array).any() else "infinity" if infinite else None
        if found:
            raise CompileError(
                f"tensor {named(name)} contains {found}",
                code="compile.not-finite",
                expected="finite weights",
                hint="the model was trained or exported wrongly",
            )


def _skip_identities(graph: Graph) -> Graph:
    """Drop Identity, Dropout and casts between floats: their readers read what they read.

    So nothing stands between an operator and the activation that is fused into it. One that stands
    directly before an output stays: the output keeps its name, and its lowering is a view.
    """
    alias: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        inputs = tuple(alias.get(name, name) for name in node.inputs)
        node = replace(node, inputs=inputs)
        passes = any(same(node, graph) for same in (is_identity, _is_float_cast, _bounds_nothing))
        more = any(node.outputs[1:])  # a mask
        if passes and not more and node.output not in graph.outputs:
            alias[node.output] = inputs[0]
        else:
            nodes.append(node)
    return graph.prune(nodes)


def is_identity(node: Node, graph: Graph) -> bool:
    """Whether a node only passes its first input on (a Dropout that is not in training mode)."""
    training = graph.constant(node.input(2)) if node.op == "Dropout" else None
    if node.op == "Dropout" and node.input(2) and training is None:
        return False
    return node.op in ("Identity", "Dropout") and not (training is not None and training.any())


def _is_float_cast(node: Node, graph: Graph) -> bool:
    return node.op == "Cast" and all(map(graph.is_float, (node.inputs[0], node.output)))


def _bounds_nothing(node: Node, graph: Graph) -> bool:
    """Whether it is a Max of a value and the lowest float: networks undo so what a mask adds up."""
    bound = graph.constant(node.inputs[1]) if node.op == "Max" and len(node.inputs) == 2 else None
    if bound is None or bound.size != 1 or bound.dtype.kind != "f" or bound.ndim:
        return False
    return bool(bound <= np.finfo(bound.dtype).min)


def size(shape: tuple[int, ...]) -> int:
    """Number of elements of a shape."""
    return math.prod(shape)
