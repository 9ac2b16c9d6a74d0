"""Models of classical machine learning as exporters write them, without what is no number.

Exporters end a classifier in a ZipMap, a list of dictionaries, and name classes by strings.
Programs hold numbers: the ZipMap goes, its output is the tensor that it read, and a class that has
a string as its label becomes its number. What the numbers stand for is kept beside the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DOMAIN = "ai.onnx.ml"

Labels = Mapping[str, tuple[str, ...]]
"""By output: the string of each class, in the order of their numbers."""

NUMBERS = {
    "TreeEnsembleClassifier": "classlabels_int64s",
    "LinearClassifier": "classlabels_ints",
    "SVMClassifier": "classlabels_ints",
}
"""The attribute that holds labels which are numbers."""

DEFAULT_OPSET = 13

PASSED_ON = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")


def is_classical(node: onnx.NodeProto, *names: str) -> bool:
    """Whether a node is one of these operators of ai.onnx.ml."""
    return node.domain == DOMAIN and node.op_type in names


def without_strings(model: onnx.ModelProto) -> Labels:
    """Rewrite a model in place; the labels of its outputs."""
    graph = model.graph
    found: dict[str, tuple[str, ...]] = {}
    held = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if is_classical(node, "ZipMap") and len(node.input) == len(node.output) == 1:
            _pass_on(graph, node)
        elif is_classical(node, *NUMBERS):
            labels = _numbered(node)
            if labels and node.output:
                found[node.output[0]] = labels
        elif is_classical(node, "ArrayFeatureExtractor") and len(node.input) == 2:
            table = held.get(node.input[0])
            if table is not None and table.data_type == TensorProto.STRING:
                found[node.output[0]] = _without_words(table)
        elif node.op_type in PASSED_ON and node.input and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
            _keep_number(node)
        elif is_classical(node, "Imputer") and _is_for_nan(node):
            _become_identity(node)
    _retype(graph.output, found)
    _import_default(model)
    return {value.name: found[value.name] for value in graph.output if value.name in found}


def _import_default(model: onnx.ModelProto) -> None:
    """An opset for an Identity in a model that had operators of ai.onnx.ml alone."""
    if not any(entry.domain in ("", "ai.onnx") for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", DEFAULT_OPSET))


def _pass_on(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    """A ZipMap as an Identity, whose output is a tensor."""
    _become_identity(node)
    for value in graph.output:
        if value.name == node.output[0]:
            value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, None))


def _become_identity(node: onnx.NodeProto) -> None:
    node.op_type, node.domain = "Identity", ""
    del node.attribute[:]


def _numbered(node: onnx.NodeProto) -> tuple[str, ...]:
    """The labels of a classifier that are strings; its attribute has their numbers then."""
    given = next((a for a in node.attribute if a.name == "classlabels_strings"), None)
    if given is None or not given.strings:
        return ()
    labels = tuple(text.decode("utf-8", "replace") for text in given.strings)
    kept = [
        onnx.AttributeProto.FromString(a.SerializeToString())
        for a in node.attribute
        if not a.name.startswith("classlabels_")
    ]
    del node.attribute[:]
    numbers = helper.make_attribute(NUMBERS[node.op_type], list(range(len(labels))))
    node.attribute.extend([*kept, numbers])
    return labels


def _without_words(table: TensorProto) -> tuple[str, ...]:
    """A table of strings becomes one of numbers."""
    labels = tuple(text.decode("utf-8", "replace") for text in table.string_data)
    numbers = np.arange(len(labels), dtype=np.int64).reshape(tuple(table.dims))
    table.CopyFrom(numpy_helper.from_array(numbers, table.name))
    return labels


def _keep_number(node: onnx.NodeProto) -> None:
    """A Cast of labels to strings leaves them numbers."""
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.STRING:
            attribute.i = TensorProto.INT64


def _is_for_nan(node: onnx.NodeProto) -> bool:
    """Whether an Imputer only replaces NaN, which a program's inputs never hold."""
    names = {a.name: a for a in node.attribute}
    if "imputed_value_floats" not in names or "replaced_value_float" not in names:
        return False
    return bool(np.isnan(names["replaced_value_float"].f))


def _retype(outputs: Iterable[onnx.ValueInfoProto], labels: Labels) -> None:
    for value in outputs:
        if value.name in labels:
            value.type.tensor_type.elem_type = TensorProto.INT64
