"""Models that are quantised already, against onnxruntime's own run of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import zktally
from support import quantised as quantised_networks
from support.compared import node
from support.quantised import (
    MICROSOFT,
    apart,
    cnn,
    dynamic,
    mlp,
    network,
    normal,
    outputs,
    runtime,
    static,
    transformer,
)
from zktally.circuits.compile import compile
from zktally.circuits.errors import CompileError, UnsupportedOp
from zktally.verifier.program.types import PortKind, Role

F, I8, U8 = np.float32, np.int8, np.uint8
RNG = np.random.default_rng(3)
NETWORKS = {"mlp": mlp, "cnn": cnn, "transformer": transformer}
ONE = 1.01
"""A quantum, and what float32 adds to it."""


@pytest.fixture(autouse=True)
def _same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has the same, whichever run beside it."""
    monkeypatch.setattr(quantised_networks, "RNG", np.random.default_rng(24))


def whole(kind: Any, *shape: int) -> np.ndarray:
    span = np.iinfo(kind)
    return RNG.integers(span.min, span.max, shape, dtype=kind, endpoint=True)


def own(op: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return node(op, inputs, output, domain=MICROSOFT, **attributes)


def weights_of(compiled: Any, ending: str) -> np.ndarray:
    program = compiled.checked.program
    names = [program.tensors[t].name for t in program.of_role(Role.WEIGHT)]
    return next(w for n, w in zip(names, compiled.weights, strict=True) if n.endswith(ending))


# Networks as onnxruntime's quantiser writes them

FORMS = [
    ("mlp", "QDQ", "QInt8", "QInt8", {}, 13),
    ("mlp", "QDQ", "QUInt8", "QUInt8", {}, 15),
    ("mlp", "QDQ", "QUInt8", "QInt8", {"per_channel": True}, 17),
    ("mlp", "QDQ", "QInt16", "QInt8", {"extra_options": {"ActivationSymmetric": True}}, 21),
    ("mlp", "QDQ", "QUInt16", "QInt8", {"per_channel": True}, 21),
    ("mlp", "QOperator", "QInt8", "QInt8", {"per_channel": True}, 13),
    ("mlp", "QOperator", "QUInt8", "QUInt8", {}, 17),
    ("cnn", "QDQ", "QInt8", "QInt8", {"per_channel": True}, 13),
    ("cnn", "QDQ", "QUInt8", "QInt8", {"extra_options": {"ActivationSymmetric": True}}, 17),
    ("cnn", "QDQ", "QUInt8", "QUInt8", {"extra_options": {"WeightSymmetric": False}}, 19),
    ("cnn", "QDQ", "QInt16", "QInt8", {}, 21),
    ("cnn", "QOperator", "QInt8", "QInt8", {}, 17),
    ("cnn", "QOperator", "QUInt8", "QUInt8", {"extra_options": {"WeightSymmetric": False}}, 17),
    ("transformer", "QDQ", "QInt8", "QInt8", {}, 17),
    ("transformer", "QDQ", "QUInt8", "QInt8", {"per_channel": True}, 21),
]


@pytest.mark.parametrize(("name", "form", "activations", "weights", "options", "opset"), FORMS)
def test_networks_are_within_one_quantum(
    name: str,
    form: str,
    activations: str,
    weights: str,
    options: dict[str, Any],
    opset: int,
    tmp_path: Path,
) -> None:
    model, data = NETWORKS[name](opset)
    quantised = static(model, data, tmp_path, form, activations, weights, **options)
    _, quanta = apart(quantised, {"x": data})
    equal, near = np.mean(quanta < 0.5), np.mean(quanta < 1.5)
    if "16" in activations:  # 256 times finer steps, by multipliers of 15 bits
        assert np.mean(quanta < 16) == 1.0
    else:
        assert (near >= 0.99, equal >= 0.85) == (True, True), (near, equal)


@pytest.mark.parametrize("weights", ["QInt8", "QUInt8"])
@pytest.mark.parametrize("name", NETWORKS)
def test_dynamic_ranges_are_calibrated(name: str, weights: str, tmp_path: Path) -> None:
    model, data = NETWORKS[name](17)
    quantised = dynamic(model, tmp_path, weights)
    compiled = compile(quantised, data, batch=len(data), public=True, evaluate=1)
    (right,), (floats,) = runtime(quantised, {"x": data}), runtime(model, {"x": data})
    ((found, _),) = outputs(compiled, {"x": data})
    signal = np.sum(floats.astype(np.float64) ** 2)
    noise = [np.sum((floats.astype(np.float64) - other) ** 2) for other in (found, right)]
    ours, theirs = (10 * np.log10(signal / each) for each in noise)
    assert ours > min(theirs - 3.0, 30.0)
    assert "ranges are those of calibration" in compiled.report.text()


# One operator each

XS, ZS, YS = np.array(0.02, F), np.array(3, I8), np.array(0.05, F)
X = {"x": ("n", 3, 7)}
IMAGE = {"x": ("n", 3, 5, 7)}
FIVE = {"x": (5, 3, 7)}


def _linear(kind: Any) -> dict[str, np.ndarray]:
    """Scales and zero points of x, a constant b, and the output y."""
    zero = 3 if kind is I8 else 131
    return {
        "xs": XS,
        "xz": np.array(zero, kind),
        "bs": np.array(0.013, F),
        "bz": np.array(zero - 9, kind),
        "ys": YS,
        "yz": np.array(zero - 20, kind),
    }


OPERATORS: dict[str, tuple[Any, ...]] = {
    "QLinearAdd": (own("QLinearAdd", "x xs xz b bs bz ys yz", "y"), X, (7,)),
    "QLinearAdd twice": (own("QLinearAdd", "x xs xz x xs xz ys yz", "y"), X, None),
    "QLinearMul": (own("QLinearMul", "x xs xz b bs bz ys yz", "y"), X, (3, 1)),
    "QLinearSigmoid": (own("QLinearSigmoid", "x xs xz ps pz", "y"), X, None),
    "QLinearLeakyRelu": (own("QLinearLeakyRelu", "x xs xz ys yz", "y", alpha=0.2), X, None),
    "QLinearAveragePool": (
        own("QLinearAveragePool", "x xs xz ys yz", "y", kernel_shape=[2, 3], pads=[1, 1, 0, 1]),
        IMAGE,
        None,
    ),
    "QLinearGlobalAveragePool": (
        own("QLinearGlobalAveragePool", "x xs xz ys yz", "y"),
        IMAGE,
        None,
    ),
    "QLinearConcat": (own("QLinearConcat", "ys yz x xs xz b bs bz", "y", axis=-2), FIVE, (5, 2, 7)),
    "QLinearSoftmax": (own("QLinearSoftmax", "x xs xz ps pz", "y", axis=-1, opset=13), X, None),
    "QLinearWhere": (own("QLinearWhere", "c x xs xz b bs bz ys yz", "y"), X, (7,)),
    "QLinearMatMul": (node("QLinearMatMul", "x xs xz b bs bz ys yz", "y"), X, (7, 4)),
    "QLinearMatMul of stacks": (
        node("QLinearMatMul", "x xs xz b bs bz ys yz", "y"),
        IMAGE,
        (3, 7, 2),
    ),
    "QGemm": (
        own("QGemm", "x xs xz b bs bz d ys yz", "y", transB=1, alpha=0.5),
        {"x": ("n", 7)},
        (4, 7),
    ),
}


@pytest.mark.parametrize("kind", [I8, U8])
@pytest.mark.parametrize("case", OPERATORS)
def test_operators_of_integers(case: str, kind: Any) -> None:
    made, inputs, other = OPERATORS[case]
    code = TensorProto.INT8 if kind is I8 else TensorProto.UINT8
    constants = _linear(kind) | {
        "ps": np.array(1 / 256, F),
        "pz": np.array(np.iinfo(kind).min, kind),
        "c": RNG.integers(0, 2, 7).astype(bool),
        "d": RNG.integers(-9000, 9000, 4).astype(np.int32),
    }
    if other is not None:
        constants["b"] = whole(kind, *other)
    read = {name: constants[name] for name in made.input if name in constants}
    model = network([made], inputs, read, kind=code, out=code)
    steps = [5 if size == "n" else size for size in inputs["x"]]
    compiled, quanta = apart(model, {"x": whole(kind, *steps)})
    assert quanta.max() <= ONE
    assert np.mean(quanta < 0.5) > 0.85
    assert compiled.checked.program.inputs[0].kind == PortKind.INTEGER
    assert compiled.checked.program.outputs[0].kind == PortKind.INTEGER


@pytest.mark.parametrize("kind", [I8, U8])
@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize("channels", [False, True])
def test_qlinear_conv(kind: Any, group: int, channels: bool) -> None:
    """Padding reads the zero point; weights have a scale, and a zero point, for each channel."""
    code = TensorProto.INT8 if kind is I8 else TensorProto.UINT8
    constants = _linear(kind)
    constants["w"] = whole(kind, 6, 3 // group, 3, 2)
    constants["bs"] = np.linspace(0.01, 0.03, 6, dtype=F) if channels else constants["bs"]
    if channels:
        constants["bz"] = np.full(6, constants["bz"])
    constants["d"] = RNG.integers(-9000, 9000, 6).astype(np.int32)
    made = node(
        "QLinearConv",
        "x xs xz w bs bz ys yz d",
        "y",
        pads=[1, 0, 2, 1],
        strides=[2, 1],
        group=group,
    )
    model = network([made], IMAGE, constants, kind=code, out=code, opset=10)
    _, quanta = apart(model, {"x": whole(kind, 5, 3, 5, 7)})
    assert quanta.max() <= ONE
    assert np.mean(quanta < 0.5) > 0.95


@pytest.mark.parametrize("kind", [I8, U8])
def test_products_of_integers_are_exact(kind: Any) -> None:
    code = TensorProto.INT8 if kind is I8 else TensorProto.UINT8
    zeros = {"xz": np.array(5, kind), "wz": np.array(7, kind)}
    product = node("MatMulInteger", "x w xz wz", "y")
    model = network(
        [product], X, zeros | {"w": whole(kind, 7, 11)}, kind=code, out=TensorProto.INT32
    )
    assert apart(model, {"x": whole(kind, 5, 3, 7)})[1].max() == 0.0
    conv = node("ConvInteger", "x w xz wz", "y", pads=[1, 1, 1, 1])
    constants = zeros | {"w": whole(kind, 4, 3, 3, 3)}
    if kind is I8:
        constants["wz"] = np.array(0, kind)
    model = network([conv], IMAGE, constants, kind=code, out=TensorProto.INT32)
    assert apart(model, {"x": whole(kind, 5, 3, 5, 7)})[1].max() == 0.0


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("columns", [False, True])
def test_products_with_an_output_of_floats(bias: bool, columns: bool) -> None:
    scale = np.linspace(0.01, 0.02, 5, dtype=F) if columns else np.array(0.01, F)
    zero = np.full(5, 120, U8) if columns else np.array(120, U8)
    constants = {"w": whole(U8, 7, 5), "ws": scale, "wz": zero, "b": normal(5)}
    tail = " b" if bias else ""
    alone = own("DynamicQuantizeMatMul", "x w ws wz" + tail, "y")
    parted = [
        node("DynamicQuantizeLinear", "x", "q s z"),
        own("MatMulIntegerToFloat", "q w s ws z wz" + tail, "y"),
    ]
    for nodes in ([alone], parted):
        read = {name for made in nodes for name in made.input}
        given = {name: array for name, array in constants.items() if name in read}
        _, quanta = apart(network(nodes, X, given), {"x": normal(5, 3, 7)})
        assert quanta.max() < 3.0


@pytest.mark.parametrize(("bits", "zeros"), [(4, False), (4, True), (8, False)])
@pytest.mark.parametrize("rows", [16, 40])
def test_weights_in_blocks_of_bits(bits: int, zeros: bool, rows: int) -> None:
    blocks = -(-rows // 16)
    constants = {
        "w": whole(U8, 7, blocks, 2 * bits),
        "s": RNG.uniform(0.01, 0.02, 7 * blocks).astype(F),
        "z": whole(U8, 7 * -(-blocks // 2)),
    }
    if not zeros:
        del constants["z"]
    made = own(
        "MatMulNBits",
        "x w s z" if zeros else "x w s",
        "y",
        K=rows,
        N=7,
        bits=bits,
        block_size=16,
    )
    _, quanta = apart(network([made], {"x": ("n", rows)}, constants), {"x": normal(16, rows)})
    assert quanta.max() < 3.0


# What becomes of scales, zero points and integers

PAIR = [node("QuantizeLinear", "x xs xz", "q"), node("DequantizeLinear", "q xs xz", "h")]


def test_weights_are_those_of_the_file() -> None:
    weights = whole(I8, 4, 7)
    weights[0], weights[1, 0] = 3, -128
    constants = {**_linear(I8), "w": weights, "ws": np.linspace(0.01, 0.02, 4, dtype=F)}
    constants["wz"] = np.zeros(4, I8)
    nodes = [
        *PAIR,
        node("DequantizeLinear", "w ws wz", "k", axis=0),
        node("Gemm", "h k", "g", transB=1),
        node("QuantizeLinear", "g ys yz", "p"),
        node("DequantizeLinear", "p ys yz", "y"),
    ]
    del constants["bs"], constants["bz"]
    compiled, quanta = apart(network(nodes, {"x": ("n", 7)}, constants), {"x": normal(16, 7)})
    assert np.array_equal(weights_of(compiled, "weight"), weights)
    assert quanta.max() <= ONE
    assert np.mean(quanta < 0.5) > 0.97
    (port,) = compiled.checked.program.inputs
    assert (port.scale, port.zero) == (float(XS), 3)
    (port,) = compiled.checked.program.outputs
    assert (port.scale, port.zero) == (float(YS), -17)
    assert len(compiled.checked.program.ops) == 1


@pytest.mark.parametrize("form", ["transposed", "fake", "cast", "unsigned"])
def test_weights_behind_other_constant_nodes(form: str) -> None:
    kind = U8 if form == "unsigned" else I8
    constants = {"w": whole(kind, 5, 7), "ws": np.array(0.01, F), "wz": np.array(2, kind)}
    made = [node("DequantizeLinear", "w ws wz", "k"), node("Transpose", "k", "t")]
    if form == "fake":  # as quantisation-aware training leaves it
        constants["v"] = normal(7, 5, by=0.3)
        del constants["w"]
        made = [node("QuantizeLinear", "v ws wz", "w"), node("DequantizeLinear", "w ws wz", "t")]
    if form == "cast":
        made[1:] = [node("Transpose", "k", "u", perm=[1, 0]), node("Cast", "u", "t", to=1)]
    nodes = [*made, node("MatMul", "x t", "y")]
    compiled, quanta = apart(network(nodes, {"x": ("n", 7)}, constants), {"x": normal(16, 7)})
    if form == "fake":
        expected = np.clip(np.rint(constants["v"] / F(0.01)) + 2, -128, 127).T
    else:
        expected = constants["w"].astype(int) - (128 if kind is U8 else 0)
    assert np.array_equal(weights_of(compiled, "weight"), expected)
    assert quanta.max() < 2.0


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("signed", [False, True])
def test_weights_alone_with_a_scale_for_each_block(bits: int, signed: bool) -> None:
    """Large enough that they lie beside the model."""
    kind = getattr(TensorProto, f"{'' if signed else 'U'}INT{bits}")
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    numbers = RNG.integers(low, high, (64, 31))
    constants = {
        "w": helper.make_tensor("w", kind, numbers.shape, numbers.ravel()),
        "s": RNG.uniform(0.01, 0.02, (2, 31)).astype(F),
    }
    nodes = [
        node("DequantizeLinear", "w s", "k", axis=0, block_size=32),
        node("MatMul", "x k", "y"),
    ]
    model = network(nodes, {"x": ("n", 64)}, constants, opset=21)
    _, quanta = apart(model, {"x": normal(16, 64)})
    assert quanta.max() < 3.0


def test_images_of_bytes_in_and_integers_out() -> None:
    constants = {
        "xs": np.array(1 / 255, F),
        "w": normal(4, 3, 3, 3, by=0.3),
        "ys": np.array(0.02, F),
        "yz": np.array(120, U8),
    }
    nodes = [
        node("DequantizeLinear", "x xs", "h"),
        node("Conv", "h w", "c"),
        node("QuantizeLinear", "c ys yz", "y"),
    ]
    model = network(nodes, IMAGE, constants, kind=TensorProto.UINT8, out=TensorProto.UINT8)
    compiled, quanta = apart(model, {"x": whole(U8, 5, 3, 5, 7)})
    assert quanta.max() <= ONE
    for port in (*compiled.checked.program.inputs, *compiled.checked.program.outputs):
        tensor = compiled.checked.program.tensors[port.tensor]
        assert (port.kind, tensor.lo, tensor.hi) == (PortKind.INTEGER, 0, 255)
    assert compiled.report.top1 is None  # near integers are no classes
    assert compiled.report.worst is not None


MOVES: dict[str, tuple[Any, dict[str, Any]]] = {
    "Reshape": (node("Reshape", "q to", "m"), {"to": np.array([0, -1])}),
    "Transpose": (node("Transpose", "q", "m", perm=[0, 3, 1, 2]), {}),
    "MaxPool": (node("MaxPool", "q", "m", kernel_shape=[2, 3], pads=[1, 1, 0, 1]), {}),
    "Slice": (
        node("Slice", "q a b e c", "m"),
        {"a": np.array([6]), "b": np.array([-8]), "c": np.array([-3]), "e": np.array([-1])},
    ),
    "Concat": (node("Concat", "q q", "m", axis=-1), {}),
    "Pad": (node("Pad", "q p", "m"), {"p": np.array([0, 0, 1, 0, 0, 1, 0, 2])}),
    "Pad by a number": (
        node("Pad", "q p v", "m"),
        {"p": np.array([0, 0, 1, 0, 0, 1, 0, 2]), "v": np.array(11, I8)},
    ),
    "Gather": (node("Gather", "q i", "m", axis=1), {"i": np.array([2, 0, 0])}),
}


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_integers_that_are_resized(mode: str) -> None:
    """Between others, onnxruntime drops the fractions of integers."""
    resize = helper.make_node("Resize", ["q", "", "by"], ["m"], mode=mode)
    nodes = [PAIR[0], resize, node("DequantizeLinear", "m xs xz", "y")]
    constants = {"xs": XS, "xz": ZS, "by": np.array([1, 1, 2, 3], F)}
    _, quanta = apart(network(nodes, IMAGE, constants), {"x": normal(5, 3, 5, 7)})
    assert quanta.max() <= (0.01 if mode == "nearest" else ONE)


@pytest.mark.parametrize("kind", [I8, U8])
def test_integers_that_a_node_reads_as_such(kind: Any) -> None:
    nodes = [PAIR[0], node("Cast", "q", "f", to=1), node("Mul", "f xs", "y")]
    constants = {"xs": XS, "xz": np.array(100, kind)}
    assert apart(network(nodes, X, constants), {"x": normal(5, 3, 7)})[1].max() <= ONE


@pytest.mark.parametrize("group", [1, 3])
def test_transposed_convolutions_keep_their_weights(group: int) -> None:
    constants = _linear(I8) | {"w": whole(I8, 3, 4, 3, 3)}
    if group == 1:
        constants["bs"], constants["bz"] = np.linspace(0.01, 0.03, 4, dtype=F), np.zeros(4, I8)
    nodes = [
        *PAIR,
        node("DequantizeLinear", "w bs bz", "k", axis=1),
        node("ConvTranspose", "h k", "c", strides=[2, 1], group=group),
        node("QuantizeLinear", "c ys yz", "p"),
        node("DequantizeLinear", "p ys yz", "y"),
    ]
    _, quanta = apart(network(nodes, IMAGE, constants), {"x": normal(5, 3, 5, 7)})
    assert quanta.max() <= ONE
    assert np.mean(quanta < 0.5) > 0.97


def test_a_choice_of_constants_in_a_code() -> None:
    """Also the least integer, which a symmetric code does not have."""
    nodes = [
        *PAIR,
        node("Greater", "h zero", "g"),
        node("Where", "g h c", "w"),
        node("QuantizeLinear", "w xs xz", "p"),
        node("DequantizeLinear", "p xs xz", "y"),
    ]
    constants = {"xs": XS, "xz": ZS, "zero": np.array(0, F), "c": normal(7, by=9.0)}
    assert apart(network(nodes, X, constants), {"x": normal(5, 3, 7)})[1].max() < 0.01


@pytest.mark.parametrize("output", [False, True])
@pytest.mark.parametrize("case", MOVES)
def test_integers_that_move(case: str, output: bool) -> None:
    made, constants = MOVES[case]
    nodes = [PAIR[0], made, node("DequantizeLinear", "m xs xz", "y")]
    model = network(
        nodes[:2] if output else nodes,
        IMAGE,
        {"xs": XS, "xz": ZS} | constants,
        outputs=["m" if output else "y"],
        out=TensorProto.INT8 if output else TensorProto.FLOAT,
    )
    assert apart(model, {"x": normal(5, 3, 5, 7)})[1].max() < 0.01


def test_names_that_the_file_has_are_left_to_it() -> None:
    nodes = [
        PAIR[0],
        node("DequantizeLinear", "q xs xz", "h"),
        helper.make_node("Relu", ["h"], ["q as reals"]),
        helper.make_node("Neg", ["q as reals"], ["y"]),
    ]
    model = network(nodes, X, {"xs": XS, "xz": ZS})
    assert apart(model, {"x": normal(5, 3, 7)})[1].max() < 1.0


def test_the_order_of_integers_is_that_of_reals() -> None:
    nodes = [PAIR[0], node("ArgMax", "q", "y", axis=-1, keepdims=0)]
    model = network(nodes, X, {"xs": XS, "xz": ZS}, out=TensorProto.INT64)
    assert apart(model, {"x": normal(5, 3, 7)})[1].max() == 0.0


@pytest.mark.parametrize("kind", [I8, U8, np.int16, np.uint16])
def test_a_value_of_two_codes(kind: Any) -> None:
    """Quantised anew, read by another code than it was written by, and written twice."""
    zero = 100 + (128 if kind in (U8, np.uint16) else 0)
    nodes = [
        *PAIR,
        node("QuantizeLinear", "h ys yz", "r"),
        node("DequantizeLinear", "r ys yz", "a"),
        node("DequantizeLinear", "r xs yz", "b"),
        node("QuantizeLinear", "h ys yz", "t"),
        node("DequantizeLinear", "t ys yz", "c"),
        node("Identity", "t", "d"),
    ]
    constants = {
        "xs": XS,
        "xz": np.array(zero, kind),
        "ys": np.array(0.031, F),
        "yz": np.array(zero - 30, kind),
    }
    code = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    model = network(nodes, X, constants, outputs=["a", "b", "c"], opset=21)
    compiled, quanta = apart(model, {"x": normal(5, 3, 7)})
    assert quanta.max() <= ONE
    dots = [op for op in compiled.checked.program.ops if hasattr(op, "terms")]
    assert len(dots) == 1
    model = network(nodes, X, constants, outputs=["d"], out=code, opset=21)
    assert apart(model, {"x": normal(5, 3, 7)})[1].max() <= ONE


def test_a_value_that_floats_read_too() -> None:
    """It has the code of the file where that limits nothing, and its own where it does."""
    for scale, ops in ((0.04, 3), (0.004, 4)):
        nodes = [
            node("Mul", "x two", "v"),
            node("QuantizeLinear", "v s z", "q"),
            node("DequantizeLinear", "q s z", "h"),
            node("Abs", "v", "a"),
            node("Add", "h a", "y"),
        ]
        constants = {"two": np.array(2.0, F), "s": np.array(scale, F), "z": np.array(0, I8)}
        data = np.clip(normal(16, 3, 7), -2.5, 2.5)
        data[0, 0, :2] = -2.5, 2.5
        compiled, quanta = apart(network(nodes, X, constants), {"x": data})
        assert len(compiled.checked.program.ops) == ops
        assert quanta.max() < 3.0


@pytest.mark.parametrize("bias", [2**23, 2**31 - 2**18])
def test_a_bias_of_more_than_24_bits(bias: int) -> None:
    """The channel is all but silent: its weights are quantised anew."""
    constants = {
        **_linear(I8),
        "w": whole(I8, 3, 7),
        "ws": np.array([0.01, 20.0 / bias, 0.02], F),
        "wz": np.zeros(3, I8),
        "d": np.array([100, bias, -200], np.int32),
    }
    del constants["bs"], constants["bz"]
    made = own("QGemm", "x xs xz w ws wz d ys yz", "y", transB=1)
    model = network([made], {"x": ("n", 7)}, constants, kind=TensorProto.INT8, out=TensorProto.INT8)
    assert apart(model, {"x": whole(I8, 16, 7)})[1].max() <= ONE


def test_a_softmax_in_the_code_of_the_file() -> None:
    for scale in (1 / 256, 0.0031):
        nodes = [
            node("Softmax", "x", "h", axis=-1),
            node("QuantizeLinear", "h s z", "q"),
            node("DequantizeLinear", "q s z", "y"),
        ]
        constants = {"s": np.array(scale, F), "z": np.array(-128, I8)}
        compiled, quanta = apart(network(nodes, X, constants), {"x": normal(16, 3, 7)})
        assert compiled.checked.program.outputs[0].scale == float(F(scale))
        assert np.mean(quanta < 1.5) > 0.99


def test_rows_of_a_quantised_table_are_chosen() -> None:
    constants = {"t": whole(I8, 11, 5), "s": np.array(0.1, F), "z": np.array(4, I8)}
    nodes = [node("DequantizeLinear", "t s z", "k"), node("Gather", "k x", "y")]
    model = network(nodes, {"x": ("n", 3)}, constants, kind=TensorProto.INT64)
    compiled, quanta = apart(model, {"x": RNG.integers(0, 11, (5, 3))})
    assert np.array_equal(weights_of(compiled, "table"), constants["t"])
    assert quanta.max() < 0.01


def test_many_elements_and_many_layers() -> None:
    constants = {"xs": XS, "xz": ZS, "ys": np.array(0.03, F), "yz": np.array(-3, I8)}
    nodes = [*PAIR, node("QuantizeLinear", "h ys yz", "y")]
    model = network(nodes, {"x": ("n", 1)}, constants, out=TensorProto.INT8)
    assert apart(model, {"x": normal(100_003, 1)})[1].max() <= ONE
    deep = [node("QuantizeLinear", "x xs xz", "q0")]
    for n in range(40):
        deep.append(own("QLinearLeakyRelu", f"q{n} xs xz xs xz", f"q{n + 1}", alpha=0.9))
    deep.append(node("DequantizeLinear", "q40 xs xz", "y"))
    read = {"xs": XS, "xz": ZS}
    assert apart(network(deep, X, read), {"x": normal(5, 3, 7)})[1].max() < 0.01


# Calibration, checks, refusals


def test_a_model_that_gives_every_code_needs_no_data(tmp_path: Path) -> None:
    model, data = mlp()
    quantised = static(model, data, tmp_path, "QDQ", "QInt8", "QInt8")
    alone, quanta = apart(quantised, {"x": data}, calibration=None)
    calibrated = compile(quantised, data, batch=len(data), public=True)
    assert alone.model_id == calibrated.model_id
    assert alone.report.evaluated == 0
    assert "not measured" in alone.report.text()
    assert np.mean(quanta < 1.5) >= 0.99
    with pytest.raises(CompileError, match="no calibration data"):
        compile(dynamic(model, tmp_path, "QInt8"), None)
    with pytest.raises(CompileError, match="no calibration data"):
        compile(model, None)


def test_the_check_of_a_compiled_model_and_its_report(tmp_path: Path) -> None:
    model, data = mlp()
    quantised = static(model, data, tmp_path, "QOperator", "QInt8", "QInt8")
    compiled = compile(quantised, data, batch=2, public=True)
    checked = zktally.check_model(quantised, compiled, calibration=data, evaluation=data)
    assert checked.model_id == compiled.model_id.hex()
    floats = compile(model, data, batch=2, public=True).report
    assert compiled.report.parameters == floats.parameters
    assert all(layer.sqnr_db is None or layer.sqnr_db > 20 for layer in compiled.report.layers)


S, Z = np.array(0.1, F), np.array(0, I8)
BOTH = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "y")]
DYNAMIC = [
    node("DynamicQuantizeLinear", "x", "q u v"),
    node("MatMulInteger", "q k v", "m"),
    node("Cast", "m", "f", to=1),
]
REFUSED: dict[str, tuple[Any, ...]] = {
    "a scale of the data": (
        [node("Abs", "x", "a"), node("ReduceMax", "a", "s", keepdims=0), *BOTH],
        {"z": Z},
        "computed at run time",
    ),
    "a scale for each channel of a value": (
        BOTH,
        {"s": np.array([0.1, 0.2, 0.3], F), "z": np.zeros(3, I8)},
        "differs along an axis",
    ),
    "an eighth of a float": (
        BOTH,
        {"s": S, "z": helper.make_tensor("z", TensorProto.FLOAT8E4M3FN, [], [0.0])},
        "FLOAT8E4M3FN",
    ),
    "integers of unlike codes": (
        [
            BOTH[0],
            node("QuantizeLinear", "x t z", "p"),
            node("Concat", "q p", "c", axis=1),
            node("DequantizeLinear", "c s z", "y"),
        ],
        {"s": S, "t": np.array(0.2, F), "z": Z},
        "unlike codes",
    ),
    "a dynamic scale that is read": (
        [node("DynamicQuantizeLinear", "x", "q s z"), node("Mul", "x s", "y")],
        {},
        "is not their scale",
    ),
    "a dynamic scale as an output": (
        [node("DynamicQuantizeLinear", "x", "q y z"), node("MatMulInteger", "q k z", "m")],
        {"k": np.zeros((7, 3), U8)},
        "is an output of the model",
    ),
    "a dynamic product that is not scaled": (
        [*DYNAMIC, node("Mul", "f s", "y")],
        {"k": np.zeros((7, 3), U8), "s": S},
        "is not their scale",
    ),
    "a dynamic product that is quantised": (
        [
            *DYNAMIC,
            node("QuantizeLinear", "f s z", "p"),
            node("DequantizeLinear", "p s z", "y"),
        ],
        {"k": np.zeros((7, 3), U8), "s": S, "z": Z},
        "depend on the range of the data",
    ),
    "a long sum of integers": (
        [BOTH[0], node("MatMulInteger", "q k", "m"), node("Cast", "m", "y", to=1)],
        {"s": S, "z": Z, "k": np.zeros((200, 3), I8)},
        "24 bits",
    ),
    "channels last": (
        [
            BOTH[0],
            own("QLinearGlobalAveragePool", "q s z s z", "p", channels_last=1),
            node("DequantizeLinear", "p s z", "y"),
        ],
        {"s": S, "z": Z},
        "channels_last",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_compile_is_refused_with_its_reason(case: str) -> None:
    nodes, constants, reason = REFUSED[case]
    shape = (2, 3, 200) if "long" in case else (2, 3, 4, 5) if "channels" in case else (2, 3, 7)
    model = network(nodes, {"x": shape}, constants, opset=19)
    with pytest.raises(UnsupportedOp) as caught:
        compile(model, normal(*shape))
    assert reason in caught.value.message
