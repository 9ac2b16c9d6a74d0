"""Compiles a model for all cells of one batch, in a process of its own, and estimates them.

What it prints: sizes, accuracy, how long compiling took, and an estimate of every cell. The
compiled model goes to a file, which the processes of the cells read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import onnx

from ...circuits.compile import compile
from ...circuits.model import CompiledModel
from ...circuits.report import Report
from ...errors import ZktallyError
from ...prover import Claims
from ...prover.estimate import estimate_job
from ...verifier.errors import UnsupportedReceipt
from ...verifier.stark.params import PROFILE_NAMES
from ..machine import forget_peak, peak_memory
from ..process import Row
from ..timing import timed
from .cell import EZKL, Cell
from .subject import Subject, calibration_data, float_model


def claims_of(cell: Cell) -> Claims:
    """What the receipt of a cell states: λ and the bound on single ops as usual in its mode."""
    return Claims(cell.mode, cell.delta)


def prepare(asked: Row) -> Row:
    """Compile, save, estimate.

    Args:
        asked: `subject` (`Subject.to_json`), `batch`, `output` (a .zkt file), `cells`.

    Returns:
        What all cells of the program share, and under "estimates" one object a cell, by its name.
    """
    subject, output = Subject(**asked["subject"]), Path(asked["output"])
    row: Row = {"compile_s": None, "compile_peak_mb": None}
    path = float_model(subject, output.parent)
    if path is None:
        model = CompiledModel.load(subject.path)
    else:
        data = calibration_data(subject, onnx.load(str(path), load_external_data=False))
        forget_peak()
        options = {**subject.options, "dims": dict(subject.dims)}
        model, seconds = timed(lambda: compile(path, data, batch=asked["batch"], **options))
        row = {"compile_s": seconds, "compile_peak_mb": peak_memory() / 1e6}
        model.save(output, force=True)
    row |= sizes(model) | accuracy(model.report)
    cells = [Cell(*cell) for cell in asked["cells"]]
    row["estimates"] = {str(cell): estimate(model, cell) for cell in cells}
    return row


def sizes(model: CompiledModel) -> Row:
    """Parameters, and the multiply-accumulates of one step."""
    return {
        "parameters": model.report.parameters,
        "macs": model.checked.weights.step_macs,
        "program_batch": model.checked.program.batch,
    }


def accuracy(report: Report) -> Row:
    """Integers beside floats, as `compile` has found: dB of the worst output, equal classes."""
    noises = [each.sqnr_db for each in report.outputs if each.sqnr_db is not None]
    return {
        "sqnr_db": min(noises, default=None),
        "agreement": report.top1,
        "evaluated": report.evaluated,
        "evaluated_on": report.basis if report.evaluated else None,
    }


def estimate(model: CompiledModel, cell: Cell) -> Row:
    """What the cell will take, or why there is no such receipt."""
    if cell.mode == EZKL:
        return {}
    profile = 0 if cell.profile is None else PROFILE_NAMES.index(cell.profile)
    items = model.checked.program.batch * cell.steps
    try:
        job = estimate_job(claims_of(cell).counts(model.checked, items), profile)
    except UnsupportedReceipt as error:
        return {"refused": str(error)}
    return {
        "run_s": job.run.seconds,
        "stark_s": job.stark.seconds if job.stark else 0.0,
        "peak_mb": job.memory_bytes / 1e6,
        "receipt_bytes": job.proof_bytes,
        "segments": job.stark.segments if job.stark else None,
    }


def main() -> None:
    """One process: its argument is JSON, its last line too; what is refused is a row as well."""
    asked = json.loads(sys.argv[1])
    try:
        print(json.dumps(prepare(asked)))
    except ZktallyError as error:
        print(json.dumps({"refused": str(error)}))


if __name__ == "__main__":
    main()
