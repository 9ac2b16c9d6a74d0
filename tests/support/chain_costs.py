"""What a hybrid receipt costs by the number of its steps: bytes, seconds, segments, rows.

    PYTHONPATH=tests python tests/support/chain_costs.py average 1,16,256,4096
    PYTHONPATH=tests python tests/support/chain_costs.py digits 1,16

`average` is the running average of the tests, `digits` the network of `zktally demo digits` on
batches of 16. Each line is one run under the default claims, proof and both verifiers included.
"""

from __future__ import annotations

import sys
import time

import numpy as np

import zktally as api
from support import programs
from zktally.bench.digits import data
from zktally.verifier.policy import Policy
from zktally.verifier.receipt import split_receipt


def average(steps: int) -> tuple[api.CompiledModel, dict[str, np.ndarray]]:
    """The model and its inputs."""
    program, weights = programs.EVERY["running_average"]()
    shape = program.tensors[program.inputs[0].tensor].shape
    values = np.random.default_rng(0).integers(-40, 40, (steps, *shape))
    port = program.inputs[0]
    return api.assemble(program, weights), {port.name: values * (1 if port.kind else 0.05)}


def digits(steps: int) -> tuple[api.CompiledModel, np.ndarray]:
    """The model and its inputs, 16 digits a step."""
    folder = data.__file__.rsplit("/", 1)[0]
    images = np.random.default_rng(0).random((max(64, 16 * steps), 1, 8, 8)).astype(np.float32)
    model = api.compile(f"{folder}/digits.onnx", images[:64], batch=16)
    return model, images[: 16 * steps]


def measure(name: str, steps: int) -> str:
    """A line of figures."""
    model, inputs = {"average": average, "digits": digits}[name](steps)
    start = time.perf_counter()
    receipt = api.prove(model, inputs, "hybrid", visibility="private")
    proven = time.perf_counter() - start
    seconds = []
    for backend in ("rust", "python"):
        start = time.perf_counter()
        policy = Policy(outputs_exact=False)
        verdict = api.verify(receipt.data, model.model_id, policy=policy, backend=backend)
        seconds.append(time.perf_counter() - start)
    sections = split_receipt(receipt.data)
    sizes = [len(receipt.data), len(sections.journal), len(sections.proof)]
    segments = verdict.facts.stark.segments
    return (
        f"{name} {steps} steps: receipt {sizes[0]:,}, journal {sizes[1]:,}, proof {sizes[2]:,} "
        f"bytes; {segments} segments; prove {proven:.2f} s; verify {seconds[0]:.2f} s (Rust), "
        f"{seconds[1]:.2f} s (Python)"
    )


if __name__ == "__main__":
    for count in sys.argv[2].split(","):
        print(measure(sys.argv[1], int(count)), flush=True)
