"""Bias correction: rounded weights cost nothing on the mean, and the choice can be judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

import zktally
from support.compared import network, node
from zktally.bench.precision import outputs
from zktally.circuits.calibrate import feeds
from zktally.circuits.compile import build, open_network, prepare
from zktally.circuits.corrections import means
from zktally.circuits.errors import CompileError
from zktally.circuits.model import CompiledModel, from_bytes
from zktally.circuits.quantise import channels, without_error
from zktally.verifier.errors import ProgramMismatch

RNG = np.random.default_rng(3)


def convolutions(group: int = 1) -> onnx.ModelProto:
    """Two convolutions of images that are positive, as behind a Relu, and a dense layer."""
    constants = {
        "a": RNG.normal(0, 0.3, (8, 4 // group, 3, 3)).astype(np.float32),
        "b": RNG.normal(0, 0.2, (8, 8, 1, 1)).astype(np.float32),
        "c": RNG.normal(0, 0.3, (8, 5)).astype(np.float32),
    }
    nodes = [
        node("Conv", "x a", "p", group=group, pads=[1] * 4),
        node("Relu", "p", "q"),
        node("Conv", "q b", "r"),
        node("GlobalAveragePool", "r", "s"),
        node("Flatten", "s", "t"),
        node("MatMul", "t c", "y"),
    ]
    return network(nodes, {"x": (1, 4, 6, 6)}, constants)


def images(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(0.0, 1.0, (count, 1, 4, 6, 6)).astype(np.float32)


@pytest.mark.parametrize("group", [1, 2, 4])
def test_the_mean_error_of_a_layer_goes(group: int) -> None:
    weight = RNG.normal(0, 0.3, (8, 4 // group, 3, 3))
    mean = RNG.uniform(0.2, 2.0, 4)
    x = mean + RNG.normal(0, 0.1, (500, 4))
    numbers = channels("layer", weight, None, 0.01, 0.02)
    made = without_error(numbers, (weight, None), 0.01, 0.02, mean, group)
    assert made.bias is not None
    step = numbers.mult * 2.0**-numbers.shift * 2.0
    held = numbers.weight * step[:, None, None, None] - weight
    each = np.repeat(x.reshape(500, group, -1), 8 // group, axis=1)
    errors = np.einsum("nci,cikl->nc", each, held).mean(axis=0)
    bias = made.bias.numbers * 2.0**made.bias.power * step * 0.01
    assert np.abs(errors).max() > 20 * np.abs(errors + bias).max()


def test_compiling_corrects_where_that_helps() -> None:
    model, data, fresh = convolutions(), images(60, 1), images(40, 2)
    plain = zktally.compile(model, data, public=True, precision="int8", force=True)
    made = zktally.compile(model, data, public=True, target_sqnr=60.0, force=True)
    assert not plain.record.means
    assert {len(each) for each in made.record.means.values()} == {4, 8}
    eight = corrected(model, plain, made)
    real, found = (outputs(each, model, fresh[:, 0]) for each in (plain, eight))
    before, after = (np.abs(np.mean(f - r, axis=0)).mean() for r, f in (real, found))
    assert after < 0.5 * before


def corrected(model: onnx.ModelProto, plain: CompiledModel, other: CompiledModel) -> CompiledModel:
    """The program of 8 bits with the means of another one."""
    network_ = open_network(model, None, None)
    _, fused = prepare(network_, 1)
    record = replace(plain.record, means=other.record.means)
    built = build(fused, record)
    return CompiledModel(built.checked, built.weights, plain.key, record, plain.report)


def test_check_model_judges_the_means() -> None:
    model, data = convolutions(), images(60, 1)
    made = zktally.compile(model, data, public=True, target_sqnr=60.0, force=True)
    found = zktally.check_model(model, made, calibration=data, evaluation=images(40, 2))
    assert f"mean inputs of {len(made.record.means)} layers" in found.sentence()
    name, *_ = made.record.means
    for other, error in (
        ({}, ProgramMismatch),
        ({**made.record.means, name: (0.0,)}, CompileError),
        ({**made.record.means, "nobody": (0.0,)}, CompileError),
    ):
        told = replace(made, record=replace(made.record, means=other))
        with pytest.raises(error):
            zktally.check_model(model, told)


def test_a_mean_that_no_value_has_is_the_nearest_that_one_has() -> None:
    """So a record cannot move a bias further than rounding can be wrong."""
    model, data = convolutions(), images(60, 1)
    plain = zktally.compile(model, data, public=True, precision="int8", force=True)
    _, fused = prepare(open_network(model, None, None), 1)
    found = means(fused, fused, feeds(fused, data))
    widths = {name: len(each) for name, each in found.items()}
    programs = [
        build(fused, replace(plain.record, means={n: (m,) * w for n, w in widths.items()}))
        for m in (1e9, 1e30)
    ]
    pairs = zip(*(each.weights for each in programs), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_the_file_keeps_them() -> None:
    made = zktally.compile(convolutions(), images(60, 1), target_sqnr=60.0, force=True)
    assert from_bytes(made.to_bytes()).record.means == made.record.means
