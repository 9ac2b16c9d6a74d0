"""Outputs that only view or rearrange what a big op computes: exact like the op itself."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import zktally

RNG = np.random.default_rng(5)
X = RNG.normal(0, 1, (2, 128, 64)).astype(np.float32)
WEIGHTS = RNG.normal(0, 0.2, (64, 32)).astype(np.float32)
SHAPE = numpy_helper.from_array(np.array([2, -1, 4, 8]), "shape")
AXES = numpy_helper.from_array(np.array([1]), "axes")

VIEWS: dict[str, tuple[str, Sequence[str], dict[str, Any]]] = {
    "Identity": ("Identity", (), {}),
    "Dropout": ("Dropout", (), {}),
    "Cast": ("Cast", (), {"to": TensorProto.DOUBLE}),
    "Reshape": ("Reshape", ("shape",), {}),
    "Flatten": ("Flatten", (), {}),
    "Unsqueeze": ("Unsqueeze", ("axes",), {}),
    "Unsqueeze Squeeze": ("Squeeze", ("axes",), {}),
}
"""By name: the operator, its further inputs, its attributes; the last is named for its chain."""


def model(tail: Sequence[str], *outputs: str) -> onnx.ModelProto:
    """A MatMul of 8,192 gates, and a chain of operators; outputs: value names, or the last one."""
    nodes, name, kind = [helper.make_node("MatMul", ["x", "w"], ["v0"])], "v0", TensorProto.FLOAT
    for number, key in enumerate(tail, 1):
        op, more, attributes = VIEWS.get(key, (key, (), {}))
        nodes.append(helper.make_node(op, [name, *more], [f"v{number}"], **attributes))
        name, kind = f"v{number}", attributes.get("to", kind)
    made = helper.make_graph(
        nodes,
        "views",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info(out, kind, None) for out in outputs or (name,)],
        [numpy_helper.from_array(WEIGHTS, "w"), SHAPE, AXES],
    )
    opsets = [helper.make_opsetid("", 17)]
    return onnx.shape_inference.infer_shapes(
        helper.make_model(made, opset_imports=opsets, ir_version=8)
    )


def compiled(proto: onnx.ModelProto) -> zktally.CompiledModel:
    return zktally.compile(proto, X, evaluate=1)


def judged(proto: onnx.ModelProto, mode: str = "fast") -> zktally.Verified:
    """Compile, prove, verify by the default policy, and compare with the float model."""
    program = compiled(proto)
    receipt = zktally.prove(program, X, mode, reveal=mode == "fast", delta=0.05)
    verified = receipt.verify(program.model_id)
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in proto.graph.output]
    for name, real in zip(names, session.run(names, {"x": X}), strict=True):
        found = verified.outputs[name].reshape(real.shape)
        assert np.abs(found - real).max() < 0.03 * np.abs(real).max()
    return verified


CHAINS = [
    *([name] for name in ("Identity", "Dropout", "Cast", "Reshape", "Flatten", "Unsqueeze")),
    ["Unsqueeze", "Unsqueeze Squeeze"],
    ["Relu"],
    *(["Relu", name] for name in ("Identity", "Dropout", "Cast", "Reshape", "Flatten")),
    ["Cast", "Relu"],
    ["Dropout", "Cast", "Relu", "Cast"],
    *map(list, itertools.permutations(("Identity", "Cast", "Reshape"))),
]


@pytest.mark.parametrize("tail", CHAINS, ids=" ".join)
def test_a_view_costs_nothing_and_is_certified_like_what_it_views(tail: list[str]) -> None:
    program = compiled(model(tail)).checked.program
    assert [op.exact for op in program.ops] == [True]
    assert set(judged(model(tail)).guarantee.outputs.values()) == {"certified"}


def test_a_view_of_a_hybrid_receipt() -> None:
    verified = judged(model(["Relu", "Reshape"]), "hybrid")
    assert verified.guarantee.outputs == {"v2": "certified"}


@pytest.mark.parametrize("tail", [["Transpose"], ["Relu", "Transpose", "Cast"]], ids=" ".join)
def test_what_a_copy_only_rearranges_is_exact_too(tail: list[str]) -> None:
    program = compiled(model(tail)).checked.program
    assert [op.exact for op in program.ops] == [True, True]
    assert set(judged(model(tail)).guarantee.outputs.values()) == {"certified"}


def test_outputs_that_view_one_value_have_tensors_of_their_own() -> None:
    proto = model(["Reshape", "Flatten"], "v0", "v1", "v2")
    program = compiled(proto).checked.program
    assert len({port.tensor for port in program.outputs}) == 3
    assert [op.exact for op in program.ops] == [True, True, True]
    assert set(judged(proto).guarantee.outputs.values()) == {"certified"}
    verified = judged(model(["Reshape", "Flatten"], "v1", "v2"))
    assert set(verified.guarantee.outputs.values()) == {"certified"}


def test_a_part_of_a_big_op_leaves_it_sampled() -> None:
    """All gates of an op, for the few that are shown, can cost far more than the output."""
    proto = model([])
    del proto.graph.output[:]
    cut = helper.make_node("Slice", ["v0", "zero", "one", "axes"], ["y"])
    proto.graph.node.append(cut)
    for name, value in (("zero", 0), ("one", 1)):
        proto.graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
    proto.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 1, 32)))
    assert [op.exact for op in compiled(proto).checked.program.ops] == [False, True]


def test_a_view_that_other_layers_read_keeps_its_values() -> None:
    proto = model(["Reshape"])
    proto.graph.node.append(helper.make_node("Relu", ["v0"], ["r"]))
    proto.graph.output.append(helper.make_tensor_value_info("r", TensorProto.FLOAT, (2, 128, 32)))
    assert judged(proto).guarantee.outputs == {"v1": "certified", "r": "certified"}


def test_a_view_of_an_input_is_a_copy() -> None:
    made = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["y"])],
        "input",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 8192))],
    )
    proto = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert judged(proto).guarantee.outputs == {"y": "certified"}
