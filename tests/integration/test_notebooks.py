"""The notebooks run from their first cell to their last, and come to what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"


def cells(name: str) -> list[str]:
    """The code of a notebook, cell by cell."""
    book = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in code)
    return ["".join(cell["source"]) for cell in code]


def test_every_cell_is_python() -> None:
    for path in FOLDER.glob("*.ipynb"):
        for number, cell in enumerate(cells(path.stem)):
            compile(cell, f"{path.name}, cell {number}", "exec")


@pytest.mark.nightly
def test_the_notebook_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    for cell in cells("training"):
        exec(cell, scope)
    assert scope["accuracy"] > 0.9
    assert scope["refusals"][0] == "verify.dataset-mismatch"
    assert scope["refusals"][1].startswith(("verify.", "receipt."))
    assert scope["verified"].steps == 200
    assert scope["said"].guarantee.complete
    assert scope["expected"] == scope["served"].model_id.hex()


def test_the_notebook_of_verification(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    for cell in cells("verification"):
        exec(cell, scope)
    assert scope["right"] > 0.9
    refusals = scope["refusals"]
    assert refusals.pop("as it is") is None
    assert all(refusals.values())
    assert refusals["another model"] == "verify.model-mismatch"
    assert refusals["another image"] == "verify.input-mismatch"
    assert refusals["another challenge"] == "verify.nonce-mismatch"
    assert refusals["a stricter policy"].startswith("policy.")
    assert scope["chances"][0] > 1 - 1e-6


@pytest.mark.nightly
def test_the_notebook_of_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    for cell in cells("cost"):
        exec(cell, scope)
    assert len(scope["seconds"]) == 9
    assert len(scope["exponents"]) == 3
    assert scope["report"]._repr_html_().startswith("<div")
    assert [row["ended"] for row in scope["stopped"]] == ["memory"]
