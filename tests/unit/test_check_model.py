"""What `check_model` says of a stranger's compiled model: nothing that it has not seen."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import zktally
from zktally.bench.digits import data
from zktally.circuits.check import (
    FidelityCheck,
    ModelCheck,
    RangeCheck,
    Tolerances,
    check_model,
)
from zktally.circuits.compile import build, open_network, prepare
from zktally.circuits.errors import BadModelFile, CalibrationMismatch, CompileError
from zktally.circuits.evaluate import Evaluation
from zktally.circuits.model import CompiledModel, Record, from_bytes
from zktally.circuits.report import Report
from zktally.circuits.wording import floored
from zktally.cli import check_model as verb
from zktally.cli.main import main
from zktally.verifier.errors import ProgramMismatch, UsageError, ZktallyError

DIGITS = data.load()
CALIBRATION, TEST, LABELS = DIGITS.train_x[:200], DIGITS.test_x, DIGITS.test_y
WIDE = {"image": (0.0, 520.0)}
"""Every pixel becomes the integer of 0.0."""


@pytest.fixture(scope="module")
def honest() -> CompiledModel:
    return zktally.compile(data.MODEL_PATH, CALIBRATION, batch=8, public=True)


def with_ranges(honest: CompiledModel, ranges: dict[str, Any], **claims: Any) -> CompiledModel:
    """The model recompiled with other ranges, under the honest report but for these claims."""
    record = dataclasses.replace(honest.record, ranges={**honest.record.ranges, **ranges})
    network = open_network(data.MODEL_PATH, record.dims, record.shapes)
    _, graph = prepare(network, record.batch, record.name)
    built = build(graph, record)
    report = dataclasses.replace(honest.report, **claims)
    return CompiledModel(built.checked, built.weights, honest.key, record, report)


def refused(code: str, model: CompiledModel, **options: Any) -> CalibrationMismatch:
    with pytest.raises(CalibrationMismatch) as caught:
        check_model(data.MODEL_PATH, model, **options)
    assert caught.value.code == code
    assert caught.value.exit_code == 1
    return caught.value


def test_without_data_the_verdict_is_about_program_and_weights_only(honest: CompiledModel) -> None:
    for model in (honest, with_ranges(honest, WIDE)):
        found = check_model(data.MODEL_PATH, model)
        assert "program and weights follow from the ONNX file" in found.sentence()
        assert "whether the ranges fit your data was not checked" in found.sentence()
        assert found.model_id == model.model_id.hex()
        assert found.ranges is found.fidelity is None
        shown = found.to_json()
        assert shown["ranges_fit"] is shown["fidelity_holds"] is None
        assert "OK" not in repr(found)


def test_ranges_that_silence_the_input_are_refused(honest: CompiledModel) -> None:
    evil = with_ranges(honest, WIDE, top1=1.0)
    error = refused("check.ranges", evil, calibration=TEST)
    assert "1 of 10 recorded ranges" in error.message
    assert '"image": recorded [0, 520]' in error.message
    error = refused("check.fidelity", evil, evaluation=TEST)
    assert "top-1 agrees in" in str(error.received)
    assert "claims top-1 agrees in 100.00%" in str(error.expected)


def test_a_liar_that_claims_nothing_meets_the_floor(honest: CompiledModel) -> None:
    layers = tuple(dataclasses.replace(layer, sqnr_db=None) for layer in honest.report.layers)
    evil = with_ranges(honest, WIDE, top1=None, layers=layers)
    refused("check.fidelity", evil, evaluation=TEST)
    lax = Tolerances(min_top1=0.0, min_sqnr=-1000.0, top1_below_claim=1.0)
    assert check_model(data.MODEL_PATH, evil, evaluation=TEST, tolerances=lax).fidelity
    for strict in ({"min_top1": 0.0}, {"min_sqnr": -1000.0}):
        refused("check.fidelity", evil, evaluation=TEST, tolerances=Tolerances(**strict))


def test_a_claim_that_the_data_does_not_bear_out_is_refused(honest: CompiledModel) -> None:
    layers = tuple(dataclasses.replace(layer, sqnr_db=50.0) for layer in honest.report.layers)
    boast = with_ranges(honest, {}, layers=layers)
    assert "at least 40.0 dB" in str(refused("check.fidelity", boast, evaluation=TEST).expected)
    # Every pixel above a half is 1 to the network: still fair by the floor, not by the claim.
    coarse = with_ranges(honest, {"image": (0.0, 1.0), "logits": (-900.0, 900.0)})
    lax = Tolerances(min_top1=0.0, min_sqnr=-1000.0, sqnr_below_claim=1000.0)
    refused("check.fidelity", coarse, evaluation=TEST, tolerances=lax)
    unclaimed = dataclasses.replace(coarse, report=dataclasses.replace(coarse.report, top1=None))
    assert check_model(data.MODEL_PATH, unclaimed, evaluation=TEST, tolerances=lax)


def test_honest_models_fit_other_data_of_the_same_kind(honest: CompiledModel) -> None:
    found = check_model(data.MODEL_PATH, honest, calibration=TEST, evaluation=TEST, labels=LABELS)
    assert found.ranges is not None
    assert found.fidelity is not None
    assert {entry.name for entry in found.ranges} == set(honest.record.ranges)
    assert found.range_samples == found.fidelity.samples == len(TEST)
    assert found.fidelity.accuracy is not None
    floats, integers = found.fidelity.accuracy
    assert floats == pytest.approx(0.9833, abs=0.001)
    assert integers > 0.97
    assert "not checked" not in found.sentence()
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["ranges_fit"] is True
    assert "claimed    by whoever compiled it" in repr(found)


def test_what_one_kind_of_data_leaves_open_is_said(honest: CompiledModel) -> None:
    ranged = check_model(data.MODEL_PATH, honest, calibration=TEST)
    assert "how near the integers are to the floats was not measured" in ranged.sentence()
    evaluated = check_model(data.MODEL_PATH, honest, evaluation=TEST)
    assert "the ranges were not calibrated again" in evaluated.sentence()


@pytest.mark.parametrize(
    ("ranges", "holds"),
    [
        ({"logits": (-20.0, 20.0)}, True),
        ({"logits": (-60.0, 60.0)}, False),
        ({"logits": (-0.5, 0.5)}, False),
        ({"/0/Conv_output_0": (-50.0, 50.0)}, False),
        ({"image": (0.0, 0.9)}, False),
    ],
    ids=str,
)
def test_ranges_may_be_off_by_the_factor_and_must_cover(
    honest: CompiledModel, ranges: dict[str, Any], holds: bool
) -> None:
    model = with_ranges(honest, ranges)
    if holds:
        assert check_model(data.MODEL_PATH, model, calibration=TEST).ranges
    else:
        assert f'"{next(iter(ranges))}"' in refused("check.ranges", model, calibration=TEST).message
        wide = Tolerances(factor=1000.0, covered=0.0)
        assert check_model(data.MODEL_PATH, model, calibration=TEST, tolerances=wide).ranges


def test_values_that_are_always_zero_fit_every_range() -> None:
    entry = RangeCheck("v", (-3.0, 3.0), (0.0, 0.0), 1.0)
    assert entry.ratio is None
    assert entry.holds(Tolerances())
    assert not RangeCheck("v", (0.0, 0.0), (0.0, 1.0), 1.0).holds(Tolerances())


def test_percentiles_are_calibrated_as_recorded() -> None:
    spiky = CALIBRATION.copy()
    spiky[0] *= 50
    options = {"method": "percentile", "percentile": 99.0}
    model = zktally.compile(data.MODEL_PATH, spiky, batch=8, public=True, **options)
    found = check_model(
        data.MODEL_PATH, model, calibration=TEST, tolerances=Tolerances(covered=0.9)
    )
    assert found.ranges is not None
    assert max(entry.ratio or 0.0 for entry in found.ranges) < 2
    plain = dataclasses.replace(model.record, method="minmax")
    refused(
        "check.ranges",
        dataclasses.replace(model, record=plain),
        calibration=spiky,
        tolerances=Tolerances(covered=0.9),
    )


def test_accuracy_lost_to_the_integers_is_refused(honest: CompiledModel) -> None:
    """Top-1 may agree by the checker's own leave; the labels then still tell."""
    coarse = with_ranges(honest, {"logits": (-900.0, 900.0)}, top1=None)
    lax = Tolerances(min_top1=0.0, min_sqnr=-1000.0, sqnr_below_claim=1000.0)
    assert check_model(data.MODEL_PATH, coarse, evaluation=TEST, tolerances=lax)
    refused("check.fidelity", coarse, evaluation=TEST, labels=LABELS, tolerances=lax)


