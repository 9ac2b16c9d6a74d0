"""The report of `zktally bench succinct` on made-up rows, and the cells that it measures."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from zktally.bench import chains, succinct
from zktally.bench.cells import LINE, Row
from zktally.cli.main import parser
from zktally.verifier.errors import MalformedReceipt, UnsupportedReceipt, ZktallyError


def made_up(model: str, steps: int, python: float | None) -> Row:
    machine = {"cpu": "a processor", "cores": 2, "memory_gb": 25.3, "python": "3.11.7"}
    return {
        "model": model, "steps": steps, "delta": 0.0012, "segments": 16, "proving": 123.456,
        "folding": 45.678, "proving_cpu": 200.0, "folding_cpu": 70.0,
        "proving_peak_bytes": 2_900_000_000, "folding_peak_bytes": 1_900_000_000,
        "verify_rust": 0.0512, "verify_python": python, "headline_bits": 100,
        "foldable_bytes": 9_876_543, "receipt_bytes": 345_678, "output_bytes": 100_000,
        "proof_bytes": 223_456, "program_bytes": 1_234,
        "machine": machine | {"system": "Linux"},
    }  # fmt: skip


@pytest.fixture
def rows() -> list[Row]:
    return [made_up("average", 4096, 9.5), made_up("mlp", 1280, None)]


def options(*words: str) -> argparse.Namespace:
    return parser().parse_args(["bench", "succinct", *words])


def test_the_section_fits_its_lines(rows: list[Row]) -> None:
    text = succinct.markdown(rows)
    assert max(map(len, text.splitlines())) <= LINE
    assert text.startswith("## Succinct: `zktally bench succinct`")
    assert "| average | 4,096 | 0.12 % | 16 | 9,876.5 | 345.7 | 1.2 | 245.7 | 223.5 |" in text
    assert "| 51 | 9,500 | 100 |" in text
    assert "| 51 |  | 100 |" in text


def test_an_empty_cell_is_explained_where_there_is_one(rows: list[Row]) -> None:
    for shown in (succinct.markdown, succinct.table):
        assert "refused the profile" in shown(rows)
        assert "refused the profile" not in shown(rows[:1])


def test_a_plot_is_written(rows: list[Row], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert succinct.main(options("--rows", str(file), "--plot", str(tmp_path / "plots"))) == 0
    (path,) = (tmp_path / "plots").iterdir()
    assert path.name == "succinct-segments.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_rows_are_read_again(
    rows: list[Row], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert succinct.main(options("--rows", str(file), "--markdown")) == 0
    assert capsys.readouterr().out.strip() == succinct.markdown(rows)


def test_the_cells_that_are_asked_for() -> None:
    every = succinct.chosen(options())
    assert [cell.steps for cell in every if cell.model == "average"] == [1, 16, 256, 4096]
    assert len([cell for cell in every if cell.model == "mlp"]) == 4
    assert {cell.model for cell in every} == set(chains.CHAINS)
    quick = succinct.chosen(options("--quick"))
    assert {cell.steps for cell in quick} == {1, 16}
    own = succinct.chosen(options("--steps", "3", "--deltas", "0.1", "--chain", "8"))
    assert own == [succinct.Cell("average", 3, 0.05), succinct.Cell("mlp", 8, 0.1)]


def test_the_running_average_is_one() -> None:
    model, run, items = chains.average(20)
    data = np.random.default_rng(1).uniform(-1, 1, (20, 5)).astype(np.float32)
    assert model.checked.program.states
    assert not model.public
    average, found = np.zeros(5), []
    for step in data:
        average = 15 / 16 * average + step / 16
        found.append(average / 4)
    assert (run.steps, items) == (20, 20)
    port = model.checked.program.outputs[0]
    tensor = model.checked.program.tensors[port.tensor]
    shown = np.stack([run.values(step, port.tensor).reshape(5) for step in range(20)])
    scale = np.sum(shown * np.array(found)) / np.sum(shown.astype(float) ** 2)
    assert np.abs(scale * shown - found).max() < 6 * scale, tensor


@pytest.mark.parametrize("name", chains.CHAINS)
def test_a_chain_has_the_steps_that_are_asked_for(name: str) -> None:
    model, run, items = chains.CHAINS[name](3)
    assert run.steps == 3
    assert items == {"digits": 3 * chains.BATCH}.get(name, 3)
    assert bool(model.checked.program.states) == (name in ("average", "training"))


def test_only_an_unknown_profile_leaves_a_cell_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _, _ = chains.average(1)
    errors: list[ZktallyError] = []

    class Verdict:
        headline_bits = 100

    def verify(*_: object, backend: str = "rust", **_given: object) -> Verdict:
        if backend == "python" and errors:
            raise errors[-1]
        return Verdict()

    monkeypatch.setattr(succinct, "verify", verify)
    assert succinct._judged(b"", model, None)["verify_python"] is not None
    errors.append(UnsupportedReceipt("not covered", code="hybrid.unsupported"))
    assert succinct._judged(b"", model, None)["verify_python"] is None
    errors.append(MalformedReceipt("cut", code="receipt.truncated"))
    with pytest.raises(MalformedReceipt):
        succinct._judged(b"", model, None)
