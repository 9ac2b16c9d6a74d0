"""What callers of the Python API pass by mistake: taken where it is clear, or refused in words."""

from __future__ import annotations

import math

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import zktally
from zktally.verifier.errors import UsageError, ZktallyError


def network() -> bytes:
    weights = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "fc0")],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(weights, "w")],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


X = np.random.default_rng(2).random((24, 4)).astype(np.float32)
Y = np.arange(24) % 3


@pytest.fixture(scope="module")
def model():
    return zktally.compile(network(), X, public=True)


@pytest.fixture(scope="module")
def receipt(model):
    return zktally.prove(model, X[:2], "fast")


def test_a_text_is_one_name(model) -> None:
    flagged = zktally.compile(network(), X, public=True, exact="fc0")
    assert flagged.record.exact == ("fc0",)
    assert zktally.prove(model, X[:2], "fast", exact="fc0").journal.exact == ()  # it is already
    for exact in ("fc1", ["fc1"], ("fc1",)):
        with pytest.raises(UsageError, match='no such op: "fc1"'):
            zktally.prove(model, X[:2], "fast", exact=exact)


def test_a_nonce_may_be_a_text_as_on_the_command_line(model) -> None:
    for given, meant in (("text", b"text"), ("0x0102", b"\1\2"), (b"\1", b"\1")):
        made = zktally.prove(model, X[:2], "fast", nonce=given)
        assert made.journal.nonce == meant
        made.verify(model.model_id, nonce=given)
        made.verify(model.model_id, nonce=meant)


def test_files_and_receipts_stand_for_what_they_hold(model, receipt, tmp_path) -> None:
    path = tmp_path / "m.zkt"
    model.save(path)
    for program in (path, str(path)):
        assert zktally.prove(program, X[:2], "fast").journal.model_id == model.model_id
    assert zktally.verify(receipt, model.model_id).mode == "fast"
    assert zktally.verify_chain(receipt, model.model_id).steps == 2


WRONG = {
    "exact is a number": lambda m, r: zktally.prove(m, X, exact=3),
    "exact has numbers": lambda m, r: zktally.prove(m, X, exact=[3]),
    "mode is a list": lambda m, r: zktally.prove(m, X, ["fast"]),
    "mode is None": lambda m, r: zktally.prove(m, X, None),
    "bits are a text": lambda m, r: zktally.prove(m, X, bits="80"),
    "bits are a float": lambda m, r: zktally.prove(m, X, bits=80.0),
    "delta is a text": lambda m, r: zktally.prove(m, X, delta="0.05"),
    "delta is NaN": lambda m, r: zktally.prove(m, X, delta=math.nan),
    "the nonce is a number": lambda m, r: zktally.prove(m, X, nonce=5),
    "the audience is bytes": lambda m, r: zktally.prove(m, X, audience=b"me"),
    "the visibility is a list": lambda m, r: zktally.prove(m, X, visibility=["public"]),
    "the program is a number": lambda m, r: zktally.prove(5, X),
    "the program is no file": lambda m, r: zktally.prove("no.zkt", X),
    "inputs are a path": lambda m, r: zktally.prove(m, "x.npz"),
    "first is negative": lambda m, r: zktally.prove(m, X, first=-1),
    "first is a text": lambda m, r: zktally.prove(m, X, first="1"),
    "items are a text": lambda m, r: zktally.prove(m, X, items="3"),
    "the seed is unknown": lambda m, r: zktally.prove(m, X, seed="mine"),
    "data is a text": lambda m, r: zktally.prove(m, X, data="x"),
    "the data key is a text": lambda m, r: zktally.prove(m, X, data_key="ab"),
    "progress is a text": lambda m, r: zktally.prove(m, X, progress="yes"),
    "a path is wrapped": lambda m, r: zktally.wrap("run.receipt"),
    "it is wrapped for a path": lambda m, r: zktally.wrap(r, "no.zkt"),
    "a receipt is a path": lambda m, r: zktally.verify("run.receipt", m.model_id),
    "a receipt is a text": lambda m, r: zktally.Receipt("abc"),
    "a policy is a dict": lambda m, r: r.verify(m.model_id, {"max_delta": 0.1}),
    "threads are negative": lambda m, r: r.verify(m.model_id, threads=-1),
    "threads are a text": lambda m, r: r.verify(m.model_id, threads="2"),
    "it follows a receipt": lambda m, r: r.verify(m.model_id, follows=r),
    "the backend is unknown": lambda m, r: r.verify(m.model_id, backend="gpu"),
    "a chain is a text": lambda m, r: zktally.verify_chain("abc", m.model_id),
    "batch is a text": lambda m, r: zktally.compile(network(), X, batch="8"),
    "batch is zero": lambda m, r: zktally.compile(network(), X, batch=0),
    "dims are a text": lambda m, r: zktally.compile(network(), X, dims="N=3"),
    "shapes are a text": lambda m, r: zktally.compile(network(), X, shapes="x=3"),
    "fixed is a text": lambda m, r: zktally.compile(network(), X, fixed="x=3"),
    "a bound is a text": lambda m, r: zktally.compile(network(), X, min_sqnr="20"),
    "a percentile is a text": lambda m, r: zktally.compile(network(), X, percentile="99"),
    "a check of a path": lambda m, r: zktally.check_model(network(), "m.zkt"),
    "a root of a number": lambda m, r: zktally.dataset_root(5, {"x": X}),
    "data is no pair": lambda m, r: zktally.train(network(), X),
    "data is a dict": lambda m, r: zktally.train(network(), {"x": X, "y": Y}),
    "the optimizer is unknown": lambda m, r: zktally.train(network(), (X, Y), optimizer="adm"),
    "the loss is a list": lambda m, r: zktally.train(network(), (X, Y), loss=["mse"]),
    "freeze is a number": lambda m, r: zktally.train(network(), (X, Y), freeze=3),
    "memory is a text": lambda m, r: zktally.train(network(), (X, Y), memory="4"),
    "memory is NaN": lambda m, r: zktally.train(network(), (X, Y), memory=math.nan),
    "a nonce of a run is a number": lambda m, r: zktally.train(network(), (X, Y), nonce=5),
    "columns of a number": lambda m, r: zktally.split_columns(network(), 5),
}


@pytest.mark.parametrize("what", WRONG)
def test_it_is_refused_in_words(what: str, model, receipt) -> None:
    with pytest.raises(ZktallyError) as refused:
        WRONG[what](model, receipt)
    said = str(refused.value)
    assert "object has no attribute" not in said
    assert refused.value.exit_code in (2, 3)


@pytest.mark.parametrize("name", ["adam", "SGD", "AdamW"])
def test_an_optimizer_may_be_a_name(name: str) -> None:
    run = zktally.train(
        network(), (X, Y), optimizer=name, batch=8, steps=2, rehearsal=2, nonce="text",
        mode="fast", reveal=True, progress=False,
    )  # fmt: skip
    assert run.receipt.journal.nonce == b"text"
    assert "<td" in run._repr_html_()
    assert run.model_id.hex() in run._repr_html_()
    assert repr(run).startswith("<TrainingRun 2 steps")
