"""What the reader of a page has before its first line: files in the present folder, names."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import zktally
from zktally.bench.models import dense, perceptron1k
from zktally.cli import main
from zktally.hybrid.chain import run_chain
from zktally.prover import Claims, Work

from . import recurrent, wide_jobs

Scope = dict[str, Any]


def nothing() -> Scope:
    """A page that begins with an empty folder."""
    return {}


def a_forest() -> Scope:
    """classical.md goes on from a forest, its rows, and those that are new."""
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    from sklearn.ensemble import RandomForestClassifier

    x = np.random.default_rng(0).normal(0, 1, (200, 4)).astype(np.float32)
    forest = RandomForestClassifier(4, max_depth=3, random_state=0).fit(x, x[:, 0] > 0)
    made = to_onnx(forest, x[:1], options={"zipmap": False}, target_opset={"": 17, "ai.onnx.ml": 3})
    Path("forest.onnx").write_bytes(made.SerializeToString())
    return {"zktally": zktally, "x": x, "rows": x[:3]}


def two_models() -> Scope:
    """bench.md measures two models, one on data, and merges with what another machine measured."""
    onnx.save(perceptron1k(), "model.onnx")
    onnx.save(dense(8, 1), "other.onnx")
    _rows("data.npz", input=(40, 16))
    words = (
        "bench cost model.onnx --modes fast --repeat 1 --machine-name far -o costs-of-the-server"
    )
    assert main(words.split()) == 0
    return {}


def a_tagger() -> Scope:
    """import.md has a recurrent layer, sequences to calibrate it, and one in two parts."""
    onnx.save(recurrent.tagger("LSTM"), "tagger.onnx")
    width = recurrent.FEATURES
    _rows("sequences.npz", x=(20, 8, 1, 1, width))
    _rows("sequence.npz", x=(4, 1, 1, width))
    _rows("more.npz", x=(3, 1, 1, width))
    return {}


def a_wide_job() -> Scope:
    """workers.md has a compiled model of two segments, inputs, and a proof that was begun."""
    model, rows = wide_jobs.compiled(), wide_jobs.rows()
    model.save("model.zkt")
    np.savez("x.npz", **rows)
    run, count = run_chain(model, rows)
    Work.create(Path("proving")).start(run.job(Claims("strict"), count))
    if importlib.util.find_spec("ray") is not None:
        import ray

        ray.init(include_dashboard=False, logging_level="error", log_to_driver=False)
    return {}


def a_small_model() -> Scope:
    """snark.md has a model and data of a size that ezkl takes."""
    pytest.importorskip("ezkl", reason="the extra `peers` is not installed (make peers)")
    pytest.importorskip("py_ecc", reason="the extra `peers` is not installed (make peers)")
    onnx.save(dense(8, 1), "model.onnx")
    _rows("data.npz", input=(5, 4))
    _rows("x.npz", input=(1, 4))
    return {}


def _rows(name: str, **shapes: tuple[int, ...]) -> None:
    """A file of seeded numbers, an array for each shape."""
    draw = np.random.default_rng(1)
    np.savez(name, **{key: draw.normal(0, 1, of).astype(np.float32) for key, of in shapes.items()})
