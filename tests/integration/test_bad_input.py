"""Bad input gets a clear error with a hint and the documented exit code, and loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from support.cli import Files, Zktally


def dense(weight: np.ndarray, batch: str | int = "batch", width: str | int = 4) -> onnx.ModelProto:
    node = helper.make_node("Gemm", ["x", "w"], ["y"], "fc", transB=1)
    graph = helper.make_graph(
        [node],
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, weight.shape[0]])],
        [numpy_helper.from_array(weight.astype(np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).random((8, 4), np.float32))
    return tmp_path / "data.npz"


def test_corrupt_onnx(zktally: Zktally, files: Files, tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    for content in (b"", b"junk" * 1000, files.onnx.read_bytes()[:-1000]):
        bad.write_bytes(content)
        zktally("compile", bad, "--calibrate", files.calibration, "-o", tmp_path / "m.zkt").refused(
            3, "compile.bad-model"
        )
    assert not (tmp_path / "m.zkt").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(
    zktally: Zktally, data: Path, tmp_path: Path, value: float
) -> None:
    weight = np.ones((3, 4))
    weight[1, 2] = value
    onnx.save(dense(weight), tmp_path / "m.onnx")
    zktally("compile", tmp_path / "m.onnx", "--calibrate", data, "-o", tmp_path / "m.zkt").refused(
        3, "compile.not-finite"
    )


def test_dynamic_axis_without_a_size(zktally: Zktally, data: Path, tmp_path: Path) -> None:
    onnx.save(dense(np.ones((3, 4)), width="width"), tmp_path / "m.onnx")
    zktally("compile", tmp_path / "m.onnx", "--calibrate", data, "-o", tmp_path / "m.zkt").refused(
        2, "compile.dynamic-shape"
    )


def test_missing_calibration(zktally: Zktally, files: Files, tmp_path: Path) -> None:
    zktally("compile", files.onnx, "-o", tmp_path / "m.zkt").refused(2, "compile.calibration")


def test_overflow(zktally: Zktally, tmp_path: Path) -> None:
    np.savez(
        tmp_path / "wide.npz", x=np.random.default_rng(0).random((2, 70_000), np.float32) - 0.5
    )
    onnx.save(dense(np.ones((1, 70_000)), width=70_000), tmp_path / "m.onnx")
    zktally(
        "compile", tmp_path / "m.onnx", "--calibrate", tmp_path / "wide.npz", "-o",
        tmp_path / "m.zkt",
    ).refused(3, "compile.range-overflow")  # fmt: skip


@pytest.mark.parametrize(
    "arrays",
    [
        {"picture": np.zeros((4, 1, 8, 8), np.float32)},
        {"image": np.zeros((4, 1, 8, 9), np.float32)},
        {"image": np.zeros((4, 1, 8, 8), np.complex64)},
        {"image": np.full((4, 1, 8, 8), np.nan, np.float32)},
        {"image": np.zeros((0, 1, 8, 8), np.float32)},
        {"image": np.array(["text"])},
    ],
    ids=["name", "shape", "dtype", "nan", "empty", "text"],
)
def test_wrong_inputs(
    zktally: Zktally, files: Files, tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    zktally("prove", files.model, "--input", tmp_path / "x.npz", "-o", tmp_path / "r").refused(
        2, "usage.input"
    )
    assert not (tmp_path / "r").exists()


def test_pickled_arrays_are_not_loaded(zktally: Zktally, files: Files, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], object), allow_pickle=True)
    zktally("prove", files.model, "--input", tmp_path / "x.npy", "-o", tmp_path / "r").refused(
        2, "usage.unreadable"
    )


def test_damaged_model_file(zktally: Zktally, files: Files, tmp_path: Path) -> None:
    data = bytearray(files.model.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "m.zkt").write_bytes(bytes(data))
    zktally("prove", tmp_path / "m.zkt", "--input", files.images, "-o", tmp_path / "r").refused(
        3, "model.malformed"
    )


def test_nothing_is_overwritten(zktally: Zktally, files: Files) -> None:
    before = files.receipt.read_bytes()
    prove = ("prove", files.model, "--input", files.images, "-o", files.receipt)
    zktally(*prove).refused(2, "usage.file-exists")
    assert files.receipt.read_bytes() == before


def test_unwritable_output(zktally: Zktally, files: Files, tmp_path: Path) -> None:
    target = tmp_path / "no" / "folder" / "r"
    zktally("prove", files.model, "--mode", "fast", "--input", files.images, "-o", target).refused(
        2, "usage.unwritable"
    )


def test_full_disk(zktally: Zktally, files: Files, tmp_path: Path) -> None:
    """A file size limit stands for a full disk: the write fails half way, and nothing is left."""
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000));"
        "from zktally.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    target = tmp_path / "r"
    args = ["prove", str(files.model), "--mode", "fast", "--input", str(files.images)]
    args += ["-o", str(target)]
    done = subprocess.run([sys.executable, "-c", script, *args], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "usage.unwritable" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_junk_receipt_of_100_mb(zktally: Zktally, files: Files, tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    for head in (b"junk", b"ZKTALLY\x03", b"ZKTALLY\x03\xff\xff\xff\x00"):
        with junk.open("wb") as file:
            file.write(head)
            file.truncate(100_000_000)
        for backend in ("rust", "python"):
            done = zktally("verify", junk, "--model-id", files.model_id, "--backend", backend)
            assert done.code == 3, done.err
            assert "Traceback" not in done.err


def test_ctrl_c_leaves_nothing(files: Files, tmp_path: Path) -> None:
    images = np.repeat(np.load(files.images)["image"], 2000, axis=0)
    np.savez(tmp_path / "many.npz", image=images)
    target = tmp_path / "r"
    args = ["prove", files.model, "--mode", "fast", "--input", tmp_path / "many.npz"]
    args += ["--exact", "all", "-o", target]
    run = subprocess.Popen(
        [sys.executable, "-m", "zktally", *map(str, args)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert run.stderr is not None
    while "execute" not in (line := run.stderr.readline()):
        assert line, "the run ended before it could be interrupted"
    time.sleep(0.2)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=120)
    assert run.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert not target.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["many.npz"]
