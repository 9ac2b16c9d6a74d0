"""`zktally bench real` on a file of ours: rows, receipts, the page; no package is needed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from support.compared import network, node
from zktally.bench import cells, real
from zktally.bench.cells import LINE, Row
from zktally.bench.real_files import FILES, PACKAGES, RealFile, best, over
from zktally.cli.main import main, parser
from zktally.verifier.errors import UsageError

RNG = np.random.default_rng(5)
SMALL = RealFile(
    "ours", "small.onnx", lambda draw: {"x": draw.normal(0, 1, (1, 6)).astype("f4")}, best()
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    weight = RNG.normal(0, 1, (6, 4)).astype(np.float32)
    nodes = [node("MatMul", "x w", "h"), node("Tanh", "h", "y")]
    made = network(nodes, {"x": ("n", 6)}, {"w": weight})
    (tmp_path / "small.onnx").write_bytes(made.SerializeToString())
    unknown = network([node("Det", "x", "y")], {"x": ("n", 3, 3)})
    (tmp_path / "refused.onnx").write_bytes(unknown.SerializeToString())
    refused = RealFile("ours", "refused.onnx", lambda draw: {"x": np.ones((1, 3, 3), np.float32)})
    monkeypatch.setattr(real, "FILES", (SMALL, refused))
    return tmp_path


def test_a_file_is_compared_and_proven(folder: Path) -> None:
    cell = {"file": "small.onnx", "folder": str(folder), "prove": ["fast"]}
    row = json.loads(json.dumps(real.measure(cell)))
    assert row["verdict"] == "compiled"
    assert row["nodes"] == 2
    assert row["sqnr"][0] > 25
    assert row["error"][0] < 0.1
    assert row["agreement"] >= 0.75
    assert row["fast"]["bytes"] > 1000
    assert min(row["fast"][key] for key in ("prove", "rust", "python")) > 0


def test_a_refusal_names_the_operator(folder: Path) -> None:
    row = real.measure({"file": "refused.onnx", "folder": str(folder), "prove": []})
    assert row["verdict"] == "refused"
    assert row["reasons"][0].startswith("Det: ")


def test_all_files_are_measured_apart(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each cell in a process of its own; here in this one, which has our files."""
    asked: list[tuple[str, list[str], float | None]] = []

    def here(module: str, cell: Row, seconds: float | None = None) -> Row:
        asked.append((cell["file"], cell["prove"], seconds))
        return real.measure(cell)

    monkeypatch.setattr(real, "in_fresh_process", here)
    output = folder / "rows.jsonl"
    options = ["bench", "real", "--folder", str(folder), "--prove", "fast", "-o", str(output)]
    assert main(options) == 0
    assert sorted(asked) == [
        ("refused.onnx", [], 300),
        ("small.onnx", [], 300),
        ("small.onnx", ["fast"], real.PROOF_SECONDS),
    ]
    shown = capsys.readouterr().out
    assert "1 of 2 files compile as they are" in shown
    assert main(["bench", "real", "--rows", str(output), "--markdown"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("# Published models")
    assert all(len(line) <= LINE for line in page.splitlines())


def test_a_process_that_fails_or_lasts_leaves_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(module: str, cell: Row, seconds: float | None = None) -> Row:
        raise RuntimeError("cell failed:\nTraceback\nTypeError: no such thing")

    monkeypatch.setattr(real, "in_fresh_process", fails)
    row = real._measured({"file": "a/b.onnx"}, 1)
    assert (row["verdict"], row["reasons"]) == ("crashed", ["TypeError: no such thing"])


def test_a_process_that_lasts_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def lasts(module: str, cell: Row, seconds: float | None = None) -> Row:
        return cells.in_fresh_process("slow", cell, seconds)

    monkeypatch.setattr(real, "in_fresh_process", lasts)
    row = real._measured({"file": "a/b.onnx"}, 1)
    assert (row["verdict"], row["reasons"]) == ("late", ["longer than 1 s"])


def test_a_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    args = parser().parse_args(["bench", "real", "--folder", str(tmp_path)])
    with pytest.raises(UsageError, match="does not hold"):
        real.main(args)


def test_packages_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "real", "--packages"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{name}=={version}" for name, version in PACKAGES.items()]
    assert {file.package for file in FILES} == set(PACKAGES)


def test_inputs_are_drawn_alike_each_time() -> None:
    paths = [file.path for file in FILES]
    assert len(set(paths)) == len(paths)
    for file in FILES:
        for array in file.inputs(np.random.default_rng(3)).values():
            assert np.isfinite(array).all()
            assert array.dtype.kind in "fi"
    for file in FILES[::9]:
        first, again = (file.inputs(np.random.default_rng(3)) for _ in range(2))
        for name, array in first.items():
            np.testing.assert_array_equal(array, again[name])


def test_decisions() -> None:
    scores = np.array([[0.1, 0.9], [0.6, 0.4]])
    assert best()(scores).tolist() == [1, 0]
    assert over(0.5)(scores).tolist() == [[False, True], [True, False]]
    assert real.sqnr(scores, scores) is None
    assert real.sqnr(scores + 1000, scores + 1000.1) == pytest.approx(
        real.sqnr(scores, scores + 0.1)
    )
