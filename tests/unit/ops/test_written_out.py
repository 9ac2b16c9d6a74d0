"""Operators of ONNX that others stand for: long products, powers of windows, MaxUnpool."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from support.compared import network, node, run_both, sqnr
from zktally.circuits.compile import compile
from zktally.circuits.errors import CompileError, Inaccurate, UnsupportedOp

RNG = np.random.default_rng(17)


def drawn(*shape: int, low: float = 0.4, high: float = 1.6) -> np.ndarray:
    return RNG.uniform(low, high, shape).astype(np.float32)


def judge(model: onnx.ModelProto, x: np.ndarray, least: float = 30.0, **options: Any) -> None:
    _, expected, found = run_both(model, {"x": x}, precision="auto", force=False, **options)
    for real, other in zip(expected, found, strict=True):
        assert sqnr(real.reshape(other.shape), other) > least


@pytest.mark.parametrize("opset", [11, 13, 18])
@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("axes", [[1], [-1], [1, 2], [-3, 3]], ids=str)
def test_a_product_of_many(axes: list[int], keep: int, opset: int) -> None:
    given = {"axes": axes} if opset < 18 else {}
    nodes = [node("ReduceProd", "x a" if opset >= 18 else "x", "y", keepdims=keep, **given)]
    constants = {"a": np.array(axes)} if opset >= 18 else {}
    judge(network(nodes, {"x": ("n", 3, 4, 11)}, constants, opset=opset), drawn(6, 3, 4, 11))


def test_a_product_of_all() -> None:
    model = network([node("ReduceProd", "x", "y", keepdims=0)], {"x": (2, 9)}, opset=18)
    judge(model, np.abs(drawn(4, 2, 9)).reshape(4, 2, 9)[0])


@pytest.mark.parametrize("count", [9, 10, 15, 16, 33])
def test_products_of_negative_values(count: int) -> None:
    x = drawn(7, count) * RNG.choice([-1.0, 1.0], (7, count)).astype(np.float32)
    judge(
        network(
            [node("ReduceProd", "x a", "y")], {"x": ("n", count)}, {"a": np.array([1])}, opset=18
        ),
        x,
    )


def test_a_product_of_unknown_length_is_refused() -> None:
    model = network(
        [node("ReduceProd", "x a", "y")], {"x": ("n", "m")}, {"a": np.array([1])}, opset=18
    )
    with pytest.raises(UnsupportedOp, match="more than 8 values"):
        run_both(model, {"x": drawn(4, 12)}, dims={"m": 12})


@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize(("axis", "count"), [(1, 5), (-1, 8), (2, 1), (2, 12)])
def test_running_products(axis: int, count: int, exclusive: int, reverse: int) -> None:
    nodes = [node("CumProd", "x a", "y", exclusive=exclusive, reverse=reverse)]
    model = network(nodes, {"x": ("n", 5, count)}, {"a": np.array(axis)}, opset=26)
    if exclusive and count == 1:
        with pytest.raises(CompileError, match="depend on no input: they are constants"):
            judge(model, drawn(6, 5, count))
    else:
        judge(model, drawn(6, 5, count))


def test_a_running_product_of_unknown_length_is_refused() -> None:
    model = network([node("CumProd", "x a", "y")], {"x": ("n", "m")}, {"a": np.array(1)}, opset=26)
    with pytest.raises(UnsupportedOp, match="the size of that axis"):
        run_both(model, {"x": drawn(4, 12)}, dims={"m": 12})


@pytest.mark.parametrize("p", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "windows",
    [
        {"kernel_shape": [2, 2]},
        {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]},
        {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER"},
    ],
    ids=str,
)
def test_windows_of_any_power(p: int, windows: dict[str, Any]) -> None:
    model = network([node("LpPool", "x", "y", p=p, **windows)], {"x": ("n", 2, 6, 7)}, opset=17)
    judge(model, RNG.normal(size=(5, 2, 6, 7)).astype(np.float32), 26.0)


def test_a_power_that_16_bits_do_not_hold_is_refused() -> None:
    model = network([node("LpPool", "x", "y", p=7, kernel_shape=[2, 2])], {"x": ("n", 2, 6, 7)})
    with pytest.raises(Inaccurate):
        judge(model, RNG.normal(size=(5, 2, 6, 7)).astype(np.float32))


@pytest.mark.parametrize("p", [1, 2, 3])
def test_the_whole_image_of_any_power(p: int) -> None:
    model = network([node("GlobalLpPool", "x", "y", p=p)], {"x": ("n", 3, 4, 5)})
    judge(model, RNG.normal(size=(6, 3, 4, 5)).astype(np.float32))


def unpooled(
    size: tuple[int, ...], kernel: list[int], asked: list[int] | None = None, **pool: Any
) -> onnx.ModelProto:
    """MaxPool, a layer, MaxUnpool, as in SegNet."""
    steps = {"kernel_shape": kernel, "strides": kernel}
    nodes = [
        node("MaxPool", "x", "p i", **(steps | pool)),
        node("Mul", "p c", "h"),
        node("MaxUnpool", "h i" + (" s" if asked else ""), "y", **steps),
    ]
    graph = helper.make_graph(
        nodes,
        "segnet",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.float32([-1.5]), "c")]
        + ([onnx.numpy_helper.from_array(np.array(asked), "s")] if asked else []),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("size", "kernel"),
    [((3, 6, 4), [2, 2]), ((2, 6, 6), [3, 2]), ((2, 8), [4]), ((1, 2, 4, 2), [2, 2, 1])],
)
def test_values_are_put_back(size: tuple[int, ...], kernel: list[int]) -> None:
    model = unpooled(size, kernel)
    x = RNG.permutation(4 * np.prod(size)).reshape(4, *size).astype(np.float32)
    eight = x % 199 / 16  # few enough to be told apart by 8 bits
    _, (real,), (found,) = run_both(model, {"x": eight})
    assert ((real != 0) == (found != 0)).mean() > 0.98
    assert sqnr(real, found) > 25


def test_an_image_with_a_rest() -> None:
    model = unpooled((2, 5, 7), [2, 2], [1, 2, 5, 7])
    x = (RNG.permutation(70).reshape(1, 2, 5, 7) / 8).astype(np.float32)
    _, (real,), (found,) = run_both(model, {"x": x})
    assert found.shape == real.shape == (1, 2, 5, 7)
    assert sqnr(real, found) > 30


@pytest.mark.parametrize(
    ("pool", "reason"),
    [
        ({"strides": [1, 1]}, "windows that overlap"),
        ({"pads": [1, 1, 1, 1]}, "windows that overlap, or pads"),
        ({"dilations": [2, 2]}, "windows that overlap"),
        ({"storage_order": 1}, "windows that overlap"),
        ({"kernel_shape": [3, 3], "strides": [3, 3]}, "not those of its MaxPool"),
    ],
    ids=str,
)
def test_other_windows_are_refused(pool: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnsupportedOp, match=reason):
        compile(unpooled((2, 6, 6), [2, 2], **pool), drawn(2, 2, 6, 6))


def test_another_shape_is_refused() -> None:
    with pytest.raises(UnsupportedOp, match="has not the shape that its MaxPool reads"):
        compile(unpooled((2, 5, 6), [2, 2]), drawn(2, 2, 5, 6))


def test_indices_from_elsewhere_are_refused() -> None:
    steps = {"kernel_shape": [2], "strides": [2]}
    nodes = [node("MaxUnpool", "x i", "y", **steps)]
    model = network(nodes, {"x": ("n", 1, 2)}, {"i": np.array([[[0, 3]]])})
    with pytest.raises(UnsupportedOp, match="not those of a MaxPool"):
        compile(model, drawn(1, 1, 2))


def test_indices_that_are_an_output_are_refused() -> None:
    model = unpooled((2, 4, 4), [2, 2])
    model.graph.output.append(helper.make_tensor_value_info("i", TensorProto.INT64, None))
    with pytest.raises(UnsupportedOp, match=r"second output \(Indices\) is used"):
        compile(model, drawn(2, 2, 4, 4))
