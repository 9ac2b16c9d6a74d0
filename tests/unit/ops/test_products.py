"""Products of matrices in every form, convolutions and pools, against onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import zktally
from support.compared import floats, infer, network, node, run_both, steps_off, weights
from zktally.circuits.errors import UnsupportedOp
from zktally.verifier.program.types import Dot

Shapes = dict[str, Sequence[int]]

LIMIT = {False: 1.6, True: 4.0}
"""Quanta, without and with constants: these have 8 bits each, whose roundings add up."""


def off(
    nodes: list[Any],
    inputs: Shapes,
    constants: Any = None,
    opset: int = 17,
    *,
    between: bool = False,
) -> float:
    """The largest error in quanta, on data that was not calibrated on.

    With values in between it was calibrated on wider data, so that none of them saturates.
    """
    model = network(nodes, inputs, constants, opset=opset)
    if not model.graph.output[0].type.tensor_type.shape.dim:  # ports have at least one axis
        nodes = [*nodes, node("Reshape", "y one", "z")]
        constants = {**(constants or {}), "one": np.array([1])}
        model = network(nodes, inputs, constants, outputs=["z"], opset=opset)
    calibration, feeds = ({name: floats(*dims) for name, dims in inputs.items()} for _ in range(2))
    for name, values in calibration.items():  # the same range, so that no input saturates
        values.reshape(-1)[:2] = feeds[name].min(), feeds[name].max()
    if between:
        calibration = {name: 1.2 * values for name, values in feeds.items()}
    return steps_off(model, calibration, feeds)


RANKS: list[tuple[Sequence[int], Sequence[int]]] = [
    ((7,), (7,)),
    ((7,), (7, 5)),
    ((4, 7), (7,)),
    ((4, 7), (7, 5)),
    ((1, 7), (7, 1)),
    ((7,), (3, 7, 5)),
    ((3, 4, 7), (7,)),
    ((3, 4, 7), (7, 5)),
    ((4, 7), (3, 7, 5)),
    ((3, 1, 4, 7), (2, 7, 5)),
    ((1, 1, 4, 1), (3, 2, 1, 5)),
]


@pytest.mark.parametrize("constant", ["", "a", "b"])
@pytest.mark.parametrize(("a", "b"), RANKS, ids=str)
def test_matrices_of_all_ranks(a: Sequence[int], b: Sequence[int], constant: str) -> None:
    inputs: Shapes = {"a": a, "b": b}
    constants = {constant: weights(*inputs.pop(constant))} if constant else {}
    assert off([node("MatMul", "a b", "y")], inputs, constants) < LIMIT[bool(constants)]


@pytest.mark.parametrize("constants", ["", "a", "b", "c", "ab", "ac", "bc"])
@pytest.mark.parametrize("c", [None, (), (5,), (1, 5), (4, 1), (4, 5)], ids=str)
@pytest.mark.parametrize(
    ("t", "scales"),
    [((0, 0), (1.0, 1.0)), ((1, 0), (0.5, -2.0)), ((0, 1), (-1.5, 3.0)), ((1, 1), (2.0, 0.25))],
    ids=str,
)
def test_gemm(
    t: tuple[int, int], scales: tuple[float, float], c: Sequence[int] | None, constants: str
) -> None:
    shapes: Shapes = {"a": (7, 4) if t[0] else (4, 7), "b": (5, 7) if t[1] else (7, 5)}
    if c is not None:
        shapes["c"] = c
    given = {name: weights(*shapes.pop(name)) for name in constants if name in shapes}
    if not shapes or (c == () and "c" in shapes):
        pytest.skip("nothing is computed, or a computed number without an axis")
    names = "a b" if c is None else "a b c"
    alpha, beta = scales
    gemm = node("Gemm", names, "y", transA=t[0], transB=t[1], alpha=alpha, beta=beta)
    assert off([gemm], shapes, given, opset=13) < LIMIT[bool(given)]


@pytest.mark.parametrize("opset", [7, 9, 11, 13])
def test_gemm_in_older_opsets(opset: int) -> None:
    gemm = node("Gemm", "a b c", "y", transA=1)
    inputs: Shapes = {"a": (7, 4), "b": (7, 5), "c": (4, 1)}
    assert off([gemm], inputs, opset=opset) < LIMIT[True]


@pytest.mark.parametrize("bias", [100.0, 1e-3])
def test_a_product_is_far_smaller_or_larger_than_what_is_added(bias: float) -> None:
    inputs: Shapes = {"a": (4, 7), "b": (7, 5), "c": (4, 5)}
    for nodes in (
        [node("Mul", "c k", "h"), node("Gemm", "a b h", "y")],
        [node("Gemm", "a b", "p"), node("Mul", "c k", "h"), node("Add", "p h", "y")],
    ):
        assert off(nodes, inputs, {"k": np.float32(bias)}, between=True) < LIMIT[True]


def test_what_follows_a_gemm_of_computed_matrices_is_fused_or_kept() -> None:
    inputs: Shapes = {"a": (4, 7), "b": (7, 5)}
    tail = [node("Add", "h c", "g"), node("Relu", "g", "y")]
    gemm = node("Gemm", "a b", "h", alpha=0.5, beta=3.0)
    assert off([gemm, *tail], inputs, {"c": weights(5)}, between=True) < LIMIT[True]
    fused = [node("Gemm", "a b c", "h"), node("Sigmoid", "h", "y")]
    assert off(fused, inputs, {"c": weights(4, 5)}, between=True) < LIMIT[True]


EINSUMS: list[tuple[str, Sequence[Sequence[int]]]] = [
    ("ij,jk->ik", [(3, 5), (5, 4)]),
    ("ij,kj", [(3, 5), (4, 5)]),
    ("bqhd,bkhd->bhqk", [(2, 3, 2, 5), (2, 4, 2, 5)]),
    ("bhqk,bkhd->bqhd", [(2, 2, 3, 4), (2, 4, 2, 5)]),
    ("...ij,...jk->...ik", [(2, 3, 5), (1, 5, 4)]),
    ("...i,i->...", [(2, 3, 5), (5,)]),
    ("...ij,jk", [(2, 1, 3, 5), (5, 4)]),
    ("i,j->ji", [(3,), (5,)]),
    ("i,i", [(7,), (7,)]),
    ("ij,ij->i", [(3, 7), (3, 7)]),
    ("ab,cd->da", [(3, 2), (4, 5)]),
    ("ab,cd->a", [(3, 2), (4, 5)]),
    ("ab,bcc->a", [(3, 2), (2, 5, 5)]),
    ("bii,bi->b", [(2, 3, 3), (2, 3)]),
    ("ij->ji", [(3, 5)]),
    ("ii->i", [(4, 4)]),
    ("ii", [(4, 4)]),
    ("...ij->...j", [(2, 3, 5)]),
    (" b i j -> j b ", [(2, 3, 5)]),
]


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(("equation", "shapes"), EINSUMS, ids=str)
def test_einsum(equation: str, shapes: Sequence[Sequence[int]], constant: bool) -> None:
    names = "ab"[: len(shapes)]
    inputs: Shapes = dict(zip(names, shapes, strict=True))
    constants = {"b": weights(*inputs.pop("b"))} if constant and "b" in inputs else {}
    einsum = node("Einsum", " ".join(names), "y", equation=equation)
    assert off([einsum], inputs, constants) < LIMIT[bool(constants)]


def test_an_einsum_of_three_is_refused() -> None:
    einsum = node("Einsum", "x x x", "y", equation="i,i,i->i")
    with pytest.raises(UnsupportedOp, match="more than two operands"):
        zktally.compile(network([einsum], {"x": (4,)}), floats(4))


def spatial(rank: int) -> tuple[int, ...]:
    return (2, 4, *(7, 6, 6)[:rank])


TRANSPOSED: dict[str, tuple[int, dict[str, Any], int]] = {
    "plain": (2, {}, 1),
    "strides": (2, {"strides": [2, 3]}, 1),
    "pads": (2, {"strides": [2, 2], "pads": [1, 0, 2, 1]}, 1),
    "output padding": (2, {"strides": [3, 2], "output_padding": [2, 1]}, 1),
    "dilations": (2, {"dilations": [2, 3], "strides": [1, 2]}, 1),
    "groups": (2, {"group": 2, "strides": [2, 1]}, 2),
    "depthwise": (2, {"group": 4, "strides": [2, 2], "pads": [1, 1, 1, 1]}, 4),
    "same upper": (2, {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, 1),
    "same lower": (2, {"auto_pad": "SAME_LOWER", "strides": [2, 3]}, 1),
    "valid": (2, {"auto_pad": "VALID", "strides": [2, 2]}, 1),
    "output shape": (2, {"output_shape": [14, 13], "strides": [2, 2]}, 1),
    "output shape upper": (2, {"output_shape": [14, 12], "strides": [2, 2],
                               "auto_pad": "SAME_UPPER"}, 1),
    "1d": (1, {"strides": [2], "pads": [1, 1], "output_padding": [1]}, 1),
    "3d": (3, {"strides": [2, 1, 2], "pads": [0, 1, 1, 1, 0, 1]}, 1),
    "gaps": (1, {"strides": [5]}, 1),
}  # fmt: skip


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("case", TRANSPOSED)
def test_conv_transpose(case: str, biased: bool) -> None:
    rank, attributes, groups = TRANSPOSED[case]
    kernel = (3, 2, 2)[:rank]
    constants = {"w": weights(4, 8 // groups, *kernel)} | ({"b": weights(8)} if biased else {})
    made = node("ConvTranspose", " ".join(["x", *constants]), "y", **attributes)
    for opset in (7, 11, 17):
        assert off([made], {"x": spatial(rank)}, constants, opset) < LIMIT[True]


def test_a_conv_transpose_is_one_op_with_its_activation() -> None:
    nodes = [node("ConvTranspose", "x w", "h", strides=[2, 2]), node("Relu", "h", "y")]
    model = network(nodes, {"x": ("n", 3, 4, 4)}, {"w": weights(3, 2, 2, 2)})
    compiled, _, _ = run_both(model, {"x": floats(2, 3, 4, 4)})
    assert [type(op) for op in compiled.checked.program.ops] == [Dot]


WINDOWS: dict[str, dict[str, Any]] = {
    "plain": {},
    "strides": {"strides": 2},
    "pads": {"pads": (1, 0)},
    "ceil": {"strides": 2, "ceil_mode": 1},
    "ceil pads": {"strides": 2, "ceil_mode": 1, "pads": (1, 1)},
    "ceil wide": {"strides": 3, "ceil_mode": 1, "pads": (1, 1)},
    "same upper": {"auto_pad": "SAME_UPPER", "strides": 2},
    "same lower": {"auto_pad": "SAME_LOWER", "strides": 2},
    "valid": {"auto_pad": "VALID", "strides": 2},
    "dilations": {"dilations": 2},
    "dilations ceil": {"dilations": 2, "strides": 2, "ceil_mode": 1, "pads": (1, 1)},
}


def window(case: str, rank: int) -> dict[str, Any]:
    """The attributes of a case for so many axes."""
    given = dict(WINDOWS[case])
    for name in ("strides", "dilations"):
        if name in given:
            given[name] = [given[name]] * rank
    if "pads" in given:
        begin, end = given["pads"]
        given["pads"] = [begin] * rank + [end] * rank
    return given


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("case", WINDOWS)
def test_max_pool(case: str, rank: int) -> None:
    pool = node("MaxPool", "x", "y", kernel_shape=[3, 2, 2][:rank], **window(case, rank))
    assert off([pool], {"x": spatial(rank)}) < 1e-3


@pytest.mark.parametrize("opset", [11, 19, 22])
@pytest.mark.parametrize("include", [0, 1])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("case", WINDOWS)
def test_average_pool(case: str, rank: int, include: int, opset: int) -> None:
    given = window(case, rank)
    if "dilations" in given and opset < 19:
        pytest.skip("dilations came with opset 19")
    pool = node(
        "AveragePool", "x", "y", kernel_shape=[3, 2, 2][:rank], count_include_pad=include, **given
    )
    assert off([pool], {"x": spatial(rank)}, opset=opset) < 1.1


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("case", [case for case in WINDOWS if "ceil" not in case])
@pytest.mark.parametrize("groups", [1, 2])
def test_conv(case: str, rank: int, groups: int) -> None:
    constants = {"w": weights(6, 4 // groups, *(3, 2, 2)[:rank]), "b": weights(6)}
    conv = node("Conv", "x w b", "y", group=groups, **window(case, rank))
    assert off([conv], {"x": spatial(rank)}, constants) < LIMIT[True]


@pytest.mark.parametrize("mode", ["fast", "hybrid"])
def test_a_receipt_of_products(mode: str) -> None:
    """A ConvTranspose with holes, a Gemm with a computed C, an Einsum with a diagonal."""
    nodes = [
        node("ConvTranspose", "x w", "h", strides=[2], pads=[1, 0]),
        node("Reshape", "h s", "m"),
        node("Gemm", "m m m", "g", transA=1, beta=0.5),
        node("Einsum", "g m", "y", equation="ii,ij->j"),
    ]
    constants = {"w": weights(2, 2, 3), "s": np.array([4, 4])}
    model = network(nodes, {"x": (1, 2, 4)}, constants)
    feeds = {"x": floats(1, 2, 4)}
    compiled = zktally.compile(model, feeds)
    receipt = zktally.prove(compiled, feeds, mode, reveal=mode == "fast")
    expected = infer(model, feeds)[0]
    for backend in ("rust", "python"):
        verified = receipt.verify(compiled.model_id, backend=backend)
        found = verified.outputs["y"].reshape(expected.shape)
        assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


ZEROS: dict[str, tuple[str, Sequence[Any], Sequence[int]]] = {
    "gemm": ("Gemm", ("n", 300), (300, 3)),
    "convolution": ("Conv", ("n", 5, 7, 6), (3, 5, 3, 3)),
    "depthwise": ("Conv", ("n", 3, 7, 6), (3, 1, 3, 3)),
}


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("case", ZEROS)
def test_a_layer_of_zeros_is_a_layer(case: str, biased: bool) -> None:
    """As before a training, or pruned: its output is zero on any input."""
    op, shape, of_weights = ZEROS[case]
    constants = {"w": np.zeros(of_weights, np.float32)}
    constants |= {"b": np.zeros(3, np.float32)} if biased else {}
    groups = {"group": 3} if case == "depthwise" else {}
    nodes = [node(op, f"x w{' b' if biased else ''}", "y", **groups)]
    given = {"x": floats(8, *shape[1:])}
    assert steps_off(network(nodes, {"x": shape}, constants), given, given) < 1e-6


CONVS: list[tuple[Sequence[int], Sequence[int], dict[str, Any]]] = [
    ((2, 3, 7), (4, 3, 3), {"pads": [1, 1]}),
    ((2, 3, 8, 5), (4, 3, 3, 3), {"pads": [1, 0, 1, 2], "strides": [2, 1]}),
    ((2, 4, 7, 7), (6, 2, 3, 1), {"group": 2, "dilations": [2, 1]}),
    ((3, 4, 5, 5), (4, 1, 3, 3), {"group": 4, "pads": [1] * 4}),
    ((2, 1, 3, 4, 5), (2, 1, 2, 2, 2), {"strides": [1, 2, 2]}),
]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("x", "w", "how"), CONVS, ids=str)
def test_convolutions_with_computed_weights(
    x: Sequence[int], w: Sequence[int], how: dict[str, Any], bias: bool
) -> None:
    inputs: Shapes = {"x": x, "w": w, **({"b": w[:1]} if bias else {})}
    assert off([node("Conv", " ".join(inputs), "y", **how)], inputs) < LIMIT[False]


COMPUTED_TRANSPOSED: list[tuple[Sequence[int], Sequence[int], dict[str, Any]]] = [
    ((2, 3, 7), (3, 4, 3), {"pads": [1, 1]}),
    ((2, 4, 5, 4), (4, 3, 3, 3), {"strides": [2, 1], "pads": [1, 0, 1, 0]}),
    ((2, 4, 4, 4), (4, 3, 2, 3), {"group": 2, "strides": [2, 2], "dilations": [1, 2]}),
]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("x", "w", "how"), COMPUTED_TRANSPOSED, ids=str)
def test_transposed_convolutions_with_computed_weights(
    x: Sequence[int], w: Sequence[int], how: dict[str, Any], bias: bool
) -> None:
    outputs = w[1] * how.get("group", 1)
    inputs: Shapes = {"x": x, "w": w, **({"b": (outputs,)} if bias else {})}
    assert off([node("ConvTranspose", " ".join(inputs), "y", **how)], inputs) < LIMIT[False]
