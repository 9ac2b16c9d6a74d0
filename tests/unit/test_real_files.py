"""Files as exporters write them: open sizes, functions, branches, all kinds of inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import zktally
from zktally.circuits.calibrate import feeds
from zktally.circuits.compile import compile
from zktally.circuits.errors import CompileError, MixesItems, RangeOverflow, UnsupportedOp
from zktally.circuits.graph import Network, read
from zktally.circuits.model import CompiledModel, from_bytes
from zktally.circuits.source import OPSETS
from zktally.verifier.errors import UsageError
from zktally.verifier.inputs import Slots, arranged, port_label, port_labels, port_name
from zktally.verifier.policy import Policy
from zktally.verifier.program.types import PortKind

RNG = np.random.default_rng(11)
FLOAT, INT64, BOOL, UINT8 = (
    TensorProto.FLOAT,
    TensorProto.INT64,
    TensorProto.BOOL,
    TensorProto.UINT8,
)
Info = tuple[str, int, Sequence[int | str] | None]


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Info],
    outputs: Sequence[Info] = (("y", FLOAT, None),),
    constants: Mapping[str, np.ndarray] | None = None,
    opset: int = 17,
    **options: Any,
) -> onnx.ModelProto:
    """Outputs without a shape, and no shape in between, as some tools leave them."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(*info) for info in inputs],
        [helper.make_tensor_value_info(*info) for info in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    domains = options.pop("domains", ())
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, **options)


def in_floats(made: onnx.ModelProto, given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(array) for array in session.run(None, dict(given))]


def proven(
    compiled: CompiledModel, given: Mapping[str, np.ndarray], shown: Any = None, mode: str = "fast"
) -> list[np.ndarray]:
    """The outputs that both verifiers find in a receipt; `shown` are the inputs they are told."""
    receipt = zktally.prove(
        compiled, dict(given), mode=mode, reveal=mode == "fast", visibility="checkable"
    )
    found = [
        receipt.verify(
            compiled.model_id,
            Policy(max_delta=0.06, min_bits=100),
            inputs=dict(given if shown is None else shown),
            backend=backend,
        ).outputs
        for backend in ("rust", "python")
    ]
    for name, array in found[0].items():
        np.testing.assert_array_equal(array, found[1][name])
    return list(found[0].values())


def agree(
    made: onnx.ModelProto,
    given: Mapping[str, np.ndarray],
    within: float = 0.02,
    **options: Any,
) -> CompiledModel:
    """Compile, prove, verify, and compare all outputs with onnxruntime, in shares of their span."""
    compiled = compile(made, given, **options)
    for expected, found in zip(in_floats(made, given), proven(compiled, given), strict=True):
        found = found if found.ndim == expected.ndim else found[0]  # a value a step
        assert expected.shape == found.shape
        span = max(float(np.ptp(expected.astype(np.float64))), float(abs(expected).max()), 1e-9)
        assert abs(expected.astype(np.float64) - found).max() <= within * span
    return compiled


X: Info = ("x", FLOAT, ["n", 6])


# What stands in the way, operators before sizes


def test_operators_come_before_sizes_and_all_at_once() -> None:
    foreign = node("NGramRepeatBlock", "c w", "d")
    foreign.domain = "com.microsoft"
    trees = node("DictVectorizer", "d", "e")
    trees.domain = "ai.onnx.ml"
    own = node("Mystery", "e", "y")
    own.domain = "my.company"
    made = model(
        [node("NonZero", "x", "a"), node("Cast", "a", "c", to=FLOAT), foreign, trees, own],
        [("x", FLOAT, ["height", "width"])],
        constants={"w": floats(2, 2)},
        domains=("com.microsoft", "ai.onnx.ml", "my.company"),
    )
    with pytest.raises(UnsupportedOp) as caught:
        compile(made, floats(2, 2))
    for said in (
        "(NonZero): how many values it gives",
        "com.microsoft, onnxruntime's own",
        "ai.onnx.ml, the domain of classical",
        "(my.company.Mystery): operators of this domain are custom",
    ):
        assert said in caught.value.message


