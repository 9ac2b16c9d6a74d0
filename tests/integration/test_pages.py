"""Every page of the documentation does what it says, as its reader would do it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.reader import ROOT, blocks, read

Scope = dict[str, Any]


def nothing() -> Scope:
    """A page that begins with an empty folder."""
    return {}


def a_forest() -> Scope:
    """classical.md goes on from a forest, its rows, and those that are new."""
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    from sklearn.ensemble import RandomForestClassifier

    import zktally

    x = np.random.default_rng(0).normal(0, 1, (200, 4)).astype(np.float32)
    forest = RandomForestClassifier(4, max_depth=3, random_state=0).fit(x, x[:, 0] > 0)
    made = to_onnx(forest, x[:1], options={"zipmap": False}, target_opset={"": 17, "ai.onnx.ml": 3})
    Path("forest.onnx").write_bytes(made.SerializeToString())
    return {"zktally": zktally, "x": x, "rows": x[:3]}


PAGES: dict[str, Callable[[], Scope]] = {
    "docs/start.md": nothing,
    "docs/install.md": nothing,
    "docs/choosing.md": nothing,
    "docs/classical.md": a_forest,
    "docs/tutorials/images.md": nothing,
    "docs/tutorials/tables.md": nothing,
    "docs/tutorials/language.md": nothing,
    "docs/tutorials/private.md": nothing,
}
"""The pages that are read here; what their reader has before the first line, written and named."""

BY_OTHERS = {
    "README.md": "integration/test_readme.py",
    "docs/auditing.md": "integration/test_auditing_page.py",
    "docs/example.md": "unit/test_example_page.py",
    "docs/training.md": "integration/test_training_page.py",
    "verifier/README.md": "integration/test_standalone_verifier.py",
}
"""Pages that tests of their own read."""

OF_READERS = {"sh", "bash", "shell", "console", "python", "pycon"}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_from_its_first_block_to_its_last(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    read(page, capsys, PAGES[page]())


def test_no_page_is_left_out() -> None:
    """Whatever a reader can type is read by a test."""
    found = [ROOT / "README.md", ROOT / "verifier/README.md", *(ROOT / "docs").rglob("*.md")]
    typed = {
        path.relative_to(ROOT).as_posix()
        for path in found
        if OF_READERS & {lang for lang, _ in blocks(path.read_text("utf-8"))}
    }
    known = {page for page in (*PAGES, *BY_OTHERS) if (ROOT / page).exists()}
    assert typed == known
    assert all((ROOT / "tests" / BY_OTHERS[page]).is_file() for page in known & {*BY_OTHERS})
