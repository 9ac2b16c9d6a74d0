"""A digits model, compiled once, and the command line as a user calls it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from support.cli import Files, Outcome, Zktally
from zktally.bench.digits.data import MODEL_PATH, load

VERIFIER = Path(__file__).parents[2] / "verifier"


@pytest.fixture(scope="session")
def zktally() -> Zktally:
    """Run `zktally ARGS` in a process of its own."""

    def call(*args: object, stdin: bytes | None = None, cwd: Path | None = None) -> Outcome:
        command = [sys.executable, "-m", "zktally", *map(str, args)]
        done = subprocess.run(command, input=stdin, capture_output=True, cwd=cwd, timeout=300)
        return Outcome(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode())

    return call


@pytest.fixture(scope="session")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifier's own distribution, installed into a folder with nothing else in it."""
    folder = tmp_path_factory.mktemp("standalone")
    ignored = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    source = shutil.copytree(VERIFIER, folder / "verifier", ignore=ignored)
    target = folder / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return target


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory, zktally: Zktally) -> Files:
    """model.onnx, data.npz, x.npz, a public model.zkt, and a fast receipt for 20 images."""
    folder = tmp_path_factory.mktemp("files")
    digits = load()
    (folder / "model.onnx").write_bytes(MODEL_PATH.read_bytes())
    np.savez(folder / "data.npz", image=digits.train_x[:200])
    np.savez(folder / "x.npz", image=digits.test_x[:20])
    done = zktally(
        "compile", folder / "model.onnx", "--calibrate", folder / "data.npz", "--batch", 8,
        "--public", "-o", folder / "model.zkt",
    )  # fmt: skip
    assert done.code == 0, done.err
    done = zktally(
        "prove", folder / "model.zkt", "--mode", "fast", "--input", folder / "x.npz", "-o",
        folder / "run.receipt",
    )  # fmt: skip
    assert done.code == 0, done.err
    model_id = next(line.split()[-1] for line in done.out.splitlines() if "--model-id" in line)
    return Files(
        folder,
        folder / "model.onnx",
        folder / "data.npz",
        folder / "x.npz",
        folder / "model.zkt",
        folder / "run.receipt",
        model_id,
    )
