"""Sums, quotients, minima, comparisons and choices of several values, against onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from support.compared import network, node, run_apart, run_both, steps_off
from zktally.verifier.program.types import Pick, PortKind

RNG = np.random.default_rng(12)
A, B, ROW, ONE = (4, 5), (4, 5), (1, 5), (4, 1)


def drawn(shape: Sequence[int], count: int, reach: float = 3.0) -> np.ndarray:
    """Uniform within ± reach, both ends among it."""
    values = RNG.uniform(-reach, reach, (count, *shape)).astype(np.float32)
    values.reshape(-1)[:2] = (-reach, reach)[: values.size]
    return values


def judge(
    nodes: Sequence[Any],
    inputs: dict[str, tuple[tuple[int, ...], float]],
    constants: dict[str, np.ndarray] | None = None,
    *,
    opset: int = 17,
) -> float:
    """Steps off, with inputs of these shapes and reaches."""
    shapes = {name: ("n", *shape) for name, (shape, _) in inputs.items()}
    model = network(nodes, shapes, constants, opset=opset)
    data = [{n: drawn(s, count, r) for n, (s, r) in inputs.items()} for count in (30, 3)]
    return steps_off(model, *data)


def const(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


@pytest.mark.parametrize("op", ["Sum", "Mean", "Min", "Max"])
@pytest.mark.parametrize("opset", [8, 13])
@pytest.mark.parametrize(
    "constants", [{}, {"c": const(5)}, {"c": const(4, 1)}, {"c": const(), "d": const(4, 5)}]
)
@pytest.mark.parametrize("others", [[], [("z", B, 0.4)], [("z", ROW, 8.0), ("w", ONE, 2.0)]])
def test_several_values(
    op: str,
    opset: int,
    constants: dict[str, np.ndarray],
    others: list[tuple[str, tuple[int, ...], float]],
) -> None:
    inputs = {"x": (A, 3.0)} | {name: (shape, reach) for name, shape, reach in others}
    nodes = [node(op, " ".join([*constants, *inputs]), "y")]
    assert judge(nodes, inputs, constants, opset=opset) < 0.6


@pytest.mark.parametrize("op", ["Min", "Max"])
def test_unlike_ranges_keep_their_precision(op: str) -> None:
    sign = 1 if op == "Min" else -1
    data = {
        name: sign * RNG.uniform(0, reach, (30, 5)).astype(np.float32)
        for name, reach in (("x", 3000.0), ("z", 1.0))
    }
    model = network([node(op, "x z", "y")], {"x": ("n", 5), "z": ("n", 5)})
    assert steps_off(model, data, {name: array[:9] for name, array in data.items()}) < 0.6


@pytest.mark.parametrize("span", [(0.5, 3.0), (-4.0, -1.0), (2.0, 2.5), (-1.0, 1.0)], ids=str)
@pytest.mark.parametrize("shape", [A, ROW, ONE, (1, 1)], ids=str)
def test_division_by_computed_values(span: tuple[float, float], shape: tuple[int, ...]) -> None:
    def data(count: int) -> dict[str, np.ndarray]:
        divisors = RNG.uniform(*span, (count, *shape)).astype(np.float32)
        divisors[np.abs(divisors) < 0.2] = 0.2
        divisors.reshape(-1)[:2] = span
        return {"x": drawn(A, count), "d": divisors}

    model = network([node("Div", "x d", "y")], {"x": ("n", *A), "d": ("n", *shape)})
    assert steps_off(model, data(40), data(3)) < 0.7


def test_a_value_and_a_number_are_a_table() -> None:
    model = network([node("Max", "x c", "y")], {"x": ("n", 5)}, {"c": np.float32(-0.3)})
    compiled, _, _ = run_both(model, {"x": drawn((5,), 9)})
    assert len(compiled.checked.program.ops) == len(compiled.checked.program.tables) == 1


@pytest.mark.parametrize("op", ["Min", "Max", "Sum", "Mean"])
def test_a_single_value(op: str) -> None:
    assert judge([node(op, "x", "y")], {"x": (A, 3.0)}) < 0.6


BOUNDS: dict[str, tuple[str, dict[str, tuple[tuple[int, ...], float]], dict[str, np.ndarray]]] = {
    "both": ("x l h", {"l": ((), 1.0), "h": ((), 2.0)}, {}),
    "low": ("x l", {"l": ((), 1.0)}, {}),
    "high": ("x  h", {"h": ((), 1.0)}, {}),
    "low is constant": ("x l h", {"h": ((), 2.0)}, {"l": np.float32(-0.5)}),
    "high is constant": ("x l h", {"l": ((), 2.0)}, {"h": np.float32(0.5)}),
}


@pytest.mark.parametrize("case", BOUNDS)
def test_clip_between_computed_bounds(case: str) -> None:
    names, inputs, constants = BOUNDS[case]
    clip = node("Clip", "x", "y")
    del clip.input[:]
    clip.input.extend(names.split(" "))
    shapes = {"x": (3, 5), **dict.fromkeys(inputs, (1,))}
    scalars = [node("Squeeze", f"{name} axes", f"{name} s".replace(" ", "_")) for name in inputs]
    for number, name in enumerate(clip.input):
        if name in inputs:
            clip.input[number] = f"{name}_s"
    axes = {"axes": np.array([0])} if inputs else {}
    model = network([*scalars, clip], shapes, constants | axes)
    rows = lambda count: {  # noqa: E731
        "x": drawn((5,), 3 * count),
        **{name: drawn((), count, reach) for name, (_, reach) in inputs.items()},
    }
    assert steps_off(model, rows(9), rows(1)) < 0.6


COMPARED = ["Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"]


def truths(
    nodes: Sequence[Any],
    inputs: dict[str, tuple[int, ...]],
    constants: dict[str, np.ndarray],
    data: Any,
    opset: int = 17,
) -> float:
    """The share of wrong truth values of an output of booleans."""
    shapes = {name: ("n", *shape) for name, shape in inputs.items()}
    model = network(nodes, shapes, constants, kind=TensorProto.BOOL, opset=opset)
    ((real, found, _),) = run_apart(model, *data)
    assert real.shape == found.shape
    assert real.any()
    assert not real.all()
    return float(np.mean(real != found))


@pytest.mark.parametrize("op", COMPARED)
@pytest.mark.parametrize("opset", [9, 13, 17])
def test_a_comparison_with_a_number_never_flips(op: str, opset: int) -> None:
    if (op.endswith("OrEqual") and opset < 12) or (op == "Equal" and opset < 11):
        pytest.skip("the operator is newer")
    whole = RNG.integers(-128, 128, (30, 5)).astype(np.float32)
    whole.reshape(-1)[:4] = -128, 127, 7, 7
    data = [{"x": whole / 16}, {"x": whole[:9] / 16}]
    for names, threshold in (("x c", 7 / 16), ("c x", 7 / 16), ("x c", 0.3), ("x c", 0.0)):
        constants = {"c": np.float32(threshold)}
        nodes = [node(op, names, "y")]
        if op == "Equal" and threshold == 0.3:
            continue
        model = network(nodes, {"x": ("n", 5)}, constants, kind=TensorProto.BOOL, opset=opset)
        ((real, found, _),) = run_apart(model, *data)
        assert np.array_equal(real, found)


@pytest.mark.parametrize("op", COMPARED)
@pytest.mark.parametrize(("left", "right"), [(A, B), (A, ROW), (ONE, ROW), (A, ())])
def test_a_comparison_of_two_values(op: str, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    """Whole numbers on grids of 1 and 1/2: equal ones are among them."""

    def data(count: int) -> dict[str, np.ndarray]:
        x = RNG.integers(-30, 31, (count, *left)).astype(np.float32)
        z = RNG.integers(-30, 31, (count, *(right or (1, 1)))).astype(np.float32) / 2
        for values in (x, z):
            values.reshape(count, -1)[:, -1] = 5
        x.reshape(-1)[:2], z.reshape(-1)[:2] = (-128, 127), (-64, 63.5)
        return {"x": x, "z": z}

    shapes = {"x": left, "z": right or (1, 1)}
    assert truths([node(op, "x z", "y")], shapes, {}, [data(30), data(9)]) == 0


@pytest.mark.parametrize("op", COMPARED)
def test_a_comparison_with_constants(op: str) -> None:
    whole = RNG.integers(-128, 128, (30, 4, 5)).astype(np.float32)
    whole.reshape(-1)[:2] = -128, 127
    constants = {"c": np.array([[-128, -20, 0, 1, 90]], np.float32)}
    whole[:5] = constants["c"]
    for names in ("x c", "c x"):
        assert (
            truths([node(op, names, "y")], {"x": A}, constants, [{"x": whole}, {"x": whole}]) == 0
        )


@pytest.mark.parametrize("op", ["And", "Or", "Xor"])
@pytest.mark.parametrize("right", ["b", "c", "one"])
def test_truth_values(op: str, right: str) -> None:
    constants = {"t": np.float32(0.2), "c": RNG.random((4, 1)) > 0.5, "one": np.array(True)}
    nodes = [
        node("Greater", "x t", "a"),
        node("Less", "z t", "b"),
        node(op, f"a {right}", "h"),
        node("Not", "h", "y"),
    ]
    read = {name: constants[name] for name in ("t", right) if name in constants}
    inputs = {"x": A, "z": ROW}
    if right != "b":
        del nodes[1], inputs["z"]
    data = [{name: drawn(shape, count) for name, shape in inputs.items()} for count in (20, 7)]
    model = network(nodes, {n: ("n", *s) for n, s in inputs.items()}, read, kind=TensorProto.BOOL)
    ((real, found, _),) = run_apart(model, *data)
    assert np.array_equal(real, found)


def test_truths_are_integer_ports() -> None:
    model = network(
        [node("Greater", "x t", "y")],
        {"x": ("n", 5)},
        {"t": np.float32(0.0)},
        kind=TensorProto.BOOL,
    )
    compiled, _, _ = run_both(model, {"x": drawn((5,), 9)})
    port = compiled.checked.program.outputs[0]
    assert port.kind == PortKind.INTEGER
    assert compiled.checked.program.tensors[port.tensor].hi == 1


def test_a_mask_as_floats() -> None:
    nodes = [
        node("Greater", "x z", "c"),
        node("Cast", "c", "m", to=TensorProto.FLOAT),
        node("Mul", "x m", "y"),
    ]
    assert judge(nodes, {"x": (A, 3.0), "z": (ROW, 3.0)}) < 0.6


WHERE: dict[str, tuple[str, dict[str, np.ndarray]]] = {
    "two values": ("c x z", {}),
    "a number": ("c x n", {"n": np.float32(-0.7)}),
    "a number first": ("c n x", {"n": np.float32(1.2)}),
    "constants": ("c x k", {"k": const(4, 1)}),
    "constants first": ("c k z", {"k": const(5)}),
    "a constant condition": ("m x z", {"m": RNG.random((4, 5)) > 0.5}),
    "a broadcast condition": ("m x z", {"m": RNG.random((4, 1)) > 0.5}),
}


@pytest.mark.parametrize("case", WHERE)
@pytest.mark.parametrize("opset", [9, 16])
def test_where(case: str, opset: int) -> None:
    names, constants = WHERE[case]
    nodes = [node("Where", names, "y")]
    inputs = {
        name: value
        for name, value in {"x": (A, 3.0), "z": (ROW, 0.9)}.items()
        if name in names.split()
    }
    if "c" in names.split():
        nodes.insert(0, node("Greater", "x z", "c"))
        inputs = {"x": (A, 3.0), "z": (ROW, 0.9)}
    assert judge(nodes, inputs, constants, opset=opset) < 1.05


def test_where_of_values_in_one_code_copies_nothing() -> None:
    nodes = [node("Greater", "x z", "c"), node("Where", "c x z", "y")]
    model = network(nodes, {"x": ("n", 5), "z": ("n", 5)})
    compiled, _, _ = run_both(model, {"x": drawn((5,), 9), "z": drawn((5,), 9)})
    assert isinstance(compiled.checked.program.ops[-1], Pick)


def test_choices_may_be_integers() -> None:
    nodes = [
        node("ArgMax", "x", "a", axis=1),
        node("ArgMax", "z", "b", axis=1),
        node("Greater", "a b", "c"),
        node("Where", "c a b", "y"),
    ]
    model = network(nodes, {"x": ("n", 5), "z": ("n", 5)}, kind=TensorProto.INT64)
    _, expected, found = run_both(model, {"x": drawn((5,), 3), "z": drawn((5,), 3)})
    assert expected[0].tolist() == found[0].tolist()
