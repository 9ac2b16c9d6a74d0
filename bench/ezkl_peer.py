"""zktally bench ezkl: what ezkl takes for the same ONNX files, phase by phase.

The file goes through ezkl as its users would do it: settings, calibration, circuit, a string made
here, keys, witness, proof, verification. ezkl runs in a process of its own under limits.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from ..prover.errors import ProveError
from ..prover.snark.adapt import adapt, as_data
from ..prover.snark.child import FILES
from ..prover.snark.process import How, Run, run, version
from ..verifier.cli import read_arrays
from ..verifier.errors import UsageError
from ..verifier.quoting import quoted_path
from .cells import (
    Column,
    Row,
    formats,
    markdown_table,
    output_lines,
    read_rows,
    text_table,
)
from .machine import describe

SET_UP = ("settings", "calibrate", "circuit", "srs", "setup")
PHASES = (*SET_UP, "witness", "prove", "verify")


@dataclass(frozen=True)
class EzklRow:
    """What ezkl took for one model; None where the phase did not come to its end.

    Attributes:
        ended: "done", "failed", or stopped at the limit of "memory" or "time".
        why: in words, where it is not done.
        version: of ezkl, "" if there is none.
        logrows: log2 of the rows of the circuit.
        setup_s: seconds for settings, calibration, circuit, string and keys.
        witness_s, prove_s, verify_s: seconds of these phases.
        peak_mb: largest resident size of ezkl's process in megabytes (10^6).
        proof_bytes: of the proof itself; `pk_bytes`, `vk_bytes`, `srs_bytes`: of the files.
        max_abs_error: the largest difference of an output from onnxruntime's.
        sqnr_db: signal over noise of the outputs in decibels; None where there is no noise.
        adapted: what was changed in the file so that ezkl takes it.
        srs_cached: whether the string was there already; `setup_s` then has what it took then.
        phases: seconds of every finished phase.
    """

    ended: How
    why: str
    version: str
    logrows: int | None = None
    setup_s: float | None = None
    witness_s: float | None = None
    prove_s: float | None = None
    verify_s: float | None = None
    peak_mb: float | None = None
    proof_bytes: int | None = None
    pk_bytes: int | None = None
    vk_bytes: int | None = None
    srs_bytes: int | None = None
    max_abs_error: float | None = None
    sqnr_db: float | None = None
    adapted: list[str] = field(default_factory=list)
    srs_cached: bool = False
    phases: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As one JSON-ready object."""
        return asdict(self)


def measure(
    model: Path,
    inputs: Mapping[str, NDArray[Any]],
    *,
    work: Path,
    memory_limit: int | None = None,
    time_limit: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> EzklRow:
    """Send an ONNX file through ezkl, and time it.

    Args:
        model: the file.
        inputs: one run's arrays by input name; they are the calibration data, too.
        work: a folder for what is made meanwhile; strings (`kzg<rows>.srs`) stay there.
        memory_limit: bytes of resident memory at which ezkl is stopped.
        time_limit: seconds for all phases together.
        progress: called with the name of each phase as it begins.

    Returns:
        A row, whatever ezkl does: where it fails or is stopped, the row says so.

    Raises:
        UsageError: a limit of memory on a system that does not tell what is used.
    """
    work.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="ezkl-", dir=work) as folder:
            return _measured(model, inputs, work, Path(folder), memory_limit, time_limit, progress)
    except ProveError as error:
        return EzklRow("failed", f"{error.message} [{error.code}]", _version())


def _version() -> str:
    try:
        return version()
    except ProveError:
        return ""


def _measured(
    model: Path,
    inputs: Mapping[str, NDArray[Any]],
    work: Path,
    folder: Path,
    memory_limit: int | None,
    time_limit: float | None,
    progress: Callable[[str], None] | None,
) -> EzklRow:
    arrays = {name: np.asarray(array) for name, array in inputs.items()}
    adapted, changes = adapt(model, {name: array.shape for name, array in arrays.items()})
    onnx.save(adapted, str(folder / FILES["model"]))
    for name in ("calibration", "input"):
        (folder / FILES[name]).write_text(json.dumps(as_data(adapted, arrays)))
    strings = str(work.resolve() / "kzg{rows}.srs")
    job = {"phases": PHASES, "strings": strings}
    found = run(job, folder, memory_limit=memory_limit, time_limit=time_limit, progress=progress)
    seconds, cached = _seconds(found, folder, work)
    whole = all(name in seconds for name in SET_UP)
    largest, ratio = _errors(model, adapted, arrays, folder)
    return EzklRow(
        found.how,
        found.why,
        version(),
        logrows=_logrows(folder),
        setup_s=sum(seconds[name] for name in SET_UP) if whole else None,
        witness_s=seconds.get("witness"),
        prove_s=seconds.get("prove"),
        verify_s=seconds.get("verify"),
        peak_mb=found.peak_bytes / 1e6 or None,
        pk_bytes=_size(folder / FILES["pk"]),
        vk_bytes=_size(folder / FILES["vk"]),
        srs_bytes=_size(folder / FILES["srs"]),
        proof_bytes=_proof_size(folder) if "prove" in seconds else None,
        max_abs_error=largest,
        sqnr_db=ratio,
        adapted=changes,
        srs_cached=cached,
        phases=seconds,
    )


