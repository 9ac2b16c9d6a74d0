"""Magnitudes of spectra, choices from parts of a Concat, tables of integers, dynamic LSTMs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from support.compared import network, node, run_both, sqnr
from zktally.circuits.compile import compile, open_network, prepare

RNG = np.random.default_rng(41)


def ops_of(model: onnx.ModelProto) -> list[str]:
    return [each.op for each in prepare(open_network(model, None, None), 1)[1].nodes]


def spectrum(square: str, root: str) -> list[onnx.NodeProto]:
    squares = [
        node("Mul", f"{x} {x}", f"{x}2") if square == "Mul" else node("Pow", f"{x} two", f"{x}2")
        for x in "ab"
    ]
    last = node("Sqrt", "s", "y") if root == "Sqrt" else node("Pow", "s half", "y")
    return [*squares, node("Add", "a2 b2", "s"), last]


@pytest.mark.parametrize("root", ["Sqrt", "Pow"])
@pytest.mark.parametrize("square", ["Mul", "Pow"])
@pytest.mark.parametrize("unlike", [1.0, 7.0])
def test_magnitudes_of_quiet_data(square: str, root: str, unlike: float) -> None:
    """Loud data calibrates: of what is 100 times less, squares would be 0."""
    shape = (2, 3, 7)
    constants = {"two": np.array(2.0, np.float32), "half": np.array([0.5], np.float32)}
    model = network(
        spectrum(square, root), {"a": ("n", *shape[1:]), "b": ("n", *shape[1:])}, constants
    )
    assert ops_of(model) == ["Hypotenuse"]
    feeds = {name: RNG.normal(0, 1, shape).astype(np.float32) for name in "ab"}
    feeds = {"a": feeds["a"], "b": feeds["b"] * np.float32(unlike)}
    feeds["a"][1] /= 100
    feeds["b"][1] /= 100
    _, (expected,), (found,) = run_both(model, feeds, precision="int16")
    assert sqnr(expected[0], found[0]) > 50
    assert sqnr(expected[1], found[1]) > 18


LOUD = np.random.default_rng(5)
QUIETER = [1, 10, 100, 1000]


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("square", ["Mul", "Pow", "ReduceSumSquare"])
@pytest.mark.parametrize("root", ["Sqrt", "Pow"])
def test_magnitudes_along_an_axis(root: str, square: str, opset: int) -> None:
    """What is 1,000 times quieter keeps as many digits as 16 bits have of it."""
    summed = "ReduceSumSquare" if square == "ReduceSumSquare" else "ReduceSum"
    name = "x" if summed == "ReduceSumSquare" else "q"
    nodes = [node("Mul", "x x", "q") if square == "Mul" else node("Pow", "x two", "q")]
    nodes = nodes if name == "q" else []
    by_input = opset >= 13 and summed == "ReduceSum"
    given = {} if by_input else {"axes": [-1]}
    nodes.append(node(summed, f"{name} a" if by_input else name, "s", keepdims=0, **given))
    nodes.append(node("Sqrt", "s", "y") if root == "Sqrt" else node("Pow", "s half", "y"))
    constants = {"two": np.array(2.0, np.float32), "half": np.array([0.5], np.float32)}
    model = network(nodes, {"x": ("n", 5, 2)}, constants | {"a": np.array([-1])}, opset=opset)
    assert ops_of(model) == ["ReduceL2"]
    x = LOUD.normal(0, 1, (4, 5, 2)) / np.reshape(QUIETER, (4, 1, 1))
    _, (expected,), (found,) = run_both(model, {"x": x.astype(np.float32)}, precision="int16")
    for number, least in enumerate([60, 45, 25, 5]):
        assert sqnr(expected[number], found[number]) > least


@pytest.mark.parametrize("kernel", [[2, 2], [4, 4], [5, 5]])
def test_norms_of_windows_of_wide_values(kernel: list[int]) -> None:
    pool = node("LpPool", "x", "y", p=2, kernel_shape=kernel, pads=[0, 0, 1, 1])
    model = network([pool], {"x": ("n", 2, 6, 6)})
    x = LOUD.normal(0, 1, (4, 2, 6, 6)) / np.reshape(QUIETER, (4, 1, 1, 1))
    _, (expected,), (found,) = run_both(model, {"x": x.astype(np.float32)}, precision="int16")
    for number, least in enumerate([60, 45, 25] if kernel < [5] else [60]):
        assert sqnr(expected[number], found[number]) > least


@pytest.mark.parametrize("case", ["read twice", "kept", "of another shape"])
def test_what_is_no_norm_stays(case: str) -> None:
    nodes = [node("Mul", "x w" if case == "of another shape" else "x x", "q")]
    nodes += [node("ReduceSum", "q a", "s", keepdims=1), node("Sqrt", "s", "y")]
    outputs = ("y", "s") if case == "read twice" else ("y", "q") if case == "kept" else ("y",)
    weight = np.ones((3, 1), np.float32) * 2
    model = network(nodes, {"x": ("n", 3, 4)}, {"a": np.array([-1]), "w": weight}, outputs=outputs)
    assert "ReduceL2" not in ops_of(model)


@pytest.mark.parametrize("case", ["read twice", "broadcast", "cube"])
def test_what_is_no_magnitude_stays(case: str) -> None:
    nodes = spectrum("Pow", "Sqrt")
    shapes: dict[str, Any] = {"a": ("n", 5), "b": ("n", 1 if case == "broadcast" else 5)}
    outputs = ("y", "s") if case == "read twice" else ("y",)
    two = np.array(4.0 if case == "cube" else 2.0, np.float32)
    model = network(nodes, shapes, {"two": two}, outputs=outputs)
    assert "Hypotenuse" not in ops_of(model)
    feeds = {n: RNG.normal(0, 1, (3, s[1])).astype(np.float32) for n, s in shapes.items()}
    _, expected, found = run_both(model, feeds, precision="int16")
    assert all(sqnr(*pair) > 40 for pair in zip(expected, found, strict=True))


@pytest.mark.parametrize("index", [[-1], [3, 2], 2])
@pytest.mark.parametrize("axis", [1, -1])
def test_a_choice_from_one_part(index: Any, axis: int) -> None:
    """The other part is computed for nothing, and leaves no op without a live gate."""
    nodes = [
        node("Sigmoid", "x", "p"),
        node("Tanh", "x", "q"),
        node("Concat", "p q", "c", axis=axis),
        node("Gather", "c at", "y", axis=axis),
    ]
    constants = {"at": np.array(index)}
    model = network(nodes, {"x": ("n", 2)}, constants)
    assert "Concat" not in ops_of(model)
    feeds = {"x": RNG.normal(0, 1, (3, 2)).astype(np.float32)}
    _, (expected,), (found,) = run_both(model, feeds)
    assert sqnr(expected, found) > 35


def test_a_choice_from_two_parts_stays() -> None:
    nodes = [
        node("Sigmoid", "x", "p"),
        node("Tanh", "x", "q"),
        node("Concat", "p q", "c", axis=1),
        node("Gather", "c at", "y", axis=1),
    ]
    model = network(nodes, {"x": ("n", 2)}, {"at": np.array([1, 2])})
    assert "Concat" in ops_of(model)


def test_one_weight_far_above_the_others() -> None:
    """Calibration never sees what it allows: the output's code is coarser, and nothing refused."""
    weight = RNG.normal(0, 0.1, (64, 5)).astype(np.float32)
    weight[:, 0] = 60.0 * np.where(np.arange(64) % 2, 1, -1)
    model = network(
        [node("MatMul", "x w", "h"), node("Relu", "h", "y")], {"x": ("n", 64)}, {"w": weight}
    )
    x = np.repeat(RNG.normal(0, 1, (8, 32)), 2, axis=1).astype(np.float32)
    compiled, (expected,), (found,) = run_both(model, {"x": x}, precision="int8", force=True)
    code = compiled.checked.program.outputs[0].scale
    assert np.abs(expected - found).max() < 2 * code


