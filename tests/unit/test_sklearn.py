"""scikit-learn models, as skl2onnx writes them: decisions on held-out rows are scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import datasets, ensemble, linear_model, neural_network, pipeline, preprocessing, svm

from support.classical import outputs_of
from zktally.circuits.columns import columns, split_columns
from zktally.circuits.compile import compile

pytestmark = pytest.mark.filterwarnings("ignore")
skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")


def scaled(model: Any) -> Any:
    return pipeline.make_pipeline(preprocessing.StandardScaler(), model)


MODELS: dict[str, tuple[Any, Any]] = {
    "forest": (datasets.load_iris, ensemble.RandomForestClassifier(100, random_state=0)),
    "forest of many columns": (
        datasets.load_breast_cancer,
        ensemble.RandomForestClassifier(20, random_state=0),
    ),
    "boosting": (datasets.load_wine, ensemble.GradientBoostingClassifier(n_estimators=10)),
    "boosting of two classes": (
        datasets.load_breast_cancer,
        ensemble.GradientBoostingClassifier(n_estimators=20),
    ),
    "logistic": (datasets.load_wine, scaled(linear_model.LogisticRegression())),
    "machine": (datasets.load_breast_cancer, scaled(svm.SVC())),
    "linear machine": (datasets.load_wine, scaled(svm.SVC(kernel="linear"))),
    "between 0 and 1": (
        datasets.load_breast_cancer,
        pipeline.make_pipeline(preprocessing.MinMaxScaler(), linear_model.LogisticRegression()),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_labels_of_held_out_rows(name: str) -> None:
    load, model = MODELS[name]
    x, y = load(return_X_y=True)
    x, train = x.astype(np.float32), np.arange(len(x)) % 3 > 0
    model.fit(x[train], y[train])
    made = split_columns(skl2onnx.to_onnx(model, x[:1], target_opset={"": 17, "ai.onnx.ml": 3}))
    compiled = compile(made, columns({"X": x[train]}), batch=32, evaluate=32)
    labels = outputs_of(compiled, columns({"X": x[~train]}))[0]
    assert np.array_equal(labels, model.predict(x[~train]))
    assert (compiled.report.decisions or (0, 0))[1] == 0


@pytest.mark.parametrize(
    ("model", "within"),
    [
        (linear_model.LinearRegression(), 1e-4),
        (scaled(svm.SVR(C=10.0)), 1e-4),
    ],
)
def test_regressions_of_held_out_rows(model: Any, within: float) -> None:
    x, y = datasets.load_diabetes(return_X_y=True)
    x, train = x.astype(np.float32), np.arange(len(x)) % 3 > 0
    model.fit(x[train], y[train])
    made = skl2onnx.to_onnx(model, x[:1], target_opset={"": 17, "ai.onnx.ml": 3})
    compiled = compile(made, {"X": x[train]}, batch=32, evaluate=32)
    found, real = outputs_of(compiled, {"X": x[~train]})[0].ravel(), model.predict(x[~train])
    assert np.abs(found - real).max() < within * np.abs(real).max()


def test_a_network_after_a_scaler() -> None:
    """Its layers have 8 bits, so a few decisions may differ."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    x, train = x.astype(np.float32), np.arange(len(x)) % 3 > 0
    model = scaled(neural_network.MLPClassifier(16, max_iter=200, random_state=0))
    model.fit(x[train], y[train])
    made = split_columns(skl2onnx.to_onnx(model, x[:1], target_opset={"": 17, "ai.onnx.ml": 3}))
    compiled = compile(made, columns({"X": x[train]}), batch=32, evaluate=32)
    labels = outputs_of(compiled, columns({"X": x[~train]}))[0]
    assert np.mean(labels == model.predict(x[~train])) > 0.97
