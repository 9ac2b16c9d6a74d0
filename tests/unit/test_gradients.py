"""The rules of differentiation, against differences of the function in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from zktally.circuits.backward import backward, behind
from zktally.circuits.compile import open_network
from zktally.circuits.errors import NotTrainable
from zktally.circuits.graph import read
from zktally.circuits.ops import OPERATORS
from zktally.circuits.session import Session
from zktally.circuits.source import expand
from zktally.circuits.tape import Tape

RNG = np.random.default_rng(11)
STEP = 1e-2

Shapes = Mapping[str, Sequence[int]]


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, np.ndarray],
    constants: Mapping[str, np.ndarray],
    outputs: Sequence[str],
    opset: int,
) -> onnx.ModelProto:
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in inputs.items()
    ]
    graph = helper.make_graph(
        list(nodes),
        "g",
        infos,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def check(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, np.ndarray],
    constants: Mapping[str, np.ndarray] | None = None,
    outputs: Sequence[str] = ("y",),
    *,
    opset: int = 17,
    step: float = STEP,
    within: float = 5e-3,
) -> None:
    """The gradient of Σ r·y by every float input is that of central differences."""
    network = open_network(model_of(nodes, inputs, constants or {}, outputs, opset), None, None)
    graph = network.at()
    tape = Tape(graph)
    weights = {name: RNG.normal(size=graph.shapes[name]) for name in outputs}
    seeds = {name: tape.constant(weights[name]) for name in outputs}
    wanted = [name for name in graph.inputs if graph.is_float(name)]
    gradients = backward(tape, OPERATORS, seeds, wanted)
    assert sorted(gradients) == sorted(wanted)
    found = Session(behind(graph.source, tape, gradients.values()), gradients.values()).run(
        dict(inputs)
    )
    forward = Session(graph.source, outputs, plainly=True)

    def loss(feeds: Mapping[str, np.ndarray]) -> float:
        values = forward.run(dict(feeds))
        return sum(float(np.sum(values[n].astype(np.float64) * weights[n])) for n in outputs)

    for name in wanted:
        array = np.asarray(inputs[name])
        numeric = np.zeros(array.size)
        for place in range(array.size):
            ends = []
            for sign in (1, -1):
                moved = array.astype(np.float64).ravel().copy()
                moved[place] += sign * step
                ends.append(loss({**inputs, name: moved.reshape(array.shape).astype(np.float32)}))
            numeric[place] = (ends[0] - ends[1]) / (2 * step)
        exact = found[gradients[name]]
        assert exact.shape == array.shape
        error = np.linalg.norm(exact.ravel() - numeric) / max(np.linalg.norm(numeric), 1e-3)
        assert error < within, (name, error)


def node(op: str, inputs: str, output: str = "y", **attributes: Any) -> onnx.NodeProto:
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op, names, output.split(), name=f"{op}_{output}", **attributes)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def apart(*shape: int) -> np.ndarray:
    """Values of which no two are nearer than 0.1: where a maximum is, stays."""
    count = int(np.prod(shape))
    places = RNG.permutation(count).reshape(shape) - count // 2
    return np.asarray(places * 0.1 + 0.03, np.float32)


def test_operators_that_are_written_out() -> None:
    """Their gradients are those of what stands for them."""
    x = apart(2, 11) + np.float32(1.5)
    check([node("ReduceProd", "x a")], {"x": x / 4}, {"a": np.array([1])}, opset=18, step=1e-3)
    check([node("CumProd", "x a")], {"x": x / 2}, {"a": np.array(1)}, opset=26, step=1e-3)
    image = apart(1, 2, 4, 4)
    steps = {"kernel_shape": [2, 2], "strides": [2, 2]}
    pool = node("MaxPool", "x", "p i", **steps)
    check([pool, node("Sin", "p", "h"), node("MaxUnpool", "h i", **steps)], {"x": image})


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean"])
@pytest.mark.parametrize(
    "shapes", [((3, 5), (3, 5)), ((2, 3, 5), (5,)), ((1, 3, 1), (2, 1, 5)), ((), (3,))]
)
def test_of_two(op: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    a, b = (apart(*shape) if op in ("Max", "Min") else normal(*shape) for shape in shapes)
    if op == "Div":
        b = np.asarray(np.sign(b) * (np.abs(b) + 1.0), np.float32)
    check([node(op, "a b")], {"a": a, "b": np.asarray(b + np.float32(0.05), np.float32)})


def test_an_operand_twice() -> None:
    check([node("Mul", "a a", "m"), node("Add", "m a")], {"a": normal(3, 4)})


SMOOTH = (
    *("Sigmoid", "Tanh", "Exp", "Erf", "Sin", "Cos", "Neg", "Softplus", "Softsign", "Mish", "Gelu"),
    *("Elu", "Selu", "Celu", "HardSigmoid", "HardSwish", "LeakyRelu", "Relu", "ThresholdedRelu"),
    *("Abs", "Atan", "Reciprocal", "Sqrt", "Log"),
)


@pytest.mark.parametrize("op", SMOOTH)
def test_of_one(op: str) -> None:
    x = np.linspace(-2.2, 2.3, 21).reshape(3, 7).astype(np.float32)
    if op in ("Sqrt", "Log", "Reciprocal"):
        x = np.abs(x) + np.float32(0.7)
    check([node(op, "x")], {"x": x}, opset=20)


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("Elu", {"alpha": 0.7}),
        ("Celu", {"alpha": 1.7}),
        ("Selu", {"alpha": 1.5, "gamma": 0.8}),
        ("LeakyRelu", {"alpha": 0.3}),
        ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
        ("ThresholdedRelu", {"alpha": 0.4}),
        ("Gelu", {"approximate": "tanh"}),
    ],
)
def test_attributes(op: str, attributes: dict[str, Any]) -> None:
    check([node(op, "x", **attributes)], {"x": apart(3, 7)}, opset=20)


@pytest.mark.parametrize("exponent", [2.0, 3.0, 0.5, -1.5])
def test_pow(exponent: float) -> None:
    x = np.abs(normal(4, 5)) + np.float32(0.8)
    check([node("Pow", "x p")], {"x": x}, {"p": np.float32(exponent)})


def test_clip_and_prelu() -> None:
    bounds = {"low": np.float32(-0.81), "high": np.float32(0.62)}
    check([node("Clip", "x low high")], {"x": apart(5, 7)}, bounds)
    check([node("PRelu", "x s")], {"x": apart(3, 5), "s": normal(5)})


@pytest.mark.parametrize(
    "shapes",
    [
        ((3, 5), (5, 2)),
        ((2, 3, 5), (5, 4)),
        ((2, 3, 5), (2, 5, 4)),
        ((2, 1, 3, 5), (7, 5, 1)),
        ((5,), (5, 3)),
        ((4, 5), (5,)),
        ((5,), (2, 5, 3)),
        ((5,), (5,)),
    ],
)
def test_matmul(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    check([node("MatMul", "a b")], {"a": normal(*shapes[0]), "b": normal(*shapes[1])})


@pytest.mark.parametrize("turned_a", [0, 1])
@pytest.mark.parametrize("turned_b", [0, 1])
def test_gemm(turned_a: int, turned_b: int) -> None:
    a, b = normal(*((5, 3) if turned_a else (3, 5))), normal(*((4, 5) if turned_b else (5, 4)))
    gemm = node("Gemm", "a b c", alpha=0.7, beta=1.3, transA=turned_a, transB=turned_b)
    for c in (normal(4), normal(3, 1), normal(3, 4)):
        check([gemm], {"a": a, "b": b, "c": c})


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 1], "pads": [1, 0, 2, 1]},
        {"strides": [2, 3], "dilations": [2, 1]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER"},
        {"pads": [2, 2, 2, 2]},
    ],
)
@pytest.mark.parametrize("groups", [1, 2])
def test_conv(attributes: dict[str, Any], groups: int) -> None:
    x, w, b = normal(2, 4, 7, 8), normal(6, 4 // groups, 3, 2), normal(6)
    conv = node("Conv", "x w b", group=groups, **attributes)
    check([conv], {"x": x, "w": w, "b": b})


def test_conv_of_one_and_three_axes_and_depthwise() -> None:
    check([node("Conv", "x w", strides=[2])], {"x": normal(2, 3, 9), "w": normal(4, 3, 4)})
    check([node("Conv", "x w")], {"x": normal(1, 2, 4, 3, 4), "w": normal(3, 2, 2, 2, 2)})
    check([node("Conv", "x w", group=3)], {"x": normal(2, 3, 5, 5), "w": normal(3, 1, 3, 3)})


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 1], "pads": [1, 0, 2, 1]},
        {"strides": [2, 3], "dilations": [2, 1], "output_padding": [1, 2]},
        {"strides": [3, 3], "output_shape": [11, 7]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    ],
)
@pytest.mark.parametrize("groups", [1, 2])
def test_conv_transpose(attributes: dict[str, Any], groups: int) -> None:
    x, w, b = normal(2, 4, 4, 3), normal(4, 6 // groups, 3, 2), normal(6)
    conv = node("ConvTranspose", "x w b", group=groups, **attributes)
    check([conv], {"x": x, "w": w, "b": b})


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [3, 2], "strides": [1, 2]},
        {"kernel_shape": [2, 2], "strides": [3, 3]},
        {"kernel_shape": [2, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    ],
)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pools(op: str, attributes: dict[str, Any]) -> None:
    check([node(op, "x", **attributes)], {"x": apart(2, 3, 7, 8)})


def test_pools_with_dilations_counts_and_whole_images() -> None:
    pool = node("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 1])
    check([pool], {"x": apart(1, 2, 6, 5)})
    pool = node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    check([pool], {"x": normal(1, 2, 5, 5)})
    for op in ("GlobalAveragePool", "GlobalMaxPool"):
        check([node(op, "x")], {"x": apart(2, 3, 4, 5)})


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax(op: str, axis: int) -> None:
    check([node(op, "x", axis=axis)], {"x": normal(3, 4, 5)})
    check([node(op, "x", axis=max(axis, 0))], {"x": normal(3, 4, 5)}, opset=12)


REDUCE = ["Sum", "Mean", "SumSquare", "L1", "L2", "Max", "Min", "LogSumExp", "LogSum"]


@pytest.mark.parametrize("kind", REDUCE)
@pytest.mark.parametrize("keep", [0, 1])
def test_reductions(kind: str, keep: int) -> None:
    x = apart(3, 4, 5)
    if kind == "LogSum":
        x = np.abs(x) + np.float32(1.0)
    op = f"Reduce{kind}"
    for opset in (13, 18):
        for axes in ([1], [0, 2], None):
            attributes: dict[str, Any] = {"keepdims": keep}
            constants, names = {}, "x"
            if axes and (op == "ReduceSum" or opset >= 18):
                constants, names = {"axes": np.array(axes)}, "x axes"
            elif axes:
                attributes["axes"] = axes
            check([node(op, names, **attributes)], {"x": x}, constants, opset=opset)


def test_cumulative_sums() -> None:
    axis = {"axis": np.int64(1)}
    for attributes in ({}, {"reverse": 1}, {"exclusive": 1}, {"reverse": 1, "exclusive": 1}):
        check([node("CumSum", "x axis", **attributes)], {"x": normal(3, 5)}, axis)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_views() -> None:
    x = {"x": normal(2, 3, 4)}
    check([node("Reshape", "x s")], x, {"s": ints(4, -1)})
    check([node("Flatten", "x")], x)
    check([node("Unsqueeze", "x a", "u"), node("Squeeze", "u a")], x, {"a": ints(1)})
    check([node("Transpose", "x", perm=[2, 0, 1])], x)
    check([node("Transpose", "x")], x)
    check([node("Expand", "x s")], {"x": normal(3, 1)}, {"s": ints(2, 3, 4)})
    check([node("Tile", "x r")], x, {"r": ints(2, 1, 3)})
    check([node("Identity", "x", "i"), node("Mul", "i i")], x)


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ([1], [3], [1], [1]),
        ([0, 4], [2, 0], [0, 2], [1, -1]),
        ([-1], [-(2**31)], [2], [-2]),
        ([1, 0], [5, 4], [2, 1], [2, 3]),
    ],
)
def test_slices(starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> None:
    cut = {"s": ints(*starts), "e": ints(*ends), "a": ints(*axes), "t": ints(*steps)}
    check([node("Slice", "x s e a t")], {"x": normal(3, 4, 7)}, cut)


def test_parts() -> None:
    check([node("Concat", "a b", axis=1)], {"a": normal(2, 3), "b": normal(2, 5)})
    split = node("Split", "x sizes", "p y", axis=-1)
    check(
        [split, node("Sigmoid", "p", "z")], {"x": normal(3, 7)}, {"sizes": ints(2, 5)}, ("z", "y")
    )
    check([split], {"x": normal(3, 7)}, {"sizes": ints(2, 5)})
    condition = {"c": RNG.random((3, 5)) < 0.5}
    check([node("Where", "c a b")], {"a": normal(3, 5), "b": normal(5)}, condition)
    less = [node("Less", "a b", "l"), node("Where", "l a b")]
    check(less, {"a": apart(3, 5), "b": apart(3, 5) + np.float32(0.05)})


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_pads(mode: str) -> None:
    pads = {"p": ints(0, 1, 2, 1, 0, 2)}
    check([node("Pad", "x p", mode=mode)], {"x": normal(2, 4, 5)}, pads, opset=19)
    if mode == "constant":
        crops = {"p": ints(0, -1, 2, 1, 0, -2)}
        check([node("Pad", "x p", mode=mode)], {"x": normal(2, 4, 5)}, crops)


def test_gathers() -> None:
    chosen = {"i": ints(2, 0, 2, -1).reshape(2, 2)}
    check([node("Gather", "x i", axis=1)], {"x": normal(3, 4, 2)}, chosen)
    check([node("Gather", "x i")], {"x": normal(5, 3), "i": ints(1, 4, 1, 0)})
    check([node("Gather", "x i", axis=1)], {"x": normal(2, 5, 3), "i": ints(1, 4, 1, 0)})


def test_images() -> None:
    for mode in ("DCR", "CRD"):
        blocks = node("DepthToSpace", "x", blocksize=2, mode=mode)
        check([blocks], {"x": normal(2, 8, 3, 2)})
    check([node("SpaceToDepth", "x", blocksize=2)], {"x": normal(2, 3, 4, 6)})
    for mode in ("nearest", "linear"):
        scales = {"s": np.array([1, 1, 2, 1.5], np.float32)}
        check([node("Resize", "x - s", mode=mode)], {"x": normal(1, 2, 3, 4)}, scales)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("bij,bjk->bik", ((2, 3, 4), (2, 4, 5))),
        ("bhid,bhjd->bhij", ((2, 2, 3, 4), (2, 2, 5, 4))),
        ("ij->j", ((3, 4),)),
        ("ij,k->ik", ((3, 4), (5,))),
        ("...ij,jk->...ik", ((2, 3, 4), (4, 5))),
    ],
)
def test_einsum(equation: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    names = "ab"[: len(shapes)]
    given = {name: normal(*shape) for name, shape in zip(names, shapes, strict=True)}
    check([node("Einsum", " ".join(names), equation=equation)], given)


def test_batch_normalization() -> None:
    constants = {"m": normal(3), "v": np.abs(normal(3)) + np.float32(0.5)}
    batch = node("BatchNormalization", "x g b m v")
    check([batch], {"x": normal(2, 3, 4, 5), "g": normal(3), "b": normal(3)}, constants)


def test_a_network_of_functions() -> None:
    """LayerNormalization has no rule of its own: its body is differentiated."""
    inputs = {"x": normal(3, 5), "w": normal(5, 7), "g": normal(7), "b": normal(7)}
    nodes = [
        node("MatMul", "x w", "h"),
        node("LayerNormalization", "h g b", "n"),
        node("Sigmoid", "n"),
    ]
    graph = read(model_of(nodes, inputs, {}, ["y"], 17))
    known = {name for name, operator in OPERATORS.items() if operator.gradient is not None}
    written = expand(graph.source, known)
    check(list(written.model.graph.node), inputs, dict(written.arrays))


def test_nodes_without_a_rule_are_listed() -> None:
    nodes = [node("Floor", "x", "f"), node("Round", "f")]
    graph = read(model_of(nodes, {"x": normal(3)}, {}, ["y"], 17))
    tape = Tape(graph)
    with pytest.raises(NotTrainable) as caught:
        backward(tape, OPERATORS, {"y": tape.constant(np.ones(3))}, ["x"])
    assert caught.value.code == "compile.not-trainable"
    assert "Round_y" in caught.value.message
