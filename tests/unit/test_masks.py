"""Masks of attention: whatever they add, the scores that count keep their code."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from support.blocks import Net, causal
from support.compared import sqnr
from zktally.circuits import native
from zktally.circuits.check import check_model
from zktally.circuits.compile import compile, open_network, prepare
from zktally.circuits.errors import CompileError
from zktally.circuits.evaluate import integer_run
from zktally.circuits.masks import Scores
from zktally.circuits.ops import OPERATORS
from zktally.circuits.session import Session
from zktally.circuits.source import load

RNG = np.random.default_rng(33)
LENGTH, WIDTH, HEADS = 7, 16, 2
FILLERS = [-10.0, -1e4, -1e9, float(np.finfo(np.float32).min), -np.inf]


def normal(*shape: int, by: float = 1.0) -> np.ndarray:
    return RNG.normal(0, by, shape).astype(np.float32)


def attended(net: Net, scores: str, value: str) -> onnx.ModelProto:
    return net.model(net.op("MatMul", net.op("Softmax", scores, axis=-1), value))


def heads(net: Net, length: int | str = LENGTH) -> tuple[str, str]:
    """Scaled scores and values [batch, heads, positions, size], of inputs."""
    query, key, value = (net.input(name, "n", HEADS, length, 8) for name in "qkv")
    turned = net.op("Transpose", key, perm=[0, 1, 3, 2])
    return net.op("Div", net.op("MatMul", query, turned), 8.0**0.5), value


def data(items: int = 6) -> dict[str, np.ndarray]:
    found = {name: normal(items, HEADS, LENGTH, 8, by=1.5) for name in "qkv"}
    found["v"] += np.float32(0.5)
    return found


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray], **options: Any) -> Any:
    """The compiled model; its only output in floats and as integers have it."""
    items = len(next(iter(feeds.values())))
    compiled = compile(model, feeds, batch=items, evaluate=items, **options)
    program = compiled.checked.program
    executor = native.executor(compiled.checked, compiled.weights)
    values = integer_run(program, compiled.weights, feeds, executor)
    (port,) = program.outputs
    found = (values[port.tensor].astype(np.float64) - port.zero) * port.scale
    (output,) = (value.name for value in model.graph.output)
    real = Session(load(model), [output], plainly=True).run(feeds)[output]
    return compiled, real, found


def least(compiled: Any) -> float:
    return min(layer.sqnr_db for layer in compiled.report.layers if layer.sqnr_db is not None)


@pytest.mark.parametrize("filler", FILLERS)
def test_added_to_the_scores(filler: float) -> None:
    net = Net(1)
    scores, value = heads(net)
    compiled, real, found = run(
        attended(net, net.op("Add", scores, causal(LENGTH, filler)), value), data()
    )
    assert sqnr(real, found) > 36
    assert least(compiled) > 34


@pytest.mark.parametrize("filler", FILLERS)
@pytest.mark.parametrize("kept", [0, 1])
def test_chosen_by_a_constant(filler: float, kept: int) -> None:
    net = Net(2)
    scores, value = heads(net)
    condition = np.tril(np.ones((LENGTH, LENGTH), bool)) == bool(kept)
    choices = (scores, np.float32(filler)) if kept else (np.float32(filler), scores)
    compiled, real, found = run(attended(net, net.op("Where", condition, *choices), value), data())
    assert sqnr(real, found) > 36
    assert least(compiled) > 34


@pytest.mark.parametrize("filler", FILLERS[:-1])
@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.FLOAT])
def test_given_as_an_input(kind: int, filler: float) -> None:
    """One item's keys are all masked, as those of a filled-up batch are: it has their mean."""
    net = Net(3)
    scores, value = heads(net)
    mask = net.input("m", "n", LENGTH, kind=kind)
    scores = net.op("Add", scores, net.key_mask(mask, filler))
    feeds = data()
    lengths = np.array([7, 3, 1, 5, 0 if filler < -1e4 else 6, 2])
    shown = np.arange(LENGTH) < lengths[:, None]
    feeds["m"] = shown.astype(helper.tensor_dtype_to_np_dtype(kind))
    compiled, real, found = run(attended(net, scores, value), feeds)
    for item in range(6):
        assert sqnr(real[item], found[item]) > 30
    assert least(compiled) > 34


