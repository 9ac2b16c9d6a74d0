"""What cannot be compiled is refused, all of it at once, with what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from zktally.circuits.compile import compile
from zktally.circuits.errors import CompileError, RangeOverflow, UnsupportedOp
from zktally.verifier.errors import UsageError


def node(op: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), output.split(), name=f"my_{op}", **attributes)


def network(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str] = ("n", 4),
    constants: dict[str, np.ndarray] | None = None,
    kind: int = TensorProto.FLOAT,
    output: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", output, None)],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    return onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=opsets, ir_version=8), data_prop=True
    )


def refusal(model: onnx.ModelProto, shape: Sequence[int] = (2, 4)) -> UnsupportedOp:
    with pytest.raises(UnsupportedOp) as caught:
        compile(model, np.ones(shape, np.float32))
    assert caught.value.code == "compile.unsupported-op"
    assert caught.value.hint
    return caught.value


def test_all_offending_nodes_are_listed() -> None:
    nodes = [node("Det", "x", "a"), node("Bernoulli", "a", "b"), node("Relu", "b", "y")]
    message = refusal(network(nodes)).message
    assert "'my_Det' (Det)" in message
    assert "'my_Bernoulli' (Bernoulli)" in message
    assert "my_Relu" not in message


def test_a_long_name_is_cut() -> None:
    called = "n" * 128
    long = helper.make_node("Det", ["x"], ["y"], name=called + "m" * 100_000)
    assert f"node '{called}'… (Det): " in refusal(network([long])).message


def test_a_first_output_may_be_absent() -> None:
    """As of a GRU of which only the last state is read; the reason is another."""
    functions = {"activations": ["Relu", "Tanh"], "hidden_size": 2}
    unnamed = helper.make_node("GRU", ["x", "w", "r"], ["", "y"], name="my_GRU", **functions)
    constants = {"w": ones(1, 6, 4), "r": ones(1, 6, 2)}
    assert "'my_GRU' (GRU)" in refusal(network([unnamed], (3, 1, 4), constants), (3, 1, 4)).message


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


CUT = np.array([0, 1, 0, 1])
QDQ = [node("QuantizeLinear", "x s z", "a"), node("DequantizeLinear", "a s z", "y")]
DROPOUT = [node("Dropout", "x r t", "a"), node("Relu", "a", "y")]

REASONS: dict[str, tuple[Sequence[onnx.NodeProto], str, dict[str, np.ndarray]]] = {
    "division": ([node("Div", "c x", "y")], "input 0 is a constant", {"c": ones(1, 4)}),
    "division by zero": ([node("Div", "x c", "y")], "zeros", {"c": np.zeros((), np.float32)}),
    "scale by axis": (QDQ, "along an axis", {"s": ones(4), "z": np.zeros(4, np.int8)}),
    "dropout": (DROPOUT, "training_mode", {"r": 0.5 * ones(), "t": np.array(True)}),
}


@pytest.mark.parametrize("case", REASONS)
def test_attributes_that_are_not_supported_say_why(case: str) -> None:
    nodes, reason, constants = REASONS[case]
    assert reason in refusal(network(nodes, (2, 4), constants)).message


def test_images_are_judged_too() -> None:
    shape = (2, 2, 5, 5)
    long = (1, 2, 3, 3, 3, 3, 3)
    axes = network([node("Conv", "x x", "y")], long)
    assert "more than four spatial axes" in refusal(axes, long).message
    indices = network([node("MaxPool", "x", "y i", kernel_shape=[2, 2])], shape)
    indices.graph.output.append(helper.make_tensor_value_info("i", TensorProto.INT64, None))
    assert "Indices" in refusal(indices, shape).message


def test_inputs_that_are_no_numbers_are_listed() -> None:
    model = network([node("Identity", "x", "y")], kind=TensorProto.STRING)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.STRING
    message = refusal(model).message
    assert "input 'x'" in message
    assert "STRING" in message


def test_a_pad_value_out_of_range_is_refused() -> None:
    model = network(
        [node("Pad", "x p v", "y")], (2, 4), {"p": np.array([0, 1, 0, 1]), "v": np.float32(9)}
    )
    error = refusal(model)
    assert "my_Pad" in error.message
    assert error.received == 9.0


def test_a_gate_with_too_many_products_overflows() -> None:
    model = network(
        [node("Gemm", "x w", "y")], ("n", 40_000), {"w": np.ones((40_000, 1), np.float32)}
    )
    with pytest.raises(RangeOverflow, match="my_Gemm") as caught:
        compile(model, np.ones((2, 40_000), np.float32))
    assert caught.value.code == "compile.range-overflow"
    assert caught.value.expected == "at most 1065353215"
    assert caught.value.received == 40_000 * 255 * 127
    assert caught.value.hint


def test_a_layer_that_only_reads_padding_is_refused() -> None:
    first = node("Conv", "x w", "a")
    second = helper.make_node("Conv", ["a", "w"], ["y"], "second", strides=[2, 2], pads=[1] * 4)
    model = network([first, second], (1, 1, 1, 1), {"w": ones(1, 1, 1, 1)})
    with pytest.raises(CompileError, match="my_Conv") as caught:
        compile(model, ones(2, 1, 1, 1))
    assert caught.value.code == "compile.bad-model"
    assert "no influence on its outputs" in caught.value.message


def refused_program(monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> CompileError:
    """The refusal of an ordinary model under a reader's limit that it exceeds."""
    monkeypatch.setattr(f"zktally.verifier.program.{limit}", value)
    with pytest.raises(CompileError) as caught:
        compile(network([node("Gemm", "x w", "y")], constants={"w": ones(4, 3)}), ones(2, 4))
    assert caught.value.code == "compile.bad-model"
    assert "no influence" not in caught.value.message
    assert "does not fit into a program" in caught.value.message
    return caught.value


def test_the_weight_of_a_step_is_named_as_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    error = refused_program(monkeypatch, "weights.MAX_STEP_WEIGHT", 2)
    assert "the weight of a step exceeds the limit" in error.message
    assert error.expected == "below 2"
    assert error.received == 12
    assert error.hint


def test_too_much_marking_is_named_as_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    error = refused_program(monkeypatch, "liveness.MAX_MARKING", -1)
    assert "too much work" in error.message


def test_a_layer_that_amplifies_beyond_the_bounds_overflows() -> None:
    weights = ones(64, 1)
    weights[1::2] = -1
    model = network([node("Gemm", "x w", "y")], ("n", 64), {"w": weights})
    calibration = np.ones((2, 64), np.float32)
    calibration[0, 0] += 1e-6
    with pytest.raises(RangeOverflow, match="my_Gemm"):
        compile(model, calibration)


def test_exact_names_must_exist() -> None:
    with pytest.raises(UsageError, match="exact"):
        compile(network([node("Relu", "x", "y")]), np.ones((2, 4)), exact=["nothing"])