def test_data_that_does_not_fit_is_a_usage_error(honest: CompiledModel) -> None:
    cases: list[dict[str, Any]] = [
        {"calibration": TEST[:0]},
        {"evaluation": TEST[:0]},
        {"evaluation": TEST[:, :, 1:]},
        {"labels": LABELS},
        {"evaluation": TEST, "labels": LABELS[:5]},
        {"evaluation": TEST, "labels": LABELS.astype(np.float32)},
    ]
    for options in cases:
        with pytest.raises(UsageError):
            check_model(data.MODEL_PATH, honest, **options)
    for numbers in ({"factor": 0.5}, {"covered": 1.5}, {"min_sqnr": math.inf}, {"min_top1": -1}):
        with pytest.raises(UsageError):
            Tolerances(**numbers)


def test_a_short_last_step_counts_every_label_once(honest: CompiledModel) -> None:
    found = check_model(data.MODEL_PATH, honest, evaluation=TEST[:5], labels=LABELS[:5])
    assert found.fidelity is not None
    assert found.fidelity.accuracy == (1.0, 1.0)


def test_absurd_records_are_refused_in_our_words(honest: CompiledModel) -> None:
    """A stranger chose them; none may end in anything but a verdict or a typed error."""
    for span in [(1e308, -1e308), (-1e308, 1e308), (0, 1e-320), (1e59, 1e59), (0, 0), (9, -9)]:
        for name in ("image", "logits", "/0/Conv_output_0"):
            ranges = {**honest.record.ranges, name: span}
            record = dataclasses.replace(honest.record, ranges=ranges)
            model = dataclasses.replace(honest, record=record)
            with pytest.raises(ZktallyError):
                check_model(data.MODEL_PATH, from_bytes(model.to_bytes()), calibration=TEST)
    ranges = {name: span for name, span in honest.record.ranges.items() if name != "logits"}
    record = dataclasses.replace(honest.record, ranges=ranges)
    with pytest.raises(CompileError, match="'logits' has no usable calibrated range"):
        check_model(data.MODEL_PATH, dataclasses.replace(honest, record=record))
    record = dataclasses.replace(honest.record, method="by ear")
    with pytest.raises(BadModelFile):
        check_model(data.MODEL_PATH, dataclasses.replace(honest, record=record), calibration=TEST)


