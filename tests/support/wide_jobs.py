"""A strict job of two segments, as small as one can be."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import zktally
from zktally.hybrid.chain import run_chain
from zktally.prover import Claims

WIDTH, GATES, BATCH = 1024, 64, 130


def model(seed=5):
    """A dense layer whose items cost a little more than one segment holds."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 0.05, (WIDTH, GATES)).astype(np.float32)
    shape = ["n", WIDTH]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "wide",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", GATES])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def rows(seed=6):
    return {"x": np.random.default_rng(seed).normal(0, 1, (BATCH, WIDTH)).astype(np.float32)}


def compiled():
    return zktally.compile(model(), calibration=rows(), batch=BATCH)


def strict_job():
    """The job of one strict step."""
    run, count = run_chain(compiled(), rows())
    return run.job(Claims("strict"), count)


def save(path):
    onnx.save(model(), path)
