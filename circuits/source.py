"""An ONNX file as it is: read and checked, its functions expanded, its large constants apart.

Constants are what makes a file large, and protobuf carries no more than 2 GB. So they are taken out
once, into arrays, and what is left (the skeleton) is cheap to copy, to rewrite and to hand to
onnxruntime, which gets the arrays beside it without a copy.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError, EncodeError  # type: ignore[import-untyped]
from onnx import (
    TensorProto,
    external_data_helper,
    helper,
    inliner,
    numpy_helper,
    shape_inference,
)

from ..verifier.errors import UsageError
from ..verifier.kinds import ONNX, what_is, what_is_at
from ..verifier.quoting import quoted_path
from .classical import DOMAIN as CLASSICAL
from .classical import Labels, without_strings
from .errors import CompileError, named

Array = npt.NDArray[Any]

OPSETS = range(7, onnx.defs.onnx_opset_version() + 1)
"""Opsets of the default domain whose operators are read with their right meaning."""

INLINE = 1024
"""Elements of the largest constant that stays in the skeleton: sizes, axes, single numbers."""

SIZES = frozenset({"Shape", "Size"})
"""Operators whose results follow from the sizes of what they read, whatever its values are."""

SIZED_BY: Mapping[str, tuple[int, ...]] = {
    "AffineGrid": (1,),
    "BlackmanWindow": (0,),
    "CenterCropPad": (1,),
    "Col2Im": (1, 2),
    "Compress": (1,),
    "ConstantOfShape": (0,),
    "DFT": (1, 2),
    "Expand": (1,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "ImageDecoder": (0,),
    "MaxUnpool": (2,),
    "MelWeightMatrix": (0, 1),
    "NonMaxSuppression": (0, 1, 2, 3, 4),
    "NonZero": (0,),
    "OneHot": (1,),
    "Pad": (1, 3),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "STFT": (1, 3),
    "SequenceAt": (1,),
    "SequenceErase": (1,),
    "SequenceInsert": (2,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "SplitToSequence": (1,),
    "Squeeze": (1,),
    "StringSplit": (0,),
    "Tile": (1, 2),
    "TopK": (1,),
    "Unique": (0,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
}
"""Inputs on whose values the sizes of an operator's results depend; of every Reduce, its axes.

All others' sizes follow from those of what they read.
"""

CONTROL = frozenset({"If", "Loop", "Scan", "SequenceMap"})
"""Operators with graphs inside, which may hold any of these."""

SIZED_BY_ALL = frozenset(
    {
        "BeamSearch",
        "ConvTransposeWithDynamicPads",
        "CropAndResize",
        "DynamicSlice",
        "ExpandDims",
        "GreedySearch",
        "Pad",
        "Range",
        "RemovePadding",
        "RestorePadding",
        "Sampling",
        "Tokenizer",
        "Unique",
        "WhisperBeamSearch",
    }
)
"""Operators of onnxruntime's domain that have such an input."""

RANDOM = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)
"""Operators that are no function of what they read: their results are no constants."""

RUNTIME = "com.microsoft"
"""onnxruntime's own domain."""

GUESTS = frozenset({"LayerNormalization", "SimplifiedLayerNormalization"})
"""Operators that onnxruntime has in ONNX's domain, whatever its version."""

_BAD = (
    onnx.checker.ValidationError,
    shape_inference.InferenceError,
    DecodeError,
    EncodeError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
)
"""What the onnx package raises for files that are no models."""

ModelLike = str | Path | bytes | onnx.ModelProto


@dataclass(frozen=True, eq=False)
class Source:
    """A checked model: the skeleton, and the values of its initialisers by name.

    `declared` are all inputs that the file has, of which the skeleton keeps those that are read.
    `labels` has the strings of the classes that an output of numbers stands for.
    """

    model: onnx.ModelProto
    arrays: Mapping[str, Array]
    declared: frozenset[str] = frozenset()
    labels: Labels = field(default_factory=dict)

    @property
    def opset(self) -> int:
        """The version of the default domain."""
        return opset(self.model)

    @property
    def quantised(self) -> bool:
        """Whether it has integers that stand for reals."""
        ops = {node.op_type for node in self.model.graph.node}
        return any(
            marker in op for op in ops for marker in ("Quantize", "QLinear", "QGemm", "NBits")
        )


