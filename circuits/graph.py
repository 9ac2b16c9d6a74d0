"""From an ONNX model to a small frozen graph: fixed shapes, folded constants, no dead nodes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError, EncodeError  # type: ignore[import-untyped]
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from ..verifier.errors import UsageError
from .errors import CompileError, named

OPSETS = range(7, 26)
"""Opsets of the default domain whose operators are read with their right meaning."""

Array = npt.NDArray[Any]

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
_RANDOM = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli"}
_FOLD_LIMIT = 1 << 26  # elements: a folded constant is held in memory


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
class Graph:
    """A float network with fixed shapes.

    `shapes` and `types` (ONNX element types) cover every value; `constants` the known ones;
    `batched` names the inputs and outputs whose axis 0 is the batch.
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
    source: onnx.ModelProto

    def consumers(self, name: str) -> list[Node]:
        """The nodes that read a value."""
        return [node for node in self.nodes if name in node.inputs]

    def constant(self, name: str | None) -> Array | None:
        """The value of a name, or None where it is computed or absent."""
        return self.constants.get(name) if name else None

    def is_float(self, name: str) -> bool:
        """Whether a value holds floats."""
        return self.types[name] in _FLOATS

    def prune(self, nodes: list[Node]) -> Graph:
        """The graph with these nodes, less those that reach no output."""
        live, kept = set(self.outputs), []
        for node in reversed(nodes):
            if live.intersection(node.outputs):
                kept.append(node)
                live.update(node.inputs)
        return replace(self, nodes=tuple(reversed(kept)))


def load(model: str | Path | bytes | onnx.ModelProto) -> onnx.ModelProto:
    """Read a model and check it; external data only from the folder of its file.

    Raises:
        UsageError: `usage.unreadable` when the file cannot be read.
        CompileError: `compile.bad-model` when it is not a valid ONNX model.
    """
    try:
        if isinstance(model, onnx.ModelProto):
            proto = model
        elif isinstance(model, bytes):
            proto = onnx.load_model_from_string(model)
        else:
            if not Path(model).is_file():
                raise FileNotFoundError("no such file")
            onnx.checker.check_model(str(model))
            proto = onnx.load(str(model))
        onnx.checker.check_model(proto)
    except OSError as error:
        raise UsageError(f"cannot read {model!s}: {error}", code="usage.unreadable") from error
    except (onnx.checker.ValidationError, DecodeError, EncodeError, ValueError) as error:
        raise _bad(f"not a valid ONNX model: {_first_line(error)}") from error
    if not proto.graph.node or not proto.graph.output:
        raise _bad("the model has no nodes or no outputs")
    return proto


def read(model: str | Path | bytes | onnx.ModelProto, batch: int = 1) -> Graph:
    """Read a model as a `Graph` whose batch axis has the size `batch`.

    The batch axis is axis 0 of every input where that axis is dynamic.

    Raises:
        UsageError: an unreadable file, or a batch for a model without a dynamic axis.
        CompileError: `compile.bad-model`, `compile.dynamic-shape`, `compile.not-finite`.
    """
    source = load(model)
    opset = _opset(source)
    inputs = _inputs(source)
    dynamic = frozenset(i.name for i in inputs if _dims(i) and not _is_fixed(_dims(i)[0]))
    if batch < 1 or (batch > 1 and not dynamic):
        raise UsageError(
            f"batch {batch} for a model whose inputs have no dynamic axis",
            hint="export the model with a dynamic first axis, or compile with batch=1",
        )
    fixed = _infer(_with_batch(source, batch, dynamic))
    fixed, constants = _fold(fixed, opset)
    shapes, types = _shapes(fixed, constants)
    graph = Graph(
        name=source.graph.name,
        opset=opset,
        batch=batch if dynamic else 1,
        nodes=tuple(_nodes(fixed, constants)),
        shapes=shapes,
        types=types,
        constants=constants,
        inputs=tuple(i.name for i in inputs),
        outputs=tuple(o.name for o in source.graph.output),
        batched=dynamic | _batched_outputs(source, batch, dynamic, shapes),
        source=source,
    )
    graph = graph.prune(list(graph.nodes))
    _refuse_unused(graph)
    _refuse_not_finite(graph)
    return _skip_identities(graph)


