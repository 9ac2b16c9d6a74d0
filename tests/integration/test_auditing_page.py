"""The commands and the code of docs/auditing.md work as they stand, one after the other."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import zktally
from support import pages
from support.cli import Files
from support.learning import batches, perceptron
from zktally.cli import main

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "auditing.md"
AUDIENCE, NONCE = "acme", b"\x5e\xed"


def blocks(kind: str) -> list[str]:
    """The blocks of one kind, in their order."""
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def commands() -> Iterator[tuple[list[str], int]]:
    """Each line of a shell block as words, with the exit code that the page gives it."""
    for block in blocks("sh"):
        for line in block.replace("\\\n", " ").splitlines():
            command, _, remark = line.partition("  # exit ")
            yield shlex.split(command), int(remark or 0)


@pytest.fixture(scope="module")
def folder(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an auditor was given: receipts, inputs, the model file and its compiled form."""
    folder = tmp_path_factory.mktemp("audit")
    for source, name in ((files.onnx, "model.onnx"), (files.model, "model.zkt")):
        shutil.copy(source, folder / name)
    shutil.copy(files.images, folder / "x.npz")
    model, images = zktally.load(files.model), {"image": np.load(files.images)["image"]}
    hidden = {"outputs": "hidden", "outputs_file": folder / "hidden.receipt.outputs"}
    for name, mode, others in (
        ("run", "hybrid", {"audience": AUDIENCE, "nonce": NONCE}),
        ("strict", "strict", {}),
        ("hidden", "hybrid", hidden),
    ):
        receipt = zktally.prove(model, images, mode, visibility="checkable", **others)
        receipt.save(folder / f"{name}.receipt")
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> dict[str, str]:
    """The receipts of a training run, and the ids that its verifier has to be told."""
    inputs, labels = batches(96, (12,), 5)(0)
    trained = zktally.train(
        perceptron(), (inputs["x"], labels), steps=8, receipt_every=4, batch=16, rehearsal=20,
        nonce=NONCE,
    )  # fmt: skip
    assert len(trained.receipts) == 2
    for number, receipt in enumerate(trained.receipts):
        receipt.save(folder / f"run-{number:03}.receipt")
    journal = trained.receipts[0].journal
    return {"$STEPS": journal.model_id.hex(), "$DATA": journal.dataset_root.hex()}


def test_the_page_from_the_first_command_to_the_last(
    folder: Path,
    run: dict[str, str],
    files: Files,
    standalone: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    for block in blocks("toml"):
        name = re.match(r"# (\S+\.toml)\n", block)
        assert name is not None
        Path(name.group(1)).write_text(block, encoding="utf-8")
    names = {"$MODEL": files.model_id, **run}
    seen = []
    for words, expected in commands():
        given = [names.get(word, word) for word in words]
        if given[:2] == ["pip", "install"]:
            assert given[2:] == ["./verifier"]  # what the fixture `standalone` did
            continue
        code = main(given[1:]) if given[0] == "zktally" else alone(standalone, given[1:])
        said = capsys.readouterr()
        assert code == expected, (given, said)
        seen.append(given)
    assert len(seen) >= 10
    for name, word in (("report", "VERIFIED"), ("again", "VERIFIED"), ("refused", "REFUSED")):
        page = pages.read(Path(f"{name}.html").read_text(encoding="utf-8"))
        assert word in page.text
    assert "svg" in pages.read(Path("run.html").read_text(encoding="utf-8")).tags
    assert Path("outputs.csv").read_text().count("\n") == 201
    assert Path("some.csv").read_text() == Path("outputs.csv").read_text()
    with np.load("outputs.npz") as held:
        assert held["codes:logits"].shape == held["logits"].shape == (20, 10)


def alone(standalone: Path, args: list[str]) -> int:
    """`zktally-verify` as it is installed."""
    script = str(standalone / "bin" / "zktally-verify")
    environment = {**os.environ, "PYTHONPATH": str(standalone)}
    return subprocess.run(
        [sys.executable, script, *args], env=environment, capture_output=True, timeout=300
    ).returncode


def test_the_code_of_the_page(folder: Path, files: Files, standalone: Path) -> None:
    (block,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", f"MODEL = {files.model_id!r}\n{block}"],
        env={**os.environ, "PYTHONPATH": str(standalone)},
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    sentence, rest = done.stdout.splitlines()
    assert sentence.startswith("3 steps, 20 items")
    assert rest == "(20, 10) ()"


def test_the_page_names_every_option_of_a_file_to_write() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for option in (
        "--outputs",
        "--report",
        "--even-refused",
        "--json",
        "--inspect",
        "--policy",
        "--shown",
    ):
        assert option in text
