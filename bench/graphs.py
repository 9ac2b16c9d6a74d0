"""zktally bench graphs: random networks, their integers against onnxruntime.

A network of integers must give exactly onnxruntime's. One of reals is right if its error is what
rounding every value (and every weight) to 8 bits explains: the error of such a run in floats, node
by node, is the measure.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ..circuits import native
from ..circuits.compile import compile
from ..circuits.evaluate import integer_run
from ..circuits.model import CompiledModel
from ..circuits.quantise import Affine
from ..errors import ZktallyError
from ..verifier.program.types import PortKind
from .cells import Row, formats, text_table
from .drawn_graphs import Array, Drawn, draw, rounded, run
from .models import INT8

TIMES, STEPS = 6.0, 2.0
"""An error is explained up to so many times that of the rounded run, and so many output steps."""

COLUMNS = (
    *formats(("kind", "{}", "networks"), ("trials", "{:,}", "trials"), ("right", "{:,}", "right")),
    *formats(("wrong", "{:,}", "wrong"), ("refused", "{:,}", "refused")),
    *formats(("crashed", "{:,}", "crashed"), ("proven", "{:,}", "proven")),
)


def main(args: argparse.Namespace) -> int:
    """Run the trials; what is wrong is kept as an ONNX file with its data."""
    rows = []
    for trial in range(args.first, args.first + args.trials):
        row = measure(args.seed, trial, args.nodes, prove=args.prove and trial % args.prove == 0)
        rows.append(row)
        if row["verdict"] in ("wrong", "crashed"):
            keep(args.seed, trial, args.nodes, Path(args.output))
            print(json.dumps(row, sort_keys=True), file=sys.stderr)
    print(table(rows))
    return 1 if any(row["verdict"] in ("wrong", "crashed") for row in rows) else 0


def drawn(seed: int, trial: int, nodes: int) -> tuple[str, Drawn]:
    """The network of a trial; every third one is of integers."""
    rng, whole = np.random.default_rng([seed, trial]), trial % 3 == 2
    return ("integers" if whole else "reals"), draw(
        rng, int(rng.integers(1, nodes + 1)), whole=whole
    )


def measure(seed: int, trial: int, nodes: int, *, prove: bool = False) -> Row:
    """A trial's verdict: right, wrong, refused (with the code), or crashed."""
    kind, network = drawn(seed, trial, nodes)
    operators = [step.node.op_type for step in network.steps]
    row: Row = {"trial": trial, "kind": kind, "operators": operators, "proven": False}
    if not network.steps:
        return row | {"verdict": "refused", "why": "nothing was drawn"}
    try:
        return row | _judged(network, prove=prove)
    except ZktallyError as error:
        return row | {"verdict": "refused", "why": f"{error.code}: {error.message[:200]}"}
    except Exception as error:  # whatever a compiler must not raise
        said = f"{type(error).__name__}: {str(error)[:200]}"
        return row | {"verdict": "crashed", "why": said}


def _judged(network: Drawn, *, prove: bool) -> Row:
    model = network.model()
    names = [value.name for value in model.graph.input]
    feeds = {name: network.feeds[name] for name in names}
    compiled = compile(model, feeds, evaluate=1, **INT8)
    program = compiled.checked.program
    values = integer_run(
        program, compiled.weights, feeds, native.executor(compiled.checked, compiled.weights)
    )
    exact, coarse = network.values, _rounded_run(network)
    faults = []
    for port, output in zip(program.outputs, model.graph.output, strict=True):
        real, integers = exact[output.name], values[port.tensor].astype(np.int64)
        if port.kind == PortKind.INTEGER:
            differ = int(np.count_nonzero(integers.reshape(real.shape) != real))
            faults += [f"{output.name}: {differ} integers differ"] if differ else []
            continue
        tensor = program.tensors[port.tensor]
        code = Affine(port.scale, port.zero, tensor.lo, tensor.hi)
        error = _deviation(code.dequantise(integers).reshape(real.shape), real)
        allowed = TIMES * _deviation(coarse[output.name], real) + STEPS * port.scale
        if error > allowed:
            faults.append(f"{output.name}: an error of {error:.4g}, not {allowed:.4g}")
    if not faults and prove:
        try:
            _prove(compiled, feeds)
        except ZktallyError as error:  # what compiles and is right must be proven, too
            faults.append(f"not proven: {error.code}: {error.message[:200]}")
    verdict = "wrong" if faults else "right"
    return {"verdict": verdict, "why": "; ".join(faults), "proven": prove and not faults}


def _deviation(found: Array, real: Array) -> float:
    """The root of the mean square of the differences."""
    return float(np.sqrt(np.mean((found.astype(np.float64) - real.astype(np.float64)) ** 2)))


def _rounded_run(network: Drawn) -> dict[str, Array]:
    """All values where each is rounded to 8 bits, and each constant, too."""
    found = {name: _coarse(array) for name, array in network.feeds.items()}
    for step in network.steps:
        constants = {name: _coarse(array) for name, array in step.constants.items()}
        values = run(step.node, found | constants, network.opset)
        found |= {name: _coarse(array) for name, array in values.items()}
    return found


def _coarse(array: Array) -> Array:
    return rounded(array) if array.dtype.kind == "f" and array.size else array


def _prove(compiled: CompiledModel, feeds: dict[str, Array]) -> None:
    """Prove it in the fast mode, and verify that with both verifiers."""
    from .. import api

    receipt = api.prove(compiled, feeds, mode="fast", reveal=True)
    for backend in ("rust", "python"):
        api.verify(receipt.data, compiled.model_id, backend=backend)


def keep(seed: int, trial: int, nodes: int, folder: Path) -> None:
    """Write a trial's model and data, to look at it."""
    folder.mkdir(parents=True, exist_ok=True)
    _, network = drawn(seed, trial, nodes)
    onnx.save(network.model(), folder / f"graph-{seed}-{trial}.onnx")
    given: dict[str, Any] = dict(network.feeds)
    np.savez(folder / f"graph-{seed}-{trial}.npz", **given)


def table(rows: list[Row]) -> str:
    """Counts by kind, and the codes of refusals."""
    counted = []
    for kind in ("reals", "integers"):
        those = [row for row in rows if row["kind"] == kind]
        verdicts = Counter(row["verdict"] for row in those)
        names = ("right", "wrong", "refused", "crashed")
        proven = sum(row["proven"] for row in those)
        counted.append(
            {"kind": kind, "trials": len(those), "proven": proven}
            | {name: verdicts[name] for name in names}
        )
    why = Counter(row["why"].splitlines()[0] for row in rows if row["verdict"] == "refused")
    lines = [f"{count:5,}  {reason}" for reason, count in why.most_common(20)]
    return "\n".join([text_table(COLUMNS, counted), *lines])