def lstm(kind: Any, directions: int, columns: bool, opset: int) -> onnx.ModelProto:
    hidden, width = 5, 3
    shape = (directions, 4 * hidden) if columns else (directions,)
    constants: dict[str, np.ndarray] = {}
    low = np.iinfo(kind).min
    for name, rows in (("w", width), ("r", hidden)):
        # Of 7 bits: with more, onnxruntime's own sums overflow where there is no VNNI.
        drawn = RNG.integers(-63, 64, (directions, rows, 4 * hidden))
        constants[name] = (drawn + (0 if low < 0 else 128)).astype(kind)
        constants[f"{name}s"] = RNG.uniform(0.008, 0.012, shape).astype(np.float32)
        constants[f"{name}z"] = np.full(shape, 0 if low < 0 else 128, kind)
    constants["b"] = RNG.normal(0, 0.2, (directions, 8 * hidden)).astype(np.float32)
    inputs = ["x", "w", "r", "b", "", "", "", "", "ws", "wz", "rs", "rz"]
    direction = "forward" if directions == 1 else "bidirectional"
    made = helper.make_node(
        "DynamicQuantizeLSTM",
        inputs,
        ["y", "yh"],
        "lstm",
        domain="com.microsoft",
        hidden_size=hidden,
        direction=direction,
    )
    graph = helper.make_graph(
        [made],
        "test",
        [helper.make_tensor_value_info("x", 1, [7, 1, width])],
        [helper.make_tensor_value_info(name, 1, None) for name in ("y", "yh")],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize(
    ("kind", "directions", "columns", "opset"),
    [(np.int8, 2, False, 17), (np.uint8, 1, False, 11), (np.int8, 1, True, 13)],
)
def test_lstms_of_dynamic_ranges(kind: Any, directions: int, columns: bool, opset: int) -> None:
    model = lstm(kind, directions, columns, opset)
    x = RNG.normal(0, 1, (7, 1, 3)).astype(np.float32)
    _, expected, found = run_both(model, {"x": x}, force=True)
    for real, other in zip(expected, found, strict=True):
        assert sqnr(real, other.reshape(real.shape)) > 22


@pytest.mark.parametrize("kind", [np.int8, np.uint8])
@pytest.mark.parametrize("view", [False, True])
def test_tables_of_integers(kind: Any, view: bool) -> None:
    table = RNG.integers(np.iinfo(kind).min, np.iinfo(kind).max, (11, 3), endpoint=True)
    constants = {"t": table.astype(kind), "s": np.array(0.03, np.float32), "z": np.array(5, kind)}
    middle = [node("Transpose", "q", "r", perm=[0, 2, 1])] if view else [node("Identity", "q", "r")]
    nodes = [node("Gather", "t ids", "q"), *middle, node("DequantizeLinear", "r s z", "y")]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("ids", 7, [2, 5])],
        [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    ids = RNG.integers(0, 11, (2, 5))
    _, (expected,), (found,) = run_both(model, {"ids": ids})
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-6)


def test_shapes_of_an_input_that_is_dropped() -> None:
    model = network(
        [node("Relu", "x", "y"), node("Relu", "n", "unused")], {"x": ("n", 3), "n": ("m",)}
    )
    x = RNG.normal(0, 1, (8, 3)).astype(np.float32)
    compiled = compile(model, {"x": x}, shapes={"n": (1,)}, evaluate=8)
    assert [port.name for port in compiled.checked.program.inputs] == ["x"]
