"""Resize and Upsample in every mode against onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest

import zktally
from support.compared import floats, infer, network, node, run_both, steps_off
from zktally.circuits.errors import UnsupportedOp
from zktally.circuits.ops.interpolation import NEAREST_MODES, TRANSFORMATIONS, Axis, Rule, matrix
from zktally.circuits.ops.resize import banded
from zktally.verifier.program.types import Dot, Pick

IMAGE = (2, 3, 5, 4)
SIZES = {"up": (10, 12), "down": (2, 3), "primes": (7, 3), "one": (1, 1), "same": (5, 4)}


def resize(
    shape: Sequence[int], *, opset: int = 19, scales: Any = None, sizes: Any = None,
    roi: Any = (), **attributes: Any,
) -> onnx.ModelProto:  # fmt: skip
    constants = {"r": np.array(roi, np.float32)}
    if scales is not None:
        constants["s"] = np.array(scales, np.float32)
    else:
        constants |= {"e": np.zeros(0, np.float32), "s": np.array(sizes, np.int64)}
    made = node("Resize", "x r s" if scales is not None else "x r e s", "y", **attributes)
    return network([made], {"x": shape}, constants, opset=opset)


def off(model: onnx.ModelProto, shape: Sequence[int] = IMAGE) -> float:
    return steps_off(model, {"x": floats(*shape)}, {"x": floats(*shape)})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("transformation", [t for t in TRANSFORMATIONS if "crop" not in t])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_all_coordinates(mode: str, transformation: str, size: str) -> None:
    model = resize(
        IMAGE,
        sizes=[2, 3, *SIZES[size]],
        mode=mode,
        coordinate_transformation_mode=transformation,
    )
    assert off(model) < (1e-3 if mode == "nearest" else 1.1)


@pytest.mark.parametrize("scales", [(2.0, 2.0), (0.5, 1.5), (0.6, 0.8), (1.3, 3.7)], ids=str)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("transformation", ["half_pixel", "asymmetric", "half_pixel_symmetric"])
def test_scales(mode: str, scales: tuple[float, float], transformation: str) -> None:
    model = resize(
        IMAGE, scales=[1, 1, *scales], mode=mode, coordinate_transformation_mode=transformation
    )
    assert off(model) < (1e-3 if mode == "nearest" else 1.1)


@pytest.mark.parametrize("mode", [mode for mode in NEAREST_MODES if mode != "simple"])
@pytest.mark.parametrize("transformation", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("size", [(10, 8), (3, 2), (7, 9)], ids=str)
def test_nearest_modes(mode: str, transformation: str, size: tuple[int, int]) -> None:
    model = resize(
        IMAGE,
        sizes=[2, 3, *size],
        nearest_mode=mode,
        coordinate_transformation_mode=transformation,
    )
    assert off(model) < 1e-3


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("roi", [(0.4, 0.6, 0.6, 0.8), (-0.2, 0.1, 0.9, 1.3)], ids=str)
def test_crops(mode: str, roi: tuple[float, ...]) -> None:
    whole = [0, 0, *roi[:2], 1, 1, *roi[2:]]
    model = resize(
        IMAGE,
        sizes=[2, 3, 4, 5],
        roi=whole,
        mode=mode,
        coordinate_transformation_mode="tf_crop_and_resize",
    )
    assert off(model) < 1.1


@pytest.mark.parametrize("attributes", [
    {"mode": "cubic", "cubic_coeff_a": -0.5},
    {"mode": "cubic", "exclude_outside": 1},
    {"mode": "linear", "antialias": 1},
    {"mode": "linear", "antialias": 1, "exclude_outside": 1},
    {"mode": "cubic", "antialias": 1},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("size", [(3, 2), (2, 4), (8, 7)], ids=str)
def test_filters(attributes: dict[str, Any], size: tuple[int, int]) -> None:
    assert off(resize(IMAGE, sizes=[2, 3, *size], **attributes)) < 1.1


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_policies_and_axes(policy: str, mode: str) -> None:
    model = resize(IMAGE, sizes=[8, 7], axes=[2, 3], keep_aspect_ratio_policy=policy, mode=mode)
    assert off(model) < 1.1


LINE, CUBE = ((2, 3, 7), (1, 1, 2)), ((1, 2, 3, 4, 5), (1, 1, 2, 0.5, 3))


@pytest.mark.parametrize(("shape", "scales"), [LINE, CUBE], ids=str)
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_one_and_three_dimensions(mode: str, shape: Sequence[int], scales: Sequence[float]) -> None:
    assert off(resize(shape, scales=scales, mode=mode), shape) < 1.1


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize(("op", "opset"), [("Upsample", 9), ("Resize", 10)])
@pytest.mark.parametrize("scales", [(2, 3), (1.5, 1)], ids=str)
def test_older_forms(op: str, opset: int, mode: str, scales: tuple[float, float]) -> None:
    made = node(op, "x s", "y", mode=mode)
    constants = {"s": np.array([1, 1, *scales], np.float32)}
    assert off(network([made], {"x": IMAGE}, constants, opset=opset)) < 1.1


def test_upsample_with_attributes() -> None:
    made = node("Upsample", "x", "y", scales=[1.0, 1.0, 2.0, 3.0])
    assert off(network([made], {"x": IMAGE}, opset=7)) < 1e-3


def test_doubling_is_one_copy_and_bilinear_two_dots() -> None:
    shape = ("n", 3, 16, 16)
    feeds = {"x": floats(2, 3, 16, 16)}
    for mode, kinds in (("nearest", [Pick]), ("linear", [Dot, Dot])):
        model = resize(shape, scales=[1, 1, 2, 2], mode=mode)
        compiled, _, _ = run_both(model, feeds)
        ops = compiled.checked.program.ops
        assert [type(op) for op in ops] == kinds
        assert all(op.terms[0].size == 3 for op in ops if isinstance(op, Dot))


@pytest.mark.parametrize("size", [1, 5, 8])
@pytest.mark.parametrize("out", [1, 3, 10, 16])
def test_bands_hold_the_whole_matrix(size: int, out: int) -> None:
    weights = matrix(Axis(size, out, out / size), Rule("cubic", "half_pixel", "floor"))
    band = banded(weights, 1)
    rebuilt = np.zeros((out, size + 2 * band.window + 99))
    for row in range(out):
        start = row // band.period * band.step + band.start + 50
        rebuilt[row, start : start + band.window] += band.weights[row]
    assert np.array_equal(rebuilt[:, 50 : 50 + size], weights)
    assert not rebuilt[:, :50].any()
    assert not rebuilt[:, 50 + size :].any()


def test_a_crop_that_leaves_the_input_for_another_value_is_refused() -> None:
    model = resize(
        IMAGE,
        sizes=[2, 3, 4, 5],
        roi=[0, 0, -0.5, 0, 1, 1, 1, 1],
        coordinate_transformation_mode="tf_crop_and_resize",
        extrapolation_value=10.0,
    )
    with pytest.raises(UnsupportedOp, match="extrapolation_value"):
        zktally.compile(model, floats(*IMAGE))


@pytest.mark.parametrize("mode", ["fast", "hybrid"])
def test_a_receipt_of_a_resize(mode: str) -> None:
    model = resize(("n", 2, 3, 3), scales=[1, 1, 2, 1.5], mode="cubic")
    feeds = {"x": floats(2, 2, 3, 3)}
    compiled = zktally.compile(model, feeds, batch=2)
    receipt = zktally.prove(compiled, feeds, mode, reveal=mode == "fast")
    for backend in ("rust", "python"):
        verified = receipt.verify(compiled.model_id, backend=backend)
        assert np.abs(verified.outputs["y"] - infer(model, feeds)[0]).max() < 0.05
