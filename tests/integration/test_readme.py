"""The README's commands and its Python work as they stand, and name every verb."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from support.cli import Files, Zktally
from support.reader import read
from zktally.bench.digits.data import load


def test_commands_of_the_readme(
    files: Files,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(files.onnx, "model.onnx")
    shutil.copy(files.calibration, "data.npz")
    shutil.copy(files.images, "x.npz")
    digits = load()
    np.savez("train.npz", image=digits.train_x[:200], y=digits.train_y[:200])
    page = read("README.md", capsys, {"x": digits.test_x[:20]})
    assert page.scope["verified"].outputs["logits"].shape == (20, 10)
    verbs = {*page.said}
    assert verbs == {
        "compile", "prove", "resume", "wrap", "verify", "report", "check-model", "inspect", "train",
        "export",
    }  # fmt: skip


def test_every_verb_has_help(zktally: Zktally) -> None:
    for verb in (
        "compile", "snark-setup", "prove", "train", "export", "resume", "wrap", "compress",
        "verify", "report", "inspect", "dataset-root", "check-model", "bench", "doctor",
        "completion", "aggregate",
    ):  # fmt: skip
        done = zktally(verb, "--help")
        assert done.code == 0
        assert verb in done.out
