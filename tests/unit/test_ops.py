"""Every operator against onnxruntime, through the reference executor."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from support.compared import floats, network, node, run_both, sqnr, weights
from zktally.circuits import ops
from zktally.verifier.program.types import Dot, Pick, PortKind

RNG = np.random.default_rng(7)

IMAGE = {"x": ("n", 3, 9, 8)}
MATRIX = {"x": ("n", 12)}

CASES: dict[str, tuple[Any, ...]] = {
    "conv": (
        [node("Conv", "x w b", "y", pads=[1, 1, 1, 1])],
        IMAGE,
        {"w": weights(5, 3, 3, 3), "b": weights(5)},
    ),
    "conv stride": (
        [node("Conv", "x w", "y", strides=[2, 3], pads=[0, 2, 1, 1])],
        IMAGE,
        {"w": weights(5, 3, 3, 2)},
    ),
    "conv dilated": (
        [node("Conv", "x w", "y", dilations=[2, 1])],
        IMAGE,
        {"w": weights(4, 3, 3, 3)},
    ),
    "conv same upper": (
        [node("Conv", "x w", "y", auto_pad="SAME_UPPER", strides=[2, 2])],
        IMAGE,
        {"w": weights(4, 3, 4, 3)},
    ),
    "conv same lower": (
        [node("Conv", "x w", "y", auto_pad="SAME_LOWER", strides=[2, 2])],
        IMAGE,
        {"w": weights(4, 3, 4, 3)},
    ),
    "conv depthwise": (
        [node("Conv", "x w b", "y", group=3)],
        IMAGE,
        {"w": weights(3, 1, 3, 3), "b": weights(3)},
    ),
    "conv grouped": (
        [node("Conv", "x w", "y", group=2, pads=[1, 1, 1, 1])],
        {"x": ("n", 4, 6, 6)},
        {"w": weights(6, 2, 3, 3)},
    ),
    "conv 1d": (
        [node("Conv", "x w", "y", pads=[1, 1])],
        {"x": ("n", 3, 20)},
        {"w": weights(4, 3, 3)},
    ),
    "conv 3d": (
        [node("Conv", "x w", "y")],
        {"x": ("n", 2, 5, 4, 4)},
        {"w": weights(4, 2, 3, 2, 2)},
    ),
    "conv relu": (
        [node("Conv", "x w", "h"), node("Relu", "h", "y")],
        IMAGE,
        {"w": weights(5, 3, 3, 3)},
    ),
    "conv batch norm": (
        [node("Conv", "x w b", "h"), node("BatchNormalization", "h g o m v", "y")],
        IMAGE,
        {
            "w": weights(5, 3, 3, 3),
            "b": weights(5),
            "g": weights(5),
            "o": weights(5),
            "m": weights(5),
            "v": weights(5) ** 2,
        },
    ),
    "batch norm": (
        [node("BatchNormalization", "x g o m v", "y", epsilon=1e-3)],
        IMAGE,
        {"g": weights(3), "o": weights(3), "m": weights(3), "v": weights(3) ** 2},
    ),
    "gemm": (
        [node("Gemm", "x w b", "y", transB=1)],
        MATRIX,
        {"w": weights(7, 12), "b": weights(7)},
    ),
    "gemm alpha beta": (
        [node("Gemm", "x w b", "y", alpha=0.5, beta=-2.0)],
        MATRIX,
        {"w": weights(12, 7), "b": weights(1)},
    ),
    "gemm sigmoid": (
        [node("Gemm", "x w", "h"), node("Sigmoid", "h", "y")],
        MATRIX,
        {"w": weights(12, 7)},
    ),
    "gemm tanh": (
        [node("Gemm", "x w", "h"), node("Tanh", "h", "y")],
        MATRIX,
        {"w": weights(12, 7)},
    ),
    "gemm leaky relu": (
        [node("Gemm", "x w", "h"), node("LeakyRelu", "h", "y", alpha=0.2)],
        MATRIX,
        {"w": weights(12, 7)},
    ),
    "gemm clip": (
        [node("Gemm", "x w", "h"), node("Clip", "h l u", "y")],
        MATRIX,
        {"w": weights(12, 7), "l": np.float32(-0.5), "u": np.float32(1.5)},
    ),
    "matmul add": (
        [node("MatMul", "x w", "h"), node("Add", "b h", "y")],
        {"x": ("n", 4, 12)},
        {"w": weights(12, 7), "b": weights(7)},
    ),
    "matmul computed": ([node("MatMul", "x z", "y")], {"x": ("n", 4, 12), "z": ("n", 12, 5)}),
    "matmul broadcast": (
        [node("MatMul", "x z", "y")],
        {"x": ("n", 3, 4, 12), "z": ("n", 1, 12, 5)},
    ),
    "matmul left constant": (
        [node("MatMul", "w x", "y")],
        {"x": ("n", 12, 5)},
        {"w": weights(3, 12)},
    ),
    "matmul stacked constant": (
        [node("MatMul", "x w", "y")],
        {"x": ("n", 3, 4, 12)},
        {"w": weights(3, 12, 5)},
    ),
    "add": ([node("Add", "x z", "y")], {"x": ("n", 4, 5), "z": ("n", 1, 5)}),
    "add same": ([node("Add", "x x", "y")], MATRIX),
    "add constant": ([node("Add", "x c", "y")], {"x": ("n", 4, 5)}, {"c": weights(4, 1)}),
    "add scalar relu": (
        [node("Add", "c x", "h"), node("Relu", "h", "y")],
        MATRIX,
        {"c": np.float32(0.75)},
    ),
    "sub": ([node("Sub", "x z", "y")], {"x": ("n", 4, 5), "z": ("n", 4, 5)}),
    "sub from constant": ([node("Sub", "c x", "y")], MATRIX, {"c": np.float32(1.0)}),
    "mul": ([node("Mul", "x z", "y")], {"x": ("n", 4, 5), "z": ("n", 4, 1)}),
    "mul constant": ([node("Mul", "x c", "y")], {"x": ("n", 4, 5)}, {"c": weights(4, 1)}),
    "mul scalar": ([node("Mul", "c x", "y")], MATRIX, {"c": np.float32(-3.0)}),
    "div constant": ([node("Div", "x c", "y")], MATRIX, {"c": np.float32(8.0)}),
    "relu": ([node("Relu", "x", "y")], MATRIX),
    "dropout of relu": ([node("Relu", "x", "h"), node("Dropout", "h", "y")], MATRIX),
    "leaky relu": ([node("LeakyRelu", "x", "y")], MATRIX),
    "clip": ([node("Clip", "x l", "y")], MATRIX, {"l": np.float32(-0.3)}),
    "clip attributes": ([node("Clip", "x", "y", min=-0.5, max=0.5)], MATRIX, {}, {"opset": 10}),
    "sigmoid": ([node("Sigmoid", "x", "y")], MATRIX),
    "tanh": ([node("Tanh", "x", "y")], MATRIX),
    "softmax": ([node("Softmax", "x", "y")], {"x": ("n", 3, 6)}),
    "softmax middle axis": ([node("Softmax", "x", "y", axis=1)], {"x": ("n", 6, 3)}),
    "softmax opset 11": (
        [node("Softmax", "x", "y", axis=1)],
        {"x": ("n", 3, 4)},
        {},
        {"opset": 11},
    ),
    "average pool": ([node("AveragePool", "x", "y", kernel_shape=[2, 3])], IMAGE),
    "average pool pad": (
        [node("AveragePool", "x", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1])],
        IMAGE,
    ),
    "average pool include": (
        [
            node(
                "AveragePool", "x", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1
            )
        ],
        IMAGE,
    ),
    "average pool ceil": (
        [node("AveragePool", "x", "y", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)],
        IMAGE,
    ),
    "global average pool": ([node("GlobalAveragePool", "x", "y")], IMAGE),
    "concat": ([node("Concat", "x z x", "y", axis=-1)], {"x": ("n", 4, 5), "z": ("n", 4, 2)}),
    "attention": (
        [
            node("MatMul", "x wq", "q"),
            node("MatMul", "x wk", "k"),
            node("MatMul", "x wv", "v"),
            *(node("Reshape", f"{a} s", f"{a}1") for a in "qkv"),
            node("Transpose", "q1", "q2", perm=[0, 2, 1, 3]),
            node("Transpose", "k1", "k2", perm=[0, 2, 3, 1]),
            node("Transpose", "v1", "v2", perm=[0, 2, 1, 3]),
            node("MatMul", "q2 k2", "a0"),
            node("Div", "a0 r", "a1"),
            node("Softmax", "a1", "a"),
            node("MatMul", "a v2", "h0"),
            node("Transpose", "h0", "h1", perm=[0, 2, 1, 3]),
            node("Reshape", "h1 t", "y"),
        ],
        {"x": ("n", 6, 8)},
        {
            "wq": weights(8, 8),
            "wk": weights(8, 8),
            "wv": weights(8, 8),
            "r": np.float32(2.0),
            "s": np.array([0, 0, 2, 4]),
            "t": np.array([0, 0, 8]),
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_matches_float_within_quantisation(case: str) -> None:
    nodes, inputs, *rest = CASES[case]
    constants = rest[0] if rest else {}
    model = network(nodes, inputs, constants, **(rest[1] if len(rest) > 1 else {}))
    feeds = {name: floats(3, *shape[1:]) for name, shape in inputs.items()}
    _, expected, found = run_both(model, feeds)
    assert sqnr(expected[0], found[0]) > (22 if case == "attention" else 30)


EXACT: dict[str, tuple[Any, ...]] = {
    "max pool": ([node("MaxPool", "x", "y", kernel_shape=[3, 2], strides=[2, 1])], IMAGE),
    "max pool pad": ([node("MaxPool", "x", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1])], IMAGE),
    "max pool ceil": (
        [node("MaxPool", "x", "y", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)],
        IMAGE,
    ),
    "max pool dilated": ([node("MaxPool", "x", "y", kernel_shape=[2, 2], dilations=[3, 2])], IMAGE),
    "transpose": ([node("Transpose", "x", "y", perm=[0, 3, 1, 2])], IMAGE),
    "slice": (
        [node("Slice", "x s e a t", "y")],
        IMAGE,
        {
            "s": np.array([7, 1]),
            "e": np.array([-10, 99]),
            "a": np.array([2, -1]),
            "t": np.array([-2, 3]),
        },
    ),
    "slice attributes": (
        [node("Slice", "x", "y", starts=[-2], ends=[99], axes=[1])],
        IMAGE,
        {},
        {"opset": 9},
    ),
    "pad": ([node("Pad", "x p", "y")], IMAGE, {"p": np.array([0, 0, 1, 2, 0, 1, 0, 3])}),
    "pad crop": ([node("Pad", "x p", "y")], IMAGE, {"p": np.array([0, 0, -1, 2, 0, 0, 0, -3])}),
    "pad axes value": (
        [node("Pad", "x p v a", "y")],
        IMAGE,
        {"p": np.array([1, 2]), "v": np.float32(-128.0), "a": np.array([2])},
        {"opset": 18},
    ),
    "flatten": ([node("Flatten", "x", "y")], IMAGE),
    "reshape": ([node("Reshape", "x s", "y")], IMAGE, {"s": np.array([0, -1, 4])}),
    "squeeze unsqueeze": (
        [node("Unsqueeze", "x a", "h"), node("Squeeze", "h b", "y")],
        {"x": ("n", 1, 5)},
        {"a": np.array([1]), "b": np.array([2])},
    ),
    "identity": ([node("Identity", "x", "y")], MATRIX),
    "dropout": ([node("Dropout", "x", "h"), node("Transpose", "h", "y", perm=[0, 1])], MATRIX),
    "cast": (
        [
            node("Cast", "x", "h", to=TensorProto.DOUBLE),
            node("Cast", "h", "y", to=TensorProto.FLOAT),
        ],
        MATRIX,
    ),
    "arg max": ([node("ArgMax", "x", "y", axis=1)], IMAGE, {}, {"kind": TensorProto.INT64}),
    "arg max last": (
        [
            node("ArgMax", "x", "h", axis=-1, keepdims=0),
            node("Cast", "h", "y", to=TensorProto.INT32),
        ],
        IMAGE,
        {},
        {"kind": TensorProto.INT32},
    ),
    "shape arithmetic": (
        [
            node("Shape", "x", "s"),
            node("Gather", "s z", "n"),
            node("Concat", "n m", "t", axis=0),
            node("Reshape", "x t", "y"),
        ],
        IMAGE,
        {"z": np.array([0]), "m": np.array([-1])},
    ),
}


def representable(*shape: int) -> np.ndarray:
    """Integers of [-128, 127], both ends among them: their int8 code is exact."""
    values = RNG.integers(-128, 128, shape).astype(np.float32)
    values.reshape(-1)[:2] = -128, 127
    return values


@pytest.mark.parametrize("case", EXACT)
def test_is_exact_on_representable_data(case: str) -> None:
    nodes, inputs, *rest = EXACT[case]
    constants = rest[0] if rest else {}
    model = network(nodes, inputs, constants, **(rest[1] if len(rest) > 1 else {}))
    feeds = {name: representable(3, *shape[1:]) for name, shape in inputs.items()}
    _, expected, found = run_both(model, feeds)
    assert np.array_equal(expected[0], found[0])


def test_arg_max_is_an_integer_port() -> None:
    model = network([node("ArgMax", "x", "y", axis=1)], MATRIX, kind=TensorProto.INT64)
    compiled, _, _ = run_both(model, {"x": floats(2, 12)})
    assert compiled.checked.program.outputs[0].kind == PortKind.INTEGER


def test_two_outputs_that_are_one_value() -> None:
    nodes = [node("Relu", "x", "y"), node("Reshape", "y s", "z"), node("Identity", "y", "w")]
    model = network(nodes, MATRIX, {"s": np.array([0, 3, 4])}, outputs=["y", "z", "w"])
    compiled, expected, found = run_both(model, {"x": floats(2, 12)})
    assert len({port.tensor for port in compiled.checked.program.outputs}) == 3
    assert all(sqnr(e, f) > 30 for e, f in zip(expected, found, strict=True))


FUSED = [
    "conv relu",
    "conv batch norm",
    "gemm sigmoid",
    "gemm clip",
    "matmul add",
    "add scalar relu",
]


@pytest.mark.parametrize("case", FUSED)
def test_pairs_become_one_op(case: str) -> None:
    nodes, inputs, constants = CASES[case]
    feeds = {name: floats(2, *shape[1:]) for name, shape in inputs.items()}
    compiled, _, _ = run_both(network(nodes, inputs, constants), feeds)
    assert len(compiled.checked.program.ops) == 1


def test_residual_network_keeps_the_shared_value_apart() -> None:
    nodes = [
        node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
        node("Relu", "a", "b"),
        node("Conv", "b u", "c", pads=[1, 1, 1, 1]),
        node("Add", "c b", "d"),
        node("Relu", "d", "y"),
    ]
    model = network(nodes, IMAGE, {"w": weights(4, 3, 3, 3), "u": weights(4, 4, 3, 3)})
    compiled, expected, found = run_both(model, {"x": floats(2, 3, 9, 8)})
    assert [type(op) for op in compiled.checked.program.ops] == [Dot, Dot, Dot]
    assert sqnr(expected[0], found[0]) > 30


def test_activation_is_not_fused_where_the_value_is_read_elsewhere() -> None:
    nodes = [
        node("Gemm", "x w", "h"),
        node("Sigmoid", "h", "s"),
        node("Gemm", "h u", "g"),
        node("Mul", "g s", "y"),
    ]
    model = network(nodes, MATRIX, {"w": weights(12, 7), "u": weights(7, 7)})
    compiled, expected, found = run_both(model, {"x": floats(4, 12)})
    assert len(compiled.checked.program.ops) == 4
    assert sqnr(expected[0], found[0]) > 30


def test_exact_flags_outputs_and_what_is_asked_for() -> None:
    nodes = [node("Gemm", "x w", "h"), node("Relu", "h", "r"), node("Gemm", "r u", "y")]
    model = network(nodes, MATRIX, {"w": weights(12, 7), "u": weights(7, 3)})
    feeds = {"x": floats(2, 12)}
    plain, _, _ = run_both(model, feeds)
    asked, _, _ = run_both(model, feeds, exact=["Relu_r"])
    assert [op.exact for op in plain.checked.program.ops] == [False, True]
    assert [op.exact for op in asked.checked.program.ops] == [True, True]


def test_columns_are_read_through_one_transposed_copy() -> None:
    nodes = [node("MatMul", "x z", "a"), node("MatMul", "x z", "b"), node("Add", "a b", "y")]
    model = network(nodes, {"x": ("n", 4, 12), "z": ("n", 12, 5)})
    compiled, _, _ = run_both(model, {"x": floats(2, 4, 12), "z": floats(2, 12, 5)})
    assert sum(isinstance(op, Pick) for op in compiled.checked.program.ops) == 1


def test_every_file_with_an_operator_is_listed() -> None:
    files = Path(ops.__file__).parent.glob("[!_]*.py")
    operators = re.compile(r"^OPERATORS? = ", re.MULTILINE)
    assert {file.stem for file in files if operators.search(file.read_text())} == set(ops.FILES)
