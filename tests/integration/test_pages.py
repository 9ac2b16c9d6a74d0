"""Every page of the documentation does what it says, as its reader would do it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.pages import ROOT, blocks, read

PAGES = (
    "docs/start.md",
    "docs/choosing.md",
    "docs/tutorials/images.md",
    "docs/tutorials/tables.md",
    "docs/tutorials/language.md",
    "docs/tutorials/private.md",
)
BY_OTHERS = {
    "README.md": "test_readme.py",
    "docs/training.md": "test_training_page.py",
    "verifier/README.md": "test_standalone_verifier.py",
}
"""Pages that tests of their own read."""

OF_READERS = {"sh", "bash", "shell", "console", "python", "pycon"}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_from_its_first_block_to_its_last(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    read(page, capsys)


def test_the_page_of_classical_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its lines go on from a forest that the reader has."""
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    from sklearn.ensemble import RandomForestClassifier

    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(0, 1, (200, 4)).astype(np.float32)
    forest = RandomForestClassifier(4, max_depth=3, random_state=0).fit(x, x[:, 0] > 0)
    options = {"zipmap": False}
    made = to_onnx(forest, x[:1], options=options, target_opset={"": 17, "ai.onnx.ml": 3})
    Path("forest.onnx").write_bytes(made.SerializeToString())
    page = read(
        "docs/classical.md", capsys, {"zktally": __import__("zktally"), "x": x, "rows": x[:3]}
    )
    receipt, compiled = page.scope["receipt"], page.scope["compiled"]
    assert receipt.verify(compiled.model_id).outputs["label"].shape == (3,)


def test_no_page_is_left_out() -> None:
    """Whatever a reader can type is read by a test."""
    found = [ROOT / "README.md", ROOT / "verifier/README.md", *(ROOT / "docs").rglob("*.md")]
    typed = {
        path.relative_to(ROOT).as_posix()
        for path in found
        if OF_READERS & {lang for lang, _ in blocks(path.read_text("utf-8"))}
    }
    assert typed == {*PAGES, *BY_OTHERS, "docs/classical.md"}
    assert all((Path(__file__).parent / test).is_file() for test in BY_OTHERS.values())