def test_two_masks_that_add_up_to_infinity() -> None:
    lowest = float(np.finfo(np.float32).min)
    net = Net(4)
    scores, value = heads(net)
    mask = net.key_mask(net.input("m", "n", LENGTH, kind=TensorProto.INT64), lowest)
    both = net.op("Add", causal(LENGTH, lowest), mask)
    feeds = data()
    feeds["m"] = (np.arange(LENGTH) < RNG.integers(1, LENGTH, (6, 1))).astype(np.int64)
    with np.errstate(over="ignore"):
        compiled, real, found = run(attended(net, net.op("Add", scores, both), value), feeds)
    assert sqnr(real, found) > 36
    assert least(compiled) > 34


def test_moved_after_it_was_added() -> None:
    """As windows of an image have it: reshaped, masked, reshaped back, transposed."""
    net = Net(5)
    scores, value = heads(net)
    scores = net.op("Reshape", scores, np.array([-1, 1, HEADS, LENGTH, LENGTH]))
    scores = net.op("Add", scores, causal(LENGTH, -100.0))
    scores = net.op("Reshape", scores, np.array([-1, HEADS, LENGTH, LENGTH]))
    turned = net.op("Transpose", scores, perm=[0, 1, 3, 2])
    back = net.op("Transpose", net.op("Softmax", turned, axis=2), perm=[0, 1, 3, 2])
    compiled, real, found = run(net.model(net.op("MatMul", back, value)), data())
    assert sqnr(real, found) > 36
    assert least(compiled) > 34


def test_hidden_scores_may_be_the_largest() -> None:
    """What counts decides the range, not what a mask hides."""
    net = Net(6)
    scores, value = heads(net)
    model = attended(net, net.op("Add", scores, causal(LENGTH, -1e9)), value)
    feeds = data()
    feeds["k"][:, :, 1:] *= 30.0
    feeds["q"][:, :, 1:] *= 0.02
    _, real, found = run(model, feeds)
    first = real[:, :, 0], found[:, :, 0]
    assert sqnr(*first) > 40


def test_a_slope_is_no_mask() -> None:
    """Scores that only a slope with distance puts last keep their order."""
    net = Net(7)
    scores, value = heads(net)
    places = np.arange(LENGTH)
    slope = -5.0 * np.abs(places[:, None] - places).astype(np.float32)
    _, real, found = run(attended(net, net.op("Add", scores, slope), value), data())
    assert sqnr(real, found) > 36


def test_a_score_with_another_reader_keeps_its_range() -> None:
    net = Net(8)
    x = net.input("x", "n", LENGTH)
    masked = net.op("Add", x, causal(LENGTH, -1e4)[0])
    model = net.model(net.op("Add", net.op("Softmax", masked, axis=-1), net.op("Relu", masked)))
    source, fused = prepare(open_network(model, None, None), 1)
    scores = Scores(fused, OPERATORS)
    assert masked not in scores.names
    assert source.inputs == ("x",)


@pytest.mark.parametrize("reader", ["Add", "Where"])
def test_infinity_elsewhere_is_refused(reader: str) -> None:
    """Only where a Softmax sees it."""
    net = Net(9)
    x = net.input("x", "n", LENGTH, LENGTH)
    mask = causal(LENGTH)
    made = net.op("Add", x, mask) if reader == "Add" else net.op("Where", mask == 0, x, mask)
    model = net.model(net.op("Sigmoid", made))
    with pytest.raises(CompileError) as caught:
        compile(model, normal(3, LENGTH, LENGTH))
    assert caught.value.code == "compile.not-finite"
    assert "contains infinity" in caught.value.message


def test_a_row_of_infinities_alone_is_refused() -> None:
    net = Net(10)
    scores, value = heads(net)
    mask = causal(LENGTH)
    mask[3] = -np.inf
    with pytest.raises(CompileError) as caught:
        run(attended(net, net.op("Add", scores, mask), value), data())
    assert caught.value.code == "compile.not-finite"


def test_what_saturates_by_design_is_covered() -> None:
    """On data of its own a checker finds the ranges right; masked scores lie outside of them."""
    net = Net(11)
    scores, value = heads(net)
    mask = net.key_mask(net.input("m", "n", LENGTH, kind=TensorProto.INT64), -1e9)
    model = attended(net, net.op("Add", scores, mask), value)

    def drawn() -> dict[str, np.ndarray]:
        found = data(64)
        found["m"] = (np.arange(LENGTH) < RNG.integers(1, 5, (64, 1))).astype(np.int64)
        return found

    compiled = compile(model, drawn(), batch=4)
    own = drawn()
    checked = check_model(model, compiled, calibration=own, evaluation=own)
    assert checked.ranges is not None
    by_name = {entry.name: entry for entry in checked.ranges}
    masked = next(node.output[0] for node in model.graph.node if node.op_type == "Softmax")
    added = next(n.input[0] for n in model.graph.node if n.output[0] == masked)
    assert by_name[added].recorded[0] > -100
    assert by_name[added].covered > 0.99