def _bad(message: str, hint: str | None = None) -> CompileError:
    return CompileError(message, code="compile.bad-model", hint=hint)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _opset(model: onnx.ModelProto) -> int:
    versions = {entry.domain: entry.version for entry in model.opset_import}
    opset = versions.get("", versions.get("ai.onnx", 0))
    if opset not in OPSETS:
        raise CompileError(
            "the model's opset is not supported",
            code="compile.bad-model",
            expected=f"opset {OPSETS.start} to {OPSETS.stop - 1}",
            received=opset,
            hint="convert it with onnx.version_converter",
        )
    return int(opset)


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    initial = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in initial]


def _dims(value: onnx.ValueInfoProto) -> list[onnx.TensorShapeProto.Dimension]:
    return list(value.type.tensor_type.shape.dim)


def _is_fixed(dim: onnx.TensorShapeProto.Dimension) -> bool:
    return bool(dim.HasField("dim_value")) and dim.dim_value > 0


def _with_batch(model: onnx.ModelProto, batch: int, dynamic: frozenset[str]) -> onnx.ModelProto:
    """A copy with the batch axis set and every shape that was inferred before dropped."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    symbols = set()
    for value in _inputs(copy):
        if not value.type.tensor_type.HasField("shape"):
            raise _dynamic(value.name, "no shape")
        for axis, dim in enumerate(_dims(value)):
            if axis == 0 and value.name in dynamic:
                symbols.add(dim.dim_param)
                dim.dim_value = batch
            elif not _is_fixed(dim):
                raise _dynamic(value.name, f"axis {axis} {named(dim.dim_param)} has no size")
    if len(symbols - {""}) > 1:
        raise _dynamic(", ".join(sorted(dynamic)), f"several dynamic axes: {sorted(symbols)}")
    del copy.graph.value_info[:]
    for value in copy.graph.output:
        value.type.tensor_type.ClearField("shape")
    return copy


def _dynamic(name: str, why: str) -> CompileError:
    return CompileError(
        f"input {named(name)}: {why}",
        code="compile.dynamic-shape",
        expected="fixed sizes on all axes but the first",
        hint="export the model with fixed sizes; only the batch axis may be dynamic (batch=...)",
    )


def _infer(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return shape_inference.infer_shapes(
            model, check_type=True, strict_mode=True, data_prop=True
        )
    except Exception as error:  # the inference raises types of its own, without a common base
        raise _bad(f"shapes do not fit: {_first_line(error)}") from error


def _shapes(
    model: onnx.ModelProto, constants: Mapping[str, Array]
) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Shape and element type of every value; a size that is still unknown is an error."""
    shapes, types = {}, {}
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        dims = _dims(value)
        types[value.name] = value.type.tensor_type.elem_type
        if value.type.tensor_type.HasField("shape") and all(_is_fixed(dim) for dim in dims):
            shapes[value.name] = tuple(dim.dim_value for dim in dims)
    for name, array in constants.items():
        shapes[name] = array.shape
        types[name] = helper.np_dtype_to_tensor_dtype(array.dtype)
    for node in model.graph.node:
        unknown = [name for name in node.output if name and name not in shapes]
        if unknown and not set(node.output) & set(constants):
            raise CompileError(
                f"{_called(node)}: the shape of {named(unknown[0])} is not known",
                code="compile.dynamic-shape",
                hint="shapes must follow from the inputs' shapes alone; try onnxsim first",
            )
    return shapes, types


def _fold(model: onnx.ModelProto, opset: int) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """Evaluate every node whose inputs are known, until shapes and constants stand still."""
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    while True:
        known = len(constants)
        _fold_once(model, opset, constants)
        if len(constants) == known:
            return model, constants
        rest = [node for node in model.graph.node if not set(node.output) & set(constants)]
        reads = {name for node in rest for name in node.input}
        reads |= {output.name for output in model.graph.output}
        new = [
            numpy_helper.from_array(constants[name], name)
            for name in constants.keys() & reads
            if name not in {t.name for t in model.graph.initializer}
        ]
        del model.graph.node[:]
        model.graph.node.extend(rest)
        model.graph.initializer.extend(sorted(new, key=lambda tensor: tensor.name))
        model = _infer(model)


def _fold_once(model: onnx.ModelProto, opset: int, constants: dict[str, Array]) -> None:
    sizes = {
        value.name: tuple(dim.dim_value for dim in _dims(value))
        for value in (*model.graph.input, *model.graph.value_info)
        if value.type.tensor_type.HasField("shape") and all(map(_is_fixed, _dims(value)))
    }
    for node in model.graph.node:
        if node.op_type == "Shape" and node.input[0] in sizes:
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            dims = sizes[node.input[0]][attributes.get("start", 0) : attributes.get("end")]
            constants[node.output[0]] = np.array(dims, dtype=np.int64)
        elif _is_foldable(node, constants):
            feeds = {name: constants[name] for name in node.input if name}
            for name, value in zip(node.output, _evaluate(node, feeds, opset), strict=True):
                if name:
                    constants[name] = np.asarray(value)


