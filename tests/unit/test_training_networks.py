"""A step of each of the usual networks: gradients in integers beside those of floats."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from support.learning import (
    Batch,
    Integers,
    alike,
    batches,
    drawn,
    floats,
    learner,
    network,
    node,
)
from zktally.circuits.ops import OPERATORS
from zktally.circuits.training.integers import pieces
from zktally.circuits.training.losses import CrossEntropy, Loss, MeanSquaredError
from zktally.circuits.training.optimisers import SGD
from zktally.circuits.training.program import Form
from zktally.circuits.training.step import Recipe, training_step
from zktally.verifier.program.types import AxisMap, Const, Read, Term

Nodes = list[onnx.NodeProto]
Arrays = dict[str, np.ndarray]
BATCH = 16
IMAGE = (2, 8, 8)
NOTHING = 1e-4
"""A gradient below that is 0 but for roundings: a bias before a normalisation, its gain before
another."""


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def number(value: float) -> np.ndarray:
    return np.float32(value)


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def perceptron(nodes: Nodes, opset: int = 17, **more: np.ndarray) -> onnx.ModelProto:
    """Two layers with nodes from `z` [N, 24] to `h` in between."""
    constants = {
        "w0": drawn(rng(), 24, 12),
        "b0": zeros(24),
        "w1": drawn(rng(), 5, 24),
        "b1": zeros(5),
        **more,
    }
    ends = node("Gemm", "x w0 b0", "z", transB=1), node("Gemm", "h w1 b1", "y", transB=1)
    model = network([ends[0], *nodes, ends[1]], constants, (12,))
    model.opset_import[0].version = opset
    return model


def pixels(nodes: Nodes, opset: int = 17, **more: np.ndarray) -> onnx.ModelProto:
    """A convolution and a layer with nodes from `z` [N, 8, 8, 8] to `h` of that shape between."""
    constants = {
        "w0": drawn(rng(), 8, 2, 3, 3, fan=18),
        "b0": zeros(8),
        "w1": drawn(rng(), 4, 128),
        "b1": zeros(4),
        **more,
    }
    start = node("Conv", "x w0 b0", "z", pads=[1] * 4)
    end = [
        node("Relu", "h", "r"),
        node("AveragePool", "r", "q", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", "q", "f"),
        node("Gemm", "f w1 b1", "y", transB=1),
    ]
    model = network([start, *nodes, *end], constants, IMAGE)
    model.opset_import[0].version = opset
    return model


def norm(name: str, x: str, channels: int) -> tuple[onnx.NodeProto, Arrays]:
    """A BatchNormalization of x, and its constants."""
    kinds = {"gain": ones, "offset": zeros, "mean": zeros, "variance": ones}
    held = {f"{name}/{kind}": make(channels) for kind, make in kinds.items()}
    return node("BatchNormalization", " ".join((x, *held)), name), held


def residual() -> onnx.ModelProto:
    sizes = {"c0": (8, 2, 3), "c1": (16, 8, 3), "c2": (16, 16, 3), "short": (16, 8, 1)}
    constants = {
        name: drawn(rng(), out, inner, k, k, fan=inner * k * k)
        for name, (out, inner, k) in sizes.items()
    } | {"w": drawn(rng(), 4, 16), "b": zeros(4)}
    norms = {}
    for number_, (name, x) in enumerate(
        (("c0", "z0"), ("c1", "z1"), ("c2", "z2"), ("short", "zs"))
    ):
        norms[name], held = norm(f"n{number_}", x, sizes[name][0])
        constants |= held
    nodes = [
        node("Conv", "x c0", "z0", pads=[1] * 4),
        norms["c0"],
        node("Relu", "n0", "h0"),
        node("Conv", "h0 c1", "z1", pads=[1] * 4, strides=[2, 2]),
        norms["c1"],
        node("Relu", "n1", "h1"),
        node("Conv", "h1 c2", "z2", pads=[1] * 4),
        norms["c2"],
        node("Conv", "h0 short", "zs", strides=[2, 2]),
        norms["short"],
        node("Add", "n2 n3", "a"),
        node("Relu", "a", "h"),
        node("GlobalAveragePool", "h", "p"),
        node("Flatten", "p", "q"),
        node("Gemm", "q w b", "y", transB=1),
    ]
    return network(nodes, constants, IMAGE)


def separable() -> onnx.ModelProto:
    """A depthwise convolution and one of single pixels, clipped at 6."""
    constants = {
        "c0": drawn(rng(), 8, 2, 3, 3, fan=18),
        "depth": drawn(rng(), 8, 1, 3, 3, fan=9),
        "point": drawn(rng(), 16, 8, 1, 1, fan=8),
        "w": drawn(rng(), 4, 16),
        "low": number(0),
        "high": number(6),
    }
    normed, held = norm("n1", "z1", 8)
    nodes = [
        node("Conv", "x c0", "z0", pads=[1] * 4, strides=[2, 2]),
        node("Clip", "z0 low high", "h0"),
        node("Conv", "h0 depth", "z1", pads=[1] * 4, group=8),
        normed,
        node("Clip", "n1 low high", "h1"),
        node("Conv", "h1 point", "z2"),
        node("Clip", "z2 low high", "h2"),
        node("ReduceMean", "h2", "q", axes=[2, 3], keepdims=0),
        node("Gemm", "q w", "y", transB=1),
    ]
    return network(nodes, {**constants, **held}, IMAGE)


def gelu(kind: str) -> onnx.ModelProto:
    one, half = number(1), number(0.5)
    if kind == "erf":
        nodes = [
            node("Div", "z root", "e0"),
            node("Erf", "e0", "e1"),
            node("Add", "e1 one", "e2"),
            node("Mul", "z e2", "e3"),
            node("Mul", "e3 half", "h"),
        ]
        return perceptron(nodes, root=number(2**0.5), one=one, half=half)
    nodes = [
        node("Pow", "z three", "e0"),
        node("Mul", "e0 k", "e1"),
        node("Add", "z e1", "e2"),
        node("Mul", "e2 s", "e3"),
        node("Tanh", "e3", "e4"),
        node("Add", "e4 one", "e5"),
        node("Mul", "z e5", "e6"),
        node("Mul", "e6 half", "h"),
    ]
    more = {"three": number(3), "k": number(0.044715), "s": number((2 / np.pi) ** 0.5)}
    return perceptron(nodes, one=one, half=half, **more)


def spelled(kind: str) -> onnx.ModelProto:
    """RMSNorm or LayerNorm in plain operators."""
    x = "z" if kind == "rms" else "d"
    nodes = [
        node("Pow", f"{x} two", "p"),
        node("ReduceMean", "p", "m", axes=[-1]),
        node("Add", "m eps", "a"),
        node("Sqrt", "a", "s"),
        node("Div", f"{x} s", "n"),
        node("Mul", "n gain", "h"),
    ]
    if kind != "rms":
        nodes = [node("ReduceMean", "z", "m0", axes=[-1]), node("Sub", "z m0", "d"), *nodes]
    return perceptron(nodes, two=number(2), eps=number(1e-5), gain=ones(24))


def group_of_torch() -> onnx.ModelProto:
    """As torch exports a GroupNorm: an InstanceNormalization of groups, and an affine map."""
    nodes = [
        node("Reshape", "z groups", "z3"),
        node("InstanceNormalization", "z3 unit nil", "n3"),
        node("Reshape", "n3 whole", "n4"),
        node("Mul", "n4 gain", "n5"),
        node("Add", "n5 offset", "h"),
    ]
    more = {"groups": np.array([0, 2, -1]), "whole": np.array([-1, 8, 8, 8])}
    own = {"unit": ones(2), "nil": zeros(2), "gain": ones(8, 1, 1), "offset": zeros(8, 1, 1)}
    return pixels(nodes, **more, **own)


def halved(*nodes: onnx.NodeProto, **more: np.ndarray) -> onnx.ModelProto:
    """Images of half the size, made whole again."""
    half = node("MaxPool", "z", "p", kernel_shape=[2, 2], strides=[2, 2])
    return pixels([half, *nodes], **more)


def embedded(*, tied: bool) -> onnx.ModelProto:
    """The mean of embeddings; `tied`: scored by the embeddings themselves."""
    constants = {"e": rng().normal(0, 1, (11, 16)).astype(np.float32)}
    nodes = [
        node("Gather", "e x", "h"),
        node("ReduceMean", "h", "p", axes=[1], keepdims=0),
    ]
    if tied:
        nodes += [
            node("MatMul", "p w", "q"),
            node("Tanh", "q", "t"),
            node("Transpose", "e", "et", perm=[1, 0]),
            node("MatMul", "t et", "y"),
        ]
        constants["w"] = drawn(rng(), 16, 16)
    else:
        nodes.append(node("Gemm", "p w b", "y", transB=1))
        constants |= {"w": drawn(rng(), 4, 16), "b": zeros(4)}
    return network(nodes, constants, (6,), TensorProto.INT64)


def read_twice() -> onnx.ModelProto:
    constants = {"w0": drawn(rng(), 12, 12), "w1": drawn(rng(), 5, 12)}
    nodes = [
        node("Gemm", "x w0", "z", transB=1),
        node("Relu", "z", "h"),
        node("Gemm", "h w0", "z1", transB=1),
        node("Relu", "z1", "h1"),
        node("Gemm", "h1 w1", "y", transB=1),
    ]
    return network(nodes, constants, (12,))


SILU = [node("Sigmoid", "z", "s"), node("Mul", "z s", "h")]
MISH = [node("Softplus", "z", "s"), node("Tanh", "s", "t"), node("Mul", "z t", "h")]
SCALES = np.array([1, 1, 2, 2], np.float32)
RESIZE = helper.make_node("Resize", ["p", "", "scales"], ["h"], mode="nearest")
NETWORKS: dict[str, Callable[[], onnx.ModelProto]] = {
    "residual": residual,
    "separable": separable,
    "gelu by erf": lambda: gelu("erf"),
    "gelu by tanh": lambda: gelu("tanh"),
    "gelu": lambda: perceptron([node("Gelu", "z", "h")], 20),
    "silu": lambda: perceptron(SILU),
    "mish": lambda: perceptron(MISH),
    "hard swish": lambda: perceptron([node("HardSwish", "z", "h")]),
    "elu": lambda: perceptron([node("Elu", "z", "h")]),
    "prelu": lambda: perceptron(
        [node("PRelu", "z slopes", "h")], slopes=np.full(24, 0.25, np.float32)
    ),
    "rms norm spelled out": lambda: spelled("rms"),
    "layer norm spelled out": lambda: spelled("layer"),
    "rms norm": lambda: perceptron([node("RMSNormalization", "z gain", "h")], 23, gain=ones(24)),
    "instance norm": lambda: pixels(
        [node("InstanceNormalization", "z gain offset", "h")], gain=ones(8), offset=zeros(8)
    ),
    "group norm": lambda: pixels(
        [node("GroupNormalization", "z gain offset", "h", num_groups=2)],
        21,
        gain=ones(8),
        offset=zeros(8),
    ),
    "group norm of torch": group_of_torch,
    "transposed convolution": lambda: halved(
        node("ConvTranspose", "p up", "h", strides=[2, 2]), up=drawn(rng(), 8, 8, 2, 2, fan=8)
    ),
    "resize": lambda: halved(RESIZE, scales=SCALES),
    "embedding": lambda: embedded(tied=False),
    "tied embedding": lambda: embedded(tied=True),
    "weights read twice": read_twice,
    "regression": lambda: perceptron([node("Relu", "z", "h")]),
}
NARROW_TOO = ("residual", "gelu by tanh", "group norm", "prelu", "transposed convolution")


def words(classes: int) -> Callable[[int], Batch]:
    """Rows of one token each, of classes that tokens belong to."""
    of_token = np.random.default_rng(1).integers(0, classes, 11)

    def of(step: int) -> Batch:
        x = np.random.default_rng((9, step)).integers(0, 11, (BATCH, 1)).repeat(6, 1)
        return {"x": x}, of_token[x[:, 0]]

    return of


def differences(step: int) -> Batch:
    x = np.random.default_rng((4, step)).normal(size=(BATCH, 12)).astype(np.float32)
    return {"x": x}, np.stack([x[:, n] - x[:, n + 1] for n in range(5)], 1).astype(np.float32)


def data_of(name: str, model: onnx.ModelProto) -> tuple[Callable[[int], Batch], Loss]:
    if name == "regression":
        return differences, MeanSquaredError()
    (x,) = model.graph.input
    if x.type.tensor_type.elem_type == TensorProto.INT64:
        return words(11 if name.startswith("tied") else 4), CrossEntropy()
    shape = tuple(dim.dim_value for dim in x.type.tensor_type.shape.dim[1:])
    return batches(BATCH, shape, 4), CrossEntropy()


CASES = [(name, 16) for name in NETWORKS] + [(name, 8) for name in NARROW_TOO]


@pytest.mark.parametrize(("name", "products"), CASES)
def test_gradients_are_those_of_floats(name: str, products: int) -> None:
    model = NETWORKS[name]()
    of, loss = data_of(name, model)
    form = Form(products=products)
    made = learner(model, SGD(momentum=0.9), of, loss=loss, form=form, rehearsal=10)
    ours, theirs = Integers(made), floats(made)
    found = ours.move(of(200), 0.05)
    expected = theirs.run(lambda step: of(200), lambda step: 0.05, 1)[0]
    assert found == pytest.approx(expected, rel=0.001 if products == 16 else 0.05)
    least, compared = 0.999 if products == 16 else 0.9, 0
    for state, array in ours.states().items():
        if not state.endswith("/velocity"):
            continue
        if np.abs(theirs.states[state]).max() < NOTHING:
            assert np.abs(array).max() < 100 * NOTHING
            continue
        compared += 1
        same, share = alike(array, theirs.states[state])
        assert same > least, (state, same)
        assert abs(share - 1.0) < (0.02 if products == 16 else 0.25), (state, share)
    assert compared >= 2


def test_scales_of_a_resize_are_no_parameters() -> None:
    model = NETWORKS["resize"]()
    step = training_step(model, Recipe(CrossEntropy(), SGD()), OPERATORS, batch=2)
    assert {state.name for state in step.parameters} == {"w0", "b0", "w1", "b1"}


@pytest.mark.parametrize("products", [8, 16])
def test_sums_that_no_accumulator_holds_are_taken_in_parts(products: int) -> None:
    """Of a convolution's weights and bias over 64 images of 48x48: 147,456 products."""
    constants = {"c": drawn(rng(), 3, 2, 3, 3, fan=18), "d": zeros(3), "w": drawn(rng(), 4, 3)}
    nodes = [
        node("Conv", "x c d", "z", pads=[1] * 4),
        node("Relu", "z", "h"),
        node("GlobalAveragePool", "h", "p"),
        node("Flatten", "p", "q"),
        node("Gemm", "q w", "y", transB=1),
    ]
    of, form = batches(64, (2, 48, 48), 4), Form(products=products)
    model = network(nodes, constants, (2, 48, 48))
    made = learner(model, SGD(momentum=0.9), of, batch=64, form=form, rehearsal=3)
    names = [tensor.name for tensor in made.program.model.checked.program.tensors]
    assert any("/part" in name for name in names)
    ours, theirs = Integers(made), floats(made)
    ours.move(of(200), 0.05)
    theirs.move(*of(200), 0.05)
    for state, array in ours.states().items():
        if state.endswith("/velocity"):
            same, share = alike(array, theirs.states[state])
            assert same > 0.99, (state, same)
            assert 0.95 < share < 1.05, (state, share)


