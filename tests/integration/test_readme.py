"""The README's commands work as they stand, and name every verb."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from support.cli import Files, Zktally
from zktally.bench.digits.data import load

README = Path(__file__).parents[2] / "README.md"


def commands() -> list[list[str]]:
    """The lines of the README's shell blocks that call zktally."""
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("zktally ")]


def test_commands_of_the_readme(zktally: Zktally, files: Files, tmp_path: Path) -> None:
    shutil.copy(files.onnx, tmp_path / "model.onnx")
    shutil.copy(files.calibration, tmp_path / "data.npz")
    shutil.copy(files.images, tmp_path / "x.npz")
    digits = load()
    np.savez(tmp_path / "train.npz", image=digits.train_x[:200], y=digits.train_y[:200])
    model_id = ""
    verbs = set()
    for command in commands():
        done = zktally(*[part.replace("<hex>", model_id) for part in command], cwd=tmp_path)
        assert done.code == 0, (command, done.err)
        verbs.add(command[0])
        if command[0] == "compile":
            described = zktally("inspect", "model.zkt", "--json", cwd=tmp_path)
            model_id = json.loads(described.out)["model_id"]
    assert verbs == {
        "compile", "prove", "resume", "wrap", "verify", "report", "check-model", "inspect", "train",
        "export",
    }  # fmt: skip


def test_python_of_the_readme(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    block = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert block is not None
    monkeypatch.chdir(files.folder)
    scope: dict[str, object] = {"x": np.load(files.images)["image"]}
    exec(block.group(1), scope)
    verified = scope["verified"]
    assert verified.outputs["logits"].shape == (20, 10)  # type: ignore[attr-defined]


def test_every_verb_has_help(zktally: Zktally) -> None:
    for verb in (
        "compile", "prove", "train", "export", "resume", "wrap", "verify", "report", "inspect",
        "dataset-root", "check-model", "bench", "doctor", "completion",
    ):  # fmt: skip
        done = zktally(verb, "--help")
        assert done.code == 0
        assert verb in done.out