def _seconds(found: Run, folder: Path, work: Path) -> tuple[dict[str, float], bool]:
    """Of each finished phase, a string that was there already counted as when it was made."""
    seconds = {name: float(told["seconds"]) for name, told in found.phases.items()}
    cached = not found.phases.get("srs", {}).get("made", True)
    if "srs" in seconds:
        kept = work / f"kzg{_logrows(folder)}.json"
        if cached and kept.exists():
            seconds["srs"] += float(json.loads(kept.read_text())["seconds"])
        elif not cached:
            kept.write_text(json.dumps({"seconds": seconds["srs"]}))
    return seconds, cached


def _logrows(folder: Path) -> int | None:
    try:
        settings = json.loads((folder / FILES["settings"]).read_text())
        return int(settings["run_args"]["logrows"])
    except (OSError, ValueError, KeyError):
        return None


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None


def _proof_size(folder: Path) -> int:
    return len(json.loads((folder / FILES["proof"]).read_text())["proof"])


def _errors(
    path: Path, adapted: onnx.ModelProto, inputs: Mapping[str, NDArray[Any]], folder: Path
) -> tuple[float | None, float | None]:
    """How far ezkl's outputs are from onnxruntime's on the file as it was: at most, and in dB."""
    try:
        told = json.loads((folder / FILES["witness"]).read_text())
    except (OSError, ValueError):  # it did not come so far, or was stopped while it wrote
        return None, None
    shown = told["pretty_elements"]["rescaled_outputs"]
    outputs = np.concatenate([np.asarray(each, dtype=np.float64) for each in shown])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    wanted = session.run([port.name for port in adapted.graph.output], dict(inputs))
    floats = np.concatenate([np.asarray(each, dtype=np.float64).ravel() for each in wanted])
    noise = outputs - floats
    power = float(np.square(noise).sum())
    ratio = 10 * float(np.log10(np.square(floats).sum() / power)) if power else None
    return float(np.abs(noise).max()), ratio


def _if_there(key: str, form: str, row: Row) -> str:
    return "" if row[key] is None else form.format(row[key])


COLUMNS: tuple[Column, ...] = (
    *formats(("model", "{}", "model"), ("ended", "{}", "ended")),
    *(
        (head, partial(_if_there, key, form))
        for key, form, head in (
            ("logrows", "2^{}", "rows"),
            ("setup_s", "{:.1f}", "set-up s"),
            ("witness_s", "{:.2f}", "witness s"),
            ("prove_s", "{:.1f}", "prove s"),
            ("verify_s", "{:.3f}", "verify s"),
            ("peak_mb", "{:,.0f}", "peak MB"),
            ("proof_bytes", "{:,}", "proof B"),
            ("vk_bytes", "{:,}", "vk B"),
            ("pk_bytes", "{:,}", "pk B"),
            ("max_abs_error", "{:.2g}", "max error"),
        )
    ),
)


def table(rows: list[Row]) -> str:
    """The rows for people, and below them what was changed, and why something ended early."""
    lines = [text_table(COLUMNS, rows)]
    for row in rows:
        lines += [f"{row['model']}: {each}" for each in row["adapted"]]
        if row["why"]:
            lines.append(f"{row['model']}: {row['ended']} at {row['why']}")
    return "\n".join(lines)


def main(args: argparse.Namespace) -> int:
    """Measure every file, or read rows; JSON lines to the output as they come, tables to stderr.

    Raises:
        UsageError: there are no files, or an output cannot be written.
        ProveError: `snark.unavailable`, there is no ezkl.
    """
    if args.rows:
        rows = read_rows(args.rows)
    elif args.models:
        version()
        rows = _measured_all(args)
    else:
        raise UsageError("there are no models", expected="MODEL.onnx …, or --rows FILE")
    if args.markdown:
        print(markdown_table(COLUMNS, rows))
    print(table(rows), file=sys.stderr)
    return 0


def _measured_all(args: argparse.Namespace) -> list[Row]:
    rows = []
    with output_lines(args) as lines:
        for each in args.models:
            rows.append(_row(args, Path(each)))
            if lines is not None:
                print(json.dumps(rows[-1], sort_keys=True), file=lines, flush=True)
    return rows


def _row(args: argparse.Namespace, path: Path) -> dict[str, Any]:
    inputs = read_arrays(args.input) if args.input else drawn_inputs(path)
    if isinstance(inputs, np.ndarray):
        raise UsageError("inputs have no names", expected="an .npz file", received=args.input)
    row = measure(
        path,
        inputs,
        work=Path(args.work),
        memory_limit=args.memory_limit,
        time_limit=args.time_limit,
        progress=lambda phase: print(f"{path.name}: {phase}", file=sys.stderr, flush=True),
    )
    return {"model": path.name, "machine": describe(), **row.as_dict()}


def drawn_inputs(path: Path, seed: int = 0) -> dict[str, NDArray[Any]]:
    """One run of random inputs: floats uniform in [-1, 1), integers 0 or 1; open axes are 1.

    Raises:
        UsageError: the file cannot be read as ONNX.
    """
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises kinds of its own
        raise UsageError(
            f"{quoted_path(path)} is no ONNX file that runs",
            code="usage.unreadable",
            received=str(error)[:200],
        ) from error
    rng = np.random.default_rng(seed)
    found = {}
    for port in session.get_inputs():
        shape = tuple(size if isinstance(size, int) and size > 0 else 1 for size in port.shape)
        if "float" in port.type or "double" in port.type:
            dtype = "f8" if "double" in port.type else "f4"
            found[port.name] = rng.uniform(-1, 1, shape).astype(dtype)
        else:
            dtype = {"tensor(bool)": "?", "tensor(int32)": "i4"}.get(port.type, "i8")
            found[port.name] = rng.integers(0, 2, shape).astype(dtype)
    return found
