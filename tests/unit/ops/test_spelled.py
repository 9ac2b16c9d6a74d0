"""Normalisations and softmaxes written out: recognised, and what only looks like one is not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest

from support.compared import network, node, run_apart
from zktally.circuits.compile import compile
from zktally.errors import ZktallyError

RNG = np.random.default_rng(41)
X = RNG.normal(0, 1, (24, 5, 48)).astype(np.float32) + 2
ONE, HALF, TWO = (np.float32(number) for number in (1.0, 0.5, 2.0))
CONSTANTS = {
    "e": np.float32(1e-5),
    "n": np.float32(48),
    "i": np.float32(1 / 48),
    "zero": np.float32(0),
    "one": ONE,
    "half": HALF,
    "minus": -HALF,
    "two": TWO,
    "three": np.float32(3),
    "low": np.float32(-3.4e38),
    "g": RNG.normal(1, 0.3, 48).astype(np.float32),
    "b": RNG.normal(0, 0.3, 48).astype(np.float32),
    "axis": np.array([-1]),
    "middle": np.array([1]),
    "lines": np.array([0, 5]),
    "flat": np.array([0, 5, 1]),
    "turned": np.array([0, 1, 5]),
    "whole": np.array([1, 5, 48]),
}
Nodes = Sequence[onnx.NodeProto]


def written(text: str, constants: dict[str, np.ndarray] | None = None) -> onnx.ModelProto:
    """Lines `y = Op a b` as a model; Reduce operators run over the last axis unless told."""
    nodes, known = [], CONSTANTS | (constants or {})
    for line in filter(None, map(str.strip, text.split(";"))):
        output, call = line.split(" = ")
        op, *inputs = call.split()
        if op == "ReduceSum" and len(inputs) == 1:
            inputs.append("axis")
        options = {"axes": [-1]} if op in ("ReduceMean", "ReduceMax") else {}
        nodes.append(node(op, " ".join(inputs), output, **options))
    used = {name for made in nodes for name in made.input}
    return network(
        nodes, {"x": ("n", 5, 48)}, {name: known[name] for name in known if name in used}, opset=17
    )


def layers(model: onnx.ModelProto) -> list[str]:
    return [layer.op for layer in compile(model, X, batch=3).report.layers]


def decibels(model: onnx.ModelProto) -> float:
    ((real, found, _),) = run_apart(model, {"x": X}, {"x": X[:3]})
    return float(10 * np.log10(np.sum(real.astype(np.float64) ** 2) / np.sum((real - found) ** 2)))


CENTRED = "m = ReduceMean x; d = Sub x m;"
VARIANCE = CENTRED + "q = Pow d two; v = ReduceMean q; w = Add v e;"
MOMENTS = """m = ReduceMean x; q = Mul x x; s = ReduceMean q; p = Mul m m; v = Sub s p;
    t = Max zero v; w = Add e t; r = Sqrt w; u = Reciprocal r;"""
NORMS = {
    "torch": VARIANCE + "r = Sqrt w; z = Div d r; k = Mul z g; y = Add k b",
    "two deviations": "m = ReduceMean x; d = Sub x m; f = Sub x m; q = Mul f f; v = ReduceMean q;"
    "w = Add v e; r = Sqrt w; z = Div d r; k = Mul g z; y = Add b k",
    "powers": VARIANCE + "r = Pow w minus; y = Mul d r",
    "half": VARIANCE + "r = Pow w half; z = Div d r; y = Mul z g",
    "inverse": VARIANCE + "r = Sqrt w; u = Div one r; k = Mul u g; z = Mul d k; y = Sub z b",
    "sums": "a = ReduceSum x; m = Div a n; d = Sub x m; q = Mul d d; c = ReduceSum q;"
    "v = Mul c i; w = Add v e; r = Sqrt w; y = Div d r",
    "flax": MOMENTS + "d = Sub x m; k = Mul u g; z = Mul d k; y = Add z b",
    "tensorflow": MOMENTS + "k = Mul u g; a = Mul x k; f = Mul m k; o = Sub b f; y = Add a o",
    "keras": MOMENTS + "k = Mul u g; a = Mul x k; f = Mul m k; y = Sub a f",
    "views": "m = ReduceMean x; a = Reshape m lines; f = Unsqueeze a axis; o = Expand f whole;"
    "d = Sub x o; q = Mul d d; v = ReduceMean q; w = Add v e; r = Sqrt w; z = Div d r;"
    "y = Mul z g",
    "read elsewhere": VARIANCE + "r = Sqrt w; z = Div d r; k = Mul z g; l = Add k b;"
    "h = Mul m two; y = Add l h",
}


@pytest.mark.parametrize("case", NORMS)
def test_layer_norm_in_many_spellings(case: str) -> None:
    model = written(NORMS[case])
    assert "LayerNormalization" in layers(model)
    assert decibels(model) > 38


def test_the_root_of_the_mean_square() -> None:
    square = "q = Pow x two; s = ReduceMean q; w = Add s e;"
    for rest in ("r = Sqrt w; z = Div x r; y = Mul z g", "r = Pow w minus; y = Mul x r"):
        model = written(square + rest)
        assert layers(model) == ["RMSNormalization"]
        assert decibels(model) > 38


@pytest.mark.parametrize("axis", [1, -2])
def test_channels_first(axis: int) -> None:
    """As ConvNeXt has it: over an axis that is not the last, with a gain for each of its places."""
    gain = RNG.normal(1, 0.3, (5, 1)).astype(np.float32)
    model = written(VARIANCE + "r = Sqrt w; z = Div d r; k = Mul z c; y = Add k c", {"c": gain})
    for made in model.graph.node:
        for attribute in made.attribute:
            if attribute.name == "axes":
                attribute.ints[:] = [axis]
    assert layers(model) == ["MeanVarianceNormalization"]
    assert decibels(model) > 35


SHARES = "s = ReduceSum f; y = Div f s"
SOFTMAXES = {
    "usual": "t = ReduceMax x; d = Sub x t; f = Exp d;" + SHARES,
    "plain": "f = Exp x;" + SHARES,
    "bounded": "t = ReduceMax x; u = Max low t; d = Sub x u; f = Exp d;" + SHARES,
}


@pytest.mark.parametrize("case", SOFTMAXES)
def test_softmax(case: str) -> None:
    model = written(SOFTMAXES[case])
    assert layers(model) == ["Softmax"]
    ((real, found, step),) = run_apart(model, {"x": X}, {"x": X[:3]})
    assert np.abs(real - found).max() < 1.5 * step


CENTRING = {"LayerNormalization", "MeanVarianceNormalization"}
NO_NORMS = {
    "another epsilon's place": VARIANCE + "r = Sqrt v; u = Add r e; y = Div d u",
    "a cube": CENTRED + "q = Pow d three; v = ReduceMean q; a = Abs v; w = Add a e; r = Sqrt w;"
    "y = Div d r",
    "sums without the number": "a = ReduceSum x; m = Div a n; d = Sub x m; q = Mul d d;"
    "v = ReduceSum q; w = Add v e; r = Sqrt w; y = Div d r",
    "moments the other way": "m = ReduceMean x; q = Mul x x; s = ReduceMean q; p = Mul m m;"
    "v = Sub p s; a = Abs v; w = Add a e; r = Sqrt w; d = Sub x m; y = Div d r",
    "not centred": VARIANCE + "r = Sqrt w; y = Div x r",
    "half the mean": "m = ReduceMean x; h = Mul m half; d = Sub x h; q = Mul d d; v = ReduceMean q;"
    "w = Add v e; r = Sqrt w; y = Div d r",
    "deviation by its root": VARIANCE + "r = Sqrt w; y = Div r d",
}


@pytest.mark.parametrize("case", NO_NORMS)
def test_what_only_looks_like_one_is_not_taken_for_one(case: str) -> None:
    try:
        found = layers(written(NO_NORMS[case]))
    except ZktallyError:  # not every one has a lowering as it stands
        return
    assert not CENTRING.intersection(found)


def test_statistics_of_other_lines_are_not_taken_for_their_own() -> None:
    """[n, 5, 5]: a line's mean, turned, is met by another line."""
    constants = {"n": np.float32(5), "i": np.float32(0.2)}
    text = "m = ReduceMean x; f = Reshape m turned; d = Sub x f; q = Mul d d; v = ReduceMean q;"
    model = written(text + "w = Add v e; r = Sqrt w; y = Div d r", constants)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 5
    x = X[..., :5]
    found = [layer.op for layer in compile(model, x, batch=3).report.layers]
    assert not CENTRING.intersection(found)
    ((real, got, _),) = run_apart(model, {"x": x}, {"x": x[:3]})
    assert np.abs(real - got).max() < 0.2 * np.abs(real).max()


