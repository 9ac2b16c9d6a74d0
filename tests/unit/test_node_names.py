"""Nodes are told apart by names that a file may leave out, or give twice."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from zktally.circuits.graph import Network


def chain(names: list[str]) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Mul", [f"v{n}", "two"], [f"v{n + 1}"], name)
        for n, name in enumerate(names)
    ]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("v0", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info(f"v{len(names)}", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.float32(2), "two")],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


@pytest.mark.parametrize(
    "names", [["Mul_1", "", "x"], ["", "Mul_0", "Mul_0"], ["a", "a", "a#1"], ["Mul_2", "Mul_2", ""]]
)
def test_names_are_unique_and_given_ones_stay_where_they_can(names: list[str]) -> None:
    found = [node.name for node in Network(chain(names)).at(2).nodes]
    assert len(set(found)) == len(names)
    assert found[0] == (names[0] or "Mul_0#0")