def load(model: ModelLike) -> Source:
    """Read a model and check it; external data only from the folder of its file.

    Raises:
        UsageError: `usage.unreadable` when the file cannot be read.
        CompileError: `compile.bad-model` when it is not a valid ONNX model.
    """
    try:
        proto = read_model(model)
        if not proto.graph.output:
            raise _no_model("the model has no outputs", model)
        if proto.graph.sparse_initializer:
            raise bad_model("the model has sparse initialisers", "write them as dense ones")
        opset(proto)
        labels = without_strings(proto)
        arrays = take_constants(proto)
        _check(proto)
        declared = frozenset(value.name for value in inputs(proto))
        source = Source(_plain(proto), arrays, declared, labels)
    except OSError as error:
        what = f"cannot read {quoted_path(model)}: {error}"
        raise UsageError(what, code="usage.unreadable") from error
    except _BAD as error:
        raise _no_model(f"not a valid ONNX model: {first_line(error)}", model) from error
    return source


def _no_model(message: str, given: ModelLike) -> CompileError:
    """The error for what is no model; of a file of another kind, with what it is."""
    if isinstance(given, onnx.ModelProto):
        return bad_model(message)
    kind = what_is(given) if isinstance(given, bytes) else what_is_at(given)
    if kind == ONNX:
        return bad_model(message)
    return CompileError(message, code="compile.bad-model", expected=ONNX, received=kind)


def bad_model(message: str, hint: str | None = None) -> CompileError:
    """The error for a model that is not valid, or has no place in a program."""
    return CompileError(message, code="compile.bad-model", hint=hint)


def first_line(error: Exception) -> str:
    """What an exception of a library says first."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def opset(model: onnx.ModelProto) -> int:
    """The version of the default domain.

    Raises:
        CompileError: `compile.bad-model`, one whose operators this onnx package does not know.
    """
    versions = {entry.domain: entry.version for entry in model.opset_import}
    found = versions.get("", versions.get("ai.onnx", 0))
    if not found and not any(is_default(node.domain) for node in model.graph.node):
        return OPSETS.stop - 1
    if found not in OPSETS:
        raise CompileError(
            "the model's opset is not supported",
            code="compile.bad-model",
            expected=f"opset {OPSETS.start} to {OPSETS.stop - 1}",
            received=found,
            hint="convert it with onnx.version_converter",
        )
    return int(found)


def fixed(source: Source, values: Mapping[str, Array]) -> Source:
    """The model with inputs that are constants: these values."""
    if not values:
        return source
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    kept = [value for value in model.graph.input if value.name not in values]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in values.items())
    return replace(source, model=model, arrays={**source.arrays, **take_constants(model)})


def inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that a caller must give: those without an initialiser."""
    initial = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in initial]


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """The names that a node reads, also those that the graphs inside it take from outside."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            yield from (output.name for output in graph.output)
            for inner in graph.node:
                yield from reads(inner)


def computed(model: onnx.ModelProto) -> set[str]:
    """The values that follow from the data, and not from sizes and constants alone.

    A size is one of them where it follows from the data itself, as the number of its `NonZero`.
    """
    found = {value.name for value in inputs(model)}
    sized = set[str]()
    for node in model.graph.node:
        names = set(reads(node))
        outputs = [name for name in node.output if name]
        if node.op_type in SIZES and is_default(node.domain):
            if names & sized:
                found.update(outputs)
            continue
        if node.op_type in RANDOM or found & names:
            found.update(outputs)
        if sized & names or found.intersection(sized_by(node)):
            sized.update(outputs)
    return found


def sized_by(node: onnx.NodeProto) -> Collection[str]:
    """The values that a node reads on which the sizes of its results may depend."""
    if not is_default(node.domain):
        known = node.domain in (RUNTIME, CLASSICAL) and node.op_type not in SIZED_BY_ALL
        return () if known else set(reads(node))
    if node.op_type in CONTROL:
        return set(reads(node))
    places = (1,) if node.op_type.startswith("Reduce") else SIZED_BY.get(node.op_type, ())
    return [node.input[place] for place in places if place < len(node.input)]


def is_default(domain: str) -> bool:
    """Whether a domain is that of ONNX itself."""
    return domain in ("", "ai.onnx")


def operator(node: onnx.NodeProto) -> str:
    """The operator of a node, with its domain where that is not the default one."""
    return node.op_type if is_default(node.domain) else f"{node.domain}.{node.op_type}"


def expand(source: Source, known: Collection[str]) -> Source:
    """Write the operators that are not `known` as the bodies that the onnx package has for them.

    Only where every operator of the body is known: otherwise the operator is named as it is.
    """
    model, left = source.model, set[str]()
    while True:
        missing = _missing(model, known)
        pending = [op for op in sorted(missing - left) if _has_body(op, source.opset)]
        if not pending:
            return replace(source, model=model)
        trial = _written_wholly(model, pending[0], known)
        if trial is not None:
            model = _pruned(trial)
        else:
            left.add(pending[0])


def _written_wholly(
    model: onnx.ModelProto, op: str, known: Collection[str]
) -> onnx.ModelProto | None:
    """The model with the body of an operator in its place, and of those in that body.

    None where an operator is left that is not known, and was not missing before.
    """
    missing, written = _missing(model, known), [op]
    trial = _written_out(model, op)
    while trial is not None:
        new = sorted(_missing(trial, known) - missing)
        if not new:
            return trial if _missing(trial, known) < missing else None
        if new[0] in written or not _has_body(new[0], opset(model)):
            return None
        written.append(new[0])
        trial = _written_out(trial, new[0])
    return None


def _written_out(model: onnx.ModelProto, op: str) -> onnx.ModelProto | None:
    """The model with the body of an operator in its place; None where types are not known.

    Bodies depend on types: the inliner reads those of values, and none of initialisers.
    """
    try:
        typed = shape_inference.infer_shapes(_with_defaults(model, op))
        for tensor in typed.graph.initializer:
            value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            typed.graph.value_info.append(value)
        made = inliner.inline_selected_functions(typed, [("", op)], inline_schema_functions=True)
        return _bare(_with_casts(made))
    except Exception:  # both raise RuntimeError and types of their own, without a common base
        return None


def _with_defaults(model: onnx.ModelProto, op: str) -> onnx.ModelProto:
    """All attributes of an operator's nodes: the inliner writes none where a default is meant."""
    schema = onnx.defs.get_schema(op, opset(model))
    defaults = [a.default_value for a in schema.attributes.values() if a.default_value.name]
    full = onnx.ModelProto()
    full.CopyFrom(model)
    for node in full.graph.node:
        if node.op_type == op and is_default(node.domain):
            given = {attribute.name for attribute in node.attribute}
            node.attribute.extend(a for a in defaults if a.name not in given)
    return full