def test_pieces_of_a_sum_are_that_sum() -> None:
    a, b = np.arange(35).reshape(5, 7), np.arange(35)[::-1].reshape(7, 5)
    left = Read(0, (5, 7), (AxisMap(k_axis=0, b=1), AxisMap(k_axis=1, b=-1, c=6)))
    right = Read(1, (7, 5), (AxisMap(k_axis=1, b=1), AxisMap(k_axis=0, b=1)))
    whole = Term((5, 7), left, right)
    assert pieces(whole, 35) == [whole]
    parts = pieces(whole, 4)
    assert sum(part.size for part in parts) == 35
    assert all(part.size <= 4 for part in parts)
    assert sum(_value(part, (a, b)) for part in parts) == _value(whole, (a, b))
    counted = pieces(Term((9,), Read(0, (35,), (AxisMap(k_axis=0, b=1),)), Const(1)), 4)
    assert sum(_value(part, (a.reshape(-1), b)) for part in counted) == sum(range(9))


def _value(term: Term, arrays: tuple[np.ndarray, np.ndarray]) -> int:
    total = 0
    for place in np.ndindex(*term.window):
        product = 1
        for side in (term.a, term.b):
            if isinstance(side, Const):
                product *= side.value
                continue
            index = tuple((m.b * place[m.k_axis] + m.c) // m.d for m in side.maps)
            product *= int(arrays[side.tensor][index])
        total += product
    return total
