"""`zktally bench cost` as somebody with models of their own types it."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from support.cli import Zktally
from zktally.bench.models import dense, perceptron1k

MODES = ("fast", "hybrid", "strict")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny.onnx, other.onnx, and inputs for the second."""
    made = tmp_path_factory.mktemp("models")
    onnx.save(perceptron1k(), made / "tiny.onnx")
    onnx.save(dense(8, 1), made / "other.onnx")
    draw = np.random.default_rng(5)
    np.savez(made / "x.npz", input=draw.normal(0, 1, (40, 4)).astype(np.float32))
    return made


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "cells.jsonl").read_text().splitlines()]


def test_two_files_of_ones_own(folder: Path, zktally: Zktally, tmp_path: Path) -> None:
    words = (
        "bench", "cost", folder / "tiny.onnx", folder / "other.onnx", "--calibrate",
        f"other={folder / 'x.npz'}", "--modes", "fast,hybrid,strict,ezkl", "--deltas", "0.1",
        "--repeat", 1, "--threads", 1, "--machine-name", "desk", "-o", tmp_path / "costs",
    )  # fmt: skip
    done = zktally(*words)
    assert done.code == 0, done.err
    rows = rows_of(tmp_path / "costs")
    assert len(rows) == 8
    for row in rows:
        if row["mode"] == "ezkl" and row["ended"] != "done":
            assert row["why"]
            continue
        assert row["ended"] == "done", row["why"]
        assert row["machine"]["name"] == "desk"
        assert row["prove_s"] > 0
        assert row["peak_mb"] > 20
        assert row["receipt_bytes"] > 1_000
    by = {(row["model"], row["mode"]): row for row in rows}
    assert by["tiny", "fast"]["parameters"] == 1_012
    assert by["tiny", "fast"]["macs"] == 16 * 48 + 48 * 4
    assert by["other", "fast"]["data"] == "inputs of x.npz"
    assert by["tiny", "strict"]["guarantee"]["complete"] is True
    assert by["tiny", "hybrid"]["delta"] == 0.1
    assert by["tiny", "hybrid"]["guarantee"]["delta"] == 0  # so few gates that all are checked
    assert by["tiny", "hybrid"]["bits"] >= 100
    parts = ("integer_ms", "commit_ms", "open_ms")
    row = by["other", "hybrid"]
    expected = row["stark_s"] + sum(row[part] for part in parts) / 1e3
    assert row["prove_s"] == pytest.approx(expected)
    assert row["float_ms"] > 0
    with (tmp_path / "costs" / "cells.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 8
    table = (tmp_path / "costs" / "table.md").read_text()
    assert all(f"| {name} |" in table for name in ("tiny", "other"))  # two sizes: no fits
    page = (tmp_path / "costs" / "report.html").read_text()
    assert "zktally bench cost" in page
    assert str(folder / "tiny.onnx") in page
    again = zktally(*words)
    assert "of them measured before" in again.err
    assert "[1/" not in again.err
    assert rows_of(tmp_path / "costs") == rows

    merged = zktally("bench", "report", tmp_path / "costs", "-o", tmp_path / "both")
    assert merged.code == 0, merged.err
    assert {row["key"] for row in rows_of(tmp_path / "both")} == {row["key"] for row in rows}


def test_a_compiled_model(folder: Path, zktally: Zktally, tmp_path: Path) -> None:
    done = zktally(
        "compile", folder / "other.onnx", "--calibrate", folder / "x.npz", "--batch", 4, "--force",
        "-o", tmp_path / "other.zkt",
    )  # fmt: skip
    assert done.code == 0, done.err
    done = zktally(
        "bench", "cost", tmp_path / "other.zkt", "--modes", "fast,ezkl", "--batches", "1,2",
        "--repeat", 1, "-q", "-o", tmp_path / "costs",
    )  # fmt: skip
    assert done.code == 0, done.err
    fast, ezkl = rows_of(tmp_path / "costs")
    assert (fast["batch"], fast["float_ms"], fast["compile_s"]) == (4, None, None)
    assert ezkl["why"] == "ezkl needs the ONNX file of a compiled model"


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "a scheduler"])
def test_an_interrupted_sweep_loses_nothing(
    folder: Path, tmp_path: Path, zktally: Zktally, sent: signal.Signals
) -> None:
    words = [
        "bench", "cost", str(folder / "tiny.onnx"), "--modes", "fast", "--deltas", "0.1,0.05,0.02",
        "--repeat", "1", "-o", str(tmp_path / "costs"),
    ]  # fmt: skip
    rows = tmp_path / "costs" / "cells.jsonl"
    running = subprocess.Popen(
        [sys.executable, "-m", "zktally", *words],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # as in a foreground
    )
    end = time.monotonic() + 120
    while not (rows.exists() and rows.read_text()) and time.monotonic() < end:
        time.sleep(0.02)
    running.send_signal(sent)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "the same command goes on" in said
    assert "Traceback" not in said
    kept = rows_of(tmp_path / "costs")
    assert 1 <= len(kept) <= 2
    done = zktally(*words)
    assert done.code == 0, done.err
    assert f"{len(kept)} of them measured before" in done.err
    assert "compile 1/1" not in done.err  # the compiled model was kept as well
    assert rows_of(tmp_path / "costs")[: len(kept)] == kept
    assert len(rows_of(tmp_path / "costs")) == 3
    assert not (tmp_path / "costs" / "programs").exists()


def test_a_limit_of_memory_that_is_hit(folder: Path, tmp_path: Path, zktally: Zktally) -> None:
    done = zktally(
        "bench", "cost", folder / "tiny.onnx", "--modes", "fast", "--memory-limit", "40M",
        "-o", tmp_path / "costs",
    )  # fmt: skip
    assert done.code == 3, (done.out, done.err)
    (row,) = rows_of(tmp_path / "costs")
    assert row["ended"] == "memory"
    assert row["why"].startswith("compiling: more than 0.04 GB")
    assert "more than 0.04 GB" in done.out
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["-o", "costs"], "there is no model to measure"),
        (["nowhere.onnx", "-o", "costs"], "usage.unreadable"),
        (["x.npz", "-o", "costs"], "compile.bad-model"),
        (["tiny.onnx", "--modes", "slow", "-o", "costs"], "unknown mode"),
        (["tiny.onnx", "--deltas", "2", "-o", "costs"], "delta is out of range"),
        (["tiny.onnx", "--memory-limit", "much", "-o", "costs"], "invalid size value"),
        (["tiny.onnx", "--suite", "sizes", "-o", "costs"], "a suite has models of its own"),
        (["--suite", "sizes", "--modes", "fast", "-o", "costs"], "a suite has modes of its own"),
        (["tiny.onnx", "--calibrate", "nowhere.npz", "-o", "costs"], "usage.unreadable"),
        (["tiny.onnx", "-o", "x.npz"], "usage.unwritable"),
        (["tiny.onnx", "-o", "."], "usage.file-exists"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(
    folder: Path, zktally: Zktally, words: list[str], error: str
) -> None:
    done = zktally("bench", "cost", *words, cwd=folder)
    done.refused(3 if "bad-model" in error else 2, error)
    assert not (folder / "costs" / "programs").exists()
