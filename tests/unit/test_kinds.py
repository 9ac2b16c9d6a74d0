"""What a file is, by its first bytes."""

from __future__ import annotations

import gzip
import io
import zipfile

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from support.receipts import Prover
from zktally.bench.digits.data import MODEL_PATH
from zktally.circuits.model import MAGIC, SALTED
from zktally.circuits.training.file import MAGIC as STEPS
from zktally.prover.state import MAGIC as STATE
from zktally.prover.work import MAGIC as WORK
from zktally.verifier.kinds import HEAD, what_is, what_is_at


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def archive(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as held:
        held.writestr(name, b"content")
    return file.getvalue()


def small_model() -> bytes:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [value])
    model = helper.make_model(graph)
    model.metadata_props.add(key="a", value="b" * 9000)
    return model.SerializeToString()


KINDS = {
    "a receipt": [Prover("dense").commit().receipt(), b"ZKTALLY\x03"],
    "a compiled model (.zkt)": [MAGIC, SALTED],
    "a state file (.zks)": [STATE],
    "the job of a work folder, not its receipt": [WORK],
    "a receipt of a SNARK (mode snark)": [b"ZKSNARK\x01"],
    "the program of a training run": [STEPS],
    "an ONNX file": [MODEL_PATH.read_bytes(), small_model(), MODEL_PATH.read_bytes()[:500]],
    "arrays by name (.npz)": [npz(x=np.zeros(2)), npz(**{"a/b": np.zeros(2)})],
    "one array (.npy)": [npy()],
    "a torch file": [archive("model/data.pkl")],
    "a zip archive": [archive("readme.txt")],
    "a gzip archive": [gzip.compress(b"abc")],
    "a PDF document": [b"%PDF-1.7\n"],
    "an empty file": [b""],
    "a table (.csv)": [b"a,b\n1,2\n", b"a;b;c\n1;2;3\n", "ä\tb\r\n1\t2\r\n".encode()],
    "a JSON text": [b'{"format": "zktally.verify/1"}'],
    "an HTML page": [b"<!DOCTYPE html>\n<html>", b"<html>"],
    "a text": [
        b"max_delta = 0.05\n",
        b"3f9a" * 16,
        "\ufeffÜber".encode(),
        ("x" * (HEAD - 1) + "ü").encode(),  # cut in the middle of a character
    ],
    "bytes of no known kind": [bytes(range(256)), b"\x00", b"\xff\xfe", b"\x08\x01\x13\x05"],
}
GIVEN = [(kind, data) for kind, many in KINDS.items() for data in many]


@pytest.mark.parametrize(("kind", "data"), GIVEN, ids=[f"{k}-{len(d)}" for k, d in GIVEN])
def test_bytes(kind: str, data: bytes, tmp_path) -> None:
    assert what_is(data) == what_is(memoryview(data)) == kind
    (tmp_path / "file").write_bytes(data)
    assert what_is_at(tmp_path / "file") == kind


def test_a_path(tmp_path) -> None:
    assert what_is_at(tmp_path) == "a folder"
    assert what_is_at(str(tmp_path / "absent")) == "nothing that can be read"


def test_any_bytes_are_something() -> None:
    rng = np.random.default_rng(0)
    for length in range(1, 200):
        assert what_is(rng.bytes(length))


def test_whatever_onnx_reads_is_one() -> None:
    """The order of fields is the writer's choice."""
    model = onnx.load_from_string(small_model())
    parts = [onnx.ModelProto(), onnx.ModelProto()]
    parts[0].graph.CopyFrom(model.graph)
    parts[1].ir_version = model.ir_version
    assert what_is(parts[0].SerializeToString() + parts[1].SerializeToString()) == "an ONNX file"
