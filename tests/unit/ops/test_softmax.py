"""Softmax and LogSoftmax over many values, and what reads them, against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from support.compared import network, node, run_both, sqnr
from zktally.circuits.builder import Builder
from zktally.circuits.compile import compile
from zktally.circuits.errors import RangeOverflow, UnsupportedOp
from zktally.circuits.graph import read
from zktally.verifier.program.types import Dot, Role

RNG = np.random.default_rng(31)


def normal(*shape: int, by: float = 1.0) -> np.ndarray:
    return RNG.normal(0, by, shape).astype(np.float32)


def by_row(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """SQNR of each row in dB."""
    real = expected.astype(np.float64)
    noise = np.maximum(np.sum((real - found) ** 2, axis=-1), 1e-30)
    return 10 * np.log10(np.sum(real**2, axis=-1) / noise)


def rows_of_all_kinds(count: int) -> np.ndarray:
    """Ordinary, flat, wide and peaky rows; one whose tail is as heavy as its peak is high."""
    x = normal(7, count)
    x[1] *= 0.01
    x[2] *= 4
    x[3, 0] += 12
    x[4, count // 2] += 40
    x[5] -= 7
    x[6] = -11.3
    x[6, -1] = 0.0
    return x


@pytest.mark.parametrize("count", [1, 2, 7, 64, 131, 256, 1000, 2048, 4096])
def test_rows_unlike_in_one_tensor(count: int) -> None:
    x = rows_of_all_kinds(count)
    model = network([node("Softmax", "x", "y", axis=-1)], {"x": ("n", count)})
    _, (expected,), (found,) = run_both(model, {"x": x})
    assert by_row(expected, found).min() > 36
    assert np.abs(found.sum(axis=-1) - 1).max() < (0.004 * min(count, 4) if count < 64 else 0.02)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("count", [2**13 + 1, 2**14 + 1, 50_257, 65_535])
def test_as_many_as_words(op: str, count: int) -> None:
    x = rows_of_all_kinds(count)[[0, 3, 4]]
    model = network([node(op, "x", "y", axis=1)], {"x": ("n", count)})
    _, (expected,), (found,) = run_both(model, {"x": x})
    assert by_row(expected, found).min() > 34


@pytest.mark.parametrize("axis", [1, 2, -1, -3])
@pytest.mark.parametrize("opset", [7, 11, 12, 13, 23])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_axes_of_every_opset(op: str, opset: int, axis: int) -> None:
    if opset < 11 and axis < 0:
        axis += 4
    model = network([node(op, "x", "y", axis=axis)], {"x": ("n", 3, 5, 7)}, opset=opset)
    _, (expected,), (found,) = run_both(model, {"x": normal(3, 3, 5, 7)})
    assert sqnr(expected, found) > 36


@pytest.mark.parametrize("reader", ["Log", "Relu", "Concat", "ReduceMean", "MaxPool", "Add", "Mul"])
def test_readers_that_take_other_codes(reader: str) -> None:
    """Whatever reads shares, also of many values, and compiles in 8 bits."""
    nodes, options = [node("Softmax", "x", "p", axis=-1)], {}
    second = {"Concat": "p x", "Add": "p x", "Mul": "p x"}.get(reader, "p")
    if reader == "MaxPool":
        options = {"kernel_shape": [3]}
    if reader in ("Concat", "ReduceMean"):
        options = {"axis": 1} if reader == "Concat" else {"axes": [1]}
    model = network([*nodes, node(reader, second, "y", **options)], {"x": ("n", 3, 300)}, opset=13)
    x = normal(2, 3, 300, by=2.0)
    _, (expected,), (found,) = run_both(model, {"x": x})
    assert expected.shape == found.shape
    assert sqnr(expected, found) > 20


def test_no_more_than_the_program_holds() -> None:
    model = network([node("Softmax", "x", "y", axis=-1)], {"x": ("n", 2**16)})
    with pytest.raises(UnsupportedOp, match="more than 65535 values"):
        compile(model, normal(2, 2**16))


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_large_numbers(op: str) -> None:
    """Only differences count, also of an input that lies far from 0."""
    x = np.array([[0, 1, 2, 3], [1e4, 1e4 + 1, 1e4 + 2, 1e4 + 3]], np.float32)
    model = network([node(op, "x", "y", axis=1)], {"x": ("n", 4)})
    _, (expected,), (found,) = run_both(model, {"x": x})
    assert sqnr(expected, found) > 36


@pytest.mark.parametrize("count", [7, 300, 5000])
def test_log_softmax_of_many(count: int) -> None:
    x = normal(4, count, by=3.0)
    model = network([node("LogSoftmax", "x", "y", axis=1)], {"x": ("n", count)})
    _, (expected,), (found,) = run_both(model, {"x": x})
    assert sqnr(expected, found) > 42


@pytest.mark.parametrize("of", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("opset", [11, 13])
def test_the_largest_share_is_found_without_shares(of: str, opset: int) -> None:
    x = normal(40, 130, by=3.0)
    nodes = [node(of, "x", "p", axis=1), node("ArgMax", "p", "y", axis=1, keepdims=0)]
    model = network(nodes, {"x": ("n", 130)}, kind=TensorProto.INT64, opset=opset)
    compiled, (expected,), (found,) = run_both(model, {"x": x})
    assert [layer.op for layer in compiled.report.layers] == ["ArgMax"]
    assert np.mean(expected == found) > 0.9
    top = [node(of, "x", "p", axis=1), node("TopK", "p k", "v y", axis=1)]
    model = network(
        top, {"x": ("n", 130)}, {"k": np.array([1])}, kind=TensorProto.INT64, opset=opset
    )
    compiled, (ranked,), (same,) = run_both(model, {"x": x})
    assert [layer.op for layer in compiled.report.layers] == ["TopK"]
    np.testing.assert_array_equal(same[:, 0], found)
    np.testing.assert_array_equal(ranked[:, 0], expected)


def test_shares_are_kept_where_more_is_asked_of_them() -> None:
    """Another axis; values beside the index; an ArgMax of what lies in several rows."""
    other = [node("Softmax", "x", "p", axis=1), node("ArgMax", "p", "y", axis=2, keepdims=0)]
    model = network(other, {"x": ("n", 5, 6)}, kind=TensorProto.INT64, opset=13)
    compiled, (expected,), (found,) = run_both(model, {"x": normal(9, 5, 6)})
    assert [layer.op for layer in compiled.report.layers] == ["Softmax", "ArgMax"]
    assert np.mean(expected == found) > 0.9
    both = [node("Softmax", "x", "p", axis=1), node("TopK", "p k", "y i", axis=1)]
    model = network(both, {"x": ("n", 6)}, {"k": np.array([1])})
    compiled, (expected,), (found,) = run_both(model, {"x": normal(9, 6)})
    assert [layer.op for layer in compiled.report.layers] == ["Softmax", "TopK"]
    assert sqnr(expected, found) > 36


def attention(queries: int, keys: int, size: int = 16) -> list:
    return [
        node("MatMul", "q k", "s"),
        node("Div", "s c", "d"),
        node("Softmax", "d", "p", axis=-1),
        node("MatMul", "p v", "y"),
    ]


@pytest.mark.parametrize("spread", [0.05, 1.0, 3.0])
@pytest.mark.parametrize("length", [1, 7, 64, 197, 500])
def test_shares_weigh_values(length: int, spread: float) -> None:
    """Scores have the code of the product, which is scaled as it is rounded; sums may be wide."""
    inputs = {"q": ("n", 5, 16), "k": ("n", 16, length), "v": ("n", length, 16)}
    model = network(attention(5, length), inputs, {"c": np.float32(4.0)})
    feeds = {"q": normal(2, 5, 16, by=spread), "k": normal(2, 16, length)}
    feeds["v"] = normal(2, length, 16) + np.float32(0.5)
    compiled, (expected,), (found,) = run_both(model, feeds)
    assert sqnr(expected, found) > 33
    ops = [layer.op for layer in compiled.report.layers]
    assert ops == ["com.microsoft.FusedMatMul", "Softmax", "MatMul"]


@pytest.mark.nightly
@pytest.mark.parametrize("spread", [0.05, 1.0])
@pytest.mark.parametrize("length", [2100, 4096])
def test_shares_of_thousands(length: int, spread: float) -> None:
    inputs = {"q": ("n", 64, 16), "k": ("n", 16, length), "v": ("n", length, 16)}
    model = network(attention(64, length), inputs, {"c": np.float32(4.0)})
    feeds = {"q": normal(1, 64, 16, by=spread), "k": normal(1, 16, length)}
    feeds["v"] = normal(1, length, 16) + np.float32(0.5)
    _, (expected,), (found,) = run_both(model, feeds)
    assert sqnr(expected, found) > 30


@pytest.mark.parametrize("equation", ["bqk,bkd->bqd", "bqk,bdk->bqd"])
def test_einsum_weighs_values(equation: str) -> None:
    nodes = [node("Softmax", "x", "p", axis=-1), node("Einsum", "p v", "y", equation=equation)]
    inner = ("n", 300, 8) if equation.startswith("bqk,bk") else ("n", 8, 300)
    model = network(nodes, {"x": ("n", 5, 300), "v": inner})
    feeds = {"x": normal(2, 5, 300), "v": normal(2, *inner[1:]) + np.float32(0.5)}
    _, (expected,), (found,) = run_both(model, feeds)
    assert sqnr(expected, found) > 36


def test_shares_on_the_right() -> None:
    """The transposed copy is as wide as what it copies."""
    nodes = [
        node("Softmax", "x", "p", axis=-1),
        node("Transpose", "p", "t", perm=[0, 2, 1]),
        node("MatMul", "v t", "y"),
    ]
    model = network(nodes, {"x": ("n", 5, 300), "v": ("n", 8, 300)})
    feeds = {"x": normal(2, 5, 300), "v": normal(2, 8, 300) + np.float32(0.5)}
    _, (expected,), (found,) = run_both(model, feeds)
    assert sqnr(expected, found) > 36


def test_a_sum_too_large_for_one_accumulator_is_split() -> None:
    inputs = {"q": ("n", 5, 16), "k": ("n", 16, 300), "v": ("n", 300, 16)}
    model = network(attention(5, 300), inputs, {"c": np.float32(4.0)})
    feeds = {"q": normal(1, 5, 16) * 5, "k": normal(1, 16, 300), "v": normal(1, 300, 16) + 1}
    compiled, _, _ = run_both(
        model, {name: array.astype(np.float32) for name, array in feeds.items()}
    )
    product = compiled.checked.program.ops[-1]
    assert isinstance(product, Dot)
    assert len(product.terms) == 2


def test_scores_have_more_bits_than_other_values() -> None:
    model = network(
        attention(5, 7),
        {"q": ("n", 5, 16), "k": ("n", 16, 7), "v": ("n", 7, 16)},
        {"c": np.float32(4.0)},
    )
    feeds = {"q": normal(2, 5, 16), "k": normal(2, 16, 7), "v": normal(2, 7, 16)}
    program = run_both(model, feeds)[0].checked.program
    widths = {t.name: t.width for t in program.tensors if t.role != Role.WEIGHT}
    assert (widths["q"], widths["d"], widths["p"], widths["y"]) == (1, 2, 2, 1)


@pytest.mark.parametrize("opset", [11, 17])
def test_low_results_of_log_softmax_are_not_cut(opset: int) -> None:
    x = normal(4, 6, by=20)
    x[2] -= np.float32(2000)
    model = network([node("LogSoftmax", "x", "y", axis=1)], {"x": ("n", 6)}, opset=opset)
    compiled, (expected,), (found,) = run_both(model, {"x": x})
    assert expected.min() < -30
    step = compiled.checked.program.outputs[0].scale
    assert np.abs(expected - found).max() <= step


def test_a_row_far_below_others_is_no_mask_where_none_is_added() -> None:
    x = normal(4, 6)
    x[2] -= np.float32(2000)
    model = network([node("Softmax", "x", "y", axis=-1)], {"x": ("n", 6)})
    _, (expected,), (found,) = run_both(model, {"x": x})
    assert by_row(expected, found).min() > 30


def test_a_lowering_that_is_undone_leaves_no_table_behind() -> None:
    """Equal tables are one, but not with one that is gone."""
    nodes = [node("Mul", "x x", "s"), node("Softmax", "s", "y", axis=1)]
    graph = read(network(nodes, {"x": (2, 5)}))
    ranges = dict.fromkeys(("x", "s", "y"), (0.0, 1.0))
    builder = Builder(graph, ranges, {}, (), (), scores={"s": 12})

    def refused() -> None:
        with builder.undone_by_errors(graph.nodes[0]):
            builder.integer_table("first", 0, (1, 2))
            raise RangeOverflow("too large")

    with pytest.raises(RangeOverflow):
        refused()
    assert builder.integer_table("other", 0, (3, 4)) == 0
    assert builder.integer_table("first again", 0, (1, 2)) == 1
