"""What compiling a large model does once, or not at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from zktally.bench import models
from zktally.circuits import calibrate, items, session
from zktally.circuits import compile as compiling
from zktally.circuits.calibrate import feeds
from zktally.circuits.compile import EVALUATED, evaluated, needed, open_network, prepare
from zktally.circuits.lowering import lower
from zktally.circuits.ops import OPERATORS


def test_large_models_are_compared_on_fewer_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many steps as the budget has, but one; a small model has 64 samples."""
    data = models.calibration(models.mlp(), 330, 0)  # a fifth is compared
    compiled = compiling.compile(models.mlp(), data, batch=2)
    assert compiled.report.evaluated == EVALUATED
    step = compiled.checked.weights.step_macs

    for budget, samples in [(0, 2), (step * 3 + 1, 6), (step * 1000, 64)]:
        monkeypatch.setattr(compiling, "EVALUATED_MACS", budget)
        assert evaluated(compiled.checked) == samples
    assert compiling.compile(models.mlp(), data, batch=2, evaluate=5).report.evaluated == 5


def test_a_sketch_has_the_ops_of_the_whole() -> None:
    """Items mix in one as in the other, and a sketch holds no weights of its own."""
    network = open_network(models.lenet5(), None, None)
    source, fused = prepare(network, 2)
    data = feeds(source, models.calibration(models.lenet5(), 4, 0))
    ranges = calibrate.calibrate(source, needed(fused), data, "minmax", 100.0)
    whole, sketch = (lower(fused, ranges, OPERATORS, sketched=each) for each in (False, True))

    def shape(op: object) -> object:
        return replace(op, shift=0) if hasattr(op, "shift") else op  # type: ignore[type-var]

    assert list(map(shape, whole.program.ops)) == list(map(shape, sketch.program.ops))
    assert [t.shape for t in whole.program.tensors] == [t.shape for t in sketch.program.tensors]
    held = sum(array.base.nbytes for array in sketch.weights if array.base is not None)
    assert held < sum(array.nbytes for array in whole.weights) / 20
    items.refuse_mixing(fused, ranges)


def test_calibration_and_comparison_share_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for the shapes, as it is; one for all floats, which onnxruntime optimises."""
    opened = []
    init = session.Session.__init__

    def counted(self: session.Session, *args: object, **options: object) -> None:
        opened.append(options)
        init(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(session.Session, "__init__", counted)
    compiling.compile(models.mlp(), models.calibration(models.mlp(), 4, 0))
    assert opened == [{"plainly": True}, {"plainly": False}]


def test_a_linear_layer_is_not_copied_in_float64() -> None:
    """Its weights stay a view of the file's until they are quantised, unless alpha changes them."""
    weight = np.random.default_rng(0).normal(0, 1, (3, 2)).astype(np.float32)
    for alpha in (1.0, 0.5):
        node = helper.make_node("Gemm", ["x", "w"], ["y"], alpha=alpha)
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            [node], "g", [value("x", TensorProto.FLOAT, ["n", 3])],
            [value("y", TensorProto.FLOAT, ["n", 2])], [numpy_helper.from_array(weight, "w")],
        )  # fmt: skip
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        _, fused = prepare(open_network(made, None, None), 1)
        held = fused.constants[fused.nodes[0].inputs[1]]
        assert held.dtype == (np.float32 if alpha == 1.0 else np.float64)
        np.testing.assert_array_equal(held, weight.T.astype(np.float64) * alpha)