def test_operators_and_their_attributes_are_in_one_list_where_sizes_are_known() -> None:
    pool = node("MaxPool", "x", "y i", kernel_shape=[2, 2])
    made = model([node("Det", "x", "a"), pool], [("x", FLOAT, [1, 1, 3, 3])])
    made.graph.output.append(helper.make_tensor_value_info("a", FLOAT, None))
    made.graph.output.append(helper.make_tensor_value_info("i", onnx.TensorProto.INT64, None))
    with pytest.raises(UnsupportedOp, match="Det") as caught:
        compile(made, floats(1, 1, 3, 3))
    assert "Indices" in caught.value.message


def test_what_follows_from_sizes_alone_is_no_operator() -> None:
    """Range, NonZero and Loop have no lowering; none is needed for what is known."""
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s one", "k"),
        node("Range", "zero k one", "r"),
        node("NonZero", "r", "z"),
        node("ReduceSum", "z", "t", keepdims=0),
        node("Cast", "t", "f", to=FLOAT),
        node("Mul", "x f", "y"),
    ]
    known = {"one": np.array(1), "zero": np.array(0)}
    compiled = agree(model(nodes, [X], constants=known), {"x": floats(8, 6)}, batch=4)
    assert compiled.report.operators == {"Mul": 1}


def test_numbers_that_follow_from_the_size_of_the_batch_are_refused() -> None:
    nodes = [
        node("Shape", "x", "s", end=1),
        node("Cast", "s", "f", to=FLOAT),
        node("Div", "x f", "y"),
    ]
    made = model(nodes, [X])
    with pytest.raises(MixesItems, match="'f' follows from the number of items"):
        compile(made, floats(4, 6), batch=2)
    agree(made, {"x": floats(4, 6)}, dims={"n": 4})


# Sizes


IMAGE: Info = ("x", FLOAT, ["n", 1, "h", "w"])


CONVOLUTION = model(
    [node("Conv", "x k", "c"), node("Flatten", "c", "y")],
    [IMAGE],
    constants={"k": floats(2, 1, 3, 3)},
)


@pytest.mark.parametrize(
    "options",
    [
        {"dims": {"h": 5, "w": 4}, "batch": 2},
        {"shapes": {"x": ("any", 1, 5, 4)}, "batch": 2},
        {"shapes": {"x": (None, 1, 5, 4)}},
        {"shapes": {"x": (4, 1, 5, 4)}},
        {"dims": {"n": 2, "h": 5, "w": 4}},
    ],
)
def test_open_sizes_are_given_and_recorded(options: dict[str, Any]) -> None:
    given = {"x": floats(4, 1, 5, 4)}
    compiled = agree(CONVOLUTION, given, **options)
    loaded = from_bytes(compiled.to_bytes())
    assert loaded.record == compiled.record
    zktally.check_model(CONVOLUTION, loaded)


