"""Measures one cell, in a process of its own: float run, integer run, receipt, both verifiers."""

from __future__ import annotations

import importlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from ... import __version__
from ...circuits import source
from ...circuits.model import CompiledModel
from ...errors import ZktallyError
from ...prover import Job
from ...verifier.inputs import port_name, quantise
from ...verifier.policy import Policy
from ...verifier.program.types import ABSENT
from ...verifier.stark.params import PROFILE_NAMES
from ...verifier.verified import Guarantee
from ..fast import run_once, session_options
from ..hybrid import LONG, prove_hybrid
from ..judging import judged
from ..machine import forget_peak, peak_memory
from ..process import Row
from ..timing import cpu_seconds, timed
from .cell import EZKL, Cell
from .prepare import claims_of
from .subject import (
    INPUT_SEED,
    Arrays,
    Subject,
    chain_inputs,
    given_arrays,
    has_open_axis,
    random_feeds,
)

PHASES = ("integer", "commit", "open")
NO_EZKL = "ezkl is not installed: pip install 'zktally[peers]'"
PAUSE = 0.05
PEER = "zktally.bench.ezkl_peer"

_DTYPES: Mapping[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(bool)": np.bool_,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


def measure(asked: Row) -> Row:
    """One row; times are medians over repeats, of what takes 10 s or more one run.

    Args:
        asked: `cell`, `subject`, `program` (a .zkt file), `onnx` (a file, or None), `threads`,
            `repeat`.
    """
    cell, subject = Cell(*asked["cell"]), Subject(**asked["subject"])
    threads, repeat = asked["threads"], asked["repeat"]
    model = CompiledModel.load(asked["program"])
    inputs = chain_inputs(subject, model.checked.program, cell.steps)
    batches, items = quantise(model.checked.program, inputs)
    row = _float_row(asked["onnx"], model, inputs, cell.steps, threads, repeat)
    claims = claims_of(cell)
    profile = 0 if cell.profile is None else PROFILE_NAMES.index(cell.profile)
    _ = model.core  # hashed once for all receipts of a model: no part of a receipt
    forget_peak()

    def run() -> tuple[Job, dict[str, float]]:
        before = cpu_seconds()
        job, phases = run_once(model, batches, items, claims, profile)
        return job, phases | {"cpu": cpu_seconds() - before}

    runs = several(run, lambda found: sum(found[1][phase] for phase in PHASES), repeat)
    job = runs[-1][0]
    medians = {name: statistics.median(found[name] for _, found in runs) for name in runs[0][1]}
    del runs
    row |= {f"{phase}_ms": 1e3 * medians[phase] for phase in PHASES}
    seconds, used, stark = sum(medians[phase] for phase in PHASES), medians["cpu"], None
    if cell.mode == "fast":
        receipt = job.shown()
    else:
        receipt, proof = prove_hybrid(model, job, repeat, threads)
        stark = proof["hybrid"]
        seconds, used = seconds + stark, used + proof["cpu"]
    row |= {"stark_s": stark, "prove_s": seconds, "cpu_s": used}
    row |= {"peak_mb": peak_memory() / 1e6, "receipt_bytes": len(receipt)}
    policy = Policy() if cell.delta is None else Policy(max_delta=cell.delta)
    verified, times = judged(receipt, model, policy, threads=threads)
    row |= {"verify_ms": 1e3 * times["verify_rust"], "segments": verified.segments}
    row |= {"verify_python_ms": 1e3 * times["verify_python"]}
    row |= {
        "bits": verified.headline_bits,
        "stark_bits": verified.stark_bits,
        "lambda": verified.bits,
        "items": items,
    }
    return row | {"guarantee": promised(verified.guarantee), "versions": versions()}


def several(work: Callable[[], Any], took: Callable[[Any], float], repeat: int) -> list[Any]:
    """Results after a warm-up; of work that takes `LONG` the first one alone.

    Before each there is a pause: on a machine with other work, whoever computes without one is the
    first to be interrupted, in the middle of what is timed.
    """
    first = work()
    if took(first) >= LONG:
        return [first]

    def rested() -> Any:
        time.sleep(PAUSE)
        return work()

    return [rested() for _ in range(repeat)]


def promised(guarantee: Guarantee) -> Row:
    """What a receipt guarantees, in numbers and in one sentence."""
    return {
        "complete": guarantee.complete,
        "delta": guarantee.delta,
        "delta_step": guarantee.delta_step,
        "delta_op": guarantee.delta_op,
        "outputs": dict(guarantee.outputs),
        "hides": guarantee.hides,
        "sentence": guarantee.sentence(),
    }


def versions(**others: str) -> Row:
    """Of all that took part in a measurement."""
    return {
        "zktally": __version__,
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
        **others,
    }


def _float_row(
    path: str | None, model: CompiledModel, inputs: Arrays, steps: int, threads: int, repeat: int
) -> Row:
    """Milliseconds of onnxruntime over all steps; None without an ONNX file."""
    if path is None:
        return {"float_ms": None}
    session = onnxruntime.InferenceSession(
        path, session_options(threads), providers=["CPUExecutionProvider"]
    )
    feeds = [_feed(session, model, inputs, step) for step in range(steps)]

    def run() -> float:
        return timed(lambda: [session.run(None, feed) for feed in feeds])[1]

    return {"float_ms": 1e3 * statistics.median(several(run, lambda seconds: seconds, repeat))}


def _feed(
    session: onnxruntime.InferenceSession, model: CompiledModel, inputs: Arrays, step: int
) -> dict[str, npt.NDArray[Any]]:
    """The inputs of one step as onnxruntime takes them; zeros where the program reads none."""
    program, found = model.checked.program, {}
    ports = {port.name: port for port in program.inputs}
    for given in session.get_inputs():
        sizes = [size if isinstance(size, int) else None for size in given.shape]
        port = ports.get(port_name(given.name))
        if port is None:
            first, *rest = [*sizes, 1]
            shape = [first or program.batch, *(size or 1 for size in rest)][: len(sizes)]
            found[given.name] = np.zeros(shape, _DTYPES[given.type])
            continue
        array = inputs[port.name]
        if port.batch != ABSENT:
            part = array[step * program.batch : (step + 1) * program.batch]
        else:
            part = array[step]
        if None not in sizes:  # a number of its own is one of a row in a program
            part = part.reshape([size or 0 for size in sizes])
        found[given.name] = np.ascontiguousarray(part.astype(_DTYPES[given.type]))
    return found


def measure_ezkl(asked: Row) -> Row:
    """The row of ezkl on the same ONNX file and inputs: one step of the batch.

    Args:
        asked: `cell`, `subject`, `onnx`, `work` (a folder), `memory_limit`, `time_limit`.
    """
    if asked["onnx"] is None:
        return {"refused": "ezkl needs the ONNX file of a compiled model"}
    peer = load_peer()
    if peer is None:
        return {"ended": "skipped", "why": NO_EZKL}
    cell, subject, path = Cell(*asked["cell"]), Subject(**asked["subject"]), Path(asked["onnx"])
    found = peer(
        path,
        ezkl_inputs(subject, path, cell.batch),
        work=Path(asked["work"]),
        memory_limit=asked["memory_limit"],
        time_limit=asked["time_limit"],
    ).as_dict()
    row: Row = {"ended": found["ended"], "why": found["why"], "ezkl": found}
    row["versions"] = versions(ezkl=str(found["version"]))
    if found["ended"] != "done":
        return row
    return row | {
        "setup_s": found["setup_s"],
        "witness_s": found["witness_s"],
        "prove_s": found["witness_s"] + found["prove_s"],
        "verify_ms": 1e3 * found["verify_s"],
        "receipt_bytes": found["proof_bytes"],
        "peak_mb": found["peak_mb"],
        "sqnr_db": found["sqnr_db"],
        "guarantee": {
            "complete": True,
            "sentence": "every operation of ezkl's circuit, under the keys of a set-up made here",
        },
    }


def load_peer() -> Callable[..., Any] | None:
    """What measures ezkl, or None where it is not installed."""
    try:
        importlib.import_module(EZKL)
        found: Callable[..., Any] = importlib.import_module(PEER).measure
    except ImportError:
        return None
    return found


def ezkl_inputs(subject: Subject, path: Path, batch: int) -> dict[str, npt.NDArray[Any]]:
    """One step of the inputs that the other modes get, by the names of the ONNX file."""
    model = onnx.load(str(path), load_external_data=False)
    drawn = random_feeds(model, subject.dims, batch, INPUT_SEED)
    given = given_arrays(subject, list(drawn))
    if given is None:
        open_axes = {each.name for each in source.inputs(model) if has_open_axis(each)}
        return {n: each if n in open_axes else each[0] for n, each in drawn.items()}
    return {name: given[name][np.arange(batch) % len(given[name])] for name in drawn}


def main() -> None:
    """One process: its argument is JSON, its last line too; what is refused is a row as well."""
    asked = json.loads(sys.argv[1])
    work = measure_ezkl if asked["cell"][1] == EZKL else measure
    stdout = os.dup(1)
    os.dup2(2, 1)  # whatever libraries print is no row
    try:
        row = work(asked)
    except ZktallyError as error:
        row = {"refused": str(error)}
    sys.stdout.flush()
    os.dup2(stdout, 1)
    print(json.dumps(row))


if __name__ == "__main__":
    main()
