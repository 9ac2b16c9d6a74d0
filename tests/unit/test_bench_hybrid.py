"""The report of `zktally bench hybrid` on made-up rows: tables, exponents, Markdown, cells."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest

from zktally.bench import cells, hybrid, hybrid_report, plots
from zktally.bench.cells import LINE, Row
from zktally.bench.hybrid_report import PHASES, Fit
from zktally.cli.main import parser
from zktally.verifier.errors import UsageError

SIZES = {256: 250_000, 512: 1_000_000, 1024: 4_000_000}


def made_up(model: str, parameters: int, steps: int = 1) -> Row:
    """A row whose fast part grows linearly with all, the hybrid part as the root of the size."""
    fast, stark = 1e-8 * parameters * steps, 1e-3 * parameters**0.5 * steps**0.25
    return {
        "model": model,
        "batch": 1,
        "steps": steps,
        "delta": 0.05,
        "bits": 102,
        "profile": "standard",
        "parameters": parameters,
        "fast": fast,
        "execute": fast / 2,
        "commit": fast / 4,
        "open": fast / 4,
        "hybrid": stark,
        "split": dict.fromkeys(PHASES, stark / len(PHASES)),
        "cpu": 1.5 * stark,
        "estimate": {
            "cpu": 1.6 * stark,
            "seconds": stark,
            "bytes": 560_000,
            "peak_bytes": 1_900_000_000,
            "segments": 1,
            "rows": 1400.0,
        },
        "segments": 1,
        "tables": {"sponge": (1500, 2048)},
        "rows_used": 1500,
        "rows_height": 2048,
        "cells": 1_234_567,
        "peak_bytes": 2_000_000_000,
        "fast_bytes": 300_000,
        "hybrid_bytes": 550_000,
        "verify_rust": 0.0123,
        "verify_python": 1.5,
        "stark_bits": 100.4,
        "headline_bits": 100,
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
    sizes = [made_up(f"dense{width}", size) for width, size in SIZES.items()]
    return [*sizes, *(made_up("lenet5", 61_706, steps) for steps in (64, 1, 16))]


def options(*words: str) -> argparse.Namespace:
    return parser().parse_args(["bench", "hybrid", *words])


def test_a_power_law_is_found() -> None:
    x = [1.0, 10.0, 1000.0]
    fit = Fit.of(x, [3 * at**0.5 for at in x])
    assert fit.exponent == pytest.approx(0.5)
    assert fit(100.0) == pytest.approx(30.0)


def test_exponents_by_size_and_by_steps(rows: list[Row]) -> None:
    size, steps = hybrid_report.fits(rows)
    assert (size["axis"], size["points"]) == ("parameters", 3)
    assert (size["fast"], size["hybrid"]) == pytest.approx((1, 0.5))
    assert (steps["axis"], steps["points"]) == ("steps", 3)
    assert (steps["fast"], steps["hybrid"]) == pytest.approx((1, 0.25))


def test_other_claims_are_other_series(rows: list[Row]) -> None:
    stricter = [row | {"delta": 0.01} for row in rows]
    assert len(hybrid_report.fits(rows + stricter)) == 4
    assert hybrid_report.fits(rows[:2] + stricter[2:3]) == []


def test_the_table_has_a_line_a_row(rows: list[Row]) -> None:
    tables = hybrid_report.table(rows).split("\n\n")
    assert {len(table.splitlines()) for table in tables} == {1 + len(rows)}
    _, size, split, estimate = tables
    assert " 1.2 " in size.splitlines()[1]  # Mcells
    assert split.splitlines()[1].endswith("14/14/14/14/14/14/14")
    assert estimate.splitlines()[1].split()[-2:] == ["560/550", "1.02"]


def test_rows_without_an_estimate_are_shown(rows: list[Row]) -> None:
    del rows[0]["estimate"]
    *_, estimate = hybrid_report.table(rows).split("\n\n")
    assert len(estimate.splitlines()) == len(rows)
    for row in rows[1:]:
        del row["estimate"]
    assert "est./real" not in hybrid_report.markdown(rows)


def test_markdown_tables_are_rectangular(rows: list[Row]) -> None:
    text = hybrid_report.markdown(rows)
    assert text.startswith("## Hybrid mode: `zktally bench hybrid`")
    assert "a processor, 2 cores" in text
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1
    assert sum(line.startswith("| lenet5 |") for line in text.splitlines()) == 4 * 3
    assert max(map(len, text.splitlines())) <= LINE


def test_too_few_points_give_no_fit(rows: list[Row]) -> None:
    assert hybrid_report.fits_text(rows[:2]).startswith("no fits")


def test_rows_are_read_again(
    rows: list[Row], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert hybrid.main(options("--rows", str(file), "--markdown")) == 0
    shown = capsys.readouterr()
    assert shown.out.strip() == hybrid_report.markdown(rows)
    assert "hybrid exponent" in shown.err


def test_a_cell_that_fails_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def measured(_: str, asked: Row) -> Row:
        if asked["model"] == "mlp":
            raise RuntimeError("no")
        return made_up("lenet5", 61_706)

    monkeypatch.setattr(cells, "in_fresh_process", measured)
    file = tmp_path / "rows.jsonl"
    with pytest.raises(RuntimeError, match="1 of 2 cells"):
        hybrid.main(options("--models", "mlp,lenet5", "-o", str(file)))
    assert [json.loads(line)["model"] for line in file.read_text().splitlines()] == ["lenet5"]


def test_rows_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{")
    with pytest.raises(UsageError):
        hybrid.main(options("--rows", str(tmp_path / "rows.jsonl")))


def test_plots_are_written(rows: list[Row], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    paths = plots.plot_all(rows, tmp_path / "plots")
    assert sorted(path.name for path in paths) == [
        "hybrid-size.png",
        "hybrid-split.png",
        "hybrid-steps.png",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_missing_matplotlib_is_said_before_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match="matplotlib"):
        hybrid.main(options("--plot", "nowhere"))


def test_cells_of_ones_own() -> None:
    cells = hybrid.chosen(options("--models", "mlp,dense96", "--steps", "1,4", "--small"))
    assert len(cells) == 4
    assert cells[-1] == hybrid.Cell("dense96", 1, 4, 0.05, "small")


@pytest.mark.parametrize("words", [["--models", "dense"], ["--models", "mlp", "--quick"]])
def test_cells_that_are_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        hybrid.chosen(options(*words))


@pytest.mark.parametrize("words", [[], ["--quick"], ["--small"]])
def test_no_cell_is_measured_twice(words: list[str]) -> None:
    cells = hybrid.chosen(options(*words))
    assert len(set(cells)) == len(cells)


def test_committed_elements() -> None:
    (name, table), *_ = hybrid._tables().items()
    expected = 2048 * (table.mains + 5 * (len(table.groups) + 1))
    assert hybrid.committed({name: (9, 2048)}, {name: table}) == expected


def test_tables_are_summed_over_segments() -> None:
    rows = [("gate", 1, 2048), ("range", 2, 2048), ("gate", 3, 4096)]
    assert hybrid.summed_tables(rows) == {"gate": (4, 6144), "range": (2, 2048)}
