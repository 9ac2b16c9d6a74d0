"""Integers are computed with exactly, whatever their type and shape; compared with onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from support.compared import infer
from zktally.circuits import reference
from zktally.circuits.compile import compile
from zktally.circuits.errors import RangeOverflow, UnsupportedOp
from zktally.circuits.evaluate import integer_run
from zktally.verifier.program.types import PortKind

RNG = np.random.default_rng(21)
SHAPES = [((2, 3, 5), (5,)), ((3, 1), (1, 4)), ((1,), (7,))]
Feeds = dict[str, np.ndarray]


def drawn(shape: tuple[int, ...], kind: Any, low: int = -50, high: int = 50) -> np.ndarray:
    info = np.iinfo(kind)
    return RNG.integers(max(low, info.min), min(high, info.max) + 1, shape).astype(kind)


def network(
    op: str,
    feeds: Feeds,
    constants: Feeds | None = None,
    *,
    order: str | None = None,
    outputs: str = "out",
    opset: int = 18,
    **attributes: Any,
) -> onnx.ModelProto:
    """One node on inputs of any types."""
    given = constants or {}
    names = order.split(",") if order else [*feeds, *given]
    graph = helper.make_graph(
        [helper.make_node(op, names, outputs.split(), "node", **attributes)],
        "test",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in feeds.items()
        ],
        [helper.make_empty_tensor_value_info(name) for name in outputs.split()],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in given.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


def exact(op: str, feeds: Feeds, constants: Feeds | None = None, **options: Any) -> None:
    """All outputs that hold integers are onnxruntime's."""
    model = network(op, feeds, constants, **options)
    compiled = compile(model, feeds, evaluate=1)
    program = compiled.checked.program
    values = integer_run(program, compiled.weights, feeds, reference.run)
    for port, right in zip(program.outputs, infer(model, feeds), strict=True):
        found = values[port.tensor].astype(np.int64)
        if port.kind == PortKind.INTEGER:
            assert found.reshape(right.shape).tolist() == right.astype(np.int64).tolist()
        else:
            reals = (found - port.zero) * port.scale
            assert np.abs(reals.reshape(right.shape) - right).max() < 0.51 * port.scale


BINARY = ["Add", "Sub", "Mul", "Max", "Min", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"]


@pytest.mark.parametrize("op", [*BINARY, "Equal", "Div", "Mod", "BitwiseAnd", "BitwiseXor"])
@pytest.mark.parametrize("kind", [np.int32, np.int64])
@pytest.mark.parametrize(("left", "right"), SHAPES, ids=str)
def test_two_sides(op: str, kind: Any, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    x, z = drawn(left, kind), drawn(right, kind)
    if op in ("Div", "Mod"):
        z = np.where(z == 0, 7, z).astype(kind)
    exact(op, {"x": x, "z": z})
    exact(op, {"x": x}, {"z": z})
    exact(op, {"z": z}, {"x": np.where(x == 0, 3, x).astype(kind)})


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "BitwiseOr"])
@pytest.mark.parametrize("kind", [np.int8, np.uint8])
def test_bytes_wrap_around(op: str, kind: Any) -> None:
    x, z = drawn((2, 3, 5), kind, -128, 255), drawn((5,), kind, -128, 255)
    x.reshape(-1)[:2] = np.iinfo(kind).min, np.iinfo(kind).max
    exact(op, {"x": x, "z": z})
    exact(op, {"x": x}, {"z": z})


@pytest.mark.parametrize("fmod", [0, 1])
def test_quotients_of_large_integers(fmod: int) -> None:
    x = drawn((7,), np.int32, -(10**6), 10**6)
    z = np.array([3, -5, 7, -1, 2, 6, -7], np.int32)
    exact("Div", {"x": x, "z": z})
    exact("Mod", {"x": x, "z": z}, fmod=fmod)
    exact("Mod", {"x": x}, {"z": np.array(-7, np.int32)}, fmod=fmod)
    exact("Div", {"x": x}, {"z": np.array(13, np.int32)})


