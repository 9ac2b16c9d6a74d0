"""Reductions, arg reductions, running sums and norms of windows, against onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from support.compared import network, node, run_apart, run_both, steps_off
from zktally.circuits.errors import UnsupportedOp

RNG = np.random.default_rng(13)


def drawn(shape: Sequence[int], span: tuple[float, float] = (-2.0, 3.0)) -> np.ndarray:
    """Uniform, both ends among it."""
    values = RNG.uniform(*span, shape).astype(np.float32)
    values.reshape(-1)[:2] = span
    return values


def judge(
    nodes: Sequence[Any],
    shape: tuple[int, ...],
    constants: dict[str, np.ndarray] | None = None,
    *,
    opset: int = 18,
    span: tuple[float, float] = (-2.0, 3.0),
    fixed: bool = False,
) -> float:
    """Steps off; with a fixed batch of 3 all axes may be reduced."""
    model = network(nodes, {"x": (3 if fixed else "n", *shape)}, constants, opset=opset)
    data = [{"x": drawn((count, *shape), span)} for count in (30, 3)]
    # What rows give is compared inside of the calibrated range: both sets hold the same rows.
    data[0]["x"][3:6] = data[1]["x"]
    return steps_off(model, *data)


REDUCED = {
    "ReduceSum": (-2.0, 3.0),
    "ReduceMean": (-2.0, 3.0),
    "ReduceMax": (-2.0, 3.0),
    "ReduceMin": (-2.0, 3.0),
    "ReduceSumSquare": (-2.0, 3.0),
    "ReduceL1": (-2.0, 3.0),
    "ReduceL2": (-2.0, 3.0),
    "ReduceLogSum": (0.1, 3.0),
    "ReduceLogSumExp": (-6.0, 9.0),
    "ReduceProd": (-1.5, 2.0),
}
AXES = [[1], [-1], [1, -1], [2], [3, 1], [-3, -2]]


@pytest.mark.parametrize("op", REDUCED)
@pytest.mark.parametrize("axes", AXES, ids=str)
@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("opset", [11, 18])
def test_axes(op: str, axes: list[int], keep: int, opset: int) -> None:
    shape = (2, 1, 3) if op == "ReduceProd" else (4, 1, 7)
    by_input = opset >= 18 or (op == "ReduceSum" and opset >= 13)
    given = {} if by_input else {"axes": axes}
    constants = {"a": np.array(axes)} if by_input else {}
    nodes = [node(op, "x a" if by_input else "x", "y", keepdims=keep, **given)]
    assert judge(nodes, shape, constants, opset=opset, span=REDUCED[op]) < 0.7


@pytest.mark.parametrize("op", REDUCED)
@pytest.mark.parametrize("keep", [0, 1])
def test_all_axes(op: str, keep: int) -> None:
    shape = () if op == "ReduceProd" else (5, 2)
    nodes = [node(op, "x", "y", keepdims=keep)]
    assert judge(nodes, shape, span=REDUCED[op], fixed=True) < 0.7


@pytest.mark.parametrize("op", [op for op in REDUCED if op != "ReduceProd"])
def test_a_prime_length(op: str) -> None:
    nodes = [node(op, "x a", "y")]
    assert judge(nodes, (1009,), {"a": np.array([1])}, span=REDUCED[op]) < 0.7


@pytest.mark.parametrize("op", ["ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean"])
def test_no_axes_by_wish(op: str) -> None:
    nodes = [node(op, "x a", "y", noop_with_empty_axes=1)]
    assert judge(nodes, (4, 5), {"a": np.array([], np.int64)}) < 0.6


def test_values_that_need_a_fine_logarithm() -> None:
    """One outweighs all others in some rows, all are alike in the rest."""
    rows = drawn((40, 4096), (-1.0, 1.0)) * np.logspace(-2, 0, 40, dtype=np.float32)[:, None]
    rows[::2, 7] = 9.0
    model = network(
        [node("ReduceLogSumExp", "x a", "y")], {"x": ("n", 4096)}, {"a": np.array([1])}, opset=18
    )
    assert steps_off(model, {"x": rows}, {"x": rows}) < 1.0


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("axis", [1, -1, 2])
@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("keep", [0, 1])
def test_arg(op: str, axis: int, last: int, keep: int) -> None:
    nodes = [node(op, "x", "y", axis=axis, select_last_index=last, keepdims=keep)]
    model = network(nodes, {"x": ("n", 5, 1, 7)}, kind=TensorProto.INT64)
    values = RNG.integers(-3, 4, (9, 5, 1, 7)).astype(np.float32)  # many are equal
    ((real, found, _),) = run_apart(model, {"x": values}, {"x": values})
    assert np.array_equal(real, found)


@pytest.mark.parametrize("axis", [1, -1, -2])
@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("opset", [11, 14])
def test_cum_sum(axis: int, exclusive: int, reverse: int, opset: int) -> None:
    nodes = [node("CumSum", "x a", "y", exclusive=exclusive, reverse=reverse)]
    assert judge(nodes, (5, 7), {"a": np.array(axis)}, opset=opset) < 0.6


@pytest.mark.parametrize("op", ["GlobalMaxPool", "GlobalLpPool"])
@pytest.mark.parametrize("shape", [(3, 5, 7), (3, 11), (2, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("p", [1, 2])
def test_global_pools(op: str, shape: tuple[int, ...], p: int) -> None:
    attributes = {"p": p} if op == "GlobalLpPool" else {}
    assert judge([node(op, "x", "y", **attributes)], shape) < 0.7


POOLS: dict[str, dict[str, Any]] = {
    "plain": {"kernel_shape": [2, 3]},
    "strides": {"kernel_shape": [3, 2], "strides": [2, 3]},
    "pads": {"kernel_shape": [3, 3], "pads": [1, 0, 2, 1]},
    "same upper": {"kernel_shape": [3, 2], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
    "same lower": {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"},
    "dilated": {"kernel_shape": [2, 3], "dilations": [3, 2]},
    "ceil": {"kernel_shape": [2, 2], "strides": [2, 3], "ceil_mode": 1},
}


@pytest.mark.parametrize("case", POOLS)
@pytest.mark.parametrize("p", [1, 2])
def test_lp_pool(case: str, p: int) -> None:
    assert judge([node("LpPool", "x", "y", p=p, **POOLS[case])], (2, 9, 8)) < 0.7


@pytest.mark.parametrize(
    ("nodes", "constants", "words"),
    [
        (
            [node("ReduceL2", "x a", "y", noop_with_empty_axes=1)],
            {"a": np.array([], np.int64)},
            "names no axes",
        ),
        (
            [node("Unsqueeze", "x a", "h"), node("GlobalLpPool", "h", "y", p=0)],
            {"a": np.array([1])},
            "its p is 0",
        ),
    ],
)
def test_refused(nodes: Sequence[Any], constants: dict[str, np.ndarray], words: str) -> None:
    model = network(nodes, {"x": (2, 9)}, constants, opset=18)
    with pytest.raises(UnsupportedOp, match=words):
        run_both(model, {"x": drawn((2, 9))})
