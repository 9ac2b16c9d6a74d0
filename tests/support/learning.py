"""Small networks that are trained: in floats by onnxruntime, in integers by the core."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from zktally.circuits.ops import OPERATORS
from zktally.circuits.training.losses import LABELS, CrossEntropy, Loss
from zktally.circuits.training.optimisers import DECAY, RATE, Optimiser
from zktally.circuits.training.program import (
    Form,
    TrainingProgram,
    gradient_graph,
    served_graph,
    training_program,
)
from zktally.circuits.training.ranges import Ranges, rehearsed
from zktally.circuits.training.rehearsal import Rehearsal
from zktally.circuits.training.step import Recipe, Step, training_step
from zktally.prover import FastRun
from zktally.verifier.inputs import DTYPES
from zktally.verifier.program.types import PortKind, Role

Batch = tuple[Mapping[str, np.ndarray], np.ndarray]
RATE_MAX = 0.1


def node(op: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), output.split(), **attributes)


def network(
    nodes: list[onnx.NodeProto],
    constants: Mapping[str, np.ndarray],
    shape: tuple[int, ...],
    kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A model from `x` [N, *shape] to `y`."""
    graph = helper.make_graph(
        nodes,
        "learner",
        [helper.make_tensor_value_info("x", kind, ["N", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def drawn(rng: np.random.Generator, *shape: int, fan: int | None = None) -> np.ndarray:
    """Weights as large as keeps values of a layer at about 1."""
    reach = np.sqrt(3.0 / (fan or shape[-1]))
    return (rng.uniform(-1, 1, shape) * reach).astype(np.float32)


def perceptron(inputs: int = 12, hidden: int = 24, classes: int = 5) -> onnx.ModelProto:
    rng = np.random.default_rng(1)
    constants = {
        "w0": drawn(rng, hidden, inputs),
        "b0": np.zeros(hidden, np.float32),
        "w1": drawn(rng, classes, hidden),
        "b1": np.zeros(classes, np.float32),
    }
    nodes = [
        node("Gemm", "x w0 b0", "z", transB=1),
        node("Relu", "z", "h"),
        node("Gemm", "h w1 b1", "y", transB=1),
    ]
    return network(nodes, constants, (inputs,))


def batches(
    count: int, shape: tuple[int, ...], classes: int, seed: int = 0
) -> Callable[[int], Batch]:
    """Records of classes that lie apart, `count` a step."""
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(classes, *shape))

    def of(step: int) -> Batch:
        own = np.random.default_rng((seed, step))
        labels = own.integers(0, classes, count)
        x = centres[labels] + 0.7 * own.normal(size=(count, *shape))
        return {"x": x.astype(np.float32)}, labels

    return of


@dataclass
class Learner:
    """A step in floats and in integers."""

    step: Step
    optimiser: Optimiser
    ranges: Ranges
    program: TrainingProgram


def learner(
    model: onnx.ModelProto,
    optimiser: Optimiser,
    of: Callable[[int], Batch],
    *,
    loss: Loss | None = None,
    batch: int = 16,
    rate: float = RATE_MAX,
    rehearsal: int = 20,
    form: Form | None = None,
    **recipe: Any,
) -> Learner:
    made = Recipe(loss or CrossEntropy(), optimiser, **recipe)
    step = training_step(model, made, OPERATORS, batch=batch)
    graphs = gradient_graph(step, OPERATORS), served_graph(step, OPERATORS, 1)
    ranges = rehearsed(step, graphs, OPERATORS, optimiser, of, lambda n: rate, rehearsal, rate)
    program = training_program(step, optimiser, OPERATORS, graphs[0], ranges, form or Form())
    return Learner(step, optimiser, ranges, program)


class Integers:
    """A run of a program whose data and labels are inputs."""

    def __init__(self, learner: Learner) -> None:
        self._learner, model = learner, learner.program.model
        self.run = FastRun(model.core, model.checked, list(learner.program.start))

    def move(self, batch: Batch, rate: float) -> float:
        """One step; its loss."""
        program = self._learner.program.model.checked.program
        now, decay = self._learner.optimiser.rates(rate, self.run.steps)
        values = {**batch[0], LABELS: batch[1], RATE: now, DECAY: decay}
        given = {}
        for port in program.inputs:
            tensor, value = program.tensors[port.tensor], np.asarray(values[port.name])
            if port.kind is PortKind.FLOAT:
                value = np.clip(np.rint(value / port.scale), tensor.lo, tensor.hi)
            given[port.tensor] = value.reshape(tensor.shape).astype(DTYPES[tensor.width])
        self.run.execute([given[number] for number in program.of_role(Role.INPUT)])
        loss = program.outputs[0]
        found = self.run.values(self.run.steps - 1, loss.tensor).reshape(-1)[0]
        return float((float(found) - loss.zero) * loss.scale)

    def states(self) -> dict[str, np.ndarray]:
        """The reals of all states after the last step."""
        program = self._learner.program.model.checked.program
        last = self.run.steps - 1
        values = {
            program.tensors[link.state].name: self.run.values(last, link.value)
            for link in program.states
        }
        return self._learner.program.reals(values)


def floats(learner: Learner) -> Rehearsal:
    """The same run in floats."""
    return Rehearsal(learner.step, learner.optimiser)


def alike(found: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """Correlation of two arrays, and how much of the second is in the first."""
    a, b = found.ravel().astype(np.float64), expected.ravel().astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b) + 1e-30)), float(a @ b / (b @ b + 1e-30))
