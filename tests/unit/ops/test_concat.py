"""Concat of computed and constant parts, of unlike ranges, of integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

import zktally
from support.compared import floats, network, node, run_apart, run_both, steps_off
from zktally.circuits.errors import UnsupportedOp

PARTS = {"x": (2, 3, 5), "z": (2, 3, 5)}


def off(nodes: list[Any], inputs: Any, constants: Any = None, opset: int = 17) -> float:
    model = network(nodes, inputs, constants, opset=opset)
    feeds = [{name: floats(*dims) for name, dims in inputs.items()} for _ in range(2)]
    return steps_off(model, *feeds)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("names", ["x z", "x x z", "x c", "c x d z"])
@pytest.mark.parametrize("opset", [7, 11, 13])
def test_parts_on_any_axis(axis: int, names: str, opset: int) -> None:
    if axis < 0 and opset < 11:
        pytest.skip("negative axes came with opset 11")
    inputs = {name: PARTS[name] for name in "xz" if name in names}
    constants = {name: floats(2, 3, 5) for name in "cd" if name in names}
    assert off([node("Concat", names, "y", axis=axis)], inputs, constants, opset) < 1.1


def test_parts_of_other_sizes_and_an_activation() -> None:
    inputs = {"x": (2, 1, 5), "z": (2, 4, 5)}
    nodes = [node("Concat", "x c z", "h", axis=1), node("Relu", "h", "y")]
    assert off(nodes, inputs, {"c": floats(2, 2, 5)}) < 1.1


def test_a_constant_that_is_the_same_for_all_items_does_not_mix_them() -> None:
    """As a class token is joined to the patches of an image: expanded along the batch."""
    token = np.broadcast_to(floats(1, 1, 5), (4, 1, 5)).copy()
    model = network([node("Concat", "c x", "y", axis=1)], {"x": (4, 3, 5)}, {"c": token})
    assert steps_off(model, {"x": floats(4, 3, 5)}, {"x": floats(4, 3, 5)}) < 1.1
    compiled, _, _ = run_both(model, {"x": floats(4, 3, 5)})
    assert next(t for t in compiled.checked.program.tensors if "addend" in t.name).shape[0] == 1


@pytest.mark.parametrize("factor", [3.0, 640.0, 1e5])
@pytest.mark.parametrize("count", [1, 5])
def test_an_output_of_unlike_parts_keeps_the_finest(factor: float, count: int) -> None:
    parts = ["b", *["s"] * count]
    nodes = [
        node("Mul", "x k", "b"),
        node("Sigmoid", "z", "s"),
        node("Concat", " ".join(parts), "y", axis=1),
    ]
    model = network(nodes, PARTS, {"k": np.float32(factor)})
    feeds = [{name: floats(*dims) for name, dims in PARTS.items()} for _ in range(2)]
    ((real, found, _),) = run_apart(model, *feeds)
    error = np.abs(real - found)
    assert error[:, 3:].max() < max(0.02, factor * 1e-5)
    assert error[:, :3].max() < 0.02 * factor


def test_other_layers_read_eight_bits() -> None:
    nodes = [node("Mul", "x k", "b"), node("Concat", "b z", "h", axis=1), node("Relu", "h", "y")]
    model = network(nodes, PARTS, {"k": np.float32(500)})
    compiled, _, _ = run_both(model, {name: floats(*dims) for name, dims in PARTS.items()})
    assert {t.width for t in compiled.checked.program.tensors if t.name in ("h", "y")} == {1}


def test_indices_are_joined_exactly() -> None:
    nodes = [
        node("ArgMax", "x", "i", axis=-1, keepdims=0),
        node("ArgMax", "z", "j", axis=-1, keepdims=0),
        node("Concat", "i k j", "y", axis=0),
    ]
    inputs = {"x": (3, 300), "z": (2, 7)}
    model = network(nodes, inputs, {"k": np.array([1000, -3])}, kind=TensorProto.INT64)
    feeds = {name: floats(*dims) for name, dims in inputs.items()}
    assert steps_off(model, feeds, feeds) == 0


def test_too_many_parts_are_refused() -> None:
    joined = node("Concat", " ".join(["x"] * 65), "y", axis=1)
    with pytest.raises(UnsupportedOp, match="more than 64"):
        zktally.compile(network([joined], {"x": ("n", 2)}), floats(3, 2))


@pytest.mark.parametrize("mode", ["fast", "hybrid"])
def test_a_receipt_of_unlike_parts(mode: str) -> None:
    nodes = [node("Mul", "x k", "b"), node("Concat", "b x", "y", axis=1)]
    model = network(nodes, {"x": (2, 3)}, {"k": np.float32(500)})
    feeds = {"x": floats(2, 3)}
    compiled = zktally.compile(model, feeds)
    receipt = zktally.prove(compiled, feeds, mode, reveal=mode == "fast")
    for backend in ("rust", "python"):
        verified = receipt.verify(compiled.model_id, backend=backend)
        assert np.abs(verified.outputs["y"].reshape(2, 6)[:, 3:] - feeds["x"]).max() < 0.03


def test_parts_that_are_one_number_each() -> None:
    model = network(
        [
            node("Clip", "x low low", "a"),
            node("Concat", "a a", "y", axis=1),
        ],
        {"x": (2, 3)},
        {"low": np.array(0.5, np.float32)},
    )
    x = np.zeros((2, 3), np.float32)
    _, expected, found = run_both(model, {"x": x})
    assert np.allclose(expected[0], found[0], atol=0.01)