@pytest.mark.parametrize("op", ["Abs", "Neg", "Sign", "BitwiseNot"])
@pytest.mark.parametrize("reach", [50, 2**22])
def test_one_side(op: str, reach: int) -> None:
    exact(op, {"x": drawn((3, 1, 4), np.int32, -reach, reach)})


@pytest.mark.parametrize(
    "order", ["x,low,high", "x,low", "x,,high", "x"], ids=["both", "low", "high", "neither"]
)
@pytest.mark.parametrize("computed", [False, True])
def test_bounds(order: str, computed: bool) -> None:
    given = {"low": np.array(3, np.int32), "high": np.array(20, np.int32)}
    bounds = {name: given[name] for name in order.split(",")[1:] if name}
    x = {"x": drawn((3, 5), np.int32)}
    if computed:
        exact("Clip", x | bounds, order=order)
    else:
        exact("Clip", x, bounds, order=order)


def test_choices() -> None:
    where, x, z = RNG.random((3, 1)) > 0.5, drawn((3, 5), np.int64), drawn((5,), np.int64)
    exact("Where", {"c": where, "x": x, "z": z})
    exact("Where", {"c": where, "x": x}, {"z": z})
    exact("Where", {"c": where}, {"x": x, "z": z})


@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_shifts(direction: str) -> None:
    x, by = drawn((3, 4), np.uint8, 0, 255), drawn((4,), np.uint8, 0, 7)
    options = {"direction": direction, "opset": 11}
    exact("BitShift", {"x": x, "by": by}, **options)
    exact("BitShift", {"x": x}, {"by": by}, **options)
    exact("BitShift", {"x": x}, {"by": by[:1]}, **options)


@pytest.mark.parametrize(
    ("direction", "right"),
    [("LEFT", [-128, -128, -128, 0, 0, 0]), ("RIGHT", [32, 0, -32, -1, 0, -1])],
)
def test_shifts_of_signed_bytes(direction: str, right: list[int]) -> None:
    """Beyond the type's width, and below 0, as onnx's own tests have it."""
    x = np.array([64, 1, -64, -8, 4, -1], np.int8)
    by = np.array([1, 7, 1, 8, -8, 127], np.int8)
    for constants in ({}, {"by": by[:1]}):
        given = {"x": x} if constants else {"x": x, "by": by}
        wanted = infer_shift(x, by[:1], direction) if constants else right
        model = network("BitShift", given, constants, direction=direction, opset=28)
        compiled = compile(model, given)
        program = compiled.checked.program
        values = integer_run(program, compiled.weights, given, reference.run)
        assert values[program.outputs[0].tensor].tolist() == wanted


def infer_shift(x: np.ndarray, by: np.ndarray, direction: str) -> list[int]:
    return list((np.left_shift if direction == "LEFT" else np.right_shift)(x, by))


def test_powers() -> None:
    x, e = drawn((3, 4), np.int64, -4, 4), drawn((4,), np.int64, 0, 5)
    exact("Pow", {"x": x, "e": e})
    exact("Pow", {"x": x}, {"e": e})
    exact("Pow", {"x": x}, {"e": np.array(3)})
    exact("Pow", {"e": e}, {"x": np.array(-2)}, order="x,e")


@pytest.mark.parametrize("op", ["Sum", "Mean", "SumSquare", "L1", "Max", "Min", "Prod"])
@pytest.mark.parametrize("axes", [[1], [-1, 0], None], ids=str)
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reductions(op: str, axes: list[int] | None, keepdims: int) -> None:
    x = drawn((2, 2, 2) if op == "Prod" else (2, 3, 5), np.int32, -7, 7)
    constants = {} if axes is None else {"a": np.array(axes)}
    exact(f"Reduce{op}", {"x": x}, constants, keepdims=keepdims)


