"""The float model of a training step, run in onnxruntime beside the same step by hand."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from zktally.circuits.errors import NotTrainable
from zktally.circuits.ops import OPERATORS
from zktally.circuits.training.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Loss,
    MeanSquaredError,
)
from zktally.circuits.training.optimisers import SGD, Adam, Optimiser
from zktally.circuits.training.rehearsal import Rehearsal
from zktally.circuits.training.schedule import Schedule
from zktally.circuits.training.step import Recipe, Step, training_step
from zktally.verifier.errors import UsageError

RNG = np.random.default_rng(5)
BATCH = 4


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def network(
    nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], width: int = 6
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def linear(last: str | None = None) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    constants = {"w": normal(3, 6), "b": normal(3)}
    gemm = helper.make_node("Gemm", ["x", "w", "b"], ["z" if last else "y"], transB=1)
    nodes = [gemm, *([helper.make_node(last, ["z"], ["y"])] if last else [])]
    return network(nodes, constants), constants


def made(model: onnx.ModelProto, loss: Loss, optimiser: Optimiser, **recipe: object) -> Step:
    return training_step(model, Recipe(loss, optimiser, **recipe), OPERATORS, batch=BATCH)


def by_hand(
    x: np.ndarray, labels: np.ndarray, w: np.ndarray, b: np.ndarray, smoothing: float = 0.0
) -> tuple[float, dict[str, np.ndarray]]:
    z = x @ w.T + b
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    hot = np.eye(3)[labels] * (1 - smoothing) + smoothing / 3
    e = (p - hot) / len(x)
    return float(-(hot * np.log(p)).sum() / len(x)), {"w": e.T @ x, "b": e.sum(0)}


@pytest.mark.parametrize("last", [None, "Softmax", "LogSoftmax"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_and_plain_descent(last: str | None, smoothing: float) -> None:
    model, start = linear(last)
    optimiser = SGD()
    run = Rehearsal(made(model, CrossEntropy(smoothing), optimiser), optimiser)
    x, labels = normal(BATCH, 6), RNG.integers(0, 3, BATCH)
    loss, slopes = by_hand(x, labels, start["w"], start["b"], smoothing)
    (found,) = run.move({"x": x}, labels, 0.5).values()
    assert found == pytest.approx(loss, rel=1e-5)
    for name, slope in slopes.items():
        np.testing.assert_allclose(run.states[name], start[name] - 0.5 * slope, atol=1e-6)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_and_decay_are_those_of_torch(nesterov: bool) -> None:
    model, now = linear()
    optimiser = SGD(momentum=0.9, nesterov=nesterov, weight_decay=0.01)
    run = Rehearsal(made(model, CrossEntropy(), optimiser), optimiser)
    velocity = {name: np.zeros_like(array) for name, array in now.items()}
    for step in range(5):
        x, labels, rate = normal(BATCH, 6), RNG.integers(0, 3, BATCH), 0.3 / (1 + step)
        _, slopes = by_hand(x, labels, now["w"], now["b"])
        run.move({"x": x}, labels, rate)
        for name, slope in slopes.items():
            slope = slope + 0.01 * now[name]
            velocity[name] = 0.9 * velocity[name] + slope
            by = slope + 0.9 * velocity[name] if nesterov else velocity[name]
            now[name] = now[name] - rate * by
            np.testing.assert_allclose(run.states[name], now[name], atol=1e-5)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam(decay: float) -> None:
    model, now = linear()
    optimiser = Adam(weight_decay=decay)
    run = Rehearsal(made(model, CrossEntropy(), optimiser), optimiser)
    mean = {name: np.zeros_like(array) for name, array in now.items()}
    square = {name: np.zeros_like(array) for name, array in now.items()}
    for step in range(1, 6):
        x, labels = normal(BATCH, 6), RNG.integers(0, 3, BATCH)
        _, slopes = by_hand(x, labels, now["w"], now["b"])
        run.move({"x": x}, labels, 0.01)
        for name, slope in slopes.items():
            mean[name] = 0.9 * mean[name] + 0.1 * slope
            square[name] = 0.999 * square[name] + 0.001 * slope**2
            by = (mean[name] / (1 - 0.9**step)) / (np.sqrt(square[name] / (1 - 0.999**step)) + 1e-8)
            now[name] = now[name] - 0.01 * decay * now[name] - 0.01 * by
            np.testing.assert_allclose(run.states[name], now[name], atol=2e-5)


def test_the_other_losses() -> None:
    optimiser = SGD()
    x = normal(BATCH, 6)
    model, start = linear()
    z = x @ start["w"].T + start["b"]
    targets = normal(BATCH, 3)
    run = Rehearsal(made(model, MeanSquaredError(), optimiser), optimiser)
    (found,) = run.move({"x": x}, targets, 1.0).values()
    assert found == pytest.approx(np.mean((z - targets) ** 2), rel=1e-5)
    slope = (2 * (z - targets) / z.size).T @ x
    np.testing.assert_allclose(run.states["w"], start["w"] - slope, atol=1e-5)
    for last in (None, "Sigmoid"):
        model, start = linear(last)
        z = x @ start["w"].T + start["b"]
        right = (RNG.random((BATCH, 3)) < 0.5).astype(np.float32)
        run = Rehearsal(made(model, BinaryCrossEntropy(), optimiser), optimiser)
        (found,) = run.move({"x": x}, right, 1.0).values()
        p = 1 / (1 + np.exp(-z))
        log = right * np.log(p) + (1 - right) * np.log(1 - p)
        assert found == pytest.approx(-log.mean(), rel=1e-5)
        slope = ((p - right) / z.size).T @ x
        np.testing.assert_allclose(run.states["w"], start["w"] - slope, atol=1e-5)


def test_gradients_are_clipped() -> None:
    model, start = linear()
    x, labels = 10 * normal(BATCH, 6), RNG.integers(0, 3, BATCH)
    _, slopes = by_hand(x, labels, start["w"], start["b"])
    optimiser = SGD()
    run = Rehearsal(made(model, CrossEntropy(), optimiser, clip_value=0.1), optimiser)
    run.move({"x": x}, labels, 1.0)
    expected = start["w"] - np.clip(slopes["w"], -0.1, 0.1)
    np.testing.assert_allclose(run.states["w"], expected, atol=1e-5)
    run = Rehearsal(made(model, CrossEntropy(), optimiser, clip_norm=0.2), optimiser)
    run.move({"x": x}, labels, 1.0)
    norm = np.sqrt(sum(np.sum(slope**2) for slope in slopes.values()))
    assert norm > 0.2
    np.testing.assert_allclose(run.states["b"], start["b"] - slopes["b"] * 0.2 / norm, atol=1e-5)


def test_frozen_constants_and_masks_stay() -> None:
    constants = {
        "w": normal(3, 6),
        "mask": np.array([0.0, 0.0, -1e9], np.float32),
        "scale": np.float32(0.5),
    }
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["z"], transB=1),
        helper.make_node("Mul", ["z", "scale"], ["s"]),
        helper.make_node("Add", ["s", "mask"], ["y"]),
    ]
    step = made(network(nodes, constants), CrossEntropy(), SGD())
    assert [state.name for state in step.parameters] == ["w"]
    with pytest.raises(UsageError):
        made(network(nodes, constants), CrossEntropy(), SGD(), freeze=("w*",))


def test_what_cannot_be_trained_is_listed() -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["z"], transB=1),
        helper.make_node("Floor", ["z"], ["y"], name="steps"),
    ]
    with pytest.raises(NotTrainable, match="steps"):
        made(network(nodes, {"w": normal(3, 6)}), MeanSquaredError(), SGD())


def test_a_run_learns_and_is_the_same_each_time() -> None:
    """Classes by two half-planes: the loss halves in 200 steps, to the bit the same each time."""
    model, _ = linear()
    optimiser, schedule = SGD(momentum=0.9), Schedule(0.1, 200, "cosine", warmup=10)
    x = normal(64, 6)
    labels = (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0)

    def batches(step: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        chosen = np.random.default_rng(step).integers(0, 64, BATCH)
        return {"x": x[chosen]}, labels[chosen]

    runs = []
    for _ in range(2):
        run = Rehearsal(made(model, CrossEntropy(), optimiser), optimiser)
        runs.append(run.run(batches, schedule.at, 200))
    assert runs[0] == runs[1]
    assert np.mean(runs[0][-20:]) < 0.5 * np.mean(runs[0][:5])


def test_schedules() -> None:
    assert [Schedule(1.0, 4).at(step) for step in range(3)] == [1.0, 1.0, 1.0]
    assert Schedule(1.0, 10, "cosine").at(5) == pytest.approx(0.5)
    steps = Schedule(1.0, 10, "step", every=3, factor=0.5)
    assert [steps.at(step) for step in (0, 2, 3, 6)] == [1.0, 1.0, 0.5, 0.25]
    assert [Schedule(1.0, 10, warmup=4).at(step) for step in (0, 1, 3, 4)] == [0.25, 0.5, 1.0, 1.0]
    with pytest.raises(UsageError):
        Schedule(1.0, 10, "linear")