def _with_casts(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every CastLike whose type is known as a Cast, which does not read a value for its type."""
    graph = shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    for node in model.graph.node:
        if node.op_type == "CastLike" and is_default(node.domain) and types.get(node.input[1]):
            node.CopyFrom(
                helper.make_node(
                    "Cast", node.input[:1], node.output, node.name, to=types[node.input[1]]
                )
            )
    return model


BY_BODY = {"LayerNormalization": 1}
"""Operators of whose outputs so many have a lowering; the others come from the body."""


def _missing(model: onnx.ModelProto, known: Collection[str]) -> set[str]:
    data, read = computed(model), {output.name for output in model.graph.output}
    read.update(name for node in model.graph.node for name in reads(node))
    return {
        operator(node)
        for node in model.graph.node
        if data.intersection(node.output)
        and (
            operator(node) not in known
            or read.intersection(node.output[BY_BODY.get(operator(node), len(node.output)) :])
        )
    }


def _has_body(op: str, version: int) -> bool:
    if "." in op or not onnx.defs.has(op):
        return False
    try:
        schema: Any = onnx.defs.get_schema(op, version)  # its stub lacks what is asked here
    except onnx.defs.SchemaError:
        return False
    return bool(schema.has_function or schema.has_context_dependent_function)


def read_model(model: ModelLike) -> onnx.ModelProto:
    """A copy that is ours to change, with its external data."""
    if isinstance(model, str | Path):
        if Path(model).is_dir():
            raise IsADirectoryError("it is a folder")
        if not Path(model).is_file():
            raise FileNotFoundError("no such file")
        return onnx.load(str(model))
    proto = onnx.ModelProto()
    if isinstance(model, bytes):
        proto = onnx.load_model_from_string(model)
    else:
        proto.CopyFrom(model)
    if any(map(external_data_helper.uses_external_data, proto.graph.initializer)):
        raise bad_model(
            "the model's constants lie in other files", "give the path of the model's file"
        )
    return proto


def _check(skeleton: onnx.ModelProto) -> None:
    """The checks of the onnx package, of a copy that has all shapes and no data outside.

    The checker wants the shape of every input and output; onnxruntime needs none of an output, and
    that of an input may come from the caller.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(skeleton)
    copy.ir_version = max(copy.ir_version, 4)  # before, initialisers had to be inputs as well
    del copy.graph.initializer[:]
    _without_guests(copy)
    declared = {value.name for value in copy.graph.input}
    for tensor in skeleton.graph.initializer:
        if not external_data_helper.uses_external_data(tensor):
            copy.graph.initializer.add().CopyFrom(tensor)
        elif tensor.name not in declared:
            value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            copy.graph.input.append(value)
    for value in (*copy.graph.input, *copy.graph.output):
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.SetInParent()
    onnx.checker.check_model(copy)


def _without_guests(model: onnx.ModelProto) -> None:
    """Operators that onnxruntime has put into ONNX's own domain: there the checker knows none."""
    guests = [n for n in model.graph.node if is_default(n.domain) and n.op_type in GUESTS]
    for node in guests:
        node.domain = RUNTIME
    if guests and RUNTIME not in {entry.domain for entry in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(RUNTIME, 1))


def take_constants(model: onnx.ModelProto) -> dict[str, Array]:
    """Arrays of the initialisers that hold their values, and of Constant nodes.

    The large ones leave the model.
    """
    name_constants(model.graph)
    arrays = {}
    for tensor in model.graph.initializer:
        held = external_data_helper.uses_external_data(tensor)
        if not held and tensor.data_type != TensorProto.STRING:
            arrays[tensor.name] = numpy_helper.to_array(tensor)
            if math.prod(tensor.dims) > INLINE and arrays[tensor.name].dtype.kind in "fiub":
                _empty(tensor)  # onnxruntime takes no arrays of other types (4 bits)
    return arrays


def name_constants(graph: onnx.GraphProto) -> None:
    """Constant nodes of tensors become initialisers: old exporters write weights so."""
    rest = []
    for node in graph.node:
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if node.op_type == "Constant" and is_default(node.domain) and value is not None:
            tensor = graph.initializer.add()
            tensor.CopyFrom(value)
            tensor.name = node.output[0]
        else:
            rest.append(node)
    if len(rest) < len(graph.node):
        kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in rest]
        del graph.node[:]
        graph.node.extend(kept)


