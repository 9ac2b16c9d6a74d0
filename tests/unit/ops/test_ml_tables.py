"""Scalers, linear models, machines and encoders of ai.onnx.ml against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from support.classical import FLOAT, INT64, both, ml, table_model
from zktally.circuits.columns import columns, split_columns
from zktally.circuits.compile import compile
from zktally.circuits.errors import RangeOverflow, UnsupportedOp
from zktally.circuits.model import from_bytes

RNG = np.random.default_rng(29)


def normal(rows: int, count: int) -> np.ndarray:
    return RNG.normal(0, 1, (rows, count)).astype(np.float32)


def numbers(*shape: int) -> list[float]:
    return RNG.normal(0, 1, int(np.prod(shape))).tolist()


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
@pytest.mark.parametrize("scores", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [1, 5])
def test_linear_classifier(count: int, scores: int, transform: str) -> None:
    labels = list(range(10, 10 + max(scores, 2)))
    node = ml(
        "LinearClassifier", "x", "label scores", coefficients=numbers(scores, count),
        intercepts=numbers(scores), classlabels_ints=labels, post_transform=transform,
    )  # fmt: skip
    model = table_model([node], {"x": (FLOAT, count)}, {"label": INT64, "scores": FLOAT})
    _, real, found = both(model, {"x": normal(60, count)}, {"x": normal(90, count)})
    assert np.array_equal(real[0], found[0])
    assert np.abs(real[1] - found[1]).max() < 3e-4


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC"])
@pytest.mark.parametrize("targets", [1, 3])
def test_linear_regressor(targets: int, transform: str) -> None:
    node = ml(
        "LinearRegressor", "x", "y", coefficients=numbers(targets, 7), targets=targets,
        post_transform=transform,
    )  # fmt: skip
    model = table_model([node], {"x": (FLOAT, 7)}, {"y": FLOAT})
    _, real, found = both(model, {"x": normal(60, 7)}, {"x": normal(90, 7)})
    assert np.abs(real[0] - found[0]).max() < 1e-4


@pytest.mark.parametrize("kernel", ["LINEAR", "RBF", "SIGMOID"])
@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_svm_classifier(kernel: str, classes: int, transform: str) -> None:
    sizes = [3, 1, 4, 2, 5][:classes]
    count, sums = sum(sizes), classes * (classes - 1) // 2
    node = ml(
        "SVMClassifier", "x", "label scores", kernel_type=kernel, kernel_params=[0.3, 0.1, 3.0],
        coefficients=numbers(classes - 1, count), support_vectors=numbers(count, 5),
        rho=numbers(sums), vectors_per_class=sizes, post_transform=transform,
        classlabels_ints=list(range(3, 3 + classes)),
    )  # fmt: skip
    model = table_model([node], {"x": (FLOAT, 5)}, {"label": INT64, "scores": FLOAT})
    _, real, found = both(model, {"x": normal(60, 5)}, {"x": normal(90, 5)})
    assert np.mean(real[0] == found[0]) > 0.98  # votes of sums within a step of 0
    assert np.abs(real[1] - found[1]).max() < 3e-3


@pytest.mark.parametrize("kernel", ["LINEAR", "RBF", "SIGMOID"])
@pytest.mark.parametrize("one_class", [0, 1])
def test_svm_regressor(kernel: str, one_class: int) -> None:
    node = ml(
        "SVMRegressor", "x", "y", kernel_type=kernel, kernel_params=[0.3, 0.1, 3.0],
        coefficients=numbers(11), support_vectors=numbers(11, 5), rho=[0.2], n_supports=11,
        one_class=one_class,
    )  # fmt: skip
    model = table_model([node], {"x": (FLOAT, 5)}, {"y": FLOAT})
    _, real, found = both(model, {"x": normal(60, 5)}, {"x": normal(90, 5)})
    assert np.mean(np.abs(real[0] - found[0]) < 3e-3) > 0.98


@pytest.mark.parametrize("one", [False, True])
def test_scaler_of_columns_of_unlike_size(one: bool) -> None:
    sizes = np.array([1, 30, 500, 0.5], np.float32)
    offset, scale = ([3.0], [0.25]) if one else (numbers(4), (1 / sizes).tolist())
    node = ml("Scaler", "x", "y", offset=offset, scale=scale)
    model = table_model([node], {"x": (FLOAT, 4)}, {"y": FLOAT})
    _, real, found = both(model, {"x": normal(60, 4) * sizes}, {"x": normal(90, 4) * sizes})
    assert np.abs(real[0] - found[0]).max() < 2e-3


def test_columns_of_very_unlike_size_are_refused_together_and_compile_apart() -> None:
    sizes = np.array([1e6, 1e-4], np.float32)
    node = ml("Scaler", "x", "y", offset=[0.0, 0.0], scale=(1 / sizes).tolist())
    model = table_model([node], {"x": (FLOAT, 2)}, {"y": FLOAT})
    data, rows = {"x": normal(60, 2) * sizes}, {"x": normal(90, 2) * sizes}
    with pytest.raises(RangeOverflow, match="differ so much in size") as caught:
        compile(model, data)
    assert "split_columns" in str(caught.value.hint)
    _, real, found = both(split_columns(model), columns(data), columns(rows))
    assert np.abs(real[0] - found[0]).max() < 1e-3


def test_products_and_sums_by_columns_become_scalers() -> None:
    """As MinMaxScaler is written; of two parts, one of them of integers."""
    constants = {"m": normal(1, 3), "a": normal(1, 3)}
    nodes = [
        helper.make_node("Cast", ["k"], ["kf"], to=TensorProto.FLOAT),
        ml("FeatureVectorizer", "x kf", "j", inputdimensions=[2, 1]),
        helper.make_node("Mul", ["j", "m"], ["s"]),
        helper.make_node("Add", ["s", "a"], ["t"]),
        ml("LinearRegressor", "t", "y", coefficients=numbers(3), intercepts=[0.5]),
    ]
    model = table_model(nodes, {"x": (FLOAT, 2), "k": (INT64, 1)}, {"y": FLOAT})
    model.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in constants.items())

    def rows(count: int) -> dict[str, np.ndarray]:
        k = RNG.integers(-50, 51, (count, 1))
        k[:2, 0] = -50, 50
        return {"x": normal(count, 2), "k": k}

    _, real, found = both(model, rows(60), rows(90))
    assert np.abs(real[0] - found[0]).max() < 3e-3


@pytest.mark.parametrize("norm", ["L1", "L2", "MAX"])
@pytest.mark.parametrize("count", [1, 3, 31])
def test_normalizer(norm: str, count: int) -> None:
    model = table_model(
        [ml("Normalizer", "x", "y", norm=norm)], {"x": (FLOAT, count)}, {"y": FLOAT}
    )
    rows = np.abs(normal(90, count)) + 0.1 if norm == "MAX" else normal(90, count)
    if count == 1:
        rows = np.where(np.abs(rows) < 0.1, 1, rows).astype(np.float32)
    _, real, found = both(model, {"x": rows}, {"x": rows})
    assert np.abs(real[0] - found[0]).max() < 2e-3


def test_a_maximum_of_negative_values_is_refused() -> None:
    model = table_model([ml("Normalizer", "x", "y", norm="MAX")], {"x": (FLOAT, 3)}, {"y": FLOAT})
    with pytest.raises(UnsupportedOp, match="maximum of negative"):
        compile(model, {"x": normal(9, 3)})


def test_binarizer() -> None:
    model = table_model(
        [ml("Binarizer", "x", "y", threshold=0.25)], {"x": (FLOAT, 3)}, {"y": FLOAT}
    )
    rows = (RNG.integers(-4, 5, (60, 3)) / 4).astype(np.float32)
    _, real, found = both(model, {"x": rows}, {"x": rows})
    assert np.array_equal(real[0], found[0])


@pytest.mark.parametrize("zeros", [0, 1])
def test_one_hot_of_integers(zeros: int) -> None:
    node = ml("OneHotEncoder", "x", "y", cats_int64s=[-2, 0, 5, 100], zeros=zeros)
    model = table_model([node], {"x": (INT64, 3)}, {"y": FLOAT})
    known = [-2, 0, 5, 100] + [7] * zeros
    rows = RNG.choice(known, (60, 3))
    _, real, found = both(model, {"x": rows}, {"x": rows})
    assert np.array_equal(real[0], found[0])


@pytest.mark.parametrize("values", ["int64s", "floats"])
def test_label_encoder(values: str) -> None:
    given: dict[str, Any] = {
        "int64s": {"values_int64s": [30, -4, 500], "default_int64": 9},
        "floats": {"values_floats": [0.5, -4.0, 2.25], "default_float": 0.125},
    }[values]
    node = ml("LabelEncoder", "x", "y", keys_int64s=[-1, 4, 2], **given)
    model = table_model([node], {"x": (INT64, 3)}, {"y": INT64 if values == "int64s" else FLOAT})
    rows = RNG.integers(-9, 10, (60, 3))
    _, real, found = both(model, {"x": rows}, {"x": rows})
    assert np.abs(real[0] - found[0]).max() < (1e-9 if values == "int64s" else 1e-4)


def test_imputer() -> None:
    given = {"replaced_value_float": -999.0, "imputed_value_floats": [1.5, -2.0, 0.25]}
    nodes = [ml("Imputer", "x", "y", **given)]
    model = table_model(nodes, {"x": (FLOAT, 3)}, {"y": FLOAT})
    rows = normal(60, 3)
    rows[RNG.random(rows.shape) < 0.3] = -999.0
    _, real, found = both(model, {"x": rows}, {"x": rows})
    assert np.abs(real[0] - found[0]).max() < 5e-4
    nan = ml("Imputer", "x", "h", replaced_value_float=np.nan, imputed_value_floats=[0.0])
    nodes = [nan, ml("Binarizer", "h", "y", threshold=0.0)]
    _, real, found = both(
        table_model(nodes, {"x": (FLOAT, 3)}, {"y": FLOAT}), {"x": rows}, {"x": rows}
    )
    assert np.array_equal(real[0], found[0])


def test_array_feature_extractor() -> None:
    nodes = [
        ml("ArrayFeatureExtractor", "x i", "c"),
        helper.make_node("ArgMax", ["c"], ["best"], axis=1, keepdims=0),
        ml("ArrayFeatureExtractor", "labels best", "l"),
        helper.make_node("Reshape", ["l", "flat"], ["label"]),
    ]
    model = table_model(nodes, {"x": (FLOAT, 5)}, {"c": FLOAT, "label": INT64})
    held = {"i": np.array([3, 0, 4]), "labels": np.array([70, -3, 9]), "flat": np.array([-1])}
    model.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in held.items())
    rows = (RNG.integers(-100, 101, (60, 5)) / 4).astype(np.float32)
    rows[0, 0] = -25.0
    _, real, found = both(model, {"x": rows}, {"x": rows})
    assert np.abs(real[0] - found[0]).max() < 0.2
    assert np.mean(real[1] == found[1]) > 0.95  # of 8 bits, equal ones among them


def test_labels_that_are_strings_become_numbers_and_stand_in_the_report() -> None:
    node = ml(
        "LinearClassifier", "x", "l p", coefficients=numbers(3, 2), intercepts=numbers(3),
        classlabels_strings=["setosa", "versicolor", "virginica"], post_transform="SOFTMAX",
    )  # fmt: skip
    nodes = [
        node,
        helper.make_node("Identity", ["l"], ["label"]),
        ml("ZipMap", "p", "probabilities", classlabels_strings=["a", "b", "c"]),
    ]
    model = table_model(nodes, {"x": (FLOAT, 2)}, {"label": TensorProto.STRING})
    maps = helper.make_sequence_type_proto(
        helper.make_map_type_proto(
            TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
        )
    )
    model.graph.output.append(helper.make_value_info("probabilities", maps))
    compiled = compile(model, {"x": normal(40, 2)}, batch=8)
    assert compiled.report.labels == {"label": ("setosa", "versicolor", "virginica")}
    assert "1 'versicolor'" in compiled.report.text().replace('"', "'")
    assert from_bytes(compiled.to_bytes()).report == compiled.report
    names = [port.name for port in compiled.checked.program.outputs]
    assert names == ["label", "probabilities"]


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (ml("OneHotEncoder", "x", "y", cats_strings=["a"]), "categories are strings"),
        (ml("LabelEncoder", "x", "y", keys_floats=[1.0], values_floats=[2.0]), "map integers"),
        (
            ml(
                "SVMRegressor", "x", "y", kernel_type="POLY", kernel_params=[1.0, 0.0, 3.0],
                coefficients=[1.0], support_vectors=[1.0, 2.0], rho=[0.0], n_supports=1,
            ),
            "POLY",
        ),
        (
            ml("LinearRegressor", "x", "y", coefficients=[1.0, 2.0], post_transform="PROBIT"),
            "PROBIT",
        ),
    ],
)  # fmt: skip
def test_what_does_not_compile_is_refused(node: Any, said: str) -> None:
    model = table_model([node], {"x": (FLOAT, 2)}, {"y": FLOAT})
    if node.op_type == "OneHotEncoder":
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(UnsupportedOp, match=said):
        compile(model, normal(9, 2).astype(np.int64) if "OneHot" in node.op_type else normal(9, 2))
