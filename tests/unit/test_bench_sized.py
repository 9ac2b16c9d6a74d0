"""The networks of `zktally bench sized`, and its report on made-up rows."""

from __future__ import annotations

import math

import onnx
import pytest

from zktally.bench import sized
from zktally.bench.cells import LINE, Row

MACHINE = {"cpu": "a processor", "cores": 2, "memory_gb": 8.0, "python": "3.11"}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("mobilenet", 3_487_816),
        pytest.param("resnet", 25_530_472, marks=pytest.mark.nightly),
        pytest.param("encoder", 22_712_832, marks=pytest.mark.nightly),
        pytest.param("decoder", 124_439_808, marks=pytest.mark.nightly),
    ],
)
def test_networks_have_the_sizes_of_their_models(name: str, parameters: int) -> None:
    """All but the places beyond the sequence, and a few constants; the graph is a valid one."""
    model = sized.SIZED[name][0]()
    count = sum(math.prod(t.dims) for t in model.graph.initializer if t.data_type == 1)
    assert abs(count / parameters - 1) < 0.02
    onnx.checker.check_model(model)


def made_up(**changed: object) -> Row:
    """A row as `measure` makes them."""
    row: Row = {
        "model": "mobilenet",
        "parameters": 3_487_886,
        "ops": 64,
        "macs": 300_000_000,
        "compile": 5.3,
        "compile_peak_bytes": 6.6e8,
        "float": 12.0,
        "integer": 24.0,
        "ratio": 2.0,
        "profile": False,
        "receipts": False,
        "machine": MACHINE,
    }
    return row | changed


def test_the_report_says_what_was_measured() -> None:
    """The tables for people, and the section of figures.md within its lines."""
    profile = [("conv0", "Dot", 1000, 3.0), ("add1", "Dot", 10, 1.0)]
    proven = {
        "receipts": True,
        "commit": 1.0,
        "open": 2.0,
        "verify_rust": 30.0,
        "verify_python": 900.0,
        "receipt_bytes": 5e6,
        "prove_peak_bytes": 1e9,
    }
    text = sized.table([made_up(profile=profile), made_up(model="resnet", **proven)])
    assert "0.30" in text
    assert "75.0%  Dot         1,000  conv0" in text
    assert "5,000" in text
    section = sized.markdown([made_up(), made_up(model="resnet", **proven)])
    assert "| resnet | 1.00 | 2.00 | 30 | 900 | 5,000 | 1,000 |" in section
    assert max(map(len, section.splitlines())) <= LINE
