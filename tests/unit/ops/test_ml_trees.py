"""Trees of ai.onnx.ml: every decision is that of onnxruntime."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from support.classical import FLOAT, INT64, both, ml, table_model
from zktally.circuits.check import Tolerances, check_model
from zktally.circuits.compile import build, compile, open_network, prepare
from zktally.circuits.errors import BadModelFile, CalibrationMismatch
from zktally.circuits.graph import Node
from zktally.circuits.model import CompiledModel
from zktally.circuits.ops.ml_trees import support

RNG = np.random.default_rng(28)
MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]


def random_trees(
    kind: str, count: int, depth: int, columns: int, targets: int, modes: list[str], **extra: Any
) -> dict[str, Any]:
    """Attributes of trees that are not full, on thresholds in quarters, so that rows meet them."""
    nodes: dict[str, list[Any]] = {
        key: []
        for key in (
            *("treeids", "nodeids", "featureids", "values"),
            *("modes", "truenodeids", "falsenodeids"),
        )
    }
    leaves: dict[str, list[Any]] = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}

    def grow(tree: int, number: list[int], left: int) -> int:
        own, leaf = number[0], left == 0 or (left < depth - 1 and RNG.random() < 0.2)
        number[0] += 1
        at = len(nodes["nodeids"])
        row = (tree, own, int(RNG.integers(columns)), float(RNG.integers(-8, 9)) / 4)
        for key, value in zip(
            nodes, (*row, "LEAF" if leaf else RNG.choice(modes), 0, 0), strict=True
        ):
            nodes[key].append(str(value) if key == "modes" else value)
        if leaf:
            for target in range(targets):
                for key, value in zip(
                    leaves, (tree, own, target, float(RNG.normal())), strict=True
                ):
                    leaves[key].append(value)
        else:
            nodes["truenodeids"][at] = grow(tree, number, left - 1)
            nodes["falsenodeids"][at] = grow(tree, number, left - 1)
        return own

    for tree in range(count):
        grow(tree, [0], depth)
    made = {f"nodes_{key}": value for key, value in nodes.items()}
    return made | {f"{kind}_{key}": value for key, value in leaves.items()} | extra


def quarters(rows: int, columns: int) -> np.ndarray:
    return (RNG.integers(-10, 11, (rows, columns)) / 4).astype(np.float32)


def regressor(columns: int, targets: int = 1, **extra: Any) -> onnx.ModelProto:
    given = {"count": 7, "depth": 4, "modes": ["BRANCH_LEQ"]}
    given |= {key: extra.pop(key) for key in tuple(given) if key in extra}
    trees = random_trees("target", columns=columns, targets=targets, **given)
    node = ml("TreeEnsembleRegressor", "x", "y", n_targets=targets, **trees, **extra)
    return table_model([node], {"x": (FLOAT, columns)}, {"y": FLOAT})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("columns", "targets"), [(1, 1), (5, 3)])
def test_every_mode_decides_as_in_floats(mode: str, columns: int, targets: int) -> None:
    model = regressor(columns, targets, modes=[mode, "BRANCH_LEQ"], depth=5)
    compiled, real, found = both(model, {"x": quarters(40, columns)}, {"x": quarters(101, columns)})
    assert np.abs(real[0] - found[0]).max() < 1e-4
    assert compiled.report.decisions is not None
    assert compiled.report.decisions[1] == 0


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("base", [None, [0.25, -3.0]])
def test_every_aggregate(aggregate: str, base: list[float] | None) -> None:
    extra = {} if base is None else {"base_values": base}
    model = regressor(3, 2, aggregate_function=aggregate, **extra)
    _, real, found = both(model, {"x": quarters(40, 3)}, {"x": quarters(50, 3)})
    assert np.abs(real[0] - found[0]).max() < 1e-4


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
@pytest.mark.parametrize("targets", [1, 3])
def test_transforms_of_a_regressor(transform: str, targets: int) -> None:
    model = regressor(3, targets, post_transform=transform)
    _, real, found = both(model, {"x": quarters(40, 3)}, {"x": quarters(50, 3)})
    assert np.abs(real[0] - found[0]).max() < 2e-4


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
@pytest.mark.parametrize("base", [False, True])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("ids", [(0,), (1,), (0, 1), (0, 1, 2)])
def test_labels_and_scores_of_a_classifier(
    ids: tuple[int, ...], positive: bool, base: bool, transform: str
) -> None:
    """Two classes with a score for one of them, or for both; three classes."""
    if base and len(ids) + ids[0] != 1 and len(ids) != 3:
        pytest.skip("onnxruntime gives such base values a meaning of their own")
    trees = random_trees("class", 6, 3, 3, len(ids), ["BRANCH_LEQ", "BRANCH_LT"])
    trees["class_ids"] = [ids[target] for target in trees["class_ids"]]
    if positive:
        trees["class_weights"] = [abs(weight) / 6 for weight in trees["class_weights"]]
    if base:
        trees["base_values"] = [0.1, -0.2, 0.3][: len(ids)]
    labels = [5, -7, 300][: max(len(ids), 2)]
    node = ml(
        "TreeEnsembleClassifier", "x", "label scores", classlabels_int64s=labels,
        post_transform=transform, **trees,
    )  # fmt: skip
    model = table_model([node], {"x": (FLOAT, 3)}, {"label": INT64, "scores": FLOAT})
    _, real, found = both(model, {"x": quarters(40, 3)}, {"x": quarters(60, 3)})
    assert np.array_equal(real[0], found[0])
    assert np.abs(real[1] - found[1]).max() < 2e-4


def test_a_tree_ensemble_with_members() -> None:
    """The newer operator: leaves apart, sets of numbers, a tree that is one leaf."""
    node = ml(
        "TreeEnsemble", "x", "y", n_targets=2, aggregate_function=1, post_transform=0,
        tree_roots=[0, 2], nodes_featureids=[0, 1, 0],
        nodes_modes=numpy_helper.from_array(np.array([6, 0, 0], np.uint8)),
        nodes_splits=numpy_helper.from_array(np.array([0, 0.5, 0], np.float32)),
        nodes_truenodeids=[1, 0, 3], nodes_trueleafs=[0, 1, 1],
        nodes_falsenodeids=[2, 1, 3], nodes_falseleafs=[1, 1, 1],
        leaf_targetids=[0, 1, 0, 1],
        leaf_weights=numpy_helper.from_array(np.array([1, 2.5, -4, 0.5], np.float32)),
        membership_values=numpy_helper.from_array(np.array([1, 2.25, np.nan], np.float32)),
    )  # fmt: skip
    model = table_model([node], {"x": (FLOAT, 2)}, {"y": FLOAT}, version=5)
    rows = quarters(60, 2)
    rows[:20, 0] = RNG.choice([1, 2.25], 20)
    _, real, found = both(model, {"x": rows}, {"x": rows})
    assert len(np.unique(real[0][:, 0])) > 1
    assert np.abs(real[0] - found[0]).max() < 1e-4


def test_columns_in_parts_and_integers_are_read_each_on_its_own_grid() -> None:
    trees = random_trees("target", 9, 4, 4, 1, ["BRANCH_LEQ"])
    trees["nodes_values"] = [
        value * (1e6, 1e-6, 1.0, 1.0)[column]
        for value, column in zip(trees["nodes_values"], trees["nodes_featureids"], strict=True)
    ]
    nodes = [
        helper.make_node("Cast", ["whole"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["large", "small", "cast"], ["x"], axis=-1),
        ml("TreeEnsembleRegressor", "x", "y", n_targets=1, **trees),
    ]
    inputs = {"large": (FLOAT, 1), "small": (FLOAT, 1), "whole": (INT64, 2)}
    model = table_model(nodes, inputs, {"y": FLOAT})

    def rows(count: int) -> dict[str, np.ndarray]:
        x = quarters(count, 2)
        whole = RNG.integers(-3, 4, (count, 2))
        whole[:2] = [[-3, -3], [3, 3]]
        return {"large": x[:, :1] * 1e6, "small": x[:, 1:] * np.float32(1e-6), "whole": whole}

    compiled, real, found = both(model, rows(40), rows(80))
    assert compiled.report.decisions is not None
    assert compiled.report.decisions[1] == 0
    assert np.abs(real[0] - found[0]).max() < 1e-4


def test_values_beyond_calibration_are_compared_rightly() -> None:
    model = regressor(2)
    _, real, found = both(model, {"x": quarters(40, 2) / 8}, {"x": quarters(90, 2) * 1000})
    assert np.abs(real[0] - found[0]).max() < 1e-4


def test_a_place_that_values_of_the_other_side_have_is_turned() -> None:
    """0.3 and the float just below it share a place: the data says which side counts."""
    below = float(np.nextafter(np.float32(0.3), np.float32(0)))
    node = ml(
        "TreeEnsembleRegressor", "x", "y", n_targets=1, nodes_treeids=[0] * 3,
        nodes_nodeids=[0, 1, 2], nodes_featureids=[0] * 3, nodes_values=[below, 0.0, 0.0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0], target_treeids=[0, 0], target_nodeids=[1, 2],
        target_ids=[0, 0], target_weights=[-1.0, 1.0],
    )  # fmt: skip
    model = table_model([node], {"x": (FLOAT, 1)}, {"y": FLOAT})
    rows = np.array([[0.3], [0.2], [0.4], [100.0]], np.float32)
    compiled, real, found = both(model, {"x": rows}, {"x": rows})
    assert compiled.record.turned == {"TreeEnsembleRegressor x": (0,)}
    assert np.abs(real[0] - found[0]).max() < 1e-4
    again = compile(model, {"x": rows[1:]}, batch=16)
    assert not again.record.turned


def stump(threshold: float) -> onnx.ModelProto:
    """One condition: -1 up to the threshold, 1 above."""
    node = ml(
        "TreeEnsembleRegressor", "x", "y", n_targets=1, nodes_treeids=[0] * 3,
        nodes_nodeids=[0, 1, 2], nodes_featureids=[0] * 3, nodes_values=[threshold, 0.0, 0.0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0], target_treeids=[0, 0], target_nodeids=[1, 2],
        target_ids=[0, 0], target_weights=[-1.0, 1.0],
    )  # fmt: skip
    return table_model([node], {"x": (FLOAT, 1)}, {"y": FLOAT})


NAME = "TreeEnsembleRegressor x"


def forged(model: onnx.ModelProto, honest: CompiledModel, turned: dict[str, Any]) -> CompiledModel:
    """The model with other conditions turned, the report as it was."""
    record = dataclasses.replace(honest.record, turned=turned)
    graph = prepare(open_network(model, None, None), record.batch, record.name)[1]
    built = build(graph, record)
    return CompiledModel(built.checked, built.weights, honest.key, record, honest.report)


@pytest.mark.parametrize("kind", ["calibration", "evaluation"])
def test_a_condition_turned_for_no_reason_is_refused(kind: str) -> None:
    """Data of quarters equal a threshold of 0.25 often: turned, all of these go the other way."""
    model, rows = stump(0.25), quarters(40, 1) / 4
    rows[:5] = 0.25
    honest = compile(model, {"x": rows}, batch=8, public=True)
    assert not honest.record.turned
    assert check_model(model, honest, **{kind: {"x": rows}}).to_json()["recorded"]["turned"] == {}
    evil = forged(model, honest, {NAME: (0,)})
    assert evil.program_id != honest.program_id
    check = check_model(model, evil)
    assert "and 1 turned conditions of trees" in check.sentence()
    with pytest.raises(CalibrationMismatch, match="is turned: it decides") as caught:
        check_model(model, evil, **{kind: {"x": rows}})
    assert caught.value.code == "check.decisions"
    assert caught.value.exit_code == 1
    once = np.concatenate([rows[rows != 0.25], np.float32([0.25])])[:, None]
    check_model(model, evil, **{kind: {"x": once}}, tolerances=LAX)


LAX = Tolerances(factor=1e6, covered=0.0, top1_below_claim=1.0, sqnr_below_claim=1e3, min_sqnr=-1e3)


def test_a_condition_that_data_turns_must_be() -> None:
    below = float(np.nextafter(np.float32(0.3), np.float32(0)))
    model, rows = stump(below), np.array([[0.3]] * 4 + [[0.2], [0.4], [100.0]], np.float32)
    honest = compile(model, {"x": rows}, batch=8, public=True)
    assert honest.record.turned == {NAME: (0,)}
    check_model(model, honest, calibration={"x": rows}, evaluation={"x": rows})
    with pytest.raises(CalibrationMismatch, match="is not turned: it decides") as caught:
        check_model(model, forged(model, honest, {}), calibration={"x": rows})
    assert caught.value.code == "check.decisions"


@pytest.mark.parametrize(
    "turned", [{"nobody": (0,)}, {NAME: (1,)}, {NAME: (-1,)}, {NAME: (0, 0)}, {NAME: ()}], ids=str
)
def test_turned_conditions_that_are_none_are_refused(turned: dict[str, Any]) -> None:
    model, rows = stump(0.25), quarters(40, 1) / 4
    evil = forged(model, compile(model, {"x": rows}, batch=8, public=True), turned)
    with pytest.raises(BadModelFile, match="its record turns conditions"):
        check_model(model, evil)


def test_many_rows_and_deep_trees() -> None:
    columns = 2
    model = regressor(columns, count=3, depth=9)
    rows = quarters(100_000, columns)
    _, real, found = both(model, {"x": rows[:200]}, {"x": rows}, batch=50_000)
    assert np.abs(real[0] - found[0]).max() < 1e-4


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"post_transform": "PROBIT"}, "PROBIT"),
        ({"nodes_missing_value_tracks_true": [1] * 500}, "missing values"),
        ({"aggregate_function": "MEDIAN"}, "MEDIAN"),
        ({"base_values": [1.0, 2.0, 3.0]}, "base values"),
    ],
)
def test_what_does_not_compile_is_refused(extra: dict[str, Any], said: str) -> None:
    model = regressor(2, targets=2)
    node = model.graph.node[0]
    kept = [a for a in node.attribute if a.name not in extra]
    given = [helper.make_attribute(name, value) for name, value in extra.items()]
    del node.attribute[:]
    node.attribute.extend([*kept, *given])
    graph: Any = SimpleNamespace(shapes={"x": (4, 2)}, constant=lambda name: None)
    attributes = {a.name: _value(a) for a in node.attribute}
    reason = support(Node("trees", f"ai.onnx.ml.{node.op_type}", ("x",), ("y",), attributes), graph)
    assert said in (reason or "")


def _value(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    return value.decode() if isinstance(value, bytes) else value
