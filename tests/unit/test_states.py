"""States of a chain: what the compiler makes of them, and how close a long roll-out stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import zktally
from support.compared import sqnr
from support.recurrent import (
    CACHE,
    average,
    rolled_out,
    sequence,
    states_of,
    tagger,
    window,
)
from zktally.circuits import native
from zktally.circuits.errors import BadState
from zktally.circuits.evaluate import first, integer_run, opened
from zktally.circuits.model import CompiledModel
from zktally.verifier.errors import ProgramMismatch, UsageError, ZktallyError
from zktally.verifier.program.types import ConstantStart, Pick, PickMode, Role

LONG = 1000
FIRST, LAST = slice(100, 400), slice(700, 1000)


def compiled(model: onnx.ModelProto, states: Mapping[str, str], **options: object) -> CompiledModel:
    data = sequence(model, 200, 1, count=4)
    return zktally.compile(model, data, states=states, public=True, **options)


def integers(made: CompiledModel, x: np.ndarray) -> np.ndarray:
    """The first output of each step, in reals, by the Rust executor step by step."""
    program = made.checked.program
    run, plain = native.executor(made.checked, made.weights), opened(program)
    held, shown, (port, *_) = first(program), [], program.outputs
    for step in x:
        found = integer_run(plain, made.weights, {"x": step}, run, held)
        held = {link.state: found[link.value] for link in program.states}
        shown.append((found[port.tensor].astype(np.float64) - port.zero) * port.scale)
    return np.stack(shown)


CASES = {
    "LSTM": (tagger("LSTM"), states_of("LSTM"), 30.0),
    "GRU": (tagger("GRU"), states_of("GRU"), 30.0),
    "RNN": (tagger("RNN"), states_of("RNN"), 30.0),
    "average": (average(), {"h": "next"}, 28.0),
    "window": (window(), CACHE, 24.0),
}


@pytest.mark.parametrize("name", CASES)
def test_a_long_roll_out_stays_as_close_as_a_short_one(name: str) -> None:
    model, states, floor = CASES[name]
    made = compiled(model, states, min_sqnr=0.0, precision="int8")
    x = 0.8 * sequence(model, LONG, 7)  # nothing saturates
    real, found = rolled_out(model, x, states), integers(made, x)
    assert sqnr(real, found) >= floor
    noises = [np.sqrt(np.mean((real[part] - found[part]) ** 2)) for part in (FIRST, LAST)]
    assert noises[1] <= 1.5 * noises[0]


def test_what_is_measured_is_the_roll_out() -> None:
    model, states, _ = CASES["GRU"]
    own = sequence(model, 100, 9, count=2)
    made = compiled(model, states, evaluation=own, precision="int8", min_sqnr=0.0)
    real = np.concatenate([rolled_out(model, x, states) for x in own])
    found = np.concatenate([integers(made, x) for x in own])
    noise = np.sum((real - found) ** 2)
    expected = 10 * np.log10(np.sum((real - real.mean(axis=0)) ** 2) / noise)
    (output,) = made.report.outputs
    assert made.report.evaluated == 200
    assert output.sqnr_db == pytest.approx(expected, abs=1.0)


def test_both_ends_of_a_state_are_one_tensor_of_16_bits() -> None:
    for name, (model, states, _) in CASES.items():
        program = compiled(model, states, force=True).checked.program
        assert len(program.states) == len(states), name
        assert {port.name for port in program.inputs} == {"x"}
        assert len(program.outputs) == 1
        for link in program.states:
            ends = program.tensors[link.state], program.tensors[link.value]
            forms = [(t.width, t.lo, t.hi, t.shape, t.layout) for t in ends]
            assert forms[0] == forms[1]
            assert (ends[0].role, ends[0].width) == (Role.STATE, 2)
            assert link.start == ConstantStart(0)


def test_a_state_costs_no_op_where_its_end_can_have_its_code() -> None:
    for name in ("average", "window"):
        model, states, _ = CASES[name]
        program = compiled(model, states, force=True).checked.program
        assert not [op.name for op in program.ops if op.name.startswith("state")]


def test_one_output_may_follow_two_states() -> None:
    model = average()
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1, 12]))
    model.graph.node.append(helper.make_node("Sub", ["next", "other"], ["moved"]))
    model.graph.output.append(helper.make_tensor_value_info("moved", TensorProto.FLOAT, [1, 12]))
    states = {"h": "next", "other": "next"}
    program = compiled(model, states, force=True).checked.program
    first_link, second = program.states
    assert first_link.value != second.value
    copies = [op for op in program.ops if isinstance(op, Pick) and op.mode is PickMode.COPY]
    assert [op.out for op in copies] == [second.value] or copies == []


def test_a_first_value_is_declared_by_the_program() -> None:
    model, states, _ = CASES["average"]
    made = compiled(model, states, initial={"h": 0.5}, force=True)
    (link,) = made.checked.program.states
    assert isinstance(link.start, ConstantStart)
    assert link.start.value > 0
    x = sequence(model, 50, 3)
    assert sqnr(rolled_out(model, x, states, 0.5), integers(made, x)) > 25.0
    assert sqnr(rolled_out(model, x, states, 0.0), integers(made, x)) < 15.0


def test_check_model_compiles_the_states_again() -> None:
    model, states, _ = CASES["LSTM"]
    made = compiled(model, states, initial={"c0": 0.25})
    data = sequence(model, 100, 1, count=4)
    found = zktally.check_model(model, made, calibration=data, evaluation=data[:2])
    assert found.fidelity is not None
    assert found.fidelity.samples == 200
    assert "h0 from hn" in found.text()
    for record in (
        replace(made.record, states={"h0": "hn"}, initial={}),
        replace(made.record, initial={}),
    ):
        with pytest.raises(ProgramMismatch):
            zktally.check_model(model, replace(made, record=record))


def test_a_batch_is_so_many_streams_side_by_side() -> None:
    model = average()
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    x = np.random.default_rng(0).uniform(-1, 1, (4, 60, 3, 6)).astype(np.float32)
    made = zktally.compile(model, x, batch=3, states={"h": "next"}, public=True)
    program = made.checked.program
    assert program.tensors[program.inputs[0].tensor].shape == (3, 6)
    own = x[0] * 0.9
    assert sqnr(
        np.concatenate([rolled_out(model, own[:, [row]], {"h": "next"}) for row in range(3)], 1),
        integers(made, own),
    ) > 25.0  # fmt: skip


def refused(model: onnx.ModelProto, code: str, **options: object) -> ZktallyError:
    with pytest.raises(ZktallyError) as error:
        zktally.compile(model, sequence(model, 50, 1), **options)
    assert error.value.code == code
    return error.value


def test_what_is_no_state_is_refused() -> None:
    model = tagger("GRU")
    cases: list[tuple[str, dict[str, str], str]] = [
        ("usage", {"nothing": "hn"}, "no input 'nothing'"),
        ("usage", {"h0": "nothing"}, "no output 'nothing'"),
        ("compile.bad-state", {"h0": "tags"}, "their shapes differ"),
        ("compile.bad-state", {"h0": "hn", "x": "tags"}, "their shapes differ"),
    ]
    for code, states, said in cases:
        assert said in str(refused(model, code, states=states))
    assert issubclass(BadState, ZktallyError)
    refused(model, "usage", states={"h0": "hn"}, initial={"c0": 1.0})
    for value in (float("nan"), np.zeros(12)):
        with pytest.raises(UsageError):
            zktally.compile(model, None, states={"h0": "hn"}, initial={"h0": value})


def test_something_must_be_given_and_published() -> None:
    model = average()
    lone = onnx.ModelProto()
    lone.CopyFrom(model)
    del lone.graph.output[0]
    assert "publish nothing" in str(refused(lone, "compile.bad-state", states={"h": "next"}))
    made = onnx.ModelProto()
    made.CopyFrom(lone)
    made.graph.node.append(helper.make_node("Identity", ["next"], ["shown"]))
    made.graph.output.append(helper.make_tensor_value_info("shown", TensorProto.FLOAT, [1, 12]))
    assert len(compiled(made, {"h": "next"}).checked.program.outputs) == 1
    free = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Tanh", ["h"], ["next"]),
                helper.make_node("Relu", ["next"], ["y"]),
            ],
            "free",
            [helper.make_tensor_value_info("h", TensorProto.FLOAT, [1, 3])],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3]) for n in ("y", "next")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    with pytest.raises(BadState, match="nothing is left to give"):
        zktally.compile(free, np.zeros((9, 1, 3), np.float32), states={"h": "next"})


def test_integers_are_no_state_of_floats() -> None:
    model = average()
    model.graph.input.append(helper.make_tensor_value_info("at", TensorProto.INT64, [1]))
    model.graph.node.append(helper.make_node("Add", ["at", "at"], ["then"]))
    model.graph.output.append(helper.make_tensor_value_info("then", TensorProto.INT64, [1]))
    with pytest.raises(BadState, match="floats of one type"):
        zktally.compile(
            model,
            {"x": sequence(model, 30, 1)},
            states={"h": "next", "at": "then"},
        )


def test_data_of_a_chain_is_one_sequence_or_several() -> None:
    model, states, _ = CASES["average"]
    x = sequence(model, 40, 1, count=2)
    whole = zktally.compile(model, x, states=states, public=True, force=True)
    one = zktally.compile(model, x[0], states=states, public=True, force=True)
    again = zktally.compile(model, x[:1], states=states, public=True, force=True)
    assert one.model_id == again.model_id != whole.model_id
    with pytest.raises(UsageError, match="shape"):
        zktally.compile(model, x[..., :3], states=states)
