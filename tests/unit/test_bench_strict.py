"""The report of `zktally bench strict` on made-up rows, and the lines of docs/figures.md."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from zktally.bench import strict
from zktally.bench.cells import LINE, Row
from zktally.cli.main import parser
from zktally.verifier.errors import UsageError

FIGURES = Path(__file__).parents[2] / "docs" / "figures.md"


def made_up(model: str, batch: int) -> Row:
    return {
        "model": model,
        "batch": batch,
        "profile": "standard",
        "parameters": 4_206_595,
        "products": 4_202_496 * batch,
        "seconds": 123.456,
        "cpu": 200.0,
        "segments": 12,
        "peak_bytes": 2_600_000_000,
        "receipt_bytes": 9_876_543,
        "verify_rust": 1.2,
        "verify_python": 12.3,
        "headline_bits": 100,
        "estimate": {"cpu": 250.0, "seconds": 143.0, "peak_bytes": 2_000_000_000, "bytes": 9e6},
        "machine": {
            "cpu": "a processor",
            "cores": 2,
            "memory_gb": 25.3,
            "python": "3.11.7",
            "system": "Linux",
        },
    }


@pytest.fixture
def rows() -> list[Row]:
    return [made_up(model, batch) for model in ("lenet5", "cnn264k") for batch in (1, 16)]


def options(*words: str) -> argparse.Namespace:
    return parser().parse_args(["bench", "strict", *words])


def test_the_section_fits_its_lines(rows: list[Row]) -> None:
    lines = strict.markdown(rows).splitlines()
    assert max(map(len, lines)) <= LINE
    assert sum(line.startswith("| lenet5 |") for line in lines) == 2 * 2
    assert "| cnn264k | 16 | standard | 250.00/200.00 | 1.25 |" in "\n".join(lines)


def test_the_figures_of_others_are_marked_as_such(rows: list[Row]) -> None:
    text = strict.markdown(rows)
    *_, peers = text.split("\n\n")
    assert len(peers.splitlines()) == 2 + len(strict.PEERS)
    assert all("measured on" in line or "as published" in line for line in peers.splitlines()[2:])


def test_rows_are_read_again(
    rows: list[Row], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert strict.main(options("--rows", str(file), "--markdown")) == 0
    assert capsys.readouterr().out.strip() == strict.markdown(rows)


def test_an_unknown_model_is_refused_before_measuring() -> None:
    with pytest.raises(UsageError):
        strict.main(options("--models", "nothing"))


def test_no_line_of_the_figures_is_too_long() -> None:
    assert max(map(len, FIGURES.read_text().splitlines())) <= LINE
