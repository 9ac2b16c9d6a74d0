"""`zktally compile` on files that leave sizes open, and what it keeps its hands off."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from support.cli import Files, Zktally
from zktally.cli.console import libraries_silenced

RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """m.onnx, a convolution of an image of any size, and x.npz of 4 images, 5 by 4."""
    made = tmp_path_factory.mktemp("open")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(RNG.normal(0, 1, (2, 1, 3, 3)).astype(np.float32), "w")],
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    (made / "m.onnx").write_bytes(model.SerializeToString())
    np.savez(made / "x.npz", x=RNG.normal(0, 1, (4, 1, 5, 4)).astype(np.float32))
    return made


@pytest.mark.parametrize(
    "sizes",
    [("--dim", "h=5", "--dim", "w=4"), ("--shape", "x=n,1,5,4"), ("--shape", "x=4,1,5,4")],
)
def test_open_sizes_are_given(
    zktally: Zktally, folder: Path, tmp_path: Path, sizes: tuple[str, ...]
) -> None:
    out = tmp_path / "m.zkt"
    data = ("--calibrate", folder / "x.npz")
    done = zktally("compile", folder / "m.onnx", *data, *sizes, "-o", out, "--json")
    assert done.code == 0, done.err
    assert done.err == ""
    checked = zktally("check-model", folder / "m.onnx", out, "--evaluate", folder / "x.npz")
    assert checked.code == 0, checked.err
    assert "sizes" in checked.out
    receipt = tmp_path / "r"
    given = ("--input", folder / "x.npz")
    done = zktally("prove", out, *given, "--mode", "fast", "--reveal", "-o", receipt)
    assert done.code == 0, done.err
    model_id = next(line.split()[-1] for line in done.out.splitlines() if "--model-id" in line)
    for backend in ("rust", "python"):
        read = ("--model-id", model_id, "--backend", backend, *given, "--json")
        done = zktally("verify", receipt, *read)
        assert done.code == 0, done.err
        (output,) = json.loads(done.out)["outputs"]
        assert output["shape"] == [4, 2, 3, 2]


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ((), "axis 2 'h' has no size"),
        (("--dim", "h=5"), "axis 3 'w' has no size"),
        (("--dim", "h"), "cannot read --dim"),
        (("--dim", "height=5"), "no axis 'height'"),
        (("--shape", "x"), "cannot read --shape"),
        (("--shape", "z=1,2"), "no input 'z'"),
        (("--shape", "x=1,1,any,4"), "cannot read --shape"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    zktally: Zktally, folder: Path, tmp_path: Path, sizes: tuple[str, ...], said: str
) -> None:
    data = ("--calibrate", folder / "x.npz", "-o", tmp_path / "m.zkt")
    done = zktally("compile", folder / "m.onnx", *data, *sizes)
    assert done.code in (2, 3)
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("target", ["onnx", "calibration", "images", "model"])
def test_nothing_that_is_read_is_overwritten(zktally: Zktally, files: Files, target: str) -> None:
    path: Path = getattr(files, target)
    before = path.read_bytes()
    if target in ("onnx", "calibration"):
        command = ("compile", files.onnx, "--calibrate", files.calibration)
    else:
        command = ("prove", files.model, "--input", files.images, "--mode", "fast")
    done = zktally(*command, "-o", path, "--force")
    done.refused(2, "is an input of this command")
    assert path.read_bytes() == before


def test_libraries_have_one_remark(capfd: pytest.CaptureFixture[str]) -> None:
    with libraries_silenced():
        os.write(2, b"\x1b[0;93mnoise of a library\x1b[m\n\nmore of it\n")
        warnings.warn("a warning", stacklevel=1)
    said = capfd.readouterr().err.splitlines()
    assert said == ["libraries had 3 lines to say about the model, the first: noise of a library"]
    with libraries_silenced(quiet=True):
        os.write(2, b"noise\n")
    with libraries_silenced():
        pass
    assert capfd.readouterr().err == ""


def test_stderr_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with libraries_silenced():
            os.write(2, b"noise\n")
            raise onnx.checker.ValidationError

    with pytest.raises(onnx.checker.ValidationError):
        work()
    os.write(2, b"ours\n")
    assert capfd.readouterr().err == "ours\n"