def _is_foldable(node: onnx.NodeProto, constants: Mapping[str, Array]) -> bool:
    has_body = any(a.type in (a.GRAPH, a.GRAPHS) for a in node.attribute)
    if node.op_type in _RANDOM or has_body or node.domain not in ("", "ai.onnx"):
        return False
    return all(name in constants for name in node.input if name)


def _evaluate(node: onnx.NodeProto, feeds: Mapping[str, Array], opset: int) -> list[Array]:
    graph = helper.make_graph(
        [node],
        "constant",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
            )
            for name, value in feeds.items()
        ],
        [helper.make_empty_tensor_value_info(name) for name in node.output if name],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        values = [np.asarray(value) for value in ReferenceEvaluator(model).run(None, dict(feeds))]
    except Exception as error:  # whatever numpy raises on a malformed constant node
        raise _bad(f"constant {_called(node)}: {_first_line(error)}") from error
    if sum(value.size for value in values) > _FOLD_LIMIT:
        raise _bad(f"constant {_called(node)} is larger than {_FOLD_LIMIT}")
    by_name = dict(zip([name for name in node.output if name], values, strict=True))
    return [by_name[name] if name else np.zeros(0) for name in node.output]


def _called(node: onnx.NodeProto) -> str:
    return f"node {named(node.name or node.op_type)}"


def _nodes(model: onnx.ModelProto, constants: Mapping[str, Array]) -> Iterator[Node]:
    taken: set[str] = set()
    for index, node in enumerate(model.graph.node):
        if set(node.output) & set(constants):
            continue
        name = node.name or f"{node.op_type}_{index}"
        name = name if name not in taken else f"{name}_{index}"
        taken.add(name)
        prefix = "" if node.domain in ("", "ai.onnx") else f"{node.domain}."
        yield Node(
            name=name,
            op=prefix + node.op_type,
            inputs=tuple(node.input),
            outputs=tuple(node.output),
            attributes={a.name: _attribute(a) for a in node.attribute},
        )


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return list(value) if isinstance(value, list | tuple) else value


def _batched_outputs(
    source: onnx.ModelProto,
    batch: int,
    dynamic: frozenset[str],
    shapes: Mapping[str, tuple[int, ...]],
) -> frozenset[str]:
    """The outputs whose axis 0 grows with the batch: shapes at two batch sizes are compared."""
    if not dynamic:
        return frozenset()
    names = [output.name for output in source.graph.output]
    try:
        other = _infer(_with_batch(source, batch + 1, dynamic))
        other, constants = _fold(other, _opset(source))
        grown, _ = _shapes(other, constants)
    except CompileError:
        grown = {}
    for name in names:
        here, there = shapes[name], grown.get(name)
        if there is None or len(here) != len(there) or here[1:] != there[1:]:
            raise CompileError(
                f"output {named(name)} does not have the batch as its first axis only",
                code="compile.dynamic-shape",
                expected=f"[batch, ...] or a fixed shape, at batch {batch} and {batch + 1}",
                received=f"{list(here)} and {list(there) if there else 'no shape'}",
                hint="a Reshape with a fixed batch size is the usual cause: use -1 or 0 there",
            )
    return frozenset(name for name in names if shapes[name][:1] != grown[name][:1])


def _refuse_unused(graph: Graph) -> None:
    read_names = {name for node in graph.nodes for name in node.inputs} | set(graph.outputs)
    unused = [name for name in graph.inputs if name not in read_names]
    if unused:
        raise _bad(f"input {named(unused[0])} reaches no output", hint="remove it from the model")
    known = [name for name in graph.outputs if name in graph.constants]
    if known:
        raise _bad(f"output {named(known[0])} is a constant", hint="remove it from the model")


def _refuse_not_finite(graph: Graph) -> None:
    for name in {name: None for node in graph.nodes for name in node.inputs if name}:
        array = graph.constants.get(name)
        if array is None or array.dtype.kind != "f":
            continue
        infinite = array.size > 1 and np.isinf(array).any()  # an infinite Clip bound means: none
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
        passes = is_identity(node, graph) or _is_float_cast(node, graph)
        if passes and not set(node.outputs) & set(graph.outputs):
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


def size(shape: tuple[int, ...]) -> int:
    """Number of elements of a shape."""
    return math.prod(shape)