def test_all_axes_without_a_size_are_named() -> None:
    with pytest.raises(CompileError) as caught:
        read(CONVOLUTION)
    assert caught.value.code == "compile.dynamic-shape"
    assert "axis 2 'h'" in caught.value.message
    assert "axis 3 'w'" in caught.value.message
    assert "--dim" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"dims": {"height": 3}}, "no axis 'height'"),
        ({"shapes": {"z": (1, 3)}}, "no input 'z'"),
        ({"dims": {"h": 0, "w": 3}}, "not positive"),
        ({"shapes": {"x": (1, 1, -3, 3)}}, "not positive"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        Network(CONVOLUTION, **options)


def test_sizes_too_small_are_refused() -> None:
    with pytest.raises(CompileError):
        read(CONVOLUTION, dims={"h": 2, "w": 2})


def test_two_open_first_axes_of_other_names_are_refused() -> None:
    made = model([node("Add", "x z", "y")], [X, ("z", FLOAT, ["m", 6])])
    with pytest.raises(CompileError, match="several dynamic axes") as caught:
        read(made)
    assert "'m', 'n'" in caught.value.message


# Constants


@pytest.mark.parametrize("opset", [7, 9, 13, 14])
def test_constants_fold_as_onnxruntime_has_them(opset: int) -> None:
    known = {
        "c": floats(1, 6) * 100,
        "one": np.ones(6, np.float32),
        "zero": np.zeros(6, np.float32),
    }
    nodes = [node("BatchNormalization", "c one zero zero one", "k"), node("Add", "x k", "y")]
    agree(model(nodes, [X], constants=known, opset=opset), {"x": floats(8, 6)}, batch=4)


@pytest.mark.parametrize("opset", [OPSETS.start, 11, 18, OPSETS.stop - 1])
def test_every_opset_of_the_onnx_package(opset: int) -> None:
    nodes = [node("Gemm", "x w b", "h"), node("Relu", "h", "y")]
    known = {"w": floats(6, 5), "b": floats(5)}
    agree(model(nodes, [X], constants=known, opset=opset), {"x": floats(8, 6)}, batch=8)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pools_have_the_shape_that_onnxruntime_gives(op: str) -> None:
    """Shape inference of onnx says 3 for this one, and a constant of that size would not fit."""
    pool = node(op, "x", "y", kernel_shape=[1], strides=[2], ceil_mode=1)
    compiled = agree(model([pool], [("x", FLOAT, [1, 1, 4])], opset=15), {"x": floats(1, 1, 4)})
    assert compiled.checked.program.tensors[-1].shape == (1, 1, 2)


def test_large_constants_inside_what_is_folded() -> None:
    nodes = [
        node("ConstantOfShape", "s", "a", value=numpy_helper.from_array(np.ones(1, np.float32))),
        node("ReduceMean", "a", "m", keepdims=0),
        node("Add", "x m", "y"),
    ]
    known = {"s": np.array([2**26 + 1])}
    agree(model(nodes, [X], constants=known), {"x": floats(4, 6)}, batch=4)


def test_external_data_of_constants_and_of_branches(tmp_path: Path) -> None:
    then = branch([node("Gemm", "x w", "a")], "a", {"w": floats(6, 300)})
    other = branch([node("Gemm", "x w", "a")], "a", {"w": floats(6, 300)})
    nodes = [
        node("If", "c", "h", then_branch=then, else_branch=other),
        node("MatMul", "h v", "y"),
    ]
    made = model(nodes, [X], constants={"c": np.array(False), "v": floats(300, 5)})
    path, data = tmp_path / "m.onnx", made.SerializeToString()
    onnx.save_model(made, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    given = {"x": floats(4, 6)}
    key = bytes(range(32))
    from_file = compile(path, given, batch=4, weights_key=key)
    assert from_file.to_bytes() == compile(data, given, batch=4, weights_key=key).to_bytes()


# Branches and functions


def branch(
    nodes: Sequence[onnx.NodeProto], output: str, constants: Mapping[str, np.ndarray] | None = None
) -> onnx.GraphProto:
    initial = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    outputs = [helper.make_tensor_value_info(output, FLOAT, None)]
    return helper.make_graph(list(nodes), "branch", [], outputs, initial)


@pytest.mark.parametrize("chosen", [True, False])
def test_a_constant_condition_chooses_a_branch(chosen: bool) -> None:
    """Both branches, and the one inside, use the same names; they read a value from outside."""
    inner = branch([node("Mul", "h w", "a")], "a", {"w": floats(6)})
    nested = node("If", "c", "t", then_branch=inner, else_branch=inner)
    then = branch([nested, node("Tanh", "t", "a")], "a")
    other = branch([node("Add", "h w", "a")], "a", {"w": floats(6)})
    nodes = [
        node("Relu", "x", "h"),
        node("If", "c", "u", name="first", then_branch=then, else_branch=other),
        node("If", "d", "v", name="second", then_branch=then, else_branch=other),
        node("Add", "u v", "y"),
    ]
    known = {"c": np.array(chosen), "d": np.array(not chosen)}
    agree(model(nodes, [X], constants=known), {"x": floats(16, 6)}, batch=8)


def test_a_condition_on_sizes_chooses_a_branch() -> None:
    nodes = [
        node("Shape", "x", "s", start=1),
        node("Equal", "s six", "c"),
        node(
            "If",
            "c",
            "y",
            then_branch=branch([node("Sigmoid", "x", "a")], "a"),
            else_branch=branch([node("Relu", "x", "a")], "a"),
        ),
    ]
    compiled = agree(model(nodes, [X], constants={"six": np.array([6])}), {"x": floats(4, 6)})
    assert compiled.report.operators == {"Sigmoid": 1, "Identity": 1}


def test_a_branch_that_is_chosen_later_is_no_operator_that_is_missing() -> None:
    relu = branch([node("Relu", "inner", "a")], "a")
    relu.node.insert(0, node("Neg", "x", "inner"))
    nodes = [
        node("Shape", "x", "s"),
        node("ReduceMax", "s", "m", keepdims=0),
        node("Greater", "m zero", "c"),
        node("If", "c", "y", then_branch=relu, else_branch=relu),
    ]
    made = model(nodes, [("x", FLOAT, ["n", "m"])], constants={"zero": np.array(0)})
    with pytest.raises(CompileError, match="axis 1 'm' has no size"):
        compile(made, floats(2, 3))
    assert read(made, dims={"m": 3}).nodes[-1].op == "Identity"


def on_data(then: onnx.GraphProto, other: onnx.GraphProto, shape: list[int]) -> onnx.ModelProto:
    """A model whose `If` reads its condition as an input."""
    nodes = [node("If", "c", "y", name="choice", then_branch=then, else_branch=other)]
    return model(nodes, [X, ("c", BOOL, shape)])


@pytest.mark.parametrize("shape", [[], [1], [1, 1]])
def test_a_condition_on_data_chooses_between_results(shape: list[int]) -> None:
    """Both branches use the same name; one of them chooses again, by what it computes."""
    nested = [
        node("ReduceMax", "x", "m", keepdims=0),
        node("Greater", "m", "large"),
        node(
            "If",
            "large",
            "a",
            then_branch=branch([node("Tanh", "x", "own")], "own"),
            else_branch=branch([node("Sigmoid", "x", "own")], "own"),
        ),
    ]
    nested[1].input.append("bound")
    inner = branch(nested, "a", {"bound": np.array(5, np.float32)})
    made = on_data(inner, branch([node("Neg", "x", "own"), node("Relu", "own", "a")], "a"), shape)
    x = np.stack([floats(4, 6), floats(4, 6) + 7, floats(4, 6), floats(4, 6) + 7])
    choices = np.array([True, True, False, False]).reshape(4, *shape)
    compiled = compile(made, {"x": x, "c": choices}, dims={"n": 4})
    for step in range(4):
        (expected,) = in_floats(made, {"x": x[step], "c": np.asarray(choices[step])})
        (found,) = proven(compiled, {"x": x[step], "c": choices[step].reshape(shape)})
        assert abs(expected - found).max() < 0.1


def test_a_condition_on_data_chooses_between_constants() -> None:
    made = on_data(branch([], "k", {"k": floats(6)}), branch([], "k", {"k": floats(6) + 4}), [])
    made.graph.node[0].output[0] = "r"
    made.graph.node.append(node("Add", "x r", "y"))
    x, choices = floats(2, 4, 6), np.array([True, False])
    compiled = compile(made, {"x": x, "c": choices}, dims={"n": 4})
    for step in range(2):
        (expected,) = in_floats(made, {"x": x[step], "c": np.asarray(choices[step])})
        (found,) = proven(compiled, {"x": x[step], "c": choices[step]})
        assert abs(expected - found).max() < 0.1


@pytest.mark.parametrize("axis", [0, 1])
def test_a_condition_on_data_between_unlike_shapes_is_refused(axis: int) -> None:
    shorter = branch([node("ReduceSum", "h axis", "a", keepdims=1)], "a", {"axis": np.array(axis)})
    made = on_data(shorter, branch([node("Sigmoid", "h", "a")], "a"), [])
    made.graph.node.insert(0, node("Tanh", "x", "h"))
    made.graph.node.append(node("Add", "y h", "z"))
    made.graph.output[0].name = "z"
    with pytest.raises(UnsupportedOp, match=r"'choice' \(If\): .*shape"):
        compile(made, {"x": floats(4, 6), "c": np.array(True)}, dims={"n": 4})


def test_functions_of_the_model_are_expanded() -> None:
    body = helper.make_function(
        "my.company",
        "Gate",
        ["a", "b"],
        ["c"],
        [node("Sigmoid", "a", "s"), node("Mul", "s b", "c")],
        [helper.make_opsetid("", 17)],
    )
    calls = [node("Gate", "x x", "h", name="one"), node("Gate", "h x", "y", name="two")]
    for call in calls:
        call.domain = "my.company"
    made = model(calls, [X], domains=("my.company",), functions=[body])
    agree(made, {"x": floats(16, 6)}, batch=8, within=0.03)


def test_operators_without_a_lowering_go_through_their_body() -> None:
    made = model([node("Swish", "x", "y")], [X], opset=24)
    x = floats(8, 6)
    compiled = compile(made, {"x": x}, batch=8)
    assert "Swish" in compiled.report.operators or set(compiled.report.operators) >= {"Mul"}
    (found,) = proven(compiled, {"x": x})
    assert abs(found - x / (1 + np.exp(-x))).max() < 0.06


def test_nodes_of_one_name_are_told_apart() -> None:
    nodes = [node("Softmax", "x", "h", name="act"), node("Softmax", "h", "y", name="act")]
    compiled = compile(model(nodes, [X]), {"x": floats(4, 6)})
    assert [layer.name for layer in compiled.report.layers] == ["act", "act_1"]


# Inputs and outputs


def test_integer_and_boolean_inputs() -> None:
    inputs = [("ids", INT64, ["n", 4]), ("mask", BOOL, ["n", 2]), ("bytes", UINT8, ["n", 3])]
    nodes = [
        node("Reshape", "ids s", "a"),
        node("Identity", "mask", "b"),
        node("Identity", "bytes", "c"),
    ]
    outputs = [("a", INT64, None), ("b", BOOL, None), ("c", UINT8, None)]
    made = model(nodes, inputs, outputs, {"s": np.array([0, 2, 2])})
    given = {
        "ids": np.array([[0, -3, 7, 999], [1, 2, 3, 4]]),
        "mask": np.array([[True, False], [False, False]]),
        "bytes": np.array([[255, 0, 1], [2, 3, 4]], np.uint8),
    }
    compiled = agree(made, given, within=0.0)
    program = compiled.checked.program
    ranges = [(program.tensors[p.tensor].lo, program.tensors[p.tensor].hi) for p in program.inputs]
    assert ranges == [(-3, 999), (0, 1), (0, 255)]
    assert {port.kind for port in program.inputs} == {PortKind.INTEGER}
    zktally.check_model(made, compiled)


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_floats_of_other_widths(kind: type) -> None:
    element = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    nodes = [node("MatMul", "x w", "a"), node("Add", "a b", "y")]
    known = {"w": floats(6, 40).astype(kind), "b": floats(40).astype(kind)}
    made = model(nodes, [("x", element, ["n", 6])], [("y", element, None)], known)
    agree(made, {"x": floats(8, 6).astype(kind)}, batch=4)


def test_inputs_that_are_no_tensors_of_numbers() -> None:
    tensors = helper.make_tensor_sequence_value_info("x", FLOAT, None)
    made = model([node("ConcatFromSequence", "x", "y", axis=0)], [])
    made.graph.input.append(tensors)
    with pytest.raises(UnsupportedOp, match=r"input 'x': it is no tensor[^(]*\n.*ConcatFrom"):
        compile(made, floats(2, 3))


def test_an_element_type_that_does_not_exist() -> None:
    made = model([node("Relu", "x", "y")], [X])
    made.graph.input[0].type.tensor_type.elem_type = 65
    with pytest.raises(UnsupportedOp, match="it has the type 65"):
        compile(made, floats(2, 6))


def test_integers_that_no_tensor_holds_are_refused() -> None:
    made = model([node("Identity", "x", "y")], [("x", INT64, [2])], [("y", INT64, None)])
    with pytest.raises(RangeOverflow, match="'x'"):
        compile(made, np.array([0, 2**40]))
    with pytest.raises(UsageError, match="holds integers"):
        compile(made, np.array([0.5, 1.0]))


SEVERAL = model(
    [node("Mul", "x scale", "a"), node("Add", "a row", "b"), node("Add", "b one", "y")],
    [X, ("scale", FLOAT, []), ("row", FLOAT, [6]), ("one", FLOAT, [1])],
)


def test_inputs_with_and_without_a_batch_axis() -> None:
    """Those without one have a value a step, or the same one in all of them."""
    x, row = floats(8, 6), floats(6)
    whole = {"x": x, "scale": np.float32(0.5), "row": row, "one": np.ones(1, np.float32)}
    compiled = compile(SEVERAL, whole, batch=4)
    expected = x * 0.5 + row + 1
    forms = {
        "once": whole,
        "a value a step": {
            **whole,
            "scale": np.full(2, 0.5, np.float32),
            "row": np.stack([row, row]),
            "one": np.ones((2, 1), np.float32),
        },
        "steps joined": {**whole, "row": np.concatenate([row, row])},
        "steps apart": {**whole, "x": x.reshape(2, 4, 6)},
    }
    for given in forms.values():
        (found,) = proven(compiled, given, shown=forms["once"])
        assert abs(found.reshape(8, 6) - expected).max() < 0.1
        read_again = feeds(Network(SEVERAL).at(4), given)
        assert {name: array.shape for name, array in read_again.items()} == {
            "x": (8, 6),
            "scale": (2, 1),
            "row": (2, 6),
            "one": (2, 1),
        }


def test_an_input_with_an_initialiser_needs_no_value() -> None:
    made = model([node("Add", "x b", "y")], [X, ("b", FLOAT, [6])], constants={"b": floats(6)})
    agree(made, {"x": floats(4, 6)})


def test_an_output_that_is_an_infinite_constant_is_refused() -> None:
    nodes = [node("Relu", "x", "y"), node("Identity", "c", "z")]
    constants = {"c": np.array([-np.inf, 0.0], np.float32)}
    made = model(nodes, [X], [("y", FLOAT, None), ("z", FLOAT, None)], constants)
    with pytest.raises(CompileError, match="contains infinity"):
        compile(made, floats(4, 6))


def test_outputs_that_are_constants_or_inputs() -> None:
    outputs: list[Info] = [
        ("y", FLOAT, None),
        ("x", FLOAT, ["n", 6]),
        ("k", FLOAT, None),
        ("i", INT64, None),
    ]
    nodes = [node("Relu", "x", "y"), node("Neg", "c", "k"), node("Shape", "c", "i")]
    made = model(nodes, [X], outputs, {"c": floats(2, 3)})
    given = {"x": floats(4, 6)}
    compiled = agree(made, given, batch=4)
    assert len(compiled.checked.program.outputs) == 4
    for mode in ("hybrid", "strict"):
        proven(compiled, given, mode=mode)


def test_outputs_that_nobody_reads() -> None:
    nodes = [
        node("MaxPool", "x", "a indices", kernel_shape=[2, 2]),
        node("Dropout", "a", "b mask"),
        node("BatchNormalization", "b s t m v", "y"),
    ]
    known = {name: np.abs(floats(2)) for name in "stmv"}
    made = model(nodes, [("x", FLOAT, ["n", 2, 4, 4])], constants=known, opset=12)
    agree(made, {"x": floats(4, 2, 4, 4)}, batch=2)


@pytest.mark.parametrize("rows", [1, 4, 5])
def test_a_batch_of_fixed_size_takes_any_number_of_items(rows: int) -> None:
    made = model([node("Gemm", "x w", "y")], [("x", FLOAT, [2, 6])], constants={"w": floats(6, 3)})
    x = floats(rows, 6)
    compiled = compile(made, x)
    (found,) = proven(compiled, {"x": x})
    filled = np.concatenate([x, x])[: rows + rows % 2]
    expected = [in_floats(made, {"x": pair})[0] for pair in filled.reshape(-1, 2, 6)]
    assert abs(found - np.concatenate(expected)[:rows]).max() < 0.2


def test_a_batch_of_fixed_size_that_mixes_takes_whole_steps() -> None:
    made = model([node("Softmax", "x", "y", axis=0)], [("x", FLOAT, [2, 3])])
    compiled = compile(made, floats(8, 3))
    x = floats(4, 3)
    (joined,) = proven(compiled, {"x": x})
    (apart,) = proven(compiled, {"x": x.reshape(2, 2, 3)}, shown={"x": x})
    np.testing.assert_array_equal(joined, apart)
    with pytest.raises(UsageError):
        zktally.prove(compiled, {"x": floats(3, 3)}, mode="fast", reveal=True)


def test_names_that_are_not_ascii() -> None:
    long = "y" * 200
    nodes = [
        node("Relu", "温度", "结果"),
        node("Sigmoid", "湿度", "输出"),
        node("Add", "温度 湿度", long),
        node("Sub", "温度 湿度", long + "2"),
    ]
    inputs = [("温度", FLOAT, ["n", 3]), ("湿度", FLOAT, ["n", 3])]
    outputs = [(name, FLOAT, None) for name in ("结果", "输出", long, long + "2")]
    given = {"温度": floats(4, 3), "湿度": floats(4, 3)}
    compiled = agree(model(nodes, inputs, outputs), given)
    names = [port.name for port in compiled.checked.program.outputs]
    assert names == [port_name(name) for name, _, _ in outputs]
    assert names[0] == r"\u7ed3\u679c"
    assert len(set(names)) == 4
    assert all(len(name) <= 128 for name in names)


@pytest.mark.parametrize(
    "name",
    ["y", "température", "温度", r"a\u6e29", "\\", "a\nb", "😀", "\ud800", r"\x41", "a b/c:0"],
)
def test_names_of_ports_lead_back_to_those_of_the_model(name: str) -> None:
    port = port_name(name)
    assert port.isascii()
    assert port.isprintable()
    assert port_label(port) == name


@pytest.mark.parametrize(
    "port", ["y" * 120 + "~0123abcd", r"\x41", r"\u00e9", r"\U0011ffff", "\\q"]
)
def test_other_names_of_ports_stay(port: str) -> None:
    assert port_label(port) == port


def test_labels_that_would_meet_stay_the_names_of_their_ports() -> None:
    assert port_labels([r"a\\b", "y"]) == {r"a\\b": r"a\b", "y": "y"}
    assert port_labels([r"a\\b", r"a\b"]) == {r"a\\b": r"a\\b", r"a\b": r"a\b"}


def test_names_that_read_like_an_escape_stay_apart() -> None:
    nodes = [node("Relu", "x", "温"), node("Sigmoid", "x", r"\u6e29")]
    outputs = [("温", FLOAT, None), (r"\u6e29", FLOAT, None)]
    compiled = compile(model(nodes, [X], outputs), {"x": floats(4, 6)})
    assert [p.name for p in compiled.checked.program.outputs] == [r"\u6e29", r"\\u6e29"]


# The one form of a caller's arrays

ITEMS, STEP = Slots((2, 3), True), Slots((2, 3), False)


@pytest.mark.parametrize(
    ("slot", "shape", "found"),
    [
        (ITEMS, (5, 3), (5, 3)),
        (ITEMS, (4, 2, 3), (8, 3)),
        (ITEMS, (4, 4), (4, 4)),
        (STEP, (2, 3), (1, 2, 3)),
        (STEP, (8, 3), (4, 2, 3)),
        (STEP, (4, 2, 3), (4, 2, 3)),
        (STEP, (5, 3), (5, 3)),
        (STEP, (3, 2), (3, 2)),
        (Slots((1,), False), (), (1, 1)),
        (Slots((1,), False), (4,), (4, 1)),
        (Slots((1,), False), (4, 1), (4, 1)),
        (Slots((0,), False), (0,), (0,)),
    ],
)
def test_arrays_are_arranged(slot: Slots, shape: tuple[int, ...], found: tuple[int, ...]) -> None:
    array = np.arange(int(np.prod(shape))).reshape(shape)
    made = arranged({"x": slot}, {"x": array})["x"]
    assert made.shape == found
    np.testing.assert_array_equal(made.ravel(), array.ravel())
