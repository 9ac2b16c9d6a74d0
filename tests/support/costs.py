"""Made-up rows of `zktally bench cost`, whose costs follow known laws."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]

SIZES = {"small": 1_000, "middle": 30_000, "large": 1_000_000}


def made_up(model: str, parameters: int, mode: str = "hybrid", **changed: Any) -> Row:
    """Hybrid costs the root of the size and of the steps and 1/δ; strict is linear in both."""
    steps, delta = changed.get("steps", 1), changed.get("delta", 0.05)
    delta = delta if mode in ("fast", "hybrid") else None
    seconds = {
        "fast": 1e-8 * parameters * steps,
        "hybrid": 1e-2 * (parameters * steps * 0.05 / (delta or 0.05)) ** 0.5,
        "strict": 1e-4 * parameters * steps,
        "ezkl": 1e-2 * parameters,
    }[mode]
    row: Row = {
        "format": "zktally.bench.cost/1",
        "key": f"{model}-{mode}-{steps}-{delta}-{changed.get('machine_name', 'a')}",
        "model": model,
        "kind": "onnx",
        "data": "seeded random numbers in [-1, 1)",
        "parameters": parameters,
        "macs": 10 * parameters,
        "mode": mode,
        "delta": delta,
        "lambda": 102,
        "batch": 1,
        "steps": steps,
        "items": steps,
        "profile": "standard" if mode in ("hybrid", "strict") else None,
        "threads": 0,
        "repeat": 3,
        "ended": "done",
        "why": None,
        "compile_s": 0.5,
        "float_ms": 0.1,
        "integer_ms": 0.2,
        "commit_ms": 0.3,
        "open_ms": 0.4,
        "stark_s": seconds,
        "prove_s": seconds,
        "cpu_s": 2 * seconds,
        "verify_ms": 12.0,
        "verify_python_ms": 1200.0,
        "receipt_bytes": 500_000,
        "peak_mb": 150.0,
        "segments": 1,
        "bits": 101,
        "stark_bits": 103.2,
        "sqnr_db": 31.5,
        "agreement": 1.0,
        "guarantee": {
            "complete": mode == "strict",
            "delta": 0.0 if mode == "strict" else delta,
            "delta_step": None,
            "delta_op": 0.1,
            "sentence": "wrong compute is bounded, <b>outputs</b> consistent",
        },
        "limits": {"memory": 16_000_000_000, "seconds": 240.0},
        "machine": {
            "name": changed.get("machine_name", "a"),
            "cpu": changed.get("cpu", "a processor"),
            "cores": 2,
            "memory_gb": 25.3,
            "python": "3.11.7",
            "system": "Linux",
        },
        "versions": {"zktally": "0.1.0", "onnxruntime": "1.20.0", "numpy": "2.0.0"},
        "command": "zktally bench cost small.onnx -o costs",
        "when": "2026-11-26T16:00:00Z",
        "cell_s": 3.0,
    }
    return row | {key: value for key, value in changed.items() if key in row}


def stopped(model: str, mode: str, ended: str, why: str) -> Row:
    """A row of a cell that was not measured."""
    whole = made_up(model, 5_000_000, mode)
    gone = ("prove_s", "stark_s", "verify_ms", "verify_python_ms", "receipt_bytes", "peak_mb")
    kept = {key: value for key, value in whole.items() if key not in (*gone, "guarantee")}
    return kept | {"ended": ended, "why": why, "versions": {}}


def sweep(**changed: Any) -> list[Row]:
    """Three sizes in three modes, and a chain of one model."""
    modes = ("fast", "hybrid", "strict")
    rows = [made_up(name, size, mode, **changed) for name, size in SIZES.items() for mode in modes]
    chain = [made_up("small", 1_000, mode, steps=n, **changed) for mode in modes for n in (4, 16)]
    return rows + chain
