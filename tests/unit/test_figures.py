"""Estimates lie within a factor of 2 of every measurement in docs/figures.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from zktally.bench.figures import SUITES, replaced
from zktally.bench.hybrid import network
from zktally.bench.models import calibration
from zktally.circuits.compile import compile
from zktally.prover import Claims
from zktally.prover.estimate import estimate_job
from zktally.verifier.program.checked import Checked
from zktally.verifier.stark.params import PROFILE_NAMES

FIGURES = Path(__file__).parents[2] / "docs" / "figures.md"
FACTOR = 2.0
LARGE = ("dense2048", "dense4096")
UNITS = {"CPU ms": 1e-3, "CPU s": 1.0, "peak MB": 1e6, "KB": 1e3}


def measured() -> Iterator[dict[str, Any]]:
    """The rows of all tables of estimates, with the mode and λ that their section is about."""
    section, head = {}, []
    for line in FIGURES.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("## "):
            mode = line.removeprefix("## ").split()[0].rstrip(":").lower()
            bits = re.search(r"λ = (\d+)", line)
            section = {"mode": mode, "λ": None if bits is None else int(bits[1])}
        elif not line.startswith("|"):
            head = []
        elif not head:
            head = cells
        elif not line.startswith("|---") and any("est./real" in name for name in head):
            yield section | dict(zip(head, cells, strict=True))


def cells() -> list[Any]:
    """One parameter a row; what takes long to compile is for the night."""
    return [
        pytest.param(row, marks=[pytest.mark.nightly] * (row["model"] in LARGE), id=name(row))
        for row in measured()
    ]


def name(row: dict[str, Any]) -> str:
    keys = ("mode", "model", "batch", "steps", "δ", "profile")
    return "-".join(row[key].replace(" ", "") for key in keys if key in row)


@cache
def compiled(model: str, batch: int) -> Checked:
    graph = network(model)
    return compile(graph, calibration(graph, 4, 0), batch=batch, evaluate=1).checked


@pytest.mark.parametrize("row", cells())
def test_the_estimate_is_within_a_factor(row: dict[str, Any]) -> None:
    batch, steps = int(row["batch"]), int(row.get("steps", 1))
    delta = float(row.get("δ", "5 %").removesuffix(" %")) / 100
    sampled = {} if row["mode"] == "strict" else {"delta": delta, "bits": row["λ"]}
    counts = Claims(row["mode"], **sampled).counts(compiled(row["model"], batch), batch * steps)
    profile = PROFILE_NAMES.index(row.get("profile", PROFILE_NAMES[0]))
    plan = estimate_job(counts, profile)
    proof = plan.stark or plan.run
    # The section about hybrid receipts measures the STARK alone.
    alone = plan.stark if plan.stark is not None and row["mode"] == "hybrid" else plan
    said = {
        "CPU ms": plan.run.cpu_seconds,
        "CPU s": alone.cpu_seconds,
        "peak MB": proof.memory_bytes,
        "KB": proof.proof_bytes,
    }
    compared = 0
    for key, unit in UNITS.items():
        if (cell := row.get(f"{key} est./real")) is not None:
            real = float(cell.split("/")[1].replace(",", "")) * unit
            assert real / FACTOR < said[key] < real * FACTOR, key
            compared += 1
    assert compared == 3


def test_every_mode_is_there() -> None:
    assert {row["mode"] for row in measured()} == {"fast", "hybrid", "strict"}


def test_a_section_is_measured_in_its_place() -> None:
    page = "# Figures\n\nhead\n\n## Fast mode: old\nrows\n\n## Trees: `bench hash`\n\nkept\n"
    found = replaced(page, "## Fast mode: new\n\nother rows\n")
    assert found == page.replace("## Fast mode: old\nrows", "## Fast mode: new\n\nother rows")
    assert replaced(page, "## Weights: w\n") == page + "\n## Weights: w\n"


def test_every_section_with_a_suite_is_on_the_page() -> None:
    titles = [line for line in FIGURES.read_text().splitlines() if line.startswith("## ")]
    assert all(any(f"`zktally bench {suite}`" in title for title in titles) for suite in SUITES)
