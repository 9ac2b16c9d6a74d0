"""Outputs that join boxes and scores: their codes, their figures, and that they have no classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

import zktally
from support.compared import network, node, run_both
from zktally.circuits.compile import open_network, prepare
from zktally.circuits.joined import joined
from zktally.circuits.ops import OPERATORS
from zktally.circuits.spread import Spread

RNG = np.random.default_rng(23)
PLACES, CLASSES = 12, 5


def drawn(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


def head(tail: str, *, heads: int = 1) -> onnx.ModelProto:
    """A detector: boxes in pixels and scores of [n, 8, 12], joined, and moved by a `tail`."""
    constants = {"k": np.float32(80.0), "s": np.array([0, -1, CLASSES + 4])}
    constants |= {"from": np.array([2]), "to": np.array([-2]), "at": np.array([2])}
    nodes, names = [], []
    for n in range(heads):
        constants |= {f"wb{n}": drawn(4, 8, 1) * 0.3, f"ws{n}": drawn(CLASSES, 8, 1)}
        constants[f"bb{n}"] = np.full(4, 2.0, np.float32)
        constants[f"bs{n}"] = np.full(CLASSES, -3.0, np.float32)
        nodes += [
            node("Conv", f"x wb{n} bb{n}", f"c{n}"),
            node("Mul", f"c{n} k", f"b{n}"),
            node("Conv", f"x ws{n} bs{n}", f"l{n}"),
            node("Sigmoid", f"l{n}", f"s{n}"),
        ]
        names.append(f"j{n}")
        nodes.append(node("Concat", f"b{n} s{n}", f"j{n}", axis=1))
    if heads > 1:
        nodes.append(node("Concat", " ".join(names), "j", axis=2))
    last = "j" if heads > 1 else "j0"
    tails = {
        "none": [node("Identity", last, "y")],
        "transpose": [node("Transpose", last, "y", perm=[0, 2, 1])],
        "reshape": [node("Transpose", last, "t", perm=[0, 2, 1]), node("Reshape", "t s", "y")],
        "slice": [node("Slice", f"{last} from to at", "y")],
        "unsqueeze": [node("Transpose", last, "t", perm=[0, 2, 1]), node("Unsqueeze", "t at", "y")],
    }
    return network([*nodes, *tails[tail]], {"x": ("n", 8, PLACES)}, constants)


def parts_of(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and scores: along the axis that has as many as both."""
    axis = list(array.shape).index(CLASSES + 4)
    last = np.moveaxis(array, axis, -1)
    return last[..., :4], last[..., 4:]


def decibels(real: np.ndarray, found: np.ndarray) -> float:
    return float(10 * np.log10(np.var(real) / np.mean((real - found) ** 2)))


TAILS = ("none", "transpose", "reshape", "slice", "unsqueeze")
AXES = (1, 2, 2, 1, 3)


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("heads", [1, 3])
def test_scores_beside_boxes_are_not_crushed(tail: str, heads: int) -> None:
    """A code of 8 bits over 400 pixels has no step below 1."""
    model = head(tail, heads=heads)
    compiled, (real,), (found,) = run_both(model, {"x": drawn(6, 8, PLACES)})
    assert compiled.checked.program.outputs[0].scale < 0.01
    for exact, other in zip(parts_of(real), parts_of(found), strict=True):
        assert decibels(exact, other) > 25


@pytest.mark.parametrize("precision", ["auto", "int16"])
def test_with_more_bits_scores_have_more(precision: Any) -> None:
    model = head("transpose", heads=2)
    options = {"precision": precision, "target_sqnr": 45, "force": False}
    compiled, (real,), (found,) = run_both(model, {"x": drawn(6, 8, PLACES)}, **options)
    assert compiled.report.outputs[0].sqnr_db is not None
    assert compiled.report.outputs[0].sqnr_db > 45
    for exact, other in zip(parts_of(real), parts_of(found), strict=True):
        assert decibels(exact, other) > 38


@pytest.mark.parametrize("tail", TAILS)
def test_the_figure_is_that_of_the_worst_part(tail: str) -> None:
    """And there are no classes: the largest of a box and a score is none."""
    model, x = head(tail), drawn(30, 8, PLACES)
    eight = zktally.compile(model, x, precision="int8", force=True)
    (output,) = eight.report.outputs
    assert output.sqnr_db is not None
    assert eight.report.top1 is None
    _, (real,), (found,) = run_both(model, {"x": x[24:]})
    worst = min(decibels(*pair) for pair in zip(parts_of(real), parts_of(found), strict=True))
    assert abs(output.sqnr_db - worst) < 5
    assert output.sqnr_db < decibels(real, found) - 3


def parts(model: onnx.ModelProto, reach: dict[str, float]) -> Any:
    dynamic = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    graph = prepare(open_network(model, None, None), 2 if dynamic else 1)[1]
    return joined(graph, OPERATORS, lambda name: reach[name])


FAR = {"b0": 400.0, "b1": 300.0, "s0": 1.0, "s1": 1.0}
BOXES, SCORES = tuple(range(4)), tuple(range(4, 9))


@pytest.mark.parametrize(("tail", "axis"), list(zip(TAILS, AXES, strict=True)))
@pytest.mark.parametrize("heads", [1, 2])
def test_parts_are_followed(tail: str, axis: int, heads: int) -> None:
    found = parts(head(tail, heads=heads), FAR)
    assert found["y"].axis == axis
    assert found["y"].groups == (BOXES, SCORES)


def test_alike_parts_are_one() -> None:
    assert parts(head("none"), FAR | {"b0": 15.9}) == {}
    assert parts(head("none"), FAR | {"b0": 16.0}) != {}


def test_what_is_computed_of_a_join_is_no_part_of_it() -> None:
    model = head("none")
    model.graph.node[-1].op_type = "Sigmoid"
    assert parts(model, FAR) == {}


def test_a_constant_is_a_part() -> None:
    nodes = [node("Sigmoid", "x", "s"), node("Concat", "s c", "y", axis=1)]
    model = network(nodes, {"x": (2, 3)}, {"c": np.full((2, 2), 50.0, np.float32)})
    assert parts(model, {"s": 1.0})["y"].groups == ((3, 4), (0, 1, 2))


def test_groups_of_channels_have_their_own_figures() -> None:
    real = np.stack([drawn(20) * 100, drawn(20)], 1)
    found = real + np.array([0.1, 0.1])
    whole, apart = Spread(), Spread(None, ((0,), (1,)))
    for spread in (whole, apart):
        spread.add(real, found)
    assert whole.sqnr() > 50
    assert 15 < apart.sqnr() < 25
    assert apart.error().sqnr_db == round(apart.sqnr(), 2)