def test_extremes_of_truths() -> None:
    x = {"x": RNG.random((3, 5)) > 0.7}
    for op in ("ReduceMax", "ReduceMin"):
        exact(op, x, {"a": np.array([1])}, opset=20)


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_running_sums(axis: int, exclusive: int, reverse: int) -> None:
    options = {"exclusive": exclusive, "reverse": reverse}
    exact("CumSum", {"x": drawn((3, 5), np.int32)}, {"a": np.array(axis)}, **options)


@pytest.mark.parametrize(
    ("left", "right"), [((2, 3), (3, 4)), ((3,), (3, 2)), ((2, 2, 3), (3, 1)), ((4, 3), (3,))]
)
def test_products_of_matrices(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    x, z = drawn(left, np.int32), drawn(right, np.int32, -300, 300)
    exact("MatMul", {"x": x, "z": z})
    exact("MatMul", {"x": x}, {"z": z})
    exact("MatMul", {"z": z}, {"x": x}, order="x,z")


GRID = np.linspace(-8, 7.9375, 256).astype(np.float32)
"""All that an int8 code from -8 to 7.9375 stands for."""


@pytest.mark.parametrize("to", [TensorProto.INT32, TensorProto.INT8, TensorProto.BOOL])
def test_casts_of_reals(to: int) -> None:
    exact("Cast", {"x": GRID}, to=to)


@pytest.mark.parametrize("op", ["Floor", "Ceil", "Round", "Sign"])
def test_functions_that_jump_are_exact_on_the_grid(op: str) -> None:
    model = network(op, {"x": GRID})
    compiled = compile(model, {"x": GRID}, evaluate=1)
    (port,) = compiled.checked.program.outputs
    values = integer_run(compiled.checked.program, compiled.weights, {"x": GRID}, reference.run)[
        port.tensor
    ].astype(np.int64)
    right = infer(model, {"x": GRID})[0]
    assert np.abs((values - port.zero) * port.scale - right).max() <= 0.51 * port.scale


@pytest.mark.parametrize("to", [TensorProto.INT8, TensorProto.INT32, TensorProto.BOOL])
def test_casts_of_integers(to: int) -> None:
    exact("Cast", {"x": drawn((5, 3), np.int64, -300, 300)}, to=to)
    exact("Cast", {"x": RNG.random((2, 3)) > 0.5}, to=to)


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize(("axis", "k"), [(0, 2), (-1, 5), (1, 1), (2, 3)])
@pytest.mark.parametrize("kind", [np.float32, np.int64])
def test_the_first_of_an_order(largest: int, axis: int, k: int, kind: Any) -> None:
    numbers = drawn((2, 3, 5), np.int32, -3, 3)
    x = (numbers * 0.5).astype(np.float32) if kind is np.float32 else numbers * np.int64(1000)
    exact("TopK", {"x": x}, {"k": np.array([k])}, axis=axis, largest=largest, outputs="v i")


def test_many_rows_are_put_in_order() -> None:
    x = drawn((5000, 7), np.int32, -3, 3)
    exact("TopK", {"x": x}, {"k": np.array([3])}, outputs="v i")


def test_a_long_row_of_integers() -> None:
    x = drawn((100_003,), np.int32, -40, 40)
    exact("ReduceSum", {"x": x}, {"a": np.array([0])})
    exact("BitwiseAnd", {"x": x, "z": drawn((1,), np.int32, -40, 40)})


def test_what_may_not_fit_is_refused() -> None:
    big = drawn((5,), np.int32, 0, 2**22)
    big[:2] = 2**22, 2**22 - 1
    for op in ("Mul", "Add"):
        with pytest.raises(RangeOverflow, match="may be too large"):
            compile(network(op, {"x": big, "z": big}), {"x": big, "z": big})
    small = drawn((5,), np.uint32, 0, 9)
    with pytest.raises(RangeOverflow, match="may be too large"):
        compile(network("Sub", {"x": small, "z": small}), {"x": small, "z": small})


def test_fractions_as_exponents_are_refused() -> None:
    x = {"x": np.array([1, 2, 3], np.int64)}
    with pytest.raises(UnsupportedOp, match="fraction"):
        compile(network("Pow", x, {"e": np.array(0.5, np.float32)}), x)
