"""`Loop` and `Scan` nodes whose number of steps is known: the steps stand in the place of the node.

Each is a copy of the body, so a program holds some hundred. What a step gives to the outputs is
concatenated, in groups that `Concat` takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import external_data_helper, helper, numpy_helper

from .branches import fresh, inline
from .errors import CompileError, named
from .source import Source, computed, is_default, name_constants, opset, take_constants

NODES_MAX = 2**14
"""Nodes that one loop may become."""
PARTS_MAX = 64


def counters(model: onnx.ModelProto) -> list[str]:
    """The values of which the numbers of steps follow, of every node that has such a number.

    Those of a Loop are that number and the first condition, of a Scan the sequences, by their size.
    """
    data, version = computed(model), opset(model)
    nodes = [node for node in model.graph.node if counted(node, data, version)]
    return sorted({name for node in nodes for name in _counters(node) if name})


def counted(node: onnx.NodeProto, data: set[str], version: int) -> bool:
    """Whether a node is a loop whose number of steps does not depend on the data."""
    if not is_default(node.domain) or not data.intersection(node.output):
        return False
    if node.op_type == "Scan":
        return version >= 9  # before, it had a batch, and lengths
    known = node.op_type == "Loop" and bool(node.input[0])
    return known and not data.intersection(node.input[:2]) and _goes_on(node)


def unrolled(
    source: Source, counts: Mapping[str, int], shapes: Mapping[str, Sequence[int]]
) -> Source:
    """The model with the steps of these loops, by the names of `counters`; inner ones are left.

    Raises:
        CompileError: `compile.bad-model`, the steps are too many, or none.
    """
    model, data = onnx.ModelProto(), computed(source.model)
    model.CopyFrom(source.model)
    del model.graph.node[:]
    for index, node in enumerate(source.model.graph.node):
        if not counted(node, data, source.opset):
            model.graph.node.add().CopyFrom(node)
        elif node.op_type == "Loop":
            number, begins = _counters(node)
            count = counts[number] * (counts[begins] if begins else 1)
            _Steps(model, node, index, count).of_loop()
        else:
            sizes = [shapes[name] for name in _sequences(node)]
            count = sizes[0][_axes(node, "scan_input_axes")[0]]
            _Steps(model, node, index, count).of_scan([len(size) for size in sizes])
    return replace(source, model=model, arrays={**source.arrays, **take_constants(model)})


def _counters(node: onnx.NodeProto) -> list[str]:
    return list(node.input[:2]) if node.op_type == "Loop" else _sequences(node)


def _goes_on(node: onnx.NodeProto) -> bool:
    """Whether the condition of a Loop is always true: not given, or handed on, or a constant."""
    body = _attribute(node, "body", None)
    made = {name: inner for inner in body.node for name in inner.output}
    known = {tensor.name: tensor for tensor in body.initializer}
    name = body.output[0].name
    while name in made and made[name].op_type == "Identity":
        name = made[name].input[0]
    if name == body.input[1].name:
        return True
    if name in made and made[name].op_type == "Constant":
        known[name] = next((a.t for a in made[name].attribute if a.name == "value"), None)
    found = known.get(name)
    return found is not None and bool(numpy_helper.to_array(found).all())


def _numbers(graph: onnx.GraphProto) -> dict[str, int]:
    """The constants of a graph that are one integer."""
    held = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if node.op_type == "Constant" and is_default(node.domain) and value is not None:
            held[node.output[0]] = value
    return {
        name: int(numpy_helper.to_array(tensor).item())
        for name, tensor in held.items()
        if tensor.data_type == onnx.TensorProto.INT64
        and math.prod(tensor.dims) == 1
        and not external_data_helper.uses_external_data(tensor)
    }


def _least(body: onnx.GraphProto, outer: Mapping[str, int]) -> int:
    """The nodes that a body becomes at least, with its inner loops whose steps are constants."""
    given = {value.name for value in body.input}
    known = {name: n for name, n in outer.items() if name not in given} | _numbers(body)
    total = 0
    for node in body.node:
        inner = node.op_type == "Loop" and is_default(node.domain) and _goes_on(node)
        steps = known.get(node.input[0], 1) if inner else 1
        total += max(steps, 1) * _least(_attribute(node, "body", None), known) if inner else 1
    return total


class _Steps:
    """Appends the steps of a loop to a model."""

    def __init__(
        self, model: onnx.ModelProto, node: onnx.NodeProto, index: int, count: int
    ) -> None:
        self._graph, self._version = model.graph, opset(model)
        self._node, self._count = node, count
        self._prefix = fresh(model.graph, f"{node.name or f'{node.op_type}_{index}'}/")
        self._body = onnx.GraphProto()
        self._body.CopyFrom(_attribute(node, "body", None))
        room = NODES_MAX - len(model.graph.node)
        if not 1 <= count <= room // max(_least(self._body, _numbers(model.graph)), 1):
            raise CompileError(
                f"node {named(node.name or node.op_type)} ({node.op_type}): its {count} steps "
                "cannot stand in a program beside each other",
                code="compile.bad-model",
                expected=f"1 step or more, of {NODES_MAX:,} nodes together",
                hint="run the loop outside the model, a step in a call",
            )
        self._made = set[str]()
        self._shared = self._constants_once()

    def of_loop(self) -> None:
        """Inputs of the body: the number of the step, the condition, and what is carried on."""
        carried = list(self._node.input[2:])
        first, condition = self._body.input[:2]
        kept: list[list[str]] = []
        going = self._constant("goes on", np.array(True), condition)
        for step in range(self._count):
            number = self._constant(f"{step}/number", np.array(step, np.int64), first)
            results = self._step(step, [number, going, *carried])[1:]
            carried, scanned = results[: len(carried)], results[len(carried) :]
            kept.append(scanned)
        self._finish(carried, kept, [0] * len(kept[0]), [0] * len(kept[0]))

    def of_scan(self, ranks: Sequence[int]) -> None:
        """Inputs of the body: what is carried on, and an element of each sequence."""
        node, sequences = self._node, _sequences(self._node)
        carried = list(node.input[: len(node.input) - len(sequences)])
        axes = _axes(node, "scan_input_axes")
        backwards = _listed(node, "scan_input_directions", len(sequences))
        kept: list[list[str]] = []
        for step in range(self._count):
            elements = [
                self._element(step, name, axis % rank, bool(back))
                for name, axis, rank, back in zip(sequences, axes, ranks, backwards, strict=True)
            ]
            results = self._step(step, [*carried, *elements])
            carried, scanned = results[: len(carried)], results[len(carried) :]
            kept.append(scanned)
        outputs = len(kept[0])
        self._finish(
            carried,
            kept,
            _listed(node, "scan_output_axes", outputs),
            _listed(node, "scan_output_directions", outputs),
        )

    def _constants_once(self) -> dict[str, str]:
        """The constants of the body, which all steps share, leave it."""
        name_constants(self._body)
        names = {t.name: f"{self._prefix}constant {t.name}" for t in self._body.initializer}
        for tensor in self._body.initializer:
            added = self._graph.initializer.add()
            added.CopyFrom(tensor)
            added.name = names[tensor.name]
        del self._body.initializer[:]
        return names

    def _step(self, step: int, given: Sequence[str]) -> list[str]:
        inputs = zip((value.name for value in self._body.input), given, strict=True)
        names = {**self._shared, **dict(inputs)}
        return inline(self._graph, self._body, f"{self._prefix}{step}/", names)

    def _element(self, step: int, name: str, axis: int, back: bool) -> str:
        place = self._count - 1 - step if back else step
        index = self._constant(f"place {place}", np.array(place, np.int64))
        return self._add("Gather", f"{step}/{name}", [name, index], axis=axis)

    def _finish(
        self,
        carried: Sequence[str],
        kept: Sequence[Sequence[str]],
        axes: Sequence[int],
        backwards: Sequence[int],
    ) -> None:
        """Define the outputs: what is carried, then what each step gave, along a new axis."""
        results = list(carried)
        for number, (axis, back) in enumerate(zip(axes, backwards, strict=True)):
            parts = [
                self._unsqueezed(f"{step}/kept {number}", scanned[number], axis)
                for step, scanned in enumerate(kept)
            ]
            results.append(self._joined(f"all {number}", parts[::-1] if back else parts, axis))
        for output, result in zip(self._node.output, results, strict=True):
            if output:
                name = f"{self._prefix}output {output}"
                self._graph.node.append(helper.make_node("Identity", [result], [output], name))

    def _unsqueezed(self, label: str, name: str, axis: int) -> str:
        if self._version < 13:
            return self._add("Unsqueeze", label, [name], axes=[axis])
        axes = self._constant(f"axis {axis}", np.array([axis], np.int64))
        return self._add("Unsqueeze", label, [name, axes])

    def _joined(self, label: str, parts: Sequence[str], axis: int) -> str:
        if len(parts) > PARTS_MAX:
            groups = [parts[n : n + PARTS_MAX] for n in range(0, len(parts), PARTS_MAX)]
            parts = [self._joined(f"{label}, {n}", group, axis) for n, group in enumerate(groups)]
        return self._add("Concat", label, parts, axis=axis)

    def _add(self, op: str, label: str, inputs: Iterable[str], **attributes: Any) -> str:
        name = self._prefix + label
        self._graph.node.append(helper.make_node(op, list(inputs), [name], name, **attributes))
        return name

    def _constant(
        self, label: str, value: np.ndarray, like: onnx.ValueInfoProto | None = None
    ) -> str:
        """An initialiser; of the rank that the body declares, where that is 1."""
        name = self._prefix + label
        if like is not None and len(like.type.tensor_type.shape.dim) == 1:
            value = value.reshape(1)
        if name not in self._made:
            self._made.add(name)
            self._graph.initializer.append(numpy_helper.from_array(value, name))
        return name


def _sequences(node: onnx.NodeProto) -> list[str]:
    return list(node.input[-int(_attribute(node, "num_scan_inputs", 0)) :])


def _axes(node: onnx.NodeProto, name: str) -> list[int]:
    return _listed(node, name, len(_sequences(node)))


def _listed(node: onnx.NodeProto, name: str, count: int) -> list[int]:
    found = _attribute(node, name, None)
    return [0] * count if found is None else list(found)


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    found = next((a for a in node.attribute if a.name == name), None)
    return default if found is None else helper.get_attribute_value(found)
