"""What `check_model` says of a stranger's compiled model: nothing that it has not seen."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest

import zktally
from zktally.bench.digits import data
from zktally.circuits.check import ModelCheck, RangeCheck, Tolerances, check_model
from zktally.circuits.compile import build, prepare
from zktally.circuits.model import CompiledModel, Record, from_bytes
from zktally.circuits.report import Report
from zktally.verifier.errors import (
    BadModelFile,
    CalibrationMismatch,
    CompileError,
    ProgramMismatch,
    UsageError,
    ZktallyError,
)

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
    _, graph = prepare(data.MODEL_PATH, record.batch, record.name)
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
    assert "'image': recorded [0, 520]" in error.message
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
        assert f"{next(iter(ranges))!r}" in refused("check.ranges", model, calibration=TEST).message
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
    {"top1": "all"}, {"top1": True}, {"worst": 3}, {"macs": "many"}, {"evaluated": None},
    {"operators": {"Conv": "two"}},
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
