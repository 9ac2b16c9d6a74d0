"""An ONNX file as ezkl takes it: what a user would change by hand, and a list of what was changed.

Nothing here changes what the model computes. What ezkl does not know stays as it is, and ezkl says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, shape_inference, version_converter

from ..errors import ProveError

Shapes = Mapping[str, tuple[int, ...]]

MAX_OPSET = 18
"""The newest opset of which ezkl 23 reads all that it knows."""


def adapt(path: str | Path, shapes: Shapes) -> tuple[onnx.ModelProto, list[str]]:
    """The model with every axis fixed and every attribute written out, and what was changed.

    Args:
        path: of an ONNX file.
        shapes: of every input, by name.

    Raises:
        ProveError: `snark.model`, the file is no ONNX model, or an input has no shape here.
    """
    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf and onnx raise many kinds
        raise ProveError(
            "the ONNX file cannot be read", code="snark.model", received=error
        ) from error
    changed: list[str] = []
    for change in (_plain_inputs, _fixed(shapes), _unused, _opset, _written_out):
        model, what = change(model)
        changed += what
    return model, changed


Change = Callable[[onnx.ModelProto], tuple[onnx.ModelProto, list[str]]]


def _plain_inputs(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """Weights are no inputs: files of old IR versions list them there, too."""
    held = {each.name for each in model.graph.initializer}
    listed = [each for each in model.graph.input if each.name in held]
    for each in listed:
        model.graph.input.remove(each)
    return model, [f"{len(listed)} weights no longer listed as inputs"] if listed else []


def _fixed(shapes: Shapes) -> Change:
    def change(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
        said = []
        for port in model.graph.input:
            if port.name not in shapes:
                raise ProveError(
                    f"there is no data for the input {port.name!r}",
                    code="snark.model",
                    expected=[each.name for each in model.graph.input],
                    received=sorted(shapes),
                )
            if _set_shape(port, shapes[port.name]):
                said.append(f"input {port.name} fixed to {list(shapes[port.name])}")
        if said:
            model = _inferred(model)
        return model, said

    return change


def _set_shape(port: onnx.ValueInfoProto, shape: tuple[int, ...]) -> bool:
    """Give an input this shape; whether an axis had been open, or of another size."""
    dims = port.type.tensor_type.shape.dim
    if len(dims) != len(shape):
        raise ProveError(
            f"the data of {port.name!r} has another rank",
            code="snark.model",
            expected=len(dims),
            received=len(shape),
        )
    before = tuple(dim.dim_value for dim in dims)
    for dim, size in zip(dims, shape, strict=True):
        dim.Clear()
        dim.dim_value = size
    return before != shape


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """Shapes inside, and of outputs, found anew."""
    del model.graph.value_info[:]
    for port in model.graph.output:
        port.type.tensor_type.ClearField("shape")
    return shape_inference.infer_shapes(model, data_prop=True)


def _unused(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    read = {name for graph in _graphs(model.graph) for node in graph.node for name in node.input}
    read |= {port.name for port in model.graph.output}
    idle = [each for each in model.graph.initializer if each.name not in read]
    for each in idle:
        model.graph.initializer.remove(each)
    return model, [f"{len(idle)} unused weights removed"] if idle else []


def _opset(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    version = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    if version <= MAX_OPSET:
        return model, []
    try:
        converted = version_converter.convert_version(model, MAX_OPSET)
    except Exception:  # the converter raises RuntimeError and its own kinds; ezkl may read it still
        return model, []
    return converted, [f"opset {version} converted to {MAX_OPSET}"]


def _written_out(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """Attributes that have a default, and which ezkl refuses a convolution or pool without."""
    weights = {each.name: tuple(each.dims) for each in model.graph.initializer}
    said: dict[str, None] = {}
    for graph in _graphs(model.graph):
        for node in graph.node:
            added = _complete(node, weights)
            if added:
                said[f"{node.op_type}: {', '.join(added)} written out"] = None
    return model, list(said)


SPATIAL = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool")


def _complete(node: onnx.NodeProto, weights: Mapping[str, tuple[int, ...]]) -> list[str]:
    if node.op_type not in SPATIAL:
        return []
    held = {each.name: each for each in node.attribute}
    kernel = _kernel(node, held, weights)
    if kernel is None:
        return []
    rank = len(kernel)
    defaults: dict[str, Any] = {"kernel_shape": kernel, "strides": [1] * rank}
    if node.op_type != "LpPool":
        defaults["dilations"] = [1] * rank
    if "auto_pad" not in held or held["auto_pad"].s == b"NOTSET":
        defaults["pads"] = [0] * 2 * rank
    if node.op_type.startswith("Conv"):
        defaults["group"] = 1
    added = [name for name in defaults if name not in held]
    node.attribute.extend(helper.make_attribute(name, defaults[name]) for name in added)
    return added


def _kernel(
    node: onnx.NodeProto, held: Mapping[str, Any], weights: Mapping[str, tuple[int, ...]]
) -> list[int] | None:
    if "kernel_shape" in held:
        return list(held["kernel_shape"].ints)
    shape = weights.get(node.input[1]) if node.op_type.startswith("Conv") else None
    return None if shape is None else list(shape[2:])


def _graphs(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    """The graph and those inside of its nodes."""
    found = [graph]
    for node in graph.node:
        for each in node.attribute:
            for inner in (each.g, *each.graphs):
                if inner.node:
                    found += _graphs(inner)
    return found


def as_data(model: onnx.ModelProto, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What ezkl reads as input, in the order of the model's inputs."""
    flat = [np.asarray(inputs[port.name]).ravel().tolist() for port in model.graph.input]
    return {"input_data": flat}
