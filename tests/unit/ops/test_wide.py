"""Operators on values of 16 bits: what they compute is far nearer to the floats than with 8."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from support.compared import floats, network, node, run_both, weights
from zktally.bench.nodes import Case, cases, forms, runtime_outputs
from zktally.circuits.compile import compile
from zktally.circuits.evaluate import integer_run
from zktally.circuits.native import executor
from zktally.verifier.errors import ZktallyError
from zktally.verifier.program.types import PortKind

X, Z, IMAGE = ("n", 5), ("n", 5), ("n", 4, 7, 5)
V = np.array
CASES: dict[str, tuple[Any, ...]] = {
    "Add": ([node("Add", "x z", "y")], {"x": X, "z": Z}, {}),
    "a large addend": ([node("Add", "x c", "y")], {"x": X}, {"c": 9 * weights(5)}),
    "Mul": ([node("Mul", "x z", "y")], {"x": X, "z": Z}, {}),
    "Div": ([node("Sigmoid", "z", "d"), node("Div", "x d", "y")], {"x": X, "z": Z}, {}),
    "Gemm": ([node("Gemm", "x w b", "y")], {"x": X}, {"w": weights(5, 3), "b": 9 * weights(3)}),
    "long Gemm": ([node("Gemm", "x w", "y")], {"x": ("n", 1777)}, {"w": weights(1777, 3)}),
    "MatMul": ([node("MatMul", "x w", "y")], {"x": (7, 5)}, {"w": weights(3, 5, 2)}),
    "of two values": ([node("MatMul", "x z", "y")], {"x": (7, 5), "z": (5, 3)}, {}),
    "Conv": (
        [node("Conv", "x w b", "y", pads=[1] * 4)],
        {"x": IMAGE},
        {"w": weights(3, 4, 3, 3), "b": weights(3)},
    ),
    "ConvTranspose": (
        [node("ConvTranspose", "x w", "y")],
        {"x": IMAGE},
        {"w": weights(4, 3, 2, 2)},
    ),
    "MaxPool": ([node("MaxPool", "x", "y", kernel_shape=[2, 3])], {"x": IMAGE}, {}),
    "AveragePool": (
        [node("AveragePool", "x", "y", kernel_shape=[2, 3], pads=[1] * 4)],
        {"x": IMAGE},
        {},
    ),
    "LRN": ([node("LRN", "x", "y", size=3)], {"x": IMAGE}, {}),
    "fused table": (
        [node("Gemm", "x w", "h"), node("Sigmoid", "h", "y")],
        {"x": X},
        {"w": weights(5, 3)},
    ),
    "Softmax": ([node("Softmax", "x", "y")], {"x": X}, {}),
    "LogSoftmax": ([node("LogSoftmax", "x", "y")], {"x": X}, {}),
    "LayerNormalization": (
        [node("LayerNormalization", "x s b", "y", axis=1)],
        {"x": ("n", 31)},
        {"s": weights(31), "b": weights(31)},
    ),
    "ReduceL2": ([node("ReduceL2", "x", "y", axes=[1], keepdims=0)], {"x": X}, {}),
    "ReduceMin": ([node("ReduceMin", "x", "y", axes=[1])], {"x": X}, {}),
    "Max": ([node("Max", "x z c", "y")], {"x": X, "z": Z}, {"c": weights(5)}),
    "Where": (
        [node("Greater", "x z", "g"), node("Where", "g x z", "y")],
        {"x": X, "z": Z},
        {},
    ),
    "Concat": (
        [node("Concat", "x z", "h", axis=1), node("Neg", "h", "y")],
        {"x": X, "z": Z},
        {},
    ),
    "PRelu": ([node("PRelu", "x s", "y")], {"x": X}, {"s": weights(5)}),
    "Resize": (
        [node("Resize", "x r s", "y", mode="linear")],
        {"x": IMAGE},
        {"r": V([], np.float32), "s": V([1, 1, 2, 1.5], np.float32)},
    ),
    "CumSum": ([node("CumSum", "x a", "y")], {"x": X}, {"a": V(1)}),
    "Transpose": ([node("Transpose", "x", "y", perm=[0, 3, 1, 2])], {"x": IMAGE}, {}),
    "a table of rows": (
        [node("Einsum", "x w", "y", equation="ni,ij->nj")],
        {"x": X},
        {"w": weights(5, 3)},
    ),
}
BETTER = 30
"""dB that 16 bits gain at least: of the 48 of eight bits, one goes to values beyond calibration."""


@pytest.mark.parametrize("case", CASES)
def test_the_error_falls(case: str) -> None:
    nodes, inputs, constants = CASES[case]
    model = network(nodes, inputs, constants)
    feeds = {
        name: floats(*(6 if size == "n" else size for size in shape))
        for name, shape in inputs.items()
    }
    noises = []
    for precision in ("int8", "int16"):
        _, (real,), (found,) = run_both(model, feeds, precision=precision, force=True)
        noises.append(decibels(real, found))
    assert noises[1] > min(noises[0] + BETTER, 70)
    assert noises[1] > 60


def test_a_constant_beside_a_number() -> None:
    """A value without axes, to which a constant without axes is added: both have one to be read."""
    nodes = [node("ReduceMax", "x", "m", keepdims=0), node("Sub", "m c", "y")]
    model = network(nodes, {"x": (3, 4)}, {"c": np.array(80.0, np.float32)})
    _, (real,), (found,) = run_both(model, {"x": floats(3, 4)}, precision="int16", force=True)
    assert abs(float(real) - float(found.item())) < 0.01


def decibels(real: np.ndarray, found: np.ndarray) -> float:
    """The square over the noise."""
    exact = real.astype(np.float64).reshape(found.shape)
    return float(10 * np.log10(np.sum(exact**2) / max(np.sum((exact - found) ** 2), 1e-30)))


JUMPS = ("Round", "Ceil", "Floor", "Sign", "Acosh", "CumProd")
"""An argument a hair beside a jump falls on the other side of it, whatever its bits are; the slope
of Acosh has no bound, and its test is about that place; running products span orders."""


@pytest.mark.nightly
def test_every_operator_of_the_onnx_package() -> None:
    seen: set[str] = set()
    for case in cases(("node",)):
        ops = {each.op_type for each in case.model.graph.node}
        if not case.skipped and not ops & {*JUMPS, *seen} and (found := list(_wide(case))):
            seen |= ops if len(ops) == 1 else set()
            assert min(found) > 60, case.name
    assert len(seen) > 70


def _wide(case: Case) -> Iterator[float]:
    """DB of each output of floats that is not 0, in the first form that compiles."""
    for _, model, feeds in forms(case.model, case.feeds):
        try:
            compiled = compile(model, feeds, precision="int16", force=True)
        except ZktallyError:
            continue
        program = compiled.checked.program
        run = executor(compiled.checked, compiled.weights)
        values = integer_run(program, compiled.weights, feeds, run)
        for port, real in zip(program.outputs, runtime_outputs(model, feeds), strict=True):
            if port.kind == PortKind.FLOAT and real.any() and np.isfinite(real).all():
                integers = values[port.tensor].astype(np.float64)
                yield decibels(real, (integers - port.zero) * port.scale)
        return