def test_a_score_gets_fewer_bits_where_its_sum_may_be_far_larger() -> None:
    """Factors that cancel on all data: the bound of their sum leaves no room for a fine code."""
    net = Net(12)
    x = net.input("x", "n", 2048)
    signs = np.where(np.arange(2048) % 2, 1.0, -1.0)[:, None] * np.ones(8) * 0.5
    made = net.op("MatMul", x, (signs + RNG.normal(0, 5e-3, (2048, 8))).astype(np.float32))
    model = net.model(net.op("Softmax", made, axis=-1))
    pairs = np.repeat(np.abs(normal(16, 1024)), 2, axis=1)
    _, fused = prepare(open_network(model, None, None), 1)
    assert Scores(fused, OPERATORS).names == {made}
    compiled = compile(model, pairs)
    tensor = next(t for t in compiled.checked.program.tensors if t.name == made)
    assert 2**7 <= tensor.hi + 1 < 2**11


def test_a_slice_of_a_mask() -> None:
    net = Net(13)
    scores, value = heads(net)
    mask = net.key_mask(net.input("m", "n", 3 * LENGTH, kind=TensorProto.INT64), -1e9)
    ends = (np.array([n]) for n in (2 * LENGTH - 1, LENGTH - 1, 3, -1))
    feeds = data()
    feeds["m"] = RNG.integers(0, 2, (6, 3 * LENGTH))
    feeds["m"][:, LENGTH + 1] = 1
    sliced = net.op("Slice", mask, *ends)
    compiled, real, found = run(attended(net, net.op("Add", scores, sliced), value), feeds)
    assert sqnr(real, found) > 36
    assert least(compiled) > 34


def test_a_bound_that_undoes_what_masks_add_up() -> None:
    lowest = np.float32(np.finfo(np.float32).min)
    net = Net(14)
    scores, value = heads(net)
    masked = net.op("Max", net.op("Add", scores, causal(LENGTH, float(lowest))), lowest)
    compiled, real, found = run(attended(net, masked, value), data())
    assert sqnr(real, found) > 36
    assert least(compiled) > 34


def test_truths_of_an_input() -> None:
    """Equal to 0: chosen from two numbers, expanded, added."""
    net = Net(15)
    scores, value = heads(net)
    mask = net.input("m", "n", LENGTH, kind=TensorProto.INT64)
    hidden = net.op("Equal", net.op("Unsqueeze", mask, np.array([1, 2])), 0)
    addend = net.op("Where", hidden, np.float32(-np.inf), 0.0)
    whole = net.op("Expand", addend, np.array([1, 1, LENGTH, LENGTH]))
    feeds = data()
    feeds["m"] = (np.arange(LENGTH) < RNG.integers(1, LENGTH, (6, 1))).astype(np.int64)
    compiled, real, found = run(attended(net, net.op("Add", scores, whole), value), feeds)
    assert sqnr(real, found) > 36
    assert least(compiled) > 34


@pytest.mark.parametrize("how", ["added", "chosen"])
def test_a_mask_that_hid_nothing_in_calibration(how: str) -> None:
    net = Net(16)
    scores, value = heads(net)
    mask = net.input("m", "n", 1, 1, LENGTH, kind=TensorProto.BOOL)
    if how == "added":
        addend = net.op("Where", mask, np.float32(0.0), np.float32(-1e9))
        scores = net.op("Add", scores, addend)
    else:
        scores = net.op("Where", mask, scores, np.float32(-np.inf))
    model = attended(net, scores, value)
    feeds = {**data(), "m": np.ones((6, 1, 1, LENGTH), bool)}
    compiled = compile(model, feeds, batch=6)
    feeds["m"][:, 0, 0] = np.arange(LENGTH) < RNG.integers(1, LENGTH, (6, 1))
    program = compiled.checked.program
    executor = native.executor(compiled.checked, compiled.weights)
    values = integer_run(program, compiled.weights, feeds, executor)
    (port,) = program.outputs
    found = (values[port.tensor].astype(np.float64) - port.zero) * port.scale
    (output,) = (value.name for value in model.graph.output)
    real = Session(load(model), [output], plainly=True).run(feeds)[output]
    held = np.clip(real, found.min(), found.max())
    assert sqnr(held, found) > 30
