"""Operators by constant matrices, places and conditions, and what picks one of a line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.compared import floats, network, node, run_both, sqnr, steps_off, weights
from zktally.circuits.compile import compile
from zktally.circuits.errors import UnsupportedOp

RNG = np.random.default_rng(33)


def reals(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


def off(op: str, x: np.ndarray, opset: int = 20, order: str = "x", **options: Any) -> float:
    """Steps off, of one node on x and constants (arrays among the options)."""
    constants = {k: v for k, v in options.items() if isinstance(v, np.ndarray)}
    attributes = {k: v for k, v in options.items() if not isinstance(v, np.ndarray)}
    names = order if order != "x" else " ".join(["x", *constants])
    model = network([node(op, names, "y", **attributes)], {"x": x.shape}, constants, opset=opset)
    return steps_off(model, {"x": x}, {"x": x})


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("aligned", [0, 1])
def test_grids(mode: str, padding: str, aligned: int) -> None:
    x, grid = reals(2, 3, 5, 7), reals(2, 4, 3, 2)
    grid[0, 0, 0] = 0.0, -1.0
    options = {"mode": mode, "padding_mode": padding, "align_corners": aligned}
    assert off("GridSample", x, g=grid, **options) < 0.7


def test_grids_of_volumes() -> None:
    for mode in ("linear", "nearest"):
        assert off("GridSample", reals(1, 2, 3, 4, 5), g=reals(1, 2, 2, 3, 3), mode=mode) < 0.7


REGIONS = np.float32([[0, 0, 9, 7], [2.5, 1, 4, 6.5], [-3, -2, 3, 2], [7, 5, 16, 14], [4, 4, 4, 4]])


@pytest.mark.parametrize("ratio", [0, 1, 2])
@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize(
    "mode", [None, "half_pixel", "output_half_pixel"], ids=["opset 10", "half", "output half"]
)
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (4, 7)], ids=str)
def test_regions(size: tuple[int, int], mode: str | None, scale: float, ratio: int) -> None:
    options: dict[str, Any] = {"output_height": size[0], "output_width": size[1]}
    options |= {} if mode is None else {"coordinate_transformation_mode": mode}
    options |= {"spatial_scale": scale, "sampling_ratio": ratio}
    regions, items = REGIONS, np.zeros(len(REGIONS), np.int64)
    opset = 10 if mode is None else 16
    assert off("RoiAlign", reals(1, 3, 8, 10), opset, r=regions, b=items, **options) < 0.7


@pytest.mark.parametrize(
    ("images", "constant", "mode", "reason"),
    [
        (2, True, "avg", "reads more than one image"),
        (1, True, "max", "mode 'max'; only avg is"),
        (1, False, "avg", "input 1 is computed at run time"),
    ],
)
def test_other_regions_are_refused(images: int, constant: bool, mode: str, reason: str) -> None:
    given, held = {"x": reals(images, 2, 8, 8)}, {"b": np.zeros(5, np.int64)}
    (held if constant else given)["r"] = REGIONS
    shapes = {name: array.shape for name, array in given.items()}
    model = network([node("RoiAlign", "x r b", "y", mode=mode)], shapes, held, opset=16)
    with pytest.raises(UnsupportedOp, match=reason):
        compile(model, given)


def test_how_many_there_are_depends_on_the_data() -> None:
    model = network([node("NonZero", "x", "i"), node("Cast", "i", "y", to=1)], {"x": (3, 4)})
    with pytest.raises(UnsupportedOp, match="how many values it gives depends on the data"):
        compile(model, reals(3, 4))


def test_a_computed_grid_is_refused() -> None:
    model = network([node("GridSample", "x g", "y")], {"x": (1, 1, 3, 3), "g": (1, 2, 2, 2)})
    data = {"x": reals(1, 1, 3, 3), "g": reals(1, 2, 2, 2)}
    with pytest.raises(UnsupportedOp, match="computed at run time"):
        compile(model, data)


@pytest.mark.parametrize(
    ("image", "block", "places", "attributes"),
    [
        ((5, 5), (1, 5), 5, {}),
        ((5, 5), (3, 3), 4, {"strides": [2, 2]}),
        ((4, 4), (3, 3), 16, {"pads": [1, 1, 1, 1]}),
        ((4, 4), (2, 2), 4, {"dilations": [2, 2]}),
    ],
)
def test_columns(
    image: tuple[int, ...], block: tuple[int, ...], places: int, attributes: Any
) -> None:
    x = reals(2, 3 * block[0] * block[1], places)
    shapes = {"s": np.array(image), "b": np.array(block)}
    assert off("Col2Im", x, **shapes, **attributes) < 0.7


@pytest.mark.parametrize("shape", [(1, 7, 1), (2, 5, 3, 2), (1, 16, 2)])
@pytest.mark.parametrize("inverse", [0, 1])
def test_waves(shape: tuple[int, ...], inverse: int) -> None:
    axes = range(1, len(shape) - 1)
    for axis in axes:
        assert off("DFT", reals(*shape), opset=17, axis=axis, inverse=inverse) < 0.7
        for length in (4, 11):
            given = {"n": np.array(length), "a": np.array(axis - len(shape))}
            assert off("DFT", reals(*shape), **given, inverse=inverse) < 0.7


def test_waves_of_real_samples() -> None:
    assert off("DFT", reals(2, 9, 1), opset=17, axis=1, onesided=1) < 0.7
    x, window = reals(2, 64, 1), np.hanning(16).astype(np.float32)
    assert off("STFT", x, opset=17, s=np.array(8), w=window) < 0.7
    step = {"s": np.array(5), "n": np.array(16)}
    assert off("STFT", x, opset=17, order="x s w n", w=window, **step) < 0.7


@pytest.mark.parametrize(("opset", "axis"), [(13, -1), (13, 0), (13, 1), (11, 1), (11, 2)])
def test_one_of_a_line(opset: int, axis: int) -> None:
    x = (RNG.integers(-3, 4, (3, 5, 2)) * 0.5).astype(np.float32)
    assert off("Hardmax", x, opset=opset, axis=axis) < 0.1


def test_where_a_condition_holds() -> None:
    x = reals(3, 5, 2)
    for axis in (0, 1, -1):
        kept = np.arange(x.shape[axis]) % 2 == 0
        assert off("Compress", x, c=kept, axis=axis) < 0.1
    assert off("Compress", x, c=np.array([False, True, True])) < 0.1


def test_powers_of_values() -> None:
    x = RNG.uniform(0.2, 3, (20, 4)).astype(np.float32)
    z = RNG.uniform(-1, 2, (20, 4)).astype(np.float32)
    model = network([node("Pow", "x z", "y")], {"x": ("n", 4), "z": ("n", 4)})
    assert steps_off(model, {"x": x, "z": z}, {"x": x[:5], "z": z[:5]}) < 1.0
    assert off("Pow", x, e=np.array([0.5, 1, 2, 3], np.float32)) < 1.0


def test_powers_of_what_may_be_negative_are_refused() -> None:
    model = network([node("Pow", "x z", "y")], {"x": ("n", 2), "z": ("n", 2)})
    data = {"x": np.array([[-1, 1]], np.float32), "z": np.array([[2, 2]], np.float32)}
    with pytest.raises(UnsupportedOp, match="may be negative"):
        compile(model, data)


def test_losses_and_means_come_from_their_bodies() -> None:
    labels, weight = np.array([1, 0, 4]), np.array([0.5, 1, 2, 1, 1], np.float32)
    for reduction in ("none", "sum", "mean"):
        nodes = [node("SoftmaxCrossEntropyLoss", "x t w", "y", reduction=reduction)]
        model = network(nodes, {"x": (3, 5)}, {"t": labels, "w": weight}, opset=13)
        x = {"x": reals(3, 5)}
        assert steps_off(model, x, x) < 1.5
    outputs = ["y", "m", "d"]
    nodes = [node("LayerNormalization", "x g b", " ".join(outputs), axis=-1)]
    model = network(nodes, {"x": (3, 5)}, {"g": reals(5), "b": reals(5)}, outputs=outputs)
    x = {"x": reals(3, 5)}
    assert steps_off(model, x, x) < 3.0


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
def test_padding_that_readers_of_onnx_disagree_on_is_refused(op: str) -> None:
    options = {"kernel_shape": [3], "dilations": [2], "auto_pad": "SAME_UPPER"}
    model = network([node(op, "x", "y", **options)], {"x": (1, 2, 7)}, opset=19)
    with pytest.raises(UnsupportedOp, match="auto_pad is SAME, and it has dilations"):
        compile(model, {"x": floats(1, 2, 7)})


def test_an_output_shape_comes_before_valid_padding() -> None:
    options = {"dilations": [2], "auto_pad": "VALID", "output_shape": [7]}
    known = {"w": weights(2, 4, 2)}
    model = network([node("ConvTranspose", "x w", "y", **options)], {"x": (1, 2, 7)}, known)
    _, (expected,), (found,) = run_both(model, {"x": floats(1, 2, 7)})
    assert sqnr(expected, found) > 30
