"""Reading ONNX models, calibration data, and .zkt files."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from zktally.bench import models
from zktally.bench.digits import data
from zktally.circuits import files, graph
from zktally.circuits import model as model_files
from zktally.circuits.calibrate import calibrate, feeds
from zktally.circuits.check import check_model
from zktally.circuits.compile import compile
from zktally.circuits.errors import BadModelFile, CompileError, UnsupportedOp
from zktally.circuits.evaluate import integer_run
from zktally.circuits.model import CompiledModel
from zktally.verifier.errors import ProgramMismatch, UsageError
from zktally.verifier.program.types import ABSENT
from zktally.verifier.reader import P


def network(
    nodes: list[onnx.NodeProto],
    shape: list[int | str],
    constants: dict[str, np.ndarray] | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    made = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(shape))],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8)


def relu(shape: list[int | str], opset: int = 17) -> onnx.ModelProto:
    return network([helper.make_node("Relu", ["x"], ["y"], name="relu")], shape, opset=opset)


MASTER = bytes(range(1, 33))


@pytest.fixture(scope="module")
def mlp() -> CompiledModel:
    model = models.mlp()
    return compile(model, models.calibration(model, 16, 0), batch=4, evaluate=8, weights_key=MASTER)


def refused(code: str, call: object, *arguments: object, **options: object) -> str:
    """The message of the CompileError or UsageError with that code."""
    with pytest.raises((CompileError, UsageError)) as caught:
        call(*arguments, **options)  # type: ignore[operator]
    assert caught.value.code == code
    return caught.value.message


# Models


def test_batch_sets_the_dynamic_axis_and_the_ports_name_it() -> None:
    model = models.lenet5()
    read = graph.read(model, 5)
    assert read.shapes["input"] == (5, 1, 28, 28)
    assert read.batched == {"input", "logits"}
    assert compile(model, models.calibration(model, 2, 0), batch=5).checked.program.batch == 5


def batches(compiled: CompiledModel) -> set[int]:
    program = compiled.checked.program
    return {port.batch for port in (*program.inputs, *program.outputs)}


def test_a_batch_of_fixed_size_whose_items_cannot_mix_has_items() -> None:
    compiled = compile(relu([2, 3]), np.ones((5, 3)))
    assert batches(compiled) == {0}
    assert compiled.checked.program.batch == 2


def test_a_batch_of_fixed_size_whose_items_mix_is_one_item() -> None:
    model = network([helper.make_node("Softmax", ["x"], ["y"], axis=0)], [2, 3])
    assert batches(compile(model, np.ones((4, 3)))) == {ABSENT}
    with pytest.raises(UsageError) as caught:
        compile(model, np.ones((5, 3)))
    assert caught.value.expected == "[n, 3], n a multiple of 2"


def test_batch_of_a_static_model_is_refused() -> None:
    assert "dynamic axis" in refused("usage", graph.read, relu([2, 3]), 4)


def test_other_dynamic_axes_are_refused() -> None:
    message = refused("compile.dynamic-shape", graph.read, relu(["n", "time"]))
    assert "'x'" in message
    assert "time" in message


def test_a_batch_baked_into_a_reshape_is_refused() -> None:
    nodes = [helper.make_node("Reshape", ["x", "s"], ["y"], name="baked")]
    model = network(nodes, ["n", 4], {"s": np.array([1, 4])})
    with pytest.raises(CompileError, match="'baked'"):
        compile(model, np.ones((2, 4)), batch=2)


def test_an_output_that_mixes_the_batch_into_another_axis_is_refused() -> None:
    model = network([helper.make_node("Transpose", ["x"], ["y"], perm=[1, 0])], ["n", 4])
    assert "'y'" in refused("compile.dynamic-shape", graph.read, model, 2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named(value: float) -> None:
    node = helper.make_node("Gemm", ["x", "w"], ["y"])
    weights = np.ones((3, 2), np.float32)
    weights[1, 1] = value
    model = network([node], ["n", 3], {"w": weights})
    assert "'w'" in refused("compile.not-finite", graph.read, model)


@pytest.mark.parametrize("junk", [b"", b"\x08\x01", b"no protobuf at all", b"\x00" * 64])
def test_junk_is_a_bad_model(junk: bytes, tmp_path: Path) -> None:
    (tmp_path / "junk.onnx").write_bytes(junk)
    refused("compile.bad-model", graph.read, junk)
    refused("compile.bad-model", graph.read, tmp_path / "junk.onnx")


def test_truncated_model(tmp_path: Path) -> None:
    content = data.MODEL_PATH.read_bytes()
    (tmp_path / "half.onnx").write_bytes(content[: len(content) // 2])
    refused("compile.bad-model", graph.read, tmp_path / "half.onnx")


def test_a_missing_model_is_unreadable(tmp_path: Path) -> None:
    refused("usage.unreadable", graph.read, tmp_path / "none.onnx")


def test_future_opsets_are_refused() -> None:
    refused("compile.bad-model", graph.read, relu(["n", 3], opset=6))


def test_external_data_stays_in_its_folder(tmp_path: Path) -> None:
    model = models.mlp()
    onnx.save_model(
        model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0
    )
    assert graph.read(tmp_path / "m.onnx").constants["weight0"].shape == (128, 784)
    inner = tmp_path / "inner"
    inner.mkdir()
    proto = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    for tensor in proto.graph.initializer:
        next(e for e in tensor.external_data if e.key == "location").value = "../w.bin"
    (inner / "m.onnx").write_bytes(proto.SerializeToString())
    refused("compile.bad-model", graph.read, inner / "m.onnx")


def test_bytes_with_external_data_are_refused(tmp_path: Path) -> None:
    onnx.save_model(
        models.mlp(),
        tmp_path / "m.onnx",
        save_as_external_data=True,
        location="w.bin",
        size_threshold=0,
    )
    refused("compile.bad-model", graph.read, (tmp_path / "m.onnx").read_bytes())


def test_constants_fold_and_dead_nodes_go() -> None:
    nodes = [
        helper.make_node("Constant", [], ["c"], value_float=2.0),
        helper.make_node("Mul", ["c", "c"], ["d"]),
        helper.make_node("Sigmoid", ["x"], ["unused"]),
        helper.make_node("Dropout", ["x"], ["e"]),
        helper.make_node("Mul", ["e", "d"], ["y"]),
    ]
    read = graph.read(network(nodes, ["n", 3]))
    assert [node.op for node in read.nodes] == ["Mul"]
    assert read.nodes[0].inputs == ("x", "d")
    assert read.constants["d"] == 4.0


def test_an_input_that_nothing_reads_is_dropped_and_named() -> None:
    model = relu(["n", 3])
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 1]))
    data = np.ones((4, 3), np.float32)
    compiled = compile(model, {"x": data, "z": np.ones((4, 1))})
    assert [port.name for port in compiled.checked.program.inputs] == ["x"]
    assert compiled.report.unread == ("z",)
    assert 'input "z"' in compiled.report.text()
    assert compile(model, data).program_id == compiled.program_id
    refused("usage.input", compile, model, {"x": data, "w": data})


def test_an_input_of_which_only_the_sizes_matter_is_dropped() -> None:
    nodes = [
        helper.make_node("Shape", ["s"], ["t"]),
        helper.make_node("Reshape", ["x", "t"], ["r"]),
        helper.make_node("Relu", ["r"], ["y"]),
    ]
    model = network(nodes, ["n", 6])
    model.graph.input.append(helper.make_tensor_value_info("s", TensorProto.FLOAT, ["n", 2, 3]))
    compiled = compile(model, {"x": np.ones((7, 6), np.float32)}, batch=3)
    assert compiled.report.unread == ("s",)
    assert compiled.checked.program.tensors[-1].shape == (3, 2, 3)


@pytest.mark.parametrize("size", ["3", 2.0, None, True, 0])
def test_sizes_that_are_no_numbers_are_refused(size: int) -> None:
    with pytest.raises(UsageError, match="a size of an axis is not positive"):
        compile(relu(["n", 5]), {"x": np.ones((3, 5), np.float32)}, dims={"n": size})


@pytest.mark.parametrize("shape", [[2**40, 5], [2**62, 2**62]])
def test_inputs_larger_than_any_program_are_refused(shape: list[int | str]) -> None:
    with pytest.raises(CompileError, match="input 'x' is too large"):
        compile(relu(shape), {"x": np.ones((3, 5), np.float32)})


def test_the_mask_of_a_dropout_is_refused() -> None:
    nodes = [
        helper.make_node("Dropout", ["x"], ["kept", "mask"], name="dropout"),
        helper.make_node("Cast", ["mask"], ["truth"], to=TensorProto.FLOAT, name="cast"),
        helper.make_node("Mul", ["x", "truth"], ["y"], name="product"),
    ]
    with pytest.raises(UnsupportedOp, match="its mask is used"):
        compile(network(nodes, [3, 5]), {"x": np.ones((3, 5), np.float32)})


def test_outputs_that_depend_on_no_input_are_refused() -> None:
    model = network([helper.make_node("Shape", ["x"], ["y"])], [4, 3])
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    assert "constants" in refused("compile.bad-model", graph.read, model)


# Inputs that are constants


def gated() -> onnx.ModelProto:
    """X times a rate, which is an integer input."""
    nodes = [
        helper.make_node("Cast", ["rate"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "f"], ["z"]),
        helper.make_node("Relu", ["z"], ["y"]),
    ]
    model = network(nodes, ["n", 3])
    model.graph.input.append(helper.make_tensor_value_info("rate", TensorProto.INT64, []))
    return model


def test_an_input_can_be_a_constant() -> None:
    data = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    compiled = compile(gated(), data, fixed={"rate": 16000})
    (port,) = compiled.checked.program.inputs
    assert port.name == "x"
    top = compiled.checked.program.outputs[0]
    assert top.scale * (127 - top.zero) == pytest.approx(16000, rel=0.02)
    assert compiled.record.fixed == {"rate": 16000}
    again = model_files.from_bytes(compiled.to_bytes())
    assert check_model(gated(), again).record.fixed == {"rate": 16000}


@pytest.mark.parametrize(
    "given", [{"rate": 0.5}, {"q": 1}, {"rate": [1, 2]}, {"rate": "a"}, {"rate": [[1], [1, 2]]}]
)
def test_values_that_are_none_of_an_input_are_refused(given: dict[str, object]) -> None:
    refused("usage", compile, gated(), np.ones((2, 3)), fixed=given)


# Calibration


def test_calibration_is_required() -> None:
    refused("compile.calibration", compile, relu(["n", 3]), None)
    refused("compile.calibration", compile, relu(["n", 3]), np.zeros((0, 3)))


@pytest.mark.parametrize(
    "given",
    [np.zeros((2, 4)), {"z": np.zeros((2, 3))}, np.full((2, 3), np.nan), np.array([["a"] * 3])],
)
def test_calibration_data_is_checked(given: object) -> None:
    refused("usage.input", compile, relu(["n", 3]), given)


def test_unknown_methods_are_refused() -> None:
    refused("usage", compile, relu(["n", 3]), np.ones((2, 3)), method="median")
    options = {"method": "percentile", "percentile": 20.0}
    refused("usage", compile, relu(["n", 3]), np.ones((2, 3)), **options)


def test_ranges_are_extremes_or_percentiles() -> None:
    read = graph.read(relu(["n", 1]))
    values = feeds(read, np.append(np.linspace(-1, 1, 999), 100.0)[:, None])
    assert calibrate(read, ["x", "y"], values, "minmax", 99.9) == {"x": (-1, 100), "y": (0, 100)}
    low, high = calibrate(read, ["x", "y"], values, "percentile", 99.8)["x"]
    assert low == pytest.approx(-1, abs=0.02)
    assert high == pytest.approx(1, abs=0.02)


# Compiled models


def test_digits_classify_as_well_as_floats() -> None:
    digits = data.load()
    compiled = compile(data.MODEL_PATH, digits.train_x, batch=90, evaluate=90)
    program = compiled.checked.program
    logits = [
        integer_run(program, compiled.weights, {"image": images})[program.outputs[0].tensor]
        for images in np.split(digits.test_x, 4)
    ]
    right = (np.concatenate(logits).argmax(axis=1) == digits.test_y).mean()
    assert right >= 0.9833 - 0.005
    assert compiled.report.top1 is not None
    assert compiled.report.top1 > 0.98


@pytest.mark.parametrize("name", ["lenet5", "cnn264k"])
def test_bench_models_are_faithful(name: str) -> None:
    model = models.BENCH_MODELS[name]()
    data = models.calibration(model, 16, 0)
    report = compile(model, data, batch=2, evaluate=8, **models.INT8).report
    noises = {layer.name: layer.sqnr_db for layer in report.layers}
    assert report.worst == min(noises, key=lambda layer: noises[layer] or 1e9)
    assert min(noise for noise in noises.values() if noise is not None) > 20
    assert report.parameters == {"lenet5": 61_706, "cnn264k": 264_031}[name]


def test_compilation_is_deterministic(mlp: CompiledModel) -> None:
    model = models.mlp()
    again = compile(
        model, models.calibration(model, 16, 0), batch=4, evaluate=8, weights_key=MASTER
    )
    assert again.to_bytes() == mlp.to_bytes()


def test_check_model_recompiles_from_the_record(mlp: CompiledModel) -> None:
    check_model(models.mlp(), mlp)
    changed = models.mlp()
    first = numpy_helper.to_array(changed.graph.initializer[0]).copy()
    first[3, 5] = 0.0
    changed.graph.initializer[0].CopyFrom(numpy_helper.from_array(first, "weight0"))
    with pytest.raises(ProgramMismatch, match=r'weight "gemm0/weight" at \[3, ') as caught:
        check_model(changed, mlp)
    assert caught.value.code == "verify.model-mismatch"
    ranges = {**mlp.record.ranges, "input": (-1.0, 2.0)}
    other = dataclasses.replace(mlp, record=dataclasses.replace(mlp.record, ranges=ranges))
    with pytest.raises(ProgramMismatch) as caught:
        check_model(models.mlp(), other)
    assert caught.value.code == "verify.program-mismatch"


def test_keys(mlp: CompiledModel) -> None:
    model = relu(["n", 3])
    secret, public = (compile(model, np.ones((2, 3)), public=flag) for flag in (False, True))
    assert (secret.public, public.public) == (False, True)
    assert public.key == bytes(32)
    assert all(e < P for e in struct.unpack("<8I", secret.key))
    assert secret.key != mlp.key
    refused("usage", compile, model, np.ones((2, 3)), weights_key=b"\xff" * 31)
    refused("usage", compile, model, np.ones((2, 3)), weights_key=secret.key, public=True)


# Files


def test_save_and_load_are_inverse(mlp: CompiledModel, tmp_path: Path) -> None:
    mlp.save(tmp_path / "m.zkt")
    loaded = CompiledModel.load(tmp_path / "m.zkt")
    assert loaded.to_bytes() == mlp.to_bytes()
    assert (loaded.record, loaded.report) == (mlp.record, mlp.report)
    assert all(a.dtype == b.dtype for a, b in zip(loaded.weights, mlp.weights, strict=True))
    assert model_files.is_model_file(tmp_path / "m.zkt")
    assert [file.name for file in tmp_path.iterdir()] == ["m.zkt"]


def sealed(body: bytes) -> bytes:
    return body + hashlib.sha256(body).digest()


def test_files_that_are_not_models_are_refused(mlp: CompiledModel) -> None:
    good = mlp.to_bytes()
    body = good[:-32]
    record_at = body.rindex(b'{"record"')
    wrong = {
        "not a compiled": b"PK\x03\x04",
        "another version": sealed(body[:8] + b"\x03" + body[9:]),
        "salts for each weight": sealed(body[:8] + b"\x02" + body[9:]),
        "checksum": good[:100] + bytes([good[100] ^ 1]) + good[101:],
        "truncated": good[:-1],
        "left over": sealed(body + b"\0"),
        "longer than the file": sealed(body[:9] + b"\xff" * 8 + body[17:]),
        "section is missing": sealed(body[:12]),
        "program is refused": sealed(body[:17] + b"x" + body[18:]),
        "canonical": sealed(
            body[: record_at - 8]
            + struct.pack("<Q", len(body) - record_at + 1)
            + body[record_at:]
            + b" "
        ),
    }
    for reason, content in wrong.items():
        with pytest.raises(BadModelFile, match=reason):
            model_files.from_bytes(content)


@pytest.mark.parametrize("counts", [[1], [1, 2, 3], 5, ["a", 2]])
def test_counts_of_decisions_that_are_none_are_refused(
    mlp: CompiledModel, monkeypatch: pytest.MonkeyPatch, counts: object
) -> None:
    report = mlp.report.to_json() | {"decisions": counts}
    monkeypatch.setattr(type(mlp.report), "to_json", lambda _: report)
    with pytest.raises(BadModelFile, match="its record cannot be read"):
        model_files.from_bytes(mlp.to_bytes())


def test_weights_outside_their_range_are_refused(mlp: CompiledModel) -> None:
    weights = (np.full_like(mlp.weights[0], -128), *mlp.weights[1:])
    with pytest.raises(BadModelFile, match="range"):
        model_files.from_bytes(dataclasses.replace(mlp, weights=weights).to_bytes())


def test_files_are_not_overwritten_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "f"
    files.write_atomically(path, b"one")
    refused("usage.file-exists", files.write_atomically, path, b"two")
    assert path.read_bytes() == b"one"
    files.write_atomically(path, b"two", force=True)
    assert path.read_bytes() == b"two"
    assert [file.name for file in tmp_path.iterdir()] == ["f"]


def test_unwritable_folders_and_unreadable_files(tmp_path: Path) -> None:
    refused("usage.unwritable", files.write_atomically, tmp_path / "none" / "f", b"")
    refused("usage.unreadable", files.read_limited, tmp_path / "f", 10)
    (tmp_path / "f").write_bytes(b"12345678901")
    refused("usage.unreadable", files.read_limited, tmp_path / "f", 10)


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space" in refused("usage.unwritable", files.write_atomically, tmp_path / "f", b"x")
    assert list(tmp_path.iterdir()) == []
