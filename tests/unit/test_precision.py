"""Values of 16 bits: what they mend, how few there are, and what is said of the rest."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import zktally
from support.compared import infer, network, node
from zktally.bench import decoder, precision
from zktally.bench.precision import BATCH, sqnr, tabular
from zktally.circuits.clipping import least_divergence, least_squares
from zktally.circuits.errors import CompileError, Inaccurate
from zktally.circuits.model import CompiledModel, from_bytes
from zktally.verifier.errors import UsageError

WIDTH, LAYERS = 24, 30


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def deep(layers: int = LAYERS, width: int = WIDTH, gain: float = 2.0) -> onnx.ModelProto:
    """A perceptron so deep that 8 bits lose most of what it says."""
    rng = np.random.default_rng(1)
    constants: dict[str, np.ndarray] = {}
    nodes, last = [], "x"
    for number in range(layers):
        constants[f"w{number}"] = rng.normal(0, np.sqrt(gain / width), (width, width))
        constants[f"b{number}"] = rng.normal(0, 0.1, width)
        out = f"h{number}" if number < layers - 1 else "y"
        nodes.append(node("Gemm", f"{last} w{number} b{number}", out))
        if out != "y":
            nodes.append(node("Relu", out, f"r{number}"))
            last = f"r{number}"
    constants = {name: array.astype(np.float32) for name, array in constants.items()}
    return network(nodes, {"x": ("n", width)}, constants)


def fresh(compiled: CompiledModel, model: onnx.ModelProto) -> float:
    """The SQNR on data that nobody has seen."""
    return sqnr(compiled, model, drawn(64, WIDTH, seed=99))


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return deep()


@pytest.fixture(scope="module")
def data() -> np.ndarray:
    return drawn(80, WIDTH, seed=5)


def test_what_8_bits_lose_is_mended_by_some_of_16(model: onnx.ModelProto, data: Any) -> None:
    eight = zktally.compile(model, data, batch=8, public=True, precision="int8", force=True)
    assert eight.report.missed
    mended = zktally.compile(model, data, batch=8, public=True)
    found = mended.report.precision
    assert found is not None
    assert 0 < found.values < found.of_values
    assert found.committed_bytes_int8 < found.committed_bytes < 2 * found.committed_bytes_int8
    assert f"int16: {found.values} of {found.of_values} values" in mended.report.text()
    assert not mended.report.missed
    assert fresh(mended, model) > fresh(eight, model) + 1


def test_a_target_takes_more_bits(model: onnx.ModelProto, data: Any) -> None:
    more = zktally.compile(model, data, batch=8, public=True, target_sqnr=40)
    assert more.report.outputs[0].sqnr_db is not None
    assert more.report.outputs[0].sqnr_db >= 40
    assert fresh(more, model) > 30
    assert more.record.weight_bits
    every = zktally.compile(model, data, batch=8, public=True, precision="int16")
    assert every.report.precision is not None
    assert every.report.precision.values == every.report.precision.of_values
    assert fresh(every, model) > 50


def test_the_record_says_which_bits(model: onnx.ModelProto, data: Any) -> None:
    mended = zktally.compile(model, data, batch=8, public=True)
    again = from_bytes(mended.to_bytes())
    assert again.record == mended.record
    assert again.report == mended.report
    checked = zktally.check_model(model, again, evaluation=drawn(40, WIDTH, seed=7))
    assert checked.model_id == mended.model_id.hex()


def test_a_model_that_8_bits_do_for_keeps_them() -> None:
    small, rows = deep(2), drawn(40, WIDTH)
    first = zktally.compile(small, rows, batch=4, public=True)
    assert not first.record.bits
    assert not first.record.weight_bits
    only = zktally.compile(small, rows, batch=4, public=True, precision="int8")
    assert first.program_id == only.program_id
    assert first.report.basis == "held back from calibration"


def test_what_is_too_inaccurate_is_refused_unless_it_is_forced(
    model: onnx.ModelProto, data: Any
) -> None:
    with pytest.raises(Inaccurate, match=r"layer .* has") as caught:
        zktally.compile(model, data, batch=8, public=True, precision="int8")
    assert caught.value.code == "compile.inaccurate"
    assert "--force" in str(caught.value.hint)
    with pytest.raises(Inaccurate):
        zktally.compile(model, data, batch=8, public=True, target_sqnr=150)
    forced = zktally.compile(model, data, batch=8, public=True, precision="int8", force=True)
    assert "NOT REACHED" in repr(from_bytes(forced.to_bytes()))


def test_a_constant_does_not_inflate_the_figure() -> None:
    nodes = [node("Gemm", "x w b", "h"), node("Add", "h c", "y")]
    constants = {"w": drawn(5, 3), "b": drawn(3), "c": np.full(3, 1000.0, np.float32)}
    far = network(nodes, {"x": ("n", 5)}, constants)
    rows = drawn(60, 5)
    eight = zktally.compile(far, rows, batch=4, public=True, precision="int8", force=True)
    assert eight.report.missed  # steps of 4 beside values of 1; squares would say 60 dB
    mended = zktally.compile(far, rows, batch=4, public=True)
    assert mended.report.outputs[0].sqnr_db is not None
    assert mended.report.outputs[0].sqnr_db > 20


def test_few_samples_are_not_held_back() -> None:
    compiled = zktally.compile(deep(2), drawn(12, WIDTH), batch=4, public=True)
    assert compiled.report.basis == "the calibration data: too few to hold some back"
    given = zktally.compile(
        deep(2), drawn(40, WIDTH), batch=4, public=True, evaluation=drawn(9, WIDTH, seed=3)
    )
    assert given.report.basis == "given"
    assert given.report.evaluated == 9


def test_figures_that_flatter_must_be_better() -> None:
    """Between 20 and 23 dB 8 bits do on data held back, and not on those that they are made for."""
    steep, rows = (
        network([node("Acosh", "x", "y")], {"x": ("n", 1)}),
        np.float32([[1], [2.7], [10]]),
    )
    eight = zktally.compile(steep, rows, batch=3, public=True, precision="int8")
    assert 20 < decibels(eight) < 23
    few = zktally.compile(steep, rows, batch=3, public=True)
    assert few.record.bits == {"x": 16}
    assert decibels(few) > 30
    other = zktally.compile(steep, rows, batch=3, public=True, evaluation=rows)
    assert not other.record.bits


def test_numbers_below_every_code_are_zeros() -> None:
    """Denormal ones of 64 bits; what is added to them is as exact as without them."""
    one = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node("Add", "a b", "y")],
        "tiny",
        [one(name, TensorProto.DOUBLE, [2, 3]) for name in "ab"],
        [one("y", TensorProto.DOUBLE, [2, 3])],
    )
    tiny = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    nothing = np.full((1, 2, 3), 7e-310)
    both, found = ({"a": nothing, "b": other} for other in (nothing, drawn(1, 2, 3) * 1.0))
    compiled = zktally.compile(tiny, both, public=True)
    assert set(compiled.record.ranges.values()) == {(0.0, 0.0)}
    assert decibels(zktally.compile(tiny, found, public=True)) > 30


def decibels(compiled: CompiledModel) -> float:
    return compiled.report.outputs[0].sqnr_db or 0.0


def test_points_lost_are_counted_by_labels_or_classes() -> None:
    small, rows, fresh_rows = deep(3), drawn(60, WIDTH), drawn(64, WIDTH, seed=8)
    right = infer(small, {"x": fresh_rows})[0].argmax(axis=1)
    found = zktally.compile(
        small, rows, batch=4, public=True, evaluation=fresh_rows, labels=right, max_drop=0.0
    )
    assert found.report.accuracy == (1.0, 1.0)
    with pytest.raises(UsageError, match="labels are about evaluation data"):
        zktally.compile(small, rows, batch=4, labels=right)
    single = network([node("Gemm", "x w", "y")], {"x": ("n", 5)}, {"w": drawn(5, 1)})
    with pytest.raises(UsageError, match="no output of the model has classes"):
        zktally.compile(single, drawn(8, 5), max_drop=1.0)


@pytest.mark.parametrize(
    "options",
    [{"precision": "int4"}, {"min_agreement": 2.0}, {"max_drop": -1.0}, {"min_sqnr": float("nan")}],
    ids=str,
)
def test_senseless_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        zktally.compile(deep(1), drawn(8, WIDTH), **options)


@pytest.mark.parametrize("cut", [least_squares, least_divergence])
def test_outliers_are_cut_off_where_it_pays(cut: Any) -> None:
    edges = np.linspace(-5, 100, (1 << 14) + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    counts = np.rint(1e8 * np.exp(-(middles**2) / 2)).astype(np.int64)
    counts[-1] = 1
    low, high = cut(counts, (-5.0, 100.0))
    assert 2.5 < high < 30
    assert low < 0
    even = np.full(1 << 14, 1000)
    assert cut(even, (-1.0, 1.0))[1] > 0.9
    assert cut(even, (3.0, 3.0)) == (3.0, 3.0)


@pytest.mark.parametrize("method", ["mse", "entropy"])
def test_every_method_compiles_and_is_checked(method: str) -> None:
    small, rows = deep(2), drawn(40, WIDTH)
    compiled = zktally.compile(small, rows, batch=4, public=True, method=method)
    assert compiled.record.method == method
    checked = zktally.check_model(small, compiled, calibration=rows, evaluation=rows)
    assert checked.model_id == compiled.model_id.hex()


def test_unlike_columns_keep_their_bits() -> None:
    case = tabular(4)
    model, calibration, fresh_rows = case.model, case.calibration, case.fresh
    compiled = zktally.compile(model, calibration, batch=BATCH, public=True, target_sqnr=35)
    assert compiled.record.bits["x"] == 24
    assert len(compiled.record.columns["x"]) == 8
    assert sqnr(compiled, model, fresh_rows) > 33
    again = from_bytes(compiled.to_bytes())
    assert again.record == compiled.record
    checked = zktally.check_model(model, again, evaluation=fresh_rows, calibration=calibration)
    assert checked.program_id == compiled.program_id.hex()
    lied = dataclasses.replace(again.record, columns={"x": (0, 0)})
    with pytest.raises(CompileError, match="columns are recorded"):
        zktally.check_model(model, dataclasses.replace(again, record=lied))


def test_trained_classes_stay_right() -> None:
    """The digits of the demo, all that are held out: half a point at most is lost."""
    row = precision.measure("digits", "auto", precision.digits(), {})
    floats, integers = row["right"]
    assert floats > 0.94
    assert integers > floats - 0.005
    assert row["agree"] > 0.99


def test_a_trained_decoder_says_what_its_floats_say() -> None:
    """It has learnt something, and loses less than a hundredth of its loss and of its right."""
    size = decoder.Size(width=32, tokens=16, steps=150)
    row = precision.measure("text", "auto", precision.text(size, fresh=64), {})
    floats, integers = row["loss"]
    assert floats < 0.75 * np.log(decoder.CHARACTERS)
    assert integers < 1.01 * floats
    assert row["right"][1] > row["right"][0] - 0.01
    assert row["agree"] > 0.95
