"""Every page of the documentation does what it says, as its reader would do it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support import starts
from support.reader import ROOT, blocks, read

PAGES: dict[str, Callable[[], starts.Scope]] = {
    "docs/bench.md": starts.two_models,
    "docs/import.md": starts.a_tagger,
    "docs/snark.md": starts.a_small_model,
    "docs/start.md": starts.nothing,
    "docs/install.md": starts.nothing,
    "docs/choosing.md": starts.nothing,
    "docs/classical.md": starts.a_forest,
    "docs/tutorials/images.md": starts.nothing,
    "docs/tutorials/tables.md": starts.nothing,
    "docs/tutorials/language.md": starts.nothing,
    "docs/tutorials/private.md": starts.nothing,
    "docs/workers.md": starts.a_wide_job,
}
"""The pages that are read here; what their reader has before the first line, written and named."""

NIGHTLY = {"docs/bench.md", "docs/snark.md"}
"""Those that take minutes."""

BY_OTHERS = {
    "README.md": "integration/test_readme.py",
    "docs/auditing.md": "integration/test_auditing_page.py",
    "docs/example.md": "unit/test_example_page.py",
    "docs/training.md": "integration/test_training_page.py",
    "verifier/README.md": "integration/test_standalone_verifier.py",
}
"""Pages that tests of their own read."""

OF_READERS = {"sh", "bash", "shell", "console", "python", "pycon"}


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.nightly] * (page in NIGHTLY)) for page in PAGES],
)
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
    assert typed == {*PAGES, *BY_OTHERS}
    assert all((ROOT / "tests" / test).is_file() for test in BY_OTHERS.values())
