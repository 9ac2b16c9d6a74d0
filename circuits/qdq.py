"""Models that are quantised already, as float graphs whose values have given codes.

A file says it in three ways, which become one form here, before anything else is rewritten:

* *QDQ*: float operators between pairs of QuantizeLinear and DequantizeLinear. A pair vanishes, and
  its value has that code. Constants behind a DequantizeLinear keep their grid.
* *QOperator*: QLinearConv and its like read and write integers. Each is the float operator on what
  the integers stand for, with an output that has a code.
* *dynamic*: MatMulInteger and ConvInteger after DynamicQuantizeLinear, whose scale depends on the
  data. No program can have such a code: the activation stays a float, and is calibrated.

Integers that operators only move (views, slices, MaxPool) are values with a code, too. A node that
has no such form stays as it is, with the reason as an attribute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from . import source
from .graph import Array, Coded, Graph, Node
from .quantise import Affine, Floats, Grid, unsigned

REFUSED = "zktally: why it does not compile"
"""An attribute of a node that has no float form."""

RANGES: Mapping[int, tuple[int, int]] = {
    TensorProto.INT4: (-8, 7),
    TensorProto.UINT4: (0, 15),
    TensorProto.INT8: (-128, 127),
    TensorProto.UINT8: (0, 255),
    TensorProto.INT16: (-(2**15), 2**15 - 1),
    TensorProto.UINT16: (0, 2**16 - 1),
}
"""Integers that stand for reals, by element type."""

MICROSOFT = "com.microsoft."

DEPENDS = "it reads integers, or a scale, that depend on the range of the data"


class Refused(Exception):
    """A node has no float form; the message says why."""


@dataclass(frozen=True)
class Product:
    """An integer product of a float that is quantised dynamically and a constant, not scaled yet.

    `name` is that of the scale which it still lacks; `factor` what it has been multiplied by.
    """

    node: Node
    x: str
    name: str
    factor: Array


class Resolver:
    """The graph that is being written, and what names of the file stand for."""

    def __init__(self, graph: Graph, handler: Callable[[str], Handler]) -> None:
        self.graph = graph
        self._handler = handler
        self.nodes: list[Node] = []
        self.shapes = dict(graph.shapes)
        self.types = dict(graph.types)
        self.constants = dict(graph.constants)
        self.codes: dict[str, Coded] = {}
        self.grids: dict[str, Grid] = {}
        self.coded: dict[str, str] = {}  # integers of the file: the float that they stand for
        self.alias: dict[str, str] = {}
        self.pairs: dict[tuple[str, Affine], str] = {}  # a float and a code: the float in that code
        self.recoded: dict[tuple[str, Affine], str] = {}  # integers and another code: the float
        self.dynamic: dict[str, tuple[str, str]] = {}  # integers: the float, the name of its scale
        self.scales: dict[str, tuple[str, Array]] = {}  # scales of data: their name, times what
        self.products: dict[str, Product] = {}
        self.wholes: dict[str, str] = {}  # integers of the file: as such, for other nodes

    # Reading the file

    def take(self, node: Node) -> None:
        """Write the next node."""
        node = replace(node, inputs=tuple(self.alias.get(name, name) for name in node.inputs))
        try:
            self._handler(node.op)(self, node)
        except Refused as reason:
            attributes = {**node.attributes, REFUSED: str(reason)}
            self.nodes.append(replace(node, attributes=attributes))

    def result(self) -> Graph:
        """What was written; a float that is only quantised has that code itself."""
        self._take_codes()
        read = {name for node in self.nodes for name in node.inputs}
        producers = {
            name: node for node in self.graph.source.model.graph.node for name in node.output
        }
        for name in read & set(self.graph.constants):
            if self.constants[name].dtype.kind == "f":
                grid = _grid_of(name, producers, self.constants)
                if grid is not None:
                    self.grids[name] = grid
        written = replace(
            self.graph,
            nodes=tuple(self.nodes),
            shapes=self.shapes,
            types=self.types,
            constants=self.constants,
            codes=self.codes,
            grids=self.grids,
        )
        return written.prune(list(written.nodes))

    def _take_codes(self) -> None:
        """A float that nothing but a QuantizeLinear reads has the code of that."""
        readers: dict[str, int] = dict.fromkeys(self.graph.outputs, 1)
        for node in self.nodes:
            for name in set(node.inputs):
                readers[name] = readers.get(name, 0) + 1
        for node in self.nodes:
            if node.op == "QuantizeLinear" and REFUSED not in node.attributes:
                x = node.inputs[0]
                if readers[x] == 1:
                    self.codes.setdefault(x, self.codes[node.output])

    # What nodes of the file say

    def parameters(self, node: Node, scale: int, zero: int, kind: int) -> Affine:
        """The code of integers of this type, whose scale and zero point are these inputs."""
        factor, origin = self.known(node, scale), self.known(node, zero, optional=True)
        if factor.size != 1 or (origin is not None and origin.size != 1):
            raise Refused("the scale of what it computes differs along an axis; one value has one")
        if kind not in RANGES:
            raise Refused(f"its integers are of the type {TensorProto.DataType.Name(kind)}")
        real = float(factor.item())
        if not (math.isfinite(real) and real > 0.0):
            raise Refused("its scale is not positive")
        return Affine(real, 0 if origin is None else int(origin.item()), *RANGES[kind])

    def known(self, node: Node, index: int, *, optional: bool = False) -> Any:
        """The constant that is an input (None: it is absent)."""
        name = node.input(index)
        if name is None and optional:
            return None
        if name is None or name not in self.constants:
            raise Refused("its scale, zero point or bias is computed at run time")
        return self.constants[name]

    def real(self, node: Node, index: int, scale: int, zero: int, axis: int | None = None) -> str:
        """The float that an integer input stands for; a constant may have scales along `axis`."""
        name = node.inputs[index]
        if name in self.constants:
            factor, origin = self.known(node, scale), self.known(node, zero, optional=True)
            return self.constant(node, index, factor, origin, axis)
        if name in self.dynamic or name in self.products:
            raise Refused(DEPENDS)
        return self._recoded(name, self.parameters(node, scale, zero, self.graph.types[name]))

    def _recoded(self, name: str, file: Affine) -> str:
        """Integers of the file, read by a code that may be another than they were written by."""
        held = self.coded.get(name)
        offset = 0 if held is None else self.codes[held].offset
        code = _shifted(file, offset)
        if held is not None and self.codes[held].code == code:
            return held
        if (name, file) not in self.recoded:
            made = self._declare(f"{name} in code {len(self.recoded)}", name)
            self.recoded[name, file] = made
            self.codes[made] = Coded(code, name, offset)
            inputs, attributes = (held or name,), {"code": code}
            self.nodes.append(Node(f"{made}/view", "DequantizeLinear", inputs, (made,), attributes))
        return self.recoded[name, file]

    def constant(
        self, node: Node, index: int, scale: Array, zero: Array | None, axis: int | None
    ) -> str:
        """The reals that a constant of integers stands for, as a new constant with its grid."""
        array = self.constants[node.inputs[index]]
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        if kind not in RANGES:
            raise Refused("its weights are no integers of 4, 8 or 16 bits")
        if not np.isfinite(scale).all():
            raise Refused("its scale is not finite")
        steps = along_axis(scale, array.ndim, axis).astype(np.float64)
        zeros = along_axis(np.zeros(1) if zero is None else zero, array.ndim, axis)
        grid = Grid(steps, zeros.astype(np.int64), *RANGES[kind])
        reals = (array.astype(np.int64) - grid.zero) * grid.scale
        return self.add_constant(node.inputs[index], reals, grid)

    def add_constant(self, like: str, reals: Floats, grid: Grid | None = None) -> str:
        """A new constant of floats, named after another."""
        name = self._fresh(f"{like} as reals")
        self.constants[name], self.types[name] = reals, TensorProto.FLOAT
        self.shapes[name] = reals.shape
        if grid is not None:
            self.grids[name] = grid
        return name

    def bias(self, node: Node, index: int, scale: Array) -> tuple[str, ...]:
        """A bias of int32 in these units, as a constant of floats; nothing where it is absent."""
        array = self.known(node, index, optional=True)
        if array is None:
            return ()
        reals = array.astype(np.float64) * scale.astype(np.float64).reshape(-1)
        return (self.add_constant(node.inputs[index], reals),)

    # What is written

    def write(
        self,
        node: Node,
        op: str,
        inputs: Sequence[str],
        attributes: Mapping[str, Any],
        file: Affine | None,
    ) -> str:
        """The float operator in the place of a node, whose output has this code (None: none)."""
        output = node.output
        if not {*self.dynamic, *self.products, *self.scales}.isdisjoint(inputs):
            raise Refused(DEPENDS)
        if file is None:
            self.nodes.append(replace(node, op=op, inputs=tuple(inputs), attributes=attributes))
            return output
        offset = 0 if output in self.graph.outputs else unsigned(file.lo, file.hi)
        made = self.name(output, Coded(_shifted(file, offset), output, offset))
        self.nodes.append(Node(node.name, op, tuple(inputs), (made,), attributes))
        self.show(output)
        return made

    def name(self, integers: str, coded: Coded) -> str:
        """The float that integers of the file stand for."""
        made = self._declare(f"{integers} as reals", integers)
        self.coded[integers], self.codes[made] = made, coded
        return made

    def show(self, integers: str) -> None:
        """Integers that are an output of the model."""
        if integers in self.graph.outputs:
            self._as_integers(integers, integers)

    def whole(self, integers: str) -> str:
        """Integers of the file as such, for a node that knows no codes."""
        if integers not in self.wholes:
            made = self._fresh(f"{integers} as integers")
            kind = self.graph.types[integers]
            self.wholes[integers], self.types[made] = made, kind
            self.shapes[made] = self.shapes[integers]
            code = self.codes[self.coded[integers]].code
            self.codes[made] = Coded(Affine(1.0, 0, code.lo, code.hi), integers)
            self._as_integers(integers, made)
        return self.wholes[integers]

    def _as_integers(self, integers: str, made: str) -> None:
        real = self.coded[integers]
        attributes = {"offset": self.codes[real].offset}
        self.nodes.append(Node(f"{made} of {real}", "AsIntegers", (real,), (made,), attributes))

    def _declare(self, name: str, like: str) -> str:
        made = self._fresh(name)
        self.types[made], self.shapes[made] = TensorProto.FLOAT, self.shapes[like]
        return made

    def _fresh(self, name: str) -> str:
        """A name that the file does not have."""
        while name in self.types or name in self.constants:
            name += "'"
        return name


def _shifted(code: Affine, offset: int) -> Affine:
    return Affine(code.scale, code.zero - offset, code.lo - offset, code.hi - offset)


def along_axis(array: Array, rank: int, axis: int | None) -> Array:
    """A vector along an axis of a tensor of this rank; what has one element, or is no vector."""
    if array.size == 1:
        return array.reshape([1] * rank)
    if array.ndim != 1 or axis is None:
        if array.ndim == rank:
            return array
        raise Refused("its scales are neither one nor one for each index of an axis")
    return array.reshape([-1 if n == axis % rank else 1 for n in range(rank)])


def _grid_of(
    name: str, producers: Mapping[str, onnx.NodeProto], constants: Mapping[str, Array]
) -> Grid | None:
    """The grid of a constant that the file computes from integers; None where it does not."""
    node = producers.get(name)
    if node is None:
        return None
    get = {a.name: helper.get_attribute_value(a) for a in node.attribute}.get
    operator, rank = source.operator(node), constants[name].ndim if name in constants else None
    if operator == "Transpose":
        grid = _grid_of(node.input[0], producers, constants)
        axes = get("perm") or list(range(rank or 0))[::-1]
        return None if grid is None else grid.transposed(axes)
    if operator in ("Identity", "Cast"):
        return _grid_of(node.input[0], producers, constants)
    if operator.removeprefix(MICROSOFT) != "DequantizeLinear" or get("block_size", 0):
        return None
    given = [constants.get(part) for part in node.input]
    typed = next((part for part in (*given[2:], given[0]) if part is not None), None)
    scale, zero = given[1], given[2] if len(given) > 2 else np.zeros(1, np.int64)
    span = None if typed is None else RANGES.get(helper.np_dtype_to_tensor_dtype(typed.dtype))
    if scale is None or zero is None or span is None:
        return None
    ranks = [rank, None if given[0] is None else given[0].ndim]
    known = next((each for each in ranks if each is not None), None)
    if known is None and scale.size != 1:
        return None
    steps = [along_axis(part, known or 1, get("axis", 1)) for part in (scale, zero)]
    return Grid(steps[0].astype(np.float64), steps[1].astype(np.int64), *span)


Handler = Callable[[Resolver, Node], None]
"""Writes a node of the file, or raises `Refused`."""