def test_variances_of_another_value_are_not_taken_for_its_own() -> None:
    text = "m = ReduceMean x; d = Sub x m; h = Tanh x; k = ReduceMean h; f = Sub h k;"
    model = written(text + "q = Mul f f; v = ReduceMean q; w = Add v e; r = Sqrt w; y = Div d r")
    assert not CENTRING.intersection(layers(model))
    assert decibels(model) > 20


@pytest.mark.parametrize("opset", [11, 17])
def test_softmax_over_an_inner_axis(opset: int) -> None:
    """Before opset 13 the operator has no such form."""
    nodes = [
        node("ReduceMax", "x", "t", axes=[1]),
        node("Sub", "x t", "d"),
        node("Exp", "d", "f"),
        node("ReduceSum", "f" if opset < 13 else "f middle", "s"),
        node("Div", "f s", "y"),
    ]
    if opset < 13:
        nodes[3].attribute.append(onnx.helper.make_attribute("axes", [1]))
    known = {} if opset < 13 else {"middle": np.array([1])}
    model = network(nodes, {"x": ("n", 5, 48)}, known, opset=opset)
    assert ("Softmax" in layers(model)) == (opset >= 13)
    ((real, found, _),) = run_apart(model, {"x": X}, {"x": X[:3]})
    assert np.abs(real - found).max() < 0.03