def _empty(tensor: onnx.TensorProto) -> None:
    """Leave name, type and shape; onnxruntime finds the values by the name."""
    shell = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    shell.data_location = TensorProto.EXTERNAL
    shell.external_data.add(key="location", value="held in memory")
    tensor.CopyFrom(shell)


def _plain(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Without local functions, and without what an exporter claims of shapes in between."""
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
    if any(node.op_type == "CastLike" for node in proto.graph.node):
        proto = _with_casts(proto)
    del proto.training_info[:]
    _tell_apart(proto.graph)
    return _pruned(_bare(proto))


def _bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without shapes of what is computed: they may be wrong, or of other sizes."""
    del model.graph.value_info[:]
    for value in model.graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")
    return model


def _tell_apart(graph: onnx.GraphProto) -> None:
    """No two nodes have the same name: onnxruntime refuses that, onnx does not."""
    taken: set[str] = set()
    for index, node in enumerate(graph.node):
        if node.name in taken:
            node.name = f"{node.name}_{index}"
        if node.name:
            taken.add(node.name)


def _pruned(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the nodes, the initialisers and the inputs that reach no output."""
    live, kept = {output.name for output in model.graph.output}, []
    for node in reversed(model.graph.node):
        if live.intersection(node.output):
            kept.append(node)
            live.update(reads(node))
    pruned = onnx.ModelProto()
    pruned.CopyFrom(model)
    del pruned.graph.node[:]
    del pruned.graph.initializer[:]
    pruned.graph.node.extend(reversed(kept))
    pruned.graph.initializer.extend(t for t in model.graph.initializer if t.name in live)
    values = [v for v in model.graph.input if v.name in live]
    del pruned.graph.input[:]
    pruned.graph.input.extend(values)
    return pruned


def called(node: onnx.NodeProto) -> str:
    """A node in a message."""
    return f"node {named(node.name or node.op_type)}"
