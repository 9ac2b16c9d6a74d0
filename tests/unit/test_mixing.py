"""Networks that mix the items of a batch are refused, and the nodes that do it are named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import zktally
from zktally.circuits.compile import compile
from zktally.circuits.errors import MixesItems
from zktally.verifier.policy import Policy

BATCH = 4


def node(op: str, inputs: str, output: str, name: str = "", **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=name or f"my_{op}", **attributes)


def network(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str] = ("n", 6),
    constants: dict[str, np.ndarray] | None = None,
    output: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", output, None)],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    return onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=opsets, ir_version=8), data_prop=True
    )


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


PERM = {"perm": [1, 0]}
MIXING = {
    "softmax": ([node("Softmax", "x", "y", axis=0)], {}, "my_Softmax"),
    "slice": (
        [
            node("Slice", "x s e a", "late"),
            node("Pad", "late p", "moved"),
            node("Add", "x moved", "y"),
        ],
        {"s": ints(1), "e": ints(1 << 40), "a": ints(0), "p": ints(1, 0, 0, 0)},
        "my_Slice",
    ),
    "pad and slice": (
        [
            node("Pad", "x p", "moved"),
            node("Slice", "moved s e a", "cut"),
            node("Add", "x cut", "y"),
        ],
        {"s": ints(0), "e": ints(-1), "a": ints(0), "p": ints(1, 0, 0, 0)},
        "my_Pad",
    ),
    "mean": (
        [
            node("Transpose", "x", "t", **PERM),
            node("Unsqueeze", "t one", "u"),
            node("GlobalAveragePool", "u", "m"),
            node("Reshape", "m row", "mean"),
            node("Sub", "x mean", "y"),
        ],
        {"one": ints(0), "row": ints(1, 6)},
        "my_GlobalAveragePool",
    ),
    "product with itself": (
        [
            node("Transpose", "x", "t", **PERM),
            node("MatMul", "t x", "g"),
            node("MatMul", "x g", "y", "last"),
        ],
        {},
        "my_MatMul",
    ),
    "reversed": (
        [node("Slice", "x s e a d", "back"), node("Add", "x back", "y")],
        {"s": ints(-1), "e": ints(-(1 << 40)), "a": ints(0), "d": ints(-1)},
        "my_Slice",
    ),
    "reshape": (
        [
            node("Reshape", "x pairs", "p"),
            node("Softmax", "p", "q", axis=1),
            node("Reshape", "q back", "y", "back again"),
        ],
        {"pairs": ints(2, -1), "back": ints(-1, 6)},
        "my_Softmax",
    ),
}


def sample(rows: int = 8) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 1, (rows, 6)).astype(np.float32)


CASES = [
    (what, batch) for what in MIXING for batch in (1, 2, BATCH) if (what, batch) != ("slice", 1)
]
"""A slice that leaves nothing of a batch of one has no shape at all."""


@pytest.mark.parametrize(("what", "batch"), CASES)
def test_what_mixes_is_refused_and_named_whatever_the_batch(what: str, batch: int) -> None:
    nodes, constants, named = MIXING[what]
    with pytest.raises(MixesItems) as refused:
        compile(network(nodes, constants=constants), sample(), batch=batch)
    assert refused.value.code == "compile.mixes-items"
    assert f"node {named!r}" in refused.value.message
    assert "fixed batch" in (refused.value.hint or "")


def test_all_nodes_that_mix_are_named() -> None:
    nodes = [
        node("Softmax", "x", "p", "first", axis=0),
        node("Add", "x p", "q", "fine"),
        node("Softmax", "q", "r", "second", axis=0),
        node("Add", "x r", "y", "fine too"),
    ]
    with pytest.raises(MixesItems) as refused:
        compile(network(nodes), sample(), batch=BATCH)
    assert "'first'" in refused.value.message
    assert "'second'" in refused.value.message
    assert "fine" not in refused.value.message


def test_with_a_fixed_batch_the_whole_batch_is_one_item() -> None:
    """What is refused above works: as many items as steps, nothing padded, the float's values."""
    model = network([node("Softmax", "x", "y", axis=0)], shape=(BATCH, 6))
    data = sample(BATCH)
    compiled = compile(model, data, public=True)
    assert not compiled.checked.program.itemised
    receipt = zktally.prove(compiled, data, "fast")
    for backend in ("rust", "python"):
        verified = receipt.verify(compiled.model_id, Policy(), inputs=data, backend=backend)
        assert (verified.steps, verified.items, verified.batch) == (1, 1, 1)
        exponents = np.exp(data - data.max(axis=0))
        expected = exponents / exponents.sum(axis=0)
        assert np.abs(verified.outputs["y"][0] - expected).max() < 0.02


@pytest.mark.parametrize("batch", [1, 3])
def test_what_moves_the_batch_to_another_axis_and_back_is_fine(batch: int) -> None:
    nodes = [
        node("Transpose", "x", "t", **PERM),
        node("Relu", "t", "r"),
        node("Transpose", "r", "y", "again", **PERM),
    ]
    compiled = compile(network(nodes), sample(9), batch=batch)
    assert compiled.checked.program.itemised
