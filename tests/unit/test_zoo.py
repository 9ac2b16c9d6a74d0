"""Networks from torch, by both of its exporters; skipped where torch is not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed (the extra `train`)")
pytest.importorskip("onnxscript", reason="onnxscript is not installed: torch exports by it")

from zktally.bench.zoo import EXPORTERS, ZOO, export, measure

FLOORS = {
    "resnet18": 18.0,
    "mobilenet_v3": 6.0,
    "efficientnet_b0": 4.0,
    "vit": 23.0,
    "swin": 26.0,
    "bert": 23.0,
    "unet": 20.0,
}
"""Decibels that int8 reaches with random weights, less some; the others need more operators."""


@pytest.mark.nightly
@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", FLOORS)
def test_networks_compile_as_torch_exports_them(name: str, exporter: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.onnx"
    export(ZOO[name], path, EXPORTERS[exporter])
    row = measure(path, ZOO[name], samples=4)
    assert row["verdict"] == "compiled", row["reasons"]
    assert row["sqnr"][0] > FLOORS[name]