RECORDS: list[dict[str, Any]] = [
    {"batch": "8"}, {"batch": 0}, {"batch": True}, {"name": 3}, {"method": None},
    {"percentile": "99"},
]  # fmt: skip
REPORTS: list[dict[str, Any]] = [
    {"top1": "all"}, {"top1": True}, {"top1": 10**400}, {"top1": 1e300}, {"worst": 3},
    {"macs": "many"}, {"evaluated": None}, {"operators": {"Conv": "two"}},
]  # fmt: skip


@pytest.mark.parametrize("changed", RECORDS, ids=str)
def test_records_of_other_types_are_malformed(honest: CompiledModel, changed: Any) -> None:
    record = Record(**{**vars(honest.record), **changed})
    with pytest.raises(BadModelFile):
        from_bytes(dataclasses.replace(honest, record=record).to_bytes())


@pytest.mark.parametrize("changed", REPORTS, ids=str)
def test_reports_of_other_types_are_malformed(honest: CompiledModel, changed: Any) -> None:
    report = Report(**{**vars(honest.report), **changed})
    with pytest.raises(BadModelFile):
        from_bytes(dataclasses.replace(honest, report=report).to_bytes())


def test_another_model_is_refused_before_its_ranges(honest: CompiledModel) -> None:
    evil = with_ranges(honest, WIDE)
    other = dataclasses.replace(honest, record=evil.record)
    with pytest.raises(ProgramMismatch):
        check_model(data.MODEL_PATH, other, calibration=TEST)


