"""Functions of one value against onnxruntime: alone, fused, and made of several nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from support.compared import network, node, run_both, sqnr, steps_off
from zktally.circuits.errors import UnsupportedOp
from zktally.circuits.quantise import affine, domain, tabulated
from zktally.verifier.program.types import Dot

RNG = np.random.default_rng(11)
SHAPE = (3, 5, 7)
WIDE, POSITIVE, UNIT = (-6.0, 6.0), (0.05, 8.0), (-0.98, 0.98)

# Operator, attributes, range of the data, opset.
FUNCTIONS: list[tuple[str, dict[str, Any], tuple[float, float], int]] = [
    ("Elu", {}, WIDE, 17),
    ("Elu", {"alpha": 0.3}, WIDE, 7),
    ("Selu", {}, WIDE, 17),
    ("Selu", {"alpha": 1.2, "gamma": 2.0}, WIDE, 7),
    ("Celu", {}, WIDE, 17),
    ("Celu", {"alpha": 2.5}, WIDE, 13),
    ("Mish", {}, WIDE, 18),
    ("Softplus", {}, WIDE, 17),
    ("Softsign", {}, WIDE, 17),
    ("HardSigmoid", {}, WIDE, 17),
    ("HardSigmoid", {"alpha": 0.1, "beta": 0.6}, WIDE, 7),
    ("HardSwish", {}, WIDE, 17),
    ("Gelu", {}, WIDE, 20),
    ("Gelu", {"approximate": "tanh"}, WIDE, 20),
    ("Swish", {}, WIDE, 24),
    ("Swish", {"alpha": 1.702}, WIDE, 24),
    ("ThresholdedRelu", {}, WIDE, 17),
    ("ThresholdedRelu", {"alpha": 2.5}, WIDE, 10),
    ("Shrink", {}, WIDE, 17),
    ("Shrink", {"lambd": 1.5, "bias": 0.7}, WIDE, 17),
    ("Erf", {}, WIDE, 17),
    ("Exp", {}, (-4.0, 4.0), 17),
    ("Exp", {}, (-4.0, 4.0), 7),
    ("Log", {}, POSITIVE, 17),
    ("Sqrt", {}, POSITIVE, 17),
    ("Reciprocal", {}, (0.5, 8.0), 17),
    ("Reciprocal", {}, (-8.0, -0.5), 13),
    ("Neg", {}, WIDE, 17),
    ("Abs", {}, WIDE, 17),
    ("Sign", {}, WIDE, 17),
    ("Floor", {}, WIDE, 17),
    ("Ceil", {}, WIDE, 17),
    ("Round", {}, WIDE, 17),
    ("Sin", {}, WIDE, 17),
    ("Cos", {}, WIDE, 17),
    ("Tan", {}, (-1.3, 1.3), 17),
    ("Asin", {}, UNIT, 17),
    ("Acos", {}, UNIT, 17),
    ("Atan", {}, WIDE, 17),
    ("Sinh", {}, (-3.0, 3.0), 17),
    ("Cosh", {}, (-3.0, 3.0), 17),
    ("Asinh", {}, WIDE, 17),
    ("Acosh", {}, (1.0, 9.0), 17),
    ("Atanh", {}, UNIT, 17),
]


def drawn(span: tuple[float, float], *shape: int) -> np.ndarray:
    """Uniform, both ends among it."""
    values = RNG.uniform(*span, shape).astype(np.float32)
    values.reshape(-1)[:2] = span
    return values


def ids(case: tuple[str, dict[str, Any], tuple[float, float], int]) -> str:
    op, attributes, _, opset = case
    return " ".join([op, *(f"{k}={v}" for k, v in attributes.items()), f"opset {opset}"])


@pytest.mark.parametrize("case", FUNCTIONS, ids=ids)
def test_a_table_is_within_half_a_step(case: tuple[Any, ...]) -> None:
    op, attributes, span, opset = case
    opset_import = max(opset, 7)
    model = network(
        [node(op, "x", "y", **attributes)], {"x": ("n", *SHAPE[1:])}, opset=opset_import
    )
    assert steps_off(model, {"x": drawn(span, 9, *SHAPE[1:])}, {"x": drawn(span, *SHAPE)}) < 0.51


@pytest.mark.parametrize("case", FUNCTIONS, ids=ids)
def test_a_fused_table_is_within_two_steps(case: tuple[Any, ...]) -> None:
    op, attributes, span, opset = case
    if op in ("Sign", "Floor", "Ceil", "Round", "ThresholdedRelu", "Shrink"):
        pytest.skip("near a jump of the function any rounding may fall on its other side")
    inputs = {"x": ("n", 5), "z": ("n", 5)}
    nodes = [node("Add", "x z", "h"), node(op, "h", "y", **attributes)]
    # Only one of the two addends varies, so that their sum keeps to the calibrated range.
    zeros = np.zeros((40, 5), np.float32)
    model = network(nodes, inputs, opset=max(opset, 7))
    calibration = {"x": drawn(span, 40, 5), "z": zeros}
    assert steps_off(model, calibration, {"x": drawn(span, 40, 5), "z": zeros}) < 2.5


def test_a_function_is_one_op_with_the_dot_before_it() -> None:
    nodes = [node("Add", "x c", "h"), node("Gelu", "h", "y")]
    constants = {"c": RNG.normal(0, 1, 5).astype(np.float32)}
    model = network(nodes, {"x": ("n", 5)}, constants, opset=20)
    compiled, _, _ = run_both(model, {"x": drawn(WIDE, 4, 5)})
    assert [type(op) for op in compiled.checked.program.ops] == [Dot]


@pytest.mark.parametrize("exponent", [2.0, 3.0, 0.5, -1.0, -0.5, 1.7, 0.0, 1.0])
@pytest.mark.parametrize("opset", [7, 12, 15])
def test_pow(exponent: float, opset: int) -> None:
    span = (0.5, 6.0) if exponent < 0 or exponent % 1 else (-3.0, 4.0)
    model = network(
        [node("Pow", "x e", "y")], {"x": ("n", 5)}, {"e": np.float32(exponent)}, opset=opset
    )
    assert steps_off(model, {"x": drawn(span, 40, 5)}, {"x": drawn(span, 40, 5)}) < 0.51


def test_pow_of_a_constant_base() -> None:
    model = network([node("Pow", "b x", "y")], {"x": ("n", 5)}, {"b": np.array([2.5], np.float32)})
    assert steps_off(model, {"x": drawn((-2, 2), 40, 5)}, {"x": drawn((-2, 2), 40, 5)}) < 0.51


@pytest.mark.parametrize(
    ("shape", "slope"),
    [
        ((4, 5, 6), (4, 1, 1)),
        ((4, 1), (4, 1)),
        ((6,), (6,)),
        ((4, 5), (1,)),
        ((4, 5), ()),
        ((4, 5), (4, 5)),
    ],
)
@pytest.mark.parametrize("opset", [7, 9, 16])
def test_prelu(shape: tuple[int, ...], slope: tuple[int, ...], opset: int) -> None:
    slopes = RNG.normal(0, 0.8, slope).astype(np.float32)
    model = network([node("PRelu", "x s", "y")], {"x": ("n", *shape)}, {"s": slopes}, opset=opset)
    assert steps_off(model, {"x": drawn(WIDE, 9, *shape)}, {"x": drawn(WIDE, 3, *shape)}) < 0.6


C = {
    "three": np.float32(3.0),
    "six": np.float32(6.0),
    "half": np.float32(0.5),
    "one": np.array([1.0], np.float32),
    "zero": np.float32(0.0),
    "root": np.float32(np.sqrt(2.0)),
    "k": np.float32(np.sqrt(2.0 / np.pi)),
    "cubic": np.float32(0.044715),
    "low": np.float32(-0.7),
}
# What networks write with several nodes, as they export it.
WRITTEN: dict[str, list[Any]] = {
    "silu": [node("Sigmoid", "h", "s"), node("Mul", "h s", "y")],
    "silu by a quotient": [
        node("Neg", "h", "n"),
        node("Exp", "n", "e"),
        node("Add", "e one", "d"),
        node("Div", "h d", "y"),
    ],
    "sigmoid": [
        node("Neg", "h", "n"),
        node("Exp", "n", "e"),
        node("Add", "one e", "d"),
        node("Div", "one d", "y"),
    ],
    "hard swish": [
        node("Add", "h three", "a"),
        node("Clip", "a zero six", "c"),
        node("Mul", "h c", "m"),
        node("Div", "m six", "y"),
    ],
    "hard swish by hard sigmoid": [
        node("HardSigmoid", "h", "s", alpha=1 / 6),
        node("Mul", "s h", "y"),
    ],
    "gelu by erf": [
        node("Div", "h root", "a"),
        node("Erf", "a", "b"),
        node("Add", "b one", "c"),
        node("Mul", "h c", "d"),
        node("Mul", "d half", "y"),
    ],
    "gelu by tanh": [
        node("Pow", "h three", "a"),
        node("Mul", "a cubic", "b"),
        node("Add", "h b", "c"),
        node("Mul", "c k", "d"),
        node("Tanh", "d", "e"),
        node("Add", "e one", "f"),
        node("Mul", "h f", "g"),
        node("Mul", "g half", "y"),
    ],
    "cube by products": [node("Mul", "h h", "a"), node("Mul", "a h", "y")],
    "mish": [node("Softplus", "h", "a"), node("Tanh", "a", "b"), node("Mul", "h b", "y")],
    "softsign": [node("Abs", "h", "a"), node("Add", "a one", "b"), node("Div", "h b", "y")],
    "bounded": [node("Max", "h low", "a"), node("Min", "six a half", "y")],
    "where": [
        node("Greater", "h low", "c"),
        node("Mul", "h three", "b"),
        node("Where", "c h b", "y"),
    ],
    "between": [
        node("Greater", "h low", "a"),
        node("Less", "h half", "b"),
        node("And", "a b", "c"),
        node("Not", "c", "d"),
        node("Where", "d h zero", "y"),
    ],
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_with_several_nodes_is_one_table(name: str) -> None:
    tail = node("Identity", "x", "h")
    calibration, feeds = drawn(WIDE, 40, 5), drawn(WIDE, 40, 5)
    model = network([tail, *WRITTEN[name]], {"x": ("n", 5)}, C_of(name))
    compiled, _, _ = run_both(model, {"x": calibration})
    assert len(compiled.checked.program.ops) == len(compiled.checked.program.tables) == 1
    assert steps_off(model, {"x": calibration}, {"x": feeds}) < 0.52


def C_of(name: str) -> dict[str, np.ndarray]:  # noqa: N802
    read = {name for part in WRITTEN[name] for name in part.input}
    return {constant: value for constant, value in C.items() if constant in read}


@pytest.mark.parametrize("name", ["silu", "gelu by erf", "hard swish"])
def test_it_is_fused_into_the_dot_before_it(name: str) -> None:
    constants = C_of(name) | {"w": RNG.normal(0, 0.6, (12, 7)).astype(np.float32)}
    model = network([node("MatMul", "x w", "h"), *WRITTEN[name]], {"x": ("n", 12)}, constants)
    compiled, expected, found = run_both(model, {"x": drawn((-2, 2), 40, 12)})
    assert len(compiled.checked.program.ops) == 1
    assert sqnr(expected[0], found[0]) > 35


def test_a_value_that_others_read_stays() -> None:
    nodes = [node("Relu", "x", "h"), node("Sigmoid", "h", "s"), node("Mul", "h s", "y")]
    model = network(nodes, {"x": ("n", 5)}, outputs=["h", "y"])
    compiled, expected, found = run_both(model, {"x": drawn(WIDE, 40, 5)})
    assert len(compiled.checked.program.ops) == 2
    assert all(sqnr(e, f) > 35 for e, f in zip(expected, found, strict=True))


def test_two_values_are_no_table() -> None:
    nodes = [node("Sigmoid", "x", "s"), node("Mul", "z s", "y")]
    model = network(nodes, {"x": ("n", 5), "z": ("n", 5)})
    compiled, _, _ = run_both(model, {"x": drawn(WIDE, 40, 5), "z": drawn(WIDE, 40, 5)})
    assert len(compiled.checked.program.ops) == 2


def test_a_broadcast_is_no_table() -> None:
    nodes = [node("Add", "x c", "h"), node("Relu", "h", "y")]
    model = network(nodes, {"x": (4, 5)}, {"c": np.ones((1, 1, 1), np.float32)})
    compiled, _, found = run_both(model, {"x": drawn(WIDE, 4, 5)})
    assert not compiled.checked.program.tables
    assert found[0].shape == (1, 4, 5)


@pytest.mark.parametrize(
    ("nodes", "constants", "words"),
    [
        ([node("PRelu", "x z", "y")], {}, "input 1 is computed"),
    ],
)
def test_refused(nodes: list[Any], constants: dict[str, np.ndarray], words: str) -> None:
    inputs = {"x": ("n", 5)} | ({} if constants else {"z": ("n", 5)})
    model = network(nodes, inputs, constants)
    with pytest.raises(UnsupportedOp, match=words):
        run_both(model, {name: drawn(POSITIVE, 4, 5) for name in inputs})


def test_undefined_points_have_the_value_of_the_nearest_defined_one() -> None:
    reals = np.array([-2.0, -1.0, 0.0, 1.0, 4.0])
    assert tabulated(np.sqrt, reals).tolist() == [0.0, 0.0, 0.0, 1.0, 2.0]
    holes = np.array([1.0, np.nan, np.nan, np.nan, 2.0])
    assert tabulated(lambda x: holes, reals).tolist() == [1.0, 1.0, 2.0, 2.0, 2.0]


def test_a_steep_function_gets_a_finer_argument() -> None:
    widths = [
        code.hi - code.lo + 1
        for code in (
            domain(np.tanh, -4.0, 4.0, affine(-1.0, 1.0)),
            domain(np.log, 0.05, 8.0, affine(-3.0, 2.1)),
            domain(np.log, 0.002, 8.0, affine(-6.3, 2.1)),
            domain(np.floor, -3.0, 3.0, affine(-3.0, 3.0)),
        )
    ]
    assert widths == [2**11, 2**12, 2**14, 2**11]


def test_float_types() -> None:
    nodes = [
        node("Cast", "x", "h", to=TensorProto.DOUBLE),
        node("Exp", "h", "e"),
        node("Cast", "e", "y", to=TensorProto.FLOAT),
    ]
    model = network(nodes, {"x": ("n", 5)})
    assert steps_off(model, {"x": drawn((-2, 2), 40, 5)}, {"x": drawn((-2, 2), 4, 5)}) < 0.51
