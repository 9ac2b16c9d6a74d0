"""What the rounding of each value to 8 bits does to the outputs, measured in floats.

The model runs in onnxruntime with extra nodes, which round every value to its int8 code. A switch
for each, an input of the model, turns one on at a time; what the outputs then lose is its share of
the noise. Rounded weights are too many for that: their noise in a node's output follows from their
steps, and reaches the outputs as the rounding of that output does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .builder import Range
from .calibrate import Feeds, length, run_float, samples, steps
from .fit import sources
from .graph import Array, Graph, Node
from .joined import Joined, joined
from .ops import OPERATORS
from .quantise import WEIGHT_MAX, Affine, affine
from .session import Session
from .states import ends, first_states, next_states

ELEMENTS = 1 << 28
"""Elements of all values in all runs: they decide on how many samples one looks."""

SAMPLES = 16
ROLLED_OUT = 64
"""Steps of a chain after which it is known well enough how noise spreads."""


@dataclass(frozen=True)
class Rounding:
    """What a value, or the weights of a node, cost when they have 8 bits.

    `noise` is the part of the outputs' variance that they turn into noise.
    """

    name: str
    weights: bool
    noise: float


def sensitivities(
    source: Graph,
    graph: Graph,
    coded: Sequence[str],
    weighed: Sequence[str],
    ranges: Mapping[str, Range],
    calibrated: Feeds,
    tested: Feeds,
) -> list[Rounding]:
    """All roundings of a lowered graph, the worst first.

    Args:
        source: the graph as read, which runs.
        graph: the graph that was lowered.
        coded: values that have codes of their own.
        weighed: nodes with constant factors.
        ranges: of all values.
        calibrated: some samples inside of these ranges: they tell how noise spreads.
        tested: others, of which values may saturate: they tell what rounding costs.
    """
    names = [name for name in coded if name in ranges and name in source.shapes]
    few = _few(source, names, calibrated)
    unlike = joined(graph, OPERATORS, lambda name: _reach(graph, ranges, name))
    injection = _Injection(source, {name: affine(*ranges[name]) for name in names}, unlike)
    spread, noises = injection.noises(few), injection.noises(_few(source, names, tested))
    found = [Rounding(name, False, noises[name]) for name in names]
    squares = _squares(source, graph, few)
    origins = sources(graph, coded) | {c.output: name for name, c in graph.states.items()}
    for node in graph.nodes:
        if node.name in weighed:
            out = origins.get(node.output, node.output)
            if out in spread:
                gain = spread[out] / (affine(*ranges[out]).scale ** 2 / 12)
                found.append(Rounding(node.name, True, gain * _weight_noise(node, graph, squares)))
    return sorted(found, key=lambda rounding: -rounding.noise)


def _reach(graph: Graph, ranges: Mapping[str, Range], name: str) -> float:
    """The largest magnitude of a value, by its code or by what was seen."""
    coded = graph.codes.get(name)
    return coded.code.reach if coded else max(map(abs, ranges.get(name, (0.0, 0.0))))


def _few(source: Graph, names: Sequence[str], data: Feeds) -> Feeds:
    """As many samples as the work allows, in whole steps; of a chain, the starts of sequences."""
    if source.states:
        data = {name: array[:, :ROLLED_OUT] for name, array in data.items()}
    work = sum(math.prod(source.shapes[name]) for name in names) * (len(names) + 1)
    work *= length(source, data)
    each = source.batch if source.batched else 1
    count = max(min(SAMPLES, ELEMENTS * each // max(work, 1)) // each, 1)
    return {
        name: array[: count * each] if name in source.batched else array[:count]
        for name, array in data.items()
    }


def _squares(source: Graph, graph: Graph, data: Feeds) -> dict[str, float]:
    """The mean square of every value that is multiplied by constants."""
    read = {name for node in graph.nodes for name in node.inputs if name}
    known = (name for name in read if name in source.shapes and name not in graph.constants)
    wanted = sorted(name for name in known if source.is_float(name))
    total = dict.fromkeys(wanted, 0.0)
    count = 0
    for values in run_float(source, wanted, data):
        count += 1
        for name in wanted:
            total[name] += float(np.mean(values[name].astype(np.float64) ** 2))
    return {name: value / count for name, value in total.items()}


def _weight_noise(node: Node, graph: Graph, squares: Mapping[str, float]) -> float:
    """The mean square of what rounded weights add to an output: steps times inputs, summed."""
    weights = [graph.constants[name] for name in node.inputs if name in graph.constants]
    values = [squares[name] for name in node.inputs if name in squares]
    weight = next((array for array in weights if array.dtype.kind == "f"), None)
    if weight is None or not weight.size or not values:
        return 0.0
    rows = weight.reshape(len(weight), -1) if weight.ndim > 1 else weight.reshape(-1, 1)
    steps_ = np.abs(rows).max(axis=1) / WEIGHT_MAX
    return float(np.mean(steps_**2) / 12 * rows.shape[1] * values[0])


class _Injection:
    """The model with a switch for the rounding of each value."""

    def __init__(
        self, source: Graph, codes: Mapping[str, Affine], unlike: Mapping[str, Joined]
    ) -> None:
        self._graph = source
        self._unlike = unlike
        self._codes = codes
        self._types = {name: source.types[name] for name in codes}
        shown = source.published
        self._heads = [name for name in shown if source.is_float(name)] or list(shown)
        model = _switched(source.source.model, codes, self._types)
        wanted = {*self._heads, *ends(source)}
        self._session = Session(replace(source.source, model=model), wanted)

    def noises(self, data: Feeds) -> dict[str, float]:
        """For each value, the least favourable output's noise over its variance."""
        graph = self._graph
        if graph.batched and not graph.fixed:  # all samples at once
            graph = replace(graph, batch=samples(graph, data))
        batches, whole = list(steps(graph, data)), length(graph, data)
        exact = list(self._rolled_out(batches, whole, None))
        variances = {
            part: float(np.var(np.concatenate([run[part].ravel() for run in exact])))
            for part in exact[0]
        }
        found = {}
        for name in self._codes:
            noise = dict.fromkeys(variances, 0.0)
            runs = self._rolled_out(batches, whole, name)
            for run, right in zip(runs, exact, strict=True):
                for part, array in run.items():
                    noise[part] += float(np.mean((array - right[part]) ** 2)) / len(batches)
            found[name] = max(
                noise[part] / variances[part] if variances[part] > 0.0 else 0.0
                for part in variances
            )
        return found

    def _rolled_out(
        self, batches: Sequence[Feeds], whole: int, on: str | None
    ) -> Iterator[dict[tuple[str, int], Array]]:
        """The outputs of all steps, with one rounding or none; states begin anew after `whole`."""
        states: Feeds = {}
        for number, batch in enumerate(batches):
            if number % whole == 0:
                states = first_states(self._graph)
            found = self._run(batch | states, on)
            states = next_states(self._graph, found)
            yield self._parted({name: found[name].astype(np.float64) for name in self._heads})

    def _parted(self, run: Mapping[str, Array]) -> dict[tuple[str, int], Array]:
        """The outputs, each of their unlike parts for itself."""
        found: dict[tuple[str, int], Array] = {}
        for head, array in run.items():
            parts = self._unlike.get(head)
            columns = [] if parts is None else [parts.columns(array)[:, g] for g in parts.groups]
            found |= {(head, number): part for number, part in enumerate(columns or [array])}
        return found

    def _run(self, batch: Feeds, on: str | None) -> dict[str, Array]:
        feeds = {_raw(name) if name in self._codes else name: a for name, a in batch.items()}
        for name in self._codes:
            feeds[_switch(name)] = np.array(name == on)
        return self._session.run(feeds)


