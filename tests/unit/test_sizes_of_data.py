"""Sizes that follow from the data are none that a run on zeros may settle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from support.compared import floats, network, node
from zktally.circuits.compile import compile
from zktally.circuits.errors import UnsupportedOp
from zktally.circuits.source import computed

ONE, ZERO, FIRST = np.float32(1), np.float32(0), np.array([1])
CONSTANTS = {"one": ONE, "zero": ZERO, "first": FIRST, "all": np.array([-1]), "six": np.array(6)}
LARGEST = [
    node("ReduceMax", "x", "largest", keepdims=0),
    node("Cast", "largest", "whole", to=TensorProto.INT64),
    node("Reshape", "whole first", "count"),
]

SIZED: dict[str, Sequence[onnx.NodeProto]] = {
    "NonZero": [node("Add", "x one", "moved"), node("NonZero", "moved", "sized")],
    "Unique": [node("Unique", "x", "sized")],
    "Compress": [
        node("Reshape", "x all", "flat"),
        node("Less", "flat one", "small"),
        node("Compress", "flat small", "sized", axis=0),
    ],
    "Range": [
        node("ReduceMax", "x", "largest", keepdims=0),
        node("Add", "largest one", "end"),
        node("Range", "zero end one", "sized"),
    ],
    "ConstantOfShape": [
        *LARGEST,
        node("Add", "count first", "more"),
        node("ConstantOfShape", "more", "sized"),
    ],
    "Tile": [
        *LARGEST,
        node("Add", "count first", "more"),
        node("Concat", "more first", "times", axis=0),
        node("Tile", "x times", "sized"),
    ],
    "TopK": [*LARGEST, node("Add", "count first", "k"), node("TopK", "x k", "sized places")],
}


def measured(nodes: Sequence[onnx.NodeProto], size: str = "Size") -> onnx.ModelProto:
    """The product of x and a size; what has it is read through another operator, too."""
    more = [
        node("Neg", "sized", "passed"),
        node(size, "passed", "sizes"),
        node("Cast", "sizes", "reals", to=TensorProto.FLOAT),
        node("ReduceMax", "reals", "real", keepdims=0),
        node("Mul", "x real", "y"),
    ]
    return network([*nodes, *more], {"x": (3, 5)}, CONSTANTS)


@pytest.mark.parametrize("size", ["Size", "Shape"])
@pytest.mark.parametrize("name", SIZED)
def test_a_size_that_follows_from_the_data_is_no_constant(name: str, size: str) -> None:
    with pytest.raises(UnsupportedOp, match="the size that it asks for depends on the data"):
        compile(measured(SIZED[name], size), {"x": np.abs(floats(3, 5)) + 0.1})


@pytest.mark.parametrize("over", ["NonZero", "If"])
def test_no_branch_is_chosen_by_such_a_size(over: str) -> None:
    then = helper.make_graph([node("Relu", "x", "a")], "then", [], [value("a")])
    other = helper.make_graph([node("Neg", "x", "b")], "else", [], [value("b")])
    nodes = list(SIZED["NonZero"])
    if over == "If":  # the graphs inside a node may hold such operators
        inner = helper.make_graph(
            [node("NonZero", "moved", "found")], "inner", [], [value("found", TensorProto.INT64)]
        )
        known = node("Greater", "six all", "known")
        chosen = helper.make_node("If", ["known"], ["sized"], then_branch=inner, else_branch=inner)
        nodes = [nodes[0], known, chosen]
    nodes += [
        node("Size", "sized", "number"),
        node("Greater", "number six", "many"),
        helper.make_node("If", ["many"], ["y"], then_branch=then, else_branch=other),
    ]
    with pytest.raises(UnsupportedOp, match="the size that it asks for"):
        compile(network(nodes, {"x": (3, 5)}, CONSTANTS), {"x": floats(3, 5)})


def value(name: str, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, None)


def test_sizes_of_sizes_stay_constants() -> None:
    nodes = [
        node("Shape", "x", "shape"),
        node("Reshape", "x shape", "same"),
        node("MatMul", "same same", "mixed"),
        node("ReduceSum", "mixed first", "y"),
        node("Size", "mixed", "number"),
    ]
    model = network(nodes, {"x": (3, 3)}, CONSTANTS, outputs=("y", "number"))
    assert computed(model) == {"x", "same", "mixed", "y"}
