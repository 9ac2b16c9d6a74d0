"""The report of `zktally bench workers` on made-up rows, and the ways that it measures."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from zktally.bench import workers
from zktally.bench.cells import LINE, Row
from zktally.bench.machine import peak_memory
from zktally.cli.main import parser

MACHINE = {"cpu": "a processor", "cores": 2, "memory_gb": 25.3, "python": "3.11.7"}


def made_up(processes: int, threads: int, seconds: float) -> Row:
    return {
        "processes": processes, "threads": threads, "delta": 0.0012, "steps": 1280,
        "segments": 6, "proofs": 5, "proving": 0.7 * seconds, "folding": 0.3 * seconds,
        "seconds": seconds, "cpu": 118.5, "peak_bytes": 1_500_000_000,
        "worker_peak_bytes": None if processes == 1 else 900_000_000,
        "machine": MACHINE | {"system": "Linux"},
    }  # fmt: skip


@pytest.fixture
def rows() -> list[Row]:
    """Two runs of each way; of one the first was disturbed."""
    return [
        *(made_up(1, 0, 60.0), made_up(1, 1, 400.0), made_up(2, 1, 61.0)),
        *(made_up(1, 0, 62.0), made_up(1, 1, 120.0), made_up(2, 1, 64.0)),
    ]


def options(*words: str) -> argparse.Namespace:
    return parser().parse_args(["bench", "workers", *words])


def test_the_least_of_each_way_counts(rows: list[Row]) -> None:
    found = workers.fastest(rows)
    assert [row["seconds"] for row in found] == [60.0, 120.0, 61.0]
    assert [row["ratio"] for row in found] == pytest.approx([2.0, 1.0, 120 / 61])
    assert workers.fastest(rows[:1])[0]["ratio"] is None


def test_the_section_fits_its_lines(rows: list[Row]) -> None:
    text = workers.markdown(rows)
    assert max(map(len, text.splitlines())) <= LINE
    assert text.startswith("## Workers: `zktally bench workers`")
    assert "| 1 × all | 6 | 5 | 42.0 | 18.0 | 60.0 | 118.5 | 2.00 | 1,500 |  |" in text
    assert "| 2 × 1 | 6 | 5 | 42.7 | 18.3 | 61.0 | 118.5 | 1.97 | 1,500 | 900 |" in text


def test_rows_are_read_again(
    rows: list[Row], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert workers.main(options("--rows", str(file), "--markdown")) == 0
    assert capsys.readouterr().out.strip() == workers.markdown(rows)


def test_the_ways_that_are_asked_for() -> None:
    ways = workers.chosen(options("--repeat", "1", "--processes", "3", "--chain", "8"))
    assert [way[:2] for way in ways] == [(1, 0), (1, 1), (3, 1)]
    assert {(way.delta, way.steps) for way in ways} == {(workers.DELTA, 8)}
    twice = workers.chosen(options("--quick"))
    assert twice[:3] == twice[3:]
    assert twice[0].delta == workers.QUICK_DELTA
    assert workers.chosen(options("--delta", "0.3"))[0].delta == 0.3


def test_the_memory_of_another_process_is_its_own() -> None:
    assert peak_memory(1 << 30) == 0, "there is none of that number"
    assert peak_memory() > 1 << 20


@pytest.mark.nightly
def test_several_processes_are_measured() -> None:
    row = workers.measure(workers.Way(2, 1, 0.05, 4))
    assert row["segments"] == 1
    assert row["worker_peak_bytes"] > 1 << 24
    assert row["proofs"] == 2
    assert row["cpu"] > 0.5, "that of the workers is in it"
    assert row["seconds"] == pytest.approx(row["proving"] + row["folding"])
