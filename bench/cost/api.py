"""`run` and `merge`: a sweep of costs from Python, and reports of several machines as one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from ...verifier.errors import UsageError
from ...verifier.journal import MODES
from ...verifier.quoting import quoted_path
from ..process import Row
from .cell import Axes, Cell, suite_cells, suite_models
from .narrator import Narrator
from .report import CostReport
from .store import Store, read_rows
from .subject import Subject, subjects
from .sweep import Setting, Sweep

Calibration = str | Path | Sequence[str] | Mapping[str, str | Path]

USUAL_SECONDS = 1800.0
"""The longest that a cell may take where nobody says."""


def usual_memory() -> int | None:
    """Nine tenths of the machine's memory, in bytes; None where nobody could watch it."""
    if not Path("/proc/self/statm").exists():
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 9 // 10


def run(
    models: str | Path | Sequence[str | Path] = (),
    folder: str | Path = "bench-cost",
    *,
    suite: str | None = None,
    modes: Sequence[str] = MODES,
    deltas: Sequence[float] = (0.05,),
    batches: Sequence[int] = (1,),
    steps: Sequence[int] = (1,),
    small: bool = False,
    calibrate: Calibration | None = None,
    dims: Mapping[str, int] | None = None,
    precision: str = "auto",
    memory_limit: int | None = None,
    time_limit: float | None = USUAL_SECONDS,
    threads: int = 0,
    repeat: int = 3,
    machine: str = "",
    retry: bool = False,
    command: str = "",
    stream: TextIO | None = sys.stderr,
) -> CostReport:
    """Measure what receipts of these models cost; what the folder has already is not done again.

    Args:
        models: ONNX files, compiled models, names of the project's own networks; one or several.
        folder: where rows and reports go; a new one, or one to go on with.
        suite: in place of models and axes: "sizes", the committed sweep, or "quick".
        modes: of "fast", "hybrid", "strict", "ezkl".
        deltas: bounds of the sampled modes, 1e-6 to 0.5.
        batches: items of a step; a compiled model has its own.
        steps: runs of the program under one receipt; ezkl proves one.
        small: the small profile of the STARK.
        calibrate: a file of inputs (.npz, .npy) for all models, or one by model (a mapping, or
            words MODEL=FILE); else seeded random data.
        dims: sizes of named axes of the ONNX files.
        precision: of ONNX files, as `zktally.compile` takes it.
        memory_limit: bytes of a cell; None for nine tenths of the machine's memory.
        time_limit: seconds of a cell; None for no limit.
        threads: of everything that is measured, 0 for all cores.
        repeat: runs of each timing, of which the median counts.
        machine: what to call this machine; the name of its processor where empty.
        retry: measure again what has failed.
        command: what the report says it was made by.
        stream: for progress; None for silence.

    Returns:
        The report of all rows in the folder, which was written there, too.

    Raises:
        UsageError: arguments, models, data or a folder that do not fit, before any work.
        CompileError, BadModelFile: a file that is no model.
        KeyboardInterrupt: all rows so far are kept; the same call goes on.
    """
    given = [models] if isinstance(models, str | Path) else list(models)
    setting = Setting(
        small=small,
        threads=threads,
        repeat=repeat,
        memory_limit=usual_memory() if memory_limit is None else memory_limit,
        time_limit=time_limit,
        machine=machine,
    )
    axes = Axes(modes, deltas, batches, steps)
    if suite is not None and given:
        raise UsageError("a suite has models of its own", hint="give models or a suite")
    if suite is not None:
        given = list(suite_models(suite))
    found = subjects(given, _files(calibrate), dims, precision)
    profile = setting.profile
    cells = axes.cells(found, profile) if suite is None else suite_cells(suite, found, profile)
    return measured(folder, found, cells, setting, command or _call(given, suite), stream, retry)


def measured(
    folder: str | Path,
    found: Sequence[Subject],
    cells: Sequence[Cell],
    setting: Setting,
    command: str,
    stream: TextIO | None,
    retry: bool = False,
) -> CostReport:
    """Run the sweep, and write what follows from all rows of the folder."""
    store = Store(folder)
    sweep = Sweep(store, found, cells, setting, Narrator(stream), command, retry)
    sweep.run()
    report = CostReport.of(store.rows.values())
    report.write(store.folder)
    return report


def _files(calibrate: Calibration | None) -> list[str]:
    if isinstance(calibrate, Mapping):
        return [f"{model}={file}" for model, file in calibrate.items()]
    if isinstance(calibrate, str | Path):
        return [str(calibrate)]
    return [] if calibrate is None else list(calibrate)


def _call(models: Sequence[str | Path], suite: str | None) -> str:
    """A call from Python, in short."""
    named = f"suite={suite!r}" if suite else f"[{', '.join(repr(str(each)) for each in models)}]"
    return f"zktally.bench.cost.run({named}, ...)"


def merge(folders: Iterable[str | Path], title: str | None = None) -> CostReport:
    """One report of several folders, the last row of each cell; machines stay apart in it.

    Raises:
        UsageError: a folder without rows of a sweep; none at all; two machines of one name.
    """
    rows: dict[str, Row] = {}
    cpus: dict[str, tuple[object, ...]] = {}
    for folder in folders:
        for row in read_rows(folder):
            rows[row["key"]] = row
            machine = row["machine"]
            seen = cpus.setdefault(machine["name"], (machine["cpu"], machine["cores"], folder))
            if seen[:2] != (machine["cpu"], machine["cores"]):
                raise UsageError(
                    f"two machines are called {quoted_path(machine['name'])}",
                    expected=f"{seen[0]}, {seen[1]} cores, as in {seen[2]}",
                    received=f"{machine['cpu']}, {machine['cores']} cores in {folder}",
                    hint="measure with --machine-name, or name the machine in cells.jsonl",
                )
    if not rows:
        raise UsageError("there are no rows to report", hint="zktally bench cost measures some")
    return CostReport.of(rows.values(), title)