def test_long_rows() -> None:
    x = RNG.normal(0, 1, (6, 2, 4096)).astype(np.float32)
    model = written(VARIANCE + "r = Sqrt w; z = Div d r; y = Add z half")
    for axis, size in enumerate((2, 4096), start=1):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
    ((real, found, _),) = run_apart(model, {"x": x}, {"x": x[:3]})
    assert np.abs(real - found).max() < 0.1


CUT = "{0}i = Cast {0}; {0}c = CastBack {0}i"
NORMAL = "m = ReduceMean x; d = Sub x m; q = Mul d d; v = ReduceMean q; w = Add v e; s = Sqrt w"


def numbers_cut(text: str) -> onnx.ModelProto:
    """As `written`, with casts to integers and back."""
    text = text.replace("CastBack", "Cast")
    model = written(text)
    for made in model.graph.node:
        if made.op_type == "Cast":
            kind = (
                onnx.TensorProto.INT64 if made.output[0].endswith("i") else onnx.TensorProto.FLOAT
            )
            made.attribute.append(onnx.helper.make_attribute("to", kind))
    return model


@pytest.mark.parametrize(
    "text",
    [
        f"m = ReduceMean x; {CUT.format('m')}; d = Sub x mc; q = Mul d d; v = ReduceMean q; "
        "w = Add v e; s = Sqrt w; y = Div d s",
        f"{NORMAL}; {CUT.format('s')}; y = Div d sc",
        f"{NORMAL}; z = Div d s; {CUT.format('z')}; y = Mul zc g",
    ],
)
def test_what_a_cast_cuts_off_is_not_passed_over(text: str) -> None:
    model = numbers_cut(text)
    assert "Cast" in [layer.op for layer in compile(model, 8 * X, batch=3).report.layers]


@pytest.mark.parametrize(("above", "below"), [("plain", "less"), ("less", "plain")])
def test_the_shares_of_other_exponentials_are_no_softmax(above: str, below: str) -> None:
    text = (
        "m = ReduceMax x; d = Sub x m; less = Exp d; plain = Exp x; "
        f"t = ReduceSum {below}; y = Div {above} t"
    )
    assert "Softmax" not in layers(written(text))


def test_a_mean_of_a_number_times_a_row() -> None:
    """The number has fewer axes than the row whose mean is taken: it has no lines there."""
    model = network(
        [
            node("ReduceMax", "x", "m", keepdims=0),
            node("Mul", "m x", "p"),
            node("ReduceMean", "p", "y", axes=[-1, 1], keepdims=0),
        ],
        {"x": (4, 5, 48)},
    )
    ((real, found, step),) = run_apart(model, {"x": X[:4]}, {"x": X[4:8]})
    assert np.abs(real - found).max() <= 8 * step
