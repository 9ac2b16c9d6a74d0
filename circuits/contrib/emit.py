"""Nodes of ONNX in the place of one node: what rewrites write with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, external_data_helper, helper, numpy_helper, shape_inference

from ..errors import UnsupportedOp, named
from ..source import called, computed

UNSAID = frozenset({"softmax_precision", "qk_matmul_output_mode"})
"""Attributes that change no value here: a type in between, a form of an output that is refused."""

NOTHING = (0, -1, b"")
"""Values by which an attribute says nothing."""


class Emit:
    """Collects the nodes that stand for one node.

    Args:
        node: the node that is written out.
        model: the model that holds it, in which everything before it is written out already.
        opset: the version of ONNX's operators there.
        read: the names that something reads.
    """

    def __init__(
        self, node: onnx.NodeProto, model: onnx.ModelProto, opset: int, read: Collection[str]
    ) -> None:
        self.node = node
        self.nodes: list[onnx.NodeProto] = []
        self._model = model
        self._opset = opset
        self._read = read
        self._attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self._asked: set[str] = set()

    # What the node says

    def input(self, index: int) -> str | None:
        """Name of an input, or None where it is absent."""
        return (self.node.input[index] or None) if index < len(self.node.input) else None

    def given(self, index: int) -> str:
        """Name of an input.

        Raises:
            UnsupportedOp: it is absent.
        """
        name = self.input(index)
        if name is None:
            raise self.refuse(f"its input {index} is absent")
        return name

    def output(self, index: int) -> str | None:
        """Name of an output, or None where it is absent, or nothing reads it."""
        name = self.node.output[index] if index < len(self.node.output) else ""
        return name if name in self._read else None

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute."""
        self._asked.add(name)
        value = self._attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def attributes(self) -> list[onnx.AttributeProto]:
        """All of them, to be passed on."""
        self._asked.update(self._attributes)
        return list(self.node.attribute)

    def refuse_unasked(self) -> None:
        """Refuse a node with an attribute that was not looked at, and says something.

        Raises:
            UnsupportedOp: what it says would be left out.
        """
        for name, value in self._attributes.items():
            if name not in self._asked and name not in UNSAID and value not in NOTHING:
                raise self.refuse(f"its attribute {named(name)} is not written out")

    def refuse(self, reason: str, hint: str | None = None) -> UnsupportedOp:
        """The error for a form of the operator that is not written out."""
        return UnsupportedOp(
            f"the model cannot be compiled:\n  {called(self.node)} ({self.node.op_type}): {reason}",
            hint=hint or "use the model as it was before onnxruntime rewrote it",
        )

    def dims(self, name: str) -> list[int | None]:
        """Sizes of a value that are known from the file.

        Raises:
            UnsupportedOp: not even their number is.
        """
        for tensor in self._model.graph.initializer:
            if tensor.name == name:
                return list(tensor.dims)
        inferred = shape_inference.infer_shapes(self._model).graph
        for value in (*self._model.graph.input, *inferred.value_info):
            shape = value.type.tensor_type
            if value.name == name and shape.HasField("shape"):
                return [d.dim_value if d.HasField("dim_value") else None for d in shape.shape.dim]
        raise self.refuse(f"the number of axes of its input {name[:64]!r} is not known")

    def known_dims(self, name: str) -> list[int | None] | None:
        """Sizes of a value that are known from the file; None: not even their number is."""
        try:
            return self.dims(name)
        except UnsupportedOp:
            return None

    def known(self, name: str) -> npt.NDArray[Any] | None:
        """A constant of the file, of at most `source.INLINE` elements."""
        for tensor in self._model.graph.initializer:
            if tensor.name == name and not external_data_helper.uses_external_data(tensor):
                return numpy_helper.to_array(tensor)
        return None

    def producer(self, name: str) -> onnx.NodeProto | None:
        """The node that gives a value; None where it is an input or a constant."""
        return next((node for node in self._model.graph.node if name in node.output), None)

    def size(self, name: str, axis: int) -> int:
        """A size that must be known from the file.

        Raises:
            UnsupportedOp: it is not.
        """
        found = self.dims(name)[axis]
        if found is None:
            raise self.refuse(f"a size of its input {name[:64]!r} is not known")
        return found

    def kind(self, name: str) -> int:
        """The element type of a value, 0 where it is not known."""
        for tensor in self._model.graph.initializer:
            if tensor.name == name:
                return int(tensor.data_type)
        inferred = shape_inference.infer_shapes(self._model).graph
        for value in (*self._model.graph.input, *inferred.value_info):
            if value.name == name:
                return int(value.type.tensor_type.elem_type)
        return 0

    def keep(self) -> None:
        """Leave the node as it is."""
        self._asked.update(self._attributes)
        self.nodes = [self.node]

    def is_computed(self, name: str) -> bool:
        """Whether a value follows from the data."""
        return name in computed(self._model)

    # What stands for it

    def op(self, op: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        """A node of one output, named `out` if it is one of the node's own."""
        name = f"{self.node.name or self.node.output[0]}/{op}_{len(self.nodes)}"
        made = out or name
        self.nodes.append(helper.make_node(op, inputs, [made], name, **attributes))
        return made

    def integers(self, *values: int) -> str:
        """A vector of int64."""
        return self._constant(np.array(values, np.int64))

    def integer(self, value: int) -> str:
        """An int64 without axes."""
        return self._constant(np.array(value, np.int64))

    def number(self, value: float) -> str:
        """A float without axes, of the type that the model computes in."""
        return self._constant(np.array(value, helper.tensor_dtype_to_np_dtype(self._kind())))

    def as_number(self, value: str) -> str:
        """A cast to that type."""
        return self.op("Cast", value, to=self._kind())

    def _kind(self) -> int:
        graph = self._model.graph
        kinds = {tensor.data_type for tensor in graph.initializer}
        kinds |= {value.type.tensor_type.elem_type for value in graph.input}
        half = TensorProto.FLOAT16 in kinds and TensorProto.FLOAT not in kinds
        return int(TensorProto.FLOAT16 if half else TensorProto.FLOAT)

    def reshape(self, value: str, *dims: int, out: str | None = None) -> str:
        """Another shape: 0 keeps a size, -1 is what is left."""
        return self.op("Reshape", value, self.integers(*dims), out=out)

    def transpose(self, value: str, *axes: int, out: str | None = None) -> str:
        """The axes permuted."""
        return self.op("Transpose", value, perm=list(axes), out=out)

    def unsqueeze(self, value: str, *axes: int) -> str:
        """Axes of size 1."""
        if self._opset < 13:
            return self.op("Unsqueeze", value, axes=list(axes))
        return self.op("Unsqueeze", value, self.integers(*axes))

    def squeeze(self, value: str, *axes: int, out: str | None = None) -> str:
        """Without these axes of size 1."""
        if self._opset < 13:
            return self.op("Squeeze", value, out=out, axes=list(axes))
        return self.op("Squeeze", value, self.integers(*axes), out=out)

    def slice(self, value: str, start: str, end: str, axis: int = -1, step: int = 1) -> str:
        """A part of one axis; the ends are vectors of one number."""
        return self.op("Slice", value, start, end, self.integers(axis), self.integers(step))

    def thirds(self, value: str) -> list[str]:
        """A constant in three equal parts along its last axis."""
        width = self.size(value, -1)
        if width % 3:
            raise self.refuse("query, key and value have unlike sizes")
        ends = [self.integers(width // 3 * n) for n in range(4)]
        return [self.slice(value, ends[n], ends[n + 1]) for n in range(3)]

    def length(self, value: str, axis: int) -> str:
        """The size of an axis, an int64 without axes."""
        return self.op("Gather", self.op("Shape", value), self.integer(axis))

    def range(self, count: str, *, start: str | None = None) -> str:
        """`count` numbers from 0 (or `start`) on."""
        first = start or self.integer(0)
        last = self.op("Add", first, count) if start else count
        return self.op("Range", first, last, self.integer(1))

    def activation(self, name: str, value: str, params: Sequence[float], out: str | None) -> str:
        """An activation by the name that fused operators give it."""
        keys = {"LeakyRelu": ("alpha",), "HardSigmoid": ("alpha", "beta")}
        if name == "Clip":
            return self.op("Clip", value, *map(self.number, params[:2]), out=out)
        if name not in ("Relu", "Tanh", "Sigmoid", *keys):
            raise self.refuse(f"its activation {name[:32]!r} is not known")
        return self.op(name, value, out=out, **dict(zip(keys.get(name, ()), params, strict=False)))

    def _constant(self, array: Any) -> str:
        return self.op("Constant", value=numpy_helper.from_array(array))
