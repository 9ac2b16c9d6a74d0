"""Normalisations and LogSoftmax against onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from support.compared import floats, network, node, run_apart, run_both, steps_off, weights
from zktally.circuits.errors import UnsupportedOp

RNG = np.random.default_rng(14)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


def judge(
    nodes: Sequence[Any],
    x: np.ndarray,
    constants: dict[str, np.ndarray] | None = None,
    *,
    opset: int = 17,
    fixed: bool = False,
) -> tuple[float, float]:
    """SQNR in dB and steps off of rows 0 to 2, calibrated on all rows."""
    model = network(nodes, {"x": (3 if fixed else "n", *x.shape[1:])}, constants, opset=opset)
    ((real, found, step),) = run_apart(model, {"x": x}, {"x": x[:3]})
    error = np.abs(real.astype(np.float64) - found)
    signal = float(np.sum(real.astype(np.float64) ** 2))
    return 10 * np.log10(signal / max(float(np.sum(error**2)), 1e-30)), float(error.max() / step)


SHAPES = {
    "rows": ((16,), -1),
    "sequence": ((7, 48), -1),
    "several axes": ((3, 5, 8), 2),
    "all but the batch": ((3, 5, 8), 1),
    "prime": ((1, 131), -1),
    "of two": ((9, 2), -1),
    "negative axis": ((4, 3, 6), -2),
    "transformer": ((5, 768), -1),
}


@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize("op", ["LayerNormalization", "RMSNormalization"])
@pytest.mark.parametrize("offset", [0.0, 5.0])
def test_layer_norm(case: str, op: str, offset: float) -> None:
    shape, axis = SHAPES[case]
    inner = shape[axis if axis < 0 else axis - 1 :]
    constants = {"g": normal(*inner), "b": normal(*inner)}
    names = "x g b" if op == "LayerNormalization" else "x g"
    if op == "RMSNormalization":
        del constants["b"]
    nodes = [node(op, names, "y", axis=axis)]
    x = normal(24, *shape) * 2 + offset
    db, steps = judge(nodes, x, constants, opset=23 if op == "RMSNormalization" else 17)
    assert steps < 1.0
    assert db > 32


@pytest.mark.parametrize("scale", [1e-3, 1e-2, 1.0, 1e3])
@pytest.mark.parametrize("epsilon", [1e-12, 1e-5, 1e-3])
def test_epsilon_beside_small_values(scale: float, epsilon: float) -> None:
    nodes = [node("LayerNormalization", "x g", "y", epsilon=epsilon)]
    _, steps = judge(nodes, normal(24, 5, 32) * np.float32(scale), {"g": np.ones(32, np.float32)})
    assert steps < 1.0


def test_rows_that_differ_in_deviation() -> None:
    """Down to one that is constant, and one whose values are a step of the input's code apart."""
    x = normal(24, 64) * 2
    x[1] *= 0.1
    x[2] = 0.0
    x[2, ::2] = np.abs(x).max() / 120
    x[3] = 1.0
    nodes = [node("LayerNormalization", "x g", "y")]
    _, steps = judge(nodes, x, {"g": np.ones(64, np.float32)})
    assert steps < 2.0


def test_a_large_bias_beside_a_small_gain() -> None:
    constants = {"g": np.full(16, 0.01, np.float32), "b": normal(16) * 50}
    _, steps = judge([node("LayerNormalization", "x g b", "y")], normal(24, 16), constants)
    assert steps < 1.0


