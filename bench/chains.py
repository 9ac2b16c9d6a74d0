"""Chains of steps that benchmarks prove: what runs, and its steps, executed and committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..circuits.compile import compile
from ..circuits.model import CompiledModel
from ..hybrid.chain import run_chain
from ..prover import FastRun
from .digits.data import MODEL_PATH
from .models import INT8, calibration, mlp
from .train import learned

AVERAGE, PERCEPTRON, DIGITS, TRAINING = "average", "mlp", "digits", "training"

INT16: dict[str, Any] = {"precision": "int16", "force": True}
"""Of the running average, which 8 bits would not keep."""

BATCH = 16
"""Digits of a step."""

Executed = tuple[CompiledModel, FastRun, int]
"""The model, the run of all steps, and its items."""


def running_average(width: int = 5, keep: float = 15 / 16) -> onnx.ModelProto:
    """A state of some values, average' = keep·average + (1 − keep)·input, and a quarter of it."""
    weights = {"keep": keep, "add": 1 - keep, "quarter": 0.25}
    nodes = [
        helper.make_node("Mul", ["average", "keep"], ["kept"]),
        helper.make_node("Mul", ["input", "add"], ["added"]),
        helper.make_node("Add", ["kept", "added"], ["next"]),
        helper.make_node("Mul", ["next", "quarter"], ["output"]),
    ]
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width])
        for name in ("input", "average", "output", "next")
    }
    held = [
        numpy_helper.from_array(np.array([each], np.float32), name)
        for name, each in weights.items()
    ]
    graph = helper.make_graph(
        nodes,
        "running average",
        [values["input"], values["average"]],
        [values["output"], values["next"]],
        held,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def average(steps: int) -> Executed:
    """A running average: as small as a step gets."""
    rng = np.random.default_rng(1)
    data = rng.uniform(-1, 1, (steps, 1, 5)).astype(np.float32)
    typical = {"input": rng.uniform(-1, 1, (64, 1, 5)).astype(np.float32)}
    model = compile(running_average(), typical, states={"average": "next"}, **INT16)
    return model, *run_chain(model, {"input": data})


def perceptron(steps: int) -> Executed:
    """A perceptron of 784-128-10, one image a step."""
    network = mlp()
    model = compile(network, calibration(network, 64, 0), batch=1, **INT8)
    return model, *run_chain(model, {"input": calibration(network, steps, 1)})


def digits(steps: int) -> Executed:
    """The convolutional network of `zktally demo`, 16 images a step, no two of them alike."""
    images = np.random.default_rng(1).random((max(64, BATCH * steps), 1, 8, 8)).astype(np.float32)
    model = compile(MODEL_PATH, images[:64], batch=BATCH)
    return model, *run_chain(model, images[: BATCH * steps])


def training(steps: int) -> Executed:
    """Training of a perceptron of 64-128-10 on random images, 64 a step."""
    learner = learned("mlp", steps)
    return learner.model, learner.committed(steps), steps


CHAINS: dict[str, Callable[[int], Executed]] = {
    AVERAGE: average,
    PERCEPTRON: perceptron,
    DIGITS: digits,
    TRAINING: training,
}
