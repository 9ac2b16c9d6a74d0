"""Networks from torch, by both of its exporters; skipped where torch is not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed (the extra `train`)")
pytest.importorskip("onnxscript", reason="onnxscript is not installed: torch exports by it")

from zktally.bench.zoo import EXPORTERS, ZOO, export, measure

LEAST = 20.0
"""Decibels that every network reaches with as many bits as it needs."""


@pytest.mark.nightly
@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", ZOO)
def test_networks_compile_as_torch_exports_them(name: str, exporter: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.onnx"
    export(ZOO[name], path, EXPORTERS[exporter])
    row = measure(path, ZOO[name], "auto", samples=20)
    assert row["verdict"] == "compiled", row["reasons"]
    assert not row["missed"]
    assert row["sqnr"][0] > LEAST
    assert row["agreement"] > 0.75