@pytest.mark.parametrize("shape", [(3, 5, 7), (4, 1, 11), (2, 19), (2, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("opset", [7, 22])
def test_instance_norm(shape: tuple[int, ...], opset: int) -> None:
    constants = {"g": normal(shape[0]), "b": normal(shape[0])}
    nodes = [node("InstanceNormalization", "x g b", "y", epsilon=1e-3)]
    db, steps = judge(nodes, normal(24, *shape) * 3 + 1, constants, opset=opset)
    assert steps < 1.0
    assert db > 34


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_group_norm(groups: int) -> None:
    nodes = [node("GroupNormalization", "x g b", "y", num_groups=groups)]
    constants = {"g": normal(6), "b": normal(6)}
    db, steps = judge(nodes, normal(24, 6, 5, 4) * 3 + 1, constants, opset=21)
    assert steps < 1.0
    assert db > 34


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("axis", [1, 2, -1, -3])
def test_lp_norm(p: int, axis: int) -> None:
    x = normal(24, 5, 3, 7)
    x[1, :, 0] = 0.0
    db, steps = judge([node("LpNormalization", "x", "y", p=p, axis=axis)], x)
    assert steps < 1.0
    assert db > 34


@pytest.mark.parametrize("axes", [None, [2, 3], [1], [-1, 1]], ids=str)
def test_mean_variance_norm(axes: list[int] | None) -> None:
    x = normal(24, 3, 5, 4) * 2 + 1
    attributes = {} if axes is None else {"axes": axes}
    nodes = [node("MeanVarianceNormalization", "x", "y", **attributes)]
    db, steps = judge(nodes, x, opset=13, fixed=axes is None)
    assert steps < 1.0
    assert db > 34


@pytest.mark.parametrize("size", [1, 3, 5, 9])
@pytest.mark.parametrize(
    "attributes", [{}, {"alpha": 0.5, "beta": 0.6, "bias": 2.0}, {"alpha": 3.0}], ids=str
)
def test_lrn(size: int, attributes: dict[str, float]) -> None:
    nodes = [node("LRN", "x", "y", size=size, **attributes)]
    db, steps = judge(nodes, normal(24, 7, 4, 3) * 3, opset=13)
    assert steps < 1.0
    assert db > 34


@pytest.mark.parametrize(
    ("shape", "axis", "opset"),
    [
        ((6,), -1, 13),
        ((5, 7), 1, 17),
        ((5, 7), -1, 13),
        ((5, 7), 1, 11),
        ((1, 257), 2, 17),
        ((4096,), 1, 17),
    ],
    ids=str,
)
def test_log_softmax(shape: tuple[int, ...], axis: int, opset: int) -> None:
    x = normal(24, *shape) * 4
    db, steps = judge([node("LogSoftmax", "x", "y", axis=axis)], x, opset=opset)
    assert steps < 1.0
    assert db > 34


@pytest.mark.parametrize("dims", [(150, 149), (3, 160, 41), (300, 301)], ids=str)
def test_large_images(dims: tuple[int, ...]) -> None:
    constants = {"g": normal(1), "b": normal(1)}
    nodes = [node("InstanceNormalization", "x g b", "y")]
    db, steps = judge(nodes, normal(4, 1, *dims) * 2 + 1, constants)
    assert steps < 1.0
    assert db > 30


def test_larger_ones_are_refused() -> None:
    constants = {"g": normal(1), "b": normal(1)}
    for dims in ((17000,), (600, 601)):
        nodes = [node("InstanceNormalization", "x g b", "y")]
        model = network(nodes, {"x": ("n", 1, *dims)}, constants)
        with pytest.raises(UnsupportedOp, match="more than 262144 values"):
            run_both(model, {"x": normal(1, 1, *dims)})


@pytest.mark.parametrize(
    ("nodes", "constants", "words"),
    [
        ([node("LayerNormalization", "x x", "y")], {}, "input 1 is computed"),
        ([node("LRN", "x4", "y", size=3, bias=-1.0)], {}, "not positive"),
    ],
)
def test_refused(nodes: Sequence[Any], constants: dict[str, np.ndarray], words: str) -> None:
    name = nodes[0].input[0]
    shape = (2, 9) if name == "x" else (2, 9, 3, 3)
    model = network(nodes, {name: shape}, constants)
    with pytest.raises(UnsupportedOp, match=words):
        run_both(model, {name: normal(*shape)})


def test_a_following_activation_is_fused() -> None:
    constants = {"g": normal(16), "b": normal(16)}
    alone = network([node("LayerNormalization", "x g b", "y")], {"x": ("n", 16)}, constants)
    nodes = [node("LayerNormalization", "x g b", "h"), node("Relu", "h", "y")]
    both = network(nodes, {"x": ("n", 16)}, constants)
    x = normal(24, 16)
    counts = [len(run_both(model, {"x": x})[0].checked.program.ops) for model in (alone, both)]
    assert counts[0] == counts[1]
    assert steps_off(both, {"x": x}, {"x": x[:3]}) < 1.0


def test_lines_that_are_always_constant() -> None:
    """What is divided is 0 then, whatever it is divided by: the bias is left."""
    model = network(
        [node("Clip", "x one one", "c"), node("LayerNormalization", "c g b", "y")],
        {"x": (3, 4)},
        {"one": np.array(1, np.float32), "g": weights(4), "b": weights(4)},
    )
    _, (real,), (found,) = run_both(model, {"x": floats(3, 4)})
    assert np.abs(real - found).max() < 0.02