def _raw(name: str) -> str:
    return f"{name}/not rounded"


def _switch(name: str) -> str:
    return f"{name}/switch"


def _switched(
    model: onnx.ModelProto, codes: Mapping[str, Affine], types: Mapping[str, int]
) -> onnx.ModelProto:
    """A copy in which each of these values is rounded after it is made, if its switch is 1."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    nodes = list(graph.node)
    del graph.node[:]
    for given in graph.input:
        if given.name in codes:
            graph.node.extend(_rounded(given.name, codes[given.name], types[given.name], graph))
            given.name = _raw(given.name)
    for node in nodes:
        made = [name for name in node.output if name in codes]
        for number, name in enumerate(node.output):
            if name in codes:
                node.output[number] = _raw(name)
        graph.node.append(node)
        for name in made:
            graph.node.extend(_rounded(name, codes[name], types[name], graph))
    graph.input.extend(
        helper.make_tensor_value_info(_switch(name), TensorProto.BOOL, []) for name in codes
    )
    del graph.value_info[:]
    return copy


def _rounded(
    name: str, code: Affine, kind: int, graph: onnx.GraphProto
) -> Iterator[onnx.NodeProto]:
    """The rounded value where its switch is on, else the value; what has 16 bits is rounded in 32.

    A branch that is not taken costs nothing: a run rounds one value of hundreds.
    """
    own = TensorProto.DOUBLE if kind == TensorProto.DOUBLE else TensorProto.FLOAT
    dtype = helper.tensor_dtype_to_np_dtype(own)
    low, high = float(code.lo - code.zero), float(code.hi - code.zero)
    # Clamped as high − relu(high − low − relu(v − low)): Max and Min broadcast since opset 8 only.
    chain: list[tuple[str, float | None]] = [
        ("Mul", 1.0 / code.scale),
        ("Add", 0.5),
        ("Floor", None),
        ("Sub", low),
        ("Relu", None),
        ("Sub", high - low),
        ("Neg", None),
        ("Relu", None),
        ("Neg", None),
        ("Add", high),
        ("Mul", code.scale),
    ]
    last = f"{name}/exactly"
    nodes = [helper.make_node("Cast", [_raw(name)], [last], to=own)]
    for number, (op, other) in enumerate(chain):
        inputs = [last]
        if other is not None:
            inputs.append(f"{name}/number {number}")
            graph.initializer.append(numpy_helper.from_array(np.array(other, dtype), inputs[1]))
        last = f"{name}/rounding {number}"
        nodes.append(helper.make_node(op, inputs, [last]))
    nodes.append(helper.make_node("Cast", [last], [f"{name}/rounded"], to=kind))
    kept = [helper.make_node("Identity", [_raw(name)], [f"{name}/kept"])]
    yield helper.make_node(
        "If",
        [_switch(name)],
        [name],
        then_branch=_branch(nodes, kind),
        else_branch=_branch(kept, kind),
    )


def _branch(nodes: Sequence[onnx.NodeProto], kind: int) -> onnx.GraphProto:
    """The nodes as a graph within a node; the last one gives its result."""
    out = nodes[-1].output[0]
    value = helper.make_tensor_value_info(out, kind, None)
    return helper.make_graph(list(nodes), out, [], [value])