def test_the_report_of_a_loaded_model_is_marked_as_claimed(honest: CompiledModel) -> None:
    assert "in the words of whoever compiled it" in repr(from_bytes(honest.to_bytes()))


def test_the_result_reads_as_its_verdict(honest: CompiledModel) -> None:
    found = check_model(data.MODEL_PATH, honest)
    assert isinstance(found, ModelCheck)
    assert found.model_id in repr(found)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.model_id = ""  # type: ignore[misc]


# Outputs of every kind


def network(
    nodes: list[tuple[str, str, dict[str, Any]]],
    weights: dict[str, Any],
    outputs: dict[str, int],
    shape: tuple[int, ...] = (16,),
) -> bytes:
    """A model of nodes ("inputs", "output", attributes with "op"), from x [n, *shape]."""
    made = [
        helper.make_node(attributes.pop("op"), reads.split(), [out], **attributes)
        for reads, out, attributes in [(r, o, dict(a)) for r, o, a in nodes]
    ]
    graph = helper.make_graph(
        made,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [numpy_helper.from_array(np.asarray(w, np.float32), name) for name, w in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(onnx.shape_inference.infer_shapes(model).SerializeToString())


def drawn(*shape: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


DENSE = ("x w", "y", {"op": "MatMul"})
CHOICE = ("y", "c", {"op": "ArgMax", "axis": 1, "keepdims": 0})
CROWD = {"w": drawn(16, 1000, seed=1)}
"""A thousand classes with one clamped range: few integers agree with the floats on the best."""
CLAMPED: dict[str, Any] = {"public": True, "method": "percentile", "percentile": 99.6}
CLAMPED |= {"precision": "int8", "force": True}
X = drawn(100, 16)


def judged(model: bytes, samples: Any, **options: Any) -> Any:
    """The verdict on an honestly compiled, badly clamped model, by its maker's own data."""
    compiled = zktally.compile(model, samples, batch=1, **CLAMPED)
    report = dataclasses.replace(compiled.report, top1=None)
    compiled = dataclasses.replace(compiled, report=report)
    lax = Tolerances(sqnr_below_claim=1000.0, min_sqnr=-1000.0, **options)
    return check_model(model, compiled, evaluation=samples, tolerances=lax).fidelity


@pytest.mark.parametrize(
    ("nodes", "outputs", "samples"),
    [
        ([DENSE, CHOICE], {"c": TensorProto.INT64}, X),
        ([DENSE], {"y": TensorProto.FLOAT}, drawn(40, 3, 16)),
        ([DENSE, CHOICE, ("x v", "z", {"op": "MatMul"})], {"z": 1, "c": TensorProto.INT64}, X),
    ],
    ids=["integers", "three axes", "second output"],
)
def test_every_output_with_classes_is_compared(nodes: Any, outputs: Any, samples: Any) -> None:
    weights = CROWD | ({"v": drawn(16, 2)} if "z" in outputs else {})
    model = network(nodes, weights, outputs, samples.shape[1:])
    with pytest.raises(CalibrationMismatch) as caught:
        judged(model, samples)
    assert caught.value.code == "check.fidelity"
    assert "top-1 at least 90.00%" in str(caught.value.expected)
    fidelity = judged(model, samples, min_top1=0.0)
    assert fidelity.agreement.keys() == outputs.keys()
    assert fidelity.top1 == min(fidelity.agreement.values()) < 0.9
    if len(outputs) > 1:
        assert 'least top-1 in output "c"' in fidelity.text()


def test_labels_are_about_integer_classes_too() -> None:
    model = network([DENSE, CHOICE], {"w": drawn(16, 5)}, {"c": TensorProto.INT64})
    compiled = zktally.compile(model, X, batch=1, public=True)
    right = (X @ drawn(16, 5)).argmax(axis=1)
    found = check_model(model, compiled, evaluation=X, labels=right).fidelity
    assert found is not None
    assert found.accuracy is not None
    assert found.accuracy[0] == 1.0
    assert found.accuracy[1] == found.top1


def test_where_no_output_has_classes_none_are_claimed() -> None:
    squash = ("y", "p", {"op": "Sigmoid"})
    model = network([DENSE, squash], {"w": drawn(16, 1)}, {"p": TensorProto.FLOAT})
    compiled = zktally.compile(model, X, batch=1, public=True)
    assert compiled.report.top1 is None
    found = check_model(model, compiled, evaluation=X)
    assert "no classes were compared" in found.sentence()
    assert "no output has classes" in found.text()
    with pytest.raises(UsageError, match="no output of the model has classes"):
        check_model(model, compiled, evaluation=X, tolerances=Tolerances(min_top1=0.5))
    with pytest.raises(UsageError, match="labels do not fit"):
        check_model(model, compiled, evaluation=X, labels=np.zeros(len(X), np.int64))
    report = dataclasses.replace(compiled.report, top1=1.0)
    with pytest.raises(CalibrationMismatch, match="no claim of a top-1") as caught:
        check_model(model, dataclasses.replace(compiled, report=report), evaluation=X)
    assert caught.value.code == "check.fidelity"


# Data that shows nothing


def test_floats_that_become_infinite_are_no_agreement() -> None:
    """Infinite noise over infinite signal once read as no noise at all."""
    twice = [DENSE, ("y v", "z", {"op": "MatMul"})]
    weights = {"w": 1e20 * drawn(16, 8), "v": 1e20 * drawn(8, 2)}
    model = network(twice, weights, {"z": TensorProto.FLOAT})
    compiled = zktally.compile(model, X * 1e-4, batch=1, public=True)
    with pytest.raises(CompileError, match=r"layer .* becomes infinite or NaN") as caught:
        check_model(model, compiled, evaluation=X)
    assert caught.value.code == "compile.not-finite"
    with pytest.raises(CompileError, match="becomes infinite or NaN") as caught:
        zktally.compile(model, X * 1e-4, batch=1, public=True, evaluation=X)
    assert caught.value.code == "compile.not-finite"


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e200])
def test_no_value_spoils_the_sum_of_noise(value: float) -> None:
    with pytest.raises(CompileError, match='layer "l"'):
        Evaluation().add("l", np.array([1.0, value]), np.zeros(2))


@pytest.mark.parametrize(
    "samples",
    [np.zeros_like(TEST[:9]), np.full_like(TEST[:1], 0.5), np.repeat(TEST[:1], 9, 0)],
    ids=["zeros", "one flat sample", "one sample repeated"],
)
def test_constant_data_tests_nothing(honest: CompiledModel, samples: Any) -> None:
    for use in ("calibration", "evaluation"):
        with pytest.raises(UsageError, match="constant") as caught:
            check_model(data.MODEL_PATH, honest, **{use: samples})
        assert caught.value.code == "usage.input"


def test_data_on_which_no_layer_does_anything_shows_nothing() -> None:
    """All layers are silent on it; one alone can be so in a network that was trained."""
    nodes = [DENSE, ("y", "r", {"op": "Relu"}), ("r v", "z", {"op": "MatMul"})]
    weights = {"w": np.abs(drawn(16, 8)), "v": drawn(8, 4)}
    model = network(nodes, weights, {"z": TensorProto.FLOAT})
    compiled = zktally.compile(model, X, batch=1, public=True)
    assert check_model(model, compiled, evaluation=X).fidelity
    with pytest.raises(UsageError, match="of all others are zero, which tests nothing"):
        check_model(model, compiled, evaluation=-np.abs(X))


@pytest.mark.parametrize(
    "labels",
    [LABELS, LABELS[:19], np.full(20, 10), np.full(20, -1), LABELS[:20].astype(bool)],
    ids=["too many", "too few", "no class", "negative", "no integers"],
)
def test_labels_must_be_classes_one_a_row(honest: CompiledModel, labels: Any) -> None:
    assert check_model(data.MODEL_PATH, honest, evaluation=TEST[:20], labels=LABELS[:20]).fidelity
    with pytest.raises(UsageError, match="label"):
        check_model(data.MODEL_PATH, honest, evaluation=TEST[:20], labels=labels)


# Words


def test_what_was_reached_is_never_rounded_up() -> None:
    assert "holds 98.99% of" in RangeCheck("v", (0, 1), (0, 1), 0.98996).text()
    found = FidelityCheck(9, {"y": 0.99996}, None, "l", 5.96, None, (0.99999, 0.57))
    assert "top-1 agrees in 99.99%" in found.text()
    assert "with 5.9 dB" in found.text()
    assert "accuracy 99.99% in floats and 57.00% in integers" in found.text()
    assert str(floored(-0.01, 1)) == "-0.1"


def test_a_tolerance_reads_as_it_was_given(honest: CompiledModel) -> None:
    tolerances = Tolerances(covered=0.985)
    found = check_model(data.MODEL_PATH, honest, calibration=TEST, tolerances=tolerances)
    assert "hold at least 98.5% of your values" in found.sentence()
    assert "up to 1.5% of a value's elements may be clamped" in found.sentence()
    assert found.to_json()["tolerances"]["min_top1"] == 0.9


def test_one_sample_is_one_sample(honest: CompiledModel) -> None:
    found = check_model(data.MODEL_PATH, honest, evaluation=TEST[:1])
    assert "on your 1 sample the integers" in found.sentence()


@pytest.fixture(scope="module")
def files(honest: CompiledModel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("check")
    honest.save(folder / "m.zkt")
    np.savez(folder / "plain.npz", image=TEST)
    np.savez(folder / "labelled.npz", image=TEST, labels=LABELS)
    return {name: str(folder / name) for name in ("m.zkt", "plain.npz", "labelled.npz")}


@pytest.mark.parametrize(
    ("options", "head"),
    [([], "FOLLOWS"), (["--calibrate"], "FITS"), (["--evaluate"], "OK")],
    ids=str,
)
def test_the_first_word_says_what_was_looked_at(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], options: list[str], head: str
) -> None:
    given = [part for option in options for part in (option, files["plain.npz"])]
    assert main(["check-model", str(data.MODEL_PATH), files["m.zkt"], *given]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{head} ")
    assert ("OK" in shown) == (head == "OK")
    assert ("was not measured, and up to 1% of a value's" in shown) == (head == "FITS")


@pytest.mark.parametrize(
    "options",
    [
        ["--min-top1", "0.9"],
        ["--calibrate", "plain.npz", "--min-top1", "0"],
        ["--calibrate", "plain.npz", "--min-sqnr", "6"],
        ["--evaluate", "plain.npz", "--range-factor", "4"],
        ["--calibrate", "labelled.npz", "--evaluate", "plain.npz"],
    ],
    ids=" ".join,
)
def test_options_about_data_that_is_absent_are_refused(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    given = [files.get(option, option) for option in options]
    asked = ["check-model", str(data.MODEL_PATH), files["m.zkt"], *given, "--json"]
    assert main(asked) == 2
    described = json.loads(capsys.readouterr().out)
    assert described["code"] == "usage"
    assert described["format"] == verb.FORMAT
